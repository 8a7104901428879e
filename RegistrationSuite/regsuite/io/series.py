"""Files of anchored series: QuickNII and VisuAlign (.json, .xml) and DeepSlice (.csv)."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree

from regsuite.errors import InputError
from regsuite.io.anchoring import AnchoredSection, AnchoredSeries, Anchoring, Marker
from regsuite.io.files import ending, existing_file, parsed_xml, replacing

_PARTS = ("ox", "oy", "oz", "ux", "uy", "uz", "vx", "vy", "vz")
_RESOLUTION = "target-resolution"


def read_series(path: Path | str) -> AnchoredSeries:
    """A series of QuickNII or VisuAlign (.json, .xml), or predictions of DeepSlice (.csv, which name no target).

    InputError where the file is missing, malformed or holds no sections.
    """
    file = existing_file(path, "series file")
    suffix = ending(path, tuple(_READERS), "an anchored series")
    try:
        series = _READERS[suffix](file)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"'{path}' cannot be read as a series of sections: check that it is a complete {suffix} file of QuickNII, "
            "VisuAlign or DeepSlice."
        ) from error
    if not series.sections:
        raise InputError(f"The series '{path}' holds no sections: add the sections first.")
    return series


def write_series(path: Path | str, series: AnchoredSeries) -> None:
    """As .json, which keeps VisuAlign's markers, or as QuickNII's .xml. InputError where it cannot be written."""
    suffix = ending(path, tuple(_WRITERS), "an anchored series")
    if suffix == ".xml" and any(section.markers for section in series.sections):
        raise InputError(f"'{path}' cannot hold VisuAlign's markers: use the ending .json.")
    text = _WRITERS[suffix](series)
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def _read_json(file: Path) -> AnchoredSeries:
    content = json.loads(file.read_text(encoding="utf-8-sig"))
    resolution = content.get(_RESOLUTION) or content.get("resolution")
    return AnchoredSeries(
        name=str(content.get("name") or ""),
        target=str(content.get("target") or ""),
        sections=tuple(_section(part, part.get("anchoring"), part.get("markers")) for part in content["slices"]),
        resolution=_three(resolution),
    )


def _read_xml(file: Path) -> AnchoredSeries:
    root = parsed_xml(file.read_text(encoding="utf-8-sig"), file)
    if root.tag != "series":
        raise ValueError(root.tag)
    return AnchoredSeries(
        name=root.get("name", ""),
        target=root.get("target", ""),
        sections=tuple(_section(part.attrib, _of_query(part.get("anchoring")), None) for part in root.iter("slice")),
        resolution=_three((root.get(_RESOLUTION) or "").split()),
    )


def _of_query(text: str | None) -> list[str] | None:
    """The numbers of 'ox=1&oy=2&...'."""
    if not text:
        return None
    values = parse_qs(text.replace("&amp;", "&"), strict_parsing=True)
    return [values[part][0] for part in _PARTS]


def _read_table(file: Path) -> AnchoredSeries:
    """DeepSlice: Filenames, the nine numbers and, in most versions, width, height and nr."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = [{(key or "").strip(): value for key, value in row.items()} for row in csv.DictReader(stream)]
    sections = []
    for place, row in enumerate(rows):
        fields = {"nr": place + 1, "width": 0, "height": 0} | row | {"filename": row["Filenames"]}
        sections.append(_section(fields, [row[part] for part in _PARTS], None))
    return AnchoredSeries(file.stem, "", tuple(sections))


def _section(fields: Mapping[str, Any], anchoring: Sequence[Any] | None, markers: Any) -> AnchoredSection:
    return AnchoredSection(
        filename=str(fields["filename"]),
        number=int(float(fields["nr"])),
        width=max(0, int(float(fields["width"]))),
        height=max(0, int(float(fields["height"]))),
        anchoring=_nine(anchoring) if anchoring else None,
        markers=tuple(_marker(values) for values in markers or ()),
    )


def _nine(values: Sequence[Any]) -> Anchoring:
    ox, oy, oz, ux, uy, uz, vx, vy, vz = _finite(values)
    return ox, oy, oz, ux, uy, uz, vx, vy, vz


def _marker(values: Sequence[Any]) -> Marker:
    x, y, nx, ny = _finite(values)
    return x, y, nx, ny


def _finite(values: Sequence[Any]) -> Iterator[float]:
    for value in values:
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"{value} is not a number")
        yield number


def _three(values: Sequence[Any] | None) -> tuple[int, int, int] | None:
    if not values:
        return None
    right, front, up = (int(value) for value in values)
    return right, front, up


def _json_text(series: AnchoredSeries) -> str:
    content: dict[str, Any] = {"name": series.name, "target": series.target}
    if series.resolution:
        content[_RESOLUTION] = list(series.resolution)
    content["slices"] = [_slice(section) for section in series.sections]
    return json.dumps(content, indent=1)


def _slice(section: AnchoredSection) -> dict[str, Any]:
    fields: dict[str, Any] = _fields(section)
    if section.anchoring:
        fields["anchoring"] = list(section.anchoring)
    if section.markers:
        fields["markers"] = [list(marker) for marker in section.markers]
    return fields


def _fields(section: AnchoredSection) -> dict[str, Any]:
    size = {"width": section.width, "height": section.height}
    return {"filename": section.filename, "nr": section.number} | size


def _xml_text(series: AnchoredSeries) -> str:
    root = ElementTree.Element("series", {"name": series.name, "target": series.target})
    if series.resolution:
        root.set(_RESOLUTION, " ".join(str(count) for count in series.resolution))
    for section in series.sections:
        element = ElementTree.SubElement(root, "slice", {key: str(value) for key, value in _fields(section).items()})
        if section.anchoring:
            pairs = zip(_PARTS, section.anchoring, strict=True)
            element.set("anchoring", "&".join(f"{part}={value!r}" for part, value in pairs))
    ElementTree.indent(root)
    return "<?xml version='1.0' encoding='UTF-8'?>\n" + ElementTree.tostring(root, encoding="unicode") + "\n"


_READERS: dict[str, Callable[[Path], AnchoredSeries]] = {".json": _read_json, ".xml": _read_xml, ".csv": _read_table}
_WRITERS: dict[str, Callable[[AnchoredSeries], str]] = {".json": _json_text, ".xml": _xml_text}
