"""From the displacement of points on organs to that of everything around them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from regsuite.solvers.drift.covariance import Kernel, LowRank, low_rank
from regsuite.solvers.drift.solve import Drift
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.windows import border_window
from regsuite.transforms import DisplacementField

_NODES = 6.0
"""Nodes a range at which displacements are computed; between them they are linear."""
_NOISE = 0.3
"""mm by which what is far from the organs need not follow them."""
_MOST = 800
_NEAR, _FAR = 0.5, 1.5
"""Distance from an organ, in ranges, at which it counts as much as all of them together, and at which no more."""
_LEAST = 0.02
"""Distance from an organ inside it, in voxels."""
_REACH = 2.0
"""Ranges around the organs beyond which nothing moves on its own."""


def field_of(found: Drift, labels: LabelImage, values: list[int], resolution: float) -> DisplacementField:
    """v as displacements of the moving image: inside each organ l its own, v_l; around them, where r_l is the distance
    to organ l, R a half of the range and v_0 the mean of a process of one organ through all displacements,

        v = (Σ_l w_l v_l + v_0 / R²) / (Σ_l w_l + 1 / R²),      w_l = max(0, 1 / r_l² - 1 / (3R)²)

    values: the label of every organ of the drift, or of all of its one organ. resolution: mm of the field's voxels.
    """
    reach, device = float(found.prior.kernel.ranges.max()), found.prior.points.device
    grid = _around(labels, values, _REACH * reach, resolution)
    between, w = _between(found, reach)
    weights = torch.full((1, 1, *grid.shape), 1 / (_NEAR * reach) ** 2)
    total = weights * _on(grid, reach, device, partial(_of_organ, partial(between.anywhere, w), 0))
    for value, organ in zip(values, _organs(found, values), strict=True):
        weight = _weight(labels, value, grid, reach)
        box = _box(weight > 0)
        here = grid.cropped([part.start for part in box], [part.stop - part.start for part in box])
        own = _on(here, reach, device, partial(_of_organ, found.displacement, organ))
        inside = (slice(None), slice(None), *box)
        total[inside] += weight[inside] * own
        weights += weight
    window = torch.from_numpy(border_window(grid, 0.5 * _REACH * reach)).to(total)
    return DisplacementField(grid, total / weights * window)


def _box(where: Tensor) -> tuple[slice, ...]:
    """Around what is true of (1, 1, *shape); one voxel where nothing is."""
    places = where[0, 0].nonzero()
    if not len(places):
        return (slice(0, 1),) * (where.ndim - 2)
    return tuple(slice(int(each.min()), int(each.max()) + 1) for each in places.T)


def _of_organ(displacement: Callable[[Tensor, Tensor], Tensor], organ: int, x: Tensor) -> Tensor:
    return displacement(x, torch.full((len(x),), organ, device=x.device))


def _organs(found: Drift, values: list[int]) -> list[int]:
    """The drift's number of each label's organ: its place, or the only one."""
    return list(range(len(values))) if len(found.prior.kernel.ranges) > 1 else [0] * len(values)


def _around(labels: LabelImage, values: list[int], margin: float, resolution: float) -> Grid:
    """The box of the organs, with a margin in mm."""
    where = torch.isin(labels.data[0, 0], torch.tensor(values, device=labels.data.device)).nonzero()
    low, high = where.amin(dim=0).tolist(), where.amax(dim=0).tolist()
    box = labels.grid.cropped(low, [b - a + 1 for a, b in zip(low, high, strict=True)])
    grid = box.padded([int(margin / h) + 1 for h in box.spacing])
    return grid.resampled([max(h, resolution) for h in grid.spacing])


def _between(found: Drift, reach: float) -> tuple[LowRank, Tensor]:
    """A process of one organ through the displacements of all, and its most probable w."""
    y, like = found.prior.points, found.prior.points
    deviation = float(found.belief.v.square().sum(dim=1).mean().sqrt()) + _NOISE
    kernel = Kernel(like.new_tensor([deviation]), like.new_tensor([reach]), like.new_ones(1, 1))
    prior = low_rank(kernel, y, torch.zeros(len(y), dtype=torch.long, device=y.device), 1e-3, _MOST)
    factor = prior.factor / _NOISE
    eye = torch.eye(prior.rank, dtype=y.dtype, device=y.device)
    root = torch.linalg.cholesky(eye + factor.T @ factor)
    return prior, torch.cholesky_solve(factor.T @ (found.belief.v / _NOISE), root)


def _on(grid: Grid, reach: float, device: torch.device, displacement: Callable[[Tensor], Tensor]) -> Tensor:
    """(1, d, *shape) on the grid, of a displacement of points (N, d) that is computed at coarser nodes."""
    coarse = [max(h, reach / _NODES) for h in grid.spacing]
    margin = [int(new / old) + 1 for new, old in zip(coarse, grid.spacing, strict=True)]
    nodes = grid.padded(margin).resampled(coarse)
    x = nodes.points(torch.float32, device).reshape(-1, nodes.dim)
    v = displacement(x).T.reshape(1, nodes.dim, *nodes.shape).cpu()
    return Image(v.contiguous(), nodes).resampled(grid).data


def _weight(labels: LabelImage, value: int, grid: Grid, reach: float) -> Tensor:
    """w_l (1, 1, *shape), 1/mm²; r_l is counted from the organ's surface, about half a voxel before its first voxel."""
    share = Image((labels.data == value).float(), labels.grid).resampled(grid, outside="zeros").data[0, 0].numpy()
    if not (share > 0.5).any():  # between the voxels of a coarse field
        return torch.zeros(1, 1, *grid.shape)
    outside = ndimage.distance_transform_edt(share <= 0.5, sampling=grid.spacing)
    voxel = min(grid.spacing)
    r = np.where(outside > 0, np.maximum(outside - (0.5 + 0.5 * share) * voxel, _LEAST * voxel), _LEAST * voxel)
    weight = np.maximum(0.0, 1 / r**2 - 1 / (_FAR * reach) ** 2)
    return torch.from_numpy(weight.astype(np.float32))[None, None]
