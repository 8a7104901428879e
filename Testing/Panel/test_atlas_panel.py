"""The panel of Atlas Slice Identification: sections from files, the plates that were found, and trainings."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qt
import slicer
import slicer.util
import tifffile
import vtk
from conftest import ROOT, Finder, contents, give, wait
from PIL import Image as Picture
from RegistrationSuiteLib import plates, samples, views
from RegistrationSuiteLib.runner import JobRunner
from regsuite import catalog, phantoms
from regsuite.jobs import Message
from Rig import simulation
from test_pictures import cut_off, fitted, picture

sys.path.insert(0, str(ROOT / "Testing" / "Scene"))
import scene_sections

MODULE = ROOT / "RegistrationSuite" / "AtlasSliceIdentification" / "AtlasSliceIdentification.py"
METHODS = ("atlas-slice", "atlas-series", "atlas-slice-mi", "atlas-encoder")


@pytest.fixture
def module(session: Any) -> Iterator[simulation.LoadedModule]:
    loaded = simulation.load_module(MODULE)
    yield loaded
    loaded.close()


@pytest.fixture
def panel(module: simulation.LoadedModule, finder: Finder) -> Any:
    """The module's panel in an empty scene."""
    made = module.widgetRepresentation().self().panel
    made.runner = JobRunner(finder)
    return made


@pytest.fixture(autouse=True)
def made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The phantom is the same in every test."""
    cut = scene_sections.cut()
    monkeypatch.setattr(phantoms, "atlas_case", lambda: cut.case)
    monkeypatch.setattr(phantoms, "section_of", lambda *_: cut.section)


@pytest.fixture
def nodes(panel: Any, tmp_path: Path) -> dict[str, Any]:
    """The sample, chosen, with an encoder."""
    made = samples.atlas_section()
    for role, node in made.items():
        panel.form.inputs[role].selector.setCurrentNode(node)
    encoder = tmp_path / "atlas.safetensors"
    encoder.touch()
    panel.form.inputs["encoder"].widget.currentPath = str(encoder)
    return made


def choose(panel: Any, name: str) -> None:
    panel.ui.methodComboBox.currentIndex = METHODS.index(name)


@pytest.fixture
def found(panel: Any, nodes: dict[str, Any], finder: Finder) -> Any:
    """The panel after a run."""
    give(panel, finder, scene_sections.registration())
    return panel


def plates_ui(panel: Any) -> Any:
    return panel.results.plates_ui


def atlas_parent(nodes: dict[str, Any]) -> list[Any]:
    return [nodes[role].GetParentTransformNode() for role in ("moving", "moving_labels")]


# --- inputs ---


def test_apply_waits_for_every_input(panel: Any, tmp_path: Path) -> None:
    button = panel.ui.applyButton
    assert (button.enabled, button.toolTip) == (False, "Select the section first.")
    for role, node in samples.atlas_section().items():
        panel.form.inputs[role].selector.setCurrentNode(node)
    assert (button.enabled, button.toolTip) == (False, "Select the encoder first.")
    panel.form.inputs["encoder"].widget.currentPath = str(tmp_path / "gone.safetensors")
    assert button.enabled
    button.click()
    assert (
        panel.ui.statusLabel.text == f"The encoder file '{tmp_path / 'gone.safetensors'}' is not there: check its path."
    )
    panel.form.inputs["encoder"].widget.currentPath = ""
    assert not button.enabled
    choose(panel, "atlas-slice-mi")
    assert button.enabled


def test_paths_come_back_with_the_scene(panel: Any, nodes: dict[str, Any], tmp_path: Path) -> None:
    field, path = panel.form.inputs["encoder"], panel.form.inputs["encoder"].node
    choose(panel, "atlas-encoder")
    panel.form.outputs["checkpoint"].widget.currentPath = str(tmp_path / "new.safetensors")
    for each in (field, panel.form.outputs["checkpoint"]):
        each.set("")
    panel.show_state()
    assert (field.node, panel.form.outputs["checkpoint"].node) == (path, str(tmp_path / "new.safetensors"))


def test_the_section_keeps_its_colours(panel: Any, nodes: dict[str, Any], finder: Finder) -> None:
    colour = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photograph")
    slicer.util.updateVolumeFromArray(colour, np.random.default_rng(0).integers(0, 255, (1, 30, 40, 3), np.uint8))
    panel.form.inputs["fixed"].selector.setCurrentNode(colour)
    assert panel.form.inputs["fixed"].node is colour
    panel.ui.applyButton.click()
    assert finder.jobs[0].inputs["fixed"].data.shape == (1, 3, 1, 30, 40)
    assert finder.jobs[0].inputs["moving"].grid.dim == 3


def saved(path: Path, shape: tuple[int, ...] = (30, 40)) -> Path:
    Picture.fromarray(np.random.default_rng(0).integers(0, 255, shape, np.uint8)).save(path)
    return path


def test_a_section_is_loaded_and_chosen(panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "slide.png", (30, 40, 3))
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_: str(path))
    panel.loadSectionButton.click()
    assert panel.form.inputs["fixed"].node.GetName() == "slide"
    assert panel.state.reference("input.fixed").GetName() == "slide"
    assert panel.ui.statusLabel.text == ("'slide' was loaded: 40 × 30 pixels, the size of its pixels is unknown.")
    before = contents()
    for answer in ("", str(tmp_path / "gone.png")):
        monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_, answer=answer: answer)
        panel.loadSectionButton.click()
    assert "gone.png' does not exist: check its path." in panel.ui.statusLabel.text
    assert contents() == before


def test_a_folder_is_loaded_and_says_what_was_left_out(
    panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("s10.png", "s9.png"):
        saved(tmp_path / name)
    (tmp_path / "readme.txt").touch()
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    panel.loadFolderButton.click()
    assert panel.form.inputs["fixed"].node.GetName() == "s9"
    assert panel.ui.statusLabel.text == "2 volumes were loaded. 1 file was left out, see the log."
    assert panel.ui.logEdit.plainText == "'readme.txt' was left out: it is no picture"


def test_a_folder_is_ticked_for_a_series(panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with a volume for each channel counts once; what was ticked before stays."""
    saved(tmp_path / "s10.png")
    two, axes = np.ones((2, 30, 40), np.uint16), {"axes": "CYX", "Channel": {"Name": ["DAPI", "NeuN"]}}
    tifffile.imwrite(tmp_path / "s9.ome.tif", two, photometric="minisblack", metadata=axes)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    choose(panel, "atlas-series")
    assert panel.ui.applyButton.toolTip == "Select the sections first."
    panel.loadFolderButton.click()
    assert [node.GetName() for node in panel.form.inputs["sections"].node] == ["s9 DAPI", "s10"]
    other = saved(tmp_path / "s12.png")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_: str(other))
    panel.loadSectionButton.click()
    assert [node.GetName() for node in panel.form.inputs["sections"].node] == ["s9 DAPI", "s10", "s12"]
    assert [node.GetName() for node in panel.state.references("input.sections")] == ["s9 DAPI", "s10", "s12"]


# --- the run ---


def test_what_was_found_is_told_and_shown(found: Any, nodes: dict[str, Any]) -> None:
    assert found.ui.statusLabel.text == "Done in 1 s on cpu, plate 39.0, 80 % sure. Read the note under Results."
    ui = plates_ui(found)
    assert ui.placeLabel.text == "Plate 39.0 of 68, pitch 5.7°, yaw -4.0°."
    texts = [ui.candidatesList.item(row).text() for row in range(ui.candidatesList.count)]
    assert texts == [
        "Section",
        *(f"Plate {39 + n}.0\ndistance {d}" for n, d in ((0, 0.1), (1, 0.2), (-1, 0.3), (3, 0.4))),
    ]
    assert not any(ui.candidatesList.item(row).icon().isNull() for row in range(5))
    assert found.ui.showLabelsButton.checked
    assert (found.ui.showEnergyButton.text, found.ui.showEnergyButton.enabled) == ("Distances plot", True)
    for name in ("showGridButton", "showJacobianButton", "showMovingButton", "playButton", "showBeforeButton"):
        assert getattr(found.ui, name).isHidden(), name
    found.ui.showTableButton.click()
    selection = slicer.app.applicationLogic().GetSelectionNode()
    assert selection.GetActiveTableID() == found.results.nodes["regions"].GetID()
    ui.showRankingButton.click()
    assert selection.GetActiveTableID() == found.results.nodes["ranking"].GetID()


def test_a_candidate_is_shown_over_the_section_and_used(found: Any, nodes: dict[str, Any], finder: Finder) -> None:
    ui, sequence = plates_ui(found), found.results.nodes["candidates"]
    with views.SliceView("Axial", "Red", (200, 200)) as view:
        ui.candidatesList.currentRow = 2
        shown = slicer.mrmlScene.GetNodeByID(view.composite.GetForegroundVolumeID())
        expected = slicer.util.arrayFromVolume(sequence.GetNthDataNode(1))
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(shown), expected)
        ui.candidatesList.currentRow = 0
        assert view.composite.GetForegroundVolumeID() is None
        assert not ui.usePlateButton.enabled
        ui.candidatesList.currentRow = 3
    ui.usePlateButton.click()
    assert finder.jobs[-1].parameters["plate"] == "38"
    assert found.runner.running


# --- by hand ---


def from_section(holder: Any) -> np.ndarray:
    """(4, 4) from the section to the atlas that a node holds."""
    matrix = vtk.vtkMatrix4x4()
    holder.GetMatrixTransformFromParent(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def test_sliders_cut_the_atlas_live_and_let_it_go(found: Any, nodes: dict[str, Any]) -> None:
    ui, before, cut = plates_ui(found), contents(), scene_sections.cut()
    with views.SliceView("Axial", "Red", (200, 200)) as view:
        ui.plateSlider.value = 44
        assert ui.adjustButton.checked
        assert view.composite.GetForegroundVolumeID() == nodes["moving"].GetID()
    holder = nodes["moving"].GetParentTransformNode()
    assert atlas_parent(nodes) == [holder, holder]
    pose = scene_sections.POSE.copy()
    pose[0] += 5 * cut.case.plates.spacing
    np.testing.assert_allclose(from_section(holder), cut.matrix_at(pose), atol=1e-9)
    ui.pitchSlider.value = 12.0
    pose[1] = np.radians(12.0)
    np.testing.assert_allclose(from_section(holder), cut.matrix_at(pose), atol=1e-9)
    ui.adjustButton.click()
    assert atlas_parent(nodes) == [None, None]
    assert set(contents()) == set(before)
    assert (ui.plateSlider.value, ui.pitchSlider.value) == (39.0, 5.7)


def test_sliders_of_the_plane_move_the_atlas_over_the_section(found: Any, nodes: dict[str, Any]) -> None:
    """As they are labelled: what is seen at a place is seen where the slider put it, and reset brings all back."""
    ui, middle = plates_ui(found), scene_sections.cut().section.grid.centre
    before, place = scene_sections.cut().matrix, np.array([1.5, 0.5])  # mm to the right and down
    for slider, value, seen_at in (
        (ui.turnSlider, 90.0, (-0.5, 1.5)),
        (ui.scaleSlider, 120.0, (1.8, 0.6)),
        (ui.stretchSlider, 120.0, (1.8, 0.5)),
        (ui.rightSlider, 0.25, (1.75, 0.5)),
        (ui.downSlider, 0.25, (1.5, 0.75)),
    ):
        slider.value = value
        matrix = from_section(nodes["moving"].GetParentTransformNode())
        was, now = (np.array([*(middle[:2] - each), middle[2], 1.0]) for each in (place, seen_at))
        np.testing.assert_allclose(matrix @ now, before @ was, atol=1e-6, err_msg=slider.name)
        ui.resetButton.click()
        assert ui.adjustButton.checked
        np.testing.assert_allclose(from_section(nodes["moving"].GetParentTransformNode()), before, atol=1e-9)
    assert [each.value for each in (ui.turnSlider, ui.scaleSlider, ui.stretchSlider)] == [0.0, 100.0, 100.0]
    ui.adjustButton.click()
    assert not ui.resetButton.enabled


def test_every_slider_tells_its_unit(panel: Any) -> None:
    ui = plates_ui(panel)
    units = {"pitch": "°", "yaw": "°", "turn": "°", "scale": "%", "stretch": "%", "right": "mm", "down": "mm"}
    words = {"°": "degrees", "%": "percent", "mm": "mm"}
    for name, unit in units.items():
        slider = getattr(ui, f"{name}Slider")
        assert slider.suffix == f" {unit}"
        assert words[unit] in slider.toolTip


def test_a_pose_moved_in_the_plane_is_accepted(found: Any, finder: Finder) -> None:
    ui = plates_ui(found)
    ui.scaleSlider.value = 110.0
    ui.rightSlider.value = -0.5
    ui.acceptButton.click()
    pose = [float(part) for part in str(finder.jobs[-1].parameters["pose"]).split(",")]
    expected, turn = scene_sections.POSE.copy(), scene_sections.POSE[3]
    expected[4:6] -= np.log(1.1)
    expected[7:] += 0.5 * np.array([np.cos(turn), np.sin(turn)])
    np.testing.assert_allclose(pose, expected, atol=1e-9)


def test_an_accepted_pose_starts_a_run(found: Any, nodes: dict[str, Any], finder: Finder) -> None:
    """The atlas is back in its place before it is read."""
    ui = plates_ui(found)
    assert not ui.acceptButton.enabled
    ui.yawSlider.value = 10.0
    ui.acceptButton.click()
    assert atlas_parent(nodes) == [None, None]
    job = finder.jobs[-1]
    assert job.inputs["moving"].grid.same_as(scene_sections.cut().case.template.grid, 1e-6)
    pose = [float(part) for part in str(job.parameters["pose"]).split(",")]
    expected = scene_sections.POSE.copy()
    expected[2] = np.radians(10.0)
    np.testing.assert_allclose(pose, expected, atol=1e-9)
    assert job.parameters["plate"] == "0"


def test_the_next_section_does_not_start_where_the_last_one_was(
    found: Any, nodes: dict[str, Any], finder: Finder
) -> None:
    plates_ui(found).yawSlider.value = 10.0
    plates_ui(found).acceptButton.click()
    give(found, finder, scene_sections.registration())
    assert len(str(found.request().parameters["pose"]).split(",")) == 9
    found.form.inputs["fixed_points"].selector.setCurrentNode(None)
    assert len(str(found.request().parameters["pose"]).split(",")) == 9
    copied = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, nodes["fixed"], "next")
    found.form.inputs["fixed"].selector.setCurrentNode(copied)
    assert found.request().parameters["pose"] == "0"
    assert found.state.text("atlas-slice.pose") == "0"
    assert found.state.reference("input.fixed") is copied


@pytest.mark.parametrize("button", ["acceptButton", "usePlateButton"])
def test_a_section_seen_from_its_back_is_seen_so_again(
    panel: Any, nodes: dict[str, Any], finder: Finder, button: str
) -> None:
    result = scene_sections.registration()
    result.record["chosen"]["side"] = "back"
    give(panel, finder, result)
    if button == "acceptButton":
        plates_ui(panel).yawSlider.value = 10.0
    else:
        plates_ui(panel).candidatesList.currentRow = 2
    getattr(plates_ui(panel), button).click()
    assert finder.jobs[-1].parameters["side"] == "back"
    give(panel, finder, scene_sections.registration())
    copied = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, nodes["fixed"], "next")
    panel.form.inputs["fixed"].selector.setCurrentNode(copied)
    assert panel.request().parameters["side"] == "automatic"


def test_every_way_out_lets_the_atlas_go(found: Any, nodes: dict[str, Any], finder: Finder) -> None:
    ui = plates_ui(found)
    for way in (
        found.ui.showOverlayButton.click,
        found.ui.showLabelsButton.click,
        lambda: setattr(ui.candidatesList, "currentRow", 1),
        found.ui.applyButton.click,
    ):
        found.ui.showLabelsButton.checked = False
        ui.adjustButton.click()
        assert None not in atlas_parent(nodes)
        way()
        assert atlas_parent(nodes) == [None, None]
    assert not ui.adjustButton.checked


def test_undo_while_the_atlas_is_held(panel: Any, nodes: dict[str, Any], finder: Finder) -> None:
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "parent")
    for role in ("moving", "moving_labels"):
        nodes[role].SetAndObserveTransformNodeID(parent.GetID())
    before = {name for name in contents() if "Display" not in name and "Storage" not in name}
    give(panel, finder, scene_sections.registration())
    plates_ui(panel).showSpaceButton.click()
    plates_ui(panel).plateSlider.value = 30
    panel.ui.undoButton.click()
    assert atlas_parent(nodes) == [parent, parent]
    assert {name for name in contents() if "Display" not in name and "Storage" not in name} == before
    assert not plates_ui(panel).platesFrame.enabled
    assert plates_ui(panel).candidatesList.count == 0


def test_cancel_leaves_the_scene_as_it_was(panel: Any, nodes: dict[str, Any], finder: Finder) -> None:
    before = contents()
    panel.ui.applyButton.click()
    assert not panel.loadSectionButton.enabled
    panel.ui.applyButton.click()
    assert (finder.ended, panel.ui.statusLabel.text) == (1, "Cancelled: the scene is as it was.")
    assert contents() == before


def test_a_held_atlas_is_let_go_after_the_scene_was_opened_again(
    found: Any, nodes: dict[str, Any], tmp_path: Path
) -> None:
    plates_ui(found).plateSlider.value = 30
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    atlas = slicer.util.getNode("Atlas template")
    assert plates_ui(found).adjustButton.checked
    assert atlas.GetParentTransformNode() is not None
    plates_ui(found).adjustButton.click()
    assert atlas.GetParentTransformNode() is None
    assert plates_ui(found).candidatesList.count == 5


@pytest.mark.parametrize("role", ["fixed", "moving"])
def test_a_node_that_is_removed_while_the_atlas_is_held(found: Any, nodes: dict[str, Any], role: str) -> None:
    plates_ui(found).plateSlider.value = 30
    holder = nodes["moving"].GetParentTransformNode().GetID()
    slicer.mrmlScene.RemoveNode(nodes[role])
    assert slicer.mrmlScene.GetNodeByID(holder) is None
    assert nodes["moving_labels"].GetParentTransformNode() is None
    assert not plates_ui(found).adjustButton.checked
    assert not plates_ui(found).adjustButton.enabled


# --- in 3D ---


def test_the_section_in_3d_follows_the_sliders(found: Any, nodes: dict[str, Any]) -> None:
    ui, grid, cut = plates_ui(found), scene_sections.cut().section.grid, scene_sections.cut()
    ui.showSpaceButton.click()
    model = slicer.util.getNode("Atlas section in the atlas")
    corner = np.append(grid.to_world([0, 0, 0]), 1)

    def shown() -> np.ndarray:
        return slicer.util.arrayFromModelPoints(model)[0] if model.GetParentTransformNode() is None else _world(model)

    np.testing.assert_allclose(shown(), (cut.matrix @ corner)[:3], atol=1e-3)
    ui.plateSlider.value = 30
    pose = scene_sections.POSE.copy()
    pose[0] = (29 - 67 / 2) * cut.case.plates.spacing
    np.testing.assert_allclose(shown(), (cut.matrix_at(pose) @ corner)[:3], atol=1e-3)
    ui.adjustButton.click()
    np.testing.assert_allclose(shown(), (cut.matrix @ corner)[:3], atol=1e-3)
    ui.showSpaceButton.click()
    assert not model.GetDisplayNode().GetVisibility()


def test_another_run_takes_the_place_of_the_models(found: Any, nodes: dict[str, Any], finder: Finder) -> None:
    plates_ui(found).showSpaceButton.click()
    first = slicer.util.getNode("Atlas template surface")
    give(found, finder, scene_sections.registration(True))
    assert not first.GetDisplayNode().GetVisibility()
    assert not plates_ui(found).showSpaceButton.checked
    plates_ui(found).showSpaceButton.click()
    assert slicer.util.getNode("Atlas template surface_1").GetDisplayNode().GetVisibility()


def _world(model: Any) -> np.ndarray:
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(model.GetParentTransformNode(), None, to_world)
    return np.array(to_world.TransformPoint(slicer.util.arrayFromModelPoints(model)[0].astype(float)))


# --- series ---


@pytest.fixture
def sections(panel: Any, nodes: dict[str, Any]) -> dict[str, Any]:
    """The sections of a brain, chosen, in another order than that of their numbers."""
    made = scene_sections.series_nodes()
    choose(panel, "atlas-series")
    for name in ("brain_s10", "brain_s2", "brain_s4"):
        panel.form.inputs["sections"].selector.check(made[name])
    return made


@pytest.fixture
def series(panel: Any, sections: dict[str, Any], finder: Finder) -> Any:
    """The panel after a run of a series."""
    give(panel, finder, scene_sections.series())
    return panel


def series_ui(panel: Any) -> Any:
    return panel.results.series.ui


def outlined() -> list[str]:
    """Segmentations that are visible."""
    shown = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    return [node.GetName() for node in shown if node.GetDisplayNode().GetVisibility()]


def test_a_series_is_handed_over_in_the_order_of_its_numbers(
    panel: Any, sections: dict[str, Any], finder: Finder
) -> None:
    before = contents()
    panel.ui.applyButton.click()
    given = finder.jobs[0].inputs["sections"]
    assert [part.name for part in given.parts] == list(sections)
    assert set(finder.jobs[0].inputs) == {"sections", "moving", "moving_labels", "encoder"}
    finder.news.append(Message("progress", "looking at section 2 of 3", 0.4))
    wait(lambda: panel.ui.progressBar.value > 0)
    assert panel.ui.statusLabel.text == "looking at section 2 of 3"
    panel.ui.applyButton.click()
    assert (finder.ended, panel.ui.statusLabel.text) == (1, "Cancelled: the scene is as it was.")
    assert contents() == before


def test_a_series_is_told_and_its_first_section_shown(series: Any, sections: dict[str, Any]) -> None:
    assert series.ui.statusLabel.text == "Done in 3 s on cpu. Read the note under Results."
    assert rows(series) == [
        ["brain_s2", "27.0", "-1.50", "5.7", "-4.0", "95%"],
        ["brain_s4", "35.0", "0.10", "5.7", "-4.0", "30%"],
        ["brain_s10", "47.0", "2.50", "5.7", "-4.0", "95%"],
    ]
    assert series_ui(series).sectionsTable.currentRow() == 0
    assert series.results.fixed is sections["brain_s2"]
    assert outlined() == ["brain_s2 regions"]
    assert series.ui.notesLabel.text.splitlines() == [
        "• The plates of these sections are doubtful, check them: brain_s4.",
        "• brain_s2: The plate was found by its looks alone.",
    ]
    selection = slicer.app.applicationLogic().GetSelectionNode()
    series_ui(series).showDepthsButton.click()
    chart = slicer.mrmlScene.GetNodeByID(selection.GetActivePlotChartID())
    assert [chart.GetNthPlotSeriesNode(line).GetName() for line in range(2)] == ["together", "alone"]
    series_ui(series).showSeriesButton.click()
    assert slicer.mrmlScene.GetNodeByID(selection.GetActiveTableID()).GetTable().GetNumberOfRows() == 3
    series.ui.showTableButton.click()
    shown = slicer.mrmlScene.GetNodeByID(selection.GetActiveTableID())
    assert shown.GetName() == "brain_s2 region table"


def test_a_row_shows_its_section_and_where_it_lies(series: Any, nodes: dict[str, Any], sections: Any) -> None:
    ui, table = plates_ui(series), series_ui(series).sectionsTable
    pose = np.array(scene_sections.pose_at(scene_sections.DEPTHS["brain_s10"]))
    cut = scene_sections.cut(tuple(pose))
    assert ui.showSpaceButton.checked
    with views.SliceView("Axial", "Red", (200, 200)) as view:
        table.setCurrentCell(2, 1)
        assert view.composite.GetBackgroundVolumeID() == sections["brain_s10"].GetID()
        shown = slicer.mrmlScene.GetNodeByID(view.composite.GetForegroundVolumeID())
        assert shown.GetName() == "brain_s10 plate"
    assert outlined() == ["brain_s10 regions"]
    assert ui.placeLabel.text == "Plate 47.0 of 68, pitch 5.7°, yaw -4.0°."
    assert ui.candidatesList.item(1).text().startswith("Plate 47.0")
    slices = [node for node in slicer.util.getNodesByClass("vtkMRMLModelNode") if "in the atlas" in node.GetName()]
    assert [node.GetName() for node in slices] == ["brain_s10 in the atlas"]
    corner = np.append(cut.section.grid.to_world([0, 0, 0]), 1)
    np.testing.assert_allclose(_world(slices[0]), (cut.matrix @ corner)[:3], atol=1e-3)
    ui.plateSlider.value = 44
    pose[0] -= 3 * cut.case.plates.spacing
    np.testing.assert_allclose(from_section(nodes["moving"].GetParentTransformNode()), cut.matrix_at(pose), atol=1e-9)
    table.setCurrentCell(0, 0)
    assert atlas_parent(nodes) == [None, None]
    assert outlined() == ["brain_s2 regions"]
    ui.showSpaceButton.click()
    table.setCurrentCell(1, 0)
    assert not ui.showSpaceButton.checked
    assert not any(
        node.GetName() == "brain_s4 in the atlas" for node in slicer.util.getNodesByClass("vtkMRMLModelNode")
    )


def rows(panel: Any) -> list[list[str]]:
    table = series_ui(panel).sectionsTable
    return [[table.item(row, column).text() for column in range(6)] for row in range(table.rowCount)]


def test_one_section_of_a_series_is_corrected_by_hand(series: Any, sections: dict[str, Any], finder: Finder) -> None:
    """By the method for one, and stays one of the series; undone, it is again as it was found with the others."""
    before = rows(series)
    series_ui(series).sectionsTable.setCurrentCell(1, 0)
    plates_ui(series).yawSlider.value = 10.0
    plates_ui(series).acceptButton.click()
    job = finder.jobs[-1]
    assert (job.method, job.inputs["fixed"].name) == ("atlas-slice", "brain_s4")
    assert float(str(job.parameters["pose"]).split(",")[2]) == pytest.approx(np.radians(10.0))
    made = dataclasses.replace(scene_sections.registration(pose=scene_sections.pose_at(0.5)))
    made.metrics = {name: value for name, value in made.metrics.items() if name != "confidence"}
    made.warped_labels = None
    give(series, finder, made)
    assert series.results.fixed is sections["brain_s4"]
    assert rows(series) == [before[0], ["brain_s4", "37.0", "0.50", "5.7", "-4.0", "–"], before[2]]
    assert "warped_labels" not in series.results.nodes, "those of before lie elsewhere"
    assert plates_ui(series).placeLabel.text.startswith("Plate 37.0")
    assert plates_ui(series).showSpaceButton.checked
    series.ui.undoButton.click()
    assert rows(series) == before
    assert series.results.fixed is sections["brain_s4"]
    assert outlined() == ["brain_s4 regions"]
    series.ui.undoButton.click()
    assert rows(series) == []
    assert series.results.nodes == {}


def test_a_section_found_in_another_atlas_is_none_of_the_series(
    series: Any, nodes: dict[str, Any], sections: dict[str, Any], finder: Finder
) -> None:
    choose(series, "atlas-slice")
    other = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, nodes["moving"], "other atlas")
    series.form.inputs["moving"].selector.setCurrentNode(other)
    series.form.inputs["moving_labels"].selector.setCurrentNode(None)
    series.form.inputs["fixed"].selector.setCurrentNode(sections["brain_s4"])
    give(series, finder, scene_sections.registration())
    assert rows(series) == []
    assert series.results.moving is other


def test_a_series_is_undone(
    panel: Any, sections: dict[str, Any], finder: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The panel follows the end of it, not each of its many nodes."""
    before = {name for name in contents() if "Display" not in name and "Storage" not in name}
    give(panel, finder, scene_sections.series())
    for row in (2, 1):
        series_ui(panel).sectionsTable.setCurrentCell(row, 0)
    plates_ui(panel).plateSlider.value = 30
    filled, fill = [], panel.results.series.fill
    monkeypatch.setattr(panel.results.series, "fill", lambda *given: filled.append(fill(*given)))
    panel.ui.undoButton.click()
    assert len(filled) < 5
    assert {name for name in contents() if "Display" not in name and "Storage" not in name} == before
    assert series_ui(panel).seriesSection.isHidden()
    assert panel.results.nodes == {}


def test_a_series_comes_back_with_its_scene(
    panel: Any, sections: dict[str, Any], finder: Finder, tmp_path: Path
) -> None:
    """Whatever its sections are called."""
    made, odd = scene_sections.series(), 'a: "s4" <b>; ü %20'
    sections["brain_s4"].SetName(odd)
    made.parts = {odd if name == "brain_s4" else name: part for name, part in made.parts.items()}
    made.tables["series"].rows[1][0] = odd
    give(panel, finder, made)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear()
    assert series_ui(panel).seriesSection.isHidden()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert not series_ui(panel).seriesSection.isHidden()
    series_ui(panel).sectionsTable.setCurrentCell(1, 0)
    assert panel.results.fixed.GetName() == odd
    assert panel.results.nodes["transform"].GetName() == f"{odd} transform"
    assert plates_ui(panel).placeLabel.text.startswith("Plate 35.0")


def test_a_section_that_is_gone_cannot_be_chosen(series: Any, sections: dict[str, Any]) -> None:
    table = series_ui(series).sectionsTable
    slicer.mrmlScene.RemoveNode(sections["brain_s2"])
    assert series.results.fixed is None
    assert not plates_ui(series).platesFrame.enabled
    assert table.item(0, 0).flags() == qt.Qt.NoItemFlags
    table.setCurrentCell(1, 0)
    assert series.results.fixed is sections["brain_s4"]
    assert outlined()[-1] == "brain_s4 regions"


def test_a_single_section_after_a_series_is_shown_alone(series: Any, finder: Finder) -> None:
    choose(series, "atlas-slice")
    assert not series_ui(series).seriesSection.isHidden()
    give(series, finder, scene_sections.registration())
    assert series_ui(series).seriesSection.isHidden()
    assert outlined() == ["Atlas section regions"]


# --- trainings ---


@pytest.fixture
def learning(panel: Any, nodes: dict[str, Any], tmp_path: Path) -> Any:
    """The panel, ready to train."""
    choose(panel, "atlas-encoder")
    assert panel.ui.applyButton.toolTip == "Select the file of the encoder first."
    assert not panel.ui.outputsSection.collapsed
    assert plates_ui(panel).platesSection.isHidden()
    panel.form.outputs["checkpoint"].widget.currentPath = str(tmp_path / "learned.safetensors")
    return panel


def test_a_training_writes_a_file_and_hands_it_on(learning: Any, finder: Finder, tmp_path: Path) -> None:
    learning.ui.applyButton.click()
    assert set(finder.jobs[0].inputs) == {"moving", "moving_labels"}
    finder.news += [
        Message("progress", "Iteration 10", 0.5),
        Message("curve", name="training", x=10, values={"loss": 2.0}),
    ]
    wait(lambda: learning.ui.progressBar.value > 0)
    assert learning.ui.energyLabel.text == "Training at 10: loss 2"
    give(learning, finder, scene_sections.training())
    assert learning.ui.statusLabel.text == "Done in 2 s on cpu. Read the note under Results."
    assert (tmp_path / "learned.safetensors").is_file()
    assert learning.form.inputs["encoder"].node == str(tmp_path / "learned.safetensors")
    assert learning.state.text("input.encoder") == str(tmp_path / "learned.safetensors")
    assert learning.ui.showEnergyButton.text == "Training plot"
    selection = slicer.app.applicationLogic().GetSelectionNode()
    learning.ui.showEnergyButton.click()
    assert selection.GetActivePlotChartID() == learning.results.nodes["training_chart"].GetID()
    learning.ui.showTableButton.click()
    assert selection.GetActiveTableID() == learning.results.nodes["validation"].GetID()
    learning.ui.undoButton.click()
    assert learning.results.nodes == {}
    assert (tmp_path / "learned.safetensors").is_file()


def test_what_a_training_starts_from_is_a_file(learning: Any, finder: Finder, tmp_path: Path) -> None:
    field = learning.form.inputs["weights"]
    assert field.widget.nameFilters == ["Weights (*.safetensors *.pth *.pt)"]
    field.widget.currentPath = str(tmp_path / "resnet18.pth")
    learning.ui.applyButton.click()
    assert learning.ui.statusLabel.text.startswith("The starting weights file '")
    (tmp_path / "resnet18.pth").touch()
    learning.ui.applyButton.click()
    assert finder.jobs[0].inputs["weights"] == str(tmp_path / "resnet18.pth")


def test_where_nothing_can_be_written_no_training_starts(learning: Any, finder: Finder) -> None:
    learning.form.outputs["checkpoint"].widget.currentPath = "/nowhere/at/all.safetensors"
    learning.ui.applyButton.click()
    assert learning.ui.statusLabel.text.startswith("The folder '/nowhere/at' does not exist: make it first")
    assert finder.jobs == []


def test_a_cancelled_training_leaves_the_file_of_before(learning: Any, finder: Finder, tmp_path: Path) -> None:
    (tmp_path / "learned.safetensors").write_text("before")
    before = contents()
    learning.ui.applyButton.click()
    learning.ui.applyButton.click()
    assert (tmp_path / "learned.safetensors").read_text() == "before"
    assert contents() == before


# --- the module ---


def test_the_console_identifies_and_trains(
    module: simulation.LoadedModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regsuite import jobs

    nodes, asked = samples.atlas_section(), []

    def execute(job: Any, _progress: Any) -> Any:
        asked.append(job)
        learns = catalog.method(job.method).gives == "checkpoint"
        return scene_sections.training() if learns else scene_sections.registration()

    monkeypatch.setattr(jobs, "execute", execute)
    logic, path = module.logic(), tmp_path / "atlas.safetensors"
    trained = logic.train(nodes["moving"], nodes["moving_labels"], path, minutes=5)
    assert "validation" in trained
    made = logic.identify(nodes["fixed"], nodes["moving"], nodes["moving_labels"], encoder=path, candidates=3)
    assert plates.place_of(made) is not None
    assert [job.method for job in asked] == ["atlas-encoder", "atlas-slice"]
    assert asked[1].inputs["encoder"] == str(path)
    assert asked[1].parameters == {"candidates": 3}


def test_the_console_identifies_a_series(
    module: simulation.LoadedModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regsuite import jobs

    nodes, asked = {**samples.atlas_section(), "sections": list(scene_sections.series_nodes().values())}, []

    def execute(job: Any, _progress: Any) -> Any:
        asked.append(job)
        return scene_sections.series()

    monkeypatch.setattr(jobs, "execute", execute)
    (tmp_path / "atlas.safetensors").touch()
    made = module.logic().identify_series(
        nodes["sections"], nodes["moving"], encoder=tmp_path / "atlas.safetensors", preset="series", candidates=3
    )
    assert [part.name for part in asked[0].inputs["sections"].parts] == list(scene_sections.DEPTHS)
    assert (asked[0].method, asked[0].parameters) == ("atlas-series", {"deformation": "none", "candidates": 3})
    assert {"series", "depths_chart", "brain_s10 transform"} <= set(made)


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_cut_off(module: simulation.LoadedModule, panel: Any, nodes: dict[str, Any], name: str) -> None:
    choose(panel, name)
    panel.ui.advancedSection.collapsed = False
    panel.ui.outputsSection.collapsed = False
    window = fitted(module.widgetRepresentation(), 450)
    picture(window, f"panel-{name}-all")
    assert cut_off(window) == []


def test_the_panel_with_a_series(module: simulation.LoadedModule, series: Any) -> None:
    for section in ("inputsSection", "parametersSection", "logSection"):
        getattr(series.ui, section).collapsed = True
    window = fitted(module.widgetRepresentation(), 480)
    picture(window, "panel-atlas-series")
    assert cut_off(window) == []
    table = series_ui(series).sectionsTable
    assert not table.horizontalScrollBar().isVisible()
    assert not table.verticalScrollBar().isVisible()


def test_the_panel_with_what_was_found(module: simulation.LoadedModule, found: Any) -> None:
    for section in ("parametersSection", "logSection"):
        getattr(found.ui, section).collapsed = True
    plates_ui(found).candidatesList.currentRow = 1
    plates_ui(found).plateSlider.value = 40.5
    window = fitted(module.widgetRepresentation(), 480)
    picture(window, "panel-atlas-found")
    assert cut_off(window) == []


# --- headless ---


@pytest.fixture
def files(module: simulation.LoadedModule, tmp_path: Path) -> dict[str, str]:
    """The sample as files, by role; the section is a photograph of it."""
    from regsuite import io

    cut = scene_sections.cut()
    io.write_image(tmp_path / "template.nii.gz", cut.case.template)
    io.write_labels(tmp_path / "regions.seg.nrrd", cut.case.labels)
    grey = (255 * cut.section.data[0, 0, 0].clamp(0, 1)).numpy().astype(np.uint8)
    colours, size = np.stack([grey, grey, 255 - grey], axis=-1), {"PhysicalSizeX": 80.0, "PhysicalSizeY": 80.0}
    tifffile.imwrite(tmp_path / "section.ome.tif", colours, photometric="rgb", metadata=size)
    (tmp_path / "atlas.safetensors").touch()
    names = {"fixed": "section.ome.tif", "moving": "template.nii.gz", "moving_labels": "regions.seg.nrrd"}
    return {role: str(tmp_path / name) for role, name in names.items()} | {
        "encoder": str(tmp_path / "atlas.safetensors")
    }


def headless(method: str, files: dict[str, str], roles: tuple[str, ...], out: Path) -> dict[str, Any]:
    """Runs from the command line; the report."""
    from RegistrationSuiteLib import run_headless

    words = [word for role in roles for word in (f"--{role.replace('_', '-')}", files[role])]
    assert run_headless.main([method, *words, "--out", str(out)]) == 0
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def complete(record: dict[str, Any], method: str) -> dict[str, Any]:
    """As a run would leave it."""
    declared = catalog.method(method)
    named = {"method": method, "title": declared.title, "citation": dataclasses.asdict(declared.citation)}
    machine = {"peak_memory_mb": 1.0, "versions": {}, "log": [], "started": "", "device_asked": "cpu"}
    return {**record, **named, **machine, "parameters": {}, "seed": 0}


def test_a_section_is_found_headless(files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regsuite import jobs

    asked = []

    def execute(job: Any, _progress: Any) -> Any:
        asked.append(job)
        made = scene_sections.registration()
        return dataclasses.replace(made, record=complete(made.record, job.method))

    monkeypatch.setattr(jobs, "execute", execute)
    roles = ("fixed", "moving", "moving_labels", "encoder")
    report = headless("atlas-slice", files, roles, tmp_path / "out")
    assert asked[0].inputs["fixed"].data.shape == (1, 3, 1, 120, 160)
    assert asked[0].inputs["fixed"].grid.same_as(scene_sections.cut().section.grid, 1e-4)
    assert asked[0].inputs["encoder"] == files["encoder"]
    for name in ("transform", "warped", "warped_labels", "candidates", "ranking", "regions", "scene"):
        assert (tmp_path / "out" / report["files"][name]).exists(), name


def test_an_encoder_is_trained_headless(files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regsuite import jobs

    asked = []

    def execute(job: Any, _progress: Any) -> Any:
        asked.append(job)
        made = scene_sections.training()
        return dataclasses.replace(made, record=complete(made.record, job.method))

    monkeypatch.setattr(jobs, "execute", execute)
    (tmp_path / "resnet18.pth").touch()
    given = {**files, "weights": str(tmp_path / "resnet18.pth")}
    report = headless("atlas-encoder", given, ("moving", "moving_labels", "weights"), tmp_path / "out")
    assert asked[0].inputs["weights"] == given["weights"]
    assert set(report["files"]) == {"checkpoint", "training", "validation"}
    assert {each.name for each in (tmp_path / "out").iterdir()} == {*report["files"].values(), "report.json"}
