"""What users get for radial slices that cannot be used, from plain Python and from the command line, and for Cancel."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
import radial_samples as samples
from radial_faults import FAULTS, Files, good
from regsuite import cli, jobs
from regsuite.console import ConsoleProgress
from regsuite.errors import Cancelled, InputError
from regsuite.progress import Progress


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return good(tmp_path_factory.mktemp("good"))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one for what is given, one for results and one that all temporary files go to."""
    for name in ("given", "results", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


def words(files: Files, out: Path, **values: object) -> list[str]:
    """Of the command line."""
    texts = {name: str(value).strip("[]").replace(" ", "") for name, value in values.items()}
    given = ["run", "hip-qmri", "--out", str(out)]
    for role, paths in files.items():
        given += [f"--{role.replace('_', '-')}", *map(str, paths if isinstance(paths, list) else [paths])]
    return [*given, *(["--set", *(f"{name}={value}" for name, value in texts.items())] if texts else [])]


def left(bench: Path) -> list[Path]:
    """But for what torch keeps for itself."""
    found = [*(bench / "results").iterdir(), *(bench / "temporary").iterdir()]
    return [each for each in found if not each.name.startswith("torchinductor")]


@pytest.mark.parametrize("name", FAULTS)
def test_one_sentence_and_nothing_left(name: str, files: Files, bench: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The same from jobs.run and from the command line, which ends with 2."""
    made, sentence = FAULTS[name]
    given = {**files, **made(bench / "given")}
    paths = {role: list(map(str, each)) if isinstance(each, list) else str(each) for role, each in given.items()}
    with pytest.raises(InputError, match=sentence) as caught:
        jobs.run(jobs.Job("hip-qmri", paths))
    assert "\n" not in str(caught.value)
    capfd.readouterr()
    assert cli.main(words(given, bench / "results" / "out")) == 2
    told = capfd.readouterr().err.splitlines()
    assert told[-1] == f"regsuite: {caught.value}"
    assert not [line for line in told[:-1] if not re.match(r"\s*\d+%", line)], "progress alone before it"
    assert left(bench) == []


STEPS = ["Reading the images", "arranging the slices", "comparing with what the volume would show", "placing the maps"]


@pytest.mark.parametrize("step", STEPS)
def test_cancel_at_each_step(step: str, files: Files, bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the command line, where it is an interrupt: 130, and nothing is left."""
    seen = []

    def interrupted(_self: ConsoleProgress, _fraction: float, message: str = "") -> None:
        seen.append(message)
        if message == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(ConsoleProgress, "step", interrupted)
    values = {**samples.coarse_case().given, "motion": 0}
    assert cli.main(words(files, bench / "results" / "out", **values)) == 130
    assert seen[-1] == step
    assert left(bench) == []


def test_cancel_while_slices_are_arranged() -> None:
    """From the console, after the outlines were laid on the bone."""

    class Ending(Progress):
        def step(self, fraction: float, message: str = "") -> None:
            if message == "comparing each slice with every place":
                raise Cancelled

    with pytest.raises(Cancelled):
        jobs.run(jobs.Job("hip-qmri", samples.coarse_case().inputs), Ending())
