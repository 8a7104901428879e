"""Values of an image between its voxels. Normalised coordinates live in this file alone."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from regsuite.spatial.grid import Grid

Mode = Literal["linear", "nearest"]
Outside = Literal["zeros", "border"]


def sample(data: Tensor, grid: Grid, points: Tensor, mode: Mode = "linear", outside: Outside = "border") -> Tensor:
    """Values of ``data`` at physical points.

    data: (1, C, *grid.shape); points: (*any, d) RAS mm; returns (1, C, *any).
    outside: beyond the outermost voxel centres, "zeros" fades to nothing within a voxel, "border" repeats the edge.
    """
    inverse = torch.linalg.inv(torch.as_tensor(grid.affine, dtype=torch.float64, device=points.device))
    matrix, offset = inverse[:-1, :-1], inverse[:-1, -1]
    index = (points.to(torch.float64) @ matrix.T + offset).to(data.dtype)
    flat = index.reshape(1, -1, *([1] * (grid.dim - 1)), grid.dim)
    values = _at_index(data, flat, mode, outside)
    return values.reshape(1, data.shape[1], *points.shape[:-1])


def sample_index(data: Tensor, index: Tensor) -> Tensor:
    """Values of ``data`` (1, C, *shape) at fractional array indices (1, *any, d); linear, the edge repeats."""
    return _at_index(data, index, "linear", "border")


def _at_index(data: Tensor, index: Tensor, mode: Mode, outside: Outside) -> Tensor:
    """grid_sample at array indices (1, ..., d), whatever the size of the axes."""
    # An axis of one voxel has no length to divide by: it gets a neighbour on both sides.
    single = [int(size == 1) for size in data.shape[2:]]
    if any(single):
        margins = [margin for margin in reversed(single) for _ in range(2)]
        data = functional.pad(data, margins, mode="constant" if outside == "zeros" else "replicate")
        index = index + torch.tensor(single, dtype=index.dtype, device=index.device)
    last = torch.tensor(data.shape[2:], dtype=index.dtype, device=index.device) - 1
    normalised = 2 * index / last - 1
    return functional.grid_sample(
        data,
        normalised.flip(-1),
        mode="bilinear" if mode == "linear" else "nearest",
        padding_mode=outside,
        align_corners=True,
    )
