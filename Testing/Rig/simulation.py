"""Starts the simulated Slicer: the real MRML scene of slicer-core, and stand-ins for everything that is Qt.

:func:`start` puts ``qt``, ``ctk``, the qMRML widgets and ``slicer.ScriptedLoadableModule`` where a module file looks
for them; :func:`load_module` then finds a module as Slicer does, and ``slicer.util.getModuleWidget`` opens its panel.
What runs on this is a simulation: it shows that a panel's own code works, not that Slicer will show it well.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
from PySide6.QtWidgets import QApplication
from RegistrationSuiteLib import standalone

from Rig import ctk_widgets, pythonqt, qmrml_widgets, scripted_module


class Application(standalone.Application):
    """``slicer.app`` with an event loop."""

    def __init__(self, application_logic: Any) -> None:
        super().__init__(application_logic)
        self._qt = QApplication.instance() or QApplication(["Slicer"])
        self._at_startup: list[Callable[[], None]] = []

    def processEvents(self) -> None:
        self._qt.processEvents()

    def moduleManager(self) -> ModuleManager:
        return ModuleManager()

    def connect(self, signal: str, receiver: Callable[[], None]) -> None:
        """Keeps the receivers of ``startupCompleted()``, the only signal that is simulated."""
        if signal != "startupCompleted()":
            raise ValueError(f"signal '{signal}' is not simulated")
        self._at_startup.append(receiver)

    def complete_startup(self) -> None:
        """Calls what waits for the end of the start."""
        while self._at_startup:
            self._at_startup.pop(0)()


class ModuleManager:
    """Finds a loaded module by its name."""

    def module(self, name: str) -> Any:
        return getattr(slicer.modules, name.lower(), None)


class SampleDataLogic:
    """The registry of the module Sample Data."""

    @staticmethod
    def registerCustomSampleDataSource(
        category: str = "Custom",
        sampleName: str | None = None,
        uris: str | None = None,
        fileNames: str | None = None,
        nodeNames: str | None = None,
        customDownloader: Callable[[Any], Any] | None = None,
        thumbnailFileName: str | None = None,
    ) -> None:
        """As in Slicer, texts (or lists of equal length) are needed even where a downloader needs none."""
        if not all(isinstance(text, str) for text in (uris, fileNames, nodeNames)):
            raise TypeError("uris, fileNames and nodeNames are texts")
        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        sources.append(SimpleNamespace(sampleName=sampleName, customDownloader=customDownloader))


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
            self._container = qSlicerScriptedLoadableModuleWidget(getattr(self._source, self.name + "Widget"))
        return self._container

    def enter(self) -> None:
        """Shows the panel and tells it, as when the user selects the module."""
        container = self.widgetRepresentation()
        container.show()
        container.self().enter()

    def close(self) -> None:
        """Unloads the panel."""
        if self._container is not None:
            self._container.hide()
            self._container.self().cleanup()
            self._container = None


class qSlicerScriptedLoadableModuleWidget(qmrml_widgets.qMRMLWidget):
    """The container of a module's panel."""

    def __init__(self, widget_class: type) -> None:
        super().__init__()
        pythonqt.QVBoxLayout(self)  # type: ignore[attr-defined]
        self.setMRMLScene(slicer.mrmlScene)
        self._widget = widget_class(self)
        self._widget.setup()

    def self(self) -> Any:
        return self._widget


def _ctk() -> ModuleType:
    module = ModuleType("ctk", ctk_widgets.__doc__)
    for name in ("ctkCollapsibleButton", "ctkPathLineEdit", "ctkSliderWidget"):
        setattr(module, name, getattr(ctk_widgets, name))
    return module


def start() -> standalone.Session:
    """The session with Qt put in place; the first call starts it."""
    session = standalone.boot()
    if not isinstance(slicer.app, Application):
        slicer.app = Application(session.application_logic)
        sys.modules["qt"] = pythonqt
        sys.modules["ctk"] = _ctk()
        sys.modules["SampleData"] = ModuleType("SampleData")
        sys.modules["SampleData"].SampleDataLogic = SampleDataLogic  # type: ignore[attr-defined]
        slicer.modules.sampleDataSources = {}
        sys.modules["slicer.ScriptedLoadableModule"] = scripted_module
        slicer.ScriptedLoadableModule = scripted_module
        slicer.qSlicerScriptedLoadableModuleWidget = qSlicerScriptedLoadableModuleWidget
        for name in ("qMRMLWidget", "qMRMLNodeComboBox", "qMRMLCheckableNodeComboBox", "qMRMLUtils"):
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
    slicer.app.complete_startup()
    return module
