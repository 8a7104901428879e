"""The bone as the silhouettes make it, in the volume."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from regsuite.solvers.hull import radial_solid, reached, visual_hull
from regsuite.spatial import Grid, LabelImage
from regsuite.spatial.radial import Arrangement
from regsuite.transforms import Affine


@dataclass(frozen=True)
class Fan:
    """Silhouettes (K, H, W) as they stand around an axis.

    pixel: mm; move: from a volume's RAS mm to the fan's frame.
    """

    silhouettes: Tensor
    pixel: float
    arrangement: Arrangement
    move: Affine

    def solid(self, grid: Grid, how: str) -> LabelImage:
        """On a volume's grid; how: 'radial' or 'visual hull', as the parameter says."""
        make = radial_solid if how == "radial" else visual_hull
        parts = [make(self.silhouettes, self.pixel, self.arrangement, points) for points in self._points(grid)]
        data = torch.cat(parts)[None, None].int()
        return LabelImage(data, grid, {1: "Reconstructed bone"}, {1: (0.9, 0.8, 0.5)})

    def dice(self, solid: LabelImage, bone: Tensor) -> float:
        """Of a solid and the bone (*shape) on its grid, as far as the slices reach."""
        around = torch.cat([reached(points, self.silhouettes, self.pixel) for points in self._points(solid.grid)])
        made, there = solid.mask(), bone & around
        return float(2 * (made & there).sum() / (made.sum() + there.sum()))

    def _points(self, grid: Grid) -> Iterator[Tensor]:
        """The grid's voxels in the fan's frame, (*shape, 3) mm, block by block."""
        for block in grid.blocks():
            yield self.move.points(block.grid.points(torch.float64))
