"""Radial slices from files to files: jobs, checks, the command line, and what is written."""

from __future__ import annotations

import csv
import io as text_io
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import radial_samples as samples
import SimpleITK as sitk
import torch
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from regsuite import catalog, cli, io, jobs, registration, results
from regsuite.archive import Reader, Writer
from regsuite.checks import check_inputs
from regsuite.errors import InputError
from regsuite.jobs import job as job_files
from regsuite.jobs.local import _geometry
from regsuite.pictures import FanSubject, Picture, fan_pictures
from regsuite.pictures.fan_subject import COLOURS, ends_of, view_along
from regsuite.pictures.fans import _checkered
from regsuite.spatial import Grid, Image, LabelImage, SliceSet
from regsuite.spatial.radial import Arrangement, frame_of
from regsuite.spatial.sampling import sample

METHOD = catalog.method("hip-qmri")
PICTURES = ["arrangement", "emulated", "similarity", "reconstruction"]


@pytest.fixture
def inputs() -> dict[str, Any]:
    return dict(samples.case().inputs)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The case as files, by role."""
    case = samples.case()
    io.write_image(tmp_path / "volume.nrrd", case.hip.volume)
    io.write_labels(tmp_path / "volume.seg.nrrd", case.hip.tissues)
    io.write_labels(tmp_path / "slices.seg.nrrd", case.labels)
    samples.write_dicom(tmp_path / "dicom")
    names = {"fixed": "volume.nrrd", "fixed_labels": "volume.seg.nrrd", "slices": "dicom"}
    return {role: tmp_path / name for role, name in {**names, "slice_labels": "slices.seg.nrrd"}.items()}


def alike(one: SliceSet, other: SliceSet) -> None:
    assert list(one.maps) == list(other.maps)
    for name in one.maps:
        for mine, its in zip(one.maps[name], other.maps[name], strict=True):
            np.testing.assert_array_equal(mine.data, its.data)
            assert (mine.grid, mine.name) == (its.grid, its.name)
    assert (one.units, one.quantities, one.notes) == (other.units, other.quantities, other.notes)
    assert (one.thickness, one.distinct) == (other.thickness, other.distinct)


def missing_some(slices: SliceSet) -> SliceSet:
    """The upper rows of a map are not known in its first slice."""
    first, *others = slices.maps["T2"]
    data = first.data.clone()
    data[..., :20, :] = float("nan")
    return replace(slices, maps={**slices.maps, "T2": (replace(first, data=data), *others)})


# --- between processes ---


def test_slices_reach_another_process_unchanged(tmp_path: Path, inputs: dict[str, Any]) -> None:
    """With missing values, too."""
    given = replace(missing_some(inputs["slices"]), notes=("odd",))
    job_files.save(jobs.Job("hip-qmri", {**inputs, "slices": given}), tmp_path)
    alike(job_files.load(tmp_path).inputs["slices"], given)


def test_a_description_holds_no_pickles(inputs: dict[str, Any]) -> None:
    writer = Writer()
    described = json.loads(json.dumps(writer.value(inputs["slices"])))
    alike(Reader(writer.arrays).value(described), inputs["slices"])


def test_the_result_reaches_another_process(tmp_path: Path) -> None:
    made = samples.true_result()
    registration.save(made, tmp_path)
    back = registration.load(tmp_path)
    assert isinstance(back, registration.Registration)
    for name, frames in made.sequences.items():
        for one, other in zip(frames, back.sequences[name], strict=True):
            assert torch.equal(one.data, other.data)
            assert one.grid == other.grid


def given_arrangement() -> dict[str, str]:
    """The true one, as a user gives it; with no search, so that a run is short."""
    truth = samples.case().acquired.arrangement
    places = [-place - 1 if back else place + 1 for place, back in zip(truth.places, truth.mirrored, strict=True)]
    turned = [number for number, over in enumerate(truth.turned, start=1) if over]
    texts = (",".join(map(str, each)) for each in (places, turned))
    return {**dict(zip(("places", "turned"), texts, strict=True)), "turn": "0", "shift": "0"}


def test_a_worker_process_runs_it(inputs: dict[str, Any]) -> None:
    """From memory to memory; slices that cannot be used are told in one sentence."""
    client = jobs.WorkerClient()
    try:
        client.submit(jobs.Job("hip-qmri", {**inputs, "slices": some(inputs["slices"], 2)}, device="cpu"))
        assert "The slices are 2, and 3 or more are needed" in last_of(client).text
        client.submit(jobs.Job("hip-qmri", inputs, given_arrangement(), device="cpu"))
        result = last_of(client).result
    finally:
        client.close()
    assert isinstance(result, registration.Registration)
    for placed, image in zip(result.sequences["T1"], inputs["slices"].maps["T1"], strict=True):
        assert torch.equal(placed.data, image.data)
    assert result.labels["solid"].mask().any()
    assert len(result.record["inputs"]["slices"]["slices"]) == 6


def last_of(client: jobs.WorkerClient) -> jobs.Message:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        ended = [message for message in client.poll() if message.kind in ("done", "failed")]
        if ended:
            return ended[0]
        time.sleep(0.02)
    raise AssertionError("the worker does not answer")


def test_a_job_takes_files_and_folders(files: dict[str, Path], tmp_path: Path, inputs: dict[str, Any]) -> None:
    """Values in the map's unit; a folder of DICOM, or a stack for each map."""
    asked = jobs.Job("hip-qmri", {role: str(path) for role, path in files.items()})
    read = jobs.read_inputs(asked)
    assert isinstance(read["slices"], SliceSet)
    assert (list(read["slices"].maps), read["slices"].units["T2"]) == (["T2", samples.LOOKED_AT], "ms")
    assert read["slices"].grids[0].same_as(inputs["slices"].grids[0], 1e-3)
    assert read["slice_labels"].name_of(1) == "Femur"
    stacks = {}
    for name in read["slices"].maps:
        values = np.concatenate([image.array() for image in read["slices"].maps[name]])
        stacks[name] = tmp_path / f"{name}.nrrd"
        io.write_image(stacks[name], Image.from_array(values, inputs["slice_labels"].grid))
    again = jobs.read_inputs(jobs.Job("hip-qmri", {**asked.inputs, "slices": list(map(str, stacks.values()))}))
    for name, images in read["slices"].maps.items():
        for one, other in zip(images, again["slices"].maps[name], strict=True):
            np.testing.assert_array_equal(one.array(), other.array())


def test_the_record_says_what_the_slices_were(inputs: dict[str, Any]) -> None:
    told = _geometry(inputs["slices"], ["a/T1.nrrd", "a/T2.nrrd"])
    assert told["path"] == "a/T1.nrrd, a/T2.nrrd"
    assert told["maps"] == {"T1": "ms", "T2": "ms", "T1rho": "ms", samples.LOOKED_AT: ""}
    assert (len(told["slices"]), told["thickness"], told["distinct"]) == (6, 4.0, False)
    assert told["slices"][0]["shape"] == (1, 72, 80)
    assert "path" not in _geometry(inputs["slices"], inputs["slices"])
    json.dumps(told)


# --- checks ---


def checked(inputs: dict[str, Any], **values: Any) -> None:
    check_inputs(METHOD, inputs, METHOD.check_values(values))


def some(slices: SliceSet, count: int) -> SliceSet:
    return replace(slices, maps={name: images[:count] for name, images in slices.maps.items()})


def moved(image: Any, shift: tuple[float, float, float]) -> Any:
    grid = image.grid
    return replace(image, grid=replace(grid, origin=tuple(np.add(grid.origin, shift))))


def test_good_slices_pass_with_values_missing(inputs: dict[str, Any]) -> None:
    """As a map has them outside the body."""
    checked({**inputs, "slices": missing_some(inputs["slices"])})
    checked(inputs)


def test_too_few_slices(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="The slices are 2, and 3 or more are needed: give all slices of"):
        checked({**inputs, "slices": some(inputs["slices"], 2)})


def test_slices_of_different_size(inputs: dict[str, Any]) -> None:
    slices = inputs["slices"]
    small = slices.maps["T2"][2]
    small = replace(small, data=small.data[..., :70], grid=small.grid.cropped([0, 0, 0], [1, 72, 70]))
    maps = {**slices.maps, "T2": (*slices.maps["T2"][:2], small, *slices.maps["T2"][3:])}
    with pytest.raises(InputError, match="The slices are of 70 × 72 and 80 × 72 pixels, and one size is needed"):
        checked({**inputs, "slices": replace(slices, maps=maps)})


@pytest.mark.parametrize(("value", "what"), [(float("nan"), "has no values"), (7.0, "has the same value, 7, in every")])
def test_a_slice_that_says_nothing(inputs: dict[str, Any], value: float, what: str) -> None:
    slices = inputs["slices"]
    empty = replace(slices.maps["T1"][4], data=torch.full_like(slices.maps["T1"][4].data, value))
    maps = {**slices.maps, "T1": (*slices.maps["T1"][:4], empty, slices.maps["T1"][5])}
    with pytest.raises(InputError, match=f"Slice 5 of 'T1' {what}"):
        checked({**inputs, "slices": replace(slices, maps=maps)})


def test_parallel_slices(inputs: dict[str, Any]) -> None:
    """Where the poses count; that all have one pose is no fault."""
    slices = inputs["slices"]
    maps = {
        name: tuple(moved(image, (0, 0, 3.0 * place)) for place, image in enumerate(images))
        for name, images in slices.maps.items()
    }
    with pytest.raises(InputError, match="The slices are parallel, and slices around an axis are needed"):
        checked({**inputs, "slices": replace(slices, maps=maps, distinct=True)})


def test_an_axis_beside_the_volume(inputs: dict[str, Any]) -> None:
    """As far as the slices reach along it: 72 rows of 1.9 mm, to both sides of the middle, is 68.4 mm."""
    volume, slices = inputs["fixed"], inputs["slices"]
    axis = slices.axis()
    assert axis is not None
    far = volume.grid.corners()
    beyond = float(((far - axis.centre) @ axis.normal).max())
    away = {
        "fixed": moved(volume, tuple(400 * axis.normal)),
        "fixed_labels": moved(inputs["fixed_labels"], tuple(400 * axis.normal)),
    }
    assert beyond < 300
    with pytest.raises(InputError, match=r"The axis of the slices passes \d+ mm beside the volume: give the volume of"):
        checked({**inputs, **away})
    checked({**inputs, **{role: moved(inputs[role], tuple(20 * axis.normal)) for role in away}})


def test_the_localizers_axis_is_looked_at_where_it_is_chosen() -> None:
    """A slice beside the volume, whose normal meets it, 20 mm from the slice, and whose middle column does not."""
    grid = Grid.from_affine((1, 20, 20), np.array([[4.0, 0, 0, 60], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]))
    rng = np.random.default_rng(0)
    images = tuple(Image.from_array(rng.uniform(1, 2, (1, 20, 20)), grid) for _ in range(3))
    slices = SliceSet({"a": images}, {"a": ""}, frozenset(), 4.0, False)
    volume = Image.from_array(rng.uniform(1, 2, (20, 20, 20)), Grid.regular((20, 20, 20), (2.0, 2.0, 2.0)))
    labels = LabelImage.from_array(np.ones((20, 20, 20), int), volume.grid)
    given = {"fixed": volume, "fixed_labels": labels, "slices": slices, "slice_labels": labels}
    with pytest.raises(InputError, match="The axis of the slices passes 21 mm beside the volume"):
        checked(given)
    with pytest.raises(InputError, match=r"The axis of the slices passes 1 mm beside the volume"):
        checked(given, axis="localizer")
    near = {role: moved(given[role], (3, 0, 0)) for role in ("fixed", "fixed_labels")}
    checked({**given, **near}, axis="localizer")


def test_a_flat_volume_and_labels_elsewhere(inputs: dict[str, Any]) -> None:
    flat = Image.from_array(np.random.default_rng(0).uniform(size=(20, 20)), Grid.regular((20, 20)))
    with pytest.raises(InputError, match="works in 3D only, and the volume is 2D"):
        checked({**inputs, "fixed": flat, "fixed_labels": LabelImage.from_array(np.ones((20, 20), int), flat.grid)})
    away = moved(inputs["fixed_labels"], (300.0, 0, 0))
    with pytest.raises(InputError, match=r"grid of the volume's segmentation is not that of the volume \(up to 300 mm"):
        checked({**inputs, "fixed_labels": away})


def test_another_kind_is_one_sentence(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="An image was given for the slices, where a set of slices is needed"):
        checked({**inputs, "slices": inputs["fixed"]})
    with pytest.raises(InputError, match="A set of slices was given for the volume, where an image is needed"):
        checked({**inputs, "fixed": inputs["slices"]})


# --- what is written ---


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray], int]:
    """What the command line leaves, the values that were stored in the DICOM, and its exit code. Arrangement given."""
    folder = tmp_path_factory.mktemp("run")
    case = samples.case()
    io.write_image(folder / "volume.nrrd", case.hip.volume)
    io.write_labels(folder / "volume.seg.nrrd", case.hip.tissues)
    io.write_labels(folder / "slices.seg.nrrd", case.labels)
    stored = samples.write_dicom(folder / "dicom")
    words = ["--fixed", "volume.nrrd", "--fixed-labels", "volume.seg.nrrd", "--slices", "dicom"]
    words = [str(folder / word) if "." in word or word == "dicom" else word for word in words]
    words += ["--slice-labels", str(folder / "slices.seg.nrrd"), "--out", str(folder / "out")]
    settings = [f"{name}={value}" for name, value in given_arrangement().items()]
    code = cli.main(["run", "hip-qmri", *words, "--set", *settings])
    return folder / "out", stored, code


def test_the_command_line_writes_everything(run: tuple[Path, dict[str, np.ndarray], int]) -> None:
    out, _, code = run
    assert code == 0
    assert {each.name for each in out.iterdir()} == {
        "transform.h5", "inverse.h5", "warped.nii.gz", "solid.seg.nrrd", "surface.vtp", "slices", "emulated", "T2",
        "arrangement.csv", "regions.csv", "search.csv", "report.json", "report.html", "pictures",
        "segmented_slices.seg.nrrd", "segmented_volume.seg.nrrd",
    }  # fmt: skip
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    places, turned = report["chosen"]["places"], report["chosen"]["turned"]
    found = Arrangement(
        tuple(abs(place) - 1 for place in places),
        tuple(place < 0 for place in places),
        tuple(number in turned for number in range(1, 7)),
    )
    assert found.is_like(samples.case().acquired.arrangement)
    assert report["chosen"]["bone"] == 1
    assert report["inputs"]["slices"]["maps"] == {"T2": "ms", samples.LOOKED_AT: ""}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "6 slices, 4 mm thick, of T2 (ms), Proton" in page
    assert {each.stem for each in (out / "pictures").iterdir()} == {*PICTURES, "search"}
    with (out / "regions.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["region"] == "Femur"]
    assert [row["map"] for row in rows] == ["T2", samples.LOOKED_AT]


def test_values_are_those_that_were_acquired(run: tuple[Path, dict[str, np.ndarray], int]) -> None:
    """Bit by bit, each slice at a pose of its own, which is where it was, to a millimetre or so."""
    out, stored, _ = run
    true = samples.case().acquired.true_planes().numpy()
    for number in range(6):
        image = sitk.ReadImage(str(out / "T2" / f"{number:03}.nii.gz"))
        expected = (stored["T2"][number] * samples.SLOPE).astype(np.float32)
        assert sitk.GetArrayFromImage(image).tobytes() == expected[None].tobytes()
        middle = np.array(image.TransformContinuousIndexToPhysicalPoint([39.5, 35.5, 0.0])) * (-1, -1, 1)
        assert np.linalg.norm(middle - true[number, :3, 3]) < 2.0
        right = np.array(image.GetDirection()).reshape(3, 3)[:, 0] * (-1, -1, 1)
        assert right @ true[number, :3, 0] > np.cos(np.radians(3))
    sets = [sitk.ReadImage(str(out / "slices" / f"{number:03}.nii.gz")).GetDirection() for number in range(6)]
    assert len({tuple(np.round(each, 3)) for each in sets}) == 6


def test_the_transform_takes_the_volume_to_the_scanner(run: tuple[Path, dict[str, np.ndarray], int]) -> None:
    out, _, _ = run
    case = samples.case()
    point = case.hip.centre
    truth = case.acquired.truth.points(point)
    assert float((io.read_transform(out / "transform.h5").points(point) - truth).norm()) < 2.0
    assert float((io.read_transform(out / "inverse.h5").points(truth) - point).norm()) < 2.0


def test_without_a_picture_library_files_are_the_same(tmp_path: Path, inputs: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    files = results.write_registration(samples.true_result(), tmp_path, inputs)
    assert {"slices", "emulated", "T1", "T2", "T1rho", "solid", "surface"} <= set(files)
    assert "report" not in files


# --- pictures ---


def subject() -> FanSubject:
    case, made = samples.case(), samples.true_result()
    made.record["chosen"] = {"bone": 1}
    return FanSubject(made, case.hip.volume, case.hip.tissues, case.labels)


def pixels(picture: Picture) -> np.ndarray:
    return imread(text_io.BytesIO(picture.png))[..., :3]


def test_every_picture_is_drawn() -> None:
    drawn = fan_pictures(subject())
    assert [picture.name for picture in drawn] == PICTURES
    for picture in drawn:
        assert pixels(picture).std() > 0.05
        assert picture.caption.endswith(".")


SEEN = {
    "as most do": (np.eye(3), 60),
    "protanopia": ([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]], 36),
    "deuteranopia": ([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]], 36),
    "tritanopia": ([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]], 36),
}
"""Matrices of linear RGB (Machado et al. 2009, severity 1), and how far apart colours should be in CIELAB."""


@pytest.mark.parametrize("eyes", SEEN)
def test_colours_of_six_places_are_well_apart(eyes: str) -> None:
    matrix, least = SEEN[eyes]
    coded = np.array([to_rgb(colour) for colour in COLOURS[:6]])
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = np.clip(linear @ np.transpose(matrix), 0, 1) @ to_xyz.T / to_xyz.sum(axis=1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116).T
    lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
    apart = np.linalg.norm(lab[:, None] - lab, axis=-1)[~np.eye(6, dtype=bool)]
    assert apart.min() > least


def test_slices_stand_upright_in_the_order_of_their_places() -> None:
    """Each like what the volume shows in a plane of the fan that is neither mirrored nor turned."""
    shown, case = subject(), samples.case()
    places = [case.acquired.arrangement.places[number] for number in shown.order]
    assert places == [0, 1, 2, 3, 4, 5]
    frame = torch.from_numpy(_frame(shown))
    for place, number in enumerate(shown.order):
        image = shown.emulated[number]
        _, rows, columns = image.grid.shape
        down, right = np.indices((rows, columns)) - np.array([(rows - 1) / 2, (columns - 1) / 2])[:, None, None]
        angle = np.pi * place / 6
        flat = 1.9 * torch.from_numpy(np.stack([right * np.cos(angle), right * np.sin(angle), down], axis=-1))
        expected = sample(
            case.hip.volume.data, case.hip.volume.grid, flat @ frame[:3, :3].T + frame[:3, 3], outside="zeros"
        )
        upright = shown.upright(number, image.array()[0])
        assert np.corrcoef(upright.ravel(), expected[0, 0].numpy().ravel())[0, 1] > 0.85
        assert np.corrcoef(upright[:, ::-1].ravel(), expected[0, 0].numpy().ravel())[0, 1] < 0.7


def _frame(shown: FanSubject) -> np.ndarray:
    """The fan's, in the volume."""
    acquired = samples.case().acquired
    return (torch.linalg.inv(acquired.truth.matrix) @ frame_of(acquired.centre, acquired.normal)).numpy()


def test_of_several_labels_the_bone_is_outlined() -> None:
    shown = subject()
    array = np.where(shown.slice_labels.array() == 1, 7, 3)
    several = LabelImage.from_array(array, shown.slice_labels.grid, {7: "femur", 3: "Muscle"})
    np.testing.assert_array_equal(replace(shown, slice_labels=several).drawn_in(2), shown.drawn_in(2))
    unnamed = LabelImage.from_array(array, shown.slice_labels.grid)
    assert replace(shown, slice_labels=unnamed).drawn_in(2).all()


def free() -> FanSubject:
    """The same slices, as if headers had told of their planes: nothing was arranged."""
    shown = subject()
    table = shown.registration.tables["arrangement"]
    bare = replace(table, rows=[[row[0], "", "", "", *row[4:]] for row in table.rows])
    plain = replace(shown.registration, tables={**shown.registration.tables, "arrangement": bare}, labels={})
    return replace(shown, registration=plain)


def test_a_free_set_stands_as_its_planes_lie() -> None:
    """In a ring like that of the arrangement, begun anywhere and run through either way; all upright or all not."""
    shown, truth = free(), samples.case().acquired.arrangement
    assert [picture.name for picture in fan_pictures(shown)] == PICTURES[:3]
    ring = [truth.places[number] for number in shown.order]
    steps = {(after - before) % 6 for before, after in zip(ring, [*ring[1:], ring[0]], strict=True)}
    assert steps in ({1}, {5})
    assert len({stand.turned == turned for stand, turned in zip(shown.stands, truth.turned, strict=True)}) == 1


def test_slices_without_an_axis_stand_as_they_are() -> None:
    shown = free()
    apart = [moved(image, (0.0, 0.0, 30.0 * number)) for number, image in enumerate(shown.slices)]
    plain = replace(shown.registration, sequences={**shown.registration.sequences, "slices": apart})
    loose = replace(shown, registration=plain)
    assert loose.axis is None
    assert loose.order == [0, 1, 2, 3, 4, 5]
    array = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(loose.upright(1, array), array)
    assert [picture.name for picture in fan_pictures(loose)] == PICTURES[:3]


def test_the_view_along_the_axis_is_upright() -> None:
    """Down a right femoral neck: the head of the patient up; letters name both parts of an oblique direction."""
    right, up = view_along(np.array([0.7, 0.1, -0.7]) / np.linalg.norm([0.7, 0.1, -0.7]))
    assert up[2] > 0.5
    assert right @ up == pytest.approx(0)
    assert ends_of(up) in {("LI", "RS"), ("IL", "SR")}
    assert ends_of(np.array([0, -1.0, 0])) == ("A", "P")
    right, up = view_along(np.array([0.0, 0.0, 1.0]))
    assert up.tolist() == [0, 1, 0]
    assert right.tolist() == [-1, 0, 0], "the patient's right is on the left"


def test_the_checkerboard_takes_fields_by_turns() -> None:
    grid = Grid.regular((1, 16, 16))
    ramp = np.tile(np.arange(16.0), (1, 16, 1))
    one, other = Image.from_array(ramp, grid), Image.from_array(-ramp, grid)
    fields = _checkered(one, other)[0, 0, 0].numpy()
    assert fields[0, 0] == pytest.approx(0)
    assert fields[2, 0] == pytest.approx(1)
    assert fields[0, 15] == pytest.approx(0)
    assert fields[2, 15] == pytest.approx(1)


def test_a_failing_run_leaves_nothing(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(files["slices"])
    files["slices"].mkdir()
    words = [word for role, path in files.items() for word in (f"--{role.replace('_', '-')}", str(path))]
    assert cli.main(["run", "hip-qmri", *words, "--out", str(tmp_path / "out")]) == 2
    assert "holds no DICOM images: give the folder with the slices" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
