"""Surfaces in files: meshes (.vtp, .vtk, .ply, .stl, .obj) through VTK, and points as surfaces without triangles.

Meshes are LPS unless the file says otherwise, in the words that Slicer writes and reads: SPACE=RAS or SPACE=LPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from regsuite.errors import InputError
from regsuite.io.files import ending, existing_file, replacing
from regsuite.io.geometry import signs
from regsuite.io.points import POINT_ENDINGS, read_points
from regsuite.spatial.meshes import Surface, Surfaces, arrays_of, mesh_of

_READERS = {
    ".vtp": "vtkXMLPolyDataReader",
    ".vtk": "vtkPolyDataReader",
    ".ply": "vtkPLYReader",
    ".stl": "vtkSTLReader",
    ".obj": "vtkOBJReader",
}
_HEADER = 4096
"""Bytes at the beginning of a file among which it says what its axes are."""


def read_surfaces(paths: Sequence[Path | str]) -> Surfaces:
    """One surface a file, named like it. InputError where one is missing, damaged or empty, or names repeat."""
    parts = [read_surface(path) for path in paths]
    names = [part.name for part in parts]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"Two surface files are called '{repeated[0]}': give each organ a name of its own.")
    return Surfaces(parts)


def read_surface(path: Path | str) -> Surface:
    """A mesh, or points, in RAS mm. InputError where the file is missing, damaged or empty."""
    file = existing_file(path, "surface file")
    suffix = ending(path, (*_READERS, ".mrk.json", *POINT_ENDINGS), "a surface")
    name = file.name[: -len(suffix)]
    if suffix not in _READERS:
        return Surface(read_points(path).points, name=name)
    mesh = _read(file, suffix)
    points, triangles = arrays_of(mesh)
    if not len(points) or not np.isfinite(points).all():
        raise InputError(f"'{path}' holds no surface that can be read: check that it is a complete {suffix} file.")
    if not _is_ras(file, mesh):
        points = points * signs(3)
    return Surface(torch.from_numpy(points), torch.from_numpy(triangles), name)


def _read(file: Path, suffix: str) -> Any:
    import vtk

    reader, errors = getattr(vtk, _READERS[suffix])(), []
    for source in (reader, reader.GetExecutive()):
        source.AddObserver("ErrorEvent", lambda *_: errors.append(True))
    reader.SetFileName(str(file))
    reader.Update()
    if errors or reader.GetOutput() is None:
        raise InputError(f"'{file}' cannot be read as a surface: check that it is a complete {suffix} file.")
    return reader.GetOutput()


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
