"""The panel of a module that brings slices around an axis to a volume, all at once or step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import qt
import slicer.util
from regsuite.catalog.radial import STEPS
from regsuite.errors import InputError

from RegistrationSuiteLib import dependencies, fans
from RegistrationSuiteLib.panel.arrangement import PLANES, ArrangementView, Known
from RegistrationSuiteLib.panel.fields import tooltip, value_text
from RegistrationSuiteLib.panel.method_panel import UI_FILE, MethodPanel
from RegistrationSuiteLib.panel.slice_choice import LABELS, SLICES, SliceChoice
from RegistrationSuiteLib.panel.slice_results import (
    ARRANGEMENT,
    REFINEMENT,
    SEGMENTATION,
    UNTIL,
    SliceResults,
)
from RegistrationSuiteLib.panel.steps import StepButtons

if TYPE_CHECKING:
    from regsuite.jobs import Message
    from regsuite.registration import Registration
    from regsuite.spatial.radial import Arrangement

    from RegistrationSuiteLib.logic import Request

FILES = "Stacks or slices (*.nrrd *.nhdr *.nii *.nii.gz *.mha *.mhd *.dcm *.tif *.tiff);;All files (*)"
VOLUME, NETWORK = "fixed", "network"
"""Roles."""
STARTS = {"places": "0", "turned": "0"}
"""Parameters that say how these slices stand, and tell nothing of others, with what leaves them open."""
MADE = {LABELS: "segmented_slices", "fixed_labels": "segmented_volume"}
"""Inputs of which a step may make more than was given, and the output that holds it."""
GROWS = "volume_segmentation"
"""The parameter that says whether the volume's segmentation is grown, or taken as it is."""
DONE = "step"
"""Key of the step up to which the chain was run for what is chosen."""


class SlicesPanel(MethodPanel):
    """A panel with buttons that load slices and run each step, and with the arrangement, to be seen and corrected."""

    packages = dependencies.FOR_SLICE_SETS
    results: SliceResults

    def _results_view(self) -> SliceResults:
        """Puts what is more than in other panels into the form, around the inputs and above Apply."""
        self._running = ""
        self.choice = SliceChoice(self.form)
        part = slicer.util.loadUI(str(Path(UI_FILE).with_name("Slices.ui")))
        self.slices_ui = slicer.util.childWidgetVariables(part)
        layout = self.widget.layout()
        layout.insertWidget(layout.indexOf(self.ui.applyButton), part)
        self.ui.inputsSection.layout().insertWidget(0, self._loaders())
        self.arrangement = ArrangementView(self.slices_ui, self.planesButton, self.onPlaces, self.onSlice)
        self.steps = StepButtons(self.slices_ui, self.run_to)
        self.form.forms.hide(UNTIL)  # there is a button for each
        self.form.forms.leave_to_inputs(STARTS)
        self.slices_ui.automaticButton.connect("clicked()", self.onAutomatic)
        return SliceResults(self.ui, self.state, self.form.methods, self.arrangement.show_planes, self._went_back)

    def _loaders(self) -> Any:
        row = qt.QWidget()
        line = qt.QHBoxLayout(row)
        line.setContentsMargins(9, 6, 9, 0)
        self.loadFolderButton = _button("Load slices…", "Load slices from a folder of DICOM files.")
        self.loadFolderButton.connect("clicked()", self.onLoadFolder)
        self.loadFilesButton = _button(
            "Load files…", "Load slices from files: a stack for each map, or a file for each slice."
        )
        self.loadFilesButton.connect("clicked()", self.onLoadFiles)
        self.planesButton = _button("Show planes", "Show in 3D where the slices lie, each with its number.")
        self.planesButton.checkable = True
        for button in (self.loadFolderButton, self.loadFilesButton, self.planesButton):
            line.addWidget(button)
        return row

    def needed(self) -> Mapping[str, str]:
        network = self.form.inputs[NETWORK].node
        return {**self.packages, **dependencies.FOR_NETWORKS} if network else self.packages

    # --- files ---

    def onLoadFolder(self) -> None:
        path = qt.QFileDialog.getExistingDirectory(self.widget, "Load a folder of slices")
        if path:
            self._load([path])

    def onLoadFiles(self) -> None:
        paths = qt.QFileDialog.getOpenFileNames(self.widget, "Load slices", "", FILES)
        if paths:
            self._load(list(paths))

    def _load(self, paths: Sequence[str]) -> None:
        """Ticks the slices in place of others, and says what to know of them; a sentence where that cannot be."""
        with self._failures("The slices could not be loaded"):
            dependencies.ensure(self.title, self.packages)
            nodes, notes = fans.load_slices(paths)
            field: Any = self.form.inputs[SLICES]
            field.set(nodes, "")
            self.onChanged()
            for note in notes:
                self.live.log(note)
            names = ", ".join(node.GetName() for node in nodes)
            self.live.status(f"Loaded: {names}." + (" See the log." if notes else ""))

    # --- state ---

    def show_state(self) -> None:
        super().show_state()
        planes = self.results.nodes.get(PLANES)
        self.arrangement.show_planes(planes is not None and bool(planes.GetDisplayNode().GetVisibility()))

    def onSceneCloses(self, caller: Any, event: Any) -> None:
        self.planesButton.checked = False
        super().onSceneCloses(caller, event)

    def close(self) -> None:
        self.planesButton.checked = False
        super().close()

    def onChanged(self) -> None:
        """Of another volume or of other slices nothing is known yet; other places leave the later steps to be done."""
        if not self._scene_changes:
            if self._are_others(VOLUME) or self._are_others(SLICES):
                self._forget()
            elif self.state.text(DONE) in STEPS[STEPS.index(ARRANGEMENT) :] and self._were_edited():
                self.state.set_text(DONE, ARRANGEMENT)
        super().onChanged()

    def _are_others(self, role: str) -> bool:
        """Whether other nodes are chosen than the state knows, or fewer of them."""
        key = f"input.{role}"
        known, node = self.state.references(key), self.form.inputs[role].node
        chosen = node if isinstance(node, list) else [node] if node is not None else []
        return known != chosen or len(known) < self.state.node.GetNumberOfNodeReferences(key)

    def _were_edited(self) -> bool:
        form = self.form
        return any(self.state.text(f"{form.method.name}.{name}", "0") != form.forms.texts()[name] for name in STARTS)

    def _forget(self) -> None:
        for role in (VOLUME, SLICES):
            self.form.inputs[role].keep(self.state)
        self.planesButton.checked = False
        self.results.history.clear()
        self.state.set_text(DONE, "")
        self._write(STARTS)

    def refresh_apply(self) -> None:
        super().refresh_apply()
        running = self.runner.running
        self.steps.show(self.state.text(DONE), self.ui.applyButton.enabled and not running)
        for widget in (self.loadFolderButton, self.loadFilesButton, self.slices_ui.arrangementFrame):
            widget.enabled = not running
        self.show_arrangement()

    # --- the run ---

    def request(self) -> Request:
        asked = super().request()
        return replace(asked, parameters={**asked.parameters, UNTIL: self._running or REFINEMENT})

    def onApply(self) -> None:
        self._running = ""
        super().onApply()

    def run_to(self, step: str) -> None:
        """Runs the chain up to a step."""
        self._running = step
        self.start()

    def _finish(self, message: Message) -> None:
        """Keeps what was asked, to go back to it, and takes over what the step found for the next one."""
        if message.result is None:
            super()._finish(message)
            return
        inputs = {role: self.form.inputs[role].node for role in MADE}
        texts = {name: self.form.forms.texts()[name] for name in (*STARTS, GROWS)}
        network = str(self.form.inputs[NETWORK].node or "")
        self.results.remember({DONE: self.state.text(DONE), NETWORK: network, **texts}, inputs)
        super()._finish(message)
        if self._running:
            self._take_over(cast("Registration", message.result))
            self.slices_ui.arrangementSection.collapsed = False
        self.state.set_text(DONE, self._running or REFINEMENT)
        self.refresh_apply()
        self.results.show_step()

    def _write(self, texts: Mapping[str, str]) -> None:
        """Shows and keeps other values of parameters, of which nobody is told."""
        self.form.forms.set_texts(self.form.forms.texts() | dict(texts))
        self.form.show_preset()
        self.save_state()

    def _take_over(self, result: Registration) -> None:
        nodes, texts = self.results.nodes, {}
        found = fans.found_arrangement(nodes)
        if found is not None:
            texts = dict(zip(STARTS, map(value_text, found.numbers()), strict=True))
        if self._running == SEGMENTATION:
            texts |= self._take_labels(result)
        self._write(texts)

    def _take_labels(self, result: Registration) -> dict[str, str]:
        """What was segmented by a forest or a network is given to the next steps, which need neither again."""
        self.form.inputs[NETWORK].set(None, "")
        if self._was_grown(result):
            self.form.inputs[LABELS].set(self.results.nodes[MADE[LABELS]], "")
        if self.form.forms.texts()[GROWS] == "given" and self.form.inputs["fixed_labels"].node is not None:
            return {}
        self.form.inputs["fixed_labels"].set(self.results.nodes[MADE["fixed_labels"]], "")
        return {GROWS: "given"}

    def _was_grown(self, result: Registration) -> bool:
        """Whether slices are segmented in which nothing was painted."""
        given, made = self.choice.painted(), result.labels[MADE[LABELS]].array()
        return given is None or bool((made.any(axis=(1, 2)) & ~given.any(axis=(1, 2))).any())

    def _went_back(self, texts: Mapping[str, str], inputs: Mapping[str, Any]) -> None:
        """The form is as it was before the run that was undone."""
        for role, node in inputs.items():
            self.form.inputs[role].set(node, "")
        if texts:
            self.form.inputs[NETWORK].set(texts[NETWORK], "")
            self._write({name: text for name, text in texts.items() if name not in (DONE, NETWORK)})
            self.state.set_text(DONE, texts[DONE])
        self.refresh_apply()
        self.results.show_step()

    # --- the arrangement ---

    def known(self) -> Known | None:
        """Of the arrangement of the chosen slices; None where there are none."""
        slices = self.choice.slices
        if slices is None:
            return None
        nodes = self.results.nodes if self.state.text(DONE) else {}
        return Known(self.choice.version, slices, self._said(slices.count), nodes, self.form.forms.texts()["axis"])

    def _said(self, count: int) -> Arrangement | None:
        """What the form says of the arrangement, where it says what can be."""
        from regsuite.spatial.radial import Arrangement

        texts = self.form.forms.texts()
        try:
            values: Any = self.form.method.check_values({name: texts[name] for name in STARTS})
            return Arrangement.of_numbers(values.places, values.turned, count)
        except (InputError, ValueError):  # Apply says what is wrong
            return None

    def show_arrangement(self) -> None:
        """What is known of it; pictures are drawn where something changed."""
        known = self.known()
        if self.arrangement.show(known):
            picture, bone = self.results.picture(known.slices) if known is not None and known.nodes else (None, None)
            edited = known is not None and known.edited
            self.arrangement.draw(self.choice.painted() if bone is None else bone, None if edited else picture)

    def onPlaces(self, arrangement: Arrangement) -> None:
        """The user says where a slice stands; of the others what was shown holds."""
        self.form.change(dict(zip(STARTS, map(value_text, arrangement.numbers()), strict=True)))

    def onAutomatic(self) -> None:
        self.form.change(STARTS)

    def onSlice(self, number: int) -> None:
        """A slice over the volume, where one of these was placed there."""
        if self.state.text(DONE):
            self.results.show_slice(number)


def _button(text: str, help: str) -> Any:
    button = qt.QPushButton(text)
    button.toolTip = tooltip(help)
    return button
