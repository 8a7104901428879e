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
        return x + self._u(x)

    def _u(self, x: Tensor) -> Tensor:
        return sample(self.data, self.grid, x, outside="zeros")[0].movedim(0, -1).to(x.dtype)

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
        parts = (block.grid.points(torch.float64, self.data.device) for block in self.grid.blocks())
        v = torch.cat([self._solve(y.reshape(-1, self.dim)).to(self.data.dtype) for y in parts])
        return DisplacementField(self.grid, v.T.reshape(self.data.shape).contiguous())

    def _solve(self, y: Tensor) -> Tensor:
        """v (N, d) such that v + u(y + v) = 0 for points y (N, d)."""
        v = -self._u(y)
        residual = v + self._u(y + v)
        error = residual.norm(dim=-1)
        scale = torch.ones_like(error)
        for _ in range(_ITERATIONS):
            open_ = torch.nonzero((error > _TOLERANCE_MM) & (scale > _SMALLEST_STEP))[:, 0]
            if not len(open_):
                break
            newton = torch.linalg.solve_ex(self._jacobian_at((y + v)[open_]), residual[open_])[0]
            trial = v[open_] - scale[open_, None] * newton
            left = trial + self._u(y[open_] + trial)
            better = left.norm(dim=-1) < error[open_]
            scale[open_] = torch.where(better, (2 * scale[open_]).clamp(max=1), scale[open_] / 2)
            done = open_[better]
            v[done], residual[done], error[done] = trial[better], left[better], left[better].norm(dim=-1)
        return v

    def _jacobian_at(self, x: Tensor) -> Tensor:
        """∂T_i/∂x_j (N, d, d) at points x (N, d), by differences over a voxel."""
        axes = torch.as_tensor(self.grid.direction, dtype=x.dtype, device=x.device)
        half = 0.5 * axes.T * torch.as_tensor(self.grid.spacing, dtype=x.dtype, device=x.device)[:, None]
        along = [(self._u(x + step) - self._u(x - step)) / (2 * step.norm()) for step in half]
        return torch.stack(along, dim=-1) @ axes.T + torch.eye(self.dim, dtype=x.dtype, device=x.device)

    def to(self, device: str | torch.device) -> DisplacementField:
        return DisplacementField(self.grid, self.data.to(device))
