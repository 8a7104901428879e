"""Images, labels and points carried by a transform."""

from __future__ import annotations

import itertools
from dataclasses import replace

import torch
from torch import Tensor

from regsuite.spatial.grid import Grid
from regsuite.spatial.image import Image, LabelImage, PointSet
from regsuite.spatial.sampling import Mode, Outside, sample
from regsuite.transforms.base import Transform


def warp_image(
    image: Image, transform: Transform, grid: Grid, mode: Mode = "linear", outside: Outside = "zeros"
) -> Image:
    """The moving ``image`` on the fixed ``grid``: moving(T(x)), resampled once."""
    parts = (transform.points(block.grid.points(torch.float64, image.data.device)) for block in grid.blocks())
    values = [sample(image.data, image.grid, points, mode, outside) for points in parts]
    return Image(torch.cat(values, dim=2), grid, image.name)


def warp_labels(labels: LabelImage, transform: Transform, grid: Grid) -> LabelImage:
    """The moving ``labels`` on the fixed ``grid``: every label is interpolated alone, the largest share wins.

    Equal shares go to the larger label value. What comes from outside the moving image is background.
    """
    parts = (transform.points(block.grid.points(torch.float64, labels.data.device)) for block in grid.blocks())
    values = torch.cat([_vote(labels, points.reshape(-1, grid.dim)) for points in parts])
    return replace(labels, data=values.reshape(1, 1, *grid.shape), grid=grid)


def _vote(labels: LabelImage, points: Tensor) -> Tensor:
    """The label (N,) with the largest linear weight among the 2^d voxels around each point (N, d).

    The cost does not depend on the number of labels.
    """
    inverse = torch.linalg.inv(torch.as_tensor(labels.grid.affine, device=points.device))
    index = points @ inverse[:-1, :-1].T + inverse[:-1, -1]
    base = index.floor()
    steps = torch.tensor(list(itertools.product((0, 1), repeat=labels.grid.dim)), device=points.device)
    value = torch.stack([_label_at(labels, base.long() + step) for step in steps])
    chosen = value[0].clone()
    mixed = (value != chosen).any(dim=0)
    chosen[mixed] = _heaviest(value[:, mixed], (index - base)[mixed], steps)
    return chosen


def _heaviest(value: Tensor, upper: Tensor, steps: Tensor) -> Tensor:
    """Of the labels (2^d, N) at the corners ``steps`` (2^d, d) of cells, the one with the largest weight at the place
    ``upper`` (N, d) in the cell, 0..1."""
    weight = torch.stack([torch.where(step == 1, upper, 1 - upper).prod(dim=-1).float() for step in steps])
    share = torch.stack([((value == one) * weight).sum(dim=0) for one in value])
    lowest = torch.iinfo(value.dtype).min
    # Rounding must not decide between equal shares.
    return torch.where(share > share.amax(dim=0) - 1e-5, value, lowest).amax(dim=0)


def _label_at(labels: LabelImage, index: Tensor) -> Tensor:
    """The label (N,) of the voxel at each whole index (N, d), 0 outside."""
    shape = torch.tensor(labels.grid.shape, device=index.device)
    inside = ((index >= 0) & (index < shape)).all(dim=-1)
    position = torch.zeros_like(index[:, 0])
    for axis, size in enumerate(labels.grid.shape):
        position = position * size + index[:, axis].clamp(0, size - 1)
    return torch.where(inside, labels.data.reshape(-1)[position], 0)


def warp_points(points: PointSet, transform: Transform) -> PointSet:
    """Every point where ``transform`` takes it; for points of the moving image give the inverse."""
    return PointSet(transform.points(points.points), points.names)
