"""Maps as the scanners of three vendors write them: their names, values and units, and what lies beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_samples import ANGLES, Frame, blade, coded, fan, mapping, numbers, write_classic, write_enhanced
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from regsuite.errors import InputError
from regsuite.io import read_slice_set, read_slices

STORED = np.stack([numbers(place) for place in range(6)]).astype(np.float32)
TIMES = (10.0, 20.0, 30.0)


def values(folder: Path, name: str) -> np.ndarray:
    """(6, H, W)."""
    return np.stack([image.array()[0] for image in read_slice_set(folder).maps[name]])


def edited(files: list[Path], edit: Any) -> None:
    for file in files:
        dataset = pydicom.dcmread(file)
        edit(dataset)
        dataset.save_as(file)


def echoes(**fields: Any) -> list[Frame]:
    """Of each slice, the images that a map is made from."""
    return [
        blade(angle, numbers(place, 1 + echo), EchoTime=time, **fields)
        for place, angle in enumerate(ANGLES)
        for echo, time in enumerate(TIMES)
    ]


@pytest.mark.parametrize(
    ("types", "name"),
    [
        # Siemens, software VE and XA in classic files: MapIt and MP2RAGE.
        (["DERIVED", "PRIMARY", "T2 MAP", "ND"], "T2"),
        (["DERIVED", "PRIMARY", "T1 MAP", "DIS2D"], "T1"),
        (["DERIVED", "PRIMARY", "T2_STAR MAP", "ND"], "T2star"),
        # Philips.
        (["ORIGINAL", "PRIMARY", "T2_STAR_UNSPECIF", "T2_STAR", "UNSPECIFIED"], "T2star"),
        (["ORIGINAL", "PRIMARY", "T1 MAP", "T1", "UNSPECIFIED"], "T1"),
        (["ORIGINAL", "PRIMARY", "T2", "NONE"], "radial"),
        # GE, maps and images that MAGiC computes as if they were weighted, or maps of several quantities in one.
        (["DERIVED", "PRIMARY", "QMAP", "T2"], "T2"),
        (["DERIVED", "PRIMARY", "T2", "SYNTHETIC"], "radial"),
        (["DERIVED", "PRIMARY", "QMAP", "T2", "SYNTHETIC"], "radial"),
        (["DERIVED", "PRIMARY", "MULTI_QMAP", "ENCRYPTED", "T1", "T2", "PD"], "radial"),
    ],
)
def test_image_types(types: list[str], name: str, tmp_path: Path) -> None:
    """Of classic files: Siemens' and Philips' as dbdicom and WEASEL list them, GE's as classifiers of SyMRI do."""
    write_classic(tmp_path, fan(), ImageType=types)
    assert list(read_slice_set(tmp_path).maps) == [name]


class TestSiemens:
    @pytest.mark.parametrize("enhanced", [False, True])
    def test_the_type_that_software_xa_keeps_in_a_private_field(self, enhanced: bool, tmp_path: Path) -> None:
        """(0021,1175), in (0021,11FE) of each frame where the file is enhanced: dcm2niix, issue 236."""

        def edit(dataset: Dataset) -> None:
            for place in dataset.PerFrameFunctionalGroupsSequence if enhanced else [dataset]:
                inner = Dataset()
                text = inner if enhanced else place
                text.private_block(0x0021, "SIEMENS MR SDI 02", create=True).add_new(
                    0x75, "CS", ["DERIVED", "PRIMARY", "T2 MAP", "ND"]
                )
                if enhanced:
                    block = place.private_block(0x0021, "SIEMENS MR SDI 02", create=True)
                    block.add_new(0xFE, "SQ", Items([inner]))

        files = [write_enhanced(tmp_path / "x.dcm", fan())] if enhanced else write_classic(tmp_path, fan())
        assert list(read_slice_set(tmp_path).maps) == ["radial"]
        edited(files, edit)
        assert list(read_slice_set(tmp_path).maps) == ["T2"]

    def test_a_map_beside_the_echoes_it_was_made_from(self, tmp_path: Path) -> None:
        """MapIt: the echoes are called after the map, and the map's own series is called T2_Images."""
        write_classic(tmp_path, echoes(), 1, SeriesDescription="t2_map_rad", ImageType=["ORIGINAL", "PRIMARY", "M"])
        kind = ["DERIVED", "PRIMARY", "T2 MAP", "ND"]
        write_classic(tmp_path, fan(), 2, SeriesDescription="T2_Images", ImageType=kind)
        found = read_slice_set(tmp_path)
        assert list(found.maps) == ["T2", "t2_map_rad_TE10", "t2_map_rad_TE20", "t2_map_rad_TE30"]
        assert found.quantities == {"T2"}
        assert np.array_equal(values(tmp_path, "T2"), STORED)

    def test_a_localizer_that_only_its_name_tells_of(self, tmp_path: Path) -> None:
        """Siemens' image type has no LOCALIZER in it, nor has GE's."""
        scout = [Frame(numbers(9), [0, 0, 10.0 * n], [1, 0, 0, 0, 1, 0]) for n in range(3)]
        for series, title in enumerate(("localizer", "3-pl Loc", "AAHip_Scout", "SURVEY_cor"), start=2):
            write_classic(tmp_path, scout, series, SeriesDescription=title)
        write_classic(tmp_path, fan(), SeriesDescription="locally radial")
        found = read_slice_set(tmp_path)
        assert list(found.maps) == ["locally_radial"]
        assert found.notes == ("Localizers were left out: 12 images (3-pl_Loc, AAHip_Scout, SURVEY_cor, localizer).",)

    def test_slices_that_are_called_localizers_stay_where_there_are_no_others(self, tmp_path: Path) -> None:
        write_classic(tmp_path, fan(), SeriesDescription="radial scout")
        assert read_slice_set(tmp_path).count == 6


def philips(dataset: Dataset, slope: str | None = None, scale: float | None = None) -> None:
    if slope is not None:
        block = dataset.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
        block.add_new(0x0A, "DS", slope)
        block.add_new(0x09, "DS", "-3")
    if scale is not None:
        dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", scale)


class TestPhilips:
    """dcm2niix' notes on Philips: what is displayed is SV * RS + RI; divided by RS * SS it is a signal that scans have
    in common, which is for signals and not for maps."""

    def test_the_scale_slope_is_for_signals(self, tmp_path: Path) -> None:
        fields = {"RescaleSlope": 0.25, "RescaleIntercept": 2, "RescaleType": "ms", "SeriesDescription": "T2 map"}
        edited(write_classic(tmp_path, fan(), **fields), lambda dataset: philips(dataset, scale=0.0123))
        assert np.allclose(values(tmp_path, "T2"), STORED * 0.25 + 2)
        assert read_slice_set(tmp_path).units == {"T2": "ms"}

    @pytest.mark.parametrize("public", [None, 1.0])
    def test_a_rescale_that_was_taken_out_is_kept_privately(self, public: float | None, tmp_path: Path) -> None:
        """(2005,140A) and (2005,1409)."""
        fields = {} if public is None else {"RescaleSlope": public, "RescaleIntercept": 0}
        files = write_classic(tmp_path, fan(), **fields)
        edited(files, lambda dataset: philips(dataset, slope="0.5", scale=0.0123))
        assert np.allclose(values(tmp_path, "radial"), STORED * 0.5 - 3)

    def test_the_public_rescale_comes_first(self, tmp_path: Path) -> None:
        files = write_classic(tmp_path, fan(), RescaleSlope=4, RescaleIntercept=0)
        edited(files, lambda dataset: philips(dataset, slope="0.5"))
        assert np.allclose(values(tmp_path, "radial"), STORED * 4)

    def test_of_several_mappings_that_to_a_unit_counts(self, tmp_path: Path) -> None:
        """The first may be to 'no units'."""
        first, second = mapping(3, 0, "1"), mapping(0.5, 10, "ms")
        first[0].MeasurementUnitsCodeSequence = coded("1", meaning="no units")
        both = Items([*first, *second])
        write_enhanced(tmp_path / "x.dcm", fan(mapping=both, rescale=(3, 0)), SeriesDescription="T2")
        assert np.allclose(values(tmp_path, "T2"), STORED * 0.5 + 10)
        assert read_slice_set(tmp_path).units == {"T2": "ms"}

    def test_one_file_of_echoes_and_their_map(self, tmp_path: Path) -> None:
        """The map's frames say what they are; the others have the name of the series alone."""
        kinds = [["ORIGINAL", "PRIMARY", "M", "NONE"], ["ORIGINAL", "PRIMARY", "T2 MAP", "T2"]]
        frames = [blade(a, numbers(n, m), type=kinds[1 - m]) for m in (0, 1) for n, a in enumerate(ANGLES)]
        write_enhanced(tmp_path / "x.dcm", frames, SeriesDescription="T2 map rad")
        found = read_slice_set(tmp_path)
        assert list(found.maps) == ["T2", "T2_map_rad"]
        assert np.array_equal(values(tmp_path, "T2"), STORED)


class TestGE:
    def test_a_thickness_of_nought_is_none(self, tmp_path: Path) -> None:
        """Derived series may have it so, or leave it out."""
        write_classic(tmp_path, fan(), SliceThickness=0, SpacingBetweenSlices=9)
        found = read_slice_set(tmp_path)
        assert found.thickness == 2.0
        assert "do not say how thick the slices are" in found.notes[0]

    def test_flip_angles_are_images_of_their_own(self, tmp_path: Path) -> None:
        """T1 maps are made from such."""
        frames = [blade(a, numbers(n, m), FlipAngle=(4, 18)[m]) for n, a in enumerate(ANGLES) for m in (0, 1)]
        write_classic(tmp_path, frames, SeriesDescription="T1 Mapping", ImageType=["ORIGINAL", "PRIMARY", "OTHER"])
        found = read_slice_set(tmp_path)
        assert sorted(found.maps) == ["T1_Mapping_FA18", "T1_Mapping_FA4"]
        assert not found.quantities


def test_copies_of_files_count_once(tmp_path: Path) -> None:
    """A folder that was exported twice; of enhanced files every frame."""
    write_classic(tmp_path, fan())
    files = sorted(tmp_path.iterdir())
    (tmp_path / "copy").mkdir()
    for file in files:
        (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    found = read_slice_set(tmp_path)
    assert found.count == 6
    assert found.notes == ("Copies of images that were there already were left out: 6.",)


def test_files_instead_of_their_folder(tmp_path: Path) -> None:
    """All those of a set, or the one enhanced file it is in; other series may lie beside them."""
    files = write_classic(tmp_path, fan())
    whole = write_enhanced(tmp_path / "whole", fan(), series=2)
    assert read_slices(files).count == 6
    assert list(read_slices([whole]).maps) == ["radial"]
    with pytest.raises(InputError, match="holds 1 slice of 'radial', and 3 or more are needed"):
        read_slices(files[:1])
