"""Slices and volume as the search takes them: even pixels, brightness from 0 to 1, the bone's outlines as points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from regsuite.errors import InputError
from regsuite.solvers.contour_fit import Surface
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.sampling import sample
from regsuite.spatial.surfaces import surface_points

_POINTS = 100
"""Of an outline, at most."""
_RANGE = (0.01, 0.995)
"""Quantiles of brightness that become 0 and 1."""
_FEWEST_PIXELS = 25
"""Of a silhouette that says anything."""


@dataclass(frozen=True)
class Slices:
    """K slices in their own (right, down) frames, from the middle of each.

    pictures: (K, 1, H, W), 0 to 1; silhouettes: (K, H, W), 0 or 1; pixel, thickness: mm.
    """

    pictures: Tensor
    silhouettes: Tensor
    pixel: float
    thickness: float

    @property
    def count(self) -> int:
        """K."""
        return len(self.pictures)

    def to(self, device: str | torch.device) -> Slices:
        """On another device."""
        return replace(self, pictures=self.pictures.to(device), silhouettes=self.silhouettes.to(device))

    def outlines(self) -> tuple[Tensor, Tensor]:
        """Points (K, N, 3) float64 on the outlines, (right, down, 0) mm, and weights (K, N) that sum to 1 in each slice
        and are 0 for points that only fill up."""
        found = [_outline(each, self.pixel) for each in self.silhouettes]
        most = max(len(each) for each in found)
        points, weights = torch.zeros(self.count, most, 3, dtype=torch.float64), torch.zeros(self.count, most)
        for row, each in enumerate(found):
            points[row, : len(each)] = each
            weights[row, : len(each)] = 1 / len(each)
        return points, weights

    def coarser(self, pixel: float) -> Slices:
        """With pixels of about that many mm, and no finer than they are."""
        times = max(1, round(pixel / self.pixel))
        if times == 1:
            return self
        rows, columns = (_means(n, times).to(self.pictures) for n in self.pictures.shape[2:])
        pictures, silhouettes = (rows @ each @ columns.T for each in (self.pictures, self.silhouettes))
        return Slices(pictures, (silhouettes > 0.5).float(), self.pixel * times, self.thickness)


@dataclass(frozen=True)
class Volume:
    """picture: (1, 1, *shape), 0 to 1; bone: (*shape) bool; surface: of the bone."""

    picture: Tensor
    grid: Grid
    bone: Tensor
    surface: Surface


def prepared_slices(images: Sequence[Image], silhouettes: Tensor, thickness: float) -> Slices:
    """Of K images on grids of shape (1, H, W), silhouettes (K, H, W) on the same pixels.

    InputError where a slice shows too little bone.
    """
    spacings = {tuple(np.round(image.grid.spacing[1:], 4)) for image in images}
    if len(spacings) > 1 or len({image.grid.shape for image in images}) > 1:
        raise InputError(
            "The slices differ in their matrix or pixel size: resample them to one, or take them from one examination."
        )
    for number, silhouette in enumerate(silhouettes, start=1):
        if int((silhouette > 0.5).sum()) < _FEWEST_PIXELS:
            raise InputError(
                f"Slice {number} shows no bone in its segmentation: paint it there, or leave the slice out."
            )
    pixel = min(images[0].grid.spacing[1:])
    stack = torch.stack([image.data[0, 0, 0] for image in images])
    pictures = torch.stack([_ranged(_square(each, images[0].grid, pixel)) for each in stack])
    masks = torch.stack([_square(each, images[0].grid, pixel) for each in silhouettes.to(stack)])
    return Slices(pictures[:, None], (masks > 0.5).float(), float(pixel), thickness)


def prepared_volume(image: Image, labels: LabelImage, bone: int) -> Volume:
    """InputError where the label is nowhere in the volume."""
    inside = labels.mask(bone)
    if not bool(inside.any()):
        raise InputError(f"The volume's segmentation has no '{labels.name_of(bone)}': choose another bone.")
    if not labels.grid.same_as(image.grid):
        inside = LabelImage(inside[None, None].int(), labels.grid).data
        inside = sample(inside.float(), labels.grid, image.grid.points(), "nearest", "zeros")[0, 0] > 0.5
    return Volume(_ranged(image.data), image.grid, inside, Surface.of(inside, image.grid))


def beyond(slices: Slices, grid: Grid, planes: Tensor) -> float:
    """The share of the slices' outlines that lies outside a volume; planes: (K, 4, 4) float64, to its RAS mm."""
    points, weights = slices.outlines()
    there = points @ planes[:, :3, :3].transpose(1, 2) + planes[:, None, :3, 3]
    index = grid.to_index(there.cpu().numpy())
    outside = ((index < -0.5) | (index > np.array(grid.shape) - 0.5)).any(axis=-1)
    return float((weights * torch.from_numpy(outside)).sum() / slices.count)


def square_shape(grid: Grid, pixel: float) -> tuple[int, int]:
    """Rows and columns of square pixels, mm, over the field of view of a slice (1, H, W)."""
    rows, columns = (max(8, round(n * step / pixel)) for n, step in zip(grid.shape[1:], grid.spacing[1:], strict=True))
    return rows, columns


def _square(data: Tensor, grid: Grid, pixel: float) -> Tensor:
    """(H, W) on square pixels, over the same field of view."""
    shape = square_shape(grid, pixel)
    if shape == tuple(data.shape):
        return data
    return functional.interpolate(data[None, None], shape, mode="bilinear", align_corners=False)[0, 0]


def _means(count: int, times: int) -> Tensor:
    """(count // times, count): means of that many pixels each, about the same middle; what is left over stays out at
    both ends alike."""
    low = torch.arange(count, dtype=torch.float32)
    start = (count % times) / 2 + times * torch.arange(count // times, dtype=torch.float32)[:, None]
    return (torch.minimum(low + 1, start + times) - torch.maximum(low, start)).clamp(min=0) / times


def _ranged(values: Tensor) -> Tensor:
    """0 to 1, with what is missing at 0."""
    values = torch.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    some = values.flatten()[:: max(1, values.numel() // 200_000)].double()
    low, high = torch.quantile(some, torch.tensor(_RANGE, dtype=some.dtype)).tolist()
    return ((values - low) / max(high - low, 1e-6)).clamp(0, 1)


def _outline(silhouette: Tensor, pixel: float) -> Tensor:
    rows, columns = silhouette.shape
    right, down = -(columns - 1) / 2 * pixel, -(rows - 1) / 2 * pixel
    affine = np.array([[0, 0, pixel, right], [0, pixel, 0, down], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=float)
    grid = Grid.from_affine((1, rows, columns), affine)
    labels = LabelImage.from_array((silhouette.cpu().numpy() > 0.5).astype(np.int32)[None], grid)
    return surface_points(labels, 1, _POINTS)
