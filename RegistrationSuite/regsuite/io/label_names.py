"""Names and colours of labels from a file beside the label image, called like it.

Tables (.tsv, .csv) as BIDS and Slicer have them, with a column for the number, one for the name and, if they like, one
of hex colours or three of red, green and blue (0 to 255); Slicer's colour tables (.ctbl); ITK-SNAP's label descriptions
(.txt, .label). A table without these columns, or a text of another kind, is none of ours and is left alone.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from regsuite.errors import InputError

Colour = tuple[float, float, float]
"""Red, green and blue in 0..1."""

_Row = tuple[int, str, Colour | None]

_NUMBER_COLUMNS = ("index", "idx", "id", "value", "labelvalue", "label")
_NAME_COLUMNS = ("name", "structure", "label")
_HEX_COLUMNS = ("color", "colour", "hex")
_RGB_COLUMNS = (("r", "g", "b"), ("red", "green", "blue"), ("color_r", "color_g", "color_b"))
_HEX = re.compile(r"#?([0-9a-fA-F]{6})")
_SNAP = re.compile(r'\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+[\d.]+\s+[01]\s+[01]\s+"(.*)"\s*')


def names_beside(image: Path, stem: str) -> tuple[dict[int, str], dict[int, Colour]]:
    """Names and colours by label value, from the first file beside ``image`` called ``stem`` that has any; or none.

    InputError where such a file is malformed.
    """
    for suffix, read in _READERS.items():
        file = image.parent / f"{stem}{suffix}"
        if not file.is_file() or file == image:
            continue
        try:
            rows = list(read(file))
        except (ValueError, LookupError, TypeError, csv.Error):
            raise InputError(
                f"The names of labels in '{file}' cannot be read: give each label a whole number, a name and colours "
                "from 0 to 255, or move the file away."
            ) from None
        if rows:
            names = {value: name for value, name, _ in rows if name}
            return names, {value: colour for value, _, colour in rows if colour is not None}
    return {}, {}


def _read_table(file: Path) -> Iterator[_Row]:
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        reader = csv.DictReader(stream, delimiter="\t" if file.suffix == ".tsv" else ",")
        columns = [column.strip().lower() for column in reader.fieldnames or ()]
        number = _first(columns, _NUMBER_COLUMNS)
        name = _first([column for column in columns if column != number], _NAME_COLUMNS)
        if number is None or name is None:
            return
        for line in reader:
            row = {(key or "").strip().lower(): value or "" for key, value in line.items()}
            yield _whole(row[number]), row[name].strip(), _colour_of(row)


def _first(columns: Sequence[str], known: Sequence[str]) -> str | None:
    return next((column for column in known if column in columns), None)


def _colour_of(row: Mapping[str, str]) -> Colour | None:
    """Of a row of a table, where it has one."""
    found = _first(list(row), _HEX_COLUMNS)
    if found and row[found].strip() not in ("", "n/a"):
        match = _HEX.fullmatch(row[found].strip())
        if not match:
            raise ValueError(row[found])
        return _rgb([str(part) for part in bytes.fromhex(match.group(1))])
    for columns in _RGB_COLUMNS:
        if set(columns) <= row.keys() and all(row[column].strip() for column in columns):
            return _rgb([row[column] for column in columns])
    return None


def _read_ctbl(file: Path) -> Iterator[_Row]:
    """'number name red green blue opacity' a line; underscores stand for spaces."""
    for line in file.read_text(encoding="utf-8-sig").splitlines():
        if line.strip() and not line.startswith("#"):
            number, name, *parts = line.split()
            yield _whole(number), name.replace("_", " "), _rgb(parts[:3])


def _read_snap(file: Path) -> Iterator[_Row]:
    """'number red green blue opacity visible mesh "name"' a line; nothing where the text is something else."""
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    matches = [_SNAP.fullmatch(line) for line in lines]
    if not any(matches):
        return
    for match in matches:
        if match is None:
            raise ValueError(file.name)
        number, red, green, blue, name = match.groups()
        yield _whole(number), name, _rgb([red, green, blue])


def _whole(text: str) -> int:
    number = float(text)
    if not number.is_integer():
        raise ValueError(text)
    return int(number)


def _rgb(parts: Sequence[str]) -> Colour:
    red, green, blue = (float(part) / 255 for part in parts)
    if not all(0 <= part <= 1 for part in (red, green, blue)):
        raise ValueError(parts)
    return red, green, blue


_READERS: dict[str, Callable[[Path], Iterator[_Row]]] = {
    ".tsv": _read_table,
    ".csv": _read_table,
    ".ctbl": _read_ctbl,
    ".txt": _read_snap,
    ".label": _read_snap,
}
