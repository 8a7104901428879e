"""Pictures and files of a section whose place in an atlas is known: they show it where it is, as its file has it."""

from __future__ import annotations

import io as text_io
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from matplotlib.image import imread
from regsuite import cli, io, results, section_files
from regsuite.errors import Cancelled
from regsuite.io.anchoring import matrix_of
from regsuite.phantoms.atlas import AtlasCase, atlas_case, section_of
from regsuite.pictures import Picture, Subject, all_pictures, is_section
from regsuite.pictures.sections import (
    _crossing,
    _in_atlas_plane,
    candidates,
    cut,
    plate_grid,
    regions,
    section_and_plate,
    slice_plane,
)
from regsuite.progress import Progress
from regsuite.registration import Curve, Registration, Table
from regsuite.report import write_report
from regsuite.section_files import write_regions, write_section_files
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.transforms import Affine, DisplacementField, Transform
from regsuite.transforms.chain import chain
from regsuite.transforms.warp import warp_image, warp_labels

POSE = np.array([0.8, 0.12, -0.1, 0.15, 0.05, 0.0, 0.03, 0.3, -0.2])
NAMES = {"section", "regions", "candidates", "cut", "grid", "distances"}


@cache
def case() -> AtlasCase:
    return atlas_case(0.4)


def to_atlas(grid: Grid, pose: np.ndarray) -> np.ndarray:
    """(4, 4): where ``section_of`` has cut."""
    flat = np.diag([-1.0, -1.0, 1.0, 1.0])
    flat[:2, 3] = grid.centre[:2]
    return np.asarray(case().plates.matrices(torch.as_tensor(pose)[None])[0]) @ flat


def bent(grid: Grid) -> DisplacementField:
    """A smooth displacement in the section's plane."""
    coarse = grid.resampled([grid.spacing[0], 0.3, 0.3]).padded((1, 0, 0))
    points = coarse.points()
    u = torch.zeros(1, 3, *coarse.shape)
    u[0, 0] = 0.2 * torch.sin(points[..., 1])
    return DisplacementField(coarse, u)


def anchored(matrix: np.ndarray, grid: Grid) -> list[float]:
    _, height, width = grid.shape
    return list(io.anchoring_of(matrix, width, height, grid.spacing[:0:-1], case().template.grid))


def registered(section: Image, deformed: bool = True, channel: int = 1) -> Registration:
    """As a method would leave it that found the section's pose."""
    grid, template = section.grid, case().template
    affine = Affine(to_atlas(grid, POSE))
    transform: Transform = chain(bent(grid), affine) if deformed else affine
    small = grid.resampled([grid.spacing[0], 2 * grid.spacing[1], 2 * grid.spacing[2]])
    ranking = [[rank, 20 - rank, 0.1 * rank, 0.3 * rank, 0.5 / rank] for rank in (1, 2, 3)]
    return Registration(
        transform=transform,
        inverse=affine.inverse(),
        fixed_grid=grid,
        warped=warp_image(template, transform, grid),
        warped_labels=warp_labels(case().labels, transform, grid),
        sequences={"candidates": [warp_image(template, affine, small)] * len(ranking)},
        tables={"ranking": Table("Candidates", ["rank", "plate", "depth mm", "distance", "probability"], ranking)},
        curves={"distances": Curve([1, 2, 3], {"distance": [2.0, 1.0, 3.0]}, "plate", "distance")},
        metrics={"plate": 19.3, "depth_mm": 0.8, "pitch_deg": 6.9, "yaw_deg": -5.7, "confidence": 0.93},
        record={
            "method": "atlas-slice",
            "title": "Atlas slice identification",
            "chosen": {"channel": channel, "anchoring": anchored(affine.matrix.numpy(), grid)},
        },
    )


def subject(section: Image, **how: Any) -> Subject:
    return Subject(registered(section, **how), section, case().template)


def coloured(section: Image) -> Image:
    """A dark section on a light, reddish ground."""
    light = 220 - 180 * section.data / section.data.max()
    return replace(section, data=torch.cat([light, 0.8 * light, 0.9 * light], dim=1))


def pixels(picture: Picture) -> np.ndarray:
    return imread(text_io.BytesIO(picture.png))[..., :3]


# --- pictures ---


def test_every_picture_of_a_section_is_drawn() -> None:
    pictures = all_pictures(subject(section_of(case(), POSE)))
    assert {picture.name for picture in pictures} == NAMES
    for picture in pictures:
        assert pixels(picture).std() > 0.05
        assert picture.title
        assert picture.caption.endswith(".")


def test_a_section_without_deformation_regions_and_candidates_has_fewer_pictures() -> None:
    shown = subject(section_of(case(), POSE), deformed=False)
    plain = replace(shown.registration, warped_labels=None, sequences={}, curves={})
    found = {picture.name for picture in all_pictures(replace(shown, registration=plain))}
    assert found == {"section", "cut"}


def test_a_section_beside_another_flat_image_has_no_cut() -> None:
    section = section_of(case(), POSE)
    assert cut(replace(subject(section), moving=section)) is None
    assert is_section(section.grid)
    assert not is_section(case().template.grid)


def test_the_section_stands_as_in_its_file() -> None:
    """What is in the file's upper left corner is in that of the picture."""
    section = section_of(case(), POSE)
    section.data[:] = 0
    section.data[..., :30, :40] = 1
    plane = slice_plane(section)
    drawn = plane.image(section)[::-1]
    assert drawn[:25, :35].min() > 0.9
    assert drawn[35:].max() < 0.1
    assert drawn[:, 45:].max() < 0.1
    width, height = plane.size
    assert (width, height) == pytest.approx((160 * 0.08, 120 * 0.08))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_of_a_volume_stands_as_a_viewer_shows_it(axis: int) -> None:
    """Whichever way it stands in space: right, or in a sagittal slice the front, is on the left."""
    template = case().template
    start, shape = [0, 0, 0], list(template.grid.shape)
    start[axis], shape[axis] = shape[axis] // 2, 1
    grid = template.grid.cropped(start, shape)
    plane = slice_plane(template.resampled(grid))
    points = plane.points.numpy()
    across, up = {0: ((0, -1), (1, 1)), 1: ((0, -1), (2, 1)), 2: ((1, -1), (2, 1))}[axis]
    assert (np.diff(points[..., across[0]], axis=1) * across[1] > 0).all()
    assert (np.diff(points[..., up[0]], axis=0) * up[1] > 0).all()


def test_a_photograph_is_drawn_in_colour_and_a_channel_in_grey() -> None:
    section = coloured(section_of(case(), POSE))
    colour = pixels(section_and_plate(subject(section, channel=0)))
    grey = pixels(section_and_plate(subject(section, channel=2)))
    assert np.ptp(colour, axis=2).max() > 0.1
    assert np.ptp(grey[80:, :600], axis=2).max() < 0.02


def test_regions_have_their_colours() -> None:
    shown = subject(section_of(case(), POSE))
    labels = shown.registration.warped_labels
    assert labels is not None
    green = replace(labels, colours=dict.fromkeys(labels.values(), (0.0, 1.0, 0.0)))
    picture = regions(replace(shown, registration=replace(shown.registration, warped_labels=green)))
    assert picture is not None
    red, high, blue = np.moveaxis(pixels(picture), -1, 0)
    assert (high - np.maximum(red, blue) > 0.5).sum() > 300


def test_the_cut_crosses_a_view_where_the_section_lies() -> None:
    """Of a square across A, turned a little: the line through its middle, and its ends on the square's rim."""
    corners = np.array([[2, 1, 2], [-2, 0, 2], [-2, 0, -2], [2, 1, -2]], dtype=float)
    ends = _crossing(corners, 2, corners.mean(axis=0))
    assert sorted(map(tuple, ends.tolist())) == [(-2.0, 0.0, 0.0), (2.0, 1.0, 0.0)]
    ends = _crossing(corners, 0, corners.mean(axis=0))
    assert sorted(map(tuple, ends.tolist())) == [(0.0, 0.5, -2.0), (0.0, 0.5, 2.0)]


def test_the_grid_is_straight_where_nothing_is_deformed() -> None:
    """It counts mm of the atlas."""
    section = section_of(case(), POSE)
    shown = subject(section, deformed=False)
    plane = slice_plane(section)
    moved = _in_atlas_plane(plane, shown.registration)
    points = shown.registration.transform.points(plane.points).numpy()
    for axis in (0, 1):
        steps = np.diff(moved, axis=axis)
        assert np.allclose(steps, steps[0, 0], atol=1e-9)
        assert np.linalg.norm(steps[0, 0]) == pytest.approx(np.linalg.norm(np.diff(points, axis=axis)[0, 0]))
    assert plate_grid(shown) is None
    assert plate_grid(subject(section)) is not None


def test_candidates_say_which_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    from matplotlib.axes import Axes

    monkeypatch.setattr(Axes, "set_title", lambda self, text, **how: titles.append(text))
    assert candidates(subject(section_of(case(), POSE))) is not None
    assert titles == ["Section", "Plate 19\n0.3, 50%", "Plate 18\n0.6, 25%", "Plate 17\n0.9, 17%"]


def test_the_report_tells_of_the_plate(tmp_path: Path) -> None:
    shown = subject(section_of(case(), POSE))
    page = write_report(shown.registration, shown.fixed, shown.moving, tmp_path).read_text(encoding="utf-8")
    assert {file.stem for file in (tmp_path / "pictures").iterdir()} == NAMES
    assert "19.3" in page
    assert "93%" in page
    assert "as its file shows it" in page


# --- files ---


def test_the_anchoring_puts_the_section_where_it_was_found(tmp_path: Path) -> None:
    section = section_of(case(), POSE)
    result = registered(section)
    result.record["inputs"] = {"fixed": {"path": "slides/mouse_s012.png"}}  # which is not there any more
    inputs = {"fixed": section, "moving": case().template}
    assert write_section_files(result, tmp_path, inputs) == {"anchoring": "anchoring.json"}
    series = io.read_series(tmp_path / "anchoring.json")
    (found,) = series.sections
    assert (found.filename, found.number, found.width, found.height) == ("mouse_s012.png", 12, 160, 120)
    assert series.resolution == io.resolution_of(case().template.grid)
    matrix = matrix_of(found, (0.08, 0.08), case().template.grid)
    assert np.allclose(matrix[:, [0, 1, 3]], to_atlas(section.grid, POSE)[:, [0, 1, 3]], atol=1e-6)


def test_an_atlas_of_the_allen_brains_size_is_that_of_quicknii(tmp_path: Path) -> None:
    grid = Grid.regular((80, 132, 114), 0.1)
    section, atlas = section_of(case(), POSE), Image(torch.zeros(1, 1, *grid.shape), grid, "Allen 100 µm")
    result = registered(section)
    result.record["chosen"]["anchoring"] = [10.0, 60.0, 70.0, 90.0, 1.0, 0.0, 0.0, 2.0, -60.0]
    write_section_files(result, tmp_path, {"fixed": section, "moving": atlas})
    written = json.loads((tmp_path / "anchoring.json").read_text(encoding="utf-8"))
    assert written["target"] == "ABA_Mouse_CCFv3_2017_25um.cutlas"
    assert written["target-resolution"] == [456, 528, 320]
    assert written["slices"][0]["anchoring"] == [40.0, 240.0, 280.0, 360.0, 4.0, 0.0, 0.0, 8.0, -240.0]


def test_a_registration_of_no_section_adds_no_files(tmp_path: Path) -> None:
    result = replace(registered(section_of(case(), POSE)), record={})
    assert write_section_files(result, tmp_path, {}) == {}
    assert not list(tmp_path.iterdir())


def large(folder: Path) -> Path:
    """A picture longer than what is worked on."""
    from tifffile import imwrite

    file = folder / "large.tif"
    rows = np.random.default_rng(0).integers(0, 200, (300, 2500), dtype=np.uint8)
    imwrite(file, rows, resolution=(2000, 2000), resolutionunit="CENTIMETER")  # 5 µm
    return file


class Told(Progress):
    """Keeps the shares it is told, and cancels at the one after ``last``."""

    def __init__(self, last: float = 1.0) -> None:
        self.shares: list[float] = []
        self.last = last

    def step(self, fraction: float, message: str = "") -> None:
        assert message == "writing the regions at full size, regions.ome.tif"
        self.shares.append(fraction)
        if fraction > self.last:
            raise Cancelled


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of 40 rows."""
    monkeypatch.setattr(section_files, "BLOCK_VOXELS", 100_000)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(("largest", "dtype"), [(41, np.uint16), (614454277, np.uint32)])
def test_regions_of_a_large_picture_are_written_at_its_size(tmp_path: Path, largest: int, dtype: type) -> None:
    from tifffile import TiffFile

    picture = io.open_section(large(tmp_path))
    assert picture.pixel == pytest.approx((0.005, 0.005))
    values = case().labels.array().copy()
    values[values == values.max()] = largest
    labels = LabelImage.from_array(values, case().labels.grid)
    grid = io.section_grid(picture.width, picture.height, (0.005, 0.005))
    transform = chain(bent(grid), Affine(to_atlas(grid, POSE)))
    told = Told()
    write_regions(tmp_path / "regions.ome.tif", picture, labels, transform, told)
    assert told.shares[0] == 0
    assert told.shares == sorted(set(told.shares))
    assert len(told.shares) > 2
    with TiffFile(tmp_path / "regions.ome.tif") as file:
        written = file.asarray()
        assert len(file.series[0].levels) > 1
    assert written.dtype == dtype
    assert np.array_equal(written, warp_labels(labels, transform, grid).array()[0])
    assert len(np.unique(written)) > 3
    assert io.open_section(tmp_path / "regions.ome.tif").pixel == pytest.approx((0.005, 0.005))


@pytest.mark.usefixtures("narrow")
def test_cancelling_leaves_no_half_of_them(tmp_path: Path) -> None:
    file = large(tmp_path)
    section = io.read_section(file)
    result = registered(section)
    result.record["inputs"] = {"fixed": {"path": str(file)}}
    inputs = {"fixed": section, "moving": case().template, "moving_labels": case().labels}
    with pytest.raises(Cancelled), results.result_folder(tmp_path / "out") as folder:
        results.write(result, folder, inputs, Told(last=0.3))
    assert {each.name for each in tmp_path.iterdir()} == {"large.tif"}
    with pytest.raises(Cancelled):
        write_section_files(result, tmp_path, inputs, Told(last=0.3))
    assert {each.name for each in tmp_path.iterdir()} == {"large.tif", "anchoring.json"}


def test_results_hold_the_regions_of_a_large_picture_alone(tmp_path: Path) -> None:
    file = large(tmp_path)
    section = io.read_section(file)
    inputs = {"fixed": section, "moving": case().template, "moving_labels": case().labels}
    result = registered(section)
    result.record["inputs"] = {"fixed": {"path": str(file)}}
    (tmp_path / "out").mkdir()
    files = results.write(result, tmp_path / "out", inputs)
    assert files["anchoring"] == "anchoring.json"
    assert files["regions_full"] == "regions.ome.tif"
    assert {file.name for file in (tmp_path / "out").iterdir()} == {*files.values(), "report.json"}
    assert io.open_section(tmp_path / "out" / "regions.ome.tif").width == 2500
    (anchored_section,) = io.read_series(tmp_path / "out" / "anchoring.json").sections
    assert (anchored_section.width, anchored_section.height) == (2500, 300)
    small = replace(result, record={**result.record, "inputs": {}})
    (tmp_path / "small").mkdir()
    assert "regions_full" not in write_section_files(small, tmp_path / "small", inputs)


# --- command line ---


def test_the_baseline_runs_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    section = section_of(case(), np.array([1.0, *[0.0] * 8]))
    shown = (255 * section.array()[0] / section.array().max()).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(shown), tmp_path / "section.png")
    io.write_image(tmp_path / "atlas.nii.gz", case().template)
    io.write_labels(tmp_path / "regions.seg.nrrd", case().labels)
    words = [
        *("run", "atlas-slice-mi", "--fixed", str(tmp_path / "section.png")),
        *("--moving", str(tmp_path / "atlas.nii.gz"), "--moving-labels", str(tmp_path / "regions.seg.nrrd")),
        *("--set", "spacing=3", "iterations=5", "deformation=none", "--device", "cpu", "--out", str(tmp_path / "out")),
    ]
    assert cli.main(words) == 0, capsys.readouterr().err
    assert "Atlas slice by mutual information" in capsys.readouterr().out
    out = tmp_path / "out"
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    names = {"transform", "inverse", "warped", "warped_labels", "candidates", "ranking", "distances", "regions"}
    assert names | {"anchoring", "report", "pictures"} == set(report["files"])
    assert all((out / name).exists() for name in report["files"].values())
    assert abs(report["metrics"]["depth_mm"] - 1.0) < 3
    distances = [row[3] for row in report["tables"]["ranking"]["rows"]]
    assert distances == sorted(distances)
    (found,) = io.read_series(out / "anchoring.json").sections
    assert (found.filename, found.width, found.height) == ("section.png", 160, 120)


def test_help_says_what_a_section_and_a_checkpoint_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["run", "atlas-slice", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--fixed PICTURE A microscopy section" in text
    assert "OME-TIFF" in text
    assert "--encoder CHECKPOINT" in text
