"""The stored resolutions of one picture, read a band of rows at a time, and averaged down to a smaller one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np

BAND_ROWS = 64
"""At least so many rows are read at once where tiles or strips are lower."""


class Level(Protocol):
    """One stored resolution.

    dtype: of the stored values; count: channels; step: rows whose tiles or strips are decoded together.
    """

    width: int
    height: int
    dtype: np.dtype
    count: int
    step: int

    def rows(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """(C, bottom - top, right - left) of the rows from ``top`` and the columns from ``left``, as stored."""


def bands(level: Level, rows: int = BAND_ROWS) -> Iterator[tuple[int, np.ndarray]]:
    """The whole level, about ``rows`` rows at a time, no tile decoded twice: the first row and (C, h, W)."""
    step = level.step * max(1, rows // level.step)
    for top in range(0, level.height, step):
        yield top, level.rows(top, min(top + step, level.height), 0, level.width)


def shrunk(level: Level, factor: float) -> np.ndarray:
    """(C, ceil(H / factor), ceil(W / factor)) float32: means over squares of ``factor`` pixels, 1 or more.

    A pixel that a border cuts counts with the share on either side; at the end squares are of what there is.
    """
    down, across = _borders(level.height, factor), _borders(level.width, factor)
    total = np.zeros((level.count, len(down) - 1, len(across) - 1))
    for top, band in bands(level):
        bottom = top + band.shape[1]
        for row in range(int(np.searchsorted(down, top, "right")) - 1, int(np.searchsorted(down, bottom))):
            start, stop = max(down[row], top), min(down[row + 1], bottom)
            total[:, row] += _sums(_between(band, start - top, stop - top), across)
    return (total / (np.diff(down)[:, None] * np.diff(across))).astype(np.float32)


def _borders(length: int, factor: float) -> np.ndarray:
    """Where squares begin and end along an axis, in pixels from its beginning."""
    count = math.ceil(length / factor - 1e-6)
    return np.append(np.arange(count) * factor, length)


def _between(band: np.ndarray, start: float, stop: float) -> np.ndarray:
    """(C, W): the sum over rows from ``start`` to ``stop``, cut rows by their share."""
    first, last = math.floor(start), math.ceil(stop)
    result = band[:, first:last].sum(axis=1, dtype=np.float64)
    if start > first:
        result -= (start - first) * band[:, first]
    if stop < last:
        result -= (last - stop) * band[:, last - 1]
    return result


def _sums(lines: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """(C, n) of (C, W): the sums between neighbouring borders, cut pixels by their share."""
    whole = borders.astype(int)
    until = np.concatenate([np.zeros((len(lines), 1)), np.cumsum(lines, axis=1)], axis=1)
    cut = lines[:, np.minimum(whole, lines.shape[1] - 1)] * (borders - whole)
    return np.diff(until[:, whole] + cut, axis=1)
