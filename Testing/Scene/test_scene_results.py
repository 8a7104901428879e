"""A registration enters the scene whole or not at all, and everything in it is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scene_results
import scene_samples as samples
import SimpleITK as sitk
import slicer
import slicer.util
import torch
from RegistrationSuiteLib import records, results, scene, tables
from RegistrationSuiteLib.scene.nodes import all_nodes
from regsuite.errors import Cancelled, InputError

pytestmark = pytest.mark.usefixtures("session")

NAMES = {
    "transform", "inverse", "warped", "warped_labels", "jacobian", "intensity_added", "metamorphosed", "evolution",
    "evolution_browser", "energy", "energy_chart", "spending", "spending_chart", "overlap", "metrics", "mask_on_moving",
}  # fmt: skip


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    scene_results.declare(monkeypatch)


def add(made: scene_results.Scene, **options) -> dict:
    return results.add_registration(
        made.registration, made.fixed, made.moving, moving_labels=made.moving_labels, **options
    )


def ids() -> set[str]:
    return {node.GetID() for node in all_nodes()}


def hierarchy():
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)


def test_every_output_becomes_a_node() -> None:
    assert set(add(scene_results.volume_scene())) == NAMES


def test_images_keep_their_voxels_and_place() -> None:
    made = scene_results.volume_scene("left-handed")
    nodes = add(made)
    for name, image in {"warped": made.registration.warped, **made.registration.images}.items():
        back = scene.image_from_node(nodes[name])
        np.testing.assert_array_equal(back.array(), image.array())
        assert back.grid.same_as(image.grid, 1e-6)


def test_transform_brings_the_moving_volume_onto_the_fixed_one() -> None:
    made = scene_results.volume_scene()
    nodes = add(made)
    made.moving.SetAndObserveTransformNodeID(nodes["transform"].GetID())
    moved = slicer.modules.volumes.logic().ResampleVolumeToReferenceVolume(made.moving, made.fixed)
    np.testing.assert_allclose(
        slicer.util.arrayFromVolume(moved), slicer.util.arrayFromVolume(nodes["warped"]), atol=0.5
    )


def test_transform_and_inverse_undo_each_other() -> None:
    made = scene_results.volume_scene()
    nodes = add(made)
    points = samples.inner_points(made.registration.fixed_grid, margin=4)
    forth = [nodes["transform"].GetTransformFromParent().TransformPoint(point) for point in points]
    back = np.array([nodes["inverse"].GetTransformFromParent().TransformPoint(point) for point in forth])
    assert np.linalg.norm(back - points, axis=1).max() < 0.1


def test_labels_keep_names_and_colours() -> None:
    made = scene_results.volume_scene()
    labels = scene.labels_from_node(add(made)["warped_labels"], made.fixed)
    np.testing.assert_array_equal(labels.array(), made.registration.warped_labels.array())
    assert dict(labels.names) == scene_results.NAMES
    assert labels.colours[2] == pytest.approx(scene_results.COLOURS[2], abs=1 / 255)


def test_label_volume_stays_a_label_volume() -> None:
    made = scene_results.volume_scene()
    _, labels = scene_results.head(made.registration.fixed_grid)
    made.moving_labels = scene.labelmap_from_labels(labels, "atlas")
    node = add(made)["warped_labels"]
    assert node.IsA("vtkMRMLLabelMapVolumeNode")
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), made.registration.warped_labels.array())


def test_overlapping_segments_still_overlap() -> None:
    made = scene_results.volume_scene()
    _, labels = scene_results.head(made.registration.fixed_grid)
    whole = labels.array() > 0
    core = labels.array() == 1
    made.moving_labels = results.segmentation_from_segments(
        [results.Segment(1, "whole", (1, 0, 0), whole), results.Segment(2, "core", (0, 1, 0), core)],
        labels.grid,
        "nested",
    )
    node = add(made)["warped_labels"]
    count = {
        name: np.count_nonzero(
            slicer.util.arrayFromSegmentBinaryLabelmap(
                node, node.GetSegmentation().GetSegmentIdBySegmentName(name), made.fixed
            )
        )
        for name in ("whole", "core")
    }
    warped = made.registration.warped_labels
    assert count["core"] == pytest.approx(int(warped.mask(1).sum()), rel=0.05)
    assert count["whole"] == pytest.approx(int(warped.mask().sum()), rel=0.05)


@pytest.mark.parametrize("make", [scene_results.apart_scene, scene_results.volume_scene])
def test_labels_lie_on_the_moving_image(make) -> None:
    made = make()
    node = add(made)["mask_on_moving"]
    assert node.GetName() == "template mask on moving"
    labels, expected = scene.labels_from_node(node), made.registration.labels["mask_on_moving"]
    assert labels.grid.same_as(scene.grid_of(made.moving), 1e-6)
    assert expected.mask().any()
    np.testing.assert_array_equal(labels.array(), expected.array())
    assert labels.names == {4: "lesion"}
    assert labels.colours[4] == pytest.approx((0.2, 0.4, 1.0), abs=1 / 255)
    assert not node.GetDisplayNode().GetVisibility(), "the views show the fixed image"


def test_labels_of_the_fixed_frame_are_shown_as_outlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    made = scene_results.volume_scene()
    node = add(made)["mask_on_moving"]
    assert node.GetDisplayNode().GetVisibility()
    assert not node.GetDisplayNode().GetVisibility2DFill()
    role = node.GetReferenceImageGeometryReferenceRole()
    assert node.GetNodeReference(role) is made.fixed


def test_evolution_plays_frame_by_frame() -> None:
    made = scene_results.volume_scene()
    nodes = add(made)
    browser = nodes["evolution_browser"]
    assert browser.GetNumberOfItems() == 5
    proxy = browser.GetProxyNode(nodes["evolution"])
    browser.SelectFirstItem()
    for frame in made.registration.sequences["evolution"]:
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(proxy), frame.array())
        browser.SelectNextItem()
    assert [nodes["evolution"].GetNthIndexValue(i) for i in range(5)] == ["0", "0.25", "0.5", "0.75", "1"]


def test_every_run_numbers_its_nodes_alike() -> None:
    made = scene_results.volume_scene()
    names = {name: node.GetName() for name, node in add(made).items()}
    before = ids()
    second = add(made)
    assert {name: node.GetName() for name, node in second.items()} == {key: f"{each}_1" for key, each in names.items()}
    proxy = second["evolution_browser"].GetProxyNode(second["evolution"])
    assert proxy.GetName() == f"{names['evolution']}_1"
    results.remove([node for node in all_nodes() if node.GetID() not in before])
    assert {name: node.GetName() for name, node in add(made).items()} == {k: f"{each}_1" for k, each in names.items()}


def test_curve_is_a_table_and_a_chart() -> None:
    nodes = add(scene_results.volume_scene())
    np.testing.assert_array_equal(slicer.util.arrayFromTableColumn(nodes["energy"], "total"), [9.0, 4.0, 2.5])
    chart = nodes["energy_chart"]
    series = [chart.GetNthPlotSeriesNode(i) for i in range(chart.GetNumberOfPlotSeriesNodes())]
    assert [each.GetYColumnName() for each in series] == ["total", "data"]
    assert all(each.GetTableNode() is nodes["energy"] for each in series)
    assert chart.GetXAxisTitle() == "iteration"


def test_every_curve_has_its_own_lines_and_axes() -> None:
    nodes = add(scene_results.volume_scene())
    for line, values in scene_results.SPENT.items():
        np.testing.assert_array_equal(slicer.util.arrayFromTableColumn(nodes["spending"], line), values)
    chart = nodes["spending_chart"]
    assert (chart.GetXAxisTitle(), chart.GetYAxisTitle()) == ("time", "share of the energy")
    series = [chart.GetNthPlotSeriesNode(i) for i in range(chart.GetNumberOfPlotSeriesNodes())]
    assert [(each.GetXColumnName(), each.GetYColumnName()) for each in series] == [
        ("time", "deformation"),
        ("time", "intensity"),
    ]


def test_nodes_tell_notes_and_figures() -> None:
    made = scene_results.volume_scene()
    chosen = output("vtkMRMLTransformNode")
    for nodes in (add(made), add(made, outputs={"transform": chosen})):
        assert records.notes_of(nodes) == scene_results.NOTES
        assert records.metrics_of(nodes) == made.registration.metrics
    assert records.notes_of({}) == []
    assert records.metrics_of({}) == {}


def test_tables_keep_text_and_numbers() -> None:
    nodes = add(scene_results.volume_scene())
    table = nodes["overlap"].GetTable()
    assert [table.GetValue(row, 0).ToString() for row in range(2)] == ["ventricle", "shell"]
    np.testing.assert_array_equal(slicer.util.arrayFromTableColumn(nodes["overlap"], "after"), [0.9, 0.8])
    np.testing.assert_array_equal(slicer.util.arrayFromTableColumn(nodes["metrics"], "value"), [0.85, 0.0])


def test_everything_lies_in_one_folder() -> None:
    made = scene_results.volume_scene()
    nodes = add(made)
    tree = hierarchy()
    folders = {tree.GetItemParent(tree.GetItemByDataNode(node)) for node in nodes.values()}
    assert [tree.GetItemName(folder) for folder in folders] == ["template registered to patient"]


def test_saved_scene_brings_it_all_back(tmp_path: Path) -> None:
    made = scene_results.volume_scene()
    nodes = add(made)
    names = {name: node.GetName() for name, node in nodes.items()}
    warped = slicer.util.arrayFromVolume(nodes["warped"]).copy()
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    back = {name: slicer.mrmlScene.GetFirstNodeByName(title) for name, title in names.items()}
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(back["warped"]), warped)
    assert back["evolution_browser"].GetNumberOfItems() == 5
    assert back["energy_chart"].GetNthPlotSeriesNode(0).GetTableNode().GetName() == names["energy"]
    labels = scene.labels_from_node(back["warped_labels"], back["warped"])
    np.testing.assert_array_equal(labels.array(), made.registration.warped_labels.array())
    mask = scene.labels_from_node(back["mask_on_moving"])
    np.testing.assert_array_equal(mask.array(), made.registration.labels["mask_on_moving"].array())
    assert records.notes_of(back) == scene_results.NOTES
    assert records.metrics_of(back) == made.registration.metrics
    transform = scene.transform_from_node(back["transform"])
    points = torch.from_numpy(samples.inner_points(made.registration.fixed_grid))
    np.testing.assert_allclose(transform(points), made.registration.transform(points), atol=1e-4)


# --- all or nothing ---


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, Cancelled, KeyboardInterrupt])
@pytest.mark.parametrize("step", ["add_tables", "_labels", "_warped_labels", "_browser", "add_charts", "_image"])
def test_failure_leaves_the_scene_as_it_was(step: str, error: type, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scene_results.volume_scene()
    kept = samples.add_volume(np.eye(4), name="kept")
    before, items = ids(), hierarchy().GetNumberOfItems()
    original = slicer.util.arrayFromVolume(kept).copy()

    def fail(*_arguments: object) -> None:
        raise error("in the middle")

    monkeypatch.setattr(tables if step.startswith("add") else results._Writer, step, fail)
    with pytest.raises(error):
        add(made)
    assert ids() == before
    assert hierarchy().GetNumberOfItems() == items
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(kept), original)


def test_removed_results_leave_the_scene_as_it_was() -> None:
    made = scene_results.volume_scene()
    before, items = ids(), hierarchy().GetNumberOfItems()
    add(made)
    new = [node for node in all_nodes() if node.GetID() not in before]
    results.remove(new)
    assert ids() == before
    assert hierarchy().GetNumberOfItems() == items


# --- existing output nodes ---


def output(class_name: str):
    return slicer.mrmlScene.AddNewNodeByClass(class_name, f"chosen {class_name}")


def test_chosen_nodes_are_filled() -> None:
    made = scene_results.volume_scene()
    chosen = {
        "transform": output("vtkMRMLTransformNode"),
        "inverse": output("vtkMRMLGridTransformNode"),
        "warped": output("vtkMRMLScalarVolumeNode"),
        "warped_labels": output("vtkMRMLSegmentationNode"),
        "mask_on_moving": output("vtkMRMLLabelMapVolumeNode"),
        "evolution": output("vtkMRMLSequenceNode"),
        "energy": output("vtkMRMLTableNode"),
        "jacobian": samples.add_volume(np.eye(4), name="old"),
    }
    before = ids()
    nodes = add(made, outputs=chosen)
    assert all(nodes[name] is node for name, node in chosen.items())
    new_names = [slicer.mrmlScene.GetNodeByID(each).GetName() for each in ids() - before]
    assert "template warped" not in new_names
    for name, image in (("warped", made.registration.warped), ("jacobian", made.registration.images["jacobian"])):
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(nodes[name]), image.array())
    assert nodes["jacobian"].GetDisplayNode().GetColorNode().GetName() == "template Jacobian colours"
    points = torch.from_numpy(samples.inner_points(made.registration.fixed_grid))
    expected = made.registration.transform(points)
    np.testing.assert_allclose(scene.transform_from_node(nodes["transform"])(points), expected, atol=1e-5)
    np.testing.assert_array_equal(
        scene.labels_from_node(nodes["warped_labels"], made.fixed).array(), made.registration.warped_labels.array()
    )
    mask = scene.labels_from_node(nodes["mask_on_moving"])
    np.testing.assert_array_equal(mask.array(), made.registration.labels["mask_on_moving"].array())
    assert mask.names[4] == "lesion"
    assert nodes["evolution_browser"].GetMasterSequenceNode() is chosen["evolution"]
    assert chosen["evolution"].GetNumberOfDataNodes() == 5
    assert nodes["energy_chart"].GetNthPlotSeriesNode(1).GetTableNode() is chosen["energy"]


def test_second_run_fills_the_same_nodes() -> None:
    made = scene_results.volume_scene()
    first = add(made)
    declared = ("transform", "inverse", "warped", "warped_labels", "jacobian", "evolution", "energy", "overlap")
    second = add(made, outputs={name: first[name] for name in declared})
    assert all(second[name] is first[name] for name in declared)
    assert second["evolution"].GetNumberOfDataNodes() == 5
    assert first["overlap"].GetNumberOfRows() == 2
    assert second["warped_labels"].GetSegmentation().GetNumberOfSegments() == 2


@pytest.mark.parametrize(
    ("name", "choose", "words"),
    [
        ("warped", lambda made: made.moving, "'template' is an input"),
        ("warped", lambda made: output("vtkMRMLModelNode"), "cannot hold the output 'warped'"),
        ("strain", lambda made: output("vtkMRMLScalarVolumeNode"), "gives no output 'strain'"),
    ],
)
def test_unsuitable_output_is_refused(name: str, choose, words: str) -> None:
    made = scene_results.volume_scene()
    chosen = choose(made)
    before = ids()
    with pytest.raises(InputError, match=words):
        add(made, outputs={name: chosen})
    assert ids() == before


# --- slices ---


@pytest.mark.parametrize("height", [0.0, 25.0])
@pytest.mark.parametrize("place", samples.SLICES)
def test_slices_come_back_to_their_plane(place: str, height: float) -> None:
    """Under the transform the moving slice, wherever it is, lies on the fixed one, and the inverse takes it back."""
    made = scene_results.slice_scene(place, height)
    nodes = add(made)
    for name in ("warped", "jacobian"):
        assert scene.grid_of(nodes[name]).same_as(scene.grid_of(made.fixed), 1e-6)
    labels = scene.labels_from_node(nodes["warped_labels"], made.fixed)
    np.testing.assert_array_equal(labels.array(), made.registration.warped_labels.array())
    mask = scene.labels_from_node(nodes["mask_on_moving"], fixed=made.fixed)
    np.testing.assert_array_equal(mask.array(), made.registration.labels["mask_on_moving"].array())
    role = nodes["mask_on_moving"].GetReferenceImageGeometryReferenceRole()
    assert nodes["mask_on_moving"].GetNodeReference(role) is made.moving
    made.moving.SetAndObserveTransformNodeID(nodes["transform"].GetID())
    moved = slicer.modules.volumes.logic().ResampleVolumeToReferenceVolume(made.moving, made.fixed)
    difference = np.abs(slicer.util.arrayFromVolume(moved) - slicer.util.arrayFromVolume(nodes["warped"]))
    assert difference.max() < 0.5
    plane = scene.plane_of(made.fixed)
    points = plane.lift(samples.inner_points(made.registration.fixed_grid, 50, margin=4))
    forth = [nodes["transform"].GetTransformFromParent().TransformPoint(point) for point in points]
    np.testing.assert_allclose(np.array(forth) @ plane.normal, plane.offset + height, atol=1e-6)
    back = np.array([nodes["inverse"].GetTransformFromParent().TransformPoint(point) for point in forth])
    assert np.linalg.norm(back - points, axis=1).max() < 0.1


def test_files_of_slices_at_different_heights_work_elsewhere(tmp_path: Path) -> None:
    """SimpleITK, which moves nothing outside a grid, takes points from slice to slice as MRML does."""
    made = scene_results.slice_scene("oblique", 25.0)
    nodes = add(made)
    flip = np.array([-1.0, -1.0, 1.0])
    plane = scene.plane_of(made.fixed)
    points = plane.lift(samples.inner_points(made.registration.fixed_grid, 50, margin=4))
    for name in ("transform", "inverse"):
        slicer.util.saveNode(nodes[name], str(tmp_path / f"{name}.h5"))
        read = sitk.ReadTransform(str(tmp_path / f"{name}.h5"))
        by_itk = np.array([read.TransformPoint((point * flip).tolist()) for point in points]) * flip
        by_mrml = np.array([nodes[name].GetTransformFromParent().TransformPoint(point) for point in points])
        np.testing.assert_allclose(by_itk, by_mrml, atol=1e-4)
        points = by_mrml
