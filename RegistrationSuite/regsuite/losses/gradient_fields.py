"""Normalised gradient fields: edges compared by their direction alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from regsuite.losses.slabs import slab_sum
from regsuite.losses.unlikeness import unlikeness

_EDGE = 0.5
"""The slope from which an edge counts, in mean slopes of edges."""
_FLAT_SLOPE = 0.01
"""Contrast across the whole image, below whose slope nothing counts as an edge."""


def gradient_fields(fixed: Tensor, weight: Tensor, spacing: Sequence[float]) -> Callable[[Tensor], Tensor]:
    """∫ w (1 - (|∇I·∇T| + η²)² / ((|∇I|² + η²)(|∇T|² + η²))) dx.

    fixed, weight, and the images the result takes: (1, 1, *shape); spacing: mm per array axis.
    η, the slope from which an edge counts, is half the mean of |∇T| over the weighted region weighted by itself (so
    that it is told by the edges and not by how much of the image is empty), for both images, as they share one scale.
    η in the product is what makes the density 0 where the images are equal, be they flat or not;
    the absolute value leaves it to each place whether contrast is turned round.
    Products are taken between the short differences on the faces of the voxels and averaged to the voxels' centres;
    a voxel counts by the least weight of those its gradient is made of.
    Sources: Haber and Modersitzki 2006 (doi 10.1007/11866763_89); η in the product: Rühaak et al., A fully parallel
    algorithm for multimodal image registration using normalized gradient fields, ISBI 2013.
    """
    slopes = _slopes(fixed[0, 0], spacing)
    counted = _least_around(weight[0, 0])
    square = torch.zeros_like(counted)
    for axis, slope in enumerate(slopes):
        _add_at_voxels(square, slope.square(), axis)
    extent = max(n * h for n, h in zip(counted.shape, spacing, strict=True))
    mean = float((square * counted).sum() / (square.sqrt() * counted).sum().clamp_min(1e-12))
    floor = max(_EDGE * mean, _FLAT_SLOPE / extent) ** 2
    counted = counted * math.prod(spacing)

    def value(products: Tensor, rows: slice) -> Tensor:
        return (counted[rows] * unlikeness(products[0], products[1], square[rows], floor)).sum()

    def integral(image: Tensor) -> Tensor:
        return slab_sum(_Products.apply(image[0, 0], slopes, spacing), value)

    return integral


class _Products(torch.autograd.Function):
    """∇I·∇T and |∇I|² at the voxels, (2, *shape), from I (*shape) and the slopes of T; keeps I, not its slopes."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, slopes: Sequence[Tensor], spacing: Sequence[float]) -> Tensor:
        ctx.save_for_backward(image, *slopes)
        ctx.spacing = spacing
        own = _slopes(image, spacing)
        products = image.new_zeros(2, *image.shape)
        for axis, (slope, other) in enumerate(zip(own, slopes, strict=True)):
            _add_at_voxels(products[0], slope * other, axis)
            _add_at_voxels(products[1], slope.square_(), axis)
        return products

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        image, *slopes = ctx.saved_tensors
        of_products, of_squares = gradients[0]
        total = torch.zeros_like(image)
        for axis, (own, slope, h) in enumerate(zip(_slopes(image, ctx.spacing), slopes, ctx.spacing, strict=True)):
            flow = _at_faces(of_products, axis).mul_(slope).addcmul_(_at_faces(of_squares, axis), own, value=2)
            low, high = _sides(total, axis)
            low.sub_(flow, alpha=1 / h)
            high.add_(flow, alpha=1 / h)
        return total, None, None


def _slopes(data: Tensor, spacing: Sequence[float]) -> list[Tensor]:
    """Differences across the inner faces of the voxels, per mm, one tensor per axis (one shorter along it)."""
    return [torch.diff(data, dim=axis).div_(h) for axis, h in enumerate(spacing)]


def _sides(data: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The voxels before and behind every inner face of an axis."""
    count = data.shape[axis] - 1
    return data.narrow(axis, 0, count), data.narrow(axis, 1, count)


def _add_at_voxels(total: Tensor, faces: Tensor, axis: int) -> None:
    """Adds what lies on the inner faces of an axis, averaged from the two faces of a voxel, 0 on the outermost."""
    for side in _sides(total, axis):
        side.add_(faces, alpha=0.5)


def _at_faces(values: Tensor, axis: int) -> Tensor:
    """What lies at the voxels averaged to the inner faces of an axis: the adjoint of :func:`_add_at_voxels`."""
    low, high = _sides(values, axis)
    return torch.add(low, high).mul_(0.5)


def _least_around(weight: Tensor) -> Tensor:
    """The least weight (*shape) of a voxel and its neighbours along the axes."""
    least = weight.clone()
    for axis in range(weight.ndim):
        low, high = _sides(weight, axis)
        for side, other in zip(_sides(least, axis), (high, low), strict=True):
            torch.minimum(side, other, out=side)
    return least
