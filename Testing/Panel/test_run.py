"""Runs from the panel, on a stand-in method that does as it is told: to the end, cancelled, failed, killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE
from types import SimpleNamespace
from typing import Any

import pytest
import slicer
import slicer.util
from conftest import MODULE, ROOT, contents, processes, wait
from Rig import pythonqt


def set_text(panel: Any, **texts: str) -> None:
    for field in panel.form.forms.fields:
        if field.parameter.name in texts:
            field.set_text(texts[field.parameter.name])


def run(panel: Any) -> str:
    """Presses Apply and waits for the end; what the panel says then."""
    panel.ui.applyButton.click()
    wait(lambda: not panel.runner.running)
    return str(panel.ui.statusLabel.text)


def let_pass(seconds: float) -> None:
    """Lets events and timers run for that time."""
    moment = time.monotonic() + seconds
    wait(lambda: time.monotonic() > moment)


def idle(panel: Any) -> bool:
    return panel.ui.applyButton.text == "Apply" and panel.ui.applyButton.enabled and not panel.ui.progressBar.visible


def test_a_run_to_the_end(stand_in_panel: Any) -> None:
    panel = stand_in_panel
    before = contents()
    set_text(panel, seconds="0.5")
    panel.ui.applyButton.click()
    assert (panel.ui.applyButton.text, panel.ui.inputsFrame.enabled) == ("Cancel", False)
    assert contents() == before
    wait(lambda: panel.ui.progressBar.value > 300)
    assert not panel.ui.progressBar.isHidden()
    assert not panel.ui.logSection.collapsed
    assert panel.ui.energyLabel.text.startswith("Energy at ")
    assert not panel.ui.curveLabel.pixmap.isNull()
    assert contents() == before
    wait(lambda: not panel.runner.running)
    assert panel.ui.statusLabel.text.startswith("Done in ")
    assert not panel.ui.previewLabel.pixmap.isNull()
    assert idle(panel)
    assert {"transform", "inverse", "warped", "jacobian", "evolution", "energy_chart"} <= set(panel.state.results())
    kept = {node: entry for node, entry in contents().items() if node in before}
    assert {node: name for node, (name, _) in kept.items()} == {node: name for node, (name, _) in before.items()}


def test_the_log_stays_in_sight_after_the_run(stand_in_panel: Any, stand_in: Any) -> None:
    stand_in_panel.ui.logSection.collapsed = True
    sentence = run(stand_in_panel)
    assert not stand_in_panel.ui.logSection.collapsed
    assert stand_in_panel.ui.logEdit.plainText.splitlines() == [stand_in.LOGGED, sentence]


@pytest.mark.parametrize(
    ("metrics", "notes", "sentence"),
    [
        ({}, 0, "Done in 12 s on cpu."),
        ({"settled": 1.0, "folded_fraction": 0.0}, 0, "Done in 12 s on cpu, no folded voxels."),
        ({"folded_fraction": 0.0024}, 1, "Done in 12 s on cpu, 0.24 % folded voxels. Read the note under Results."),
        (
            {"dice_before": 0.5, "dice_after": 0.75, "settled": 0.0},
            2,
            "Done in 12 s on cpu, mean Dice 0.50 before and 0.75 after, stopped at the limit of iterations. Read the "
            "notes under Results.",
        ),
    ],
    ids=["plain", "sound", "folded", "unsettled"],
)
def test_the_status_line_sums_up(metrics: dict[str, float], notes: int, sentence: str) -> None:
    from RegistrationSuiteLib.panel import method_panel

    told = ["Something to know."] * notes
    done = SimpleNamespace(record={"seconds": 12.3, "device": "cpu"}, metrics=metrics, notes=told)
    assert method_panel.summary(done) == sentence


def test_the_same_result_from_panel_and_console(stand_in_panel: Any, stand_in: Any) -> None:
    from RegistrationSuiteLib import scene
    from RegistrationSuiteLib.logic import MethodLogic

    run(stand_in_panel)
    request = stand_in_panel.request()
    console = MethodLogic([stand_in.NAME]).register(request.inputs["fixed"], request.inputs["moving"])
    points = [[10.0, 20.0, 30.0], [-5.0, 0.0, 1.0]]
    transforms = (console["transform"], stand_in_panel.state.results()["transform"])
    moved = [scene.transform_from_node(each)(_tensor(points)).tolist() for each in transforms]
    assert moved[0] == moved[1]


def _tensor(points: list[list[float]]) -> Any:
    import torch

    return torch.tensor(points, dtype=torch.float64)


def test_chosen_outputs_are_filled(stand_in_panel: Any) -> None:
    panel = stand_in_panel
    mine = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "mine")
    panel.form.outputs["transform"].widget.setCurrentNode(mine)
    run(panel)
    assert panel.state.results()["transform"] is mine
    assert mine.GetName() == "mine"
    assert mine.GetTransformFromParent() is not None


def test_undo_removes_what_the_run_added(stand_in_panel: Any) -> None:
    panel = stand_in_panel
    before = contents()
    run(panel)
    for button in ("showGridButton", "showJacobianButton", "playButton"):
        getattr(panel.ui, button).click()
    panel.ui.undoButton.click()
    assert set(contents()) == set(before)
    assert panel.state.results() == {}
    assert not panel.ui.resultsFrame.enabled
    assert run(panel).startswith("Done in ")


# --- the worker before the first run ---


def test_the_first_run_takes_the_worker_that_waits(stand_in_panel: Any, temporary: Path) -> None:
    panel = stand_in_panel
    assert processes(temporary) == []
    panel.warm_up()
    waiting = processes(temporary, seconds=0)
    assert len(waiting) == 1
    assert idle(panel)
    panel.warm_up()
    set_text(panel, seconds="0.3")
    panel.ui.applyButton.click()
    panel.warm_up()
    wait(lambda: not panel.runner.running)
    assert panel.ui.statusLabel.text.startswith("Done in ")
    assert processes(temporary, seconds=0) == waiting


def test_closing_the_scene_ends_the_worker_that_waits(stand_in_panel: Any, temporary: Path, tmp_path: Path) -> None:
    panel = stand_in_panel
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    panel.warm_up()
    slicer.mrmlScene.Clear(0)
    assert processes(temporary) == []
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert processes(temporary, seconds=0) == []
    panel.widget.show()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert len(processes(temporary, seconds=0)) == 1
    panel.close()
    assert processes(temporary) == []


def test_no_worker_waits_where_a_package_is_missing(
    stand_in_panel: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from RegistrationSuiteLib import dependencies

    for missing in ("torch", "scipy"):
        monkeypatch.setattr(dependencies, "is_installed", lambda name, missing=missing: name != missing)
        stand_in_panel.warm_up()
        assert processes(temporary, seconds=0) == []


def test_a_worker_that_does_not_start(stand_in_panel: Any) -> None:
    from RegistrationSuiteLib.runner import JobRunner
    from regsuite.jobs import WorkerClient

    stand_in_panel.runner = JobRunner(WorkerClient("no-python"))
    stand_in_panel.warm_up()
    assert stand_in_panel.ui.statusLabel.text.startswith("The worker process 'no-python' does not start")
    assert idle(stand_in_panel)


SLICER = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT / "Testing")!r})
from Rig import simulation
simulation.start()
module = simulation.load_module({str(MODULE)!r})
module.enter()
print("torch" in sys.modules, flush=True)
if input() == "unload":
    module.close()
    print("unloaded", flush=True)
    input()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("end", ["unload", "kill"])
def test_entering_the_module_starts_a_worker_that_ends_with_it(temporary: Path, end: str) -> None:
    """In a process of its own, which must not import torch."""
    program = subprocess.Popen([sys.executable, "-c", SLICER], stdin=PIPE, stdout=PIPE, text=True)
    assert program.stdin is not None
    assert program.stdout is not None
    assert program.stdout.readline() == "False\n"
    (worker,) = set(processes(temporary, seconds=0)) - {program.pid}
    assert b"regsuite.jobs.worker" in Path(f"/proc/{worker}/cmdline").read_bytes()
    if end == "unload":
        program.stdin.write("unload\n")
        program.stdin.flush()
        assert program.stdout.readline() == "unloaded\n"
        assert processes(temporary, seconds=0) == [program.pid]
        assert list(temporary.iterdir()) == []
    program.communicate("kill\n")
    assert processes(temporary, seconds=30) == []
    assert list(temporary.iterdir()) == []


# --- cancelled, failed, killed ---


def test_cancel_leaves_the_scene_as_it_was(stand_in_panel: Any, temporary: Path) -> None:
    panel = stand_in_panel
    before = contents()
    set_text(panel, seconds="30")
    panel.ui.applyButton.click()
    wait(lambda: panel.ui.progressBar.value > 0)
    panel.ui.applyButton.click()
    assert panel.ui.statusLabel.text == "Cancelled: the scene is as it was."
    assert idle(panel)
    assert contents() == before
    assert processes(temporary) == []
    assert list(temporary.iterdir()) == []
    set_text(panel, seconds="0")
    assert run(panel).startswith("Done in ")


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        ("error", "The method stopped on its own error"),
        ("host-memory", "The computer ran out of memory"),
        ("die", "The worker process ended unexpectedly (killed, perhaps out of memory)"),
        ("exit", "The worker process ended unexpectedly (exit code 3; cannot go on)"),
    ],
)
def test_failures_are_one_sentence(stand_in_panel: Any, behaviour: str, sentence: str) -> None:
    panel = stand_in_panel
    before = contents()
    set_text(panel, behaviour=behaviour)
    assert run(panel).startswith(sentence)
    assert contents() == before
    assert idle(panel)
    set_text(panel, behaviour="good")
    assert run(panel).startswith("Done in ")


def test_an_error_of_the_suite_is_told_and_not_hidden(stand_in_panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from RegistrationSuiteLib import results

    def fail(*_: Any) -> None:
        raise RuntimeError("lost")

    before = contents()
    monkeypatch.setattr(results, "add_registration", fail)
    assert run(stand_in_panel) == (
        "The result could not be shown because of an error of the suite (RuntimeError): see the Python console."
    )
    assert [str(error) for error in pythonqt.slot_errors] == ["lost"]
    pythonqt.slot_errors.clear()
    assert idle(stand_in_panel)
    assert contents() == before


def test_a_graphics_card_that_is_not_there(stand_in_panel: Any) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this computer has a graphics card")
    before = contents()
    stand_in_panel.ui.deviceComboBox.currentIndex = stand_in_panel.ui.deviceComboBox.findData("cuda")
    assert run(stand_in_panel).startswith("A GPU was asked for")
    assert contents() == before


def test_an_image_removed_while_the_job_runs(stand_in_panel: Any) -> None:
    panel = stand_in_panel
    set_text(panel, seconds="0.5")
    panel.ui.applyButton.click()
    slicer.mrmlScene.RemoveNode(panel.request().inputs["moving"])
    before = set(contents())
    wait(lambda: not panel.runner.running)
    assert panel.ui.statusLabel.text.startswith("The moving image was removed from the scene while")
    assert set(contents()) == before


def test_closing_the_scene_ends_the_job(stand_in_panel: Any, temporary: Path) -> None:
    panel = stand_in_panel
    set_text(panel, seconds="30")
    panel.ui.applyButton.click()
    wait(lambda: panel.ui.progressBar.value > 0)
    slicer.mrmlScene.Clear(0)
    assert not panel.runner.running
    assert processes(temporary) == []
    assert panel.state.results() == {}


def test_closing_the_panel_ends_the_job(stand_in_panel: Any, temporary: Path) -> None:
    set_text(stand_in_panel, seconds="30")
    stand_in_panel.ui.applyButton.click()
    wait(lambda: stand_in_panel.ui.progressBar.value > 0)
    stand_in_panel.close()
    assert processes(temporary) == []


def test_cancels_at_random_moments(stand_in_panel: Any, temporary: Path) -> None:
    """Every fifth while the method runs, the others from the first moment on, mostly while Python or torch start."""
    panel = stand_in_panel
    rng = random.Random(0)
    set_text(panel, seconds="30")
    before = contents()
    for number in range(10):
        panel.ui.applyButton.click()
        if number % 5 == 0:
            wait(lambda: panel.ui.progressBar.value > 0)
        let_pass(10 ** rng.uniform(-3, 0.3))
        panel.ui.applyButton.click()
        assert contents() == before
        assert idle(panel)
        assert list(temporary.iterdir()) == []
    assert processes(temporary) == []
    set_text(panel, seconds="0")
    assert run(panel).startswith("Done in ")


def test_killed_workers(stand_in_panel: Any, temporary: Path) -> None:
    """The benchmarks kill a hundred."""
    panel = stand_in_panel
    rng = random.Random(0)
    set_text(panel, seconds="30")
    before = contents()
    for _ in range(6):
        panel.ui.applyButton.click()
        wait(lambda: processes(temporary, seconds=0))
        let_pass(rng.uniform(0, 2.5))
        for process in processes(temporary, seconds=0):
            os.kill(process, signal.SIGKILL)
        wait(lambda: not panel.runner.running)
        assert panel.ui.statusLabel.text.startswith("The worker process ended unexpectedly (killed")
        assert contents() == before
        assert list(temporary.iterdir()) == []
    set_text(panel, seconds="0")
    assert run(panel).startswith("Done in ")
