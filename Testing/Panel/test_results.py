"""The buttons that show a result: what they do to the views, and that undo takes all of it away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import slicer.util
from conftest import contents, picture_folder, wait
from RegistrationSuiteLib import display, records, samples, views
from Rig import simulation


@pytest.fixture
def view(session: Any) -> Iterator[views.SliceView]:
    """The red slice view."""
    with views.SliceView("Axial", "Red", (360, 360)) as opened:
        yield opened


@pytest.fixture
def done(view: views.SliceView, panel: Any) -> Any:
    """The panel after a quick run on the flat head."""
    for role, node in samples.tumour_head_2d().items():
        panel.form.inputs[role].selector.setCurrentNode(node)
    panel.before = set(contents())
    iterations = next(each for each in panel.form.forms.fields if each.parameter.name == "iterations")
    iterations.widget.value = 2
    panel.ui.applyButton.click()
    wait(lambda: not panel.runner.running, 300)
    assert panel.ui.statusLabel.text.startswith("Done in "), panel.ui.statusLabel.text
    return panel


def layers(view: views.SliceView) -> tuple[str, str]:
    """The names of what lies behind and in front."""
    found = []
    for node_id in (view.composite.GetBackgroundVolumeID(), view.composite.GetForegroundVolumeID()):
        node = slicer.mrmlScene.GetNodeByID(node_id) if node_id else None
        found.append(node.GetName() if node else "")
    return found[0], found[1]


def visible_legends() -> list[str]:
    nodes = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    return [node.GetTitleText() for node in nodes if node.GetVisibility()]


def test_a_result_is_shown_at_once(done: Any, view: views.SliceView) -> None:
    assert layers(view) == ("Flat head patient", "Flat head healthy warped")
    assert view.composite.GetForegroundOpacity() == 0.5
    assert done.ui.showLabelsButton.checked
    assert "mean Dice" in done.ui.statusLabel.text
    done.ui.fadeSlider.value = 0.2
    assert view.composite.GetForegroundOpacity() == pytest.approx(0.2)


def test_every_button_changes_the_picture(done: Any, view: views.SliceView) -> None:
    ui, kept = done.ui, {"overlay": view.render()}
    for name in ("showGridButton", "showJacobianButton", "showIntensityButton"):
        before = view.render()
        getattr(ui, name).click()
        kept[name] = view.render()
        assert np.abs(kept[name].astype(int) - before).max() > 60, name
        getattr(ui, name).click()
        assert np.array_equal(view.render(), before), name
    ui.showLabelsButton.click()
    assert not np.array_equal(view.render(), kept["overlay"])
    sheet = views.panel([[(name.removeprefix("show").removesuffix("Button"), each) for name, each in kept.items()]])
    views.save_png(sheet, picture_folder() / "panel-views.png")


def test_one_map_at_a_time_and_its_legend_goes_with_it(done: Any, view: views.SliceView) -> None:
    ui = done.ui
    ui.showJacobianButton.click()
    assert (layers(view)[1], visible_legends()) == ("Flat head healthy Jacobian", ["Jacobian"])
    ui.showIntensityButton.click()
    assert not ui.showJacobianButton.checked
    assert (layers(view)[1], visible_legends()) == ("Flat head healthy intensity added", ["Added"])
    ui.showOverlayButton.click()
    assert not ui.showIntensityButton.checked
    assert (layers(view)[1], visible_legends()) == ("Flat head healthy warped", [])


def test_the_evolution_plays_and_pauses(done: Any, view: views.SliceView) -> None:
    ui, sequence = done.ui, done.state.results()["evolution"]
    frames = sequence.GetNumberOfDataNodes()
    assert ui.evolutionSlider.maximum == frames - 1
    ui.playButton.click()
    assert ui.playButton.text == "Pause"
    wait(lambda: ui.evolutionSlider.value == 2)
    ui.playButton.click()
    assert ui.playButton.text == "Play evolution"
    assert display.browser_of(sequence).GetSelectedItemNumber() == ui.evolutionSlider.value
    assert "evolution" in layers(view)[1]
    last = ui.evolutionSlider.maximum
    ui.evolutionSlider.value = last
    proxy = display.browser_of(sequence).GetProxyNode(sequence)
    shown = slicer.util.arrayFromVolume(proxy)
    assert np.allclose(shown, slicer.util.arrayFromVolume(sequence.GetNthDataNode(int(last))))
    ui.showOverlayButton.click()
    assert layers(view)[1] == "Flat head healthy warped"


def test_plot_and_table_are_selected(done: Any) -> None:
    selection = slicer.app.applicationLogic().GetSelectionNode()
    done.ui.showEnergyButton.click()
    assert selection.GetActivePlotChartID() == done.state.results()["energy_chart"].GetID()
    done.ui.showTableButton.click()
    assert selection.GetActiveTableID() == done.state.results()["overlap"].GetID()


# --- what a method tells beside its images: notes, figures, labels on the moving image, a second curve ---


@pytest.fixture
def told(view: views.SliceView, stand_in_panel: Any) -> Any:
    """The stand-in's panel after a run with a mask."""
    panel = stand_in_panel
    panel.form.inputs["mask"].selector.setCurrentNode(slicer.util.getNode("Head lesion"))
    panel.before = set(contents())
    panel.ui.applyButton.click()
    wait(lambda: not panel.runner.running)
    return panel


def test_notes_and_what_shape_explains_are_told(told: Any, stand_in: Any) -> None:
    ui = told.ui
    assert (ui.notesLabel.text, ui.notesLabel.isHidden()) == (stand_in.NOTE, False)
    assert ui.shapeLabel.text == "Explained by shape: 83 % (outside the lesion 97 %)"
    assert not ui.shapeLabel.isHidden()
    assert "deformation alone accounts for" in ui.shapeLabel.toolTip
    ui.undoButton.click()
    assert ui.notesLabel.isHidden()
    assert ui.shapeLabel.isHidden()


def test_nothing_is_told_where_there_is_nothing_to_tell(told: Any) -> None:
    told.results.nodes["transform"].SetAttribute(records.NOTES, "[]")
    table = told.results.nodes["metrics"]
    for name in ("explained_by_shape_outside", "explained_by_shape"):
        row = list(records.metrics_of(told.results.nodes)).index(name)
        table.RemoveRow(row)
        told.results.refresh()
        shape = told.ui.shapeLabel
        assert (shape.text, shape.isHidden()) in [("Explained by shape: 83 %", False), ("", True)]
    assert told.ui.shapeLabel.isHidden()
    assert told.ui.notesLabel.isHidden()


def test_a_saved_scene_tells_it_again(told: Any, stand_in: Any, tmp_path: Path) -> None:
    ui = told.ui
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    assert ui.notesLabel.isHidden()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert ui.notesLabel.text == stand_in.NOTE
    assert ui.shapeLabel.text == "Explained by shape: 83 % (outside the lesion 97 %)"
    assert ui.showMovingButton.enabled
    assert ui.showSpendingButton.enabled


def test_labels_on_the_moving_image_come_and_go_with_it(told: Any, view: views.SliceView) -> None:
    ui, carried = told.ui, told.results.nodes["mask_on_moving"]
    assert not carried.GetDisplayNode().GetVisibility()
    ui.showJacobianButton.click()
    ui.showMovingButton.click()
    assert layers(view) == ("Head healthy", "")
    assert carried.GetDisplayNode().GetVisibility()
    assert not ui.showJacobianButton.checked
    assert visible_legends() == []
    ui.showMovingButton.click()
    assert layers(view) == ("Head patient", "Head healthy warped")
    assert not carried.GetDisplayNode().GetVisibility()
    for button in ("showJacobianButton", "playButton", "showOverlayButton"):
        ui.showMovingButton.click()
        getattr(ui, button).click()
        assert not ui.showMovingButton.checked
        assert not carried.GetDisplayNode().GetVisibility()
        assert layers(view)[0] == "Head patient"
    ui.showMovingButton.click()
    ui.undoButton.click()
    assert set(contents()) - told.before == set()
    assert not ui.showMovingButton.checked
    view.render()


def test_labels_on_the_moving_image_hide_those_on_the_fixed_one(told: Any, view: views.SliceView) -> None:
    ui = told.ui
    told.form.inputs["moving_labels"].selector.setCurrentNode(slicer.util.getNode("Head healthy structures"))
    ui.applyButton.click()
    wait(lambda: not told.runner.running)
    warped = told.results.nodes["warped_labels"].GetDisplayNode()
    assert warped.GetVisibility()
    ui.showMovingButton.click()
    assert not warped.GetVisibility()
    assert not ui.showLabelsButton.checked
    for button in (ui.showGridButton, ui.showLabelsButton):  # which are of the fixed image, and bring it back
        if not ui.showMovingButton.checked:
            ui.showMovingButton.click()
        button.click()
        assert not ui.showMovingButton.checked
        assert layers(view)[0] == "Head patient"
    assert warped.GetVisibility()


def test_without_labels_on_it_the_moving_image_is_not_offered(view: views.SliceView, stand_in_panel: Any) -> None:
    stand_in_panel.ui.applyButton.click()
    wait(lambda: not stand_in_panel.runner.running)
    assert stand_in_panel.ui.showOverlayButton.enabled
    assert not stand_in_panel.ui.showMovingButton.enabled


def test_labels_go_into_the_chosen_segmentation(told: Any) -> None:
    mine = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    told.form.outputs["mask_on_moving"].widget.setCurrentNode(mine)
    told.ui.applyButton.click()
    wait(lambda: not told.runner.running)
    assert told.results.nodes["mask_on_moving"] is mine
    assert [mine.GetSegmentation().GetNthSegment(0).GetName(), mine.GetName()] == ["Lesion", "mine"]
    told.ui.undoButton.click()
    assert slicer.mrmlScene.IsNodePresent(mine)


def test_every_curve_has_its_plot(told: Any) -> None:
    selection = slicer.app.applicationLogic().GetSelectionNode()
    for button, name in (("showSpendingButton", "spending"), ("showEnergyButton", "energy")):
        getattr(told.ui, button).click()
        assert selection.GetActivePlotChartID() == told.results.nodes[f"{name}_chart"].GetID()


def test_undo_leaves_nothing_of_what_was_shown(done: Any, view: views.SliceView) -> None:
    ui = done.ui
    for name in ("showGridButton", "showJacobianButton", "showIntensityButton", "playButton", "showEnergyButton"):
        getattr(ui, name).click()
    ui.undoButton.click()
    left = set(contents()) - done.before
    assert left == set()
    assert layers(view) == ("Flat head patient", "")
    assert not ui.resultsFrame.enabled
    assert not any(getattr(ui, name).checked for name in ("showGridButton", "showLabelsButton", "playButton"))
    view.render()


def test_results_are_there_again_in_a_saved_scene(
    done: Any, view: views.SliceView, tmp_path: Path, module: simulation.LoadedModule
) -> None:
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    assert not done.ui.resultsFrame.enabled
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert done.ui.showJacobianButton.enabled
    done.ui.undoButton.click()
    names = {name for name, _ in contents().values()}
    assert not {name for name in names if name.startswith("Flat head healthy ")} - {"Flat head healthy structures"}
    assert "Flat head healthy" in names


def test_a_removed_result_is_no_longer_offered(done: Any) -> None:
    slicer.mrmlScene.RemoveNode(done.state.results()["jacobian"])
    assert not done.ui.showJacobianButton.enabled
    assert done.ui.showGridButton.enabled
