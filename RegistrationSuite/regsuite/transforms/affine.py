"""Linear maps with a translation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from regsuite.spatial.grid import Grid
from regsuite.transforms.base import Transform


class Affine(Transform):
    """T(x) = A x + t; ``matrix`` is the homogeneous (d+1, d+1), float64, RAS mm."""

    def __init__(self, matrix: Tensor | np.ndarray) -> None:
        self.matrix = torch.as_tensor(matrix, dtype=torch.float64)
        size = self.matrix.shape[0]
        if size not in (3, 4) or self.matrix.shape != (size, size):
            raise ValueError(f"an affine matrix is 3 x 3 or 4 x 4, not {tuple(self.matrix.shape)}")

    @property
    def dim(self) -> int:
        return int(self.matrix.shape[0]) - 1

    def points(self, x: Tensor) -> Tensor:
        matrix = self.matrix.to(x.device)
        return (x.to(torch.float64) @ matrix[:-1, :-1].T + matrix[:-1, -1]).to(x.dtype)

    def inverse(self) -> Affine:
        return Affine(torch.linalg.inv(self.matrix))

    def to(self, device: str | torch.device) -> Affine:
        return Affine(self.matrix.to(device))

    def jacobian_matrix(self, grid: Grid, device: str | torch.device = "cpu") -> Tensor:
        linear = self.matrix[:-1, :-1].to(device=device, dtype=torch.float32)
        return linear.reshape(1, self.dim, self.dim, *([1] * self.dim)).expand(-1, -1, -1, *grid.shape)

    def jacobian_determinant(self, grid: Grid, device: str | torch.device = "cpu") -> Tensor:
        value = torch.linalg.det(self.matrix[:-1, :-1]).to(device=device, dtype=torch.float32)
        return value.expand(1, 1, *grid.shape)


def identity(dim: int) -> Affine:
    """The transform that leaves every point where it is."""
    return Affine(torch.eye(dim + 1, dtype=torch.float64))
