"""Flows of velocity fields."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from regsuite.spatial.grid import Grid
from regsuite.spatial.sampling import sample
from regsuite.transforms.base import Transform
from regsuite.transforms.displacement import DisplacementField


class StationaryVelocity(Transform):
    """T = exp(v), the flow of a velocity that does not change over unit time, by scaling and squaring.

    data: v, (1, d, *shape), mm in RAS components, zero outside ``grid``.
    """

    def __init__(self, grid: Grid, data: Tensor) -> None:
        if tuple(data.shape) != (1, grid.dim, *grid.shape):
            raise ValueError(f"a velocity field {tuple(data.shape)} does not fit a grid of shape {grid.shape}")
        self.grid, self.data = grid, data
        self._field: DisplacementField | None = None

    @property
    def dim(self) -> int:
        return self.grid.dim

    def field(self) -> DisplacementField:
        """exp(v) as a displacement on the velocity's own grid."""
        if self._field is None:
            largest = float(self.data.norm(dim=1).max()) / min(self.grid.spacing)
            # A first step below an eighth of a voxel keeps the first-order start accurate.
            squarings = max(0, math.ceil(math.log2(max(largest, 1e-12) * 8)))
            u = self.data.to(torch.float64) / 2**squarings
            x = self.grid.points(torch.float64, u.device)
            for _ in range(squarings):
                u = u + sample(u, self.grid, x + u[0].movedim(0, -1), outside="zeros")
            self._field = DisplacementField(self.grid, u.to(self.data.dtype))
        return self._field

    def points(self, x: Tensor) -> Tensor:
        return self.field().points(x)

    def inverse(self) -> StationaryVelocity:
        return StationaryVelocity(self.grid, -self.data)

    def to(self, device: str | torch.device) -> StationaryVelocity:
        return StationaryVelocity(self.grid, self.data.to(device))


class TimeVelocity(Transform):
    """The flow over unit time of a velocity that is constant on each of T equal intervals (midpoint rule).

    data: (T, d, *shape), mm in RAS components, zero outside ``grid``.
    """

    def __init__(self, grid: Grid, data: Tensor) -> None:
        if data.ndim != grid.dim + 2 or tuple(data.shape[1:]) != (grid.dim, *grid.shape):
            raise ValueError(f"a velocity path {tuple(data.shape)} does not fit a grid of shape {grid.shape}")
        self.grid, self.data = grid, data

    @property
    def dim(self) -> int:
        return self.grid.dim

    def points(self, x: Tensor) -> Tensor:
        step = 1 / len(self.data)
        for v in self.data.split(1):
            middle = x + 0.5 * step * self._velocity(v, x)
            x = x + step * self._velocity(v, middle)
        return x

    def field(self) -> DisplacementField:
        """The flow as a displacement on the velocity's own grid."""
        return DisplacementField(self.grid, self.displacement(self.grid, self.data.device))

    def _velocity(self, v: Tensor, x: Tensor) -> Tensor:
        return sample(v, self.grid, x, outside="zeros")[0].movedim(0, -1).to(x.dtype)

    def inverse(self) -> TimeVelocity:
        return TimeVelocity(self.grid, -self.data.flip(0))

    def to(self, device: str | torch.device) -> TimeVelocity:
        return TimeVelocity(self.grid, self.data.to(device))
