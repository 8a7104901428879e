"""From the displacement of points on organs to that of everything around them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

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
_NOISE, _SMALLEST = 0.5, 0.3
"""By how much of their displacement what is far from the organs need not follow each of them, and at least by, mm."""
_MOST = 800
_NEAR, _FAR = 0.5, 1.5
"""Distance from an organ, in ranges, at which it counts as much as all of them together, and at which no more."""
_LEAST = 0.002
"""Distance from an organ inside it, in voxels."""
_GENTLE = 1.5
"""Range of what is far from the organs, at least, in the largest displacement of a point: it fades without folding."""
_REACH = 2.0
"""Such ranges around the organs beyond which nothing moves on its own."""


def field_of(found: Drift, labels: LabelImage, values: list[int], resolution: float) -> DisplacementField:
    """v as displacements of the moving image: inside each organ l its own, v_l; around them, where p_l is the nearest
    place in organ l and r_l the distance to it, R a half of the range and v_0 the mean of a process of one organ
    through all displacements,

        v(x) = (Σ_l w_l v_l(p_l) + v_0(x) / R) / (Σ_l w_l + 1 / R),      w_l = max(0, 1 / r_l - 1 / 3R)

    values: the label of every organ of the drift, or of all of its one organ. resolution: mm of the field's voxels.
    """
    reach, device = float(found.prior.kernel.ranges.max()), found.prior.points.device
    far = max(reach, _GENTLE * float(found.belief.v.norm(dim=1).max()))
    grid = _around(labels, values, _REACH * far, resolution)
    between, w = _between(found, far)
    weights = torch.full((1, 1, *grid.shape), 1 / (_NEAR * reach))
    total = weights * _on(grid, far, device, partial(_of_organ, partial(between.anywhere, w), 0))
    for value, organ in zip(values, _organs(found, values), strict=True):
        window = _near(labels, value, grid, _FAR * reach)
        local = grid.cropped([part.start for part in window], [part.stop - part.start for part in window])
        inside = _inside(labels, value, local)
        if not inside.any():  # between the voxels of a coarse field
            continue
        box = ndimage.find_objects(inside.astype(int))[0]
        here = local.cropped([part.start for part in box], [part.stop - part.start for part in box])
        own = _on(here, reach, device, partial(_of_organ, found.displacement, organ))
        away, nearest = ndimage.distance_transform_edt(~inside, sampling=grid.spacing, return_indices=True)
        weight = _weight(away, min(grid.spacing), reach)
        place: Any = [torch.from_numpy(index - part.start) for index, part in zip(nearest, box, strict=True)]
        total[(..., *window)] += weight * own[(slice(None), slice(None), *place)]
        weights[(..., *window)] += weight
    fading = torch.from_numpy(border_window(grid, 0.5 * _REACH * far)).to(total)
    return DisplacementField(grid, total / weights * fading)


def _near(labels: LabelImage, value: int, grid: Grid, margin: float) -> tuple[slice, ...]:
    """The voxels of a grid within a box around an organ, with a margin in mm: beyond it the organ does not count."""
    where = labels.mask(value).nonzero()
    box = labels.grid.cropped(where.amin(dim=0).tolist(), (where.amax(dim=0) - where.amin(dim=0) + 1).tolist())
    corners = grid.to_index(box.padded([1] * grid.dim).corners())
    wide = margin / np.asarray(grid.spacing) + 2
    low = np.maximum(np.floor(corners.min(axis=0) - wide), 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0) + wide) + 1, grid.shape).astype(int)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


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
    deviation = float(found.belief.v.square().sum(dim=1).mean().sqrt()) + _SMALLEST
    noise = _NOISE * deviation
    kernel = Kernel(like.new_tensor([deviation]), like.new_tensor([reach]), like.new_ones(1, 1))
    prior = low_rank(kernel, y, torch.zeros(len(y), dtype=torch.long, device=y.device), 1e-3, _MOST)
    factor = prior.factor / noise
    eye = torch.eye(prior.rank, dtype=y.dtype, device=y.device)
    root = torch.linalg.cholesky(eye + factor.T @ factor)
    return prior, torch.cholesky_solve(factor.T @ (found.belief.v / noise), root)


def _on(grid: Grid, reach: float, device: torch.device, displacement: Callable[[Tensor], Tensor]) -> Tensor:
    """(1, d, *shape) on the grid, of a displacement of points (N, d) that is computed at coarser nodes."""
    coarse = [max(h, reach / _NODES) for h in grid.spacing]
    margin = [int(new / old) + 1 for new, old in zip(coarse, grid.spacing, strict=True)]
    nodes = grid.padded(margin).resampled(coarse)
    x = nodes.points(torch.float32, device).reshape(-1, nodes.dim)
    v = displacement(x).T.reshape(1, nodes.dim, *nodes.shape).cpu()
    return Image(v.contiguous(), nodes).resampled(grid).data


def _inside(labels: LabelImage, value: int, grid: Grid) -> np.ndarray:
    """Voxels (*shape) bool more than half of which is of an organ."""
    share = Image((labels.data == value).float(), labels.grid).resampled(grid, outside="zeros")
    return share.data[0, 0].numpy() > 0.5


def _weight(away: np.ndarray, voxel: float, reach: float) -> Tensor:
    """w_l (1, 1, *shape), 1/mm, at distances (*shape) mm from an organ's voxels; its surface is half a voxel nearer."""
    r = np.maximum(away - 0.5 * voxel, _LEAST * voxel)
    weight = np.maximum(0.0, 1 / r - 1 / (_FAR * reach))
    return torch.from_numpy(weight.astype(np.float32))[None, None]
