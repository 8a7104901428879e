"""run_headless.py as it is installed: in plain Python, and as Slicer runs a script."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from extension import run_installed
from RegistrationSuiteLib import run_headless
from regsuite import catalog, io, jobs, phantoms

SCRIPT = "RegistrationSuiteLib/run_headless.py"
SETTINGS = ["--preset", "toy-2d", "--set", "iterations=2", "levels=1", "--seed", "3", "--device", "cpu"]
PARAMETERS = {**catalog.method("lddmm").preset("toy-2d").values, "iterations": 2, "levels": 1}

# What ctkAbstractPythonManager::executeFile does, with the part of Slicer that the script asks for.
AS_SLICER = """
import sys, types
script = sys.argv[1]
slicer = sys.modules["slicer"] = types.ModuleType("slicer")
slicer.app = types.SimpleNamespace(slicerHome="/Slicer")
slicer.util = types.SimpleNamespace(exit=lambda code: print("slicer.util.exit", code))
sys.argv = [script, "--", *sys.argv[2:]]
sys.path.insert(0, script.rpartition("/")[0])
globals()["__file__"] = script
exec(open(script).read(), globals())
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments that name the files of a flat phantom."""
    folder = tmp_path_factory.mktemp("pair")
    case = phantoms.shapes_2d()
    for role, image in (("fixed", case.fixed), ("moving", case.moving)):
        io.write_image(folder / f"{role}.nii.gz", image)
    io.write_labels(folder / "moving-labels.nii.gz", case.moving_labels)
    roles = ("fixed", "moving", "moving-labels")
    return [word for role in roles for word in (f"--{role}", str(folder / f"{role}.nii.gz"))]


LATTICE = np.array([(x, y) for x in range(-30, 31, 10) for y in range(-30, 31, 10)], float)
"""Points of the plane of both images, RAS mm."""


def mapped(file: Path) -> np.ndarray:
    """Where a transform file, which is LPS, takes the lattice."""
    transform = sitk.ReadTransform(str(file))
    return np.array([transform.TransformPoint((-x, -y, 0.0)) for x, y in LATTICE]) * (-1, -1, 1)


def test_files_scene_and_report(installed: Path, pair: list[str], tmp_path: Path) -> None:
    """Everything is written, and the transforms are those of the same job run in Python."""
    finished = run_installed(installed, SCRIPT, "lddmm", *pair, *SETTINGS, "--out", str(tmp_path / "out"))
    assert finished.returncode == 0, finished.stderr
    inputs = {name[2:].replace("-", "_"): file for name, file in zip(pair[::2], pair[1::2], strict=True)}
    registration = jobs.run(jobs.Job("lddmm", inputs, PARAMETERS, seed=3, device="cpu"))
    for name, transform in (("transform.h5", registration.transform), ("inverse.h5", registration.inverse)):
        expected = transform(torch.from_numpy(LATTICE)).numpy()
        assert np.abs(expected - LATTICE).max() > 0.1
        assert np.abs(mapped(tmp_path / "out" / name) - np.pad(expected, ((0, 0), (0, 1)))).max() < 1e-4
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["seed"] == 3
    assert {"transform", "inverse", "warped", "warped_labels", "scene", "report"} <= report["files"].keys()
    for file in report["files"].values():
        assert (tmp_path / "out" / file).exists(), file
    warped = sitk.ReadImage(str(tmp_path / "out" / "warped.nii.gz"))
    assert warped.GetSize() == (*sitk.ReadImage(pair[1]).GetSize(), 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nope", "--fixed", "a", "--moving", "b", "--out", "c"], "regsuite: There is no method 'nope'"),
        (["lddmm", "--fixed", "a.nii", "--moving", "b.nii"], "regsuite: The following arguments are required: --out"),
        (["lddmm", "--fixed", "a.nii", "--moving", "b.nii", "--out", "c"], "regsuite: The fixed file 'a.nii' is not"),
        (["lddmm", "--fixed", "a", "--moving", "b", "--set", "levels=99", "--out", "c"], "regsuite: "),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_headless.main(arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith(sentence)
    assert len((said.out + said.err).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_image(installed: Path, pair: list[str], tmp_path: Path) -> None:
    text = tmp_path / "text.nii.gz"
    text.write_text("not an image")
    finished = run_installed(
        installed, SCRIPT, "lddmm", "--fixed", str(text), "--moving", pair[3], "--out", str(tmp_path / "out")
    )
    assert finished.returncode == 2
    sentence = f"The fixed '{text}' is not an image that can be read: give NIfTI, NRRD, MHA or DICOM."
    assert finished.stderr.splitlines()[-1] == f"regsuite: {sentence}"
    assert not (tmp_path / "out").exists()


def test_without_a_mask(installed: Path, pair: list[str], tmp_path: Path) -> None:
    finished = run_installed(installed, SCRIPT, "weighted-metamorphosis", *pair, "--out", str(tmp_path / "out"))
    assert finished.returncode == 2
    assert finished.stderr.splitlines()[-1].startswith("regsuite: This method needs a lesion mask, the input 'mask' ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("arguments", "code"), [(["nope"], 2), (["--help"], 0)])
def test_slicer_is_told_to_end(installed: Path, arguments: list[str], code: int) -> None:
    finished = run_installed(installed, "-c", AS_SLICER, str(installed / SCRIPT), *arguments)
    assert finished.stdout.splitlines()[-1] == f"slicer.util.exit {code}"


def test_slicer_is_told_to_end_when_the_suite_is_not_there(installed: Path, tmp_path: Path) -> None:
    """The script alone, without the packages around it, cannot even import them."""
    script = tmp_path / "alone" / "run_headless.py"
    script.parent.mkdir()
    script.write_bytes((installed / SCRIPT).read_bytes())
    finished = run_installed(tmp_path, "-c", AS_SLICER, str(script), "lddmm")
    assert finished.stdout.splitlines()[-1] == "slicer.util.exit 1"
    assert "ModuleNotFoundError" in finished.stderr
