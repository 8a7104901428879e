"""Images, labels and points carried by a transform."""

from __future__ import annotations

import torch

from regsuite.spatial.grid import Grid
from regsuite.spatial.image import Image, LabelImage, PointSet
from regsuite.spatial.sampling import Mode, Outside, sample
from regsuite.transforms.base import Transform


def warp_image(
    image: Image, transform: Transform, grid: Grid, mode: Mode = "linear", outside: Outside = "zeros"
) -> Image:
    """The moving ``image`` on the fixed ``grid``: moving(T(x)), resampled once."""
    points = transform.points(grid.points(torch.float64, image.data.device))
    return Image(sample(image.data, image.grid, points, mode, outside), grid, image.name)


def warp_labels(labels: LabelImage, transform: Transform, grid: Grid) -> LabelImage:
    """The moving ``labels`` on the fixed ``grid``: every label is interpolated alone, the largest share wins."""
    points = transform.points(grid.points(torch.float64, labels.data.device))
    result = torch.zeros((1, 1, *grid.shape), dtype=torch.int32, device=labels.data.device)
    best = torch.zeros((1, 1, *grid.shape), device=labels.data.device)
    background = torch.ones_like(best)
    for value in labels.values():
        share = sample(labels.mask(value)[None, None].float(), labels.grid, points, "linear", "zeros")
        background -= share
        result = torch.where(share > best, torch.full_like(result, value), result)
        best = torch.maximum(best, share)
    result = torch.where(background > best, torch.zeros_like(result), result)
    return LabelImage(result, grid, labels.names, labels.colours)


def warp_points(points: PointSet, transform: Transform) -> PointSet:
    """Every point where ``transform`` takes it; for points of the moving image give the inverse."""
    return PointSet(transform.points(points.points), points.names)
