"""Similarity, overlap and regularity: pure functions of tensors."""
