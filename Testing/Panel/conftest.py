"""Panels are tested on the simulated Slicer; an exception in a slot fails the test, as an error of VTK does."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import slicer
from Rig import pythonqt, simulation

simulation.start()  # puts qt and ctk where the tests import them from
ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "RegistrationSuite" / "TumourMetamorphosis" / "TumourMetamorphosis.py"
sys.path.insert(0, str(ROOT / "Testing" / "Backend" / "stand_in"))


@pytest.fixture(autouse=True)
def no_slot_error() -> Iterator[None]:
    """Fails a test during which a slot raised; PythonQt would only print it."""
    pythonqt.slot_errors.clear()
    yield
    assert pythonqt.slot_errors == []


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all temporary files while the test runs."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The quick method of the backend's tests, which can misbehave, in the catalog for one test."""
    import stand_in_method
    from regsuite.catalog import registry

    monkeypatch.setattr(registry, "_METHODS", (*registry._METHODS, stand_in_method.METHOD))
    return stand_in_method


@pytest.fixture
def module(session: Any) -> Iterator[simulation.LoadedModule]:
    """The module Tumour Metamorphosis as Slicer has it after its start, with an empty scene."""
    loaded = simulation.load_module(MODULE)
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def warm_worker() -> Iterator[Any]:
    """A worker that outlives the panels, so that not every test waits for Python and torch to start."""
    from regsuite.jobs import WorkerClient

    class Warm(WorkerClient):
        def close(self) -> None:
            """The panel that closes leaves it to the next one."""

    client = Warm()
    yield client
    client.cancel()


@pytest.fixture
def panel(module: simulation.LoadedModule, warm_worker: Any) -> Any:
    """The module's panel."""
    from RegistrationSuiteLib.runner import JobRunner

    made = module.widgetRepresentation().self().panel
    made.runner = JobRunner(warm_worker)
    return made


@pytest.fixture
def stand_in_panel(session: Any, stand_in: Any, temporary: Path) -> Iterator[Any]:
    """A panel for the stand-in method, its two images chosen; nothing of its worker may be left at the end."""
    from RegistrationSuiteLib import samples
    from RegistrationSuiteLib.panel import MethodPanel
    from RegistrationSuiteLib.runner import JobRunner
    from regsuite.jobs import WorkerClient

    nodes = samples.tumour_head_3d()
    made = MethodPanel("StandIn", "Stand-in", [stand_in.NAME])
    made.runner = JobRunner(WorkerClient(environment=stand_in.environment()))
    for role in ("fixed", "moving"):
        made.form.inputs[role].selector.setCurrentNode(nodes[role])
    yield made
    made.close()
    assert processes(temporary) == []
    assert list(temporary.iterdir()) == []


def processes(temporary: Path, seconds: float = 5.0) -> list[int]:
    """The processes, but this one, whose temporary files go into that folder, after some time to end."""
    deadline = time.monotonic() + seconds
    while (left := _with_temporary(temporary)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def _with_temporary(temporary: Path) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if f"TMPDIR={temporary}".encode() in environment and int(folder.name) != os.getpid() and state != "Z":
            found.append(int(folder.name))
    return found


def wait(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Lets events and timers run until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        slicer.app.processEvents()
        time.sleep(0.005)


def picture_folder() -> Path:
    """Where pictures to look at go: the folder TEST_PICTURES names, else out/pictures."""
    folder = Path(os.environ.get("TEST_PICTURES", ROOT / "out" / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def contents() -> dict[str, tuple[str, int]]:
    """What the scene holds: every node's ID, with its name and the time of its last change, but the panels' own."""
    scene = slicer.mrmlScene
    nodes = (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))
    kept = (node for node in nodes if not node.IsA("vtkMRMLScriptedModuleNode"))
    return {node.GetID(): (node.GetName(), node.GetMTime()) for node in kept}


class Finder:
    """A worker that gives what the tests say it found."""

    def __init__(self) -> None:
        self.jobs: list[Any] = []
        self.news: list[Any] = []
        self.ended = 0

    def start(self) -> None:
        """It is always there."""

    def submit(self, job: Any) -> None:
        from regsuite import catalog

        catalog.method(job.method).check_values(job.parameters)
        self.jobs.append(job)

    def poll(self) -> list[Any]:
        news, self.news = self.news, []
        return news

    def cancel(self) -> None:
        self.ended += 1

    close = cancel


@pytest.fixture
def finder() -> Finder:
    return Finder()


def give(panel: Any, finder: Finder, result: Any) -> None:
    """Apply, and the worker brings the result."""
    from regsuite.jobs import Message

    if not panel.runner.running:
        panel.ui.applyButton.click()
    assert panel.runner.running, panel.ui.statusLabel.text
    finder.news.append(Message("done", result=result))
    wait(lambda: not panel.runner.running)
