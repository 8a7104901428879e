"""From the displacement of points on organs to that of everything around them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from regsuite.solvers.drift.covariance import Kernel, LowRank, low_rank
from regsuite.solvers.drift.solve import Drift
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.smoothing import gaussian_smooth
from regsuite.spatial.windows import border_window
from regsuite.transforms import DisplacementField

_NODES = 6.0
"""Nodes a range at which displacements are computed; between them they are linear."""
_NOISE = 0.3
"""mm by which what is between the organs need not follow them."""
_MOST = 800
_EDGE = 0.6
"""Width of the passage from an organ to what is around it, as σ in voxels of the field."""
_LEAST = 1e-4
"""Share of a voxel that counts as none."""
_REACH = 2.0
"""Ranges around the organs beyond which nothing moves on its own."""


def field_of(found: Drift, labels: LabelImage, values: list[int], resolution: float) -> DisplacementField:
    """v as displacements of the moving image: inside each organ its own, elsewhere that of all of them.

    values: the label of every organ of the drift, or of all of its one organ. resolution: mm of the field's voxels.
    """
    reach, device = float(found.prior.kernel.ranges.max()), found.prior.points.device
    grid = _around(labels, values, _REACH * reach, resolution)
    between, w = _between(found, reach)
    total = _on(grid, reach, device, partial(_of_organ, partial(between.anywhere, w), 0))
    for value, organ in zip(values, _organs(found, values), strict=True):
        share = _share(labels, value, grid)
        if not bool((share > _LEAST).any()):  # between the voxels of a coarse field
            continue
        box = tuple(slice(int(each.min()), int(each.max()) + 1) for each in (share[0, 0] > _LEAST).nonzero().T)
        here = grid.cropped([part.start for part in box], [part.stop - part.start for part in box])
        own = _on(here, reach, device, partial(_of_organ, found.displacement, organ))
        inside = (slice(None), slice(None), *box)
        total[inside] += share[inside] * (own - total[inside])
    window = torch.from_numpy(border_window(grid, 0.5 * _REACH * reach)).to(total)
    return DisplacementField(grid, total * window)


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


def _share(labels: LabelImage, value: int, grid: Grid) -> Tensor:
    """How much of each voxel (1, 1, *shape) is of an organ."""
    inside = Image((labels.data == value).float(), labels.grid).resampled(grid, outside="zeros").data
    return gaussian_smooth(inside, grid.spacing, [_EDGE * h for h in grid.spacing]).clamp(0, 1)
