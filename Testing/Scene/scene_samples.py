"""Volumes in awkward places, and smooth transforms, for the tests of the scene."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import slicer.util
import torch
from regsuite.spatial import Grid
from regsuite.transforms import DisplacementField


def rotation(degrees_r: float, degrees_a: float, degrees_s: float) -> np.ndarray:
    """Rotations about R, then A, then S."""
    result = np.eye(3)
    for axis, degrees in enumerate((degrees_r, degrees_a, degrees_s)):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turn = np.eye(3)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn[first, first] = turn[second, second] = c
        turn[first, second], turn[second, first] = -s, s
        result = turn @ result
    return result


def ijk_to_ras(turn: np.ndarray, spacing: tuple[float, float, float], origin: tuple[float, float, float]) -> np.ndarray:
    """(4, 4) with columns i, j, k."""
    matrix = np.eye(4)
    matrix[:3, :3] = turn * spacing
    matrix[:3, 3] = origin
    return matrix


MIRROR = np.diag([-1.0, 1.0, 1.0])
VOLUMES = {
    "straight": ijk_to_ras(np.eye(3), (1.0, 1.0, 1.0), (-9.0, -8.0, -7.0)),
    "oblique": ijk_to_ras(rotation(20, -15, 30), (1.0, 1.0, 1.0), (-9.0, 12.0, -30.0)),
    "anisotropic": ijk_to_ras(rotation(0, 0, 25), (0.8, 1.1, 2.5), (-20.0, 15.0, 4.0)),
    "left-handed": ijk_to_ras(rotation(10, 5, -20) @ MIRROR, (0.9, 1.2, 1.5), (20.0, 3.0, -8.0)),
    "sagittal": ijk_to_ras(np.array([[0, 0, 1.0], [-1, 0, 0], [0, 1.0, 0]]), (1.0, 1.3, 2.0), (2.0, 9.0, -7.0)),
}
SIZE = (24, 22, 18)
SLICES = {
    "axial": (ijk_to_ras(np.diag([-1.0, -1.0, 1.0]), (0.7, 0.9, 4.0), (10.0, 9.0, 33.0)), (30, 26, 1)),
    "coronal": (ijk_to_ras(rotation(90, 0, 0), (1.0, 1.0, 1.0), (-8.0, 21.0, -9.0)), (30, 26, 1)),
    "oblique": (ijk_to_ras(rotation(25, -35, 15), (0.8, 1.0, 3.0), (5.0, -6.0, 7.0)), (30, 26, 1)),
    "left-handed": (ijk_to_ras(rotation(5, 0, 70) @ MIRROR, (0.8, 1.0, 3.0), (5.0, -6.0, 7.0)), (30, 26, 1)),
    "across i": (ijk_to_ras(rotation(0, 10, 0), (5.0, 1.0, 0.8), (-3.0, -6.0, 7.0)), (1, 30, 26)),
}


def add_volume(
    matrix: np.ndarray,
    size: tuple[int, int, int] = SIZE,
    name: str = "volume",
    array: np.ndarray | None = None,
    class_name: str = "vtkMRMLScalarVolumeNode",
) -> Any:
    """A volume node of (i, j, k) ``size``, random where no array is given."""
    if array is None:
        array = np.random.default_rng(3).normal(100, 20, tuple(reversed(size))).astype(np.float32)
    return slicer.util.addVolumeFromArray(array, matrix, name, class_name)


def smooth_field(grid: Grid, size_mm: float = 1.5, seed: int = 0) -> DisplacementField:
    """A displacement of up to about ``size_mm``, smooth, zero at the border."""
    generator = np.random.default_rng(seed)
    unit = [np.linspace(0, np.pi, n) for n in grid.shape]
    waves = np.meshgrid(*unit, indexing="ij")
    window = np.prod([np.sin(w) for w in waves], axis=0)
    window[window < 1e-12] = 0
    parts = []
    for _ in range(grid.dim):
        frequency, phase = generator.uniform(0.4, 1.2, grid.dim), generator.uniform(0, np.pi)
        parts.append(size_mm * window * np.sin(sum(f * w for f, w in zip(frequency, waves, strict=True)) + phase))
    return DisplacementField(grid, torch.from_numpy(np.stack(parts)[None].astype(np.float32)))


def inner_points(grid: Grid, count: int = 200, margin: float = 2.0, seed: int = 1) -> np.ndarray:
    """(count, d) random points at least ``margin`` voxels inside the grid."""
    shape = np.asarray(grid.shape)
    index = np.random.default_rng(seed).uniform(margin, shape - 1 - margin, (count, grid.dim))
    return grid.to_world(index)
