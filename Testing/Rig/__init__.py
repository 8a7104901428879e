"""Slicer's Qt side simulated over PySide6: module files run unmodified without Slicer. See :mod:`Rig.simulation`."""
