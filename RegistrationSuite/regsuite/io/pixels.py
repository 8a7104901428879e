"""How large a section's pixels are and what its channels are called, as far as its file says so."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from regsuite.io.files import parsed_xml

Pixel = tuple[float, float]
"""mm from one pixel to the next, along a row and down a column."""

COARSEST = 0.03
"""mm. A resolution tag that says more means a screen or a printer (72 to 600 dpi) and no microscope."""

FINEST = 1e-5
"""mm. No light resolves less."""

COLOURS = ("red", "green", "blue")

_INCH, _CENTIMETRE = 2, 3
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_MILLIMETRES = {_INCH: 25.4, _CENTIMETRE: 10.0}
_UNITS = {
    **dict.fromkeys(("µm", "μm", "um", "micron", "microns", "micrometer", "micrometre", "\\u00b5m"), 1e-3),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-6),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 10.0),
    **dict.fromkeys(("inch", "in"), 25.4),
    "m": 1000.0,
}
"""mm a unit."""

_MPP = re.compile(r"\|\s*MPP\s*=\s*([0-9.eE+-]+)")


def pixel_of(series: Any) -> Pixel | None:
    """Of a tifffile series: from OME-XML, ImageJ or Aperio metadata, else from plausible resolution tags, or None."""
    file, page = series.parent, series.keyframe
    ome = _ome_pixels(series)
    if ome is not None:
        return _ome_size(ome)
    tags = _tagged(page)
    if file.imagej_metadata and tags is not None:
        unit = _UNITS.get(str(file.imagej_metadata.get("unit", "")).strip().lower())
        if unit is not None:
            return _sound(unit / tags[0], unit / tags[1])
    found = _MPP.search(page.description)
    if found:
        return _sound(*(2 * [_number(found.group(1)) * 1e-3]))
    millimetres = _MILLIMETRES.get(int(page.tags.valueof(_RESOLUTION_UNIT, _INCH)))
    return plausible(millimetres / tags[0], millimetres / tags[1]) if tags and millimetres else None


def channels_of(series: Any, count: int, colour: bool) -> tuple[str, ...]:
    """``count`` names: those of OME-XML where it has as many, the colours, or numbers from 1."""
    ome = _ome_pixels(series)
    names = [part.get("Name", "") for part in ome if _plain(part.tag) == "Channel"] if ome is not None else []
    if len(names) != count or not any(names):
        names = [*COLOURS] if colour else [""] * count
    return tuple(name or str(number + 1) for number, name in enumerate(names))


def plausible(x: float, y: float) -> Pixel | None:
    """A resolution that no screen or printer has, or None."""
    return _sound(x, y) if max(x, y) <= COARSEST and min(x, y) >= FINEST else None


def _sound(x: float, y: float) -> Pixel | None:
    return (x, y) if math.isfinite(x) and math.isfinite(y) and min(x, y) > 0 else None


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _tagged(page: Any) -> Pixel | None:
    """Pixels a unit of length along a row and down a column."""
    values = []
    for code in (_X_RESOLUTION, _Y_RESOLUTION):
        fraction = page.tags.valueof(code)
        if not isinstance(fraction, Sequence) or len(fraction) != 2 or not all(fraction):
            return None
        values.append(fraction[0] / fraction[1])
    return values[0], values[1]


def _ome_pixels(series: Any) -> ElementTree.Element | None:
    """The Pixels element of the series' Image."""
    text = series.parent.ome_metadata
    if not text:
        return None
    root = parsed_xml(text, series.parent.filename)
    found = [part for image in root if _plain(image.tag) == "Image" for part in image if _plain(part.tag) == "Pixels"]
    place = next(number for number, one in enumerate(series.parent.series) if one is series)
    return found[place] if place < len(found) else None


def _ome_size(ome: ElementTree.Element) -> Pixel | None:
    x, y = (
        _number(ome.get(f"PhysicalSize{axis}"))
        * _UNITS.get(ome.get(f"PhysicalSize{axis}Unit", "µm").strip().lower(), math.nan)
        for axis in "XY"
    )
    return _sound(x, y)


def _plain(tag: str) -> str:
    """An element's name without its namespace."""
    return tag.rpartition("}")[2]
