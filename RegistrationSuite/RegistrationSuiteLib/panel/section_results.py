"""What a panel shows of a section that was found in an atlas: candidates, the atlas held over it, its place in 3D."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import qt
import slicer
import slicer.util
from regsuite.catalog import Method

from RegistrationSuiteLib import dependencies, display, parts, plates, records
from RegistrationSuiteLib.panel.fields import value_text
from RegistrationSuiteLib.panel.live import draw_section
from RegistrationSuiteLib.panel.results import ResultsView
from RegistrationSuiteLib.panel.series import SERIES, SeriesTable
from RegistrationSuiteLib.panel.sliders import PoseSliders
from RegistrationSuiteLib.runner import JobRunner
from RegistrationSuiteLib.scene.cuts import slice_model
from RegistrationSuiteLib.scene.nodes import remove_nodes
from RegistrationSuiteLib.state import FIXED, PanelState

UI_FILE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "Resources", "UI", "Plates.ui")
NOT_HERE = ("showGridButton", "showJacobianButton", "showMovingButton")
"""Widgets that show nothing of a section in an atlas: the transform leads into another space."""
HOLDER, SECTION_HOLDER = "adjust.atlas", "adjust.section"
"""Roles of the transforms that hold the atlas, and the section in 3D, while they are adjusted."""
SLICE, SURFACE = "space.section", "space.atlas"
"""Roles of the models in 3D."""
THUMBNAIL = (112, 96)


class SectionResults(ResultsView):
    """Shows also the plates, and of a series its sections, one at a time.

    ``again`` starts another run of the section that is shown, with other values of parameters.
    """

    def __init__(
        self, ui: Any, state: PanelState, methods: Iterable[Method], again: Callable[[Mapping[str, str]], None]
    ) -> None:
        self.widget = slicer.util.loadUI(UI_FILE)
        self.plates_ui = slicer.util.childWidgetVariables(self.widget)
        self.series = SeriesTable(self.show_section)
        self._again = again
        self._takes: frozenset[str] = frozenset()
        self._learns = False
        self._found: plates.Place | None = None
        self._strip: list[str] = []
        super().__init__(ui, state, methods)
        for name in NOT_HERE:
            getattr(ui, name).visible = False

    def _connect(self) -> None:
        super()._connect()
        ui = self.plates_ui
        ui.candidatesList.connect("currentRowChanged(int)", self.onCandidate)
        ui.candidatesList.connect("itemClicked(QListWidgetItem*)", self.onCandidateClicked)
        ui.usePlateButton.connect("clicked()", self.onUsePlate)
        ui.showRankingButton.connect("clicked()", self.onRanking)
        ui.showSpaceButton.connect("toggled(bool)", self.onSpace)
        ui.adjustButton.connect("toggled(bool)", self.onAdjust)
        ui.acceptButton.connect("clicked()", self.onAccept)
        ui.resetButton.connect("clicked()", self.onReset)
        self._sliders = PoseSliders(ui, self.onPose)

    @property
    def nodes(self) -> dict[str, Any]:
        """The last run's nodes by output name; of a series those of the section that is shown, and those of all."""
        return parts.seen_from(self._state.results(), self.fixed)

    def take(self, runner: JobRunner) -> None:
        self.leave()
        self._hide_labels()
        self._show_space(False)
        for role in (SLICE, SURFACE):
            self._state.set_reference(role, None)
        super().take(runner)
        if self.series.first is not None:
            self.show_section(self.series.first if SERIES in runner.nodes else self.fixed)
            self.plates_ui.showSpaceButton.checked = self.plates_ui.showSpaceButton.enabled

    def _keep(self, runner: JobRunner) -> None:
        """A section of the series that is shown, found again alone, stays one of it."""
        results = self._state.results()
        places = parts.sections_of(results).items()
        place = next((place for place, section in places if section is runner.fixed), None)
        if place is None or SERIES in runner.nodes or runner.moving is not self.moving:
            super()._keep(runner)
            return
        run = parts.last_run(results, runner.fixed) + 1
        parts.mark(runner.nodes, place, runner.fixed, run)
        nodes = {f"{place} {run} {output}": node for output, node in runner.nodes.items()}
        self._state.add_results(nodes, runner.made, runner.fixed)

    def show_section(self, section: Any) -> None:
        """Another section of the series in the views, with its regions, and in 3D where that is shown."""
        self.leave()
        self._hide_labels()
        remove_nodes([node for node in [self._state.reference(SLICE)] if node is not None])
        self._state.set_reference(SLICE, None)
        self._state.set_reference(FIXED, section)
        self.refresh()
        self.onOverlay()
        self._ui.showLabelsButton.checked = "warped_labels" in self.nodes
        if self.plates_ui.showSpaceButton.checked:
            self._make_slice()

    def _hide_labels(self) -> None:
        """The regions on the section that was shown make room."""
        if "warped_labels" in self.nodes:
            display.show_labels(self.nodes["warped_labels"], False)

    def _notes(self, nodes: dict[str, Any]) -> list[str]:
        """Of a series what to know of all, and then of the section that is shown."""
        results = self._state.results()
        own = records.notes_of(nodes)
        if not parts.sections_of(results):
            return own
        common = records.notes_of(parts.seen_from(results, None))
        return [*common, *(f"{self.fixed.GetName()}: {note}" for note in own if self.fixed is not None)]

    def offer(self, method: Method) -> None:
        """Another run is one of this method: what it takes can be used."""
        self._takes = frozenset(each.name for each in method.parameters)
        self._learns = method.gives == "checkpoint"
        self._enable()

    def refresh(self) -> None:
        if self.fixed is None or self.moving is None:
            self.leave()
        super().refresh()
        self.series.fill(self._state.results(), self.fixed)
        self._fill_strip()
        self._found = self._place()
        self._setting = True
        if not self._adjusting:
            self._show_pose()
        self.plates_ui.adjustButton.checked = self._adjusting
        surface = self._state.reference(SURFACE)
        shown = surface is not None and bool(surface.GetDisplayNode().GetVisibility())
        self.plates_ui.showSpaceButton.checked = shown
        self._setting = False
        self._enable()

    def _enable(self) -> None:
        ui, nodes, there = self.plates_ui, self.nodes, self._found is not None
        self.widget.visible = not self._learns
        self.series.widget.visible = self.series.first is not None and not self._learns
        ui.platesFrame.enabled = bool(nodes) and self.fixed is not None
        self._sliders.enable(there)
        ui.adjustButton.enabled = there
        ui.resetButton.enabled = self._adjusting
        ui.showSpaceButton.enabled = there and "inverse" in nodes
        ui.showRankingButton.enabled = "ranking" in nodes
        ui.usePlateButton.enabled = ui.candidatesList.currentRow > 0 and "plate" in self._takes
        ui.acceptButton.enabled = self._adjusting and "pose" in self._takes

    def _place(self) -> plates.Place | None:
        """Where the last run found the section; None where its images are gone."""
        if self.fixed is None or self.moving is None or not dependencies.is_installed("torch"):
            return None
        return plates.place_of(self.nodes)

    # --- candidates ---

    def _fill_strip(self) -> None:
        """The section, and beside it the candidates."""
        sequence = self.nodes.get("candidates") if self.fixed is not None else None
        strip = [self.fixed.GetID(), sequence.GetID()] if sequence is not None else []
        if strip == self._strip:
            return
        self._strip, was, self._setting = strip, self._setting, True
        self.plates_ui.candidatesList.clear()
        if sequence is not None:
            self._add_picture(self.fixed, "Section")
            for number, text in enumerate(self._captions(sequence.GetNumberOfDataNodes())):
                self._add_picture(sequence.GetNthDataNode(number), text)
        self._setting = was

    def _add_picture(self, node: Any, text: str) -> None:
        icon = qt.QIcon(draw_section(node, *THUMBNAIL))
        self.plates_ui.candidatesList.addItem(qt.QListWidgetItem(icon, text))

    def _captions(self, count: int) -> list[str]:
        """Plate number and distance of each candidate."""
        told = plates.candidates_of(self.nodes["ranking"]) if "ranking" in self.nodes else []
        texts = [f"Plate {float(each.plate):.1f}\ndistance {float(each.distance):.3g}" for each in told]
        return [*texts, *(f"Candidate {number + 1}" for number in range(len(texts), count))][:count]

    def onCandidate(self, row: int) -> None:
        self._enable()
        if not self._setting and row >= 0:
            self._show_candidate(row)

    def onCandidateClicked(self, _item: Any) -> None:
        self._show_candidate(self.plates_ui.candidatesList.currentRow)

    def _show_candidate(self, row: int) -> None:
        """A candidate over the section; the section itself alone."""
        self.leave()
        self._clear()
        if row == 0:
            display.show_overlay(self.fixed, None)
            return
        sequence = self.nodes["candidates"]
        display.show_frame(sequence, row - 1)
        proxy = display.browser_of(sequence).GetProxyNode(sequence)
        display.show_overlay(self.fixed, proxy, self._ui.fadeSlider.value)

    def onUsePlate(self) -> None:
        chosen = plates.candidates_of(self.nodes["ranking"])[self.plates_ui.candidatesList.currentRow - 1]
        self._again({"plate": chosen.plate, "pose": "0", **self._side()})

    def _side(self) -> dict[str, Any]:
        """Which side of the section was seen, as far as the method is told."""
        found = plates.place_of(self.nodes)
        return {"side": found.side} if found is not None and "side" in self._takes else {}

    def onRanking(self) -> None:
        display.show_table(self.nodes["ranking"])

    # --- by hand ---

    @property
    def _adjusting(self) -> bool:
        return self._state.reference(HOLDER) is not None

    def _pose(self) -> tuple[float, ...]:
        """What the sliders say."""
        assert self._found is not None
        return self._sliders.pose(self._found)

    def _show_pose(self) -> None:
        """Puts the sliders where the section was found."""
        ui, found = self.plates_ui, self._found
        if found is None:
            ui.placeLabel.text = "Press Apply to find the section in the atlas."
            return
        pitch, yaw = found.angles
        self._sliders.show(found)
        ui.placeLabel.text = f"Plate {found.plate:.1f} of {found.count}, pitch {pitch:.1f}°, yaw {yaw:.1f}°."

    def onAdjust(self, wanted: bool) -> None:
        if self._setting:
            return
        if wanted:
            self._hold()
        else:
            self.leave()
            self.onOverlay()

    def onPose(self) -> None:
        """A slider was moved."""
        if self._found is None:
            return
        if not self._adjusting:
            self._hold()
        pose = self._pose()
        plates.turn(self._state.reference(HOLDER), self._found, pose)
        self._follow_in_space(pose)

    def _hold(self) -> None:
        """The atlas over the section, with its regions."""
        assert self._found is not None
        self._clear()
        self._ui.showLabelsButton.checked = False
        if "warped_labels" in self.nodes:
            self._show_labels(False)
        annotation = self._state.reference("input.moving_labels")
        with self._state.showing():
            holder = plates.hold(self._found, self.moving, [annotation] if annotation is not None else [])
            if annotation is not None and annotation.GetParentTransformNode() is holder:
                display.show_labels(annotation, True, surfaces=False)
        self._state.set_reference(HOLDER, holder)
        self._follow_in_space(self._found.pose)
        display.show_overlay(self.fixed, self.moving, self._ui.fadeSlider.value)
        self._press_adjust(True)

    def leave(self) -> None:
        """The atlas goes back to where it was."""
        holder, section = self._state.reference(HOLDER), self._state.reference(SECTION_HOLDER)
        if holder is None:
            return
        self._state.set_reference(HOLDER, None)
        self._state.set_reference(SECTION_HOLDER, None)
        annotation = self._state.reference("input.moving_labels")
        if annotation is not None and annotation.GetParentTransformNode() is holder:
            display.show_labels(annotation, False)
        if section is not None:
            self._lay_on_result()
            slicer.mrmlScene.RemoveNode(section)
        plates.release(holder)
        self._press_adjust(False)
        was, self._setting = self._setting, True
        self._show_pose()
        self._setting = was

    def _press_adjust(self, pressed: bool) -> None:
        was, self._setting = self._setting, True
        self.plates_ui.adjustButton.checked = pressed
        self._setting = was
        self._enable()

    def onReset(self) -> None:
        """Back to where the section was found, with the atlas still held over it."""
        assert self._found is not None
        self._sliders.show(self._found)
        self.onPose()

    def onAccept(self) -> None:
        pose = self._pose()
        self._again({"pose": value_text(pose), "plate": "0", **self._side()})

    # --- in 3D ---

    def onSpace(self, visible: bool) -> None:
        if self._setting:
            return
        if visible and self._state.reference(SURFACE) is None:
            with self._state.showing():
                self._state.set_reference(SURFACE, plates.atlas_surface(self.moving))
        if visible and self._state.reference(SLICE) is None:
            self._make_slice()
        self._show_space(visible)

    def _make_slice(self) -> None:
        """The section as a model in its colours, laid where it was found."""
        with self._state.showing():
            section = slice_model(self.fixed, f"{self.fixed.GetName()} in the atlas")
        self._state.set_reference(SLICE, section)
        if self._adjusting:
            self._follow_in_space(self._pose())
        else:
            self._lay_on_result()

    def _show_space(self, visible: bool) -> None:
        for role in (SLICE, SURFACE):
            node = self._state.reference(role)
            if node is not None:
                node.GetDisplayNode().SetVisibility(visible)

    def _lay_on_result(self) -> None:
        """What is put under the inverse's node goes from the section to the atlas, bent as the result says."""
        section, inverse = self._state.reference(SLICE), self.nodes.get("inverse")
        if section is not None:
            section.SetAndObserveTransformNodeID(inverse.GetID() if inverse is not None else None)

    def _follow_in_space(self, pose: tuple[float, ...]) -> None:
        """The section in 3D moves with the sliders."""
        section, holder = self._state.reference(SLICE), self._state.reference(SECTION_HOLDER)
        if section is None or self._found is None:
            return
        if holder is None:
            with self._state.showing():
                holder = plates.section_holder(self._found, pose, f"{self.fixed.GetName()} at the atlas")
            self._state.set_reference(SECTION_HOLDER, holder)
            section.SetAndObserveTransformNodeID(holder.GetID())
        plates.section_holder(self._found, pose, "", holder)

    # --- the other buttons ---

    def onOverlay(self) -> None:
        self.leave()
        super().onOverlay()

    def _show_labels(self, visible: bool) -> None:
        """Outlines; a slice has no surface."""
        if visible:
            self.leave()
        display.show_labels(self.nodes["warped_labels"], visible, surfaces=False)

    def onUndo(self) -> None:
        self.leave()
        super().onUndo()
        if self.series.first is not None and self.fixed is not None:
            self.show_section(self.fixed)  # as it was found with the others

    def close(self) -> None:
        self.leave()
        super().close()
