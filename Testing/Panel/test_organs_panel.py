"""The panel of Multi-Organ Point Clouds: tables of organs, surfaces, and results without an image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from conftest import ROOT, contents, wait
from RegistrationSuiteLib import samples, views
from RegistrationSuiteLib.panel.fields import describe
from RegistrationSuiteLib.runner import JobRunner
from regsuite import catalog
from regsuite.couplings import coherence_matrix
from Rig import simulation

MODULE = ROOT / "RegistrationSuite" / "MultiOrganPointClouds" / "MultiOrganPointClouds.py"
ORGANS = ["Liver", "Spleen", "Left kidney", "Right kidney", "Bladder"]


@pytest.fixture
def panel(session: Any, warm_worker: Any) -> Iterator[Any]:
    """The module's panel in an empty scene."""
    loaded = simulation.load_module(MODULE)
    made = loaded.widgetRepresentation().self().panel
    made.runner = JobRunner(warm_worker)
    yield made
    loaded.close()


@pytest.fixture
def nodes(panel: Any) -> dict[str, Any]:
    """Two abdomens, their organs chosen and no image."""
    made = samples.abdomen_3d()
    for role in ("fixed_labels", "moving_labels"):
        panel.form.inputs[role].selector.setCurrentNode(made[role])
    return made


def field(panel: Any, name: str) -> Any:
    return next(each for each in panel.form.forms.fields if each.parameter.name == name)


def rows(table: Any) -> list[str]:
    return [table.verticalHeaderItem(place).text() for place in range(table.rowCount)]


def write(panel: Any, name: str, row: int, column: int, text: str) -> None:
    """As a user edits a cell."""
    field(panel, name).table.item(row, column).setText(text)


def quick(panel: Any) -> None:
    for name, text in (("points", "100"), ("resolution", "8")):
        field(panel, name).set_text(text)


def balls(name: str, x: float) -> Any:
    source = vtk.vtkSphereSource()
    source.SetCenter(x, 0, 0)
    source.SetRadius(20)
    source.SetThetaResolution(20)
    source.SetPhiResolution(20)
    source.Update()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", name)
    node.SetAndObserveMesh(source.GetOutput())
    return node


def test_buttons_are_those_of_what_the_methods_give(panel: Any) -> None:
    ui = panel.ui
    hidden = ("playButton", "evolutionSlider", "showIntensityButton", "showSpendingButton")
    assert not any(getattr(ui, name).isVisibleTo(panel.widget) for name in hidden)
    assert all(getattr(ui, name).isVisibleTo(panel.widget) for name in ("showBeforeButton", "showErrorButton"))
    assert ui.showEnergyButton.text == "Fit plot"


def test_a_side_without_anything_is_asked_for(panel: Any) -> None:
    assert not panel.ui.applyButton.enabled
    assert panel.ui.applyButton.toolTip == "Select the fixed organs first."
    panel.form.inputs["fixed_surfaces"].selector.check(balls("Liver", 0))
    assert panel.ui.applyButton.toolTip == "Select the moving organs first."
    panel.form.inputs["moving_surfaces"].selector.check(balls("Liver", 9))
    assert panel.ui.applyButton.enabled


def test_tables_have_a_row_for_every_organ_of_both_sides(panel: Any, nodes: dict[str, Any]) -> None:
    for name in ("organs", "coherence_matrix", "transition_matrix"):
        assert rows(field(panel, name).table) == ORGANS
    panel.form.inputs["moving_labels"].selector.setCurrentNode(None)
    assert rows(field(panel, "organs").table) == []


def test_rows_follow_segments_that_are_renamed_added_and_removed(panel: Any, nodes: dict[str, Any]) -> None:
    table = field(panel, "organs").table
    fixed, moving = (nodes[f"{side}_labels"].GetSegmentation() for side in ("fixed", "moving"))
    assert not panel.form.inputs["fixed_labels"].segments.isVisibleTo(panel.widget)
    for segmentation in (fixed, moving):
        segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName("Liver")).SetName("Lever")
    assert rows(table) == ["Lever", *ORGANS[1:]]
    for segmentation in (fixed, moving):
        segmentation.AddEmptySegment("", "Colon")
    assert rows(table) == ["Lever", *ORGANS[1:], "Colon"]
    moving.RemoveSegment(moving.GetSegmentIdBySegmentName("Spleen"))
    assert rows(table) == ["Lever", *ORGANS[2:], "Colon"]
    assert not panel.form.inputs["fixed_labels"].segments.isVisibleTo(panel.widget)


def test_rows_follow_models_that_are_renamed(panel: Any) -> None:
    models = {side: [balls(f"{side} {place}", place) for place in range(2)] for side in ("fixed", "moving")}
    for side, each in models.items():
        for model in each:
            panel.form.inputs[f"{side}_surfaces"].selector.check(model)
    assert rows(field(panel, "organs").table) == []
    for model in (models["fixed"][0], models["moving"][1]):
        model.SetName("Femur")
    assert rows(field(panel, "organs").table) == ["Femur"]


def test_a_cell_is_one_organ_s_own_value(panel: Any, nodes: dict[str, Any]) -> None:
    write(panel, "organs", 0, 1, "7.5")
    write(panel, "organs", 4, 0, "90")
    wanted = {"Liver": {"deviation": 7.5}, "Bladder": {"points": 90}}
    assert json.loads(panel.request().parameters["organs"]) == wanted
    for text in ("much", "nan", "inf", "1e999"):
        write(panel, "organs", 0, 1, text)
        assert field(panel, "organs").table.item(0, 1).text() == "7.5"
    write(panel, "organs", 0, 1, "")
    assert json.loads(panel.request().parameters["organs"]) == {"Bladder": {"points": 90}}
    assert catalog.method("mo-bcpd").check_values(panel.request().parameters).organs == (("Bladder", "points", 90.0),)


def test_coherence_holds_both_ways(panel: Any, nodes: dict[str, Any]) -> None:
    write(panel, "coherence_matrix", 1, 3, "0,4")
    assert field(panel, "coherence_matrix").table.item(3, 1).text() == "0.4"
    assert not field(panel, "coherence_matrix").table.item(2, 2).flags() & field_editable()
    write(panel, "coherence_matrix", 3, 1, "")
    assert field(panel, "coherence_matrix").table.item(1, 3).text() == ""


def field_editable() -> Any:
    import qt

    return qt.Qt.ItemIsEditable


def test_the_nearest_valid_matrix_is_taken(panel: Any, nodes: dict[str, Any]) -> None:
    """Two organs that go with a third and not with each other: Higham's example."""
    write(panel, "coherence_matrix", 0, 1, "1")
    write(panel, "coherence_matrix", 1, 2, "1")
    write(panel, "coherence_matrix", 0, 2, "0")
    field(panel, "coherence_matrix").mend.click()
    cells = catalog.method("mo-bcpd").check_values(panel.request().parameters).coherence_matrix
    found = coherence_matrix(ORGANS, 0.0, cells)
    assert found[0, 1] == pytest.approx(0.7607, abs=2e-3)
    assert found[0, 2] == pytest.approx(0.1573, abs=2e-3)


def typed(panel: Any) -> str:
    return str(panel.request().parameters["coherence_matrix"])


def test_a_valid_matrix_stays_as_it_is(panel: Any, nodes: dict[str, Any]) -> None:
    """With what the general parameter says of the empty cells, it can be."""
    field(panel, "coherence").set_text("0.9")
    write(panel, "coherence_matrix", 0, 1, "0.9123")
    before = typed(panel)
    field(panel, "coherence_matrix").mend.click()
    assert typed(panel) == before


@pytest.mark.parametrize("general", ["0", "0.5", "0.9", "1"])
@pytest.mark.parametrize("cells", [((0, 1, "1"), (1, 2, "1")), ((0, 1, "0"), (2, 3, "1.5")), ((0, 1, "-3"),)])
def test_what_is_put_in_can_be_run(
    panel: Any, nodes: dict[str, Any], general: str, cells: tuple[tuple[int, int, str], ...]
) -> None:
    field(panel, "coherence").set_text(general)
    for row, column, text in cells:
        write(panel, "coherence_matrix", row, column, text)
    field(panel, "coherence_matrix").mend.click()
    parameters = catalog.method("mo-bcpd").check_values(panel.request().parameters)
    coherence_matrix(ORGANS, parameters.coherence, parameters.coherence_matrix)


def test_a_matrix_that_was_typed_elsewhere_is_mended(panel: Any, nodes: dict[str, Any]) -> None:
    """One cell for both ways, and two that differ."""
    table = field(panel, "coherence_matrix")
    table.set_text(json.dumps({"Liver": {"Spleen": 0.2, "Bladder": 0.4}, "spleen": {"liver": 0.4}}))
    assert table.table.item(4, 0).text() == "0.4"
    table.mend.click()
    assert [table.table.item(*place).text() for place in ((0, 1), (1, 0), (0, 4))] == ["0.3", "0.3", "0.4"]


def test_cells_of_organs_that_are_not_there_are_kept_and_not_asked(panel: Any, nodes: dict[str, Any]) -> None:
    table = field(panel, "transition_matrix")
    kept = {"liver ": {"SPLEEN": 0.1, "Colon": 0.2}, "Colon": {"Liver": 0.3}}
    table.set_text(json.dumps(kept))
    assert table.table.item(0, 1).text() == "0.1"
    assert json.loads(panel.request().parameters["transition_matrix"]) == {"Liver": {"Spleen": 0.1}}
    assert json.loads(table.text()) == {"liver": {"SPLEEN": 0.1, "Colon": 0.2}, "Colon": {"Liver": 0.3}}
    write(panel, "transition_matrix", 0, 1, "")
    assert json.loads(table.text()) == {"liver": {"Colon": 0.2}, "Colon": {"Liver": 0.3}}


def test_what_cells_are_told_of(panel: Any, nodes: dict[str, Any]) -> None:
    shown = {name: field(panel, f"{name}_matrix").table.item(0, 1).toolTip() for name in ("coherence", "transition")}
    assert "How far Liver and Spleen move together, 0 to 1. Empty: as Coherence between organs." in shown["coherence"]
    assert "Share of Liver's points that the fixed segmentation calls Spleen. Where a row" in shown["transition"]
    assert "Default" not in describe(field(panel, "organs").parameter)


def test_tables_outlive_a_preset_and_not_a_reset(panel: Any, nodes: dict[str, Any]) -> None:
    write(panel, "organs", 0, 1, "7.5")
    assert panel.ui.presetComboBox.currentText == "Two persons"
    panel.ui.presetComboBox.currentIndex = 1
    assert panel.ui.presetComboBox.currentText == "One person, two times"
    assert field(panel, "pose").text() == "rigid"
    assert json.loads(panel.request().parameters["organs"]) == {"Liver": {"deviation": 7.5}}
    panel.ui.resetButton.click()
    assert panel.request().parameters["organs"] == ""


def test_tables_and_surfaces_come_back_with_the_scene(panel: Any, nodes: dict[str, Any]) -> None:
    write(panel, "organs", 2, 1, "3")
    models = [balls(name, 0) for name in ("Femur", "Tibia")]
    for model in models:
        panel.form.inputs["fixed_surfaces"].selector.check(model)
    panel.form.inputs["fixed_surfaces"].set([])
    field(panel, "organs").set_text("")
    panel.show_state()
    assert panel.form.inputs["fixed_surfaces"].node == models
    assert json.loads(field(panel, "organs").text()) == {"Left kidney": {"deviation": 3}}


def test_organs_are_seen_before_and_after_and_undone(panel: Any, nodes: dict[str, Any]) -> None:
    """Without an image there is no overlay; the models are shown one set at a time, and undo takes all away."""
    before = set(contents())
    quick(panel)
    panel.ui.applyButton.click()
    wait(lambda: not panel.runner.running, 120)
    assert panel.ui.statusLabel.text.startswith("Done in ")
    ui, made = panel.ui, panel.results.nodes
    assert not ui.showOverlayButton.enabled
    shown = {name: made[name].GetDisplayNode() for name in ("organs_before", "organs_after", "organs_target")}
    assert ui.showAfterButton.checked
    assert [each.GetVisibility() for each in shown.values()] == [0, 1, 1]
    ui.showBeforeButton.click()
    assert not ui.showAfterButton.checked
    assert [each.GetVisibility() for each in shown.values()] == [1, 0, 1]
    assert shown["organs_target"].GetOpacity() < 0.5 < shown["organs_before"].GetOpacity()
    ui.showErrorButton.click()
    assert [each.GetVisibility() for each in shown.values()] == [0, 1, 0]
    assert shown["organs_after"].GetActiveScalarName() == "distance, mm"
    ui.showErrorButton.click()
    assert not any(each.GetVisibility() for each in shown.values())
    for button in (ui.showGridButton, ui.showJacobianButton, ui.showLabelsButton, ui.showTableButton):
        button.click()
    assert np.all(slicer.util.arrayFromTableColumn(made["overlap"], "Dice after") > 0.8)
    ui.undoButton.click()
    assert {node for node in set(contents()) - before if "Display" not in node and "Storage" not in node} == set()


def run(panel: Any) -> dict[str, Any]:
    """Apply to its end; the new nodes by output name."""
    panel.ui.applyButton.click()
    wait(lambda: not panel.runner.running, 120)
    assert panel.ui.statusLabel.text.startswith("Done in ")
    return panel.results.nodes


def test_results_without_an_image_and_without_what_the_user_removed(panel: Any, nodes: dict[str, Any]) -> None:
    quick(panel)
    made, ui = run(panel), panel.ui
    with views.SliceView("Axial", "Red", (200, 200)) as view:
        ui.showJacobianButton.click()
        assert view.composite.GetForegroundVolumeID() == made["jacobian"].GetID()
        ui.showJacobianButton.click()
        assert view.composite.GetForegroundVolumeID() is None
    organs = (ui.showBeforeButton, ui.showAfterButton, ui.showErrorButton)
    assert all(button.enabled for button in organs)
    slicer.mrmlScene.RemoveNode(made["organs_before"])
    assert [button.enabled for button in organs] == [False, True, True]
    ui.showAfterButton.click()
    ui.showErrorButton.click()
    slicer.mrmlScene.RemoveNode(made["organs_target"])
    assert not any(button.enabled or button.checked for button in organs)


def test_a_second_run_takes_the_place_of_the_first_one_s_organs(panel: Any, nodes: dict[str, Any]) -> None:
    quick(panel)
    first = run(panel)
    panel.ui.showErrorButton.click()
    second = run(panel)
    names = ("organs_before", "organs_after", "organs_target")
    assert [first[name].GetDisplayNode().GetVisibility() for name in names] == [0, 0, 0]
    assert [second[name].GetDisplayNode().GetVisibility() for name in names] == [0, 1, 1]
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(first["organs_after"])
    assert not legend.GetVisibility()


def test_cancel_in_mid_run(panel: Any, nodes: dict[str, Any]) -> None:
    field(panel, "points").set_text("3000")
    before = contents()
    panel.ui.applyButton.click()
    wait(lambda: panel.ui.progressBar.value > 5, 120)
    panel.ui.applyButton.click()
    assert panel.ui.statusLabel.text == "Cancelled: the scene is as it was."
    assert contents() == before


def test_a_matrix_that_cannot_be_is_one_sentence(panel: Any, nodes: dict[str, Any]) -> None:
    write(panel, "coherence_matrix", 0, 1, "1")
    write(panel, "coherence_matrix", 1, 2, "1")
    before = contents()
    panel.ui.applyButton.click()
    wait(lambda: not panel.runner.running, 60)
    assert panel.ui.statusLabel.text.startswith("The coherence matrix is not positive semi-definite: ")
    assert contents() == before
