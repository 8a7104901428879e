"""TIFF files of sections through tifffile: tiles, strips and pyramids, decoded only where they are needed."""

from __future__ import annotations

import importlib
import logging
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from regsuite import memory
from regsuite.errors import InputError
from regsuite.io.levels import BAND_ROWS

DAMAGES = (ValueError, RuntimeError, OSError, LookupError, TypeError, struct.error, zlib.error)
"""What tifffile and the codecs raise where a file is damaged."""

_MOST_PAGES = 5
"""So many pages of one size are taken for channels; more are a stack of pictures."""

_RIVAL = 0.25
"""A second picture of this share of the largest one's pixels is no thumbnail, label or overview."""

_ALPHA = (1, 2)
"""ExtraSamples that say how opaque a pixel is."""

_PALETTE = 3

# What tifffile remarks on odd files goes to the application's log, where there is one, and not to the terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def tifffile_module() -> Any:
    """The package tifffile, which takes a moment to import; InputError where it is not installed."""
    try:
        return importlib.import_module("tifffile")
    except ModuleNotFoundError:
        raise InputError("TIFF files need the Python package 'tifffile': install it.") from None


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, list[TiffLevel]]]:
    """The tifffile series of the section in a TIFF, and its levels, the largest first.

    InputError where the file is no TIFF, is damaged, or holds anything but one section, and where a tile read inside
    cannot be decoded.
    """
    tifffile = tifffile_module()
    try:
        with tifffile.TiffFile(path) as file:
            series = _section(path, file)
            levels = [TiffLevel(path, one) for one in series.levels if _alike(one, series)]
            yield series, sorted(levels, key=lambda level: -level.width)
    except DAMAGES as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The section '{path}' cannot be read, it may be damaged: get the file again.") from error


def _section(path: Path, file: Any) -> Any:
    """The series of most pixels; InputError where there are two such."""
    series = sorted(file.series, key=lambda one: -_area(one))
    if not series or not _area(series[0]):
        raise InputError(f"The section '{path}' holds no picture: give another file.")
    rivals = [one for one in series[1:] if _area(one) >= _RIVAL * _area(series[0])]
    if rivals:
        raise InputError(
            f"'{path}' holds {len(rivals) + 1} pictures of different kinds, and one section is needed: save each to a "
            "file of its own."
        )
    _check_axes(path, series[0])
    for level in series[0].levels:
        for page in level.pages:
            _check_page(path, file, page)
    return series[0]


def _area(series: Any) -> int:
    return int(series.keyframe.imagelength * series.keyframe.imagewidth)


def _alike(level: Any, first: Any) -> bool:
    """Whether a level holds the same channels in the same proportions."""
    wide, high = (
        getattr(first.keyframe, side) / getattr(level.keyframe, side) for side in ("imagewidth", "imagelength")
    )
    same = level.dtype == first.dtype and _planes(level) == _planes(first)
    return same and abs(wide / high - 1) < 0.1 and level.keyframe.samplesperpixel == first.keyframe.samplesperpixel


def _planes(series: Any) -> int:
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
    """InputError where data are missing at the end of the file, or no codec can unpack them."""
    ends = np.asarray(page.dataoffsets, dtype=np.int64) + np.asarray(page.databytecounts, dtype=np.int64)
    if not len(ends) or ends.max() > file.filehandle.size:
        raise InputError(f"The section '{path}' is cut off, its last pixels are missing: get the file again.")
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


class TiffLevel:
    """A :class:`~regsuite.io.levels.Level` of an open file."""

    def __init__(self, path: Path, series: Any) -> None:
        page = series.keyframe
        self.width, self.height = int(page.imagewidth), int(page.imagelength)
        self._path, self._series, self._page = path, series, page
        self._file = series.parent.filehandle
        self._raw = bool(page.is_final) and not page.is_tiled
        self._palette = _colours(page)
        self._kept = _kept(page)
        self.dtype = np.dtype(np.uint8 if self._palette is not None or series.dtype.kind == "b" else series.dtype)
        self.count = 3 if self._palette is not None else _planes(series) * len(self._kept)
        length = 1 if self._raw else int(page.tilelength if page.is_tiled else page.rowsperstrip)
        self.step = length * -(-BAND_ROWS // length)
        self._check_memory()

    @property
    def colour(self) -> bool:
        """Whether the channels are red, green and blue."""
        return self.count == 3 and (len(self._kept) == 3 or self._palette is not None)

    def rows(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """(C, bottom - top, right - left), as stored; indexed colours as red, green and blue."""
        read = self._raw_rows if self._raw else self._decoded_rows
        parts = [read(plane, top, bottom, left, right)[self._kept] for plane in range(_planes(self._series))]
        if self._palette is not None:
            return self._palette[:, parts[0][0]]
        return np.concatenate(parts).astype(self.dtype, copy=False)

    def _check_memory(self) -> None:
        """InputError where the rows that can only be decoded together do not fit."""
        needed = 3 * self.count * min(self.step, self.height) * self.width * self.dtype.itemsize
        available = memory.available_memory()
        if available is not None and needed > available:
            raise InputError(
                f"The section '{self._path}' is packed in one piece and needs {memory.text_of(needed)} of memory, and "
                f"{memory.text_of(available)} are free: save it as a tiled or pyramidal TIFF."
            )

    def _raw_rows(self, plane: int, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """(S, h, w) of unpacked values, read from where they lie in the file."""
        page, stored = self._page, self._series.dtype.newbyteorder(self._series.parent.byteorder)
        inner = page.samplesperpixel if page.planarconfig == 1 else 1
        start = self._plane_start(plane)
        line = self.width * inner * stored.itemsize
        parts = []
        for outer in range(page.samplesperpixel // inner):
            self._file.seek(start + (outer * self.height + top) * line)
            data = self._file.read((bottom - top) * line)
            values = np.frombuffer(data, dtype=stored).reshape(bottom - top, self.width, inner)
            parts.append(np.moveaxis(values[:, left:right], -1, 0))
        return np.concatenate(parts).astype(stored.newbyteorder("="), copy=False)

    def _plane_start(self, plane: int) -> int:
        """Where a plane begins in the file; large ImageJ files describe their first plane only."""
        pages = self._series.pages
        if plane < len(pages):
            return int(pages[plane].dataoffsets[0])
        return int(pages[0].dataoffsets[0] + plane * self._page.nbytes)

    def _decoded_rows(self, plane: int, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """(S, h, w) from the tiles or strips that touch them."""
        page = self._page
        long, wide = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, self.width)
        across, down = -(-self.width // wide), -(-self.height // long)
        result = np.zeros((page.samplesperpixel, bottom - top, right - left), dtype=self._series.dtype)
        for outer in range(page.samplesperpixel if page.planarconfig == 2 else 1):
            for row in range(top // long, -(-bottom // long)):
                for column in range(left // wide, -(-right // wide)):
                    tile = decoded(self._series.pages[plane], (outer * down + row) * across + column)
                    into = result[outer : outer + 1] if page.planarconfig == 2 else result
                    _paste(into, tile, row * long - top, column * wide - left)
        return result


def decoded(page: Any, index: int) -> np.ndarray:
    """One tile or strip (S, h, w); of one value where the file leaves it out."""
    keyframe = page.keyframe
    offset, length = page.dataoffsets[index], page.databytecounts[index]
    if not length:
        high, wide, *inner = keyframe.chunks
        return np.full((*inner, high, wide) if inner else (1, high, wide), keyframe.nodata, dtype=keyframe.dtype)
    file = page.parent.filehandle
    file.seek(offset)
    extra = {}
    if keyframe.compression in (6, 7, 34892, 33007):  # kinds of JPEG
        extra = {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader}
    values, _, _ = keyframe.decode(file.read(length), index, **extra)
    return np.moveaxis(values[0], -1, 0)


def _paste(into: np.ndarray, tile: np.ndarray, top: int, left: int) -> None:
    """Puts what fits of a tile, whose first pixel belongs at (top, left), into (S, h, w)."""
    above, before = max(-top, 0), max(-left, 0)
    part = tile[:, above : into.shape[1] - top, before : into.shape[2] - left]
    high, wide = part.shape[1:]
    into[:, top + above : top + above + high, left + before : left + before + wide] = part


def _colours(page: Any) -> np.ndarray | None:
    """(3, n) uint8: the colours of an indexed picture."""
    if page.photometric != _PALETTE or page.colormap is None:
        return None
    return (np.asarray(page.colormap) >> 8).astype(np.uint8)


def _kept(page: Any) -> Sequence[int]:
    """Which samples of a page are channels: all but opacity."""
    extra = tuple(int(kind) for kind in page.extrasamples)
    first = page.samplesperpixel - len(extra)
    return [n for n in range(page.samplesperpixel) if n < first or extra[n - first] not in _ALPHA]
