"""Starts the simulated Slicer: the real MRML scene of slicer-core, and stand-ins for everything that is Qt.

:func:`start` puts ``qt``, ``ctk``, the qMRML widgets and ``slicer.ScriptedLoadableModule`` where a module file looks
for them; :func:`load_module` then finds a module as Slicer does, and ``slicer.util.getModuleWidget`` opens its panel.
What runs on this is a simulation: it shows that a panel's own code works, not that Slicer will show it well.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.pop("DISPLAY", None)

import slicer
from PySide6.QtWidgets import QApplication
from RegistrationSuiteLib import standalone

from Rig import ctk_widgets, pythonqt, qmrml_widgets, scripted_module


class Application(standalone.Application):
    """``slicer.app`` with an event loop."""

    def __init__(self, application_logic: Any) -> None:
        super().__init__(application_logic)
        self._qt = QApplication.instance() or QApplication(["Slicer"])

    def processEvents(self) -> None:
        self._qt.processEvents()


class ModuleParent(SimpleNamespace):
    """What Slicer hands to a module's constructor: a place for its title, help and icon; the path of its file."""


class LoadedModule:
    """``slicer.modules.<name>``."""

    def __init__(self, source: ModuleType, path: Path) -> None:
        self.path = str(path)
        self.name = source.__name__
        self.parent = ModuleParent(path=self.path)
        self.instance = getattr(source, self.name)(self.parent)
        self._source = source
        self._container: Any = None

    @property
    def title(self) -> str:
        return self.parent.title

    def logic(self) -> Any:
        return getattr(self._source, self.name + "Logic")()

    def widgetRepresentation(self) -> Any:
        """The panel's container, whose ``self()`` is the widget class; made on the first call, as in Slicer."""
        if self._container is None:
            self._container = Panel(getattr(self._source, self.name + "Widget"))
        return self._container

    def close(self) -> None:
        """Unloads the panel."""
        if self._container is not None:
            self._container.self().cleanup()
            self._container = None


class Panel:
    """A module's panel in its container."""

    def __init__(self, widget_class: type) -> None:
        self.container = qmrml_widgets.qMRMLWidget()
        pythonqt.QVBoxLayout(self.container)  # type: ignore[attr-defined]
        self.container.setMRMLScene(slicer.mrmlScene)
        self._widget = widget_class(self.container)
        self._widget.setup()

    def self(self) -> Any:
        return self._widget


def _ctk() -> ModuleType:
    module = ModuleType("ctk", ctk_widgets.__doc__)
    for name in ("ctkCollapsibleButton", "ctkSliderWidget"):
        setattr(module, name, getattr(ctk_widgets, name))
    return module


def start() -> standalone.Session:
    """The session with Qt put in place; the first call starts it."""
    session = standalone.boot()
    if not isinstance(slicer.app, Application):
        slicer.app = Application(session.application_logic)
        sys.modules["qt"] = pythonqt
        sys.modules["ctk"] = _ctk()
        sys.modules["slicer.ScriptedLoadableModule"] = scripted_module
        slicer.ScriptedLoadableModule = scripted_module
        for name in ("qMRMLWidget", "qMRMLNodeComboBox", "qMRMLUtils"):
            setattr(slicer, name, getattr(qmrml_widgets, name))
    return session


def load_module(path: str | Path) -> LoadedModule:
    """The scripted module in that file, its folder on ``sys.path``, registered under ``slicer.modules``."""
    path = Path(path).resolve()
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    source = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = source
    spec.loader.exec_module(source)
    module = LoadedModule(source, path)
    setattr(slicer.modules, path.stem.lower(), module)
    return module
