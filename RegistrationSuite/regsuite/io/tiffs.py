"""TIFF files of sections through tifffile: tiles, strips and pyramids, decoded only where they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from regsuite import memory
from regsuite.errors import InputError
from regsuite.io.levels import BAND_ROWS
from regsuite.io.tiff_checks import DAMAGES, alike, planes, section_of, tifffile_module

_ALPHA = (1, 2)
"""ExtraSamples that say how opaque a pixel is."""

_PALETTE, _COLOURED = 3, (2, 3, 6)
"""PhotometricInterpretation: indexed colours, and all kinds that become red, green and blue."""


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, list[TiffLevel]]]:
    """The tifffile series of the section in a TIFF, and its levels, the largest first.

    InputError where the file is no TIFF, is damaged, or holds anything but one section, and where a tile read inside
    cannot be decoded.
    """
    tifffile = tifffile_module()
    try:
        with tifffile.TiffFile(path, _multifile=False) as file:
            series = section_of(path, file)
            levels = [TiffLevel(path, one) for one in series.levels if alike(one, series)]
            yield series, sorted(levels, key=lambda level: -level.width)
    except MemoryError:
        raise InputError(
            f"The section '{path}' does not fit into the memory, or is damaged: read less of it, or get the file again."
        ) from None
    except DAMAGES as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The section '{path}' cannot be read, it may be damaged: get the file again.") from error


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
        self.count = 3 if self._palette is not None else planes(series) * len(self._kept)
        length = 1 if self._raw else int(page.tilelength if page.is_tiled else page.rowsperstrip)
        self.step = length * -(-BAND_ROWS // length)
        self._check_memory()

    @property
    def colour(self) -> bool:
        """Whether the channels are red, green and blue."""
        return self.count == 3 and self._page.photometric in _COLOURED

    def rows(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """(C, bottom - top, right - left), as stored; indexed colours as red, green and blue."""
        read = self._raw_rows if self._raw else self._decoded_rows
        parts = [read(plane, top, bottom, left, right)[self._kept] for plane in range(planes(self._series))]
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
    packed = file.read(length)
    extra = {}
    if keyframe.compression in (6, 7, 34892, 33007):  # kinds of JPEG
        extra = {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader}
    values, _, _ = keyframe.decode(packed, index, **extra)
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
