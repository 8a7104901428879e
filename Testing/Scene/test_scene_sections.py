"""Sections keep their place in space, and what was found of them lies where it was cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scene_sections
import slicer
import slicer.util
import tifffile
import vtk
from pictures import colourful, difference, keep
from RegistrationSuiteLib import display, parts, plates, records, results, samples, scene, sections, views
from RegistrationSuiteLib.logic import MethodLogic, Request
from RegistrationSuiteLib.scene.cuts import slice_colours, slice_model
from RegistrationSuiteLib.scene.nodes import all_nodes
from regsuite import phantoms
from regsuite.errors import InputError
from regsuite.learning.checkpoint import read_checkpoint
from regsuite.registration import Curve, Series

pytestmark = pytest.mark.usefixtures("session")


def ids() -> set[str]:
    return {node.GetID() for node in all_nodes()}


def hierarchy() -> Any:
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)


@pytest.fixture(autouse=True)
def made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The phantom is the same in every test."""
    cut = scene_sections.cut()
    monkeypatch.setattr(phantoms, "atlas_case", lambda: cut.case)
    monkeypatch.setattr(phantoms, "section_of", lambda *_: cut.section)


@pytest.fixture
def nodes() -> dict[str, Any]:
    """The sample, by role."""
    return samples.atlas_section()


def added(nodes: dict[str, Any], bent: bool = False, labels: bool = True) -> dict[str, Any]:
    registration = scene_sections.registration(bent)
    moving_labels = nodes["moving_labels"] if labels else None
    return results.add_registration(registration, nodes["fixed"], nodes["moving"], moving_labels=moving_labels)


def on_section(count: int = 50) -> np.ndarray:
    """(count, 3) RAS mm: places on the section, clear of its border."""
    grid = scene_sections.cut().section.grid
    index = np.random.default_rng(0).uniform([0, 20, 20], [0, 100, 140], (count, 3))
    return grid.to_world(index)


def taken(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


# --- nodes and images ---


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("channels", [1, 3, 4, 5])
def test_a_section_keeps_its_channels_and_its_place(axis: int, channels: int) -> None:
    """Whichever of its axes has one voxel; of colours with opacity the colours stay."""
    rng, shape = np.random.default_rng(0), [7, 9]
    shape.insert(axis, 1)
    array = rng.uniform(1, 9, (*shape, channels)).astype(np.float32)
    matrix = np.array([[0, 0, 3.0, 1], [0, -2.0, 0, 2], [0.5, 0, 0, 3], [0, 0, 0, 1]])
    kind = "vtkMRMLVectorVolumeNode" if channels > 1 else "vtkMRMLScalarVolumeNode"
    node = slicer.mrmlScene.AddNewNodeByClass(kind, "one slice")
    slicer.util.updateVolumeFromArray(node, array if channels > 1 else array[..., 0])
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    image = scene.section_from_node(node)
    kept = 3 if channels == 4 else channels
    assert image.data.shape == (1, kept, 1, 7, 9)
    k, j, i = (0, 4, 5) if axis == 0 else (4, 0, 5) if axis == 1 else (4, 5, 0)
    assert image.grid.to_world([0, 4, 5]) == pytest.approx((matrix @ [i, j, k, 1])[:3])
    assert image.data[0, :, 0, 4, 5].tolist() == pytest.approx(array[k, j, i, :kept].tolist())


def test_what_is_no_section_is_refused(nodes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"'Atlas template' has 58 × 68 × 44 voxels, and a section is one slice: "):
        scene.section_from_node(nodes["moving"])
    with pytest.raises(InputError, match="'Atlas regions' is no section: choose a volume of one slice"):
        scene.section_from_node(nodes["moving_labels"])


def test_a_job_has_the_section_and_the_atlas_in_space(nodes: dict[str, Any], tmp_path: Path) -> None:
    """Both are 3D; markups on the section are not projected."""
    encoder = tmp_path / "atlas.safetensors"
    encoder.touch()
    markups = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "cells")
    for point in on_section(3):
        markups.AddControlPoint(vtk.vtkVector3d(*point))
    given = {**nodes, "encoder": str(encoder), "fixed_points": markups}
    job = Request("atlas-slice", given).job()
    section = scene_sections.cut().section
    assert job.inputs["fixed"].grid.same_as(section.grid, 1e-6)
    np.testing.assert_array_equal(job.inputs["fixed"].data, section.data)
    assert job.inputs["moving"].grid.same_as(scene_sections.cut().case.template.grid, 1e-6)
    np.testing.assert_array_equal(job.inputs["moving_labels"].array() > 0, scene_sections.cut().case.labels.array() > 0)
    np.testing.assert_allclose(job.inputs["fixed_points"].array(), on_section(3), atol=1e-9)
    assert job.inputs["encoder"] == str(encoder)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"encoder": None}, "needs the input 'Encoder': choose a file for it"),
        ({"encoder": "/nowhere/atlas.safetensors"}, "encoder file '/nowhere/atlas.safetensors' is not there: check"),
        ({"encoder": 3}, "The input 'Encoder' is a file: give its path"),
        ({"fixed": None}, "needs the input 'Section': choose a node for it"),
    ],
)
def test_missing_inputs_are_one_sentence(nodes: dict[str, Any], changes: dict[str, Any], sentence: str) -> None:
    before = ids()
    with pytest.raises(InputError, match=sentence):
        Request("atlas-slice", {**nodes, **changes}).job()
    assert ids() == before


# --- files ---


def written(path: Path, array: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, array, **options)
    return path


def test_a_photograph_is_one_colour_volume(tmp_path: Path) -> None:
    array = np.zeros((30, 40, 3), np.uint8)
    array[5:10, 20:30] = (200, 40, 90)
    path = written(tmp_path / "he.tif", array, photometric="rgb", resolution=(1e4 / 0.5, 1e4 / 0.5), resolutionunit=3)
    (node,) = sections.load_section(path)
    assert node.GetClassName() == "vtkMRMLVectorVolumeNode"
    assert slicer.util.arrayFromVolume(node).dtype == np.uint8
    assert slicer.util.arrayFromVolume(node)[0, 7, 25].tolist() == [200, 40, 90]
    assert node.GetSpacing()[:2] == pytest.approx((0.0005, 0.0005))
    assert (node.GetAttribute(sections.SIZE), node.GetAttribute(sections.PIXEL)) == ("40 30", "0.5")
    assert sections.described([node]) == "'he' was loaded: 40 × 30 pixels, 0.5 µm a pixel."
    with views.SliceView("Axial", "Red", (200, 200)) as view:
        picture = view.show(node).render()
    assert colourful(picture).any()
    assert scene.section_from_node(node).data.shape == (1, 3, 1, 30, 40)


def test_channels_of_fluorescence_are_volumes(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 60000, (2, 30, 40)).astype(np.uint16)
    axes = {"axes": "CYX", "Channel": {"Name": ["DAPI", "NeuN"]}, "PhysicalSizeX": 2.0, "PhysicalSizeY": 2.0}
    loaded = sections.load_section(written(tmp_path / "s.ome.tif", array, metadata=axes, photometric="minisblack"))
    assert [node.GetName() for node in loaded] == ["s DAPI", "s NeuN"]
    assert [node.GetAttribute(sections.CHANNEL) for node in loaded] == ["DAPI", "NeuN"]
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded[1])[0], array[1])
    assert "2 channels, each a volume" in sections.described(loaded)


def test_a_large_section_is_read_small(tmp_path: Path) -> None:
    array = np.zeros((3000, 4096), np.uint8)
    array[1000:2000] = 100
    (node,) = sections.load_section(written(tmp_path / "large.tif", array))
    assert node.GetImageData().GetDimensions() == (2048, 1500, 1)
    assert node.GetAttribute(sections.SIZE) == "4096 3000"
    assert "the size of its pixels is unknown" in sections.described([node])
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    assert (bounds[1] - bounds[0], bounds[3] - bounds[2]) == pytest.approx((4096, 3000))


def test_a_folder_of_sections(tmp_path: Path) -> None:
    for name in ("b_s10.tif", "b_s2.tif", "b_s1.tif"):
        written(tmp_path / name, np.eye(20, dtype=np.uint8))
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "b_s3.tif").write_text("no picture")
    loaded = sections.load_sections(tmp_path)
    assert [node.GetName() for node in loaded.nodes] == ["b_s1", "b_s2", "b_s10"]
    assert set(loaded.left_out) == {"notes.txt", "b_s3.tif"}
    parents = {hierarchy().GetItemParent(hierarchy().GetItemByDataNode(node)) for node in loaded.nodes}
    assert [hierarchy().GetItemName(item) for item in parents] == [tmp_path.name]


def test_a_folder_without_sections_leaves_the_scene_alone(tmp_path: Path) -> None:
    (tmp_path / "b_s3.tif").write_text("no picture")
    before = ids()
    with pytest.raises(InputError, match="None of the 1 sections of"):
        sections.load_sections(tmp_path)
    assert ids() == before


# --- results ---


def test_every_output_becomes_a_node(nodes: dict[str, Any]) -> None:
    made = added(nodes)
    assert set(made) == {
        "transform", "inverse", "warped", "warped_labels", "candidates", "candidates_browser", "distances",
        "distances_chart", "ranking", "regions", "metrics",
    }  # fmt: skip
    assert made["warped"].GetName() == "Atlas section plate"
    assert made["candidates"].GetIndexName() == "rank"
    assert [made["candidates"].GetNthIndexValue(number) for number in range(4)] == ["1", "2", "3", "4"]
    assert made["candidates_browser"].GetSelectedItemNumber() == 0
    assert records.notes_of(made) == ["The plate was found by its looks alone."]


@pytest.mark.parametrize("bent", [False, True])
def test_a_markup_on_the_section_goes_to_its_place_in_the_atlas(nodes: dict[str, Any], bent: bool) -> None:
    """Through the nodes, as Slicer's user would do it."""
    made, points = added(nodes, bent), on_section()
    cut = scene_sections.cut()
    bend = scene_sections.bend(cut.section).displacement(cut.section.grid) if bent else None
    moved = points if bend is None else points + _at(bend, points)
    truth = taken(cut.matrix, moved)
    through = [made["transform"].GetTransformFromParent().TransformPoint(point) for point in points]
    np.testing.assert_allclose(through, truth, atol=2e-3)
    markups = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "cells")
    for point in points:
        markups.AddControlPoint(vtk.vtkVector3d(*point))
    markups.SetAndObserveTransformNodeID(made["inverse"].GetID())
    world = [markups.GetNthControlPointPositionWorld(number) for number in range(len(points))]
    np.testing.assert_allclose(world, truth, atol=5e-3)


def _at(displacement: Any, points: np.ndarray) -> np.ndarray:
    from regsuite.spatial.sampling import sample

    grid = scene_sections.cut().section.grid
    values = sample(displacement, grid, _tensor(points)[None], "linear", "border")
    return values.reshape(3, -1).T.numpy()


def _tensor(points: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(points)


def test_a_series_comes_in_order_and_each_part_to_its_section(nodes: dict[str, Any]) -> None:
    """In the order of the numbers in the names; what is found goes to the section of that name."""
    again = scene.volume_from_image(scene_sections.cut().section, "brain_s2")
    nodes["fixed"].SetName("brain_s10")
    request = Request(
        "atlas-series", {"sections": [nodes["fixed"], again], "moving": nodes["moving"], "encoder": __file__}
    )
    given = request.job().inputs["sections"]
    assert ([part.name for part in given.parts], given.numbers) == (["brain_s2", "brain_s10"], [2, 10])
    parts = {name: replace(scene_sections.registration()) for name in ("brain_s2", "brain_s10")}
    curve = Curve([2.0, 10.0], {"together": [0.0, 0.0]}, "section", "depth mm")
    made = request.add(Series(parts, curves={"depths": curve}, record={"method": "atlas-series"}))
    assert {"depths", "depths_chart", "brain_s2 transform", "brain_s10 warped"} <= set(made)
    point = made["brain_s10 transform"].GetTransformFromParent().TransformPoint(on_section(1)[0])
    np.testing.assert_allclose(point, taken(scene_sections.cut().matrix, on_section(1))[0], atol=2e-3)


def test_nodes_of_a_series_know_their_sections(nodes: dict[str, Any]) -> None:
    """By references, whatever the sections are called later; what is of all is there beside what is of one."""
    brain, series = scene_sections.series_nodes(), scene_sections.series()
    made = results.add_series(series, list(brain.values()), nodes["moving"], nodes["moving_labels"])
    assert records.notes_of({"metrics": made["metrics"]}) == series.notes
    shown = [name for name in brain if made[f"{name} warped_labels"].GetDisplayNode().GetVisibility()]
    assert shown == ["brain_s2"], "sections lie on one another"
    brain["brain_s4"].SetName("renamed")
    assert parts.sections_of(made) == dict(enumerate(brain.values()))
    seen = parts.seen_from(made, brain["brain_s4"])
    assert seen["transform"] is made["brain_s4 transform"]
    assert seen["metrics"] is made["brain_s4 metrics"]
    assert seen["series"] is made["series"]
    assert place(seen).pose[0] == pytest.approx(scene_sections.DEPTHS["brain_s4"])
    slicer.mrmlScene.RemoveNode(brain["brain_s2"])
    assert parts.sections_of(made) == {1: brain["brain_s4"], 2: brain["brain_s10"]}
    assert set(parts.seen_from(made, None)) == {"series", "depths", "depths_chart", "metrics"}


def test_nodes_of_one_section_are_all_seen(nodes: dict[str, Any]) -> None:
    made = added(nodes)
    assert parts.seen_from(made, nodes["fixed"]) == made
    assert parts.sections_of(made) == {}


def test_a_series_that_fails_leaves_the_scene(nodes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    brain = scene_sections.series_nodes()
    before = ids()
    monkeypatch.setattr(parts, "mark", lambda _nodes, number, _section: 1 / (1 - number))
    with pytest.raises(ZeroDivisionError):
        results.add_series(scene_sections.series(), list(brain.values()), nodes["moving"], nodes["moving_labels"])
    assert ids() == before


def test_sections_of_one_name_are_refused(nodes: dict[str, Any]) -> None:
    again = scene.volume_from_image(scene_sections.cut().section, "brain")
    again.SetName(nodes["fixed"].GetName())
    with pytest.raises(InputError, match="Two sections are called"):
        scene.sections_from_nodes([nodes["fixed"], again])


def test_the_plate_lies_on_the_section(nodes: dict[str, Any]) -> None:
    """The template was cut there: both show the same."""
    made = added(nodes)
    plate, section = (slicer.util.arrayFromVolume(node) for node in (made["warped"], nodes["fixed"]))
    np.testing.assert_allclose(plate, section, atol=1e-4)
    assert scene.grid_of(made["warped"]).same_as(scene.grid_of(nodes["fixed"]), 1e-6)


def test_overlapping_regions_are_each_carried(nodes: dict[str, Any]) -> None:
    """A section has no plane in which they would be flattened."""
    cut = scene_sections.cut()
    whole, core = cut.case.labels.array() > 0, cut.case.labels.array() > 1
    nodes["moving_labels"] = results.segmentation_from_segments(
        [results.Segment(1, "brain", (1, 0, 0), whole), results.Segment(2, "nuclei", (0, 1, 0), core)],
        cut.case.template.grid,
        "nested",
    )
    made = added(nodes)["warped_labels"]
    expected = scene_sections.registration().warped_labels.array()
    for name, mask in (("brain", expected > 0), ("nuclei", expected > 1)):
        segment = made.GetSegmentation().GetSegmentIdBySegmentName(name)
        found = slicer.util.arrayFromSegmentBinaryLabelmap(made, segment, nodes["fixed"]) > 0
        assert np.count_nonzero(found != mask) <= 0.02 * np.count_nonzero(mask)


def test_a_result_that_fails_leaves_the_scene(nodes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    before = ids()
    monkeypatch.setattr(results._Writer, "_browser", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        added(nodes)
    assert ids() == before


# --- trainings ---


def test_what_was_learned_is_a_file_and_nodes(nodes: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "atlas.safetensors"
    path.write_text("of before")
    request = Request("atlas-encoder", {"moving": nodes["moving"]}, outputs={"checkpoint": str(path)})
    assert set(request.job().inputs) == {"moving"}
    made = request.add(scene_sections.training())
    assert set(made) == {"training", "training_chart", "validation", "metrics"}
    assert read_checkpoint(path).card["method"] == "atlas-encoder"
    assert records.notes_of(made) == ["It was a short training."]
    assert made["training"].GetName() == "Atlas template training"


def test_a_file_that_cannot_be_written_leaves_all_as_it_was(nodes: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    before = ids()
    request = Request(
        "atlas-encoder", {"moving": nodes["moving"]}, outputs={"checkpoint": str(folder / "a.safetensors")}
    )
    with pytest.raises(InputError, match="cannot be written because the folder"):
        request.add(scene_sections.training())
    assert ids() == before


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (None, "There is no file for the output 'Encoder': name one to be written"),
        ("/nowhere/at/all.safetensors", "The folder '/nowhere/at' does not exist: make it first"),
        ("atlas.pt", "has no ending that can hold a checkpoint: use one of .safetensors"),
    ],
)
def test_where_nothing_can_be_written_is_told_before(nodes: dict[str, Any], path: str | None, sentence: str) -> None:
    outputs = {} if path is None else {"checkpoint": path}
    with pytest.raises(InputError, match=sentence):
        Request("atlas-encoder", {"moving": nodes["moving"]}, outputs=outputs).job()


def test_the_console_takes_paths_as_they_are(nodes: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    from regsuite import jobs

    asked = []

    def execute(job: Any, _progress: Any) -> Any:
        asked.append(job)
        return scene_sections.training()

    monkeypatch.setattr(jobs, "execute", execute)
    path = tmp_path / "atlas.safetensors"
    logic = MethodLogic(["atlas-encoder"])
    weights = tmp_path / "resnet18.pth"
    weights.touch()
    made = logic.register(moving="Atlas template", outputs={"checkpoint": path}, weights=weights, minutes=5)
    assert path.is_file()
    assert asked[0].inputs["weights"] == str(weights)
    assert made["training_chart"].GetNumberOfPlotSeriesNodes() == 2
    assert asked[0].parameters == {"minutes": 5}


# --- by hand ---


def place(made: dict[str, Any]) -> plates.Place:
    found = plates.place_of(made)
    assert found is not None
    return found


def test_where_it_was_found(nodes: dict[str, Any]) -> None:
    found = place(added(nodes))
    assert found.plate == pytest.approx(scene_sections.cut().case.plates.number(scene_sections.POSE[0]) + 1)
    assert found.angles == pytest.approx(tuple(np.degrees(scene_sections.POSE[1:3])))
    np.testing.assert_allclose(found.turned(found.plate, *found.angles), scene_sections.POSE, atol=1e-9)
    np.testing.assert_allclose(found.matrix(), scene_sections.cut().matrix, atol=1e-9)
    assert plates.place_of({}) is None


@pytest.mark.parametrize("stretched", [1.0, 0.8])
def test_the_atlas_is_moved_in_the_plane(nodes: dict[str, Any], stretched: float) -> None:
    """All at once, of a pose that is already turned, scaled and shifted: what lay at a place lies where it was put."""
    found, turn = place(added(nodes)), np.radians(30)
    pose = [*found.pose[:4], 0.1, -0.2, 0.0, 0.4, 0.3]
    before = found.matrix(pose)
    after = found.matrix(found.moved(pose, plates.Moved(30.0, 1.25, stretched, 0.5, -0.25)))
    right, down = np.array([[1, 0], [0, 1]])  # of a place, mm of the section, from its middle
    for place_was in (0 * right, 2 * right, 1.5 * down + right):
        turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ (
            np.exp(pose[4:6]) * place_was
        )
        shifted = turned + np.array([0.5, -0.25])  # mm of the atlas
        place_now = shifted / np.exp(pose[4:6]) * 1.25 * (stretched, 1.0)
        seen = [_in_world(found, where) for where in (place_was, place_now)]
        np.testing.assert_allclose(after @ seen[1], before @ seen[0], atol=1e-9)
    assert found.moved(found.pose, plates.Moved()) == pytest.approx(found.pose, abs=1e-15)
    assert found.reach == pytest.approx(6.8, abs=0.05), "half of 68 plates of 0.2 mm"


def _in_world(found: plates.Place, where: np.ndarray) -> np.ndarray:
    """(4,) RAS mm of a place to the right of and below the section's middle."""
    return np.linalg.inv(found.section_to_plane) @ [*where, 0, 1]


@pytest.mark.parametrize("moved", [False, True])
def test_the_held_atlas_is_cut_as_the_pose_says(nodes: dict[str, Any], moved: bool) -> None:
    """Slicer's own reslicing shows the section, and at another pose what is cut there; then all is as before."""
    atlas, parent = nodes["moving"], None
    if moved:  # its voxels lie elsewhere, and a transform brings them to where they were during the run
        parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "parent")
        away = np.eye(4)
        away[:3, 3] = (5, -3, 2)
        parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.linalg.inv(away)))
        for node in (atlas, nodes["moving_labels"]):
            node.ApplyTransformMatrix(slicer.util.vtkMatrixFromArray(away))
            node.SetAndObserveTransformNodeID(parent.GetID())
    found = place(added(nodes, labels=False))
    before = ids()
    holder = plates.hold(found, atlas, [nodes["moving_labels"], nodes["fixed"]][: 1 + (not moved)][:1])
    cut = scene_sections.cut()
    assert similarity(resampled(atlas, nodes["fixed"]), cut.section.data[0, 0].numpy()) > 0.99
    pose = found.turned(found.plate + 5, 0, 0)
    plates.turn(holder, found, pose)
    point = on_section(1)[0]
    to_world = vtk.vtkMatrix4x4()
    atlas.GetParentTransformNode().GetMatrixTransformToWorld(to_world)
    inside = np.linalg.inv(slicer.util.arrayFromVTKMatrix(to_world)) @ [*point, 1]
    expected = taken(cut.matrix_at(np.array(pose)), point[None])[0] + ((5, -3, 2) if moved else 0)
    np.testing.assert_allclose(inside[:3], expected, atol=1e-6)
    assert nodes["moving_labels"].GetParentTransformNode() is holder
    plates.release(holder)
    assert ids() == before
    assert atlas.GetParentTransformNode() is parent
    assert nodes["moving_labels"].GetParentTransformNode() is parent


def resampled(volume: Any, reference: Any) -> np.ndarray:
    moved = slicer.modules.volumes.logic().ResampleVolumeToReferenceVolume(volume, reference)
    array = slicer.util.arrayFromVolume(moved).copy()
    slicer.mrmlScene.RemoveNode(moved.GetDisplayNode())
    slicer.mrmlScene.RemoveNode(moved)
    return array


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


# --- in 3D ---


def test_the_section_s_model_lies_in_the_atlas(nodes: dict[str, Any]) -> None:
    made = added(nodes, bent=True)
    model = slice_model(nodes["fixed"], "in 3D")
    model.SetAndObserveTransformNodeID(made["inverse"].GetID())
    points = slicer.util.arrayFromModelPoints(model)
    assert len(points) == 120 * 160
    colours = slicer.util.arrayFromModelPointData(model, "colours").reshape(120, 160, 3)
    np.testing.assert_array_equal(colours, slice_colours(nodes["fixed"]))
    squares, ground = model.GetPolyData().GetNumberOfCells(), int((colours[..., 0] < 12).sum())
    assert 0.3 < squares / (119 * 159) < 0.8, "what is around the brain is left out"
    assert squares + ground < 1.1 * 119 * 159
    surface = plates.atlas_surface(nodes["moving"])
    bounds, inside = [0.0] * 6, [0.0] * 6
    surface.GetRASBounds(bounds)
    np.testing.assert_allclose(bounds, [-5.2, 5.2, -6.2, 6.2, -3.8, 3.8], atol=0.4)
    model.GetRASBounds(inside)
    middle = taken(scene_sections.cut().matrix, scene_sections.cut().section.grid.centre[None])[0]
    np.testing.assert_allclose(np.reshape(inside, (3, 2)).mean(axis=1), middle, atol=0.4)


def test_pictures_of_a_section_in_its_atlas(nodes: dict[str, Any]) -> None:
    made = added(nodes)
    section, atlas = nodes["fixed"], nodes["moving"]
    with views.SliceView("Axial", "Red", (420, 320)) as view, views.ThreeDView("1", (420, 320)) as space:
        display.show_overlay(section, made["warped"], 0.5)
        display.show_labels(made["warped_labels"], surfaces=False)
        outlined = view.render()
        display.show_labels(made["warped_labels"], False)
        holder = plates.hold(place(made), atlas)
        display.show_overlay(section, atlas, 1.0)
        held = view.render()
        plates.turn(holder, place(made), place(made).turned(40.0, 20.0, 0.0))
        turned = view.render()
        plates.release(holder)
        display.show_overlay(section, made["warped"], 1.0)
        plate = view.render()
        model = slice_model(section, "in 3D")
        model.SetAndObserveTransformNodeID(made["inverse"].GetID())
        plates.atlas_surface(atlas)
        space.look_from((0.8, 1.0, 0.5))
        in_space = space.render()
    keep(
        "section-views",
        [("Regions on the section", outlined), ("The held atlas", held)],
        [("Turned", turned), ("In 3D", in_space)],
    )
    assert colourful(outlined).mean() > 0.005
    assert difference(held, plate).mean() < 3
    assert difference(turned, plate).mean() > 5
    assert difference(in_space, in_space[:1, :1]).max() > 60
