"""Surfaces in files: meshes (.vtp, .vtk, .ply, .stl, .obj) through VTK, and points as surfaces without triangles.

Meshes are LPS unless the file says otherwise, in the words that Slicer writes and reads: SPACE=RAS or SPACE=LPS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from regsuite.errors import InputError
from regsuite.io.files import ending, existing_file, replacing
from regsuite.io.geometry import signs
from regsuite.io.ply import read_ply
from regsuite.io.points import POINT_ENDINGS, read_points
from regsuite.spatial.meshes import Surface, Surfaces, arrays_of, mesh_of

_READERS = {
    ".vtp": "vtkXMLPolyDataReader",
    ".vtk": "vtkPolyDataReader",
    ".stl": "vtkSTLReader",
    ".obj": "vtkOBJReader",
}
MESH_ENDINGS = (".vtp", ".vtk", ".ply", ".stl", ".obj")
_COMPLAINT = re.compile(r"\bERROR\b|Error reading")
"""In what VTK says where a file is damaged; some of that it calls a warning."""
_HEADER = 4096
"""Bytes at the beginning of a file among which it says what its axes are."""


def read_surfaces(paths: Sequence[Path | str]) -> Surfaces:
    """One surface a file, named like it. InputError where one is missing, damaged or empty, or names repeat."""
    if not paths:
        raise InputError("No surface file was given: give one of each organ.")
    parts = [read_surface(path) for path in paths]
    names = [part.name for part in parts]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"Two surface files are called '{repeated[0]}': give each organ a name of its own.")
    return Surfaces(parts)


def read_surface(path: Path | str) -> Surface:
    """A mesh, or points, in RAS mm. InputError where the file is missing, damaged or empty."""
    file = existing_file(path, "surface file")
    suffix, name = surface_ending(path), surface_name(path)
    if suffix not in MESH_ENDINGS:
        return Surface(read_points(path).points, name=name)
    mesh = _read(file, suffix)
    points, triangles = arrays_of(mesh)
    if not len(points) or not np.isfinite(points).all():
        raise InputError(f"'{path}' holds no surface that can be read: check that it is a complete {suffix} file.")
    if not _is_ras(file, mesh):
        points = points * signs(3)
    return Surface(torch.from_numpy(points), torch.from_numpy(triangles), name)


def surface_ending(path: Path | str) -> str:
    """The ending of a surface's file, or of points'. InputError where it has another."""
    return ending(path, (*MESH_ENDINGS, ".mrk.json", *POINT_ENDINGS), "a surface")


def surface_name(path: Path | str) -> str:
    """What the surface in a file is called: the file's name without its ending."""
    return Path(path).name[: -len(surface_ending(path))]


def _read(file: Path, suffix: str) -> Any:
    import vtk

    damaged = InputError(f"'{file}' cannot be read as a surface: check that it is a complete {suffix} file.")
    if suffix == ".ply":
        try:
            mesh, said = read_ply(file), ""
        except ValueError:
            raise damaged from None
    else:
        reader = getattr(vtk, _READERS[suffix])()
        reader.SetFileName(str(file))
        with _heard() as window:
            reader.Update()
        mesh, said = reader.GetOutput(), str(window.GetOutput())
    if _COMPLAINT.search(said) or mesh is None or not _refers_to_its_points(mesh) or _is_cut_off(file, suffix):
        raise damaged
    return mesh


@contextmanager
def _heard() -> Iterator[Any]:
    """What VTK has to say inside, in place of the terminal: not all that its readers are made of can be observed."""
    import vtk

    usual, shown = vtk.vtkOutputWindow.GetInstance(), vtk.vtkLogger.GetCurrentVerbosityCutoff()
    window = vtk.vtkStringOutputWindow()
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
    vtk.vtkOutputWindow.SetInstance(window)
    try:
        yield window
    finally:
        vtk.vtkOutputWindow.SetInstance(usual)
        vtk.vtkLogger.SetStderrVerbosity(shown)


def _refers_to_its_points(mesh: Any) -> bool:
    """Whether all cells are made of points that there are; VTK takes a reader's word for it."""
    count = mesh.GetNumberOfPoints()
    for cells in (mesh.GetVerts(), mesh.GetLines(), mesh.GetPolys(), mesh.GetStrips()):
        if cells.GetNumberOfConnectivityIds():
            low, high = cells.GetConnectivityArray().GetRange()
            if low < 0 or high >= count:
                return False
    return True


def _is_cut_off(file: Path, suffix: str) -> bool:
    """Whether a .stl file in words lacks its last one, which VTK does not miss."""
    data = file.read_bytes() if suffix == ".stl" else b""
    in_words = data.lstrip().startswith(b"solid") and b"facet" in data[:_HEADER]
    return in_words and b"endsolid" not in data[-_HEADER:]


def _is_ras(file: Path, mesh: Any) -> bool:
    said = mesh.GetFieldData().GetAbstractArray("SPACE")
    if said is not None and said.GetNumberOfValues():
        return bool(said.GetVariantValue(0).ToString().strip() == "RAS")
    with file.open("rb") as stream:
        return b"SPACE=RAS" in stream.read(_HEADER)


def write_surface(path: Path | str, surface: Surface) -> None:
    """A .vtp file in LPS that says so, with the values of the points. InputError where it cannot be written."""
    import vtk

    ending(path, (".vtp",), "a surface with values")
    mesh = mesh_of(replace(surface, points=surface.points * surface.points.new_tensor(signs(surface.dim))))
    space = vtk.vtkStringArray()
    space.SetName("SPACE")
    space.InsertNextValue("LPS")
    mesh.GetFieldData().AddArray(space)
    with replacing(path) as draft:
        writer = vtk.vtkXMLPolyDataWriter()
        writer.SetFileName(str(draft))
        writer.SetInputData(mesh)
        if not writer.Write():
            raise InputError(f"'{path}' cannot be written: check that there is room in its folder.")
