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


def test_a_cell_is_one_organ_s_own_value(panel: Any, nodes: dict[str, Any]) -> None:
    write(panel, "organs", 0, 1, "7.5")
    write(panel, "organs", 4, 0, "90")
    wanted = {"Liver": {"deviation": 7.5}, "Bladder": {"points": 90}}
    assert json.loads(panel.request().parameters["organs"]) == wanted
    assert panel.ui.presetComboBox.currentText == "Custom"
    write(panel, "organs", 0, 1, "much")
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
