"""What a thick slice of a volume would show: averaged across its thickness, blurred by its point spread."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from regsuite.losses.windows import window_matrix
from regsuite.spatial.grid import Grid
from regsuite.spatial.plates import flat_points
from regsuite.spatial.sampling import sample

_APART = 1.0
"""Most millimetres between two of the cuts that a thick slice is the mean of."""
_FEWEST = 3


@dataclass(frozen=True)
class Emulator:
    """Makes slices of a volume.

    data: (1, 1, *grid.shape); points: (O, H, W, 3), pixel centres (right, down, across) mm of O cuts through a slice;
    blurs: matrices along rows and columns that spread each pixel.
    """

    data: Tensor
    grid: Grid
    points: Tensor
    blurs: tuple[Tensor, Tensor]

    def __call__(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Slices (B, 1, H, W) in planes (B, 4, 4), from a slice's (right, down, across) mm to RAS mm, and where they
        lie in the volume, (B, 1, H, W) 0 or 1. Differentiable in the planes."""
        planes = planes.to(self.points)
        there = torch.einsum("bij,ohwj->bohwi", planes[:, :3, :3], self.points) + planes[:, None, None, None, :3, 3]
        shown = sample(self.data, self.grid, there)[0, 0].mean(dim=1)
        rows, columns = self.blurs
        blurred = torch.einsum("rh,bhw,cw->brc", rows, shown, columns)
        return blurred[:, None], _within(there[:, self.points.shape[0] // 2].detach(), self.grid)[:, None]


def emulator(
    data: Tensor, grid: Grid, shape: tuple[int, int], pixel: float, thickness: float, spread: float
) -> Emulator:
    """Of a volume (1, 1, *grid.shape); pixel: mm; thickness: mm, of a box; spread: full width at half maximum of the
    Gaussian point spread in the plane, mm."""
    count = max(_FEWEST, 2 * math.ceil(thickness / _APART / 2) + 1) if thickness > 0 else 1
    offsets = ((torch.arange(count, dtype=data.dtype) + 0.5) / count - 0.5) * thickness
    flat = flat_points(shape, pixel, data.dtype)
    points = flat.expand(count, *flat.shape).clone()
    points[..., 2] = offsets[:, None, None]
    sigma = max(spread / math.sqrt(8 * math.log(2)) / pixel, 1e-3)
    rows, columns = (_normalised(window_matrix(size, sigma, 1, data)) for size in shape)
    return Emulator(data, grid, points.to(data.device), (rows, columns))


def _normalised(matrix: Tensor) -> Tensor:
    return matrix / matrix.sum(dim=1, keepdim=True)


def _within(points: Tensor, grid: Grid) -> Tensor:
    inverse = torch.linalg.inv(torch.as_tensor(grid.affine, dtype=torch.float64, device=points.device)).to(points)
    index = points @ inverse[:3, :3].T + inverse[:3, 3]
    last = torch.tensor(grid.shape, device=points.device) - 1
    return ((index >= 0) & (index <= last)).all(dim=-1).to(points)
