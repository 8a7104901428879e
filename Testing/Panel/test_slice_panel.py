"""The panel of Hip qMRI: slices from files, their planes in 3D, places by hand, and the chain step by step."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qt
import slicer
import slicer.util
from conftest import ROOT, Finder, contents, give, wait
from RegistrationSuiteLib import dependencies, scene, views
from RegistrationSuiteLib.runner import JobRunner
from RegistrationSuiteLib.scene.nodes import all_nodes
from regsuite.catalog.radial import STEPS
from regsuite.registration import Registration
from regsuite.spatial.radial import Arrangement
from Rig import simulation
from test_pictures import cut_off, fitted, picture
from vtk.util.numpy_support import vtk_to_numpy

sys.path.append(str(ROOT / "Testing" / "Backend"))
import radial_samples as samples

MODULE = ROOT / "RegistrationSuite" / "HipQMRI" / "HipQMRI.py"
BUTTONS = ("segmentButton", "arrangeButton", "reconstructButton", "initialiseButton", "refineButton")


@pytest.fixture
def module(session: Any) -> Iterator[simulation.LoadedModule]:
    loaded = simulation.load_module(MODULE)
    yield loaded
    loaded.close()


@pytest.fixture
def panel(module: simulation.LoadedModule, finder: Finder, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module's panel in an empty scene; where matplotlib is missing, which draws a picture a step."""
    there = dependencies.is_installed
    monkeypatch.setattr(dependencies, "is_installed", lambda name: name != "matplotlib" and there(name))
    made = module.widgetRepresentation().self().panel
    made.runner = JobRunner(finder)
    return made


@pytest.fixture
def nodes(panel: Any) -> dict[str, Any]:
    """The small case, chosen."""
    case = samples.case()
    made = {
        "fixed": scene.volume_from_image(case.hip.volume, "hip"),
        "fixed_labels": scene.segmentation_from_labels(case.hip.tissues, "tissues"),
        "slices": scene.nodes_from_slices(case.slices),
        "slice_labels": scene.labelmap_from_labels(case.labels, "femur in the slices"),
    }
    made["fixed_labels"].GetDisplayNode().SetVisibility(False)
    for role in ("fixed", "fixed_labels", "slice_labels"):
        panel.form.inputs[role].selector.setCurrentNode(made[role])
    for node in made["slices"]:
        panel.form.inputs["slices"].selector.check(node)
    return made


@cache
def outcome(until: str) -> Registration:
    """What a run up to a step gives that finds the truth."""
    case, result = samples.case(), samples.true_result(until)
    result.sequences = {"slices": result.sequences["slices"]}
    result.labels |= {"segmented_volume": case.hip.tissues, "segmented_slices": case.labels}
    result.record |= {"seconds": 1.0, "device": "cpu", "chosen": {"bone": samples.FEMUR}}
    if until != STEPS[0]:
        places, turned = case.acquired.arrangement.numbers()
        result.record["chosen"] |= {"places": places, "turned": turned}
    return result


def press(panel: Any, finder: Finder, step: str) -> None:
    """A step's button, and the worker brings the result."""
    button(panel, step).click()
    give(panel, finder, outcome(step))


def button(panel: Any, step: str) -> Any:
    return getattr(panel.slices_ui, BUTTONS[STEPS.index(step)])


def texts(panel: Any) -> tuple[str, str]:
    """What the form says of the arrangement."""
    shown = panel.form.forms.texts()
    return shown["places"], shown["turned"]


def row(panel: Any, number: int) -> tuple[int, bool, bool, str]:
    """Of the table, counted from 1: place, mirrored, turned, similarity."""
    table = panel.slices_ui.placesTable
    flips = [table.item(number - 1, column).checkState() == qt.Qt.Checked for column in (2, 3)]
    return (table.cellWidget(number - 1, 1).value, *flips, table.item(number - 1, 4).text())  # type: ignore[return-value]


# --- files ---


def test_a_folder_of_dicom_is_loaded_and_ticked(
    panel: Any, nodes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of the slices that were ticked; what cannot be read is said in a sentence, and leaves nothing."""
    stored = samples.write_dicom(tmp_path / "exam")
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "exam"))
    panel.loadFolderButton.click()
    ticked = panel.form.inputs["slices"].node
    assert [node.GetName() for node in ticked] == ["T2_1", "Proton_1"]
    assert panel.state.references("input.slices") == ticked
    np.testing.assert_allclose(slicer.util.arrayFromVolume(ticked[0]), stored["T2"] * samples.SLOPE)
    assert panel.ui.statusLabel.text == "Loaded: T2_1, Proton_1. See the log."
    assert "The files give all slices one pose" in panel.ui.logEdit.plainText
    before = contents()
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "empty"))
    panel.loadFolderButton.click()
    assert panel.ui.statusLabel.text.endswith("holds no DICOM images: give the folder with the slices.")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileNames", lambda *_: [str(tmp_path / "gone.nrrd")])
    panel.loadFilesButton.click()
    assert "gone.nrrd" in panel.ui.statusLabel.text
    assert contents() == before
    assert panel.form.inputs["slices"].node == ticked


def test_a_network_needs_further_packages(panel: Any, nodes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "is_installed", lambda name: name != "monai")
    panel.form.inputs["network"].widget.currentPath = str(MODULE)
    panel.ui.applyButton.click()
    assert panel.ui.statusLabel.text == "Python packages are missing: install them with 'pip install monai>=1.5'."
    panel.form.inputs["network"].widget.currentPath = ""
    panel.ui.applyButton.click()
    assert panel.runner.running


# --- planes in 3D ---


def passing() -> dict[str, Any]:
    """The models that are shown for a while, by name."""
    models = [node for node in all_nodes() if node.IsA("vtkMRMLModelNode") and node.GetName().startswith("Slices'")]
    assert not any(node.GetSaveWithScene() for node in models)
    return {node.GetName(): node for node in models}


def frames() -> np.ndarray:
    """(6, 4, 3): the corners of the slices' frames."""
    return vtk_to_numpy(passing()["Slices' frames"].GetPolyData().GetPoints().GetData()).reshape(-1, 4, 3)


def turned_from_first(corners: np.ndarray) -> list[int]:
    """Degrees between the first plane and each, from the corners of their frames."""
    sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0])
    normals = sides / np.linalg.norm(sides, axis=1, keepdims=True)
    return [round(float(np.degrees(np.arccos(min(1.0, abs(normals[0] @ each)))))) for each in normals]


def test_planes_stand_around_the_axis_and_follow_the_places(panel: Any, nodes: dict[str, Any]) -> None:
    before, acquired = contents(), samples.case().acquired
    panel.planesButton.click()
    assert turned_from_first(frames()) == [0, 30, 60, 90, 60, 30]
    np.testing.assert_allclose(frames().mean(axis=1), np.tile(acquired.centre, (6, 1)), atol=1e-3)
    panel.form.change({"places": "4, 3, 5, 1, 2, -6"})
    assert turned_from_first(frames()) == [0, 30, 30, 90, 60, 60]
    colours = vtk_to_numpy(passing()["Slices' frames"].GetPolyData().GetPointData().GetScalars())
    assert colours[12].tolist() == [191, 96, 96]  # the fourth slice stands first
    markups = [node for node in all_nodes() if node.IsA("vtkMRMLMarkupsFiducialNode")]
    assert [markups[0].GetNthControlPointLabel(number) for number in range(6)] == list("123456")
    assert all(node.GetHideFromEditors() for node in (*passing().values(), *markups))
    panel.planesButton.click()
    assert contents().keys() == before.keys()
    assert slicer.app.applicationLogic().GetSelectionNode().GetActivePlaceNodeID() is None


def test_planes_are_drawn_in_the_colours_of_their_places(panel: Any, nodes: dict[str, Any]) -> None:
    panel.planesButton.click()
    with views.ThreeDView("1", (200, 200)) as view:
        view.look_from((0.8, 1.0, 0.5))
        drawn = view.render().reshape(-1, 3).astype(int)
    for colour in ((191, 96, 96), (0, 255, 255), (255, 0, 0), (96, 128, 191), (255, 223, 0), (159, 64, 255)):
        assert (np.abs(drawn - colour).max(axis=1) < 6).sum() > 50, colour


@pytest.fixture
def placed(panel: Any) -> list[Any]:
    """Slices where they belong, a node each, chosen."""
    images = samples.true_result().sequences["slices"]
    made = [scene.volume_from_image(image, f"Proton {number}") for number, image in enumerate(images, start=1)]
    for node in made:
        panel.form.inputs["slices"].selector.check(node)
    return made


def test_planes_of_slices_whose_headers_tell_them_apart(panel: Any, placed: list[Any]) -> None:
    panel.planesButton.click()
    np.testing.assert_allclose(frames().mean(axis=1), [scene.grid_of(node).centre for node in placed], atol=1e-3)
    assert panel.slices_ui.arrangementLabel.text == "The headers tell where each slice lies."
    panel.form.inputs["slices"].selector.uncheck(placed[5])
    assert panel.slices_ui.placesTable.rowCount == 5


def test_planes_go_with_their_slices_and_with_the_scene(panel: Any, nodes: dict[str, Any]) -> None:
    panel.planesButton.click()
    panel.form.inputs["slices"].selector.uncheck(nodes["slices"][0])
    assert (panel.planesButton.checked, passing()) == (False, {})
    panel.planesButton.click()
    assert passing()
    slicer.mrmlScene.Clear(0)
    assert (panel.planesButton.checked, panel.planesButton.enabled, passing()) == (False, False, {})


# --- places by hand ---


def test_slices_change_places(panel: Any, nodes: dict[str, Any]) -> None:
    ui = panel.slices_ui
    assert ui.arrangementLabel.text == "In the order of the slices, until it is found."
    assert [row(panel, number)[0] for number in range(1, 7)] == [1, 2, 3, 4, 5, 6]
    ui.placesTable.cellWidget(0, 1).value = 4
    assert texts(panel) == ("4, 2, 3, 1, 5, 6", "0")
    ui.placesTable.item(5, 2).setCheckState(qt.Qt.Checked)
    ui.placesTable.item(1, 3).setCheckState(qt.Qt.Checked)
    assert texts(panel) == ("4, 2, 3, 1, 5, -6", "2")
    assert (row(panel, 4), row(panel, 6), row(panel, 2)) == (
        (1, False, False, "–"),
        (6, True, False, "–"),
        (2, False, True, "–"),
    )
    captions = [ui.fanList.item(place).text().split("\n")[:2] for place in range(6)]
    assert captions[0] == ["Place 1: slice 4", ""]
    assert captions[1] == ["Place 2: slice 2", "turned"]
    assert captions[5] == ["Place 6: slice 6", "mirrored"]
    assert ui.arrangementLabel.text.startswith("Given by hand")
    assert panel.ui.presetComboBox.currentText == "Hip, radial slices"
    panel.ui.presetComboBox.currentIndex = 1
    assert (panel.form.forms.texts()["motion"], *texts(panel)) == ("0", "4, 2, 3, 1, 5, -6", "2")
    ui.automaticButton.click()
    assert (texts(panel), ui.automaticButton.enabled) == (("0", "0"), False)


def test_places_that_cannot_be_are_left_to_the_run(panel: Any, nodes: dict[str, Any]) -> None:
    panel.form.change({"places": "1, 1, 2"})
    assert panel.slices_ui.arrangementLabel.text == "In the order of the slices, until it is found."
    assert panel.ui.applyButton.enabled


# --- step by step ---


def test_each_step_starts_from_what_the_one_before_found(panel: Any, nodes: dict[str, Any], finder: Finder) -> None:
    places = ", ".join(map(str, samples.case().acquired.arrangement.numbers()[0]))
    turned = ", ".join(map(str, samples.case().acquired.arrangement.numbers()[1]))
    asked = [("0", "0"), ("0", "0"), (places, turned), (places, turned), (places, turned)]
    for number, step in enumerate(STEPS):
        assert [button(panel, each).font.bold() for each in STEPS] == [each == step for each in STEPS]
        press(panel, finder, step)
        given = finder.jobs[-1].parameters
        assert given["until"] == step
        assert (given["places"], given["turned"]) == asked[number]
        assert [button(panel, each).text.startswith("✓") for each in STEPS] == [
            each in STEPS[: number + 1] for each in STEPS
        ]
    assert [row(panel, number)[3] for number in (1, 6)] == ["0.80", "1.10"]
    panel.ui.applyButton.click()
    assert finder.jobs[-1].parameters["until"] == "refinement"


def test_each_step_shows_its_result(panel: Any, nodes: dict[str, Any], finder: Finder) -> None:
    with views.SliceView("Axial", "Red", (200, 200)) as view:
        press(panel, finder, "segmentation")
        assert slicer.mrmlScene.GetNodeByID(view.composite.GetBackgroundVolumeID()).GetName() == samples.LOOKED_AT
        outlines = panel.results.nodes["segmented_slices"]
        assert outlines.GetDisplayNode().GetVisibility()
        assert scene.grid_of(outlines).same_as(scene.grid_of(nodes["slices"][0]), 1e-6)
        assert len(np.unique(view.render().reshape(-1, 3), axis=0)) > 50
        press(panel, finder, "arrangement")
        assert panel.planesButton.checked
        assert panel.results.nodes["planes"].GetDisplayNode().GetVisibility()
        assert not outlines.GetDisplayNode().GetVisibility()
        assert turned_from_first(frames()) == turned_from_first(np.array(_true_frames()))
        press(panel, finder, "reconstruction")
        solid = panel.results.nodes["surface"], panel.results.nodes["segmented_volume"]
        assert [node.GetDisplayNode().GetVisibility() for node in solid] == [1, 1]
        assert (panel.planesButton.checked, passing()) == (False, {})
        press(panel, finder, "initialisation")
        placed = panel.results.nodes["slices_1"]
        assert view.composite.GetBackgroundVolumeID() == nodes["fixed"].GetID()
        assert view.composite.GetForegroundVolumeID() == placed.GetID()
        plane = slicer.util.arrayFromVTKMatrix(view.logic.GetSliceNode().GetSliceToRAS())
        grid = scene.grid_of(placed)
        assert abs(plane[:3, 2] @ np.asarray(grid.direction)[:, 0]) == pytest.approx(1, abs=1e-6)
        assert plane[:3, 2] @ (plane[:3, 3] - grid.centre) == pytest.approx(0, abs=1e-3)
        panel.slices_ui.placesTable.cellClicked.emit(3, 0)
        assert view.composite.GetForegroundVolumeID() == panel.results.nodes["slices_4"].GetID()


def _true_frames() -> list[np.ndarray]:
    """Four corners of each slice, by the planes that it was acquired in."""
    corners = np.array([[-1, -1, 0, 1], [1, -1, 0, 1], [1, 1, 0, 1], [-1, 1, 0, 1]], dtype=float)
    return [(corners @ plane.numpy().T)[:, :3] for plane in samples.case().acquired.arrangement.planes()]


def test_planes_move_with_places_that_are_corrected_after_a_run(
    panel: Any, nodes: dict[str, Any], finder: Finder
) -> None:
    """To where the run brought the slices, and the steps behind the arrangement are to be run again."""
    press(panel, finder, "initialisation")
    found = frames()
    first = row(panel, 1)[0]
    panel.slices_ui.placesTable.cellWidget(0, 1).value = first % 6 + 1
    assert button(panel, "reconstruction").font.bold()
    assert not panel.results.nodes["planes"].GetDisplayNode().GetVisibility()
    edited = frames()
    np.testing.assert_allclose(edited.mean(axis=1), found.mean(axis=1), atol=1e-3)
    assert np.abs(edited[0] - found[0]).max() > 10
    np.testing.assert_allclose(np.sort(edited.mean(axis=1), axis=0), np.sort(found.mean(axis=1), axis=0), atol=1e-3)


def test_steps_are_undone_one_after_another_in_a_scene_opened_again(
    panel: Any, nodes: dict[str, Any], finder: Finder, tmp_path: Path
) -> None:
    press(panel, finder, "segmentation")
    press(panel, finder, "arrangement")
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    assert texts(panel) == ("0", "0")
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert button(panel, "reconstruction").font.bold()
    assert panel.planesButton.checked
    panel.ui.undoButton.click()
    assert texts(panel) == ("0", "0")
    assert panel.results.step == "segmentation"
    assert button(panel, "arrangement").font.bold()
    assert set(panel.results.nodes) >= {"transform", "slices_6", "segmented_slices"}
    panel.ui.undoButton.click()
    assert panel.results.nodes == {}
    assert button(panel, "segmentation").font.bold()
    assert len(panel.results.history) == 0
    kept = {node.GetName() for node in all_nodes() if node.IsA("vtkMRMLVolumeNode")}
    assert kept == {"hip", "T1", "T2", "T1rho", "Proton", "femur in the slices"}


def test_a_forests_segmentation_is_given_to_the_next_steps(panel: Any, nodes: dict[str, Any], finder: Finder) -> None:
    """And taken back with the step."""
    painted = slicer.util.arrayFromVolume(nodes["slice_labels"]).copy()
    painted[2:] = 0
    slicer.util.updateVolumeFromArray(nodes["slice_labels"], painted)
    panel.form.inputs["network"].widget.currentPath = str(MODULE)
    panel.form.change({"volume_segmentation": "forest"})
    press(panel, finder, "segmentation")
    made, volume = (panel.results.nodes[f"segmented_{name}"] for name in ("slices", "volume"))
    assert panel.form.inputs["slice_labels"].node is made
    assert panel.form.inputs["fixed_labels"].node is volume
    assert (panel.form.inputs["network"].node, panel.form.forms.texts()["volume_segmentation"]) == (None, "given")
    button(panel, "arrangement").click()
    np.testing.assert_array_equal(finder.jobs[-1].inputs["slice_labels"].array() > 0, samples.case().labels.array() > 0)
    panel.ui.applyButton.click()
    panel.ui.undoButton.click()
    assert panel.form.inputs["slice_labels"].node is nodes["slice_labels"]
    assert panel.state.reference("input.slice_labels") is nodes["slice_labels"]
    assert panel.form.inputs["fixed_labels"].node is nodes["fixed_labels"]
    assert panel.form.inputs["network"].node == str(MODULE)
    assert panel.form.forms.texts()["volume_segmentation"] == "forest"


def test_a_forests_segmentation_of_slices_that_lie_apart(
    panel: Any, placed: list[Any], nodes: dict[str, Any], finder: Finder
) -> None:
    """It lies on none of them, and is read again slice by slice."""
    for node in nodes["slices"]:
        panel.form.inputs["slices"].selector.uncheck(node)
    painted = slicer.util.arrayFromVolume(nodes["slice_labels"]).copy()
    painted[2:] = 0
    slicer.util.updateVolumeFromArray(nodes["slice_labels"], painted)
    press(panel, finder, "segmentation")
    button(panel, "arrangement").click()
    np.testing.assert_array_equal(finder.jobs[-1].inputs["slice_labels"].array() > 0, samples.case().labels.array() > 0)


def test_other_slices_are_begun_with_again(panel: Any, nodes: dict[str, Any], finder: Finder) -> None:
    press(panel, finder, "arrangement")
    assert texts(panel)[0] != "0"
    panel.form.inputs["slices"].selector.uncheck(nodes["slices"][0])
    assert texts(panel) == ("0", "0")
    assert button(panel, "segmentation").font.bold()
    assert len(panel.results.history) == 0
    panel.ui.undoButton.click()
    assert panel.results.nodes == {}


def test_a_slice_that_is_chosen_is_shown_where_it_was_placed(panel: Any, nodes: dict[str, Any], finder: Finder) -> None:
    """Also after the user deleted another one; nothing is shown of slices that were chosen before."""
    press(panel, finder, "refinement")
    results = panel.results.nodes
    slicer.mrmlScene.RemoveNode(results["slices_2"])
    with views.SliceView("Axial", "Red", (60, 60)) as view:
        panel.slices_ui.placesTable.cellClicked.emit(2, 0)
        assert view.composite.GetForegroundVolumeID() == results["slices_3"].GetID()
        panel.form.inputs["slices"].selector.uncheck(nodes["slices"][0])
        panel.slices_ui.placesTable.cellClicked.emit(3, 0)
        assert view.composite.GetForegroundVolumeID() == results["slices_3"].GetID()
    assert panel.slices_ui.fanList.count == 6


def test_cancel_leaves_the_scene_and_the_steps_as_they_were(panel: Any, nodes: dict[str, Any], finder: Finder) -> None:
    press(panel, finder, "segmentation")
    before = contents()
    button(panel, "arrangement").click()
    assert not button(panel, "arrangement").enabled
    assert not panel.slices_ui.arrangementFrame.enabled
    panel.ui.applyButton.click()
    assert panel.ui.statusLabel.text == "Cancelled: the scene is as it was."
    assert (finder.ended, contents()) == (1, before)
    assert button(panel, "arrangement").font.bold()
    assert len(panel.results.history) == 1


# --- with the worker ---


def run(panel: Any, step: str) -> str:
    """A step to its end; what is said then."""
    button(panel, step).click()
    wait(lambda: not panel.runner.running)
    return str(panel.ui.statusLabel.text)


def test_the_real_chain_and_what_it_refuses(panel: Any, nodes: dict[str, Any], warm_worker: Any) -> None:
    panel.runner = JobRunner(warm_worker)
    before, acquired = contents(), samples.case().acquired
    panel.form.change({"places": "1, 2, 3, 4, 5"})
    assert run(panel, "arrangement").startswith("Places are 1, 2, 3, 4, 5: give each of the 6 slices another one")
    panel.form.change({"places": "0"})
    panel.form.inputs["slice_labels"].selector.setCurrentNode(other_size(nodes["slice_labels"]))
    assert "segmentation" in run(panel, "segmentation")
    panel.form.inputs["slice_labels"].selector.setCurrentNode(nodes["slice_labels"])
    assert before.items() <= contents().items()
    assert panel.results.nodes == {}
    assert run(panel, "arrangement").startswith("Done")
    found = panel.results.nodes["arrangement"]
    said = [[float(each) for each in text.split(",")] for text in texts(panel)]
    assert Arrangement.of_numbers(*said, 6).is_like(acquired.arrangement)
    assert run(panel, "reconstruction").startswith("Done")
    assert panel.results.nodes["surface"].GetPolyData().GetNumberOfPoints() > 100
    panel.ui.undoButton.click()
    assert panel.results.nodes["arrangement"] is found


def other_size(labels: Any) -> Any:
    """A stack of one slice fewer."""
    made = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "of five slices")
    slicer.util.updateVolumeFromArray(made, slicer.util.arrayFromVolume(labels)[:5].copy())
    return made


def test_nothing_is_cut_off(
    module: simulation.LoadedModule, panel: Any, nodes: dict[str, Any], finder: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # with the picture
    press(panel, finder, "refinement")
    window = fitted(module.widgetRepresentation(), 400)
    picture(window, "hip-qmri")
    assert cut_off(window) == []
    assert not panel.slices_ui.fanLabel.isHidden()
