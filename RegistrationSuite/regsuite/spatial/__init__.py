"""Tensors with geometry: grids, images, labels, points; sampling and smoothing."""

from regsuite.spatial.grid import Grid
from regsuite.spatial.image import Image, LabelImage, PointSet
from regsuite.spatial.meshes import Surface, Surfaces
from regsuite.spatial.sampling import sample, sample_index
from regsuite.spatial.sections import SectionSet
from regsuite.spatial.slice_sets import SliceSet

__all__ = [
    "Grid",
    "Image",
    "LabelImage",
    "PointSet",
    "SectionSet",
    "SliceSet",
    "Surface",
    "Surfaces",
    "sample",
    "sample_index",
]
