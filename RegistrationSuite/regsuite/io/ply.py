"""Meshes and clouds in .ply files: VTK's reader ends the process where one is cut off or damaged."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_CODES = {
    **dict.fromkeys(("char", "int8"), "b"),
    **dict.fromkeys(("uchar", "uint8"), "B"),
    **dict.fromkeys(("short", "int16"), "h"),
    **dict.fromkeys(("ushort", "uint16"), "H"),
    **dict.fromkeys(("int", "int32"), "i"),
    **dict.fromkeys(("uint", "uint32"), "I"),
    **dict.fromkeys(("float", "float32"), "f"),
    **dict.fromkeys(("double", "float64"), "d"),
}
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
_END = b"end_header"
_FACES = ("vertex_indices", "vertex_index")


@dataclass
class _Element:
    """count rows; properties: each one's name and the code of its number, or those of a list's length and numbers."""

    name: str
    count: int
    properties: list[tuple[str, str]] = field(default_factory=list)


_Take = Callable[[str], Any]
"""The next number of a row, whose code is given."""


def read_ply(file: Path) -> Any:
    """A vtkPolyData of the vertices and faces; ValueError where the file is not one, or not whole."""
    data = file.read_bytes()
    start = data.find(_END)
    end = data.find(b"\n", start)
    if not data.startswith(b"ply") or start < 0 or end < 0:
        raise ValueError(file)
    try:
        kind, elements = _header(data[:start].decode("latin-1").splitlines())
        body = data[end + 1 :]
        rows = _text_rows(body, elements) if kind == "ascii" else _binary_rows(body, _ORDERS[kind], elements)
        points, faces = [], []
        for name, row in rows:
            if name == "vertex":
                points.append((row["x"], row["y"], row["z"]))
            elif name == "face":
                faces.append(next(row[key] for key in _FACES if key in row))
    except (KeyError, IndexError, StopIteration, struct.error) as error:
        raise ValueError(file) from error
    return _mesh(np.array(points, dtype=np.float64).reshape(-1, 3), faces)


def _header(lines: Sequence[str]) -> tuple[str, list[_Element]]:
    kind, elements = "", list[_Element]()
    for words in (line.split() for line in lines):
        if words[:1] == ["format"]:
            kind = words[1]
        elif words[:1] == ["element"]:
            elements.append(_Element(words[1], int(words[2])))
        elif words[:2] == ["property", "list"]:
            elements[-1].properties.append((words[4], _CODES[words[2]] + _CODES[words[3]]))
        elif words[:1] == ["property"]:
            elements[-1].properties.append((words[2], _CODES[words[1]]))
    return kind, elements


def _text_rows(body: bytes, elements: Sequence[_Element]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A line a row."""
    lines = iter(body.splitlines())
    for element in elements:
        for _ in range(element.count):
            words = iter(next(lines, b"").split())
            yield element.name, _row(element, lambda code, words=words: _number(next(words, b""), code))  # type: ignore[misc]


def _number(word: bytes, code: str) -> float | int:
    return float(word) if code in "fd" else int(word)


def _binary_rows(body: bytes, order: str, elements: Sequence[_Element]) -> Iterator[tuple[str, dict[str, Any]]]:
    place = 0

    def take(code: str) -> Any:
        nonlocal place
        place += struct.calcsize(order + code)
        return struct.unpack_from(order + code, body, place - struct.calcsize(order + code))[0]

    for element in elements:
        for _ in range(element.count):
            yield element.name, _row(element, take)


def _row(element: _Element, take: _Take) -> dict[str, Any]:
    return {
        name: [take(codes[1]) for _ in range(int(take(codes[0])))] if len(codes) == 2 else take(codes)
        for name, codes in element.properties
    }


def _mesh(points: np.ndarray, faces: Sequence[Sequence[int]]) -> Any:
    import vtk
    from vtk.util import numpy_support

    mesh, places, cells = vtk.vtkPolyData(), vtk.vtkPoints(), vtk.vtkCellArray()
    places.SetData(numpy_support.numpy_to_vtk(points, deep=True))
    mesh.SetPoints(places)
    for face in faces:
        if len(face) > 2:
            cells.InsertNextCell(len(face), face)
    mesh.SetPolys(cells)
    return mesh
