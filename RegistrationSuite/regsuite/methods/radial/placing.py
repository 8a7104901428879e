"""Maps brought to where they belong in the volume, without a value being changed.

A slice is placed by giving its grid another pose: its pixels stay what they were acquired as. Painted into the volume's
voxels, each voxel takes the value of one pixel, the nearest, if it lies within the slice's thickness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.sampling import sample

_ROUNDING = 1e-2
"""mm, of distances in single precision."""


def placed(image: Image, plane: Tensor) -> Image:
    """The same pixels (1, 1, 1, H, W), on a grid that lies where ``plane`` (4, 4) puts the slice's (right, down,
    across) mm."""
    return replace(image, grid=placed_grid(image.grid, plane))


def header_plane(grid: Grid) -> Tensor:
    """(4, 4) float64: from a slice's (right, down, across) mm to where its own grid (1, H, W) lies, RAS mm."""
    axes = torch.tensor(grid.direction, dtype=torch.float64)
    plane = torch.eye(4, dtype=torch.float64)
    plane[:3, 0], plane[:3, 1] = axes[:, 2], axes[:, 1]
    plane[:3, 2] = torch.linalg.cross(plane[:3, 0], plane[:3, 1])
    plane[:3, 3] = torch.from_numpy(grid.centre)
    return plane


def placed_grid(grid: Grid, plane: Tensor) -> Grid:
    """Of shape (1, H, W)."""
    _, rows, columns = grid.shape
    thickness, down, right = grid.spacing
    left, top = -(columns - 1) / 2 * right, -(rows - 1) / 2 * down
    own = np.array([[0, 0, right, left], [0, down, 0, top], [thickness, 0, 0, 0], [0, 0, 0, 1]], dtype=float)
    return Grid.from_affine(grid.shape, plane.cpu().numpy() @ own)


def painted(slices: Sequence[Image], grid: Grid, thickness: float, empty: float = 0.0) -> Image:
    """Placed slices in the voxels of a volume: the pixel of the nearest slice, where one lies within half a thickness
    or half a voxel."""
    reach = max(thickness, max(grid.spacing)) / 2
    values = torch.full((1, 1, *grid.shape), empty, dtype=slices[0].data.dtype)
    nearest = torch.full(grid.shape, reach)
    matrix = torch.from_numpy(grid.affine)
    for each in slices:
        voxels = _near(each.grid, grid, reach)
        points = voxels.to(torch.float64) @ matrix[:-1, :-1].T + matrix[:-1, -1]
        index = (points - torch.tensor(each.grid.origin, dtype=torch.float64)) @ torch.tensor(
            each.grid.direction, dtype=torch.float64
        )
        pixel = torch.round(index[:, 1:] / torch.tensor(each.grid.spacing[1:], dtype=torch.float64)).long()
        away, known = index[:, 0].abs().float(), nearest[voxels[:, 0], voxels[:, 1], voxels[:, 2]]
        own = ((pixel >= 0) & (pixel < torch.tensor(each.grid.shape[1:]))).all(dim=1) & (away <= known)
        (k, j, i), (rows, columns) = voxels[own].unbind(dim=1), pixel[own].unbind(dim=1)
        values[0, 0, k, j, i] = each.data[0, 0, 0, rows, columns]
        nearest[k, j, i] = away[own]
    return Image(values, grid, slices[0].name)


def _near(plane: Grid, grid: Grid, reach: float) -> Tensor:
    """(N, 3): the voxels of a grid within ``reach`` mm of a slice's plane, and few others."""
    normal = np.asarray(plane.direction)[:, 0]
    steps = normal @ grid.affine[:3, :3]
    ramps = [torch.arange(n, dtype=torch.float32) * float(step) for n, step in zip(grid.shape, steps, strict=True)]
    ramps[0] += float(normal @ (grid.affine[:3, 3] - plane.origin))
    away = ramps[0][:, None, None] + (ramps[1][:, None] + ramps[2])
    return (away.abs_() <= reach + _ROUNDING).nonzero()


def regions_on(labels: LabelImage, grid: Grid) -> LabelImage:
    """The volume's labels on a placed slice."""
    shown = sample(labels.data.float(), labels.grid, grid.points(torch.float64), "nearest", "zeros")
    return replace(labels, data=shown.round().int(), grid=grid)
