"""Pieces of semi-Lagrangian integration on one grid. Displacements are mm along the array axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from regsuite.spatial.grid import Grid
from regsuite.spatial.sampling import sample_index


class Carrier:
    """Reads fields of one grid through displacements on the same grid."""

    def __init__(self, grid: Grid, device: str | torch.device) -> None:
        self._index = voxel_index(grid, grid, device)
        self._spacing = torch.tensor(grid.spacing, dtype=torch.float32, device=device)

    def __call__(self, data: Tensor, u: Tensor) -> Tensor:
        """data∘(id + u): data (1, C, *shape), u (1, d, *shape)."""
        return sample_index(data, self._index + u.movedim(1, -1) / self._spacing)


def voxel_index(grid: Grid, other: Grid, device: str | torch.device) -> Tensor:
    """Where the voxels of ``grid`` are in ``other``, as fractional array indices (1, *grid.shape, d)."""
    index = other.to_index(grid.points(torch.float64).numpy())
    return torch.as_tensor(index, dtype=torch.float32, device=device)[None]


def border_window(grid: Grid, ramp: float, device: str | torch.device) -> Tensor:
    """1 inside, falling to 0 over the outermost ``ramp`` mm (at least one voxel): (1, 1, *shape).

    Windowing a kernel on both sides, w K w, leaves it a kernel, whose fields vanish at the border.
    """
    window = torch.ones(1, 1, *grid.shape, device=device)
    for axis, (n, h) in enumerate(zip(grid.shape, grid.spacing, strict=True)):
        index = torch.arange(n, device=device)
        distance = torch.minimum(index, index.flip(0)) * h / max(ramp, h)
        profile = torch.sin(0.5 * math.pi * distance.clamp(max=1)) ** 2
        window = window * profile.reshape([-1 if other == axis else 1 for other in range(grid.dim)])
    return window


def gradient(image: Tensor, spacing: Sequence[float]) -> Tensor:
    """∇ of (1, 1, *shape), per mm along each array axis: (1, d, *shape)."""
    return torch.cat([_central(image, axis, h) for axis, h in enumerate(spacing)], dim=1)


def jacobian_determinant(u: Tensor, spacing: Sequence[float]) -> Tensor:
    """det(I + Du) of (1, d, *shape): (1, 1, *shape), written out: torch.linalg.det is slow on many small matrices."""
    dim = len(spacing)
    columns = [_central(u, axis, h) for axis, h in enumerate(spacing)]
    m = [[columns[j][:, i] + float(i == j) for j in range(dim)] for i in range(dim)]
    if dim == 2:
        return (m[0][0] * m[1][1] - m[0][1] * m[1][0])[:, None]
    determinant = (
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
        - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    )
    return determinant[:, None]


def _central(data: Tensor, axis: int, spacing: float) -> Tensor:
    """Central difference along a spatial axis, one-sided at the ends."""
    n = data.shape[2 + axis]
    inner = (data.narrow(2 + axis, 2, n - 2) - data.narrow(2 + axis, 0, n - 2)) / (2 * spacing)
    first = (data.narrow(2 + axis, 1, 1) - data.narrow(2 + axis, 0, 1)) / spacing
    last = (data.narrow(2 + axis, n - 1, 1) - data.narrow(2 + axis, n - 2, 1)) / spacing
    return torch.cat([first, inner, last], dim=2 + axis)


def axes_to_world(u: Tensor, grid: Grid) -> Tensor:
    """Components along the array axes (N, d, *shape) as RAS components."""
    direction = torch.as_tensor(grid.direction, dtype=u.dtype, device=u.device)
    return torch.einsum("wa,na...->nw...", direction, u)
