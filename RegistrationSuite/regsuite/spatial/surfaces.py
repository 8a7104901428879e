"""Points on the surfaces of labelled regions."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from regsuite.spatial.image import LabelImage

_SMOOTH = 0.7
"""σ of the smoothing of a region before its surface is found, in voxels: takes the steps of the voxels out of it."""
_MARGIN = 4


def surface_points(labels: LabelImage, value: int, count: int = 0) -> Tensor:
    """Points (N, d) float64 RAS mm on the surface of one label, spread evenly; none where the label is absent.

    count: how many at most, 0 for all: one wherever an axis of voxels crosses the surface of the region, smoothed by
    0.7 voxels. Where a region is cut by the border of its image there is no surface.
    """
    smooth, start = smooth_region(labels, value)
    index = _crossings(smooth - 0.5) + start
    if not len(index):  # smaller than the smoothing leaves anything of
        index = np.argwhere(labels.mask(value).cpu().numpy()).astype(float)
    points = torch.from_numpy(labels.grid.to_world(index))
    return points if not 0 < count < len(points) else points[farthest_first(points, count)]


def smooth_region(labels: LabelImage, value: int) -> tuple[np.ndarray, list[int]]:
    """One label (0 to 1) in a box around it, smoothed by 0.7 voxels, and the voxel at which that begins; empty where
    the label is absent."""
    inside = labels.mask(value).cpu().numpy()
    if not inside.any():
        return np.zeros((0,) * labels.grid.dim, dtype=np.float32), [0] * labels.grid.dim
    box = tuple(
        slice(max(0, part.start - _MARGIN), part.stop + _MARGIN) for part in ndimage.find_objects(inside.astype(int))[0]
    )
    smooth = ndimage.gaussian_filter(inside[box].astype(np.float32), _SMOOTH, mode="nearest")
    return smooth, [part.start for part in box]


def _crossings(level: np.ndarray) -> np.ndarray:
    """Array indices (N, d) where a line of voxels passes through zero."""
    found = []
    for axis in range(level.ndim):
        here, there = (
            np.take(level, range(start, max(0, level.shape[axis] - 1) + start), axis=axis) for start in (0, 1)
        )
        crossed = np.argwhere((here > 0) != (there > 0))
        a, b = here[tuple(crossed.T)], there[tuple(crossed.T)]
        index = crossed.astype(float)
        index[:, axis] += a / (a - b)
        found.append(index)
    return np.concatenate(found)


def farthest_first(points: Tensor, count: int) -> Tensor:
    """Rows (count,) of points (N, d), each the farthest from those before it, the first the farthest from the middle:
    spread evenly, however densely the points lie, and the same in whatever order they are."""
    rows = torch.empty(count, dtype=torch.long, device=points.device)
    distance = (points - points.mean(dim=0)).square().sum(dim=1)
    for place in range(count):
        rows[place] = distance.argmax()
        away = (points - points[rows[place]]).square().sum(dim=1)
        distance = away if place == 0 else torch.minimum(distance, away)
    return rows
