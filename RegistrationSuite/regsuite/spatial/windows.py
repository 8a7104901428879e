"""Weights that fade smoothly."""

from __future__ import annotations

import numpy as np

from regsuite.spatial.grid import Grid


def border_window(grid: Grid, margin: float) -> np.ndarray:
    """(*shape) from 0 on the outermost voxels to 1 at ``margin`` mm from them."""
    window = np.ones(grid.shape)
    for axis, (n, h) in enumerate(zip(grid.shape, grid.spacing, strict=True)):
        index = np.arange(n)
        distance = np.minimum(index, n - 1 - index) * h
        window *= smoothstep(distance / margin).reshape([-1 if a == axis else 1 for a in range(grid.dim)])
    return window


def smoothstep(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, a smooth rise between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
