"""What to know of the last run's results, the buttons that show them, and undo."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import qt
import slicer.util
from regsuite import wording
from regsuite.catalog import Method

from RegistrationSuiteLib import display, records
from RegistrationSuiteLib.panel.fields import tooltip
from RegistrationSuiteLib.runner import JobRunner
from RegistrationSuiteLib.state import FIXED, MOVING, PanelState

FRAME_MS = 150
NEEDS = {
    "showOverlayButton": ("warped",),
    "fadeSlider": ("warped",),
    "playButton": ("evolution",),
    "evolutionSlider": ("evolution",),
    "showGridButton": ("transform",),
    "showJacobianButton": ("jacobian",),
    "showIntensityButton": ("intensity_added",),
    "showLabelsButton": ("warped_labels",),
    "showBeforeButton": ("organs_before", "organs_target"),
    "showAfterButton": ("organs_after", "organs_target"),
    "showErrorButton": ("organs_after", "organs_target"),
    "showSpendingButton": ("spending_chart",),
}
"""The outputs without which a widget is disabled."""

COMMON = ("warped", "transform", "jacobian", "warped_labels")
"""Outputs whose widgets every panel has."""

PLOTS = ("energy", "distances", "training", "search")
"""Curves of which a result has one that is worth a button of its own."""

TABLES = ("organs", "overlap", "regions", "arrangement", "ranking", "validation", "metrics", "energy")
"""Tables, the one worth most to a reader first."""

MAPS = {
    "showJacobianButton": ("jacobian", display.show_jacobian),
    "showIntensityButton": ("intensity_added", display.show_intensity_added),
}
"""Buttons that put a map over the fixed image, the output it shows, and how."""


ORGANS = {
    "showBeforeButton": ("organs_before", display.show_organs),
    "showAfterButton": ("organs_after", display.show_organs),
    "showErrorButton": ("organs_after", display.show_point_error),
}
"""Buttons that show organs in 3D, which of them, and how."""

ORGAN_MODELS = ("organs_before", "organs_after", "organs_target")


class ResultsView:
    """Shows the results that the state refers to; after a scene was opened again as well as after a run."""

    def __init__(self, ui: Any, state: PanelState, methods: Iterable[Method]) -> None:
        self._ui = ui
        self._leave_out(methods)
        self._state = state
        self._setting = False
        self._undoing = False
        self._evolving = False
        self._timer = qt.QTimer()
        self._timer.interval = FRAME_MS
        self._timer.connect("timeout()", self.onNextFrame)
        self._connect()

    def _leave_out(self, methods: Iterable[Method]) -> None:
        """Hides what shows outputs that none of the panel's methods gives, and calls the plot what it plots."""
        self._declared = {item.name: item for method in methods for item in method.outputs}
        for name, (output, *_) in NEEDS.items():
            getattr(self._ui, name).visible = output in COMMON or output.removesuffix("_chart") in self._declared
        self._name_plot(next((name for name in PLOTS if name in self._declared), ""))

    def _name_plot(self, curve: str) -> None:
        if curve in self._declared:
            self._ui.showEnergyButton.text = f"{self._declared[curve].title} plot"
            self._ui.showEnergyButton.toolTip = tooltip(self._declared[curve].help)

    def _connect(self) -> None:
        ui = self._ui
        ui.showOverlayButton.connect("clicked()", self.onOverlay)
        ui.showEnergyButton.connect("clicked()", self.onEnergy)
        ui.showSpendingButton.connect("clicked()", self.onSpending)
        ui.showTableButton.connect("clicked()", self.onTable)
        ui.undoButton.connect("clicked()", self.onUndo)
        ui.showGridButton.connect("toggled(bool)", self.onGrid)
        ui.showJacobianButton.connect("toggled(bool)", self.onJacobian)
        ui.showIntensityButton.connect("toggled(bool)", self.onIntensity)
        ui.showLabelsButton.connect("toggled(bool)", self.onLabels)
        ui.showMovingButton.connect("toggled(bool)", self.onMoving)
        for name in ORGANS:
            getattr(ui, name).connect("toggled(bool)", partial(self._show_organs, name))
        ui.playButton.connect("toggled(bool)", self.onPlay)
        ui.fadeSlider.connect("valueChanged(double)", self.onFade)
        ui.evolutionSlider.connect("valueChanged(double)", self.onFrame)

    @property
    def nodes(self) -> dict[str, Any]:
        """The last run's nodes by output name."""
        return self._state.results()

    @property
    def fixed(self) -> Any:
        """The image the last run registered to; None where it is gone."""
        return self._state.reference(FIXED)

    @property
    def moving(self) -> Any:
        """The image the last run moved; None where it is gone."""
        return self._state.reference(MOVING)

    def take(self, runner: JobRunner) -> None:
        """Keeps a run's result in the state, and shows it; the organs of the run before make room."""
        for name in ORGAN_MODELS:
            if name in self.nodes:
                display.hide_organs(self.nodes[name])
        self._keep(runner)
        self.refresh()
        if "warped" in self.nodes:
            self.onOverlay()
        self._ui.showLabelsButton.checked = "warped_labels" in self.nodes and "organs_after" not in self.nodes
        self._ui.showAfterButton.checked = self._ui.showAfterButton.enabled

    def _keep(self, runner: JobRunner) -> None:
        """A run's result takes the place of the one before."""
        self._state.set_results(runner.nodes, runner.made, runner.fixed, runner.moving)

    def node_removed(self) -> None:
        """One of the scene's nodes is gone; while the results are undone their end is waited for."""
        if not self._undoing:
            self.refresh()

    def refresh(self) -> None:
        """Tells what to know, and offers what there is to show; nothing is shown or hidden in the views."""
        nodes, there = self.nodes, self.fixed is not None
        self._tell(nodes)
        self._put_up("showGridButton", "showLabelsButton", "showMovingButton", *MAPS, *ORGANS)
        self._stop_player()
        self._setting = True
        for name, outputs in NEEDS.items():
            getattr(self._ui, name).enabled = there and all(output in nodes for output in outputs)
        self._name_plot(self._plotted())
        self._ui.showEnergyButton.enabled = bool(self._plotted())
        self._ui.showTableButton.enabled = self._table() is not None
        self._ui.showMovingButton.enabled = there and bool(self._labels_on_moving())
        self._ui.evolutionSlider.maximum = max(1, self._frames() - 1)
        self._ui.evolutionSlider.value = self._ui.evolutionSlider.maximum
        self._ui.resultsFrame.enabled = bool(nodes)
        self._setting = False

    def _tell(self, nodes: dict[str, Any]) -> None:
        notes, shape = self._notes(nodes), wording.shape_line(records.metrics_of(nodes))
        self._ui.notesLabel.text = "\n".join(notes if len(notes) < 2 else (f"• {note}" for note in notes))
        self._ui.notesLabel.visible = bool(notes)
        self._ui.shapeLabel.text = shape
        self._ui.shapeLabel.toolTip = tooltip(wording.SHAPE_HELP)
        self._ui.shapeLabel.visible = bool(shape)

    def _notes(self, nodes: dict[str, Any]) -> list[str]:
        """What to know of the result."""
        return records.notes_of(nodes)

    def close(self) -> None:
        """Stops what plays."""
        self._timer.stop()

    def _frames(self) -> int:
        return self.nodes["evolution"].GetNumberOfDataNodes() if "evolution" in self.nodes else 0

    def _labels_on_moving(self) -> list[Any]:
        return display.labels_on(self.moving, self.nodes.values()) if self.moving is not None else []

    def _plotted(self) -> str:
        """The curve that the button plots; empty where there is none."""
        nodes = self.nodes
        return next((name for name in PLOTS if f"{name}_chart" in nodes), "")

    def _table(self) -> Any:
        """The table worth most to a reader."""
        nodes = self.nodes
        return next((nodes[name] for name in TABLES if name in nodes), None)

    # --- the user ---

    def onOverlay(self) -> None:
        """The warped image over the fixed one, which is alone where there is no warped image."""
        self._clear()
        display.show_overlay(self.fixed, self.nodes.get("warped"), self._ui.fadeSlider.value)

    def onFade(self, value: float) -> None:
        if not self._setting:
            display.fade(value)

    def onGrid(self, visible: bool) -> None:
        if not self._setting:
            if visible and self._ui.showMovingButton.checked:
                self.onOverlay()
            with self._state.showing():
                display.show_grid(self.nodes["transform"], self.fixed, visible)

    def onJacobian(self, visible: bool) -> None:
        self._show_map("showJacobianButton", visible)

    def onIntensity(self, visible: bool) -> None:
        self._show_map("showIntensityButton", visible)

    def _show_map(self, button: str, visible: bool) -> None:
        if self._setting:
            return
        self._clear(button)
        output, show = MAPS[button]
        with self._state.showing():
            show(self.nodes[output], self.fixed, visible)
        if not visible:
            self.onOverlay()

    def onLabels(self, visible: bool) -> None:
        if not self._setting:
            if visible and self._ui.showMovingButton.checked:
                self.onOverlay()
            with self._state.showing():
                self._show_labels(visible)

    def _show_labels(self, visible: bool) -> None:
        display.show_labels(self.nodes["warped_labels"], visible)

    def _show_organs(self, button: str, visible: bool) -> None:
        """One of the three at a time; where none is wanted any more, none is shown."""
        if self._setting:
            return
        self._put_up(*(name for name in ORGANS if name != button))
        nodes = self.nodes
        output, show = ORGANS[button]
        with self._state.showing():
            for name in ORGAN_MODELS:
                if name in nodes:
                    display.hide_organs(nodes[name])
            if visible and output in nodes and "organs_target" in nodes:
                show(nodes[output], nodes["organs_target"])

    def onMoving(self, visible: bool) -> None:
        if self._setting:
            return
        self._clear("showMovingButton")
        if visible:
            self._ui.showLabelsButton.checked = False
            with self._state.showing():
                self._show_on_moving()
        else:
            self._leave_moving()
            self.onOverlay()

    def _show_on_moving(self) -> None:
        display.show_on_moving(self.moving, self._labels_on_moving())

    def _leave_moving(self) -> None:
        for node in self._labels_on_moving():
            display.show_labels(node, False)

    def onPlay(self, playing: bool) -> None:
        if self._setting:
            return
        self._ui.playButton.text = "Pause" if playing else "Play evolution"
        if playing:
            self._show_evolution()
            self._timer.start()
        else:
            self._timer.stop()

    def onFrame(self, number: float) -> None:
        """A frame was chosen, by the user or by the player."""
        if self._setting:
            return
        if not self._evolving:
            self._show_evolution()
        display.show_frame(self.nodes["evolution"], round(number))

    def onNextFrame(self) -> None:
        slider = self._ui.evolutionSlider
        slider.value = 0 if slider.value >= slider.maximum else slider.value + 1

    def onEnergy(self) -> None:
        display.show_plot(self.nodes[f"{self._plotted()}_chart"])

    def onSpending(self) -> None:
        display.show_plot(self.nodes["spending_chart"])

    def onTable(self) -> None:
        display.show_table(self._table())

    def onUndo(self) -> None:
        self._undoing = True
        try:
            with slicer.util.RenderBlocker():
                self._state.undo()
        finally:
            self._undoing = False
        self.refresh()

    def _show_evolution(self) -> None:
        self._clear("playButton")
        with self._state.showing():
            display.show_evolution(self.nodes["evolution"], self.fixed)
        self._evolving = True

    def _clear(self, button: str = "") -> None:
        """Makes room over the fixed image for what that button shows."""
        for name, (output, show) in MAPS.items():
            if name != button and getattr(self._ui, name).checked:
                show(self.nodes[output], self.fixed, False)
                self._put_up(name)
        if button != "showMovingButton" and self._ui.showMovingButton.checked:
            self._leave_moving()
            self._put_up("showMovingButton")
        if button != "playButton":
            self._stop_player()

    def _stop_player(self) -> None:
        self._timer.stop()
        self._evolving = False
        self._put_up("playButton")
        self._ui.playButton.text = "Play evolution"

    def _put_up(self, *buttons: str) -> None:
        """Releases buttons without doing what they do."""
        was, self._setting = self._setting, True
        for name in buttons:
            getattr(self._ui, name).checked = False
        self._setting = was
