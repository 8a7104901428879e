"""The panel as a person sees it: nothing cut off at the width of Slicer's module panel, and pictures to look at.

The pictures go to the folder named by the environment variable TEST_PICTURES, else to out/pictures.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import qt
import slicer.util
from conftest import picture_folder, wait
from RegistrationSuiteLib import records, samples
from Rig import simulation

SECTIONS = ("inputsSection", "parametersSection", "advancedSection", "outputsSection", "logSection", "resultsSection")
METHODS = ("weighted-metamorphosis", "metamorphosis", "lddmm", "cost-function-masking")


def shown(module: simulation.LoadedModule, width: int) -> Any:
    """The module's panel in a window of that width, as tall as it wants to be."""
    return fitted(module.widgetRepresentation(), width)


def fitted(window: Any, width: int) -> Any:
    window.resize(width, 100)
    window.show()
    for _ in range(3):  # the height of wrapped texts follows from the width
        window.resize(width, window.layout().totalHeightForWidth(width))
        wait(lambda: True)
    return window


def picture(window: Any, name: str) -> None:
    assert window.grab().save(str(picture_folder() / f"{name}.png"))


def cut_off(window: Any) -> list[str]:
    """The visible texts that have less room than they need."""
    short = []
    for kind in (qt.QLabel, qt.QPushButton, qt.QCheckBox, qt.QComboBox, qt.QSpinBox, qt.QDoubleSpinBox):
        for widget in window.findChildren(kind):
            if not widget.isVisible() or not widget.sizeHint.isValid():
                continue
            wraps = kind is qt.QLabel and (widget.wordWrap or not widget.pixmap.isNull())
            needs = widget.heightForWidth(widget.width) if wraps else widget.sizeHint.width()
            has = widget.height if wraps else widget.width
            if needs > has:
                short.append(f"{widget.name or getattr(widget, 'text', '')}: {has} of {needs} pixels")
    return short


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_cut_off(module: simulation.LoadedModule, panel: Any, name: str) -> None:
    panel.ui.methodComboBox.currentIndex = METHODS.index(name)
    for section in SECTIONS:
        getattr(panel.ui, section).collapsed = False
    window = shown(module, 450)
    assert window.width == 450
    picture(window, f"panel-{name}-all")
    assert cut_off(window) == []


def test_notes_and_figures_of_a_result_are_read_in_full(stand_in_panel: Any, stand_in: Any) -> None:
    """Above the buttons; many notes on lines of their own."""
    panel, ui = stand_in_panel, stand_in_panel.ui
    panel.form.inputs["mask"].selector.setCurrentNode(slicer.util.getNode("Head lesion"))
    ui.applyButton.click()
    wait(lambda: not panel.runner.running)
    for section in ("inputsSection", "parametersSection", "logSection"):
        getattr(ui, section).collapsed = True
    window = fitted(panel.widget, 450)
    picture(window, "panel-notes-one")
    assert cut_off(window) == []
    assert 0 < ui.notesLabel.y < ui.shapeLabel.y < ui.showOverlayButton.y
    assert ui.notesLabel.height > 2 * ui.shapeLabel.height, "it wraps"
    transform = panel.results.nodes["transform"]
    transform.SetAttribute(records.NOTES, json.dumps([stand_in.NOTE, "The mask touches no difference of the images."]))
    panel.results.refresh()
    window = fitted(panel.widget, 450)
    picture(window, "panel-notes-many")
    assert cut_off(window) == []
    assert [line[:5] for line in ui.notesLabel.text.splitlines()] == ["• The", "• The"]


def test_the_panel_from_first_look_to_result(module: simulation.LoadedModule, panel: Any) -> None:
    picture(shown(module, 480), "panel-1-empty")
    for role, node in samples.tumour_head_2d().items():
        panel.form.inputs[role].selector.setCurrentNode(node)
    picture(shown(module, 480), "panel-2-ready")
    panel.ui.applyButton.click()
    ui = panel.ui
    wait(lambda: ui.progressBar.value > 500 and ui.energyLabel.text and not ui.previewLabel.pixmap.isNull(), 120)
    picture(shown(module, 480), "panel-3-running")
    assert cut_off(module.widgetRepresentation()) == []
    wait(lambda: not panel.runner.running, 300)
    assert panel.ui.statusLabel.text.startswith("Done in ")
    picture(shown(module, 480), "panel-4-done")
    assert cut_off(module.widgetRepresentation()) == []
    regularity = next(each for each in panel.form.forms.fields if each.parameter.name == "regularity")
    regularity.widget.text = "much"
    panel.ui.applyButton.click()
    picture(shown(module, 480), "panel-5-refused")
    assert cut_off(module.widgetRepresentation()) == []
