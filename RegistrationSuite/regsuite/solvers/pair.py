"""Two images made comparable: near each other, on one working grid and one intensity scale, from coarse to fine."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regsuite.losses.similarity import squared_difference
from regsuite.spatial import Grid, Image, LabelImage, sample
from regsuite.spatial.smoothing import gaussian_smooth
from regsuite.transforms import Affine, warp_image

MARGIN_VOXELS = 6
_FOREGROUND = 0.1
_BRIGHTEST = 2.0
_SMALLEST_AXIS = 10
_LEVELS = 6


@dataclass(frozen=True)
class Pair:
    """Fixed and moving image on one working grid.

    fixed, moving: (1, 1, *shape), dark 0 to bright 1; weight: 1 where both images have data;
    initial: takes fixed to moving points before any deformation;
    dark, unit: 0 and the step from 0 to 1 of ``moving``, in the moving image's own unit;
    size: mean extent of what is in the images, mm; margin: mm of grid around it.
    """

    fixed: Tensor
    moving: Tensor
    weight: Tensor
    grid: Grid
    initial: Affine
    dark: float
    unit: float
    size: float
    margin: float

    def coarser(self, grid: Grid) -> Pair:
        """On a coarser grid of the same box, smoothed for it."""
        return dataclasses.replace(
            self,
            fixed=coarsen(self.fixed, self.grid, grid),
            moving=coarsen(self.moving, self.grid, grid),
            weight=coarsen(self.weight, self.grid, grid),
            grid=grid,
        )

    def difference(self, image: Tensor, weight: Tensor | None = None) -> Tensor:
        """∫ (image - fixed)² over the weighted region, mm³ (mm² in 2D)."""
        weight = self.weight if weight is None else weight
        return squared_difference(image, self.fixed, weight, self.grid.voxel_volume)


def coarsen(data: Tensor, grid: Grid, coarse: Grid) -> Tensor:
    """(1, 1, *shape) on a coarser grid: smoothed by a coarse voxel on the axes that get coarser, then resampled."""
    if coarse == grid:
        return data
    widths = [new if new > 1.01 * old else 0.0 for old, new in zip(grid.spacing, coarse.spacing, strict=True)]
    return Image(gaussian_smooth(data, grid.spacing, widths), grid).resampled(coarse).data


def pyramid(grid: Grid, levels: int) -> list[Grid]:
    """Grids of the same box, coarsest first; each doubles the voxel on its finest axes.

    levels: how many at most, or 0 for as many as leave ten voxels across; never fewer across than that.
    """
    finest = min(grid.spacing)
    grids = [grid]
    for level in range(1, levels or _LEVELS):
        coarse = grid.resampled([max(h, finest * 2**level) for h in grid.spacing])
        if min(coarse.shape) < min(_SMALLEST_AXIS, *grid.shape):
            break
        grids.append(coarse)
    return grids[::-1]


def make_pair(
    fixed: Image, moving: Image, initial: Affine, resolution: float = 0.0, ignore: LabelImage | None = None
) -> Pair:
    """The working pair of two images (as the method shall compare them) whose positions ``initial`` relates.

    resolution: mm of the working voxel, or 0 for the fixed image's; ignore: region of the fixed image whose intensities
    say nothing of its tissue, such as a tumour.
    """
    base = _at_resolution(fixed.grid, resolution)
    near = warp_image(moving, initial, fixed.grid, outside="border")
    # Judged by the same place in both: neither a bright tumour nor what lies there in the template may set the scale.
    told = None if ignore is None else ~ignore.mask()[None, None]
    scaled_fixed, _, _ = _scale(fixed.data, told)
    scaled_moving, dark, unit = _scale(near.data, told)
    covered = _foreground(scaled_fixed) | _foreground(scaled_moving)
    grid, size = _working_grid(base, covered, fixed.grid)
    points = grid.points(torch.float64, fixed.data.device)

    def on_grid(data: Tensor, source: Grid) -> Tensor:
        return sample(
            coarsen(data, source, _at_resolution(source, resolution)), _at_resolution(source, resolution), points
        )

    ones = torch.ones_like(fixed.data)
    seen = sample(ones, fixed.grid, points, outside="zeros") * sample(
        torch.ones_like(moving.data), moving.grid, initial.points(points), outside="zeros"
    )
    return Pair(
        fixed=on_grid(scaled_fixed, fixed.grid),
        moving=on_grid(scaled_moving, fixed.grid),
        weight=(seen > 0.5).to(ones.dtype),
        grid=grid,
        initial=initial,
        dark=dark,
        unit=unit,
        size=size,
        margin=MARGIN_VOXELS * min(grid.spacing),
    )


def _at_resolution(grid: Grid, resolution: float) -> Grid:
    """The grid with its axes no finer than ``resolution`` mm."""
    if resolution <= min(grid.spacing):
        return grid
    return grid.resampled([max(h, resolution) for h in grid.spacing])


def _scale(data: Tensor, counted: Tensor | None) -> tuple[Tensor, float, float]:
    """Intensities from dark 0 to bright 1 by percentiles, what 0 is, how much 1 is; ``counted``: voxels that tell."""
    values = (data if counted is None else data[counted]).flatten()
    low = _quantile(values, 0.005)
    spread = _quantile(values, 0.995) - low
    bright = values[values > low + _FOREGROUND * spread]
    unit = _quantile(bright, 0.98) - low if len(bright) else spread
    unit = unit or float(values.max() - values.min()) or 1.0
    return ((data - low) / unit).clamp(-0.25, _BRIGHTEST), low, unit


def _quantile(values: Tensor, share: float) -> float:
    return float(np.quantile(values.detach().cpu().numpy(), share))


def _foreground(data: Tensor) -> Tensor:
    """Where the image differs from what is usual along its border: (1, 1, *shape) bool."""
    border = torch.zeros_like(data, dtype=torch.bool)
    for axis in range(2, data.ndim):
        border.index_fill_(axis, torch.tensor([0, data.shape[axis] - 1], device=data.device), True)
    return (data - data[border].median()).abs() > _FOREGROUND


def _working_grid(base: Grid, covered: Tensor, fixed: Grid) -> tuple[Grid, float]:
    """The part of ``base`` around the covered voxels of the fixed grid with a margin, and their mean extent in mm."""
    where = covered[0, 0].nonzero().cpu().numpy()
    if len(where) == 0:
        where = np.array([[0] * fixed.dim, [n - 1 for n in fixed.shape]])
    low, high = where.min(axis=0), where.max(axis=0)
    extent = (high - low + 1) * np.asarray(fixed.spacing)
    first, last = base.to_index(fixed.to_world(low - 0.5)), base.to_index(fixed.to_world(high + 0.5))
    start = np.floor(first).astype(int) - MARGIN_VOXELS
    stop = np.ceil(last).astype(int) + MARGIN_VOXELS + 1
    return base.cropped([int(n) for n in start], [int(n) for n in stop - start]), _mean_extent(extent)


def _mean_extent(extent: Sequence[float]) -> float:
    return float(math.exp(np.mean(np.log(np.asarray(extent)))))
