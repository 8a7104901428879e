"""Reading pictures: how many pixels have a colour, and where."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from RegistrationSuiteLib import views


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(height, width): the largest difference of the three channels, 0 to 255."""
    return np.abs(first.astype(int) - second.astype(int)).max(axis=-1)


def near(picture: np.ndarray, colour: tuple[float, float, float], tolerance: int = 30) -> np.ndarray:
    """(height, width) bool: pixels of about this colour (0..1)."""
    return np.asarray(np.abs(picture.astype(int) - np.array(colour) * 255).max(axis=-1) <= tolerance)


def colourful(picture: np.ndarray, least: int = 40) -> np.ndarray:
    """(height, width) bool: pixels that are not grey."""
    channels = picture.astype(int)
    return np.asarray(channels.max(axis=-1) - channels.min(axis=-1) >= least)


def runs(line: np.ndarray) -> list[float]:
    """Middles of the stretches of True in a row of pixels."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
    return [float(a + b - 1) / 2 for a, b in zip(edges[::2], edges[1::2], strict=True)]


def keep(name: str, *rows: list[tuple[str, np.ndarray]]) -> None:
    """Save pictures where TEST_PICTURES says, for someone to look at."""
    folder = os.environ.get("TEST_PICTURES")
    if folder:
        views.save_png(views.panel(rows), Path(folder) / f"{name}.png")
