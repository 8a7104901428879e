"""Masks that grow: from a ball deep inside a region to the region.

François et al., Weighted Metamorphosis (WBIR 2022), section 2: M_t is the LDDMM path from a small smoothed ball to the
segmentation.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from regsuite.progress import Progress
from regsuite.solvers.geodesics import Energy
from regsuite.solvers.multiscale import Settings, solve
from regsuite.solvers.pair import Pair
from regsuite.spatial import Grid, sample
from regsuite.spatial.smoothing import gaussian_smooth
from regsuite.transforms import identity

_BALL = 0.4
"""Radius of the first ball, of the largest ball that fits into the region."""
_VOXELS_ACROSS = 5
"""Voxels in the largest ball's radius on the grid the growth is computed on."""


def soft_mask(mask: Tensor, grid: Grid) -> Tensor:
    """A binary (1, 1, *shape) with an edge a voxel wide."""
    return gaussian_smooth(mask, grid.spacing, [0.7 * h for h in grid.spacing])


def growing_masks(mask: Tensor, grid: Grid, steps: int, progress: Progress) -> Tensor:
    """M_t of every step, (steps, 1, *shape) in 0..1: a ball that grows to the binary mask (1, 1, *shape).

    Each is the mask at the start of its step, the last one the whole mask, so that nothing of it stays out of reach.
    """
    centre, radius = _deepest(mask[0, 0].cpu().numpy() > 0.5, grid)
    small = _around(mask, grid, radius)
    points = small.points(torch.float32, mask.device)
    distance = (points - torch.as_tensor(centre, dtype=torch.float32, device=mask.device)).norm(dim=-1)
    # A ball whose edge is two voxels wide, so that it has a gradient to be moved by.
    ball = torch.sigmoid((_BALL * radius - distance) / (0.5 * min(small.spacing)))[None, None]
    end = soft_mask(sample(mask, grid, points, outside="zeros"), small)
    frames = _grow(ball, end, small, radius, steps, progress)
    everywhere = grid.points(torch.float32, mask.device)
    masks = torch.cat([sample(frame, small, everywhere, outside="zeros") for frame in frames[: steps - 1]])
    return torch.cat([masks, soft_mask(mask, grid)]).clamp(0, 1)


def _deepest(mask: np.ndarray, grid: Grid) -> tuple[np.ndarray, float]:
    """RAS centre and radius (mm) of the largest ball inside."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=grid.spacing)
    index = np.unravel_index(int(depth.argmax()), depth.shape)
    return grid.to_world(np.array(index) - 1), float(depth.max())


def _around(mask: Tensor, grid: Grid, radius: float) -> Grid:
    """A grid around the mask, coarse enough to be quick and fine enough for its largest ball."""
    where = (mask[0, 0] > 0.5).nonzero().cpu().numpy()
    margin = np.ceil(0.5 * radius / np.asarray(grid.spacing)).astype(int) + 2
    low, high = where.min(axis=0) - margin, where.max(axis=0) + margin
    box = grid.cropped([int(n) for n in low], [int(n) for n in high - low + 1])
    return box.resampled([max(h, radius / _VOXELS_ACROSS) for h in grid.spacing])


def _grow(ball: Tensor, end: Tensor, grid: Grid, radius: float, steps: int, progress: Progress) -> list[Tensor]:
    """Frames of the LDDMM path from the ball to the region."""
    pair = Pair(
        fixed=end,
        moving=ball,
        weight=torch.ones_like(end),
        grid=grid,
        initial=identity(grid.dim),
        dark=0.0,
        unit=1.0,
        size=2 * radius,
        margin=2 * min(grid.spacing),
    )
    energy = Energy(regularity=0.01 / radius**2, widths=(radius / 3, radius))
    return solve(pair, Settings(energy, steps=steps, levels=2, evaluations=30, tolerance=1e-2), progress).path.frames
