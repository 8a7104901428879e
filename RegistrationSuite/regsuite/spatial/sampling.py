"""Values of an image between its voxels. Normalised coordinates live in this file alone."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from regsuite.spatial.grid import Grid

Mode = Literal["linear", "nearest"]
Outside = Literal["zeros", "border"]

_SHARE = 8192
"""Points that are worth a thread of their own."""
_MOST_THREADS = 8


class Carrier:
    """Reads fields of one grid, which has more than one voxel on every axis, through displacements on the same grid."""

    def __init__(self, grid: Grid, device: str | torch.device, dtype: torch.dtype = torch.float32) -> None:
        axes = [torch.linspace(-1, 1, n, dtype=dtype, device=device) for n in grid.shape]
        self._here = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1)[None]
        scale = [2 / ((n - 1) * h) for n, h in zip(grid.shape, grid.spacing, strict=True)]
        self._scale = torch.tensor(scale[::-1], dtype=dtype, device=device)

    def __call__(self, data: Tensor, u: Tensor) -> Tensor:
        """data∘(id + u): data (1, C, *shape); u (1, d, *shape) mm along the array axes. Linear, the edge repeats."""
        there = torch.addcmul(self._here, u.flip(1).movedim(1, -1), self._scale)
        return _read(data, there, "bilinear", "border")


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
    normalised = (2 * index / last - 1).flip(-1)
    return _read(data, normalised, "bilinear" if mode == "linear" else "nearest", outside)


def _read(data: Tensor, normalised: Tensor, mode: str, outside: str) -> Tensor:
    """grid_sample of one image (1, C, *shape) at (1, *any, d).

    On the CPU it gives a thread to every image of a batch, and so one here: the points are shared out as a batch.
    """
    count = math.prod(normalised.shape[1:-1])
    threads = min(torch.get_num_threads(), _MOST_THREADS, count // _SHARE)
    if data.device.type != "cpu" or threads < 2:
        return functional.grid_sample(data, normalised, mode, outside, align_corners=True)
    dim, share = normalised.shape[-1], count // threads
    points = normalised.reshape(-1, *([1] * (dim - 1)), dim)
    parts = points[: threads * share].reshape(threads, share, *points.shape[1:])
    copies = data.expand(threads, *data.shape[1:])
    values = functional.grid_sample(copies, parts, mode, outside, align_corners=True).reshape(threads, -1, share)
    whole = values.movedim(0, 1).reshape(1, data.shape[1], -1)
    if threads * share < count:
        rest = functional.grid_sample(data, points[None, threads * share :], mode, outside, align_corners=True)
        whole = torch.cat([whole, rest.reshape(1, data.shape[1], -1)], dim=2)
    return whole.reshape(1, data.shape[1], *normalised.shape[1:-1])
