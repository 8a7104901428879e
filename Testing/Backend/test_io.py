"""Files: round trips, files written by others, and one clear sentence for each that cannot be used."""

from __future__ import annotations

import json
import locale
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from backend_samples import GRIDS, affine_matrix, drawn, inside, swirl, swirl_velocity
from regsuite import io, memory
from regsuite.errors import InputError
from regsuite.spatial import Grid, Image, LabelImage, PointSet
from regsuite.transforms import Affine, Chain, DisplacementField, StationaryVelocity, TimeVelocity
from transform_laws import distance
from transform_laws import grid as grid  # the fixture

ENDINGS = (".nrrd", ".mha", ".nii.gz", ".nii")
SMALL = Grid.regular((4, 5, 6), (3.0, 2.0, 1.0))


def random_image(grid: Grid, seed: int = 0) -> Image:
    """Noise in 32 bits."""
    return Image.from_array(np.random.default_rng(seed).random(grid.shape, dtype=np.float32), grid)


def in_itk_order(grid: Grid) -> np.ndarray:
    """The RAS affine of the index (i, j, k), as NIfTI has it."""
    return grid.affine[:, [*range(grid.dim - 1, -1, -1), grid.dim]]


class TestImages:
    @pytest.mark.parametrize("ending", ENDINGS)
    def test_round_trip(self, grid: Grid, ending: str, tmp_path: Path) -> None:
        image, file = random_image(grid), tmp_path / f"t1{ending}"
        io.write_image(file, image)
        read = io.read_image(file)
        assert torch.equal(read.data, image.data)
        assert read.name == "t1"
        assert read.grid.same_as(grid, 1e-3 if ".nii" in ending else 1e-9)

    @pytest.mark.parametrize("ending", [".nrrd", ".mha"])
    def test_geometry_keeps_64_bits(self, ending: str, tmp_path: Path) -> None:
        affine = GRIDS["oblique-3d"].affine
        affine[0, -1] = 123.456789012345678
        grid = Grid.from_affine((3, 4, 5), affine)
        io.write_image(tmp_path / f"x{ending}", random_image(grid))
        assert np.abs(io.read_image(tmp_path / f"x{ending}").grid.affine - affine).max() < 1e-13

    @pytest.mark.parametrize("name", [name for name in GRIDS if name.endswith("3d")])
    def test_nibabel_agrees_on_the_position(self, name: str, tmp_path: Path) -> None:
        image = random_image(GRIDS[name])
        io.write_image(tmp_path / "ours.nii.gz", image)
        ours = nibabel.load(tmp_path / "ours.nii.gz")
        assert np.abs(ours.affine - in_itk_order(image.grid)).max() < 1e-4
        assert np.array_equal(np.asarray(ours.dataobj).transpose(2, 1, 0), image.array())
        nibabel.save(
            nibabel.Nifti1Image(image.array().transpose(2, 1, 0), in_itk_order(image.grid)), tmp_path / "n.nii"
        )
        theirs = io.read_image(tmp_path / "n.nii")
        assert theirs.grid.same_as(image.grid)
        assert torch.equal(theirs.data, image.data)

    def test_lps_becomes_ras(self, tmp_path: Path) -> None:
        """ITK's origin (10, 20, 30) is 10 mm left, 20 mm posterior: R = -10, A = -20."""
        image = sitk.GetImageFromArray(np.zeros((2, 3, 4), dtype=np.float32))
        image.SetOrigin((10, 20, 30))
        sitk.WriteImage(image, str(tmp_path / "x.mha"))
        assert io.read_image(tmp_path / "x.mha").grid.origin == (-10, -20, 30)

    def test_values_keep_their_unit(self, tmp_path: Path) -> None:
        ct = sitk.GetImageFromArray(np.array([[-1024, 3071], [0, 40]], dtype=np.int16))
        sitk.WriteImage(ct, str(tmp_path / "ct.nrrd"))
        assert io.read_image(tmp_path / "ct.nrrd").array().tolist() == [[-1024, 3071], [0, 40]]
        precise = np.array([[1 / 3, 1e-300], [1e300, 2.0]])
        io.write_image(tmp_path / "precise.nrrd", Image.from_array(precise, Grid.regular((2, 2))))
        assert np.array_equal(io.read_image(tmp_path / "precise.nrrd").array(), precise)

    def test_several_channels_are_written(self, grid: Grid, tmp_path: Path) -> None:
        array = np.random.default_rng(0).random((4, *grid.shape), dtype=np.float32)
        io.write_image(tmp_path / "x.nrrd", Image.from_array(array, grid))
        assert np.array_equal(
            sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "x.nrrd"))), np.moveaxis(array, 0, -1)
        )

    def test_one_volume_in_four_dimensions_is_a_volume(self, tmp_path: Path) -> None:
        nibabel.save(
            nibabel.Nifti1Image(np.ones((3, 4, 5, 1), np.float32), np.diag([1, 2, 3, 1.0])), tmp_path / "x.nii"
        )
        assert io.read_image(tmp_path / "x.nii").grid.same_as(Grid.regular((5, 4, 3), (3.0, 2.0, 1.0)))

    def test_a_picture_is_an_image_in_2d(self, tmp_path: Path) -> None:
        sitk.WriteImage(sitk.GetImageFromArray(np.arange(12, dtype=np.uint8).reshape(3, 4)), str(tmp_path / "x.png"))
        assert io.read_image(tmp_path / "x.png").array().tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]

    def test_odd_names(self, tmp_path: Path) -> None:
        file = tmp_path / "Ünicode und Leerzeichen.v2.nii.gz"
        io.write_image(file, random_image(SMALL))
        assert io.read_image(str(file)).name == "Ünicode und Leerzeichen.v2"


def vector_image(file: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5, 3), np.float32), isVector=True), str(file))


def series(file: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5, 7), np.float32), np.eye(4)), file)


def complex_image(file: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5), np.complex64)), str(file))


def sheared_nifti(file: Path) -> None:
    affine = np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.float32), affine)
    image.set_qform(None)
    nibabel.save(image, file)


def sheared_nrrd(file: Path) -> None:
    header = (
        "NRRD0004\ntype: float\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\n"
        "space directions: (1,0,0) (0.3,1,0) (0,0,1)\nkinds: domain domain domain\nendian: little\nencoding: raw\n"
        "space origin: (0,0,0)\n\n"
    )
    file.write_bytes(header.encode() + bytes(32))


def cut_off(file: Path) -> None:
    io.write_image(file, random_image(Grid.regular((20, 20, 20))))
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def beside_its_twin(file: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((3, 4, 5), np.float32))
    sitk.WriteImage(image, str(file))
    sitk.WriteImage(image, str(file).removesuffix(".gz"))


def huge(file: Path) -> None:
    """A header that claims more voxels than any memory holds."""
    header = nibabel.Nifti1Header()
    header.set_data_shape((30000, 30000, 30000))
    header.set_data_dtype(np.float32)
    header["magic"], header["vox_offset"] = b"n+1", 352
    file.write_bytes(header.binaryblock + bytes(4))


class TestImagesThatCannotBeRead:
    @pytest.mark.parametrize(
        ("make", "name", "sentence"),
        [
            (lambda file: None, "x.nii.gz", "does not exist"),
            (lambda file: file.write_text("hello"), "x.nii.gz", "is not an image"),
            (lambda file: file.write_bytes(b""), "x.nrrd", "is not an image"),
            (lambda file: file.write_text("hello"), "notes.txt", "is not an image"),
            (vector_image, "x.nrrd", "has 3 values a voxel"),
            (complex_image, "x.nrrd", "has complex numbers"),
            (series, "x.nii.gz", "is a series of 7 volumes"),
            (sheared_nifti, "x.nii.gz", "not at right angles"),
            (sheared_nrrd, "x.nrrd", "not at right angles"),
            (cut_off, "x.nii.gz", "is cut off"),
            (cut_off, "x.nii", "is cut off"),
            (cut_off, "x.nrrd", "may be damaged"),
            (cut_off, "x.mha", "may be damaged"),
            (beside_its_twin, "x.nii.gz", "confused by ITK"),
            (huge, "x.nii", "of memory to be read"),
            (lambda file: file.mkdir(), "empty folder", "holds no DICOM series"),
        ],
    )
    @pytest.mark.parametrize("read", [io.read_image, io.read_labels])
    def test_says_why(
        self, make: Callable[[Path], object], name: str, sentence: str, read: Callable[[Path], object], tmp_path: Path
    ) -> None:
        file = tmp_path / name
        make(file)
        with pytest.raises(InputError, match=sentence) as caught:
            read(file)
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_the_size_is_weighed_against_the_memory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        io.write_image(tmp_path / "x.nrrd", random_image(SMALL))
        monkeypatch.setattr(memory, "available_memory", lambda: 100)
        with pytest.raises(InputError, match="6 × 5 × 4 voxels"):
            io.read_image(tmp_path / "x.nrrd")

    def test_x_nii_itself_is_right_beside_its_twin(self, tmp_path: Path) -> None:
        for ending, value in ((".nii", 1.0), (".nii.gz", 2.0)):
            image = sitk.GetImageFromArray(np.full((3, 4, 5), value, np.float32))
            sitk.WriteImage(image, str(tmp_path / f"x{ending}"))
        assert set(io.read_image(tmp_path / "x.nii").array().ravel()) == {1.0}


class TestImagesThatCannotBeWritten:
    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("missing/x.nrrd", "folder .* does not exist"),
            ("x.png", "has no ending that can hold an image"),
            ("x", "has no ending that can hold an image"),
            ("x.nii", "confused by ITK"),
            ("taken.nrrd", "cannot be written"),
        ],
    )
    def test_says_why(self, name: str, sentence: str, tmp_path: Path) -> None:
        (tmp_path / "taken.nrrd").mkdir()
        io.write_image(tmp_path / "x.nii.gz", random_image(SMALL))
        before = sorted(tmp_path.iterdir())
        with pytest.raises(InputError, match=sentence):
            io.write_image(tmp_path / name, random_image(SMALL))
        assert sorted(tmp_path.iterdir()) == before

    def test_a_file_for_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="does not exist"):
            io.write_image(tmp_path / "file" / "x.nrrd", random_image(SMALL))

    def test_a_full_disk_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        io.write_image(tmp_path / "x.nrrd", random_image(SMALL))
        before = (tmp_path / "x.nrrd").read_bytes()

        def write_half(image: sitk.Image, name: str, useCompression: bool) -> None:
            Path(name).write_bytes(b"half")
            raise RuntimeError("no space left on device")

        monkeypatch.setattr(sitk, "WriteImage", write_half)
        with pytest.raises(InputError, match="room in its folder"):
            io.write_image(tmp_path / "x.nrrd", random_image(SMALL, 1))
        assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("x.nrrd", before)]

    def test_a_new_file_takes_the_place_of_the_old_one_at_once(self, tmp_path: Path) -> None:
        """Who has the old file open goes on reading the old file."""
        io.write_image(tmp_path / "x.nrrd", random_image(SMALL))
        before = (tmp_path / "x.nrrd").read_bytes()
        with (tmp_path / "x.nrrd").open("rb") as old:
            io.write_image(tmp_path / "x.nrrd", random_image(SMALL, 1))
            assert old.read() == before
        assert torch.equal(io.read_image(tmp_path / "x.nrrd").data, random_image(SMALL, 1).data)


class TestLabels:
    @pytest.mark.parametrize("ending", [".seg.nrrd", *ENDINGS])
    def test_round_trip(self, grid: Grid, ending: str, tmp_path: Path) -> None:
        values = np.random.default_rng(0).choice([0, 3, 200, 70000], size=grid.shape)
        names, colours = {3: "lateral ventricle", 200: "tumour"}, {3: (0.25, 0.5, 1.0)}
        io.write_labels(tmp_path / f"x{ending}", LabelImage.from_array(values, grid, names, colours))
        read = io.read_labels(tmp_path / f"x{ending}")
        assert np.array_equal(read.array(), values)
        assert read.grid.same_as(grid)
        if ending.endswith(".nrrd"):
            assert read.names == {3: "lateral ventricle", 200: "tumour", 70000: "70000"}
            assert read.colours == {3: (0.25, 0.5, 1.0)}

    def test_segmentation_written_by_slicer(self, tmp_path: Path) -> None:
        header = (
            "NRRD0004\ntype: unsigned char\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 1\n"
            "space directions: (1,0,0) (0,1,0) (0,0,2)\nkinds: domain domain domain\nencoding: raw\n"
            "space origin: (-5,-6,7)\n"
            "Segment0_Color:=0.501961 0.682353 0.501961\nSegment0_ColorAutoGenerated:=1\nSegment0_Extent:=0 1 0 1 0 0\n"
            "Segment0_ID:=Segment_1\nSegment0_LabelValue:=5\nSegment0_Layer:=0\nSegment0_Name:=left putamen\n"
            "Segment1_Color:=1 0 0\nSegment1_ID:=Segment_2\nSegment1_LabelValue:=2\nSegment1_Layer:=0\n"
            "Segment1_Name:=tumour core\nSegmentation_ReferenceImageExtentOffset:=0 0 0\n\n"
        )
        (tmp_path / "x.seg.nrrd").write_bytes(header.encode() + bytes([0, 5, 2, 5]))
        labels = io.read_labels(tmp_path / "x.seg.nrrd")
        assert labels.array().tolist() == [[[0, 5], [2, 5]]]
        assert labels.names == {5: "left putamen", 2: "tumour core"}
        assert labels.colours == {5: (0.501961, 0.682353, 0.501961), 2: (1.0, 0.0, 0.0)}
        assert labels.grid.origin == (5.0, 6.0, 7.0)

    def test_overlapping_segments(self, tmp_path: Path) -> None:
        image = sitk.GetImageFromArray(np.zeros((2, 2, 2, 2), np.uint8), isVector=True)
        image.SetMetaData("Segment0_ID", "Segment_1")
        sitk.WriteImage(image, str(tmp_path / "x.seg.nrrd"))
        with pytest.raises(InputError, match="overlap"):
            io.read_labels(tmp_path / "x.seg.nrrd")

    @pytest.mark.parametrize("value", [0.5, np.nan, 1e12])
    def test_values_that_are_no_labels(self, value: float, tmp_path: Path) -> None:
        io.write_image(tmp_path / "x.nrrd", Image.from_array(np.full((2, 2), value), Grid.regular((2, 2))))
        with pytest.raises(InputError, match="no whole numbers"):
            io.read_labels(tmp_path / "x.nrrd")

    def test_whole_numbers_in_floating_point(self, tmp_path: Path) -> None:
        io.write_image(tmp_path / "x.nrrd", Image.from_array(np.array([[0.0, 2.0]]), Grid.regular((1, 2))))
        assert io.read_labels(tmp_path / "x.nrrd").array().tolist() == [[0, 2]]


SLICES = 5


def write_dicom(folder: Path, description: str, uid: str, places: Sequence[float], tilt: float = 0.0) -> None:
    """Slices of 4 x 6 pixels; slice n holds the value n and lies at ``places[n]`` mm, in LPS."""
    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number, place in enumerate(places):
        piece = sitk.GetImageFromArray(np.full((1, 4, 6), number, np.int16))
        piece.SetSpacing((2.0, 3.0, 1.0))
        fields = {
            "0008|0060": "MR",
            "0008|103e": description,
            "0020|000d": "1.2.826.0.1.3680043.2.1125.1",
            "0020|000e": uid,
            "0008|0018": f"{uid}.{number + 1}",
            "0020|0013": str(number + 1),
            "0020|0032": f"-10\\{-20 + tilt * place}\\{place}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }
        for key, value in fields.items():
            piece.SetMetaData(key, value)
        # Names in the opposite order of the slices, as scanners may give them.
        writer.SetFileName(str(folder / f"{description}-{len(places) - number:03d}.dcm"))
        writer.Execute(piece)


class TestDicom:
    UID = "1.2.826.0.1.3680043.2.1125.7"

    @pytest.fixture(autouse=True)
    def locale_kept(self) -> Iterator[None]:
        """GDCM's writer, which only these tests use, leaves the process in the C locale."""
        before = locale.setlocale(locale.LC_ALL)
        yield
        locale.setlocale(locale.LC_ALL, before)

    def test_series(self, tmp_path: Path) -> None:
        write_dicom(tmp_path / "head", "T1", self.UID, [2.5 * n for n in range(SLICES)])
        image = io.read_image(tmp_path / "head")
        assert image.array()[:, 0, 0].tolist() == list(range(SLICES))
        assert image.grid.shape == (SLICES, 4, 6)
        assert np.allclose(image.grid.spacing, (2.5, 3.0, 2.0))
        assert np.allclose(image.grid.origin, (10.0, 20.0, 0.0))
        assert np.allclose(image.grid.to_world([1, 0, 0]) - image.grid.origin, [0, 0, 2.5])

    def test_two_series_in_a_folder(self, tmp_path: Path) -> None:
        write_dicom(tmp_path / "head", "T1", self.UID, [2.5 * n for n in range(SLICES)])
        write_dicom(tmp_path / "head", "FLAIR", self.UID + "9", [4.0 * n for n in range(3)])
        with pytest.raises(InputError, match=r"2 DICOM series") as caught:
            io.read_image(tmp_path / "head")
        for words in ("T1, 5 files such as T1-005.dcm", "FLAIR, 3 files such as FLAIR-003.dcm", "give one file"):
            assert words in str(caught.value)
        assert io.read_image(tmp_path / "head" / "FLAIR-001.dcm").grid.shape == (3, 4, 6)
        assert io.read_image(tmp_path / "head" / "T1-002.dcm").grid.shape == (SLICES, 4, 6)

    @pytest.mark.parametrize("places", [[0, 2.5, 7.5, 10], [0, 2.5, 2.5, 5.0], [0, 2.5, 5.0, 7.7]])
    def test_missing_or_doubled_slices(self, places: list[float], tmp_path: Path) -> None:
        write_dicom(tmp_path / "head", "T1", self.UID, places)
        with pytest.raises(InputError, match="some are missing or doubled"):
            io.read_image(tmp_path / "head")

    def test_tilted_gantry(self, tmp_path: Path) -> None:
        write_dicom(tmp_path / "head", "CT", self.UID, [2.5 * n for n in range(SLICES)], tilt=0.4)
        with pytest.raises(InputError, match="tilted gantry"):
            io.read_image(tmp_path / "head")

    def test_volume_in_one_file(self, tmp_path: Path) -> None:
        array = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
        volume = sitk.GetImageFromArray(array)
        volume.SetSpacing((2.0, 3.0, 4.0))
        sitk.WriteImage(volume, str(tmp_path / "x.dcm"))
        for path in (tmp_path / "x.dcm", tmp_path):
            image = io.read_image(path)
            assert np.array_equal(image.array(), array)
            assert image.grid.spacing == (4.0, 3.0, 2.0)

    def test_folder_without_dicom(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        io.write_image(tmp_path / "x.nrrd", random_image(SMALL))
        with pytest.raises(InputError, match="holds no DICOM series"):
            io.read_image(tmp_path)
        assert capfd.readouterr() == ("", "")


MARKUPS = {
    "markups": [
        {
            "type": "Fiducial",
            "coordinateSystem": "LPS",
            "controlPoints": [
                {"id": "1", "label": "AC", "position": [-1.5, 2.0, 3.0], "positionStatus": "defined"},
                {"id": "2", "label": "PC", "position": [], "positionStatus": "undefined"},
                {"id": "3", "label": "PC2", "position": [4, 5, 6]},
            ],
        },
        {"type": "Line", "coordinateSystem": "RAS", "controlPoints": [{"position": [7.0, 8.0, 9.0]}]},
    ]
}
FCSV = (
    "# Markups fiducial file version = 4.11\n# CoordinateSystem = {system}\n"
    "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
    'vtkMRMLMarkupsFiducialNode_0,1.5,-2,3,0,0,0,1,1,1,0,"AC, left",,\n'
)


class TestPoints:
    @pytest.mark.parametrize(
        ("name", "text", "positions", "names"),
        [
            ("x.mrk.json", json.dumps(MARKUPS), [[1.5, -2, 3], [-4, -5, 6], [7, 8, 9]], ["AC", "PC2", ""]),
            ("x.fcsv", FCSV.format(system="LPS"), [[-1.5, 2, 3]], ["AC, left"]),
            ("x.fcsv", FCSV.format(system="1"), [[-1.5, 2, 3]], ["AC, left"]),
            ("x.fcsv", FCSV.format(system="RAS"), [[1.5, -2, 3]], ["AC, left"]),
            ("x.fcsv", FCSV.format(system="0"), [[1.5, -2, 3]], ["AC, left"]),
            ("x.csv", "label,r,a,s\nAC,1,2,3\n", [[1, 2, 3]], ["AC"]),
            ("x.csv", "\ufeffL, P, S\n1,2,3\n4,5,6\n", [[-1, -2, 3], [-4, -5, 6]], []),
            ("x.csv", "name,l,p\nAC,1,2\n", [[-1, -2]], ["AC"]),
            ("x.txt", "point\n2\n1 2 3\n4 5 6\n", [[-1, -2, 3], [-4, -5, 6]], []),
            ("x.pts", "point\n1\n1.5 2.5\n", [[-1.5, -2.5]], []),
        ],
    )
    def test_files_of_others(
        self, name: str, text: str, positions: list[list[float]], names: list[str], tmp_path: Path
    ) -> None:
        (tmp_path / name).write_text(text, encoding="utf-8")
        points = io.read_points(tmp_path / name)
        assert points.array().tolist() == positions
        assert list(points.names) == names

    @pytest.mark.parametrize("ending", [".mrk.json", ".json", ".fcsv", ".csv"])
    def test_round_trip_keeps_every_digit(self, ending: str, tmp_path: Path) -> None:
        points = PointSet.from_array(np.random.default_rng(0).normal(0, 100, (9, 3)), [f"p, {n}" for n in range(9)])
        io.write_points(tmp_path / f"x{ending}", points)
        read = io.read_points(tmp_path / f"x{ending}")
        assert np.array_equal(read.array(), points.array())
        assert read.names == points.names

    def test_2d_round_trip(self, tmp_path: Path) -> None:
        io.write_points(tmp_path / "x.csv", PointSet.from_array(np.array([[1.0, 2], [3, 4]])))
        assert (tmp_path / "x.csv").read_text() == "label,l,p\n1,-1.0,-2.0\n2,-3.0,-4.0\n"
        assert io.read_points(tmp_path / "x.csv").array().tolist() == [[1, 2], [3, 4]]

    @pytest.mark.parametrize(
        ("name", "text", "sentence"),
        [
            ("x.csv", "x,y,z\n1,2,3\n", "do not say which way"),
            ("x.csv", "r,a,s\n1,two,3\n", "complete .csv file"),
            ("x.csv", "r,a,s\n1,2\n", "complete .csv file"),
            ("x.csv", "r,a,s\n1,2,nan\n", "no points"),
            ("x.csv", "", "no points"),
            ("x.fcsv", FCSV.format(system="IJK"), "coordinates 'IJK'"),
            ("x.fcsv", "# only a heading\n", "no points"),
            ("x.mrk.json", "{", "complete .json file"),
            ("x.mrk.json", "[]", "complete .json file"),
            ("x.mrk.json", '{"markups": []}', "no points"),
            ("x.txt", "index\n1\n1 2 3\n", "voxel indices"),
            ("x.txt", "point\n2\n1 2 3\n", "complete .txt file"),
            ("x.txt", "", "complete .txt file"),
            ("x.vtk", "", "has no ending"),
        ],
    )
    def test_says_what_is_wrong(self, name: str, text: str, sentence: str, tmp_path: Path) -> None:
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=sentence):
            io.read_points(tmp_path / name)

    def test_says_why_it_cannot_write(self, tmp_path: Path) -> None:
        flat = PointSet.from_array(np.zeros((1, 2)))
        with pytest.raises(InputError, match="3D points only"):
            io.write_points(tmp_path / "x.mrk.json", flat)
        with pytest.raises(InputError, match="does not exist"):
            io.read_points(tmp_path / "x.csv")
        with pytest.raises(InputError, match="has no ending"):
            io.write_points(tmp_path / "x.txt", flat)


def swirl_field(grid: Grid) -> DisplacementField:
    """Fades out before the border."""
    truth = swirl(grid, 0.5)
    return DisplacementField(grid, drawn(lambda x: truth.points(x) - x, grid))


class TestTransforms:
    """That SimpleITK moves points alike is a law in transform_laws; here is what files particularly do."""

    @pytest.mark.parametrize("ending", [".h5", ".hdf5", ".tfm", ".txt"])
    def test_linear_round_trip(self, grid: Grid, ending: str, tmp_path: Path) -> None:
        affine = Affine(affine_matrix(grid))
        io.write_transform(tmp_path / f"x{ending}", affine)
        read = io.read_transform(tmp_path / f"x{ending}")
        assert isinstance(read, Affine)
        assert float((read.matrix - affine.matrix).abs().max()) < 1e-10

    @pytest.mark.parametrize("ending", [".h5", ".nrrd", ".mha", ".nii.gz"])
    def test_field_round_trip(self, grid: Grid, ending: str, tmp_path: Path) -> None:
        field = swirl_field(grid)
        io.write_transform(tmp_path / f"x{ending}", field)
        read = io.read_transform(tmp_path / f"x{ending}")
        assert isinstance(read, DisplacementField)
        assert torch.equal(read.data, field.data)
        assert read.grid.same_as(grid)

    def test_velocities_are_written_as_their_displacement(self, grid: Grid, tmp_path: Path) -> None:
        velocity = drawn(swirl_velocity(grid, 0.5), grid)
        for transform in (
            StationaryVelocity(grid, velocity),
            TimeVelocity(grid, velocity.repeat(4, *[1] * velocity.ndim)[:, 0]),
        ):
            io.write_transform(tmp_path / "x.h5", transform)
            read = io.read_transform(tmp_path / "x.h5")
            assert isinstance(read, DisplacementField)
            assert torch.allclose(read.data, transform.displacement(grid), atol=1e-4)

    def test_chain_keeps_its_parts_and_order(self, grid: Grid, tmp_path: Path) -> None:
        chain = Chain([Affine(affine_matrix(grid)), swirl_field(grid), Affine(affine_matrix(grid)).inverse()])
        io.write_transform(tmp_path / "x.h5", chain)
        read = io.read_transform(tmp_path / "x.h5")
        assert isinstance(read, Chain)
        assert [type(part) for part in read.parts] == [Affine, DisplacementField, Affine]
        x = inside(grid)
        assert distance(read(x), chain(x)) < 1e-6

    @pytest.mark.parametrize(
        "made",
        [
            sitk.TranslationTransform(3, (5, -6, 7)),
            sitk.ScaleTransform(3, (1.1, 0.9, 2.0)),
            sitk.Euler3DTransform((1, 2, 3), 0.1, -0.2, 0.3, (4, 5, 6)),
            sitk.VersorRigid3DTransform((0, 0, 1), 0.4, (1, 2, 3), (10, 20, 30)),
            sitk.Similarity3DTransform(1.2, (1, 0, 0), 0.3, (1, 2, 3), (9, 8, 7)),
            sitk.Euler2DTransform((1, 2), 0.5, (3, 4)),
            sitk.CompositeTransform([sitk.TranslationTransform(2, (1, 2)), sitk.ScaleTransform(2, (2, 3))]),
        ],
        ids=lambda made: made.GetName(),
    )
    def test_linear_transforms_of_itk(self, made: sitk.Transform, tmp_path: Path) -> None:
        sitk.WriteTransform(made, str(tmp_path / "x.tfm"))
        read = io.read_transform(tmp_path / "x.tfm")
        assert isinstance(read, Affine)
        flip = np.array([-1, -1, 1.0])[: read.dim]
        x = np.random.default_rng(0).normal(0, 50, (20, read.dim))
        expected = np.array([made.TransformPoint((row * flip).tolist()) for row in x]) * flip
        assert np.abs(read(torch.as_tensor(x)).numpy() - expected).max() < 1e-9

    def test_shift_to_the_right_by_hand(self, tmp_path: Path) -> None:
        """5 mm R is -5 mm L: files hold LPS."""
        field = DisplacementField(SMALL, torch.tensor([5.0, 0, 0]).reshape(1, 3, 1, 1, 1).expand(1, 3, 4, 5, 6))
        for name in ("x.nrrd", "x.nii.gz"):
            io.write_transform(tmp_path / name, field)
            assert sitk.ReadImage(str(tmp_path / name))[2, 2, 2] == (-5.0, 0.0, 0.0)
        io.write_transform(tmp_path / "x.h5", field)
        assert sitk.ReadTransform(str(tmp_path / "x.h5")).TransformPoint((-2.0, -4.0, 3.0)) == (-7.0, -4.0, 3.0)

    def test_nifti_field_in_ras_as_slicer_writes_it(self, tmp_path: Path) -> None:
        """Intent 1006 (displacement vector) holds RAS, 1007 (vector) what ITK wrote, LPS."""
        vectors = np.zeros((6, 5, 4, 1, 3), np.float32)
        vectors[..., 0] = 5
        for intent, right in ((1006, 5.0), (1007, -5.0)):
            image = nibabel.Nifti1Image(vectors, in_itk_order(SMALL))
            image.header.set_intent(intent)
            nibabel.save(image, tmp_path / "x.nii.gz")
            read = io.read_transform(tmp_path / "x.nii.gz")
            assert read(torch.tensor([[2.0, 4.0, 3.0]])).tolist() == [[2.0 + right, 4.0, 3.0]]

    @pytest.mark.parametrize(
        ("make", "name", "sentence"),
        [
            (lambda file: None, "x.h5", "does not exist"),
            (lambda file: file.mkdir(), "x.h5", "is a folder"),
            (lambda file: file.write_text("hello"), "x.h5", "is not a transform"),
            (lambda file: file.write_text("hello"), "x.tfm", "is not a transform"),
            (lambda file: file.write_text("hello"), "x.mat", "is not a transform"),
            (lambda file: file.write_text("hello"), "x.xyz", "has no ending"),
            (lambda file: io.write_image(file, random_image(SMALL)), "x.nrrd", "is no displacement field"),
            (
                lambda file: sitk.WriteTransform(sitk.BSplineTransform(3), str(file)),
                "x.tfm",
                "BSplineTransform, which is not supported",
            ),
        ],
    )
    def test_says_why_it_cannot_read(
        self, make: Callable[[Path], object], name: str, sentence: str, tmp_path: Path
    ) -> None:
        make(tmp_path / name)
        with pytest.raises(InputError, match=sentence):
            io.read_transform(tmp_path / name)

    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("x.tfm", "linear transforms only"),
            ("x.xfm", "has no ending"),
            ("missing/x.h5", "does not exist"),
        ],
    )
    def test_says_why_it_cannot_write(self, name: str, sentence: str, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=sentence):
            io.write_transform(tmp_path / name, swirl_field(SMALL))
        assert not list(tmp_path.iterdir())

    def test_an_image_cannot_hold_a_chain(self, tmp_path: Path) -> None:
        affine = Affine(affine_matrix(SMALL))
        for transform in (affine, Chain([affine, swirl_field(SMALL)])):
            with pytest.raises(InputError, match="one displacement field and no linear transform"):
                io.write_transform(tmp_path / "x.nii.gz", transform)
