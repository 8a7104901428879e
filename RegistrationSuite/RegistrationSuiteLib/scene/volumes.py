"""Scalar volume nodes and images."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import slicer.util
from regsuite.errors import InputError

from RegistrationSuiteLib.scene.geometry import Plane, grid_of, plane_of

if TYPE_CHECKING:
    from regsuite.spatial import Grid, Image


def image_from_node(node: Any, fixed: Any = None) -> Image:
    """The image of a scalar volume node, 2D where the node holds a single slice.

    fixed: the fixed volume node; a slice is expressed in its 2D frame. InputError where the node holds no scalar image,
    or where one of the two is a slice and the other is not.
    """
    from regsuite.spatial import Image

    require_scalar_volume(node)
    plane = plane_of(node, fixed)
    grid = grid_of(node)
    array = slicer.util.arrayFromVolume(node)
    if plane is not None:
        grid, array = plane.flatten_grid(grid), array.squeeze(plane.axis)
    return Image.from_array(array, grid, node.GetName())


def require_scalar_volume(node: Any) -> None:
    """InputError, with what to do, unless the node is a volume of one number a voxel."""
    if node is None:
        raise InputError("No image was chosen: select a volume.")
    name = node.GetName()
    if node.IsA("vtkMRMLSequenceNode") or node.IsA("vtkMRMLSequenceBrowserNode"):
        raise InputError(f"'{name}' is a time series: choose the volume of one of its frames.")
    if not node.IsA("vtkMRMLScalarVolumeNode"):
        raise InputError(f"'{name}' is not an image: choose a scalar volume.")
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise InputError(f"'{name}' has no voxels: load or compute it first.")
    components = image.GetNumberOfScalarComponents()
    if components != 1:
        raise InputError(
            f"'{name}' has {components} values a voxel (colour, vectors or a time series) where one is needed: extract "
            "one first, for instance with the module Vector to Scalar Volume."
        )


def volume_from_image(image: Image, name: str, plane: Plane | None = None, node: Any = None) -> Any:
    """A scalar volume node with the image, shown as before where ``node`` is an existing one to be filled.

    plane: where a 2D image lies. The voxels keep their values and precision.
    """
    node = node or new_node("vtkMRMLScalarVolumeNode", name)
    fill_volume(node, image.data[0, 0].detach().cpu().numpy(), image.grid, plane)
    return node


def fill_volume(node: Any, array: np.ndarray, grid: Grid, plane: Plane | None) -> None:
    """Put an array (*shape) and its geometry into a volume node that is in the world's coordinates."""
    if grid.dim == 2:
        if plane is None:
            raise ValueError("a 2D image needs the plane it lies in")
        grid, array = plane.lift_grid(grid), np.expand_dims(array, plane.axis)
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(array))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras(grid)))
    node.SetAndObserveTransformNodeID(None)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()


def ijk_to_ras(grid: Grid) -> np.ndarray:
    """(4, 4) from VTK's (i, j, k) index to RAS mm."""
    return grid.affine[:, [2, 1, 0, 3]]


def new_node(class_name: str, name: str) -> Any:
    """A new node of that class in the scene, under a name that is free."""
    return slicer.mrmlScene.AddNewNodeByClass(class_name, free_name(name))


def free_name(name: str) -> str:
    """The name, or with the smallest number after it that makes it free.

    MRML's own GenerateUniqueName also counts the names of nodes that are gone, such as the frames of a sequence.
    """
    numbered = (f"{name}_{number}" for number in itertools.count(1))
    return next(each for each in itertools.chain([name], numbered) if not slicer.mrmlScene.GetFirstNodeByName(each))
