"""The parts of the benchmarks that could be wrong quietly: goals, rows, skipping, the processes of measured cases."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

TESTING = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTING))

from Benchmarks import metamorphosis, run  # noqa: E402
from Benchmarks.rows import Goal, failed, parse_goal, row, skipped  # noqa: E402
from Benchmarks.workshop import CaseFailed, Missing, Workshop, data_folder  # noqa: E402

FIELDS = {"claim", "data", "ours", "peer", "peer_value", "unit", "goal", "met"}


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    with Workshop() as made:
        yield made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (">= 0.85", Goal(">=", 0.0, 0.85)),
        ("== 0", Goal("==", 0.0, 0.0)),
        ("< -1.5e-3", Goal("<", 0.0, -0.0015)),
        ("> peer", Goal(">", 1.0, 0.0)),
        ("<= 0.6 x peer", Goal("<=", 0.6, 0.0)),
        ("> peer + 0.1", Goal(">", 1.0, 0.1)),
        (">= 2 x peer - 3", Goal(">=", 2.0, -3.0)),
    ],
)
def test_goals_are_read(text: str, expected: Goal) -> None:
    assert parse_goal(text) == expected


@pytest.mark.parametrize(
    "text", ["", "0.85", "=> 0.85", "=0.85", "> 0.6 peer", "> peer +", "better than peer", "> 0.8 or so", "< 0 x peer"]
)
def test_what_is_no_goal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no goal"):
        parse_goal(text)


@pytest.mark.parametrize(
    ("goal", "ours", "peer", "met"),
    [
        (">= 0.85", 0.85, None, True),
        (">= 0.85", 0.8499, None, False),
        ("> peer", 0.7, 0.7, False),
        ("> peer + 0.1", 0.81, 0.7, True),
        ("> peer + 0.1", 0.79, 0.7, False),
        ("<= 0.6 x peer", 59.0, 100.0, True),
        ("<= 0.6 x peer", 61.0, 100.0, False),
        ("== 0", 0.0, None, True),
        ("== 0", 1e-7, None, False),
        (">= 0.85", math.nan, None, False),
        ("< peer", 1.0, math.nan, False),
        ("< peer", 1.0, None, None),
        ("", 1.0, 2.0, None),
    ],
)
def test_met_follows_from_ours_peer_and_goal(goal: str, ours: float, peer: float | None, met: bool | None) -> None:
    made = row("claim", "data", "mm", ours, goal=goal, peer="peer", peer_value=peer)
    assert made["met"] is met
    assert made.keys() == FIELDS
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_met_can_be_checked_against_the_figures_shown() -> None:
    """0.85 - 1e-9 is shown as 0.85."""
    made = row("claim", "data", "Dice", 0.85 - 1e-9, goal=">= 0.85")
    assert (made["ours"], made["met"]) == (0.85, True)


def test_rows_without_figures() -> None:
    missing, broken = skipped("claim", "data", "no peer"), failed("claim", "data", "it broke")
    assert (missing["met"], missing["ours"], missing["skipped"]) == (None, None, "no peer")
    assert (broken["met"], broken["ours"], broken["failed"]) == (False, None, "it broke")
    assert missing.keys() > FIELDS
    assert broken.keys() > FIELDS


def test_one_group_that_fails_does_not_stop_the_others() -> None:
    def absent() -> list[dict[str, Any]]:
        raise Missing("not installed")

    def broken() -> list[dict[str, Any]]:
        raise CaseFailed("out of memory")

    def well() -> list[dict[str, Any]]:
        return [row("c", "data", "s", 1.0)]

    rows = run.collected([("a", "data", absent), ("b", "data", broken), ("c", "data", well)])
    assert [(each["claim"], each["met"]) for each in rows] == [("a", None), ("b", False), ("c", None)]
    assert (rows[0]["skipped"], rows[1]["failed"], rows[2]["ours"]) == ("not installed", "out of memory", 1.0)


def test_answers_come_from_another_process(workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    give_module(tmp_path, monkeypatch)
    told = workshop.run("spoken:tell", value=3)
    assert told["value"] == 3
    assert told["process"] != os.getpid()
    assert told["threads"] == ["1", "1"]
    assert workshop.run("spoken:tell", value=3) == told  # not asked again
    with pytest.raises(Missing, match="no such peer"):
        workshop.run("spoken:lack")
    with pytest.raises(CaseFailed, match="KeyError: 'lost'"):
        workshop.run("spoken:err")
    with pytest.raises(CaseFailed, match="ended with code -9"):
        workshop.run("spoken:die")


def give_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module ``spoken`` in the package of benchmarks, for new processes."""
    text = """
import os, signal
from Benchmarks.workshop import Missing
def tell(value):
    print("noise")
    names = ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    return {"value": value, "process": os.getpid(), "threads": [os.environ[name] for name in names]}
def lack():
    raise Missing("no such peer")
def err():
    raise KeyError("lost")
def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""
    (folder / "spoken.py").write_text(text)
    code = f"import Benchmarks; Benchmarks.__path__.append({str(folder)!r})"
    (folder / "sitecustomize.py").write_text(f"import sys; sys.path.insert(0, {str(TESTING)!r})\n{code}\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_data_is_found_or_missed_in_plain_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "brains").mkdir()
    monkeypatch.setenv("REGSUITE_DATA", str(tmp_path))
    assert data_folder("brains") == tmp_path / "brains"
    with pytest.raises(Missing, match=r"There is no data set 'hearts'.*REGSUITE_DATA"):
        data_folder("hearts")


def test_a_benchmark_that_is_not_known() -> None:
    done = subprocess.run(
        [sys.executable, str(TESTING / "Benchmarks" / "run.py"), "nothing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "There is no benchmark 'nothing': choose one of NAME=metamorphosis.\n"
    assert done.stdout == ""


class Answers(Workshop):
    """Gives figures that are set here instead of measuring them."""

    figures: ClassVar[dict[str, float]] = {
        "dice_ventricles": 0.9,
        "error_mm": 0.5,
        "error_95_mm": 1.0,
        "folded_fraction": 0.0,
        "seconds": 60.0,
        "memory_mb": 900.0,
    }

    def run(self, function: str, *, python: str = sys.executable, **arguments: Any) -> Any:
        if function == "cases:make":
            return {"refused": ""}
        worse = {"dice_ventricles": 0.5, "error_mm": 3.0, "error_95_mm": 5.0}
        return {**self.figures, **(worse if function in ("cases:before", "cases:demons") else {})}


def test_rows_of_the_demonstration_follow_from_its_figures() -> None:
    with Answers() as workshop:
        bench = metamorphosis.Metamorphosis(workshop, full=False)
        rows = bench.demonstration()
        assert all(each["met"] for each in rows)
        assert {each["unit"]: each["ours"] for each in rows}["s"] == 60.0
        against = {each["claim"]: each for each in bench.demons("diffeomorphic", True)}
    assert against["distance to the true deformation, mean"]["peer_value"] == 3.0
    assert against["time"]["met"] is None
    with Answers() as workshop:
        workshop.figures = {**Answers.figures, "folded_fraction": 1e-6, "dice_ventricles": 0.55}
        rows = metamorphosis.Metamorphosis(workshop, full=False).demonstration()
    assert [each["met"] for each in rows] == [False, False, False, True, True, True, True]


def test_quick_and_full_have_groups_of_their_own(workshop: Workshop) -> None:
    quick, full = (metamorphosis.groups(workshop, whole) for whole in (False, True))
    assert len({(claim, data) for claim, data, _ in quick}) >= 8
    assert {(claim, data) for claim, data, _ in quick} < {(claim, data) for claim, data, _ in full}


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are counted through /proc")
def test_what_an_interrupted_job_leaves_is_counted(tmp_path: Path) -> None:
    from Benchmarks import interruptions

    assert interruptions._leftovers(tmp_path) == 0
    (tmp_path / "litter").touch()
    assert interruptions._leftovers(tmp_path) == 1
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    code = "print('began', flush=True); import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"began\n"
        assert interruptions._workers(tmp_path) == [process.pid]
        process.kill()
    assert interruptions._leftovers(tmp_path) == 1
