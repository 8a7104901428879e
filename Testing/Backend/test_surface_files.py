"""Surfaces in files, as VTK and others write them, in RAS and LPS; and every way a file can be no surface."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import vtk
from regsuite import io
from regsuite.errors import InputError
from regsuite.spatial import PointSet, Surface
from regsuite.spatial.meshes import mesh_of

WRITERS = {
    ".vtp": "vtkXMLPolyDataWriter",
    ".vtk": "vtkPolyDataWriter",
    ".ply": "vtkPLYWriter",
    ".stl": "vtkSTLWriter",
    ".obj": "vtkOBJWriter",
}
CORNERS = np.array([[10.0, 20.0, 30.0], [13.0, 20.0, 30.0], [10.0, 25.0, 30.0], [10.0, 20.0, 37.0]])
"""As they are in the files: of a tetrahedron."""
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
LPS = np.array([-1.0, -1.0, 1.0])


def tetrahedron() -> Any:
    return mesh_of(Surface(torch.from_numpy(CORNERS), torch.from_numpy(FACES)))


def write(path: Path, mesh: Any, binary: bool = False, header: str = "") -> Path:
    """By VTK; header: what it says of itself, where it can."""
    writer = getattr(vtk, WRITERS[path.suffix])()
    writer.SetFileName(str(path))
    if path.suffix == ".vtp":
        (writer.SetDataModeToAppended if binary else writer.SetDataModeToAscii)()
        if header:
            space = vtk.vtkStringArray()
            space.SetName("SPACE")
            space.InsertNextValue(header.rpartition("=")[2])
            mesh.GetFieldData().AddArray(space)
    elif path.suffix != ".obj":
        (writer.SetFileTypeToBinary if binary else writer.SetFileTypeToASCII)()
    if header and path.suffix in (".vtk", ".stl"):
        writer.SetHeader(header)
    elif header and path.suffix == ".ply":
        writer.AddComment(header)
    writer.SetInputData(mesh)
    assert writer.Write()
    if header and path.suffix == ".obj":
        path.write_text(f"# {header}\n{path.read_text()}")
    return path


def corners_of(surface: Surface) -> np.ndarray:
    """Each once, in order: .stl repeats them."""
    return np.unique(np.round(surface.points.numpy(), 5), axis=0)


def expected(signs: np.ndarray = LPS) -> np.ndarray:
    return np.unique(CORNERS * signs, axis=0)


class TestMeshes:
    @pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
    @pytest.mark.parametrize("ending", WRITERS)
    @pytest.mark.parametrize(
        ("header", "signs"),
        [("", LPS), ("3D Slicer output. SPACE=LPS", LPS), ("3D Slicer output. SPACE=RAS", np.ones(3))],
        ids=["silent", "LPS", "RAS"],
    )
    def test_as_vtk_writes_them(
        self, ending: str, binary: bool, header: str, signs: np.ndarray, tmp_path: Path
    ) -> None:
        path = write(tmp_path / f"Left kidney{ending}", tetrahedron(), binary, header)
        surface = io.read_surface(path)
        assert surface.name == "Left kidney"
        assert surface.points.dtype == torch.float64
        assert np.allclose(corners_of(surface), expected(signs), atol=1e-5)
        assert len(surface.triangles) == 4
        assert surface.closed
        # Three right-angled faces and the one across them.
        across = 0.5 * np.linalg.norm(np.cross(CORNERS[2] - CORNERS[1], CORNERS[3] - CORNERS[1]))
        assert surface.area == pytest.approx(0.5 * (3 * 5 + 5 * 7 + 7 * 3) + across, rel=1e-5)

    def test_a_name_may_have_dots_and_an_ending_capitals(self, tmp_path: Path) -> None:
        path = write(tmp_path / "liver.v2.vtp", tetrahedron())
        path = path.rename(tmp_path / "liver.v2.VTP")
        assert io.read_surface(path).name == "liver.v2"

    @pytest.mark.parametrize("ending", [".vtp", ".vtk", ".ply"])
    def test_a_cloud(self, ending: str, tmp_path: Path) -> None:
        surface = io.read_surface(write(tmp_path / f"cloud{ending}", mesh_of(Surface(torch.from_numpy(CORNERS)))))
        assert np.allclose(surface.points.numpy(), CORNERS * LPS)
        assert surface.triangles.shape == (0, 3)

    def test_quads(self, tmp_path: Path) -> None:
        source = vtk.vtkCubeSource()
        source.Update()
        for ending in (".vtp", ".vtk", ".ply", ".obj"):
            surface = io.read_surface(write(tmp_path / f"cube{ending}", source.GetOutput()))
            assert surface.area == pytest.approx(6.0), ending
            assert surface.closed, ending


PLY_TYPES = {
    "b": "char",
    "B": "uchar",
    "h": "short",
    "H": "ushort",
    "i": "int",
    "I": "uint",
    "f": "float",
    "d": "double",
}


def ply(order: str, number: str = "f", length: str = "B", place: str = "i") -> bytes:
    """The tetrahedron with a colour at its corners and a flag at its faces, as other programs write it."""
    kind = {"<": "binary_little_endian", ">": "binary_big_endian", "": "ascii"}[order]
    header = [
        "ply", f"format {kind} 1.0", "comment made by hand", "element vertex 4",
        *(f"property {PLY_TYPES[number]} {axis}" for axis in "xyz"), "property uchar red", "element face 4",
        "property int flag", f"property list {PLY_TYPES[length]} {PLY_TYPES[place]} vertex_indices", "end_header",
    ]  # fmt: skip
    start = ("\n".join(header) + "\n").encode()
    if not order:
        lines = [f"{r:g} {a:g} {s:g} 255" for r, a, s in CORNERS] + [f"7 3 {a} {b} {c}" for a, b, c in FACES]
        return start + "\n".join(lines).encode()
    numbers = CORNERS if number in "fd" else CORNERS.astype(int)
    rows = b"".join(struct.pack(f"{order}3{number}B", *row, 255) for row in numbers.tolist())
    return start + rows + b"".join(struct.pack(f"{order}i{length}3{place}", 7, 3, *face) for face in FACES)


class TestPly:
    @pytest.mark.parametrize(
        "form", [("",), ("<",), (">",), ("<", "d"), (">", "d", "I", "H"), ("<", "f", "i", "I"), ("<", "h", "H", "B")]
    )
    def test_of_every_kind(self, form: tuple[str, ...], tmp_path: Path) -> None:
        (tmp_path / "a.ply").write_bytes(ply(*form))
        surface = io.read_surface(tmp_path / "a.ply")
        assert np.allclose(surface.points.numpy(), CORNERS * LPS)
        assert {frozenset(each) for each in surface.triangles.tolist()} == {frozenset(each) for each in FACES.tolist()}

    @pytest.mark.parametrize("order", ["", "<", ">"])
    def test_cut_off_anywhere(self, order: str, tmp_path: Path) -> None:
        """It would end the process, were it left to VTK."""
        whole = ply(order)
        for length in [*range(0, len(whole) - 6, 5), len(whole) - 6]:
            (tmp_path / "a.ply").write_bytes(whole[:length])
            with pytest.raises(InputError, match=r"check that it is a complete \.ply file"):
                io.read_surface(tmp_path / "a.ply")

    @pytest.mark.parametrize("place", [-1, 4])
    def test_a_corner_that_is_not_there(self, place: int, tmp_path: Path) -> None:
        (tmp_path / "a.ply").write_bytes(ply("<")[:-4] + struct.pack("<i", place))
        with pytest.raises(InputError, match=r"check that it is a complete \.ply file"):
            io.read_surface(tmp_path / "a.ply")


def garbage(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00garbage\n" * 50)


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def cut_off(path: Path) -> None:
    """In the middle."""
    source = vtk.vtkSphereSource()
    source.Update()
    write(path, source.GetOutput(), binary=path.suffix in (".vtk", ".vtp"))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def without_points(path: Path) -> None:
    write(path, vtk.vtkPolyData())


def elsewhere(path: Path) -> None:
    mesh = tetrahedron()
    mesh.GetPoints().SetPoint(2, np.nan, 0, 0)
    write(path, mesh)


class TestBadFiles:
    """One sentence each, and nothing of VTK's on the terminal."""

    @pytest.mark.parametrize(
        ("make", "ending"),
        [
            *((make, ending) for make in (garbage, nothing) for ending in WRITERS),
            # An .obj file says nowhere how long it is.
            *((cut_off, ending) for ending in WRITERS if ending != ".obj"),
        ],
    )
    def test_damaged(
        self, make: Callable[[Path], None], ending: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / f"bad{ending}"
        make(path)
        with pytest.raises(InputError) as caught:
            io.read_surface(path)
        said = str(caught.value)
        assert str(path) in said
        assert said.endswith(f"check that it is a complete {ending} file.")
        assert "\n" not in said
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("ending", [".vtp", ".vtk"])
    def test_without_points(self, ending: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        without_points(tmp_path / f"empty{ending}")
        with pytest.raises(InputError, match="holds no surface that can be read"):
            io.read_surface(tmp_path / f"empty{ending}")
        assert capfd.readouterr() == ("", "")

    def test_points_without_a_place(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        elsewhere(tmp_path / "nan.vtp")
        with pytest.raises(InputError, match=r"holds no surface that can be read|cannot be read as a surface"):
            io.read_surface(tmp_path / "nan.vtp")
        assert capfd.readouterr() == ("", "")

    def test_a_vtk_file_of_something_else(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        image = vtk.vtkImageData()
        image.SetDimensions(3, 3, 3)
        image.AllocateScalars(vtk.VTK_FLOAT, 1)
        writer = vtk.vtkStructuredPointsWriter()
        writer.SetFileName(str(tmp_path / "image.vtk"))
        writer.SetInputData(image)
        writer.Write()
        with pytest.raises(InputError, match=r"image.vtk' cannot be read as a surface"):
            io.read_surface(tmp_path / "image.vtk")
        assert capfd.readouterr() == ("", "")

    def test_missing_folder_and_unknown_ending(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"The surface file '.*liver.vtp' does not exist: check its path"):
            io.read_surface(tmp_path / "liver.vtp")
        (tmp_path / "folder.vtp").mkdir()
        with pytest.raises(InputError, match="is a folder: give a file in it"):
            io.read_surface(tmp_path / "folder.vtp")
        (tmp_path / "liver.xyz").write_text("1 2 3\n")
        with pytest.raises(InputError, match=r"no ending that can hold a surface: use one of \.vtp, .*\.stl, .*\.csv"):
            io.read_surface(tmp_path / "liver.xyz")

    def test_two_of_one_name(self, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        paths = [write(tmp_path / "liver.vtp", tetrahedron()), write(tmp_path / "other" / "liver.stl", tetrahedron())]
        with pytest.raises(InputError, match="Two surface files are called 'liver': give each organ a name"):
            io.read_surfaces(paths)

    def test_none(self) -> None:
        with pytest.raises(InputError, match="No surface file"):
            io.read_surfaces([])

    def test_vtk_speaks_again_afterwards(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        garbage(tmp_path / "bad.vtp")
        window = vtk.vtkOutputWindow.GetInstance()
        with pytest.raises(InputError):
            io.read_surface(tmp_path / "bad.vtp")
        assert vtk.vtkOutputWindow.GetInstance() is window
        vtk.vtkLogger.Log(vtk.vtkLogger.VERBOSITY_WARNING, "here", 1, "audible")
        assert "audible" in capfd.readouterr().err


class TestPoints:
    @pytest.mark.parametrize("ending", [".mrk.json", ".fcsv", ".csv"])
    def test_are_a_surface_without_triangles(self, ending: str, tmp_path: Path) -> None:
        path = tmp_path / f"Spleen{ending}"
        io.write_points(path, PointSet.from_array(CORNERS))
        surface = io.read_surface(path)
        assert surface.name == "Spleen"
        assert np.allclose(surface.points.numpy(), CORNERS)
        assert surface.triangles.shape == (0, 3)

    def test_in_2d(self, tmp_path: Path) -> None:
        io.write_points(tmp_path / "ring.csv", PointSet.from_array(CORNERS[:, :2]))
        assert np.allclose(io.read_surface(tmp_path / "ring.csv").points.numpy(), CORNERS[:, :2])

    def test_and_meshes_together(self, tmp_path: Path) -> None:
        io.write_points(tmp_path / "a.csv", PointSet.from_array(CORNERS))
        found = io.read_surfaces([tmp_path / "a.csv", write(tmp_path / "b.stl", tetrahedron())])
        assert [part.name for part in found.parts] == ["a", "b"]


class TestWriting:
    SURFACE = Surface(
        torch.from_numpy(CORNERS),
        torch.from_numpy(FACES),
        "a",
        {"distance, mm": torch.tensor([0.0, 0.5, 1.25, 3.0]).double(), "organ": torch.eye(4, 3).double()},
    )

    def test_there_and_back(self, tmp_path: Path) -> None:
        io.write_surface(tmp_path / "Liver.vtp", self.SURFACE)
        back = io.read_surface(tmp_path / "Liver.vtp")
        assert torch.equal(back.points, self.SURFACE.points)
        assert torch.equal(back.triangles, self.SURFACE.triangles)
        assert back.name == "Liver"

    def test_what_vtk_reads_is_lps_and_has_the_values(self, tmp_path: Path) -> None:
        io.write_surface(tmp_path / "a.vtp", self.SURFACE)
        reader = vtk.vtkXMLPolyDataReader()
        reader.SetFileName(str(tmp_path / "a.vtp"))
        reader.Update()
        mesh = reader.GetOutput()
        assert mesh.GetPoint(1) == tuple(CORNERS[1] * LPS)
        assert mesh.GetFieldData().GetAbstractArray("SPACE").GetValue(0) == "LPS"
        assert [mesh.GetPointData().GetArray("distance, mm").GetValue(i) for i in range(4)] == [0, 0.5, 1.25, 3]
        assert mesh.GetPointData().GetArray("organ").GetTuple(1) == (0, 255, 0)

    def test_in_2d(self, tmp_path: Path) -> None:
        io.write_surface(tmp_path / "a.vtp", Surface(torch.from_numpy(CORNERS[:, :2].copy())))
        back = io.read_surface(tmp_path / "a.vtp")
        assert np.allclose(back.points.numpy(), np.pad(CORNERS[:, :2], [(0, 0), (0, 1)]))

    def test_where_it_cannot(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(InputError, match="does not exist"):
            io.write_surface(tmp_path / "nowhere" / "a.vtp", self.SURFACE)
        with pytest.raises(InputError, match=r"use one of \.vtp"):
            io.write_surface(tmp_path / "a.stl", self.SURFACE)
        assert list(tmp_path.iterdir()) == []
        assert capfd.readouterr() == ("", "")
