"""The panel of a module that finds sections in an atlas: sections are loaded from files, what was trained is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import qt
from regsuite import catalog

from RegistrationSuiteLib import dependencies, sections
from RegistrationSuiteLib.panel.fields import tooltip
from RegistrationSuiteLib.panel.method_panel import MethodPanel
from RegistrationSuiteLib.panel.section_results import SectionResults

if TYPE_CHECKING:
    from regsuite.catalog import Method
    from regsuite.jobs import Message

PICTURES = "Sections (*.png *.jpg *.jpeg *.tif *.tiff *.btf *.tf2 *.tf8 *.svs *.ndpi *.scn *.bif);;All files (*)"
SERIES = "sections"
"""The input of several sections."""
ALONE = "atlas-slice"
"""The method that finds one section of a series again."""
LEARNED, USED = "checkpoint", "encoder"
"""The output that a training writes, and the input that takes it."""
STARTS = {"plate": "0", "pose": "0", "anchoring": "0", "side": "automatic"}
"""Parameters that say where one section lies, and tell nothing of the next one, with what leaves them open."""


class SectionPanel(MethodPanel):
    """A panel with buttons that load sections, and with the plates that were found."""

    packages = dependencies.FOR_SECTIONS
    results: SectionResults

    def _results_view(self) -> SectionResults:
        """Puts what is more than in other panels into the form, above the inputs and below the results."""
        results = SectionResults(self.ui, self.state, self.form.methods, self.run_with)
        layout = self.widget.layout()
        for widget in (results.series.widget, results.widget):
            layout.insertWidget(layout.indexOf(self.ui.resultsSection), widget)
        self.ui.inputsSection.layout().insertWidget(0, self._loaders())
        return results

    def _loaders(self) -> Any:
        row = qt.QWidget()
        line = qt.QHBoxLayout(row)
        line.setContentsMargins(9, 6, 9, 0)
        self.loadSectionButton = _button("Load section…", "Load a section from a picture's file.", self.onLoadSection)
        self.loadFolderButton = _button(
            "Load folder…", "Load every section of a folder, and tick them for a series.", self.onLoadFolder
        )
        line.addWidget(self.loadSectionButton)
        line.addWidget(self.loadFolderButton)
        return row

    def refresh_apply(self) -> None:
        super().refresh_apply()
        self.results.offer(self._method_again())
        learns = self.form.method.gives == "checkpoint"
        if learns and not self.form.outputs[LEARNED].node:
            self.ui.outputsSection.collapsed = False  # the file that is to be written is named there
        for button in (self.loadSectionButton, self.loadFolderButton):
            button.visible = not learns
            button.enabled = not self.runner.running

    def onChanged(self) -> None:
        """Where another section or atlas is chosen, the start that was chosen for the one before is none."""
        if not self._scene_changes and any(self._is_another(role) for role in ("fixed", "moving")):
            for role in ("fixed", "moving"):
                self.form.inputs[role].keep(self.state)
            self._set(STARTS)
        super().onChanged()

    def _is_another(self, role: str) -> bool:
        before = self.state.reference(f"input.{role}")
        return before is not None and before is not self.form.inputs[role].node

    # --- files ---

    def onLoadSection(self) -> None:
        path = qt.QFileDialog.getOpenFileName(self.widget, "Load section", "", PICTURES)
        if path:
            self._load(lambda: sections.LoadedSections(sections.load_section(path)))

    def onLoadFolder(self) -> None:
        path = qt.QFileDialog.getExistingDirectory(self.widget, "Load a folder of sections")
        if path:
            self._load(lambda: sections.load_sections(path))

    def _load(self, load: Callable[[], sections.LoadedSections]) -> None:
        """Adds the sections, chooses the first one, and says what was left out; a sentence where that cannot be."""
        with self._failures("The section could not be loaded"):
            dependencies.ensure(self.title, self.packages)
            self.live.status("Reading: a large file without smaller copies of itself takes some seconds.")
            self.ui.statusLabel.repaint()
            loaded = load()
            self.form.inputs["fixed"].set(loaded.nodes[0], "")
            self._tick(loaded.nodes)
            self.onChanged()
            for name, reason in loaded.left_out.items():
                self.live.log(f"'{name}' was left out: {reason}")
            self.live.status(f"{sections.described(loaded.nodes)} {_left_out(len(loaded.left_out))}".strip())

    def _tick(self, nodes: Sequence[Any]) -> None:
        """Adds sections to those of the series; of a file with a volume for each channel the first one."""
        field: Any = self.form.inputs[SERIES]
        files = {node.GetAttribute(sections.PATH): node for node in reversed(nodes)}
        field.set([*(field.node or ()), *(node for node in nodes if node in files.values())], "")

    # --- the run ---

    def start(self) -> None:
        self.results.leave()  # a held atlas is not where it belongs
        super().start()

    def _method_again(self) -> Method:
        """By which the section that is shown can be found again; of a series it is found alone."""
        method = self.form.method
        return catalog.method(ALONE) if method.gives == "series" else method

    def run_with(self, texts: Mapping[str, str]) -> None:
        """Finds the section that is shown again, with other values of those parameters that the method has."""
        self.form.set_method(self._method_again().name)
        self.form.inputs["fixed"].set(self.results.fixed, "")
        self.form.inputs["fixed"].keep(self.state)
        self._set(texts)
        if not self.runner.running:
            self.start()

    def _set(self, texts: Mapping[str, str]) -> None:
        known = {each.name for each in self.form.method.parameters}
        self.form.change({name: text for name, text in texts.items() if name in known})

    def _finish(self, message: Message) -> None:
        """What was learned is what the next section is looked for with."""
        learned = self.form.outputs[LEARNED].node if self.form.method.gives == "checkpoint" else None
        super()._finish(message)
        if message.result is not None and learned:
            self.form.inputs[USED].set(learned, "")
            self.save_state()


def _left_out(count: int) -> str:
    return {0: "", 1: "1 file was left out, see the log."}.get(count, f"{count} files were left out, see the log.")


def _button(text: str, help: str, pressed: Callable[[], None]) -> Any:
    button = qt.QPushButton(text)
    button.toolTip = tooltip(help)
    button.connect("clicked()", pressed)
    return button
