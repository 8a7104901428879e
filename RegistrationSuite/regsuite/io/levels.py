"""The stored resolutions of one picture, read a band of rows at a time, and averaged down to a smaller one."""

from __future__ import annotations

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


def shrunk(level: Level, factor: int) -> np.ndarray:
    """(C, ceil(H / factor), ceil(W / factor)) float32: means over blocks; those at the end over what there is."""
    height, width = (-(-side // factor) for side in (level.height, level.width))
    total = np.zeros((level.count, height, width))
    columns = np.arange(0, level.width, factor)
    for top, band in bands(level):
        bottom = top + band.shape[1]
        for row in range(top // factor, -(-bottom // factor)):
            part = band[:, max(row * factor, top) - top : min((row + 1) * factor, bottom) - top]
            total[:, row] += np.add.reduceat(part.sum(axis=1, dtype=np.float64), columns, axis=1)
    tall = np.minimum(factor, level.height - np.arange(height) * factor)
    wide = np.minimum(factor, level.width - columns)
    return (total / (tall[:, None] * wide)).astype(np.float32)
