"""Derivatives of fields on one grid. Displacements are mm along the array axes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regsuite.spatial.grid import Grid


def gradient(image: Tensor, spacing: Sequence[float]) -> Tensor:
    """∇ of (1, 1, *shape), per mm along each array axis: (1, d, *shape)."""
    return torch.cat([_central(image, axis, h) for axis, h in enumerate(spacing)], dim=1)


def jacobian_determinant(u: Tensor, spacing: Sequence[float]) -> Tensor:
    """det(I + Du) of (1, d, *shape) by central differences: (1, 1, *shape)."""
    return _determinant([_central(u, axis, h) for axis, h in enumerate(spacing)])


def corner_determinant(u: Tensor, spacing: Sequence[float], corner: Sequence[int]) -> Tensor:
    """det(I + Du) of (1, d, *shape) by the edges that meet in a corner (0 or 1 along each axis) of every cell of voxel
    centres: (1, 1, *(shape - 1)). Central differences would miss folds a voxel wide."""
    columns = []
    for axis, h in enumerate(spacing):
        difference = u.diff(dim=2 + axis) / h
        for other in range(len(spacing)):
            if other != axis:
                difference = difference.narrow(2 + other, corner[other], u.shape[2 + other] - 1)
        columns.append(difference)
    return _determinant(columns)


def _determinant(columns: Sequence[Tensor]) -> Tensor:
    """det(I + Du) from the derivatives ∂u/∂x_j (1, d, *shape), written out: torch.linalg.det is slow on many."""
    dim = len(columns)
    m = [[columns[j][:, i] + float(i == j) for j in range(dim)] for i in range(dim)]
    if dim == 2:
        return (m[0][0] * m[1][1] - m[0][1] * m[1][0])[:, None]
    determinant = (
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
        - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    )
    return determinant[:, None]


def strain_of(v: Tensor, spacing: Sequence[float]) -> float:
    """The largest Frobenius norm of Dv in fields (N, d, *shape)."""
    squares = sum(_central(v, axis, h).square().sum(dim=1) for axis, h in enumerate(spacing))
    return float(torch.as_tensor(squares).max().sqrt())


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
