"""MRML nodes and the backend's types, both ways.

Everything is in world RAS millimetres. Nodes under a linear transform are taken where that transform puts them; images
and segmentations under a nonlinear one are refused, because a grid cannot hold it. A volume of one slice is a 2D image
for the backend, in a frame within its plane; what comes back lies in that plane again.
"""

from RegistrationSuiteLib.scene.geometry import Plane, grid_of, plane_of
from RegistrationSuiteLib.scene.labels import labelmap_from_labels, labels_from_node, segmentation_from_labels
from RegistrationSuiteLib.scene.points import markups_from_points, model_from_points, points_from_node
from RegistrationSuiteLib.scene.sections import (
    nodes_from_section,
    section_from_node,
    sections_from_nodes,
    vector_volume,
)
from RegistrationSuiteLib.scene.slices import nodes_from_slices, slice_labels_from_nodes, slices_from_nodes
from RegistrationSuiteLib.scene.surfaces import model_from_surface, surfaces_from_nodes
from RegistrationSuiteLib.scene.transforms import linear_interpolation, transform_from_node, transform_node
from RegistrationSuiteLib.scene.volumes import image_from_node, volume_from_image

__all__ = [
    "Plane",
    "grid_of",
    "image_from_node",
    "labelmap_from_labels",
    "labels_from_node",
    "linear_interpolation",
    "markups_from_points",
    "model_from_points",
    "model_from_surface",
    "nodes_from_section",
    "nodes_from_slices",
    "plane_of",
    "points_from_node",
    "section_from_node",
    "sections_from_nodes",
    "segmentation_from_labels",
    "slice_labels_from_nodes",
    "slices_from_nodes",
    "surfaces_from_nodes",
    "transform_from_node",
    "transform_node",
    "vector_volume",
    "volume_from_image",
]
