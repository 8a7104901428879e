"""The bone as the silhouettes make it, in the volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regsuite.solvers.hull import bounds, radial_solid, reached, visual_hull
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
        data = torch.zeros(1, 1, *grid.shape, dtype=torch.int32)
        box = self._box(grid)
        inside = data[0, 0][box]
        if inside.numel():
            part = grid.cropped([each.start for each in box], inside.shape)
            points = self.move.points(part.points(torch.float64))
            inside[:] = make(self.silhouettes, self.pixel, self.arrangement, points).int()
        return LabelImage(data, grid, {1: "Reconstructed bone"}, {1: (0.9, 0.8, 0.5)})

    def dice(self, solid: LabelImage, bone: Tensor) -> float:
        """Of a solid and the bone (*shape) on its grid, as far as the slices reach."""
        made, voxels = solid.mask(), bone.nonzero()
        points = self.move.points(torch.from_numpy(solid.grid.to_world(voxels.numpy())))
        k, j, i = voxels[reached(points, self.silhouettes, self.pixel)].unbind(dim=1)
        return float(2 * made[k, j, i].sum() / (made.sum() + len(k)))

    def _box(self, grid: Grid) -> tuple[slice, ...]:
        """Those of the voxels that the solid can reach, by array axis."""
        radius, height = bounds(self.silhouettes, self.pixel)
        corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 3)
        corners *= torch.tensor([radius, radius, height], dtype=torch.float64)
        index = grid.to_index(self.move.inverse().points(corners).numpy())
        low, high = np.floor(index.min(axis=0)).astype(int), np.ceil(index.max(axis=0)).astype(int)
        ends = zip(np.clip(low, 0, grid.shape), np.clip(high + 1, 0, grid.shape), strict=True)
        return tuple(slice(int(start), int(stop)) for start, stop in ends)
