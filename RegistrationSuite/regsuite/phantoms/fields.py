"""Smooth random fields."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from regsuite.spatial import Grid
from regsuite.spatial.windows import border_window


def smooth_noise(rng: np.random.Generator, grid: Grid, width: float) -> np.ndarray:
    """(*shape) Gaussian noise of zero mean and unit variance, smooth over ``width`` mm."""
    noise = rng.standard_normal(grid.shape)
    noise = ndimage.gaussian_filter(noise, [width / h for h in grid.spacing], mode="reflect")
    return (noise - noise.mean()) / noise.std()


def coarse_noise(rng: np.random.Generator, grid: Grid, widths: Sequence[float], step: float) -> np.ndarray:
    """(*shape) float32 noise, smooth over all ``widths`` mm alike, of about unit variance; ``grid`` is 3D.

    It is made at ``step`` mm, or the grid's spacing where that is more, and interpolated: quick on a fine grid.
    """
    coarse = grid.resampled([max(step, each) for each in grid.spacing])
    noise = sum((smooth_noise(rng, coarse, width) for width in widths), np.zeros(coarse.shape)) / np.sqrt(len(widths))
    data = torch.from_numpy(noise.astype(np.float32))[None, None]
    # Both grids cover the same box of voxels, which is what interpolate takes them to do.
    return functional.interpolate(data, size=grid.shape, mode="trilinear", align_corners=False)[0, 0].numpy()


def smooth_vectors(rng: np.random.Generator, grid: Grid, widths: Sequence[float], inside: np.ndarray) -> np.ndarray:
    """(d, *shape) random vectors that vanish at the grid's border, of root mean square length 1 over ``inside``.

    widths: smoothness in mm; every width contributes in proportion to itself, so that none makes the field rough.
    """
    total = np.zeros((grid.dim, *grid.shape))
    for width in widths:
        total += width * np.stack([smooth_noise(rng, grid, width) for _ in range(grid.dim)])
    total *= border_window(grid, max(widths) / 2)
    return total / np.sqrt((total**2).sum(axis=0)[inside].mean())


def depth(inside: np.ndarray, grid: Grid) -> np.ndarray:
    """(*shape) distance in mm from every voxel of ``inside`` to the nearest voxel that is not."""
    return ndimage.distance_transform_edt(inside, sampling=grid.spacing)
