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
from conftest import ROOT, contents, wait
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
METHODS = ("atlas-slice", "atlas-slice-mi", "atlas-encoder")


class Finder:
    """A worker that gives what the tests say it found."""

    def __init__(self) -> None:
        self.jobs: list[Any] = []
        self.news: list[Message] = []
        self.ended = 0

    def start(self) -> None:
        """It is always there."""

    def submit(self, job: Any) -> None:
        catalog.method(job.method).check_values(job.parameters)
        self.jobs.append(job)

    def poll(self) -> list[Message]:
        news, self.news = self.news, []
        return news

    def cancel(self) -> None:
        self.ended += 1

    close = cancel


@pytest.fixture
def module(session: Any) -> Iterator[simulation.LoadedModule]:
    loaded = simulation.load_module(MODULE)
    yield loaded
    loaded.close()


@pytest.fixture
def finder() -> Finder:
    return Finder()


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


def give(panel: Any, finder: Finder, result: Any) -> None:
    """Apply, and the worker brings the result."""
    if not panel.runner.running:
        panel.ui.applyButton.click()
    assert panel.runner.running, panel.ui.statusLabel.text
    finder.news.append(Message("done", result=result))
    wait(lambda: not panel.runner.running)


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


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_cut_off(module: simulation.LoadedModule, panel: Any, nodes: dict[str, Any], name: str) -> None:
    choose(panel, name)
    panel.ui.advancedSection.collapsed = False
    panel.ui.outputsSection.collapsed = False
    window = fitted(module.widgetRepresentation(), 450)
    picture(window, f"panel-{name}-all")
    assert cut_off(window) == []


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
