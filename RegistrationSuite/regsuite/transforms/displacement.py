"""A displacement at every voxel of a grid."""

from __future__ import annotations

import torch
from torch import Tensor

from regsuite.spatial.grid import Grid
from regsuite.spatial.sampling import sample
from regsuite.transforms.base import Transform

_TOLERANCE_MM = 1e-4
_ITERATIONS = 60
_SMALLEST_STEP = 1e-3
_BLOCK = 1 << 18


class DisplacementField(Transform):
    """T(x) = x + u(x), u linear between the voxels of ``grid`` and zero outside it.

    data: u, (1, d, *shape), mm in RAS components.
    """

    def __init__(self, grid: Grid, data: Tensor) -> None:
        if tuple(data.shape) != (1, grid.dim, *grid.shape):
            raise ValueError(f"a displacement field {tuple(data.shape)} does not fit a grid of shape {grid.shape}")
        self.grid, self.data = grid, data

    @property
    def dim(self) -> int:
        return self.grid.dim

    def points(self, x: Tensor) -> Tensor:
        return x + _at(self.data, self.grid, x).to(x.dtype)

    def displacement(self, grid: Grid, device: str | torch.device = "cpu") -> Tensor:
        if grid == self.grid:
            return self.data.to(device=device, dtype=torch.float32)
        return super().displacement(grid, device)

    def inverse(self) -> DisplacementField:
        """On the same grid, exact to 1e-4 mm at its voxels, by Newton's method on r(v) = v + u(y + v).

        A step is halved where it would not lessen |r|. Where T does not fold, its Jacobian is regular and |r| has no
        minimum but zero, so this arrives however large the deformation is; where T folds the smallest |r| is kept.
        The grid holds the inverse of a field that vanishes at its border; elsewhere the part that leaves it is lost.
        """
        matrix = self.jacobian_matrix(self.grid, self.data.device)
        eye = torch.eye(self.dim, device=matrix.device).reshape(1, self.dim, self.dim, *([1] * self.dim))
        gradient = (matrix - eye).flatten(1, 2)
        y = self.grid.points(torch.float64, self.data.device).reshape(-1, self.dim)
        v = torch.cat([self._solve(block, gradient) for block in y.split(_BLOCK)])
        return DisplacementField(self.grid, v.T.reshape(self.data.shape).to(self.data.dtype))

    def _solve(self, y: Tensor, gradient: Tensor) -> Tensor:
        """v (N, d) such that v + u(y + v) = 0 for points y (N, d); ``gradient``: ∂u_i/∂x_j, (1, d * d, *shape)."""
        v = -_at(self.data, self.grid, y).to(y.dtype)
        residual = v + _at(self.data, self.grid, y + v)
        error = residual.norm(dim=-1)
        scale = torch.ones_like(error)
        eye = torch.eye(self.dim, dtype=y.dtype, device=y.device)
        for _ in range(_ITERATIONS):
            open_ = torch.nonzero((error > _TOLERANCE_MM) & (scale > _SMALLEST_STEP))[:, 0]
            if not len(open_):
                break
            slope = _at(gradient, self.grid, (y + v)[open_]).reshape(-1, self.dim, self.dim) + eye
            newton = torch.linalg.solve_ex(slope, residual[open_])[0]
            trial = v[open_] - scale[open_, None] * newton
            left = trial + _at(self.data, self.grid, y[open_] + trial)
            better = left.norm(dim=-1) < error[open_]
            scale[open_] = torch.where(better, (2 * scale[open_]).clamp(max=1), scale[open_] / 2)
            done = open_[better]
            v[done], residual[done], error[done] = trial[better], left[better], left[better].norm(dim=-1)
        return v

    def to(self, device: str | torch.device) -> DisplacementField:
        return DisplacementField(self.grid, self.data.to(device))


def _at(data: Tensor, grid: Grid, x: Tensor) -> Tensor:
    """Values (..., C) of ``data`` (1, C, *shape) at the points x (..., d), zero outside ``grid``."""
    return sample(data, grid, x, outside="zeros")[0].movedim(0, -1)
