"""Volumes both ways: geometry and voxels survive, and what is no scalar image is refused in one sentence."""

from __future__ import annotations

import numpy as np
import pytest
import scene_samples as samples
import slicer
import slicer.util
import torch
import vtk
from RegistrationSuiteLib import scene
from regsuite.errors import InputError
from regsuite.spatial import Grid, Image, sample

pytestmark = pytest.mark.usefixtures("session")


def matrix_of(node) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def under(node, matrix: np.ndarray):
    """Put the node under a linear transform and return that."""
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "parent")
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(parent.GetID())
    return parent


@pytest.mark.parametrize("place", samples.VOLUMES)
def test_volume_survives_the_round_trip(place: str) -> None:
    node = samples.add_volume(samples.VOLUMES[place])
    image = scene.image_from_node(node)
    back = scene.volume_from_image(image, "back")
    np.testing.assert_allclose(matrix_of(back), samples.VOLUMES[place], atol=1e-9)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(back), slicer.util.arrayFromVolume(node))


@pytest.mark.parametrize("place", samples.VOLUMES)
def test_voxel_is_where_mrml_says(place: str) -> None:
    matrix = samples.VOLUMES[place]
    node = samples.add_volume(matrix)
    image = scene.image_from_node(node)
    i, j, k = 5, 7, 2
    point = (matrix @ [i, j, k, 1])[:3]
    value = sample(image.data, image.grid, torch.tensor(point)[None])
    assert float(value) == pytest.approx(float(slicer.util.arrayFromVolume(node)[k, j, i]), rel=1e-5)


@pytest.mark.parametrize("place", samples.SLICES)
def test_slice_survives_the_round_trip(place: str) -> None:
    matrix, size = samples.SLICES[place]
    node = samples.add_volume(matrix, size)
    image = scene.image_from_node(node)
    assert image.grid.dim == 2
    back = scene.volume_from_image(image, "back", scene.plane_of(node))
    np.testing.assert_allclose(matrix_of(back), matrix, atol=1e-9)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(back), slicer.util.arrayFromVolume(node))


def test_axial_slice_has_world_coordinates() -> None:
    matrix, size = samples.SLICES["axial"]
    image = scene.image_from_node(samples.add_volume(matrix, size))
    np.testing.assert_allclose(image.grid.to_world([2, 3]), (matrix @ [3, 2, 0, 1])[:2])


def test_slice_and_its_flipped_twin_share_a_frame() -> None:
    matrix, size = samples.SLICES["oblique"]
    flipped = matrix @ np.diag([1, -1, -1, 1])
    fixed, moving = samples.add_volume(matrix, size), samples.add_volume(flipped, size)
    image = scene.image_from_node(moving, fixed)
    plane = scene.plane_of(moving, fixed)
    np.testing.assert_allclose(plane.lift(image.grid.to_world([4, 6])), (flipped @ [6, 4, 0, 1])[:3], atol=1e-9)


def test_linear_parent_is_honoured() -> None:
    matrix = samples.VOLUMES["oblique"]
    node = samples.add_volume(matrix)
    turn = samples.ijk_to_ras(samples.rotation(0, 30, 10), (1, 1, 1), (4.0, -3.0, 2.0))
    under(node, turn)
    grid = scene.image_from_node(node).grid
    np.testing.assert_allclose(grid.to_world([1, 2, 3]), (turn @ matrix @ [3, 2, 1, 1])[:3], atol=1e-9)


def test_double_precision_stays() -> None:
    array = np.full((3, 4, 5), 1 + 1e-12)
    node = samples.add_volume(np.eye(4), (5, 4, 3), array=array)
    assert scene.image_from_node(node).data.dtype == torch.float64


def test_existing_node_is_filled() -> None:
    node = samples.add_volume(np.eye(4))
    image = Image.from_array(np.ones((2, 3, 4), dtype=np.float32), Grid.regular((2, 3, 4), 2.0))
    assert scene.volume_from_image(image, "unused", node=node) is node
    assert slicer.util.arrayFromVolume(node).shape == (2, 3, 4)
    assert node.GetSpacing() == (2.0, 2.0, 2.0)


def vector_volume():
    return slicer.util.addVolumeFromArray(
        np.zeros((3, 4, 5, 3)), name="colours", nodeClassName="vtkMRMLVectorVolumeNode"
    )


def sheared_volume():
    matrix = np.eye(4)
    matrix[0, 1] = 0.5
    node = samples.add_volume(np.eye(4), name="sheared")
    under(node, matrix)
    return node


def bent_volume():
    node = samples.add_volume(np.eye(4), name="bent")
    grid = scene.grid_of(node)
    node.SetAndObserveTransformNodeID(scene.transform_node(samples.smooth_field(grid), "warp").GetID())
    return node


def named(class_name: str, name: str):
    return lambda: slicer.mrmlScene.AddNewNodeByClass(class_name, name)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: None, "No image was chosen"),
        (vector_volume, "'colours' has 3 values a voxel"),
        (named("vtkMRMLSequenceNode", "beats"), "'beats' is a time series"),
        (named("vtkMRMLScalarVolumeNode", "hollow"), "'hollow' has no voxels"),
        (named("vtkMRMLModelNode", "mesh"), "'mesh' is not an image"),
        (sheared_volume, "axes of 'sheared' are not at right angles"),
        (bent_volume, "'bent' is under the nonlinear transform 'warp'"),
        (lambda: samples.add_volume(np.eye(4), (9, 1, 1), "thread"), "'thread' is a single line of voxels"),
    ],
)
def test_what_is_no_scalar_image_is_refused(make, words: str) -> None:
    with pytest.raises(InputError) as refusal:
        scene.image_from_node(make())
    assert words in str(refusal.value)
    assert str(refusal.value).count(". ") == 0


def test_slice_with_volume_is_refused() -> None:
    flat = samples.add_volume(*samples.SLICES["axial"], name="flat")
    deep = samples.add_volume(np.eye(4), name="deep")
    for moving, fixed in ((flat, deep), (deep, flat)):
        with pytest.raises(InputError, match="'flat' is a single slice and 'deep' a volume"):
            scene.image_from_node(moving, fixed)


def test_slices_that_are_not_parallel_are_refused() -> None:
    axial = samples.add_volume(*samples.SLICES["axial"], name="axial")
    tilted = samples.add_volume(
        samples.ijk_to_ras(samples.rotation(12, 0, 0), (1, 1, 1), (0, 0, 33)), (9, 9, 1), "tilted"
    )
    with pytest.raises(InputError, match=r"'axial' and 'tilted' are 12\.0 degrees"):
        scene.image_from_node(tilted, axial)
