"""The rows of a method panel that choose files: what a training wrote or starts from, and where another is to write."""

from __future__ import annotations

from typing import Any

import ctk
from regsuite.catalog import Input, Output

from RegistrationSuiteLib.panel.fields import Changed, tooltip
from RegistrationSuiteLib.state import PanelState

FILTERS = {
    "checkpoint": ["Checkpoints (*.safetensors)"],
    "weights": ["Weights (*.safetensors *.pth *.pt)"],
}


class _PathRow:
    """A line with a path and a button that browses for it."""

    def __init__(self, key: str, declared: Input | Output, written: bool, changed: Changed) -> None:
        self.declared: Any = declared
        self._key = key
        self._changed = changed
        self._setting = False
        self.widget = ctk.ctkPathLineEdit()
        self.widget.label = declared.title
        self.widget.nameFilters = FILTERS[declared.kind]
        kind = ctk.ctkPathLineEdit
        self.widget.filters = kind.Files | (kind.Writable if written else kind.Readable)
        self.widget.toolTip = tooltip(declared.help)
        self.widget.connect("currentPathChanged(QString)", self.onPath)
        self.widget.connect("validInputChanged(bool)", self.onValidity)  # it tells of no path that its filters refuse

    @property
    def node(self) -> str | None:
        """The path; None where there is none."""
        return str(self.widget.currentPath).strip() or None

    def set(self, path: str | None, _segment: str = "") -> None:
        """Shows a path without telling anyone."""
        self._setting = True
        self.widget.currentPath = path or ""
        self._setting = False

    def keep(self, state: PanelState) -> None:
        """Writes the path into the panel's state."""
        state.set_text(self._key, self.node or "")

    def recall(self, state: PanelState) -> None:
        """Shows the path that the panel's state keeps."""
        self.set(state.text(self._key))

    def onPath(self, _path: str) -> None:
        if not self._setting:
            self._changed()

    def onValidity(self, _valid: bool) -> None:
        if not self._setting:
            self._changed()


class PathField(_PathRow):
    """The choice of an input that is a file."""

    segment = ""

    def __init__(self, declared: Input, changed: Changed) -> None:
        super().__init__(f"input.{declared.role}", declared, False, changed)
        self.widget.name = f"{declared.role}Path"

    def removeObservers(self) -> None:
        """A file is not followed."""


class PathOutput(_PathRow):
    """Where an output that is a file is written."""

    def __init__(self, declared: Output, changed: Changed) -> None:
        super().__init__(f"output.{declared.name}", declared, True, changed)
        self.widget.name = f"{declared.name}Path"
