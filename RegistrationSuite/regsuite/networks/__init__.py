"""Learned parts, on MONAI's blocks."""
