"""The command line, as a person or a script calls it."""

from __future__ import annotations

import csv
import functools
import io as text_io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from regsuite import catalog, cli, io
from regsuite.console import ConsoleProgress
from regsuite.errors import InputError
from regsuite.jobs import Job, Message, WorkerClient, run
from regsuite.spatial import Grid, Image, LabelImage, PointSet, Surface
from regsuite.spatial.meshes import surface_of
from regsuite.transforms import Affine
from stand_in_method import NOTE, SHIFT, ball


@pytest.fixture
def files(tmp_path: Path, pair: dict[str, Any]) -> dict[str, str]:
    """Paths of the pair, its labels (the balls' cores) and landmarks."""
    paths = {}
    for role, image in pair.items():
        paths[role] = str(tmp_path / f"{role}.nrrd")
        io.write_image(paths[role], image)
        paths[f"{role}_labels"] = str(tmp_path / f"{role}_labels.nrrd")
        io.write_labels(paths[f"{role}_labels"], LabelImage.from_array(image.array() > 50, image.grid))
    for role, offset in (("fixed", (0, 0, 0)), ("moving", SHIFT)):
        paths[f"{role}_points"] = str(tmp_path / f"{role}.mrk.json")
        io.write_points(paths[f"{role}_points"], PointSet.from_array(np.array([[1.0, 2.0, 3.0]]) + offset))
    return paths


def command(files: dict[str, str], out: Path, *more: str) -> list[str]:
    return ["run", "stand-in", "--fixed", files["fixed"], "--moving", files["moving"], "--out", str(out), *more]


def fails(capsys: pytest.CaptureFixture[str], words: list[str], code: int = 2) -> str:
    """The one sentence a command ends with."""
    assert cli.main(words) == code
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("regsuite: ")
    assert "Traceback" not in "".join(lines)
    return lines[-1].removeprefix("regsuite: ")


def test_list_names_every_method_with_its_paper(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "--json"]) == 0
    listed = {method["name"]: method for method in json.loads(capsys.readouterr().out)}
    assert list(listed) == list(catalog.methods())
    weighted = listed["weighted-metamorphosis"]
    assert weighted["doi"] == "10.1007/978-3-031-11203-4_2"
    assert weighted["paper"] == "weighted-metamorphosis"
    assert [item["role"] for item in listed["lddmm"]["inputs"] if item["required"]] == ["fixed", "moving"]
    frames = {item["role"]: item["frame"] for item in weighted["inputs"]}
    assert (frames["mask"], frames["moving_labels"], frames["fixed_labels"]) == ("fixed", "moving", "fixed")
    resolution = next(item for item in weighted["parameters"] if item["name"] == "resolution")
    assert (resolution["unit"], resolution["minimum"], resolution["type"]) == ("mm", 0.0, "float")
    assert cli.main(["list"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in listed)


@pytest.mark.parametrize("name", catalog.methods())
def test_masks_and_labels_are_declared_on_the_grid_that_their_names_say(name: str) -> None:
    method = catalog.method(name)
    for item in method.inputs:
        if item.kind in ("mask", "labels"):
            assert (item.frame == "moving") == item.role.startswith("moving_"), item.role
    for output in method.outputs:
        if output.kind == "labels":
            assert (output.frame == "moving") == output.name.endswith("_on_moving"), output.name


AUTOMATIC = {"resolution": 0.0, "kernel_widths": (0.0,), "regularity": 0.0, "levels": 0, "steps": 0}


@pytest.mark.parametrize(
    ("method", "automatic"),
    [("lddmm", AUTOMATIC), ("weighted-metamorphosis", {**AUTOMATIC, "intensity_penalty": 0.0})],
)
def test_parameters_whose_zero_is_automatic(
    method: str, automatic: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["list", "--json"]) == 0
    listed = {item["name"]: item for item in json.loads(capsys.readouterr().out)}[method]["parameters"]
    assert {item["name"] for item in listed if item["automatic"]} == set(automatic)
    assert all(item["minimum"] == 0 for item in listed if item["automatic"])
    values = catalog.method(method).check_values(dict.fromkeys(automatic, "automatic"))
    assert {name: getattr(values, name) for name in automatic} == automatic
    assert catalog.method(method).check_values(dict.fromkeys(automatic, "")) == values
    with pytest.raises(InputError, match="'iterations' takes a whole number, not 'automatic'"):
        catalog.method(method).check_values({"iterations": "automatic"})
    with pytest.raises(SystemExit):
        cli.main(["run", method, "--help"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["resolution", "automatic", "(0", "to", "50", "mm)"] in lines
    assert ["steps", "automatic", "(0", "to", "200)"] in lines
    assert ["iterations", "50", "(1", "to", "5000)"] in lines


def test_list_and_help_need_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; from regsuite.cli import main; sys.exit(main(sys.argv[1:]))"
    for words in (["list", "--json"], ["run", "lddmm", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True, text=True)
        assert "Time steps" in done.stdout or "Integration steps" in done.stdout


def test_without_torch_one_sentence(files: dict[str, str], tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from regsuite.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["run", "lddmm", *command(files, tmp_path / "out")[2:]]
    done = subprocess.run([sys.executable, "-c", code, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "regsuite: The Python package 'torch' is missing: install it and run again.\n"


def test_run_writes_everything(
    stand_in: Any, files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "out"
    labels = ["--moving-labels", files["moving_labels"], "--mask", files["fixed_labels"]]
    settings = ["--preset", "slow", "--set", "seconds=0.01", "factors=1,2", "initial=rigid", "--seed", "3"]
    assert cli.main(command(files, out, *labels, *settings)) == 0
    heard = capsys.readouterr()
    assert "Reading the images" in heard.err
    assert f"Results in {out}" in heard.out
    assert heard.err.splitlines()[-1] == f"Note: {NOTE}"
    report = json.loads((out / "report.json").read_text())
    assert report["method"] == "stand-in"
    assert report["seed"] == 3
    assert report["parameters"] == {"seconds": 0.01, "behaviour": "good", "initial": "rigid", "factors": [1.0, 2.0]}
    figures = {"random", "explained_by_shape", "explained_by_shape_outside"}
    assert {"seconds", "peak_memory_mb", "device", *figures} == set(report["metrics"])
    assert report["notes"] == [NOTE]
    assert report["inputs"]["fixed"]["path"] == files["fixed"]
    named = {"transform", "inverse", "warped", "warped_labels", "mask_on_moving", "jacobian", "evolution", "report"}
    named |= {"energy", "spending", "shift"}
    assert named <= set(report["files"])
    assert {item.name for item in out.iterdir()} == {*report["files"].values(), "report.json"}
    assert sorted(tmp_path.glob(".*")) == sorted(tmp_path.glob("deep/.*")) == []
    assert oct(out.stat().st_mode & 0o777) == oct(0o777 & ~_umask())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_run_wrote_is_right(stand_in: Any, files: dict[str, str], tmp_path: Path) -> None:
    """SimpleITK resamples the moving image with the written transform onto the written warped image."""
    out = tmp_path / "out"
    assert cli.main(command(files, out)) == 0
    there, back = (sitk.ReadTransform(str(out / name)) for name in ("transform.h5", "inverse.h5"))
    lps = np.array(SHIFT) * (-1, -1, 1)
    assert np.allclose(there.TransformPoint((0.0, 0.0, 0.0)), lps, atol=1e-3)
    assert np.allclose(back.TransformPoint(tuple(lps)), (0, 0, 0), atol=1e-3)
    fixed, moving = (sitk.ReadImage(files[role]) for role in ("fixed", "moving"))
    expected = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, there, sitk.sitkLinear, 0.0))
    warped = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "warped.nii.gz")))
    assert np.abs(warped - expected)[2:-2, 2:-2, 3:-3].max() < 1e-3
    frames = sorted((out / "evolution").iterdir())
    assert [frame.name for frame in frames] == ["000.nii.gz", "001.nii.gz"]
    assert np.allclose(sitk.GetArrayFromImage(sitk.ReadImage(str(frames[1]))), warped)
    with (out / "energy.csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [["step", "total"], ["0.0", "0.0"]]
    with (out / "spending.csv").open(newline="") as stream:
        rows = [["time", "deformation", "intensity"], ["0.0", "0.25", "0.5"], ["1.0", "0.75", "0.125"]]
        assert list(csv.reader(stream)) == rows
    with (out / "shift.csv").open(newline="") as stream:
        assert float(next(csv.DictReader(stream))["mm"]) == pytest.approx(SHIFT[0], abs=1e-3)


def test_labels_are_written_with_their_names(stand_in: Any, files: dict[str, str], tmp_path: Path) -> None:
    """The mask lies on the moving image's grid then, moved as the ball is."""
    core = io.read_labels(files["fixed_labels"])
    named = LabelImage(core.data * 4, core.grid, {4: "tumour core"}, {4: (0.5, 0.25, 1.0)})
    io.write_labels(files["fixed_labels"], named)
    words = ["--moving-labels", files["moving_labels"], "--mask", files["fixed_labels"]]
    assert cli.main(command(files, tmp_path / "out", *words)) == 0
    carried = io.read_labels(tmp_path / "out" / "mask_on_moving.seg.nrrd")
    assert (carried.names, carried.colours) == ({4: "tumour core"}, {4: (0.5, 0.25, 1.0)})
    assert carried.grid.same_as(io.read_image(files["moving"]).grid)
    middle = [each.grid.points(torch.float64)[each.mask()].mean(dim=0) for each in (carried, named)]
    assert np.allclose(middle[0] - middle[1], SHIFT, atol=0.2)
    warped = io.read_labels(tmp_path / "out" / "warped_labels.seg.nrrd")
    assert warped.names == {1: "1"}
    assert warped.grid.same_as(named.grid)


def test_flat_images(stand_in: Any, tmp_path: Path) -> None:
    grid = Grid.regular((30, 40))
    for role, centre in (("fixed", (20.0, 15.0)), ("moving", (22.0, 14.0))):
        squared = ((grid.points(torch.float64) - torch.tensor(centre)) ** 2).sum(dim=-1)
        io.write_image(tmp_path / f"{role}.nii.gz", Image(torch.exp(-squared / 8)[None, None].float(), grid))
    files = {role: str(tmp_path / f"{role}.nii.gz") for role in ("fixed", "moving")}
    assert cli.main(command(files, tmp_path / "out")) == 0
    moved = io.read_transform(tmp_path / "out" / "transform.h5").points(torch.tensor([[0.0, 0.0]], dtype=torch.float64))
    assert np.allclose(moved, [[2.0, -1.0]], atol=1e-3)


def test_command_worker_and_python_give_the_same_transform(stand_in: Any, temporary: Path) -> None:
    """A real method: a disc that grows, with the new part masked."""
    grid = Grid.regular((36, 40), (1.5, 1.0))
    distance = (grid.points() - torch.tensor([19.0, 26.0])).norm(dim=-1).numpy()
    inputs = {
        "fixed": Image.from_array(1 / (1 + np.exp(distance - 13)) + (distance < 4), grid),
        "moving": Image.from_array(1 / (1 + np.exp(distance - 10)), grid),
        "mask": LabelImage.from_array(distance < 5, grid),
    }
    values = {"iterations": 4, "levels": 1, "steps": 4, "bias_correction": False}
    words = ["run", "weighted-metamorphosis", "--set", *(f"{name}={value}" for name, value in values.items())]
    for role, value in inputs.items():
        write = io.write_labels if role == "mask" else io.write_image
        write(temporary / f"{role}.nrrd", value)
        words += [f"--{role}", str(temporary / f"{role}.nrrd")]
    assert cli.main([*words, "--out", str(temporary / "out"), "--device", "cpu"]) == 0
    job = Job("weighted-metamorphosis", inputs, values, device="cpu")
    client = WorkerClient(environment=stand_in.environment())
    client.submit(job)
    here = run(job).transform.displacement(grid)
    messages: list[Message] = []
    while client.running:
        messages += client.poll()
        time.sleep(0.01)
    client.close()
    assert messages[-1].kind == "done"
    assert messages[-1].result is not None
    assert here.abs().max() > 0.5
    assert torch.equal(messages[-1].result.transform.displacement(grid), here)
    written = io.read_transform(temporary / "out" / "transform.h5").displacement(grid)
    assert torch.allclose(written, here, atol=1e-5)


BAD: dict[str, tuple[list[str], str]] = {
    "no command": ([], "The following arguments are required: COMMAND"),
    "unknown command": (["register"], "Argument COMMAND: invalid choice: 'register'"),
    "unknown method": (["run", "magic"], "There is no method 'magic': choose one of weighted-metamorphosis"),
    "input left out": (
        ["run", "stand-in", "--fixed", "a.nii", "--out", "b"],
        "The following arguments are required: --m",
    ),
    "seed": (["run", "stand-in", "--seed", "x"], "Argument --seed: invalid int value: 'x'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_command(stand_in: Any, capsys: pytest.CaptureFixture[str], case: str) -> None:
    words, sentence = BAD[case]
    assert fails(capsys, words).startswith(sentence)


BAD_VALUES = {
    "speed=3": "Method 'stand-in' has no parameter 'speed': choose one of seconds, behaviour",
    "seconds=-1": "Parameter 'seconds' is -1, outside its range: give a number from 0 to 600 s.",
    "seconds=long": "Parameter 'seconds' takes a number, not 'long'",
    "behaviour=odd": "Parameter 'behaviour' takes one of good,",
    "seconds": "'--set seconds' sets nothing",
}


@pytest.mark.parametrize("setting", BAD_VALUES)
def test_bad_value(
    stand_in: Any, files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str
) -> None:
    words = command(files, tmp_path / "out", "--set", setting)
    assert fails(capsys, words).startswith(BAD_VALUES[setting])
    assert not (tmp_path / "out").exists()


def test_unknown_preset(
    stand_in: Any, files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(files, tmp_path / "out", "--preset", "fast")
    assert fails(capsys, words) == "Method 'stand-in' has no preset 'fast': choose one of plain, slow."


@pytest.mark.parametrize("method", ["weighted-metamorphosis", "cost-function-masking"])
def test_without_a_mask(files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str) -> None:
    """Either mask will do, so that the parser cannot ask for one."""
    words = ["run", method, "--fixed", files["fixed"], "--moving", files["moving"], "--out", str(tmp_path / "out")]
    assert fails(capsys, words).startswith("This method needs a lesion mask, the input 'mask' on the fixed image or ")
    assert not (tmp_path / "out").exists()


def test_missing_file_and_time_series(
    stand_in: Any, files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    sentence = fails(capsys, command({**files, "moving": "nowhere.nii.gz"}, out))
    assert "'nowhere.nii.gz' does not exist" in sentence
    series = sitk.JoinSeries([sitk.ReadImage(files["moving"])] * 2)
    sitk.WriteImage(series, str(tmp_path / "series.nrrd"))
    assert "series.nrrd" in fails(capsys, command({**files, "moving": str(tmp_path / "series.nrrd")}, out))
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_absent_gpu(stand_in: Any, files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, command(files, tmp_path / "out", "--device", "cuda")).startswith(
        "A GPU was asked for ('cuda')"
    )


OUTPUTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a file": (lambda folder: folder / "fixed.nrrd", "is a file: name a folder."),
    "below a file": (lambda folder: folder / "fixed.nrrd" / "out", "cannot be written"),
    "unwritable": (lambda folder: Path("/proc/regsuite/out"), "cannot be written"),
    "not empty": (lambda folder: folder, "is not empty: name another, or overwrite it (--overwrite)."),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_unusable_output_is_found_before_the_run(
    stand_in: Any, files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    where, sentence = OUTPUTS[case]
    before = sorted(tmp_path.iterdir())
    start = time.monotonic()
    assert sentence in fails(capsys, command(files, where(tmp_path), "--preset", "slow"))
    assert time.monotonic() - start < 5  # and not the preset's 30 s
    assert sorted(tmp_path.iterdir()) == before


def test_failed_run_leaves_nothing(
    stand_in: Any, files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.iterdir())
    words = command(files, tmp_path / "new" / "out", "--set", "behaviour=host-memory")
    assert fails(capsys, words, code=1).startswith("The computer ran out of memory")
    assert sorted(tmp_path.iterdir()) == before


def test_overwrite_replaces_results_and_nothing_else(stand_in: Any, files: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert cli.main(command(files, out, "--moving-labels", files["moving_labels"])) == 0
    (out / "notes.txt").write_text("mine")
    (out / "evolution" / "old.txt").write_text("old")
    report = json.loads((out / "report.json").read_text())
    report["files"] |= {"trap": "..", "trap2": str(tmp_path / "fixed.nrrd"), "trap3": "../fixed.nrrd"}
    (out / "report.json").write_text(json.dumps(report))
    assert cli.main(command(files, out, "--overwrite", "--seed", "5")) == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "warped_labels.seg.nrrd").exists()
    assert not (out / "evolution" / "old.txt").exists()
    assert json.loads((out / "report.json").read_text())["seed"] == 5
    assert (tmp_path / "fixed.nrrd").exists()
    assert not list(out.glob(".*"))


def test_failed_overwrite_keeps_what_was_there(
    stand_in: Any, files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cli.main(command(files, out)) == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    fails(capsys, command(files, out, "--overwrite", "--set", "behaviour=host-memory"), code=1)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(stand_in: Any, files: dict[str, str], tmp_path: Path, ending: signal.Signals) -> None:
    before = sorted(tmp_path.iterdir())
    words = [sys.executable, "-m", "regsuite", *command(files, tmp_path / "out", "--preset", "slow")]
    # What was started in the background of a shell without job control inherits that SIGINT is ignored.
    heeds = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        words, env=stand_in.environment(), stderr=subprocess.PIPE, text=True, preexec_fn=heeds
    ) as process:
        assert process.stderr is not None
        while "Moving" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(ending)
        assert process.wait(timeout=20) == 130
        assert process.stderr.read().splitlines()[-1] == "regsuite: Cancelled; nothing was written."
    assert sorted(tmp_path.iterdir()) == before


def test_evaluate(files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    matrix = np.eye(4)
    matrix[:3, 3] = SHIFT
    there, back = Affine(matrix), Affine(matrix).inverse()
    io.write_transform(tmp_path / "there.h5", there)
    io.write_transform(tmp_path / "back.tfm", back)
    words = ["evaluate", "--fixed", files["fixed"], "--transform", str(tmp_path / "there.h5")]
    words += ["--inverse", str(tmp_path / "back.tfm")]
    for role in ("fixed_labels", "moving_labels", "fixed_points", "moving_points"):
        words += ["--" + role.replace("_", "-"), files[role]]
    assert cli.main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    metrics = told["metrics"]
    assert metrics["tre_before_mm"] == pytest.approx(np.linalg.norm(SHIFT), abs=1e-6)
    assert metrics["tre_after_mm"] == pytest.approx(0, abs=1e-6)
    assert metrics["folded_fraction"] == 0
    assert metrics["inverse_consistency_max_mm"] == pytest.approx(0, abs=1e-6)
    assert metrics["dice_after"] > 0.8 > 0.5 > metrics["dice_before"]
    assert told["tables"]["landmarks"]["rows"][0][1] == metrics["tre_before_mm"]
    assert cli.main(words) == 0
    assert "tre_before_mm" in capsys.readouterr().out


def test_evaluate_in_two_and_three_dimensions(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    io.write_transform(tmp_path / "flat.tfm", Affine(np.eye(3)))
    words = ["evaluate", "--fixed", files["fixed"], "--transform", str(tmp_path / "flat.tfm")]
    assert fails(capsys, words).startswith("The fixed image is 3D and the transform 2D")


class Terminal(text_io.StringIO):
    def isatty(self) -> bool:
        return True


def lines_of(stream: text_io.StringIO, fractions: list[float]) -> str:
    """What is shown where every look at the clock takes 5 s."""
    clock = itertools.count(0.0, 5.0)
    progress = ConsoleProgress(stream, lambda: next(clock))
    for fraction in fractions:
        progress.step(fraction, "working")
    progress.log("a remark")
    progress.close()
    return stream.getvalue()


def test_progress_on_a_terminal_is_one_line() -> None:
    text = lines_of(Terminal(), [0.0, 0.25, 0.5, 1.0])
    shown = [part for part in text.split("\r") if part.strip()]
    assert shown[-1] == "a remark\n"
    assert shown[0].startswith("[------------------------]   0%  -:-- left  working")
    assert shown[2].startswith("[############------------]  50%")
    assert "\n" not in "".join(shown[:-1])


def test_time_left() -> None:
    times = iter([0.0, 30.0, 30.0, 30.0, 120.0, 120.0, 120.0])
    stream = text_io.StringIO()
    progress = ConsoleProgress(stream, lambda: next(times))
    progress.step(0.25, "one")
    progress.step(1.0, "two")
    assert stream.getvalue() == "25%  1:30 left  one\n100%  2:00 taken  two\n"


def test_progress_in_a_log_is_sparse() -> None:
    stream = text_io.StringIO()
    progress = ConsoleProgress(stream, lambda: 1.0)
    for thousandth in range(1001):
        progress.step(thousandth / 1000, "working")
    assert 10 <= len(stream.getvalue().splitlines()) <= 12
    assert "\r" not in stream.getvalue()


def test_a_ball_is_where_it_is_said_to_be(stand_in: Any) -> None:
    assert np.allclose(stand_in.centre_of_mass(ball(SHIFT)), SHIFT, atol=1e-3)


@pytest.fixture(scope="module")
def organ_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Two balls, one on each side of the middle: a mesh and a cloud, and where they have gone."""
    folder, grid = tmp_path_factory.mktemp("organs"), Grid.regular((24, 24, 48), 2.0)
    paths: dict[str, list[str]] = {}
    for side, shift in (("fixed", -8.0), ("moving", 0.0)):
        (folder / side).mkdir()
        for name, r, radius in (("Liver", 28.0, 16.0), ("Spleen", 70.0, 11.0)):
            centre = torch.tensor([r + (shift if name == "Liver" else -shift), 23.0, 23.0])
            inside = ((grid.points() - centre).norm(dim=-1) < radius).numpy()
            surface = surface_of(LabelImage.from_array(inside, grid), 1)
            surface = surface if name == "Liver" else Surface(surface.points)
            io.write_surface(folder / side / f"{name}.vtp", surface)
            paths.setdefault(side, []).append(str(folder / side / f"{name}.vtp"))
    return paths


def organs_command(files: dict[str, list[str]], out: Path, *more: str) -> list[str]:
    words = ["run", "mo-bcpd", "--fixed-surfaces", *files["fixed"], "--moving-surfaces", *files["moving"]]
    settings = ["points=60", "iterations=40", "resolution=6", "deviation=1"]
    return [*words, "--set", *settings, "--out", str(out), "--device", "cpu", *more]


def test_organs_from_surface_files(
    organ_files: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    tables = ['organs={"Spleen": {"points": 40}}', 'coherence_matrix={"Liver": {"Spleen": 0.1}}']
    assert cli.main(organs_command(organ_files, out, "--set", *tables)) == 0
    assert "surface_distance_after_mm" in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert [row[0] for row in report["tables"]["organs"]["rows"]] == ["Liver", "Spleen", "mean"]
    assert report["tables"]["organs"]["rows"][1][-1] is None  # a cloud has no volume
    assert report["parameters"]["organs"] == [["Spleen", "points", 40.0]]
    surfaces = {
        name: io.read_surface(out / report["files"][f"organs_{name}"]) for name in ("before", "after", "target")
    }
    assert "warped" not in report["files"]
    given = [io.read_surface(path) for path in organ_files["moving"]]
    assert torch.allclose(surfaces["before"].points, torch.cat([part.points for part in given]))
    for _, _, before, after, *_ in report["tables"]["organs"]["rows"]:
        assert after < 0.4 * before
    inverse = io.read_transform(out / "inverse.h5")
    assert torch.allclose(inverse.points(surfaces["before"].points), surfaces["after"].points, atol=0.01)


BAD_ORGANS: dict[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "missing": ({"fixed": ["nowhere.vtp"]}, (), "The surface file 'nowhere.vtp' does not exist: check its path."),
    "unknown organ": ({}, ("--set", 'organs={"Heart": {"points": 50}}'), "The table of organs names 'Heart', and the"),
    "not symmetric": (
        {},
        ("--set", 'coherence_matrix={"Liver": {"Spleen": 0.5}, "Spleen": {"Liver": 0.7}}'),
        "The coherence matrix is not symmetric: Liver with Spleen is 0.5, and Spleen with Liver 0.7",
    ),
    "too many mistakes": (
        {},
        ("--set", 'transition_matrix={"Liver": {"Spleen": 1, "Liver": 0.5}}'),
        "The label matrix's",
    ),
    "refinement": ({}, ("--set", "refinement=lddmm"), "A refinement compares intensities, and an image is missing"),
}


@pytest.mark.parametrize("case", BAD_ORGANS)
def test_bad_organs(
    organ_files: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    files, more, sentence = BAD_ORGANS[case]
    assert fails(capsys, organs_command({**organ_files, **files}, tmp_path / "out", *more)).startswith(sentence)
    assert not (tmp_path / "out").exists()


def test_flat_points_beside_a_mesh(
    organ_files: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    io.write_points(tmp_path / "Flat.csv", PointSet.from_array(np.eye(3)[:, :2]))
    files = {**organ_files, "fixed": [*organ_files["fixed"], str(tmp_path / "Flat.csv")]}
    assert "2D" in fails(capsys, organs_command(files, tmp_path / "out"))


def test_organs_of_one_side_alone(
    organ_files: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "mo-bcpd", "--fixed-surfaces", *organ_files["fixed"], "--out", str(tmp_path / "out")]
    assert fails(capsys, words).startswith("The moving organs are missing: give a segmentation, or surfaces")
    assert fails(capsys, ["run", "mo-bcpd", "--out", str(tmp_path / "out")]).startswith(
        "Multi-organ point drift (MO-BCPD) was given nothing"
    )
