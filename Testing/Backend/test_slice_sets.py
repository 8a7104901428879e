"""Sets of single slices from DICOM: where they lie, what their values are, and a sentence for each that is none."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_samples import (
    ANGLES,
    AXIS,
    CENTRE,
    ROOT,
    SHAPE,
    SPACING,
    THICKNESS,
    Frame,
    blade,
    coded,
    fan,
    mapping,
    numbers,
    write_classic,
    write_enhanced,
    write_parametric,
)
from regsuite.errors import InputError
from regsuite.io import read_slice_set
from regsuite.spatial import Grid
from regsuite.spatial.slice_sets import SliceSet, common_line

T2, T1 = {"SeriesDescription": "T2 map"}, {"SeriesDescription": "T1 map"}
OTHER = f"{ROOT}9.9"


def values(found: SliceSet, name: str) -> np.ndarray:
    """(K, H, W)."""
    return np.stack([image.array()[0] for image in found.maps[name]])


def stored(seed: int = 0) -> np.ndarray:
    """(K, H, W) of the fan of this seed."""
    return np.stack([numbers(place, seed) for place in range(6)])


def degrees(one: np.ndarray, other: np.ndarray) -> float:
    return math.degrees(math.atan2(float(np.linalg.norm(np.cross(one, other))), float(one @ other)))


class TestPlaces:
    def test_lps_becomes_ras(self, tmp_path: Path) -> None:
        """Rows to (0.8, 0.6, 0), columns to -S: across lies (-0.6, 0.8, 0) in LPS. Pixels are 2 mm high, 1.5 wide."""
        turned = [[0.8, 0.6, 0, 0, 0, -1], [0.6, 0.8, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]]
        write_classic(tmp_path, [Frame(numbers(n), [-40.0, 10.0, 25.0], axes) for n, axes in enumerate(turned)])
        grid = read_slice_set(tmp_path).grids[0]
        assert grid.shape == (1, *SHAPE)
        assert np.allclose(grid.spacing, (3.0, 2.0, 1.5))
        assert np.allclose(grid.to_world([0, 0, 0]), [40, -10, 25])
        assert np.allclose(grid.to_world([0, 1, 0]), [40, -10, 23])
        assert np.allclose(grid.to_world([0, 0, 1]), [40 - 1.2, -10 - 0.9, 25])
        assert np.allclose(grid.to_world([1, 0, 0]), [40 + 1.8, -10 - 2.4, 25])

    def test_itk_agrees(self, tmp_path: Path) -> None:
        files = write_classic(tmp_path, fan(), RescaleSlope=0.5, RescaleIntercept=-7)
        found = read_slice_set(tmp_path)
        for file, image in zip(files, found.maps["radial"], strict=True):
            theirs = sitk.ReadImage(str(file))
            for j, i in ((0, 0), (5, 0), (0, 9)):
                ras = np.array(theirs.TransformIndexToPhysicalPoint((i, j, 0))) * (-1, -1, 1)
                assert np.allclose(image.grid.to_world([0, j, i]), ras, atol=1e-6)
            assert np.allclose(image.array(), sitk.GetArrayFromImage(theirs))

    @pytest.mark.parametrize("enhanced", [False, True])
    def test_the_axis_of_an_oblique_fan(self, enhanced: bool, tmp_path: Path) -> None:
        write_enhanced(tmp_path / "e.dcm", fan()) if enhanced else write_classic(tmp_path, fan())
        found = read_slice_set(tmp_path)
        axis = found.axis()
        assert axis is not None
        assert np.linalg.norm(np.cross(axis.centre - CENTRE, AXIS)) < 1e-3
        assert degrees(axis.normal, AXIS) < 1e-3
        assert found.distinct
        assert found.count == 6
        assert found.thickness == THICKNESS
        assert found.notes == ()
        for angle, grid in zip(ANGLES, found.grids, strict=True):
            side = np.cos(np.radians(angle)) * np.array([0.8, -0.6, 0]) + np.sin(np.radians(angle)) * np.cross(
                AXIS, [0.8, -0.6, 0]
            )
            assert np.allclose(np.asarray(grid.direction)[:, 2], side, atol=1e-6)

    def test_slices_shifted_in_their_planes_share_the_axis(self, tmp_path: Path) -> None:
        """The axis is that of the planes, wherever in them the pictures are."""
        frames = [
            Frame(f.stored, np.add(f.position, n * np.array(f.orientation[:3])), f.orientation)
            for n, f in enumerate(fan())
        ]
        write_classic(tmp_path, frames)
        axis = read_slice_set(tmp_path).axis()
        assert axis is not None
        assert np.linalg.norm(np.cross(axis.centre - CENTRE, AXIS)) < 1e-3
        assert degrees(axis.normal, AXIS) < 1e-3

    @pytest.mark.parametrize("turned", [1, -1])
    def test_the_axis_runs_with_the_rows_of_the_first_slice(self, turned: int, tmp_path: Path) -> None:
        frames = [
            Frame(f.stored, f.position, [*f.orientation[:3], *np.multiply(turned, f.orientation[3:])]) for f in fan()
        ]
        write_classic(tmp_path, [frames[0], *fan()[1:]])
        axis = read_slice_set(tmp_path).axis()
        assert axis is not None
        assert degrees(axis.normal, turned * AXIS) < 1e-3

    def test_planes_without_a_common_line(self) -> None:
        def plane(normal: list[float], at: float) -> Grid:
            across = np.array(normal)
            down = np.cross(across, [0.3, 0.5, 0.81])
            down /= np.linalg.norm(down)
            affine = np.eye(4)
            affine[:3, :3] = np.stack([across, down, np.cross(across, down)], axis=1)
            affine[:3, 3] = at * across
            return Grid.from_affine((1, 20, 20), affine)

        x, y, z = np.eye(3).tolist()
        assert common_line([plane(x, 0), plane(y, 0), plane(z, 0)]) is None
        assert common_line([plane(x, 0), plane(x, 5), plane(x, 9)]) is None
        assert common_line([plane(x, 0), plane(y, 0)]) is None
        half = math.sqrt(0.5)
        assert common_line([plane(x, 0), plane(y, 0), plane([half, half, 0], 0)]) is not None
        assert common_line([plane(x, 0), plane(y, 0), plane([half, half, 0], 4)]) is None
        off = common_line([plane(x, 0), plane(y, 0), plane([half, half, 0], 4)], tolerance=4)
        # The squares of x, y and (x + y)/√2 - 4 are least at x = y = √2.
        assert off is not None
        assert np.allclose(off.centre[:2], math.sqrt(2))

    def test_one_pose_for_all(self, tmp_path: Path) -> None:
        """The order is that of the instance numbers, not of the files."""
        frames = [blade(0, numbers(n), InstanceNumber=6 - n) for n in range(6)]
        write_classic(tmp_path, frames, **T2)
        write_classic(tmp_path, [blade(0, numbers(n, 1)) for n in range(6)], series=2, **T1)
        found = read_slice_set(tmp_path)
        assert not found.distinct
        assert np.array_equal(values(found, "T2"), stored()[::-1])
        assert np.array_equal(values(found, "T1"), stored(1))
        assert any("one pose" in note for note in found.notes)
        axis, localizer = found.axis(), found.axis(one_pose="localizer")
        assert axis is not None
        assert localizer is not None
        assert np.allclose(axis.centre, CENTRE, atol=1e-6)
        assert np.allclose(axis.normal, AXIS, atol=1e-6)
        assert np.allclose(localizer.normal, np.cross([0.8, -0.6, 0], AXIS), atol=1e-6)

    def test_maps_are_paired_by_place(self, tmp_path: Path) -> None:
        """The other map came in another order, a little displaced, on finer pixels and seen from behind."""
        write_classic(tmp_path, fan(), **T2)
        shuffled, order = [], [3, 0, 5, 1, 4, 2]
        for place in order:
            frame = blade(ANGLES[place], np.repeat(np.repeat(numbers(place, 1), 2, 0), 2, 1))
            side, down = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
            behind = np.array(blade(ANGLES[place], numbers(place)).position) + 9.25 * SPACING[1] * side
            corner = behind - 0.25 * SPACING[0] * down + (0, 0, 0.05)
            shuffled.append(Frame(frame.stored, corner, [*-side, *down], {"PixelSpacing": [1.0, 0.75]}))
        write_classic(tmp_path, shuffled, series=2, **T1)
        found = read_slice_set(tmp_path)
        assert list(found.maps) == ["T1", "T2"]
        assert np.array_equal(values(found, "T1")[:, ::2, ::2], stored(1)[order])
        assert np.array_equal(values(found, "T2"), stored()[order])
        for one, other in zip(found.maps["T1"], found.maps["T2"], strict=True):
            assert np.linalg.norm(one.grid.centre - other.grid.centre) < 0.1


class TestValues:
    def test_rescale(self, tmp_path: Path) -> None:
        """Each slice by its own slope, as some scanners write; a mapping is worth more than a rescale."""
        frames = [
            blade(angle, numbers(n), RescaleSlope=0.25 * (n + 1), RescaleIntercept=-3) for n, angle in enumerate(ANGLES)
        ]
        write_classic(tmp_path / "a", frames, **T2)
        found = read_slice_set(tmp_path / "a")
        assert np.allclose(values(found, "T2"), stored() * np.arange(0.25, 1.6, 0.25)[:, None, None] - 3, rtol=1e-6)
        assert found.units == {"T2": ""}
        write_classic(tmp_path / "b", frames, RealWorldValueMappingSequence=mapping(0.1, 5, "ms"), **T2)
        found = read_slice_set(tmp_path / "b")
        assert np.allclose(values(found, "T2"), stored() * 0.1 + 5, rtol=1e-6)
        assert found.units == {"T2": "ms"}

    def test_signed(self, tmp_path: Path) -> None:
        frames = [blade(angle, numbers(n, dtype=np.int16) - np.int16(500)) for n, angle in enumerate(ANGLES)]
        write_classic(tmp_path, frames)
        assert np.array_equal(values(read_slice_set(tmp_path), "radial"), stored().astype(int) - 500)

    def test_floats(self, tmp_path: Path) -> None:
        """A parametric map in seconds, coded; missing and negative values are told."""
        frames = [blade(angle, numbers(n, dtype=np.float32) / np.float32(7)) for n, angle in enumerate(ANGLES)]
        frames[2].stored[0, :3] = np.nan, np.nan, -1
        quantity = mapping(1, 0, "s", coded("113064", "DCM", "T2*"))
        write_parametric(tmp_path / "x.dcm", frames, RealWorldValueMappingSequence=quantity)
        found = read_slice_set(tmp_path)
        assert np.array_equal(values(found, "T2star"), np.stack([f.stored for f in frames]), equal_nan=True)
        assert found.units == {"T2star": "s"}
        assert found.notes == ("Of the 480 values of 'T2star', 2 are missing and 1 are negative.",)

    def test_a_table_of_values(self, tmp_path: Path) -> None:
        item = mapping(1, 0, "ms")
        del item[0].RealWorldValueSlope, item[0].RealWorldValueIntercept
        item[0].add_new("RealWorldValueFirstValueMapped", "US", 1)
        item[0].add_new("RealWorldValueLastValueMapped", "US", 600)
        item[0].RealWorldValueLUTData = [float(n) ** 2 for n in range(1, 601)]
        write_classic(tmp_path, fan(), RealWorldValueMappingSequence=item, **T2)
        expected = np.where(stored() <= 600, stored().astype(float) ** 2, np.nan)
        assert np.array_equal(values(read_slice_set(tmp_path), "T2"), expected.astype(np.float32), equal_nan=True)

    def test_packed_files(self, tmp_path: Path) -> None:
        """Pixels by run lengths; and whole files, of which long groups are no longer where they are looked for."""
        for file in write_classic(tmp_path / "a", fan()):
            dataset = pydicom.dcmread(file)
            dataset.compress(pydicom.uid.RLELossless)
            dataset.save_as(file)
        assert np.array_equal(values(read_slice_set(tmp_path / "a"), "radial"), stored())
        dataset = pydicom.dcmread(write_enhanced(tmp_path / "b" / "x.dcm", fan()))
        dataset.PerFrameFunctionalGroupsSequence[0].TextValue = "x" * 100_000
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        dataset.save_as(tmp_path / "b" / "x.dcm")
        assert np.array_equal(values(read_slice_set(tmp_path / "b"), "radial"), stored())

    def test_unknown_thickness_is_supposed_and_told(self, tmp_path: Path) -> None:
        write_classic(tmp_path, fan(), SliceThickness=None)
        found = read_slice_set(tmp_path)
        assert found.thickness == 2.0
        assert found.notes == (
            "The files do not say how thick the slices are: 2 mm, the size of a pixel, is supposed.",
        )

    def test_units_differ(self, tmp_path: Path) -> None:
        frames = [
            blade(angle, numbers(n), RealWorldValueMappingSequence=mapping(1, 0, "ms" if n else "s"))
            for n, angle in enumerate(ANGLES)
        ]
        write_classic(tmp_path, frames, **T2)
        with pytest.raises(InputError, match=r"'T2' are in different units, 's' \('s1-001.dcm'\) and 'ms'"):
            read_slice_set(tmp_path)


def same(one: SliceSet, other: SliceSet) -> bool:
    """Whether two sets hold the same."""
    assert list(one.maps) == list(other.maps)
    for name, images in one.maps.items():
        assert np.array_equal(values(one, name), values(other, name))
        pairs = zip(images, other.maps[name], strict=True)
        assert all(a.grid.same_as(b.grid, 1e-9) for a, b in pairs)
    facts = [(each.units, each.quantities, each.thickness, each.distinct, each.notes) for each in (one, other)]
    assert facts[0] == facts[1]
    return True


class TestLayouts:
    @pytest.fixture
    def expected(self, tmp_path: Path) -> SliceSet:
        """T1 and T2, a series each."""
        folder = tmp_path / "expected"
        ms = mapping(0.5, 10, "ms")
        write_classic(folder, fan(0), series=1, RealWorldValueMappingSequence=ms, **T1)
        write_classic(folder, fan(1), series=2, RealWorldValueMappingSequence=ms, **T2)
        found = read_slice_set(folder)
        assert np.array_equal(values(found, "T1"), stored(0) * 0.5 + 10)
        assert np.array_equal(values(found, "T2"), stored(1) * 0.5 + 10)
        assert found.units == {"T1": "ms", "T2": "ms"}
        assert found.quantities == {"T1", "T2"}
        return found

    def test_one_series_of_two_maps(self, expected: SliceSet, tmp_path: Path) -> None:
        ms = mapping(0.5, 10, "ms")
        kinds = [["DERIVED", "PRIMARY", "M", kind] for kind in ("T1", "T2")]
        frames = [blade(f, numbers(n, m), ImageType=kinds[m]) for n, f in enumerate(ANGLES) for m in (0, 1)]
        write_classic(tmp_path / "one", frames, RealWorldValueMappingSequence=ms)
        assert same(expected, read_slice_set(tmp_path / "one"))

    def test_a_series_for_each_orientation(self, expected: SliceSet, tmp_path: Path) -> None:
        ms = mapping(0.5, 10, "ms")
        for place, angle in enumerate(ANGLES):
            for seed, kind in enumerate(("T1", "T2")):
                write_classic(
                    tmp_path / "six" / f"{place}",
                    [blade(angle, numbers(place, seed))],
                    series=10 * place + seed,
                    SeriesDescription=f"{kind}_MAP rad {angle:g}",
                    RealWorldValueMappingSequence=ms,
                )
        assert same(expected, read_slice_set(tmp_path / "six"))

    def test_enhanced(self, expected: SliceSet, tmp_path: Path) -> None:
        """One file of twelve frames, types in the frames and the mapping shared; then a file a map."""
        ms = mapping(0.5, 10, "ms")
        frames = [
            blade(angle, numbers(n, m), type=["DERIVED", "PRIMARY", "NONE", ("T1", "T2")[m]], mapping=ms)
            for m in (0, 1)
            for n, angle in enumerate(ANGLES)
        ]
        write_enhanced(tmp_path / "one" / "x.dcm", frames)
        assert same(expected, read_slice_set(tmp_path / "one"))
        for seed, kind in enumerate((T1, T2)):
            file = tmp_path / "two" / f"{seed}.dcm"
            write_enhanced(file, fan(seed, rescale=(0.5, 10)), series=seed, RescaleType="ms", **kind)
        two = read_slice_set(tmp_path / "two")
        # What the frames say of themselves (unspecified, 'US') is nearer than what the file says.
        assert two.units == {"T1": "", "T2": ""}
        assert np.array_equal(values(two, "T2"), values(expected, "T2"))

    def test_numbered_series_to_look_at(self, tmp_path: Path) -> None:
        for place, angle in enumerate(ANGLES):
            title = f"pd fs {angle:g} deg"
            write_classic(tmp_path, [blade(angle, numbers(place))], series=place, SeriesDescription=title)
        found = read_slice_set(tmp_path)
        assert np.array_equal(values(found, "pd_fs"), stored())
        assert found.quantities == frozenset()

    def test_echoes_are_maps_of_their_own(self, tmp_path: Path) -> None:
        frames = [
            blade(angle, numbers(n, echo), EchoTime=10.5 * (echo + 1))
            for n, angle in enumerate(ANGLES)
            for echo in (0, 1)
        ]
        write_classic(tmp_path, frames, SeriesDescription="se mc")
        found = read_slice_set(tmp_path)
        assert sorted(found.maps) == ["se_mc_TE10.5", "se_mc_TE21"]
        assert np.array_equal(values(found, "se_mc_TE21"), stored(1))

    def test_localizers_and_reports_are_left_out(self, tmp_path: Path) -> None:
        write_classic(tmp_path, fan())
        kind = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        scout = [Frame(numbers(7), [0, 0, 10.0 * n], [1, 0, 0, 0, 1, 0]) for n in range(3)]
        write_classic(tmp_path / "scout", scout, 2, ImageType=kind, SeriesDescription="../scout", PixelSpacing=None)
        report = pydicom.dcmread(tmp_path / "s1-001.dcm")
        report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID = pydicom.uid.BasicTextSRStorage
        del report.Rows, report.Columns, report.PixelData
        report.save_as(tmp_path / "report.dcm")
        (tmp_path / "notes.txt").write_text("none of ours")
        found = read_slice_set(tmp_path)
        assert list(found.maps) == ["radial"]
        assert found.notes == (
            "Localizers were left out: 3 images (scout).",
            "DICOM files that hold no image were left out: 1.",
        )


@pytest.mark.parametrize(
    ("fields", "name", "measured"),
    [
        ({"SeriesDescription": "hip T2 map cor"}, "T2", True),
        ({"SeriesDescription": "T2_star_MAP"}, "T2star", True),
        ({"SeriesDescription": "T2*map"}, "T2star", True),
        ({"SeriesDescription": "T1-rho mapping"}, "T1rho", True),
        ({"SeriesDescription": "qMRI Proton Density"}, "PD", True),
        ({"SeriesDescription": "MRF T1"}, "T1", True),
        ({"SeriesDescription": "T1rho", "RealWorldValueMappingSequence": mapping(1, 0, "ms")}, "T1rho", True),
        ({"SeriesDescription": "T2", "RescaleType": "ms"}, "T2", True),
        ({"SeriesDescription": "T2", "RescaleType": "US"}, "T2_image", False),
        ({"SeriesDescription": "t2_tse_fs_cor"}, "t2_tse_fs_cor", False),
        ({"SeriesDescription": "T2w map"}, "T2w_map", False),
        ({"SeriesDescription": "T1 T2 maps"}, "T1_T2_maps", False),
        ({"SeriesDescription": "field map"}, "field_map", False),
        ({"ImageType": ["DERIVED", "PRIMARY", "T2_MAP"]}, "T2", True),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "T2 MAP", "T2"]}, "T2", True),
        ({"ImageType": ["DERIVED", "PRIMARY", "T1_RHO"]}, "T1rho", True),
        ({"ImageType": ["DERIVED", "PRIMARY", "QUANT", "T2_STAR"]}, "T2star", True),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "T2"]}, "radial", False),
        ({"RealWorldValueMappingSequence": mapping(1, 0, "ms", coded("113063", "DCM", "T1"))}, "T1", True),
        ({"RealWorldValueMappingSequence": mapping(1, 0, "ms", coded("X1", "99X", "T1rho"))}, "T1rho", True),
        (
            {"RealWorldValueMappingSequence": mapping(1, 0, "1", coded("110805", "DCM", "T2 Weighted MR"))},
            "radial",
            False,
        ),
        ({"SeriesDescription": "../../etc/: *?x"}, "etc_x", False),
        ({"SeriesDescription": None}, "image", False),
    ],
)
def test_which_map_it_is(fields: dict[str, Any], name: str, measured: bool, tmp_path: Path) -> None:
    write_classic(tmp_path, fan(), **fields)
    found = read_slice_set(tmp_path)
    assert list(found.maps) == [name]
    assert found.quantities == ({name} if measured else set())


def test_the_flavour_of_an_enhanced_image_is_no_map(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "x.dcm", fan(type=["DERIVED", "PRIMARY", "T2", "RESAMPLED"]))
    assert list(read_slice_set(tmp_path).maps) == ["radial"]


def few(folder: Path) -> None:
    write_classic(folder, fan()[:2], **T2)


def stack(folder: Path) -> None:
    frames = [Frame(numbers(n), [0, 0, 5.0 * n], [1, 0, 0, 0, 1, 0]) for n in range(6)]
    write_classic(folder, frames)


def other_count(folder: Path) -> None:
    write_classic(folder, fan(), **T2)
    write_classic(folder, fan()[:5], series=2, **T1)


def other_planes(folder: Path) -> None:
    write_classic(folder, fan(), **T2)
    frames = [blade(angle + 5, numbers(n)) for n, angle in enumerate(ANGLES)]
    write_classic(folder, frames, series=2, **T1)


def twice(folder: Path) -> None:
    write_classic(folder, fan(), **T2)
    write_classic(folder, fan(), series=2, **T2)


def twice_in_one_pose(folder: Path) -> None:
    for series in (1, 2):
        write_classic(folder, [blade(0, numbers(n)) for n in range(6)], series=series, **T2)


def mixed(field: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        write_classic(folder, fan(), **T2)
        write_classic(folder, fan(), series=2, **{**T1, field: OTHER})

    return write


def without(*fields: str) -> Callable[[Path], None]:
    return lambda folder: write_classic(folder, fan(), **dict.fromkeys(fields)) and None


def with_fields(**fields: Any) -> Callable[[Path], None]:
    return lambda folder: write_classic(folder, fan(), **fields) and None


def without_groups(folder: Path) -> None:
    write_enhanced(folder / "x.dcm", fan(), PerFrameFunctionalGroupsSequence=None)


def coloured(folder: Path) -> None:
    fields = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    write_classic(folder, [Frame(numbers(n), f.position, f.orientation, fields) for n, f in enumerate(fan())])


def only_localizers(folder: Path) -> None:
    write_classic(folder, fan(), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])


def cut(share: float) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        file = write_classic(folder, fan())[3]
        file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])

    return write


def cut_enhanced(folder: Path) -> None:
    file = write_enhanced(folder / "x.dcm", fan())
    file.write_bytes(file.read_bytes()[:-100])


def packed(syntax: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for file in write_classic(folder, fan()):
            dataset = pydicom.dcmread(file)
            dataset.compress(pydicom.uid.RLELossless)
            dataset.file_meta.TransferSyntaxUID = syntax
            dataset.save_as(file)

    return write


def no_dicom(folder: Path) -> None:
    folder.joinpath("x.txt").write_text("nothing")


def text_called_dicom(folder: Path) -> None:
    folder.joinpath("x.dcm").write_text("nothing")


PLACE = "does not say where its slices lie"
CUT = r"The DICOM file '.*' is cut short or damaged"


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (no_dicom, "holds no DICOM images"),
        (only_localizers, "holds only localizers"),
        (text_called_dicom, CUT),
        (cut(0.001), CUT),
        (cut(0.3), CUT),
        (cut(0.6), CUT),
        (cut(0.95), CUT),
        (cut_enhanced, CUT),
        (without("ImagePositionPatient"), PLACE),
        (without("ImageOrientationPatient"), PLACE),
        (without("PixelSpacing"), PLACE),
        (with_fields(PixelSpacing=["0", "1"]), PLACE),
        (without_groups, PLACE),
        (with_fields(ImageOrientationPatient=[1, 0, 0, 0.5, 1, 0]), "are not at right angles"),
        (with_fields(ImageOrientationPatient=[0, 0, 0, 0, 0, 0]), "are not at right angles or have no length"),
        (coloured, "is a colour image, and slices of grey values are needed"),
        (with_fields(PhotometricInterpretation="PALETTE COLOR"), "is a colour image"),
        (mixed("PatientID"), "mixes 2 patients, such as those of 's1-001.dcm' and 's2-001.dcm'"),
        (mixed("StudyInstanceUID"), "mixes 2 examinations"),
        (mixed("FrameOfReferenceUID"), "mixes 2 frames of reference"),
        (other_count, r"different numbers of slices \(T1: 5, T2: 6\)"),
        (other_planes, "'T1' and 'T2' in .* do not lie on the same planes"),
        (twice, "several images of 'T2' for one slice, such as 's1-001.dcm' and 's2-001.dcm'"),
        (twice_in_one_pose, "several images of 'T2' for one slice, such as 's1-001.dcm' and 's2-001.dcm'"),
        (few, "holds 2 slices of 'T2', and 3 or more are needed"),
        (stack, "The 6 slices of 'radial' in .* are parallel"),
        (packed(pydicom.uid.JPEGLSLossless), "compressed with JPEG-LS Lossless .* cannot be unpacked"),
        (packed("1.2.840.113619.5.2.1"), "compressed with 1.2.840.113619.5.2.1 and cannot be unpacked"),
        (packed(pydicom.uid.JPEGBaseline8Bit), "compressed with JPEG Baseline .* cannot be unpacked"),
    ],
)
def test_says_why(write: Callable[[Path], None], sentence: str, tmp_path: Path, capfd: Any) -> None:
    write(tmp_path)
    with pytest.raises(InputError, match=sentence) as caught:
        read_slice_set(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"folder of slices .* does not exist"):
        read_slice_set(tmp_path / "none")
    (tmp_path / "x.dcm").touch()
    with pytest.raises(InputError, match="is a file, and a folder of DICOM slices is needed"):
        read_slice_set(tmp_path / "x.dcm")


def test_without_pydicom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_classic(tmp_path, fan())
    monkeypatch.setitem(sys.modules, "pydicom.pixels", None)
    with pytest.raises(InputError, match="need the Python package 'pydicom', version 3 or later"):
        read_slice_set(tmp_path)


def test_pydicom_is_imported_late() -> None:
    check = "import sys, regsuite.catalog, regsuite.io; sys.exit('pydicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
