"""A transform of ours moves points where MRML and SimpleITK move them, in both directions, and comes back as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scene_samples as samples
import SimpleITK as sitk
import slicer
import slicer.util
import torch
import vtk
from RegistrationSuiteLib import scene
from regsuite.errors import InputError
from regsuite.io import read_transform, write_transform
from regsuite.spatial import Grid, Image
from regsuite.transforms import (
    Affine,
    Chain,
    DisplacementField,
    StationaryVelocity,
    Transform,
    identity,
    warp_image,
)

pytestmark = pytest.mark.usefixtures("session")

CLOSE_MM = 0.01
LPS = np.array([-1.0, -1.0, 1.0])


def grid_at(place: str) -> Grid:
    return scene.grid_of(samples.add_volume(samples.VOLUMES[place]))


def ours(transform: Transform, points: np.ndarray) -> np.ndarray:
    return transform.points(torch.from_numpy(points)).numpy()


def mrml(transform, points: np.ndarray) -> np.ndarray:
    return np.array([transform.TransformPoint(point) for point in points])


def itk(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    return np.array([transform.TransformPoint((point * LPS).tolist()) for point in points]) * LPS


def affine_about(grid: Grid) -> Affine:
    matrix = np.eye(4)
    matrix[:3, :3] = samples.rotation(4, -3, 5) @ np.diag([1.05, 0.97, 1.02])
    matrix[:3, 3] = grid.centre - matrix[:3, :3] @ grid.centre + [1.0, -2.0, 0.5]
    return Affine(matrix)


def transforms_on(grid: Grid) -> dict[str, Transform]:
    field = samples.smooth_field(grid)
    uneven = DisplacementField(grid, field.data + 0.7)
    return {
        "affine": affine_about(grid),
        "field": field,
        "field that does not vanish at the border": uneven,
        "velocity": StationaryVelocity(grid, field.data),
        "affine after field": Chain([field, affine_about(grid)]),
        "field after affine": Chain([affine_about(grid), field]),
        "two fields": Chain([field, affine_about(grid), samples.smooth_field(grid, 1.0, seed=4)]),
    }


KINDS = list(transforms_on(Grid.regular((4, 4, 4))))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", samples.VOLUMES)
def test_mrml_moves_points_as_we_do(place: str, kind: str) -> None:
    """Inside the grid, at its border and far outside."""
    grid = grid_at(place)
    transform = transforms_on(grid)[kind]
    node = scene.transform_node(transform, kind)
    points = samples.inner_points(grid.padded((6, 6, 6)), 400, margin=0)
    expected = ours(transform, points)
    np.testing.assert_allclose(mrml(node.GetTransformFromParent(), points), expected, atol=1e-4)
    assert np.abs(expected - points).max() > 0.5


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "not vanish" not in kind])
@pytest.mark.parametrize("place", samples.VOLUMES)
def test_mrml_takes_points_back(place: str, kind: str) -> None:
    grid = grid_at(place)
    transform = transforms_on(grid)[kind]
    node = scene.transform_node(transform, kind)
    points = samples.inner_points(grid)
    back = mrml(node.GetTransformToParent(), ours(transform, points))
    np.testing.assert_allclose(back, points, atol=CLOSE_MM)


@pytest.mark.parametrize("place", samples.VOLUMES)
def test_our_inverse_is_the_node_s_other_direction(place: str) -> None:
    grid = grid_at(place)
    field = samples.smooth_field(grid)
    node, inverse = scene.transform_node(field, "field"), scene.transform_node(field.inverse(), "inverse")
    points = samples.inner_points(grid)
    np.testing.assert_allclose(
        mrml(inverse.GetTransformFromParent(), points), mrml(node.GetTransformToParent(), points), atol=0.05
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["oblique", "anisotropic", "left-handed"])
def test_simpleitk_reads_what_slicer_saves(place: str, kind: str, tmp_path: Path) -> None:
    grid = grid_at(place)
    transform = transforms_on(grid)[kind]
    path = tmp_path / "transform.h5"
    assert slicer.util.saveNode(scene.transform_node(transform, "saved"), str(path))
    points = samples.inner_points(grid)
    np.testing.assert_allclose(itk(sitk.ReadTransform(str(path)), points), ours(transform, points), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", samples.VOLUMES)
def test_our_file_moves_points_alike_in_simpleitk_and_mrml(place: str, kind: str, tmp_path: Path) -> None:
    """Both directions: what MRML takes back is where the point came from, to a hundredth of a millimetre."""
    grid = grid_at(place)
    transform = transforms_on(grid)[kind]
    path = tmp_path / "transform.h5"
    write_transform(path, transform)
    node = slicer.util.loadTransform(path)
    scene.linear_interpolation(node)
    points = samples.inner_points(grid)
    expected = ours(transform, points)
    np.testing.assert_allclose(itk(sitk.ReadTransform(str(path)), points), expected, atol=1e-4)
    np.testing.assert_allclose(mrml(node.GetTransformFromParent(), points), expected, atol=1e-4)
    np.testing.assert_allclose(mrml(node.GetTransformToParent(), expected), points, atol=CLOSE_MM)


def test_cubic_interpolation_of_a_loaded_field_stays_close(tmp_path: Path) -> None:
    """Slicer's default for files differs from the linear interpolation of ITK and ours by a small part of a voxel."""
    grid = grid_at("oblique")
    field = samples.smooth_field(grid)
    write_transform(tmp_path / "transform.h5", field)
    node = slicer.util.loadTransform(tmp_path / "transform.h5")
    points = samples.inner_points(grid)
    apart = np.abs(mrml(node.GetTransformFromParent(), points) - ours(field, points)).max()
    scene.linear_interpolation(node)
    assert np.abs(mrml(node.GetTransformFromParent(), points) - ours(field, points)).max() < 1e-4 < apart < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_backend_reads_what_slicer_saves(kind: str, tmp_path: Path) -> None:
    grid = grid_at("oblique")
    transform = transforms_on(grid)[kind]
    path = str(tmp_path / "transform.h5")
    assert slicer.util.saveNode(scene.transform_node(transform, "saved"), path)
    points = samples.inner_points(grid)
    np.testing.assert_allclose(ours(read_transform(path), points), ours(transform, points), atol=1e-4)


@pytest.mark.parametrize("place", ["oblique", "left-handed"])
def test_slicer_reads_what_simpleitk_writes(place: str, tmp_path: Path) -> None:
    grid = grid_at(place)
    field = samples.smooth_field(grid)
    image = sitk.GetImageFromArray(np.moveaxis(field.data[0].double().numpy(), 0, -1) * LPS, isVector=True)
    image.SetOrigin(np.asarray(grid.origin) * LPS)
    image.SetSpacing(grid.spacing[::-1])
    image.SetDirection((np.asarray(grid.direction)[:, ::-1] * LPS[:, None]).ravel())
    path = tmp_path / "written.h5"
    sitk.WriteTransform(sitk.DisplacementFieldTransform(image), str(path))
    node = slicer.util.loadTransform(str(path))
    scene.linear_interpolation(node)
    points = samples.inner_points(grid)
    np.testing.assert_allclose(mrml(node.GetTransformFromParent(), points), ours(field, points), atol=1e-4)
    np.testing.assert_allclose(ours(scene.transform_from_node(node), points), ours(field, points), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", samples.VOLUMES)
def test_transform_survives_the_round_trip(place: str, kind: str) -> None:
    grid = grid_at(place)
    transform = transforms_on(grid)[kind]
    back = scene.transform_from_node(scene.transform_node(transform, kind))
    points = samples.inner_points(grid.padded((6, 6, 6)), 400, margin=0)
    np.testing.assert_allclose(ours(back, points), ours(transform, points), atol=1e-5)


def test_field_comes_back_bit_by_bit() -> None:
    field = samples.smooth_field(grid_at("left-handed"))
    back = scene.transform_from_node(scene.transform_node(field, "field"))
    assert isinstance(back, DisplacementField)
    assert back.grid.same_as(field.grid, 1e-9)
    assert torch.equal(back.data, field.data)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_transform_is_the_same(kind: str, tmp_path: Path) -> None:
    grid = grid_at("oblique")
    transform = transforms_on(grid)[kind]
    path = str(tmp_path / "transform.h5")
    assert slicer.util.saveNode(scene.transform_node(transform, "saved"), path)
    loaded = slicer.util.loadTransform(path)
    scene.linear_interpolation(loaded)
    points = samples.inner_points(grid)
    np.testing.assert_allclose(mrml(loaded.GetTransformFromParent(), points), ours(transform, points), atol=1e-4)
    np.testing.assert_allclose(ours(scene.transform_from_node(loaded), points), ours(transform, points), atol=1e-4)


def test_parents_of_a_transform_count() -> None:
    grid = grid_at("straight")
    child = scene.transform_node(samples.smooth_field(grid), "child")
    parent = scene.transform_node(affine_about(grid), "parent")
    child.SetAndObserveTransformNodeID(parent.GetID())
    points = samples.inner_points(grid)
    from_world = vtk.vtkGeneralTransform()
    child.GetTransformFromWorld(from_world)
    np.testing.assert_allclose(ours(scene.transform_from_node(child), points), mrml(from_world, points), atol=1e-4)


def test_grid_of_the_other_direction_is_sampled_on_a_reference() -> None:
    grid = grid_at("oblique")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode", "backwards")
    forward = scene.transform_node(samples.smooth_field(grid), "forward").GetTransformFromParent()
    node.SetAndObserveTransformToParent(forward)
    with pytest.raises(InputError, match="'backwards' is no displacement field"):
        scene.transform_from_node(node)
    reference = samples.add_volume(samples.VOLUMES["oblique"])
    transform = scene.transform_from_node(node, reference)
    voxels = grid.to_world(np.argwhere(np.ones((4, 4, 4))) + 3)
    np.testing.assert_allclose(ours(transform, voxels), mrml(node.GetTransformFromParent(), voxels), atol=1e-4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: None, "No transform was chosen"),
        (lambda: samples.add_volume(np.eye(4), name="image"), "'image' is no transform"),
    ],
)
def test_what_is_no_transform_is_refused(make, words: str) -> None:
    with pytest.raises(InputError, match=words):
        scene.transform_from_node(make())


def flat_transforms(grid: Grid) -> dict[str, Transform]:
    matrix = np.array([[1.02, -0.1, 1.5], [0.1, 0.98, -0.5], [0, 0, 1]])
    field = samples.smooth_field(grid)
    return {"affine": Affine(matrix), "field": field, "both": Chain([Affine(matrix), field])}


@pytest.mark.parametrize("kind", ["affine", "field", "both"])
@pytest.mark.parametrize("place", samples.SLICES)
def test_transform_of_a_slice_acts_in_its_plane(place: str, kind: str) -> None:
    """Forth, back, beside the plane, and as a 2D transform again."""
    volume = samples.add_volume(*samples.SLICES[place])
    plane, image = scene.plane_of(volume), scene.image_from_node(volume)
    transform = flat_transforms(image.grid)[kind]
    node = scene.transform_node(transform, kind, plane)
    flat = samples.inner_points(image.grid)
    points, expected = plane.lift(flat), plane.lift(ours(transform, flat))
    np.testing.assert_allclose(mrml(node.GetTransformFromParent(), points), expected, atol=1e-4)
    np.testing.assert_allclose(mrml(node.GetTransformToParent(), expected), points, atol=CLOSE_MM)
    beside = 7 * plane.normal
    np.testing.assert_allclose(mrml(node.GetTransformFromParent(), points + beside), expected + beside, atol=1e-4)
    back = scene.transform_from_node(node, volume)
    voxels = image.grid.to_world(np.argwhere(np.ones(image.grid.shape)))
    np.testing.assert_allclose(ours(back, voxels), ours(transform, voxels), atol=1e-4)


def test_transform_between_slices_at_different_heights() -> None:
    """Moving voxels land on the fixed slice, though the moving slice is 25 mm above it."""
    matrix, size = samples.SLICES["oblique"]
    fixed = samples.add_volume(matrix, size)
    above = matrix.copy()
    above[:3, 3] += 25 * matrix[:3, 2] / np.linalg.norm(matrix[:3, 2])
    moving = samples.add_volume(above, size)
    plane, other = scene.plane_of(fixed), scene.plane_of(moving, fixed)
    node = scene.transform_node(identity(2), "lift", plane, other.offset - plane.offset)
    resampled = resample(moving, fixed, node)
    np.testing.assert_allclose(resampled, slicer.util.arrayFromVolume(moving), atol=1e-3)


def resample(moving, fixed, node) -> np.ndarray:
    """Slicer's own resampling of the moving volume under the transform onto the fixed volume's grid."""
    moving.SetAndObserveTransformNodeID(node.GetID())
    logic = slicer.modules.volumes.logic()
    return slicer.util.arrayFromVolume(logic.ResampleVolumeToReferenceVolume(moving, fixed))


@pytest.mark.parametrize("place", samples.VOLUMES)
def test_slicer_resamples_as_we_warp(place: str) -> None:
    smooth = smooth_array()
    moving = samples.add_volume(samples.VOLUMES[place], array=smooth)
    fixed = samples.add_volume(samples.VOLUMES[place], name="fixed")
    grid = scene.grid_of(fixed)
    field = samples.smooth_field(grid)
    ours_warped = warp_image(scene.image_from_node(moving), field, grid).array()
    slicers = resample(moving, fixed, scene.transform_node(field, "field"))
    inner = np.s_[2:-2, 2:-2, 2:-2]
    np.testing.assert_allclose(slicers[inner], ours_warped[inner], atol=0.05)
    assert np.abs(slicers - smooth)[inner].max() > 5


def smooth_array() -> np.ndarray:
    k, j, i = np.meshgrid(*[np.linspace(0, 3, n) for n in reversed(samples.SIZE)], indexing="ij")
    return (100 + 40 * np.sin(2 * k + 1) * np.cos(j) + 30 * np.sin(1.5 * i)).astype(np.float32)


def test_everything_moves_together() -> None:
    """A ball as image, segmentation, markup and model under one node: all centres meet where the inverse takes them."""
    volume = samples.add_volume(samples.ijk_to_ras(samples.rotation(10, 5, 15), (1, 1, 1), (0, 0, 0)), (40, 40, 40))
    grid = scene.grid_of(volume)
    field = samples.smooth_field(grid, 4.0)
    node = scene.transform_node(field, "warp")
    centre = grid.to_world([20.0, 18.0, 21.0])
    distance = np.linalg.norm(grid.points(torch.float64).numpy() - centre, axis=-1)
    expected = ours(field.inverse(), centre[None])[0]
    assert np.linalg.norm(expected - centre) > 2

    moving = samples.add_volume(
        samples.ijk_to_ras(samples.rotation(10, 5, 15), (1, 1, 1), (0, 0, 0)), (40, 40, 40), "ball",
        np.exp(-(distance**2) / 4).astype(np.float32),
    )  # fmt: skip
    segmentation = scene.segmentation_from_labels(labels_of(distance < 3, grid), "ball")
    fiducial = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    fiducial.AddControlPoint(vtk.vtkVector3d(*centre))
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(*centre)
    sphere.SetRadius(1)
    sphere.Update()
    model = slicer.modules.models.logic().AddModel(sphere.GetOutput())

    warped = resample(moving, volume, node)
    assert_near(centroid(warped, grid), expected, 0.3)
    for each in (segmentation, fiducial, model):
        each.SetAndObserveTransformNodeID(node.GetID())
        assert each.HardenTransform()
    assert_near(slicer.util.arrayFromMarkupsControlPoints(fiducial)[0], expected, CLOSE_MM)
    assert_near(slicer.util.arrayFromModelPoints(model).mean(axis=0), expected, 0.1)
    labels = scene.labels_from_node(segmentation, volume)
    assert_near(centroid(labels.array(), grid), expected, 0.4)


def labels_of(mask: np.ndarray, grid: Grid):
    from regsuite.spatial import LabelImage

    return LabelImage.from_array(mask, grid, {1: "ball"})


def centroid(weights: np.ndarray, grid: Grid) -> np.ndarray:
    points = Image.from_array(weights, grid).grid.points(torch.float64).numpy()
    return (points * weights[..., None]).sum(axis=(0, 1, 2)) / weights.sum()


def assert_near(point: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    assert np.linalg.norm(point - expected) < tolerance
