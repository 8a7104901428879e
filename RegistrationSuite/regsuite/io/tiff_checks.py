"""Which picture of a TIFF is the section, and what keeps it from being read."""

from __future__ import annotations

import importlib
import logging
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from regsuite.errors import InputError
from regsuite.io.files import parsed_xml

DAMAGES = (ValueError, RuntimeError, OSError, LookupError, TypeError, ArithmeticError, struct.error, zlib.error)
"""What tifffile and the codecs raise where a file is damaged."""

_MOST_PAGES = 5
"""So many pages of one size are taken for channels; more are a stack of pictures."""

_RIVAL = 0.25
"""A second picture of this share of the largest one's pixels is no thumbnail, label or overview."""

_ANY_PICTURES = ("generic", "uniform", "shaped", "ome", "imagej")
"""Kinds of files, as tifffile calls them, that may hold anything; the others are of slide scanners."""

# What tifffile remarks on odd files goes to the application's log, where there is one, and not to the terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def tifffile_module() -> Any:
    """The package tifffile, which takes a moment to import; InputError where it is not installed."""
    try:
        return importlib.import_module("tifffile")
    except ModuleNotFoundError:
        raise InputError("TIFF files need the Python package 'tifffile': install it.") from None


def section_of(path: Path, file: Any) -> Any:
    """The series of most pixels; InputError where there are two such."""
    if file.ome_metadata:
        parsed_xml(file.ome_metadata, path)  # before tifffile does
    series = sorted(file.series, key=lambda one: -_area(one))
    if not series or not _area(series[0]):
        raise InputError(f"The section '{path}' holds no picture: give another file.")
    rivals = [one for one in series[1:] if _area(one) >= _RIVAL * _area(series[0])]
    if rivals and series[0].kind in _ANY_PICTURES:
        raise InputError(
            f"'{path}' holds {len(rivals) + 1} pictures of different kinds, and one section is needed: save each to a "
            "file of its own."
        )
    _check_axes(path, series[0])
    if int((file.imagej_metadata or {}).get("images", 1)) > planes(series[0]):
        raise _cut_off(path)
    for level in series[0].levels:
        for page in level.pages:
            _check_page(path, file, page)
        undescribed = planes(level) - len(level.pages)
        if undescribed and _end(level.pages[-1]) + undescribed * level.keyframe.nbytes > file.filehandle.size:
            raise _cut_off(path)
    return series[0]


def _area(series: Any) -> int:
    return int(series.keyframe.imagelength * series.keyframe.imagewidth)


def alike(level: Any, first: Any) -> bool:
    """Whether a level holds the same channels in the same proportions."""
    wide, high = (
        getattr(first.keyframe, side) / getattr(level.keyframe, side) for side in ("imagewidth", "imagelength")
    )
    same = level.dtype == first.dtype and planes(level) == planes(first)
    return same and abs(wide / high - 1) < 0.1 and level.keyframe.samplesperpixel == first.keyframe.samplesperpixel


def planes(series: Any) -> int:
    """Pictures of one channel, or of interleaved samples, that a series is made of."""
    return math.prod(n for axis, n in zip(series.axes, series.shape, strict=True) if axis not in "YXS")


def _check_axes(path: Path, series: Any) -> None:
    for axis, count in zip(series.axes, series.shape, strict=True):
        if axis in "ZT" and count > 1:
            what = "planes in depth" if axis == "Z" else "points in time"
            raise InputError(
                f"The section '{path}' has {count} {what}, and one is needed: extract or project it first."
            )
        if axis not in "YXSCZT" and count > _MOST_PAGES:
            raise InputError(
                f"'{path}' holds {count} pages, and one section is needed: save each to a file of its own."
            )
    if series.keyframe.imagedepth > 1:
        raise InputError(f"The section '{path}' is a volume, and a flat picture is needed: extract a plane first.")
    if series.dtype.kind not in "buif":
        raise InputError(f"The section '{path}' holds complex numbers, and real ones are needed: convert it first.")


def _check_page(path: Path, file: Any, page: Any) -> None:
    """InputError where data are in another file or missing at the end of this one, or no codec can unpack them."""
    if page is None:
        raise InputError(f"The section '{path}' is spread over several files, or cut off: save it to one file.")
    if not len(page.dataoffsets) or _end(page) > file.filehandle.size:
        raise _cut_off(path)
    compression = page.keyframe.compression
    try:
        if compression != 1:
            tifffile_module().TIFF.DECOMPRESSORS[compression]
    except KeyError:
        name = getattr(compression, "name", str(compression))
        raise InputError(
            f"The section '{path}' is compressed with {name}, which cannot be unpacked here: install the Python "
            "package 'imagecodecs', or save it uncompressed or with deflate."
        ) from None


def _end(page: Any) -> int:
    """Where the last byte of a page's pixels lies in the file."""
    ends = np.asarray(page.dataoffsets, dtype=np.int64) + np.asarray(page.databytecounts, dtype=np.int64)
    return int(ends.max())


def _cut_off(path: Path) -> InputError:
    return InputError(f"The section '{path}' is cut off, its last pixels are missing: get the file again.")
