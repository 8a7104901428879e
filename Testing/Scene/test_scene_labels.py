"""Label volumes and segmentations both ways: voxels, names, colours; overlaps; slices; other lattices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scene_samples as samples
import slicer
import slicer.util
import vtk
from RegistrationSuiteLib import scene
from RegistrationSuiteLib.scene.labels import overlapping, segmentation_from_segments, segments_on_grid
from regsuite import io
from regsuite.errors import InputError
from regsuite.spatial import Grid, LabelImage

pytestmark = pytest.mark.usefixtures("session")

NAMES = {2: "ventricle", 5: "tumour"}
COLOURS = {2: (0.0, 0.0, 1.0), 5: (1.0, 0.5, 0.25)}


def blocks() -> np.ndarray:
    """(18, 22, 24) with two boxes, 2 and 5."""
    array = np.zeros(tuple(reversed(samples.SIZE)), dtype=np.int16)
    array[2:5, 3:9, 4:10] = 2
    array[6:8, 2:6, 1:5] = 5
    return array


def labels_at(place: str) -> LabelImage:
    volume = samples.add_volume(samples.VOLUMES[place])
    return LabelImage.from_array(blocks(), scene.grid_of(volume), NAMES, COLOURS)


def assert_same(found: LabelImage, expected: LabelImage) -> None:
    np.testing.assert_array_equal(found.array(), expected.array())
    assert found.grid.same_as(expected.grid, 1e-6)
    assert dict(found.names) == dict(expected.names)
    for value, colour in expected.colours.items():
        assert found.colours[value] == pytest.approx(colour, abs=1 / 255)


@pytest.mark.parametrize("place", samples.VOLUMES)
def test_label_volume_survives_the_round_trip(place: str) -> None:
    labels = labels_at(place)
    assert_same(scene.labels_from_node(scene.labelmap_from_labels(labels, "labels")), labels)


@pytest.mark.parametrize("place", samples.VOLUMES)
def test_segmentation_survives_the_round_trip(place: str) -> None:
    labels = labels_at(place)
    node = scene.segmentation_from_labels(labels, "labels")
    reference = samples.add_volume(samples.VOLUMES[place])
    assert_same(scene.labels_from_node(node, reference), labels)


@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7)])
def test_segmentation_files_of_the_backend_open_in_slicer(shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.zeros(shape, dtype=int)
    array[..., 1:4, 2:5] = 5
    io.write_labels(tmp_path / "x.seg.nrrd", LabelImage.from_array(array, Grid.regular(shape), {5: "tumour"}))
    node = slicer.util.loadSegmentation(tmp_path / "x.seg.nrrd")
    volume = samples.add_volume(np.eye(4), (*reversed(shape), 1)[:3])
    segment = node.GetSegmentation().GetSegmentIdBySegmentName("tumour")
    drawn = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, volume)
    np.testing.assert_array_equal(drawn.reshape(shape) != 0, array != 0)


@pytest.mark.parametrize("place", samples.VOLUMES)
def test_segmentation_holds_what_slicer_exports(place: str) -> None:
    """Slicer's own export of our segment gives the voxels we put in."""
    node = scene.segmentation_from_labels(labels_at(place), "labels")
    reference = samples.add_volume(samples.VOLUMES[place])
    segment = node.GetSegmentation().GetSegmentIdBySegmentName("tumour")
    exported = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, reference)
    np.testing.assert_array_equal(exported != 0, blocks() == 5)


@pytest.mark.parametrize("place", samples.VOLUMES)
def test_segmentation_of_slicer_is_read(place: str) -> None:
    """A label volume that Slicer imported into a segmentation comes back voxel by voxel."""
    volume = samples.add_volume(samples.VOLUMES[place], array=blocks(), class_name="vtkMRMLLabelMapVolumeNode")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(volume, node)
    labels = scene.labels_from_node(node, volume)
    np.testing.assert_array_equal(labels.array(), blocks())


@pytest.mark.parametrize("place", samples.SLICES)
def test_slice_labels_survive_the_round_trip(place: str) -> None:
    matrix, size = samples.SLICES[place]
    volume = samples.add_volume(matrix, size)
    image = scene.image_from_node(volume)
    array = np.zeros(image.grid.shape, dtype=np.int32)
    array[3:9, 4:12] = 5
    labels, plane = LabelImage.from_array(array, image.grid, {5: "tumour"}, {5: COLOURS[5]}), scene.plane_of(volume)
    assert_same(scene.labels_from_node(scene.labelmap_from_labels(labels, "map", plane), fixed=volume), labels)
    assert_same(scene.labels_from_node(scene.segmentation_from_labels(labels, "seg", plane), volume), labels)


def two_overlapping(reference):
    """A large box and a small one inside it, each a segment of its own layer."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "overlap")
    for name, box in (("core", np.s_[4:6, 5:7, 5:8]), ("whole", np.s_[2:8, 3:9, 3:11])):
        segment = node.GetSegmentation().AddEmptySegment("", name)
        array = np.zeros(tuple(reversed(samples.SIZE)), dtype=np.uint8)
        array[box] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, segment, reference)
    return node


def test_small_segment_stays_above_the_large_one() -> None:
    reference = samples.add_volume(samples.VOLUMES["oblique"])
    labels = scene.labels_from_node(two_overlapping(reference), reference)
    values = {name: value for value, name in labels.names.items()}
    assert int(labels.mask(values["core"]).sum()) == 2 * 2 * 3
    assert int(labels.mask(values["whole"]).sum()) == 6 * 6 * 8 - 2 * 2 * 3


def test_one_segment_can_be_chosen() -> None:
    reference = samples.add_volume(samples.VOLUMES["oblique"])
    node = two_overlapping(reference)
    whole = node.GetSegmentation().GetSegmentIdBySegmentName("whole")
    labels = scene.labels_from_node(node, reference, segments=[whole])
    assert int(labels.mask().sum()) == 6 * 6 * 8


def test_same_names_get_the_same_values() -> None:
    reference = samples.add_volume(samples.VOLUMES["oblique"])
    like = LabelImage.from_array(blocks(), scene.grid_of(reference), {7: "whole", 9: "core"})
    labels = scene.labels_from_node(two_overlapping(reference), reference, like=like)
    assert dict(labels.names) == {7: "whole", 9: "core"}


def test_segmentation_on_another_lattice_is_resampled_label_by_label() -> None:
    """A box of 8 mm on a 1 mm lattice is 4 voxels wide on a 2 mm lattice whose voxels it fills."""
    fine = samples.add_volume(samples.ijk_to_ras(np.eye(3), (1, 1, 1), (0.5, 0.5, 0.5)), (20, 20, 20))
    coarse = samples.add_volume(samples.ijk_to_ras(np.eye(3), (2, 2, 2), (1.0, 1.0, 1.0)), (10, 10, 10))
    array = np.zeros((20, 20, 20), dtype=np.int32)
    array[4:12, 4:12, 4:12] = 3
    node = scene.segmentation_from_labels(LabelImage.from_array(array, scene.grid_of(fine)), "box")
    expected = np.zeros((10, 10, 10), dtype=bool)
    expected[2:6, 2:6, 2:6] = True
    np.testing.assert_array_equal(scene.labels_from_node(node, coarse).array() != 0, expected)


def test_surface_is_turned_into_labels() -> None:
    """A sphere drawn as a surface fills 4/3 pi r^3, to a few per cent."""
    reference = samples.add_volume(samples.ijk_to_ras(np.eye(3), (0.5, 0.5, 0.5), (-10, -10, -10)), (41, 41, 41))
    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(7)
    sphere.SetPhiResolution(60)
    sphere.SetThetaResolution(60)
    sphere.Update()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "ball")
    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    node.GetSegmentation().SetSourceRepresentationName(surface)
    node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "ball", [1, 0, 0])
    labels = scene.labels_from_node(node, reference)
    volume = float(labels.mask().sum()) * 0.5**3
    assert volume == pytest.approx(4 / 3 * np.pi * 7**3, rel=0.03)
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    assert not node.GetSegmentation().ContainsRepresentation(kind), "the user's segmentation stays as it was"


def test_linear_parent_of_a_segmentation_is_honoured() -> None:
    labels = labels_at("straight")
    node = scene.segmentation_from_labels(labels, "labels")
    shift = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    shift.SetMatrixTransformToParent(
        slicer.util.vtkMatrixFromArray(samples.ijk_to_ras(np.eye(3), (1, 1, 1), (2, 0, 1)))
    )
    node.SetAndObserveTransformNodeID(shift.GetID())
    reference = samples.add_volume(samples.VOLUMES["straight"])
    moved = scene.labels_from_node(node, reference)
    np.testing.assert_array_equal(moved.array(), np.roll(blocks(), (1, 0, 2), (0, 1, 2)))


@pytest.mark.parametrize("shift", [(-6, 0, 0), (0, 9, 0), (4, -5, 11), (100, 0, 0), (0, -0.3, 0), (60.5, 0, 0)])
def test_segmentation_that_leaves_the_reference_is_cut(shift: tuple[float, float, float]) -> None:
    """Whole-voxel shifts and others, partly or wholly outside; a voxel belongs where most of it lies."""
    node = scene.segmentation_from_labels(labels_at("straight"), "labels")
    moved = samples.VOLUMES["straight"].copy()
    moved[:3, 3] += shift
    reference = samples.add_volume(moved)
    i, j, k = np.round(shift).astype(int)
    inner = np.pad(blocks(), 128)
    expected = inner[128 + k :, 128 + j :, 128 + i :][:18, :22, :24]
    np.testing.assert_array_equal(scene.labels_from_node(node, reference).array(), expected)


def test_overlapping_segments_survive_the_round_trip() -> None:
    reference = samples.add_volume(samples.VOLUMES["oblique"])
    grid = scene.grid_of(reference)
    before = list(segments_on_grid(two_overlapping(reference), grid))
    after = list(segments_on_grid(segmentation_from_segments(before, grid, "again"), grid))
    assert [segment.name for segment in after] == ["core", "whole"]
    for first, second in zip(before, after, strict=True):
        np.testing.assert_array_equal(first.full_mask(grid.shape), second.full_mask(grid.shape))
    assert overlapping(two_overlapping(reference), grid)


def empty_segmentation():
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "nothing")


def fractions():
    return samples.add_volume(np.eye(4), name="density")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: None, "No labels were chosen"),
        (empty_segmentation, "'nothing' has no segments"),
        (fractions, "'density' has fractional values"),
    ],
)
def test_what_holds_no_labels_is_refused(make, words: str) -> None:
    reference = samples.add_volume(np.eye(4))
    with pytest.raises(InputError, match=words):
        scene.labels_from_node(make(), reference)
