"""The contract of every transform.

Direction: T takes points of the fixed image to points of the moving image, so ``warped(x) = moving(T(x))``.
Points, labels drawn as points, models and markups of the moving image come to the fixed one by ``T.inverse()``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from regsuite.spatial.grid import Grid


class Transform(ABC):
    """A map of physical space (RAS mm) in ``dim`` dimensions."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """2 or 3."""

    @abstractmethod
    def points(self, x: Tensor) -> Tensor:
        """Where the points x (..., d) mm go, in the precision of x."""

    @abstractmethod
    def inverse(self) -> Transform:
        """The transform that takes every point back."""

    @abstractmethod
    def to(self, device: str | torch.device) -> Transform:
        """On another device."""

    def __call__(self, x: Tensor) -> Tensor:
        """Same as :meth:`points`."""
        return self.points(x)

    def __matmul__(self, other: Transform) -> Transform:
        """(self @ other)(x) = self(other(x))."""
        from regsuite.transforms.chain import chain

        return chain(other, self)

    def displacement(self, grid: Grid, device: str | torch.device = "cpu") -> Tensor:
        """T(x) - x in mm at every voxel of ``grid``, (1, d, *shape) float32."""
        parts = (block.grid.points(torch.float64, device) for block in grid.blocks())
        moves = [(self.points(x) - x).to(torch.float32) for x in parts]
        return torch.cat(moves).movedim(-1, 0)[None].contiguous()

    def jacobian_matrix(self, grid: Grid, device: str | torch.device = "cpu") -> Tensor:
        """∂T_i/∂x_j, (1, d, d, *shape), by central differences on ``grid`` (one-sided at its border)."""
        return _jacobian(self.displacement(grid, device), grid)

    def jacobian_determinant(self, grid: Grid, device: str | torch.device = "cpu") -> Tensor:
        """det ∂T/∂x, (1, 1, *shape): above 1 where fixed space covers more moving tissue, below 0 where it folds."""
        u = self.displacement(grid, device)
        parts = [determinant(_jacobian(u[:, :, rows], part))[:, :, own] for part, rows, own in grid.blocks(halo=1)]
        return torch.cat(parts, dim=2)


def _jacobian(u: Tensor, grid: Grid) -> Tensor:
    """I + ∂u_i/∂x_j, (1, d, d, *shape), of a displacement (1, d, *shape) on ``grid``."""
    axes = torch.as_tensor(grid.direction, dtype=u.dtype, device=u.device)
    along = torch.stack([_difference(u, axis, grid.spacing[axis]) for axis in range(grid.dim)], dim=2)
    world = torch.einsum("niaxyz,ja->nijxyz" if grid.dim == 3 else "niaxy,ja->nijxy", along, axes)
    eye = torch.eye(grid.dim, dtype=u.dtype, device=u.device)
    return world + eye.reshape(1, grid.dim, grid.dim, *([1] * grid.dim))


def determinant(matrix: Tensor) -> Tensor:
    """Of (N, d, d, ...), d = 2 or 3, written out because a factorisation a voxel is slow: (N, 1, ...)."""
    m = [list(row.unbind(1)) for row in matrix.unbind(1)]
    if len(m) == 2:
        return (m[0][0] * m[1][1] - m[0][1] * m[1][0])[:, None]
    minors = [m[1][j - 2] * m[2][j - 1] - m[1][j - 1] * m[2][j - 2] for j in range(3)]
    return (m[0][0] * minors[0] + m[0][1] * minors[1] + m[0][2] * minors[2])[:, None]


def _difference(data: Tensor, axis: int, spacing: float) -> Tensor:
    """Derivative of (1, C, *shape) along a spatial axis, per mm; zero on an axis of one voxel."""
    if data.shape[2 + axis] == 1:
        return torch.zeros_like(data)
    return torch.gradient(data, spacing=spacing, dim=2 + axis)[0]
