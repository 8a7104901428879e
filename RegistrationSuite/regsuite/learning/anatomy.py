"""An atlas as training needs it: what plates and cuts at any angle show, and which regions they go through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regsuite.errors import InputError
from regsuite.learning.pictures import SHAPE
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.plates import Plates, cut, flat_points
from regsuite.spatial.smoothing import gaussian_smooth

_ROOM = 1.25
"""How much wider a picture is than the atlas."""
_FINE = 0.7
"""Voxels of the volumes that are cut, in pixels of a picture: smaller ones would not be seen."""
_BRIGHT = 0.995


@dataclass(frozen=True)
class Anatomy:
    """template: (1, 1, *shape), 0 to 1; regions: (1, 1, *shape) float, whole numbers below ``count``, 0 is outside;
    means: (count,) brightness of each in the template; pixel: mm of a picture."""

    template: Tensor
    regions: Tensor
    means: Tensor
    plates: Plates
    pixel: float

    @classmethod
    def of(cls, template: Image, labels: LabelImage | None, plates: Plates, device: str = "cpu") -> Anatomy:
        """Of an atlas; without an annotation, what is brighter than the background is one region.

        InputError where the template shows nothing.
        """
        width, height = plates.extent[:2]
        pixel = float(_ROOM * max(width / SHAPE[1], height / SHAPE[0]))
        grid = _coarser(template.grid, _FINE * pixel)
        data = _averaged(template, grid)
        shown = data[data > data.median()]
        if not shown.numel():
            raise InputError("The atlas shows nothing, its voxels are all alike: choose its template.")
        bright = torch.quantile(shown[:: max(1, data.numel() // 1_000_000)], _BRIGHT)
        data = (data / bright).clamp(0, 1)
        values, count = _numbered(data, labels, grid)
        means = torch.bincount(values.flatten().long(), data.flatten(), count) / torch.bincount(
            values.flatten().long(), minlength=count
        ).clamp(min=1)
        return cls(data.to(device), values.to(device), means.to(device), plates, pixel)

    @property
    def count(self) -> int:
        """Of regions, with what is outside."""
        return len(self.means)

    @property
    def grid(self) -> Grid:
        """Of the volumes that are cut."""
        return _coarser(self.plates.grid, _FINE * self.pixel)

    def points(self) -> Tensor:
        """(H, W, 3) mm in a plane, of a picture's pixels."""
        return flat_points(SHAPE, self.pixel).to(self.template.device)

    def shown(self, matrices: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """The template (B, 1, H, W) and the regions (B, H, W) in planes; see :func:`regsuite.spatial.plates.cut`."""
        template = cut(self.template, self.grid, matrices, points)
        return template, cut(self.regions, self.grid, matrices, points, "nearest")[:, 0].long()

    def plate_pictures(self, poses: Tensor) -> Tensor:
        """(B, 1, H, W): what the template shows at poses (B, 9)."""
        return cut(self.template, self.grid, self.plates.matrices(poses).to(self.template.device), self.points())


def _coarser(grid: Grid, spacing: float) -> Grid:
    return grid.resampled([max(spacing, h) for h in grid.spacing])


def _averaged(template: Image, grid: Grid) -> Tensor:
    """The template's data on a coarser grid of the same box, smoothed to it."""
    fine = template.grid.spacing
    widths = [0.4 * coarse if coarse > 1.01 * h else 0.0 for coarse, h in zip(grid.spacing, fine, strict=True)]
    return Image(gaussian_smooth(template.data.float(), fine, widths), template.grid).resampled(grid).data


def _numbered(template: Tensor, labels: LabelImage | None, grid: Grid) -> tuple[Tensor, int]:
    """Region numbers without gaps, float, on ``grid``."""
    if labels is None:
        inside = template > threshold(template)
        return inside.float(), 2
    values, numbers = np.unique(labels.array(), return_inverse=True)
    if values[0] != 0:
        numbers = numbers + 1
    dense = torch.from_numpy(numbers.reshape(labels.data.shape).astype(np.float32))
    return Image(dense, labels.grid).resampled(grid, "nearest").data, int(numbers.max()) + 1


def threshold(template: Tensor) -> float:
    """Between background and tissue of (1, 1, *shape) (Otsu 1979)."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(template[0, 0].cpu().numpy())
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.Execute(image)
    return float(otsu.GetThreshold())
