"""From the displacement of points on organs to that of everything around them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from regsuite.methods.organs.sides import Organs
from regsuite.solvers.drift.solve import Drift
from regsuite.spatial import Grid, Image
from regsuite.spatial.windows import border_window
from regsuite.transforms import DisplacementField

_NODES, _FEW = 6.0, 3.0
"""Nodes a range at which an organ's displacement, and the mean of all, are computed; between them they are linear."""
_NEAR, _FAR = 0.5, 1.5
"""Distance from an organ, in ranges, at which it counts as much as all of them together, and at which no more."""
_LEAST = 0.002
"""Distance from an organ inside it, in voxels."""
_WIDE = 2.0
"""Range of the mean of all displacements, at least, in their standard deviation: it changes without folding."""
_GENTLE = 2.5
"""Width of the rim in which everything fades to none, at least, in the displacements' root mean square."""
_THIN = 2000
"""Points that stand for an organ thinner than a voxel."""
_CHUNK = 1 << 22
"""Pairs of a node and a point at a time."""


def field_of(found: Drift, organs: Organs, values: list[int], resolution: float) -> DisplacementField:
    """v as displacements of the moving image: inside each organ l its own, v_l; around them, where p_l is the nearest
    place in organ l and r_l the distance to it, R a half of the largest range and v_0 the mean of the points'
    displacements v_m weighted by a Gaussian of range F, which no place can take farther than the organs go,

        v(x) = (Σ_l w_l v_l(p_l) + v_0(x) / R) / (Σ_l w_l + 1 / R),      w_l = max(0, 1 / r_l - 1 / 3R)
        v_0(x) = Σ_m v_m exp(-|x - y_m|² / 2F²) / Σ_m exp(-|x - y_m|² / 2F²)

    values: the label of every organ of the drift, or of all of its one organ. resolution: mm of the field's voxels.
    """
    reach, device = float(found.prior.kernel.ranges.max()), found.prior.points.device
    v = found.belief.v
    far = max(reach, _WIDE * float((v - v.mean(dim=0)).square().sum(dim=1).mean().sqrt()))
    rim = max(reach, _GENTLE * float(v.square().sum(dim=1).mean().sqrt()))
    grid = _around(organs, values, reach + rim, resolution)
    weights = torch.full((1, 1, *grid.shape), 1 / (_NEAR * reach))
    total = weights * _on(grid, far / _FEW, device, partial(_mean, found.prior.points, v, far))
    for value, organ in zip(values, _organs(found, values), strict=True):
        window: Any = _near(organs.corners(value), grid, _FAR * reach)
        local = grid.cropped([part.start for part in window], [part.stop - part.start for part in window])
        inside = _inside(organs, value, local)
        box = ndimage.find_objects(inside.astype(int))[0]
        here = local.cropped([part.start for part in box], [part.stop - part.start for part in box])
        own = _on(
            here,
            float(found.prior.kernel.ranges[organ]) / _NODES,
            device,
            partial(_of_organ, found.displacement, organ),
        )
        away, nearest = ndimage.distance_transform_edt(~inside, sampling=grid.spacing, return_indices=True)
        weight = _weight(away, min(grid.spacing), reach)
        place: Any = [torch.from_numpy(index - part.start) for index, part in zip(nearest, box, strict=True)]
        every = slice(None)
        total[(every, every, *window)] += weight * own[(every, every, *place)]
        weights[(every, every, *window)] += weight
    fading = torch.from_numpy(border_window(grid, rim)).to(total)
    return DisplacementField(grid, total / weights * fading)


def _near(corners: np.ndarray, grid: Grid, margin: float) -> tuple[slice, ...]:
    """The voxels of a grid in a box around corners, with a margin in mm: beyond it an organ does not count."""
    index = grid.to_index(corners)
    wide = margin / np.asarray(grid.spacing) + 3
    low = np.maximum(np.floor(index.min(axis=0) - wide), 0).astype(int)
    high = np.minimum(np.ceil(index.max(axis=0) + wide) + 1, grid.shape).astype(int)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _of_organ(displacement: Callable[[Tensor, Tensor], Tensor], organ: int, x: Tensor) -> Tensor:
    return displacement(x, torch.full((len(x),), organ, device=x.device))


def _organs(found: Drift, values: list[int]) -> list[int]:
    """The drift's number of each label's organ: its place, or the only one."""
    return list(range(len(values))) if len(found.prior.kernel.ranges) > 1 else [0] * len(values)


def _around(organs: Organs, values: list[int], margin: float, resolution: float) -> Grid:
    """The box of the organs, with a margin in mm."""
    labels = organs.labels.grid
    index = labels.to_index(np.concatenate([organs.corners(value) for value in values]))
    low, high = np.floor(index.min(axis=0) + 1e-6).astype(int), np.ceil(index.max(axis=0) - 1e-6).astype(int)
    box = labels.cropped(low.tolist(), (high - low + 1).tolist())
    grid = box.padded([int(margin / h) + 1 for h in box.spacing])
    return grid.resampled([max(h, resolution) for h in grid.spacing])


def _mean(y: Tensor, v: Tensor, far: float, x: Tensor) -> Tensor:
    """v_0 (N, d) at points x (N, d), of displacements v (M, d) of points y (M, d)."""
    chunks = x.split(max(1, _CHUNK // len(y)))
    return torch.cat([torch.softmax(-torch.cdist(chunk, y).square() / (2 * far**2), dim=1) @ v for chunk in chunks])


def _on(grid: Grid, spacing: float, device: torch.device, displacement: Callable[[Tensor], Tensor]) -> Tensor:
    """(1, d, *shape) on the grid, of a displacement of points (N, d) that is computed at nodes ``spacing`` mm apart."""
    coarse = [max(h, spacing) for h in grid.spacing]
    margin = [int(new / old) + 1 for new, old in zip(coarse, grid.spacing, strict=True)]
    nodes = grid.padded(margin).resampled(coarse)
    x = nodes.points(torch.float32, device).reshape(-1, nodes.dim)
    v = displacement(x).T.reshape(1, nodes.dim, *nodes.shape).cpu()
    return Image(v.contiguous(), nodes).resampled(grid).data


def _inside(organs: Organs, value: int, grid: Grid) -> np.ndarray:
    """Voxels (*shape) bool more than half of which is of an organ; of one thinner than that those nearest to it."""
    labels = organs.labels
    share = Image((labels.data == value).float(), labels.grid).resampled(grid, outside="zeros")
    inside = share.data[0, 0].numpy() > 0.5
    if not inside.any():
        index = np.round(grid.to_index(organs.points(value, _THIN).numpy())).astype(int)
        inside[tuple(index.clip(0, np.asarray(grid.shape) - 1).T)] = True
    return inside


def _weight(away: np.ndarray, voxel: float, reach: float) -> Tensor:
    """w_l (1, 1, *shape), 1/mm, at distances (*shape) mm from an organ's voxels; its surface is half a voxel nearer."""
    r = np.maximum(away - 0.5 * voxel, _LEAST * voxel)
    weight = np.maximum(0.0, 1 / r - 1 / (_FAR * reach))
    return torch.from_numpy(weight.astype(np.float32))[None, None]
