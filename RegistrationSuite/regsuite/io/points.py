"""Points in files: Slicer's markups (.mrk.json, .fcsv), tables (.csv) and the point lists of elastix (.txt, .pts).

LPS or RAS is what the file says. Tables name their columns r, a, s or l, p, s; x, y, z alone would not tell.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regsuite.errors import InputError
from regsuite.io.files import ending, existing_file, replacing
from regsuite.io.geometry import signs
from regsuite.spatial import PointSet

_COLUMNS = {("r", "a", "s"): 1.0, ("r", "a"): 1.0, ("l", "p", "s"): -1.0, ("l", "p"): -1.0}
"""Names of the columns, and the sign that makes their first two RAS."""

_FCSV_COLUMNS = ("id", "x", "y", "z", "ow", "ox", "oy", "oz", "vis", "sel", "lock", "label", "desc", "associatedNodeID")


def read_points(path: Path | str) -> PointSet:
    """The points of a .mrk.json, .fcsv, .csv, .txt or .pts file in RAS mm, with their names where it has them.

    InputError where the file is missing, holds no points, or does not say which way its axes point.
    """
    file = existing_file(path, "point file")
    suffix = ending(path, tuple(_READERS), "points")
    try:
        positions, names = _READERS[suffix](file)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"'{path}' cannot be read as points: check that it is a complete {suffix} file.") from None
    if not len(positions) or not np.isfinite(positions).all():
        raise InputError(f"'{path}' holds no points, or points without a position: place them first.")
    return PointSet.from_array(positions, names)


def write_points(path: Path | str, points: PointSet) -> None:
    """To .mrk.json or .fcsv, which Slicer opens, or .csv, the only one for 2D points. InputError where it cannot be."""
    suffix = ending(path, tuple(_WRITERS), "points")
    if points.dim == 2 and suffix != ".csv":
        raise InputError(f"'{path}' can hold 3D points only, and these are 2D: use the ending .csv.")
    names = points.names or [str(number + 1) for number in range(len(points.points))]
    text = _WRITERS[suffix](points.array() * signs(points.dim), names)
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


_Read = tuple[np.ndarray, list[str]]


def _read_markups(file: Path) -> _Read:
    """Slicer's markups schema: every point that is defined, of every list in the file."""
    positions, names = [], []
    for markup in json.loads(file.read_text(encoding="utf-8"))["markups"]:
        sign = _sign(markup.get("coordinateSystem", "LPS"), file)
        for point in markup["controlPoints"]:
            if point.get("positionStatus", "defined") == "defined":
                positions.append(np.array(point["position"], dtype=np.float64) * [sign, sign, 1])
                names.append(str(point.get("label", "")))
    return np.array(positions), names


def _read_fcsv(file: Path) -> _Read:
    """Slicer's older lists: '# CoordinateSystem = LPS' and '# columns = ...' above rows of values."""
    lines = file.read_text(encoding="utf-8").splitlines()
    header = dict(_fields(lines))
    sign = _sign(header.get("CoordinateSystem", "RAS"), file)
    columns = header.get("columns", ",".join(_FCSV_COLUMNS)).split(",")
    rows = list(csv.DictReader([line for line in lines if line and not line.startswith("#")], fieldnames=columns))
    positions = [[sign * float(row["x"]), sign * float(row["y"]), float(row["z"])] for row in rows]
    return np.array(positions), [row.get("label") or "" for row in rows]


def _fields(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line.startswith("#") and "=" in line:
            key, _, value = line[1:].partition("=")
            yield key.strip(), value.strip()


def _sign(system: str, file: Path) -> float:
    known = {"RAS": 1.0, "0": 1.0, "LPS": -1.0, "1": -1.0}
    if system not in known:
        raise InputError(f"The points of '{file}' are in the coordinates '{system}': save them as LPS or RAS.")
    return known[system]


def _read_table(file: Path) -> _Read:
    """Columns r, a, s or l, p, s (in 2D without s), and optionally label or name."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = [{str(key).strip().lower(): value for key, value in row.items()} for row in csv.DictReader(stream)]
    present = set(rows[0]) if rows else set()
    fitting = [columns for columns in _COLUMNS if present.issuperset(columns)]
    if rows and not fitting:
        raise InputError(f"The columns of '{file}' do not say which way they point: name them r, a, s or l, p, s.")
    if not rows:
        return np.empty((0, 3)), []
    columns = fitting[0]
    flip = np.array([_COLUMNS[columns], _COLUMNS[columns], 1.0])[: len(columns)]
    positions = np.array([[float(row[column]) for column in columns] for row in rows]) * flip
    named = next((key for key in ("label", "name") if key in present), None)
    return positions, [row[named] for row in rows] if named else []


def _read_elastix(file: Path) -> _Read:
    """'point', the number of points, and LPS mm a line, as transformix takes them."""
    words = file.read_text(encoding="utf-8").split()
    if words[0] == "index":
        raise InputError(f"'{file}' holds voxel indices and not positions: save the points in mm, headed 'point'.")
    if words[0] != "point":
        raise ValueError(words[0])
    positions = np.array(words[2:], dtype=np.float64).reshape(int(words[1]), -1)
    return positions * signs(positions.shape[1]), []


def _markups_text(positions: np.ndarray, names: Sequence[str]) -> str:
    points = [
        {"id": str(number + 1), "label": name, "position": position.tolist(), "positionStatus": "defined"}
        for number, (position, name) in enumerate(zip(positions, names, strict=True))
    ]
    schema = (
        "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
        "markups-schema-v1.0.3.json#"
    )
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": points}
    return json.dumps({"@schema": schema, "markups": [markup]}, indent=1)


def _fcsv_text(positions: np.ndarray, names: Sequence[str]) -> str:
    heading = (
        f"# Markups fiducial file version = 5.0\n# CoordinateSystem = LPS\n# columns = {','.join(_FCSV_COLUMNS)}\n"
    )
    rows = [
        [number + 1, *_texts(position), 0, 0, 0, 1, 1, 1, 0, name, "", ""]
        for number, (position, name) in enumerate(zip(positions, names, strict=True))
    ]
    return heading + _rows(rows)


def _table_text(positions: np.ndarray, names: Sequence[str]) -> str:
    heading = ["label", "l", "p", "s"][: positions.shape[1] + 1]
    return _rows([heading, *([name, *_texts(position)] for position, name in zip(positions, names, strict=True))])


def _texts(position: np.ndarray) -> list[str]:
    """Every digit that matters."""
    return [repr(float(value)) for value in position]


def _rows(rows: Sequence[Sequence[Any]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


_READERS: dict[str, Callable[[Path], _Read]] = {
    ".json": _read_markups,
    ".fcsv": _read_fcsv,
    ".csv": _read_table,
    ".txt": _read_elastix,
    ".pts": _read_elastix,
}
POINT_ENDINGS = tuple(_READERS)
_WRITERS: dict[str, Callable[[np.ndarray, Sequence[str]], str]] = {
    ".json": _markups_text,
    ".fcsv": _fcsv_text,
    ".csv": _table_text,
}
