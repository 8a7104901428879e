"""Sets of slices from nodes, and what was found of them in the scene: six planes in 3D, each where it belongs."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import slicer.util
import torch
from pictures import colourful, keep
from RegistrationSuiteLib import display, results, run_headless, scene, tables, views
from RegistrationSuiteLib.logic import MethodLogic, Request
from RegistrationSuiteLib.scene.nodes import all_nodes
from regsuite import io, jobs
from regsuite.errors import InputError
from regsuite.registration import Registration
from regsuite.spatial import Grid, Image, LabelImage, SliceSet

sys.path.append(str(Path(__file__).resolve().parents[1] / "Backend"))
import radial_samples as samples

pytestmark = pytest.mark.usefixtures("session")


def ids() -> set[str]:
    return {node.GetID() for node in all_nodes()}


def distinct() -> SliceSet:
    """The case's slices as a scanner would tell of them that says where each lies."""
    case = samples.case()
    truth = case.acquired.truth.matrix.numpy()
    placed = samples.true_result().sequences

    def told(image: Image) -> Image:
        return dataclasses.replace(image, grid=Grid.from_affine(image.grid.shape, truth @ image.grid.affine))

    maps = {"T2": placed["T2"], samples.LOOKED_AT: placed["slices"]}
    units = {"T2": "ms", samples.LOOKED_AT: ""}
    grids = {name: tuple(map(told, images)) for name, images in maps.items()}
    return SliceSet(grids, units, frozenset(["T2"]), 4.0, True)


@pytest.fixture
def nodes() -> dict[str, Any]:
    """The case by role: stacks at the one pose that is told of all slices."""
    case = samples.case()
    return {
        "fixed": scene.volume_from_image(case.hip.volume, "hip"),
        "fixed_labels": scene.segmentation_from_labels(case.hip.tissues, "tissues"),
        "slices": scene.nodes_from_slices(case.slices),
        "slice_labels": scene.labelmap_from_labels(case.labels, "femur in the slices"),
    }


def same_values(one: SliceSet, other: SliceSet, of: str) -> None:
    for mine, its in zip(one.maps[of], other.maps[of], strict=True):
        np.testing.assert_array_equal(mine.array(), its.array())
        assert mine.grid.same_as(its.grid, 1e-6)


# --- from nodes ---


def test_stacks_hold_every_map_at_the_one_pose(nodes: dict[str, Any]) -> None:
    made = samples.case().slices
    assert [node.GetName() for node in nodes["slices"]] == ["T1", "T2", "T1rho", samples.LOOKED_AT]
    assert slicer.util.arrayFromVolume(nodes["slices"][0]).shape == (6, 72, 80)
    back = scene.slices_from_nodes(nodes["slices"])
    assert (back.count, back.thickness, back.distinct) == (6, pytest.approx(4.0), False)
    assert (dict(back.units), back.quantities) == (dict(made.units), made.quantities)
    for name in made.maps:
        same_values(back, made, name)


def test_a_node_for_each_slice_keeps_its_pose() -> None:
    made = distinct()
    loaded = scene.nodes_from_slices(made)
    assert len(loaded) == 12
    back = scene.slices_from_nodes(loaded)
    assert back.distinct
    for name in made.maps:
        same_values(back, made, name)


def test_units_that_files_told_are_kept() -> None:
    """Seconds, of a map whose name would be taken for milliseconds."""
    made = dataclasses.replace(samples.case().slices, units={**samples.case().slices.units, "T2": "s"})
    back = scene.slices_from_nodes(scene.nodes_from_slices(made))
    assert (back.units["T2"], back.units["T1"]) == ("s", "ms")
    assert not any("milliseconds" in note for note in back.notes)


def test_a_second_node_of_the_same_name_is_the_same_map() -> None:
    """Slicer numbers it."""
    case = samples.case()
    scene.nodes_from_slices(case.slices)
    again = scene.nodes_from_slices(case.slices)
    assert again[1].GetName() == "T2_1"
    assert set(scene.slices_from_nodes(again).maps) >= {"T1", "T2", "T1rho"}


def test_what_is_no_slice_is_refused(nodes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="'tissues' is not an image: choose a scalar volume"):
        scene.slices_from_nodes([*nodes["slices"], nodes["fixed_labels"]])
    with pytest.raises(InputError, match="'T1' and 'hip' are of 80 x 72 x 6 and 60 x 60 x 60 voxels: give maps of"):
        scene.slices_from_nodes([nodes["slices"][0], nodes["fixed"]])


def test_labels_of_slices(nodes: dict[str, Any]) -> None:
    """A label volume on whatever grid, a segmentation drawn on the stack, or one that is cut by the slices."""
    case = samples.case()
    stack = case.labels.array() > 0
    given = Request("hip-qmri", nodes).job().inputs["slice_labels"]
    np.testing.assert_array_equal(given.array() > 0, stack)
    on_stack = dataclasses.replace(case.labels, grid=scene.grid_of(nodes["slices"][0]))
    for labels in (case.labels, on_stack):
        drawn = scene.segmentation_from_labels(labels, "drawn")
        found = Request("hip-qmri", {**nodes, "slice_labels": drawn}).job().inputs["slice_labels"]
        np.testing.assert_array_equal(found.array() > 0, stack)
        assert found.name_of(found.values()[0]) == "Femur"


def test_a_segmentation_in_space_is_cut_by_every_slice(nodes: dict[str, Any]) -> None:
    made = distinct()
    truth = samples.case().acquired.truth.matrix.numpy()
    tissues = samples.case().hip.tissues
    bone = LabelImage.from_array(
        (tissues.array() == 1).astype(int),
        Grid.from_affine(tissues.grid.shape, truth @ tissues.grid.affine),
        {1: "Femur"},
    )
    painted = scene.segmentation_from_labels(bone, "painted")
    given = {**nodes, "slices": scene.nodes_from_slices(made), "slice_labels": painted}
    labels = Request("hip-qmri", given).job().inputs["slice_labels"]
    assert labels.grid.shape == (6, 72, 80)
    drawn = samples.case().labels.array() > 0
    found = labels.array() > 0
    dice = 2 * (drawn & found).sum(axis=(1, 2)) / (drawn.sum(axis=(1, 2)) + found.sum(axis=(1, 2)))
    assert dice.min() > 0.93
    assert labels.name_of(1) == "Femur"


def test_a_job_has_the_volume_and_the_slices_in_space(nodes: dict[str, Any]) -> None:
    job = Request("hip-qmri", nodes).job()
    assert isinstance(job.inputs["slices"], SliceSet)
    assert job.inputs["fixed"].grid.dim == 3
    assert job.inputs["fixed_labels"].grid.same_as(job.inputs["fixed"].grid)
    with pytest.raises(InputError, match="needs the input 'Slices': choose a node for it"):
        Request("hip-qmri", {**nodes, "slices": None}).job()
    with pytest.raises(InputError, match="The input 'Volume' takes one node, and a list was given"):
        Request("hip-qmri", {**nodes, "fixed": [nodes["fixed"]]}).job()


# --- results ---


def added(nodes: dict[str, Any], registration: Registration | None = None) -> dict[str, Any]:
    return Request("hip-qmri", nodes).add(registration or samples.true_result())


def test_every_output_becomes_nodes(nodes: dict[str, Any]) -> None:
    made = added(nodes)
    placed = {f"{name}_{number}" for name in ("slices", "emulated", "T1", "T2", "T1rho") for number in range(1, 7)}
    assert set(made) == placed | {
        "transform", "inverse", "warped", "solid", "surface", "planes", "arrangement", "regions", "search",
        "search_chart", "metrics",
    }  # fmt: skip
    assert made["solid"].IsA("vtkMRMLSegmentationNode")
    assert made["surface"].IsA("vtkMRMLModelNode")
    rows = tables.rows_of(made["arrangement"])
    assert [int(row["place"]) - 1 for row in rows] == list(samples.case().acquired.arrangement.places)
    windows = {made[f"T2_{number}"].GetDisplayNode().GetWindow() for number in range(1, 7)}
    assert len(windows) == 1, "one window, so that slices can be compared"


@pytest.mark.parametrize("until", ["segmentation", "arrangement"])
def test_a_steps_slices_are_nodes_where_the_headers_put_them(nodes: dict[str, Any], until: str) -> None:
    """Each a volume of its own, though all may lie in one place."""
    made, given = added(nodes, samples.true_result(until)), samples.case().slices.maps["T2"]
    others = {"transform", "inverse", "planes", "metrics"} | {
        "segmentation": set(),
        "arrangement": {"warped", "arrangement"},
    }[until]
    placed = {f"{name}_{number}" for name in ("slices", "emulated", "T1", "T2", "T1rho") for number in range(1, 7)}
    assert set(made) == placed | others
    point = (10.0, -20.0, 30.0)
    assert made["transform"].GetTransformToParent().TransformPoint(point) == pytest.approx(point)
    for number, image in enumerate(given, start=1):
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(made[f"T2_{number}"]), image.array())
    grids = [scene.grid_of(made[f"T2_{number}"]) for number in range(1, 7)]
    if until == "segmentation":
        assert all(grid.same_as(given[0].grid, 1e-6) for grid in grids)
    results.remove(list(made.values()))


def test_values_of_placed_slices_are_those_acquired(nodes: dict[str, Any]) -> None:
    made, case = added(nodes), samples.case()
    for number in range(6):
        array = slicer.util.arrayFromVolume(made[f"T2_{number + 1}"])
        np.testing.assert_array_equal(array, case.slices.maps["T2"][number].array())


def test_a_placed_slice_is_the_slice_moved_by_the_transform_and_its_own_motion(nodes: dict[str, Any]) -> None:
    """Of slices whose headers say where they lie: the original under the node, then what the patient moved."""
    made_of = distinct()
    made = added({**nodes, "slices": scene.nodes_from_slices(made_of)})
    case = samples.case()
    back = torch.linalg.inv(case.acquired.truth.matrix).numpy()
    for number in range(6):
        grid = made_of.maps["T2"][number].grid
        point = grid.to_world([0, 10, 60])
        moved = made["transform"].GetTransformToParent().TransformPoint(point)
        np.testing.assert_allclose(moved, (back @ [*point, 1])[:3], atol=1e-6)
        there = scene.grid_of(made[f"T2_{number + 1}"]).to_world([0, 10, 60])
        np.testing.assert_allclose(there, moved, atol=1e-6)


def test_own_motion_is_what_is_left_of_the_transform(nodes: dict[str, Any]) -> None:
    """Slices as the plan had them, under the node, are off by what the table says that each moved on its own."""
    from regsuite.spatial.radial import frame_of

    made, acquired = added(nodes), samples.case().acquired
    planned = (frame_of(acquired.centre, acquired.normal) @ acquired.arrangement.planes()).numpy()
    rows = tables.rows_of(made["arrangement"])
    for number in range(6):
        moved = made["transform"].GetTransformToParent().TransformPoint(planned[number, :3, 3])
        centre = scene.grid_of(made[f"slices_{number + 1}"]).centre
        expected = float(rows[number]["moved on its own, mm"])
        assert expected > 0.01
        assert np.linalg.norm(centre - moved) == pytest.approx(expected, abs=1e-4)


def test_slices_lie_in_folders_of_their_own_and_leave_none_behind(nodes: dict[str, Any]) -> None:
    before = ids()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    count = _items(hierarchy)
    made = added(nodes)
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(made["T2_4"]))
    assert hierarchy.GetItemName(folder) == "T2"
    assert hierarchy.GetNumberOfItemChildren(folder) == 6
    assert hierarchy.GetItemParent(folder) == hierarchy.GetItemParent(hierarchy.GetItemByDataNode(made["transform"]))
    results.remove(list(made.values()))
    kinds = ("Display", "Storage", "ColorTable", "PlotSeries", "Terminology")
    left = [slicer.mrmlScene.GetNodeByID(each).GetClassName() for each in ids() - before]
    assert not [name for name in left if not any(kind in name for kind in kinds)]
    assert _items(hierarchy) == count


def _items(hierarchy: Any) -> int:
    import vtk

    found = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), found, True)
    return int(found.GetNumberOfIds())


def test_six_planes_in_3d(nodes: dict[str, Any]) -> None:
    """The model of all slices lies where the volumes lie, in their brightness; a picture shows them with the bone."""
    made = added(nodes)
    bounds = [0.0] * 6
    made["planes"].GetRASBounds(bounds)
    corners = np.concatenate([scene.grid_of(made[f"slices_{number}"]).corners() for number in range(1, 7)])
    low, high = np.array(bounds)[::2], np.array(bounds)[1::2]
    assert (low >= corners.min(axis=0) - 1e-3).all()
    assert (high <= corners.max(axis=0) + 1e-3).all()
    assert (high - low > 0.7 * np.ptp(corners, axis=0)).all()
    made["solid"].GetDisplayNode().SetVisibility(False)
    nodes["fixed_labels"].GetDisplayNode().SetVisibility(False)
    with views.ThreeDView("1", (480, 420)) as space, views.SliceView("Axial", "Red", (300, 300)) as flat:
        for node in (made["planes"], made["surface"]):
            node.GetDisplayNode().SetVisibility(True)
        space.look_from((0.4, 1.0, 0.3))
        picture = space.render()
        display.show_overlay(nodes["fixed"], made["warped"], 0.5)
        keep("slices", [("3D", picture), ("slices over the volume", flat.render())])
        made["planes"].GetDisplayNode().SetVisibility(False)
        without = space.render()
    assert (np.abs(picture.astype(int) - without).max(axis=-1) > 30).mean() > 0.05
    assert colourful(picture).any()


def test_a_result_that_fails_leaves_the_scene(nodes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    before = ids()
    monkeypatch.setattr(results, "slices_model", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        added(nodes)
    assert ids() == before


def test_the_console_takes_a_list_of_names(nodes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def execute(job: Any, _progress: Any) -> Registration:
        asked.append(job)
        return samples.true_result()

    monkeypatch.setattr(jobs, "execute", execute)
    made = MethodLogic(["hip-qmri"]).register(
        fixed="hip",
        fixed_labels="tissues",
        slices=["T2", samples.LOOKED_AT],
        slice_labels="femur in the slices",
        motion=0,
    )
    assert list(asked[0].inputs["slices"].maps) == ["T2", samples.LOOKED_AT]
    assert asked[0].parameters == {"motion": 0}
    assert "slices_6" in made


# --- without a window ---


def test_headless_files_and_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes are made of the files, and saved as files: values as the scanner stored them."""
    case = samples.case()
    io.write_image(tmp_path / "volume.nrrd", case.hip.volume)
    io.write_labels(tmp_path / "volume.seg.nrrd", case.hip.tissues)
    io.write_labels(tmp_path / "slices.seg.nrrd", case.labels)
    samples.write_dicom(tmp_path / "dicom")
    asked = []

    def execute(job: Any, _progress: Any) -> Registration:
        asked.append(job)
        made = samples.true_result()
        made.record |= {"device": "cpu", "seconds": 1.0, "peak_memory_mb": 1.0}
        return made

    monkeypatch.setattr(jobs, "execute", execute)
    words = ["--fixed", "volume.nrrd", "--fixed-labels", "volume.seg.nrrd", "--slices", "dicom"]
    words = [*words, "--slice-labels", "slices.seg.nrrd", "--out", "out"]
    words = [word if word.startswith("--") else str(tmp_path / word) for word in words]
    assert run_headless.main(["hip-qmri", *words]) == 0
    given = asked[0].inputs
    assert list(given["slices"].maps) == ["T2", samples.LOOKED_AT]
    assert given["slices"].units["T2"] == "ms"
    np.testing.assert_array_equal(given["slice_labels"].array() > 0, case.labels.array() > 0)
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert {"transform", "slices_1", "T2_6", "emulated_3", "planes", "solid", "surface", "scene"} <= set(
        report["files"]
    )
    again = io.read_image(tmp_path / "out" / report["files"]["T2_6"])
    assert again.array().tobytes() == case.slices.maps["T2"][5].array().tobytes()
