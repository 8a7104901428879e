"""A displacement at every voxel of a grid."""

from __future__ import annotations

import torch
from torch import Tensor

from regsuite.spatial.grid import Grid
from regsuite.spatial.sampling import sample
from regsuite.transforms.base import Transform

_INVERSE_TOLERANCE_MM = 1e-3
_INVERSE_ITERATIONS = 100


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
        u = sample(self.data, self.grid, x, outside="zeros")[0].movedim(0, -1)
        return x + u.to(x.dtype)

    def displacement(self, grid: Grid, device: str | torch.device = "cpu") -> Tensor:
        if grid == self.grid:
            return self.data.to(device=device, dtype=torch.float32)
        return super().displacement(grid, device)

    def inverse(self) -> DisplacementField:
        """On the same grid, by the fixed point v(y) = -u(y + v(y)), with the step halved where that diverges.

        The grid holds the inverse of a field that vanishes at its border; elsewhere the part that leaves it is lost.
        """
        y = self.grid.points(torch.float64, self.data.device)
        v = -self.data.to(torch.float64)
        step, error = 1.0, float("inf")
        for _ in range(_INVERSE_ITERATIONS):
            u = sample(self.data, self.grid, y + v[0].movedim(0, -1), outside="zeros").to(torch.float64)
            residual = v + u
            last, error = error, float(residual.norm(dim=1).max())
            if error < _INVERSE_TOLERANCE_MM:
                break
            step = step / 2 if error > last and step > 0.1 else step
            v = v - step * residual
        return DisplacementField(self.grid, v.to(self.data.dtype))

    def to(self, device: str | torch.device) -> DisplacementField:
        return DisplacementField(self.grid, self.data.to(device))
