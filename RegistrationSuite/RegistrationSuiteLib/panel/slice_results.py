"""What a panel shows of slices that were brought to a volume: the picture of each step, and undo step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import qt
from regsuite.catalog import Method
from regsuite.catalog.radial import STEPS

from RegistrationSuiteLib import dependencies, display, fans, records
from RegistrationSuiteLib.history import History
from RegistrationSuiteLib.panel.fields import tooltip
from RegistrationSuiteLib.panel.results import ResultsView
from RegistrationSuiteLib.panel.slice_choice import SLICES
from RegistrationSuiteLib.runner import JobRunner
from RegistrationSuiteLib.scene.labels import segment_values
from RegistrationSuiteLib.scene.slices import looked_at
from RegistrationSuiteLib.state import PanelState

if TYPE_CHECKING:
    from regsuite.spatial import SliceSet

SEGMENTATION, ARRANGEMENT, RECONSTRUCTION, _, REFINEMENT = STEPS
UNTIL = "until"
NOT_HERE = ("showGridButton", "showJacobianButton", "showLabelsButton")
"""Widgets that show nothing of slices: they are moved rigidly, and carry no labels along."""
SURFACE, BONE = "surface", "segmented_volume"
"""Outputs that are seen in 3D."""
BONE_OPACITY = 0.4
PICTURE = (3.7, 3.4)
"""Inches."""


class SliceResults(ResultsView):
    """Shows the step that was last run, and goes back step by step.

    show_planes: shows the slices' planes in 3D, or hides them; went_back: is given what was asked before the run that
    was undone, texts and input nodes by name.
    """

    def __init__(
        self,
        ui: Any,
        state: PanelState,
        methods: Iterable[Method],
        show_planes: Callable[[bool], None],
        went_back: Callable[[Mapping[str, str], Mapping[str, Any]], None],
    ) -> None:
        self.history = History(state)
        self._show_planes, self._went_back = show_planes, went_back
        self._pictured: tuple[Any, Any] = (None, (None, None))
        self.solidButton = qt.QPushButton("Reconstruction")
        super().__init__(ui, state, methods)
        for name in NOT_HERE:
            getattr(ui, name).visible = False
        ui.showMovingButton.text = "Outlines on the slices"

    def _connect(self) -> None:
        super()._connect()
        button = self.solidButton
        button.checkable = True
        button.toolTip = tooltip("The solid that was made of the outlines beside the bone of the volume, in 3D.")
        button.connect("toggled(bool)", self.onSolid)
        self._ui.resultsFrame.layout().addWidget(button, 4, 0)

    @property
    def step(self) -> str:
        """The last step of the run whose results there are; empty where there are none."""
        record = records.record_of(self.nodes)
        return str(record.get("parameters", {}).get(UNTIL, REFINEMENT)) if record else ""

    def remember(self, texts: Mapping[str, str], inputs: Mapping[str, Any]) -> None:
        """Keeps what was asked and the results there are, before those of the next run take their place."""
        self.history.push(texts, inputs)

    def take(self, runner: JobRunner) -> None:
        """Keeps a run's result; the panel says when it is to be shown."""
        self._show_planes(False)
        self._hide()
        self._keep(runner)
        self.refresh()

    def refresh(self) -> None:
        super().refresh()
        there = self.fixed is not None
        self.solidButton.enabled = there and {SURFACE, BONE} <= self.nodes.keys()
        shown = SURFACE in self.nodes and bool(self.nodes[SURFACE].GetDisplayNode().GetVisibility())
        self._press_solid(shown and self.solidButton.enabled)

    def _press_solid(self, pressed: bool) -> None:
        was, self._setting = self._setting, True
        self.solidButton.checked = pressed
        self._setting = was

    # --- what is shown ---

    def show_step(self) -> None:
        """The picture of the last run's last step, in place of what was shown."""
        self._hide()
        self._press_solid(False)
        self._put_up("showMovingButton")
        step = self.step
        if not step or self.fixed is None or self.moving is None:
            return
        if step in (SEGMENTATION, ARRANGEMENT) and self._ui.showMovingButton.enabled:
            self._ui.showMovingButton.checked = True
        elif step == RECONSTRUCTION and self.solidButton.enabled:
            self.onOverlay()
            self.solidButton.checked = True
        else:
            self.show_slice(0)
        self._show_planes(step not in (SEGMENTATION, RECONSTRUCTION))

    def _hide(self) -> None:
        """Models and labels of the last run's results."""
        for node in self.nodes.values():
            if node.IsA("vtkMRMLModelNode") or node.IsA("vtkMRMLSegmentationNode"):
                node.GetDisplayNode().SetVisibility(False)

    def show_slice(self, number: int) -> None:
        """A placed slice, from 0, over the volume, in the slice's own plane, with the bone's outline in the volume."""
        placed = self.nodes.get(f"slices_{number + 1}")
        if self.fixed is None or placed is None:
            return
        self._clear()
        display.show_overlay(self.fixed, placed, self._ui.fadeSlider.value)
        display.look_at_layer(placed)
        if BONE in self.nodes:
            display.show_labels(self.nodes[BONE], True, surfaces=False)
            self._show_bone_alone(self.nodes[BONE])

    def _show_on_moving(self) -> None:
        """Outlines: in a stack what lies on each other does not belong together."""
        chosen = self._state.references(f"input.{SLICES}")
        stack = looked_at(chosen) if self.moving in chosen else self.moving
        display.show_on_moving(stack, self._labels_on_moving(), surfaces=False)
        display.look_at_layer(stack)

    def onSolid(self, visible: bool) -> None:
        if self._setting:
            return
        surface, labels = self.nodes[SURFACE], self.nodes[BONE]
        surface.GetDisplayNode().SetVisibility(visible)
        with self._state.showing():
            display.show_labels(labels, visible)
        if visible:
            self._show_bone_alone(labels)

    def _show_bone_alone(self, labels: Any) -> None:
        """Of the segments of the volume; in 3D it is translucent."""
        bone, view = records.record_of(self.nodes).get("chosen", {}).get("bone"), labels.GetDisplayNode()
        ids = labels.GetSegmentation().GetSegmentIDs()
        for each, value in zip(ids, segment_values(labels), strict=True):
            view.SetSegmentVisibility(each, bone is None or value == bone)
            view.SetSegmentOpacity3D(each, BONE_OPACITY)

    def picture(self, slices: SliceSet) -> tuple[bytes | None, np.ndarray | None]:
        """The volume along the axis with the slices in it, as PNG, and (K, H, W) bool the bone in the slices; None each
        where there is none, the first also where matplotlib is not installed. slices: that were placed."""
        key = [node.GetID() for node in (self.fixed, *self.nodes.values()) if node is not None]
        if key != self._pictured[0]:
            self._pictured = key, self._draw(slices)
        return self._pictured[1]

    def _draw(self, slices: SliceSet) -> tuple[bytes | None, np.ndarray | None]:
        if self.fixed is None or self.moving is None:
            return None, None
        subject = fans.subject_of(self.nodes, self.fixed, self.moving, slices)
        if subject is None:
            return None, None
        bone = np.stack([subject.drawn_in(number) > 0.5 for number in range(len(subject.slices))])
        if not dependencies.is_installed("matplotlib"):
            return None, bone
        from regsuite.pictures.fans import seen_along_axis

        return seen_along_axis(subject, *PICTURE), bone

    # --- back ---

    def onUndo(self) -> None:
        asked = self.history.asked()
        self._show_planes(False)
        super().onUndo()
        self.history.pop()
        self.refresh()
        self._went_back(*asked)
