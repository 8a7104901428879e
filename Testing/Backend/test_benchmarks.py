"""The parts of the benchmarks that could be wrong quietly: goals, rows, skipping, the processes of measured cases."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from regsuite import phantoms
from regsuite.spatial import Grid, Image
from regsuite.transforms import identity

TESTING = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTING))

from Benchmarks import ants_peer, cases, judging, metamorphosis, real_cases, real_pairs, run  # noqa: E402
from Benchmarks.lesions import former_lesion  # noqa: E402
from Benchmarks.rows import Goal, failed, parse_goal, row, skipped  # noqa: E402
from Benchmarks.tumours import Sensitivity, Tumours  # noqa: E402
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
    names = "NAME=metamorphosis, NAME=mo-bcpd, NAME=atlas-slice, NAME=hip-qmri"
    assert done.stderr == f"There is no benchmark 'nothing': choose one of {names}.\n"
    assert done.stdout == ""


class Answers(Workshop):
    """Gives figures that are set here instead of measuring them."""

    figures: ClassVar[dict[str, float]] = {
        "dice_ventricles": 0.9,
        "error_mm": 0.5,
        "error_95_mm": 1.0,
        "folded_fraction": 0.0,
        "left_final": 0.1,
        "left_deformation": 0.2,
        "left_outside": 0.15,
        "seconds": 60.0,
        "memory_mb": 900.0,
    }

    def run(self, function: str, *, python: str = sys.executable, **arguments: Any) -> Any:
        if function == "cases:make":
            return {"refused": ""}
        if function == "cases:make_tumours":
            return list(arguments["recipes"])[: arguments["count"]]
        if function == "ours:variations":
            changed = {name: [0.9, 0.85] for name in arguments["names"]}
            return [{"usual": 0.9, **changed}, {"usual": 0.8, **changed}]
        worse = {"dice_ventricles": 0.5, "error_mm": 3.0, "error_95_mm": 5.0, "left_final": 1.0}
        figures = {**self.figures, **(worse if function.partition(":")[0] in ("judging", "demons") else {})}
        if function == "judging:before_each":
            figures = {name: figure for name, figure in figures.items() if name not in ("seconds", "memory_mb")}
        return [figures] * len(arguments["cases"]) if "cases" in arguments else figures


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


def test_tables_of_the_tumours_follow_from_their_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ants_peer.INTERPRETER, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with Answers() as workshop:
        rows = Tumours(workshop, full=True).twelve()
        tables = workshop.tables
    lines = {line[0]: line[1:] for line in tables["tumours"]["rows"]}
    assert lines["before"][0] == [0.5, 0.0]
    assert lines["before"][-1] is None  # doing nothing costs nothing
    assert lines["LDDMM"][:2] == [[0.9, 0.0], [0.5, 0.0]]
    assert len(lines) == 1 + 5 + 2
    assert len(tables["each tumour"]["rows"]) == 12 * len(lines)
    against = [each for each in rows if each["peer"] == "SimpleITK diffeomorphic demons, lesion left out"]
    assert [each["met"] for each in against] == [True, True, True]
    margins = [each for each in rows if each["goal"] and each["goal"].startswith("> peer + ")]
    assert [each["met"] for each in margins] == [False, False, False]


def test_a_real_pair_keeps_what_can_be_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One method that breaks is a row that is not met, and the others stay; a peer that is not there is left out."""

    class Broken(Answers):
        def run(self, function: str, *, python: str = sys.executable, **arguments: Any) -> Any:
            if arguments.get("method") == "lddmm":
                raise CaseFailed("out of memory")
            return {**super().run(function, **arguments), "correlation_outside": 0.5, "tre_mm": 2.0}

    (tmp_path / "tumour3d_bratsreg").mkdir()
    monkeypatch.setenv("REGSUITE_DATA", str(tmp_path))
    monkeypatch.delenv(ants_peer.INTERPRETER, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with Broken() as workshop:
        visits = next(pair for pair in real_pairs.PAIRS if "after treatment to before" in pair.title)
        rows = real_pairs.RealPairs(workshop, full=True).pair(visits)
        ways = [line[1] for line in workshop.tables["real pairs"]["rows"]]
    assert ways == [
        "before",
        "initial alignment alone",
        "weighted metamorphosis, evolving mask",
        "weighted metamorphosis, constant mask",
        "metamorphosis",
        "cost-function masking",
        "SimpleITK diffeomorphic demons, lesion left out",
    ]
    assert [(each["claim"], each["failed"]) for each in rows if "failed" in each] == [("LDDMM", "out of memory")]
    distances = [each for each in rows if each["claim"] == "distance of landmarks, mean"]
    assert [(each["peer"], each["met"]) for each in distances] == [("before", False), (real_pairs.DEMONS, False)]


def test_sensitivity_is_the_largest_change() -> None:
    """Of two cases with 0.9 and 0.8: 0.9 and 0.85 change their mean by 0.05 and 0, one of them by up to 0.1."""
    with Answers() as workshop:
        rows = Sensitivity(workshop, full=True).four()
        table = workshop.tables["sensitivity"]
    assert [each["ours"] for each in rows[:2]] == [0.05, 0.1]
    assert [line[:2] for line in table["rows"][:2]] == [["kernel_widths", "2"], ["kernel_widths", "1/2"]]
    assert np.allclose([line[2:] for line in table["rows"][:2]], [[0.05, 0.1], [0.0, -0.05]])


def test_a_run_tells_what_its_sensitivity_is_measured_about() -> None:
    from Benchmarks import ours

    result = ours._run(phantoms.shapes_2d((48, 40)), "weighted-metamorphosis", {"levels": 1, "iterations": 2})
    chosen = result.record["chosen"]
    assert {"kernel_widths", "regularity", "intensity_penalty", "steps"} == chosen.keys()
    assert all(value != 0 for name, value in chosen.items() if name != "kernel_widths")
    assert all(value != 0 for value in chosen["kernel_widths"])
    assert ours._scaled(chosen["kernel_widths"], 2.0) == [2 * width for width in chosen["kernel_widths"]]
    assert (ours._scaled(5, 0.5), ours._scaled(0.3, 2.0)) == (2, 0.6)


def test_a_part_is_chosen_by_what_it_claims(workshop: Workshop) -> None:
    groups = metamorphosis.groups(workshop, True)
    assert len(run.named(groups, "")) == len(groups)
    assert {data for _, data, _ in run.named(groups, "real pair, MNI152 to BraTS-Reg")} == {
        "MNI152 to BraTS-Reg 002 before treatment",
        "MNI152 to BraTS-Reg 002 after treatment",
    }
    assert run.command("metamorphosis", True, "real") == 'make -s bench NAME=metamorphosis FULL=1 ONLY="real"'


def test_a_path_is_judged_by_its_map_and_what_it_paints(tmp_path: Path) -> None:
    """Four pixels to the right in four steps, and a pixel painted in the first one and carried along by the rest."""
    source = np.zeros((20, 24), dtype=np.float32)
    source[8:12, 6:10] = 1
    target = np.roll(source, 4, axis=1)
    target[3, 8] = 0.5
    np.savez(tmp_path / "images.npz", source=source, target=target)
    velocity = np.zeros((4, 20, 24, 2), dtype=np.float32)
    velocity[..., 0] = 4.0
    painted = np.zeros((4, 20, 24), dtype=np.float32)
    painted[0, 3, 5] = 4 * 0.5
    np.savez(tmp_path / "path.npz", velocity=velocity, painted=painted, final=target, energy=0.75)
    figures = judging.path(str(tmp_path / "images.npz"), str(tmp_path / "path.npz"))
    start = 32 + 0.25
    assert figures["compared_deformation"] == pytest.approx(0.25 / start, abs=1e-5)
    assert figures["compared_final"] == pytest.approx(0, abs=1e-5)
    assert figures["energy"] == pytest.approx(0.75 / start, abs=1e-5)
    assert figures["energy_blurred"] == pytest.approx(0.75 / start, abs=1e-5)
    assert figures["folded_fraction"] == 0


def test_the_figures_of_doing_nothing() -> None:
    case = phantoms.shapes_2d((48, 40))
    figures = judging.judged(cases.Kept(case, case.fixed, case.moving), identity(2))
    assert (figures["left_deformation"], figures["left_outside"], figures["left_final"]) == (1, 1, 1)
    assert figures["correlation_outside"] < 1
    case = dataclasses.replace(case, moving=case.fixed)
    figures = judging.judged(cases.Kept(case, case.fixed, case.fixed), identity(2))
    assert figures["correlation_outside"] == pytest.approx(1)


def test_a_former_lesion_is_found_with_its_rim() -> None:
    """A dark ball with a bright shell before, tissue after; the second visit is brighter as a whole."""
    grid = Grid.regular((60, 60, 60), 2.0)
    x = grid.points().numpy() - grid.centre
    noise = np.random.default_rng(0).normal(0, 0.12, (2, *grid.shape))
    head = np.linalg.norm(x, axis=-1) < 50
    away = np.linalg.norm(x - np.array([12.0, 0, 0]), axis=-1)
    before = np.where(away < 8, 0.5, np.where(away < 11, 1.3, np.where(away < 16, 0.7, 1.0))) + noise[0]
    visits = [Image.from_array((head * each).astype(np.float32), grid) for each in (before, 1.5 * (1 + noise[1]))]
    found, true = former_lesion(*visits).array() > 0, away < 16
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.85


def test_landmarks_lie_where_their_voxels_are(tmp_path: Path) -> None:
    """Row X, Y, Z is the voxel (X, Y + 239, Z) of the file."""
    (tmp_path / "BraTSReg_002_00_0000_landmarks.csv").write_text("Landmark,X,Y,Z\n1,155.0,-68.0,93.0\n2,1,-239,0\n")
    grid = Grid.from_affine((155, 240, 240), np.array([[0, 0, -1, 0], [0, -1, 0, 239], [1, 0, 0, 0], [0, 0, 0, 1.0]]))
    points = real_cases._landmarks(str(tmp_path), "before", grid).array()
    assert points.tolist() == [[-155, 239 - 171, 93], [-1, 239, 0]]


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
