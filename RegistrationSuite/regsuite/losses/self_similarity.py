"""Self-similarity context: how alike the patches around a place are to each other, whatever their intensities."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from regsuite.losses.slabs import slab_sum, slabs
from regsuite.losses.unlikeness import FLAT
from regsuite.losses.windows import spread_back, window_matrix, window_sums

_EMPTY = 1e-3
"""Patches that hold a smaller share of a full one's weight are taken for equal in both images."""

_Way = tuple[int, ...]


def self_similarity_context(
    fixed: Tensor, weight: Tensor, spacing: Sequence[float], width: float
) -> Callable[[Tensor], Tensor]:
    """∫ w |M(I) - M(T)|² dx / channels, with M the descriptor MIND-SSC, each channel of it in 0..1.

    fixed, weight, and the images the result takes: (1, 1, *shape); spacing: mm per array axis;
    width: how far the neighbours lie from a place, mm, rounded to whole voxels and at least one.

    Of the four (2D) or six (3D) neighbours of a place, each two that are not opposite make a channel: 4, or 12.
    D is the mean squared difference of the Gaussian patches around the two (σ half the neighbours' distance), less
    the least D of the place; M = exp(-D / V) with V the mean of D over the channels and FLAT² for the noise.
    Pairs of voxels count by the product of their weights. Places stand a neighbour's distance apart, twice σ.
    Source: Heinrich et al. 2013 (doi 10.1007/978-3-642-40811-3_24); the squared difference in place of the absolute
    one, as its gradient goes to 0 with it.
    """
    steps = [max(1, round(width / h)) for h in spacing]
    patches = _Patches(weight[0, 0], steps)
    of_fixed = patches.distances(fixed[0, 0])
    target = torch.cat([_descriptor(of_fixed[:, around]) for _, around in slabs(of_fixed, beyond=1)], dim=1)
    share = patches.held * (math.prod(spacing) / len(target))

    def value(distances: Tensor, rows: slice) -> Tensor:
        return ((_descriptor(distances) - target[:, rows]).square().sum(dim=0) * share[rows]).sum()

    def integral(image: Tensor) -> Tensor:
        return slab_sum(_Distances.apply(image[0, 0], patches), value, beyond=1)

    return integral


def _descriptor(distances: Tensor) -> Tensor:
    """MIND-SSC (4 or 12, *places) from the distances of patches (2 or 6, *places and one more at either end)."""
    channels = torch.stack(list(_channels(distances)))
    channels = channels - channels.amin(dim=0)
    return torch.exp(-channels / (channels.mean(dim=0) + FLAT**2))


def _channels(distances: Tensor) -> Iterator[Tensor]:
    """Every distance twice: the two pairs of neighbours that lie the same way from each other."""
    dim = distances.ndim - 1
    for way, one in zip(_ways(dim), distances, strict=True):
        i, j = (axis for axis, step in enumerate(way) if step)
        for axis, shift in ((i, 1), (j, -way[j])):
            starts = [1 + shift * (other == axis) for other in range(dim)]
            yield one[tuple(slice(s, s + n - 2) for s, n in zip(starts, one.shape, strict=True))]


def _ways(dim: int) -> list[_Way]:
    """From one neighbour to another that is not opposite, in steps: (-1, 1), (-1, -1) in 2D, so for every two axes."""
    return [
        tuple(-(axis == i) + sign * (axis == j) for axis in range(dim))
        for i, j in itertools.combinations(range(dim), 2)
        for sign in (1, -1)
    ]


class _Patches:
    """Gaussian patches at places a neighbour's distance apart, and at one more beyond either end of every axis.

    weight: (*shape); steps: the neighbours' distance in voxels, per axis.
    """

    def __init__(self, weight: Tensor, steps: Sequence[int]) -> None:
        self.weight, self.steps = weight, steps
        sizes = zip(weight.shape, steps, strict=True)
        self.matrices = [window_matrix(n, step / 2, step, weight, beyond=1) for n, step in sizes]
        self.held = window_sums(weight, [matrix[1:-1] for matrix in self.matrices])
        self.inverse = [self._inverse(way) for way in _ways(weight.ndim)]

    def _inverse(self, way: _Way) -> Tensor:
        ends, matrices = self.pairs(way)
        held = window_sums(self.both_weights(ends), matrices)
        return torch.where(held > _EMPTY * held.max(), 1 / held, 0)

    def pairs(self, way: _Way) -> tuple[tuple[tuple[slice, ...], tuple[slice, ...]], list[Tensor]]:
        """Where the first and the second voxel of the pairs lie that are ``way`` apart, and the firsts' windows."""
        axes = zip(self.weight.shape, self.steps, way, strict=True)
        firsts, seconds = zip(*(_overlap(n, step * one) for n, step, one in axes), strict=True)
        return (firsts, seconds), [matrix[:, own] for matrix, own in zip(self.matrices, firsts, strict=True)]

    def both_weights(self, ends: tuple[tuple[slice, ...], tuple[slice, ...]]) -> Tensor:
        """The product of the weights of each pair."""
        return self.weight[ends[0]] * self.weight[ends[1]]

    def distances(self, image: Tensor) -> Tensor:
        """Mean squared difference of each patch to the one that lies a way from it, (ways, *places)."""
        distances = []
        for way, inverse in zip(_ways(image.ndim), self.inverse, strict=True):
            ends, matrices = self.pairs(way)
            squares = (image[ends[0]] - image[ends[1]]).square_().mul_(self.both_weights(ends))
            distances.append(window_sums(squares, matrices) * inverse)
        return torch.stack(distances)

    def pull_back(self, image: Tensor, gradient: Tensor) -> Tensor:
        """The gradient for the image (*shape) from that for the distances (ways, *places)."""
        total = torch.zeros_like(image)
        for way, inverse, of_one in zip(_ways(image.ndim), self.inverse, gradient, strict=True):
            ends, matrices = self.pairs(way)
            flow = spread_back(of_one * inverse, matrices).mul_(self.both_weights(ends))
            flow.mul_(image[ends[0]] - image[ends[1]])
            total[ends[0]].add_(flow, alpha=2)
            total[ends[1]].sub_(flow, alpha=2)
        return total


def _overlap(size: int, offset: int) -> tuple[slice, slice]:
    """The voxels of an axis that have another ``offset`` from them, and those others."""
    low, high = slice(0, max(0, size - abs(offset))), slice(min(size, abs(offset)), size)
    return (low, high) if offset >= 0 else (high, low)


class _Distances(torch.autograd.Function):
    """Distances of patches; keeps the image alone and takes its differences anew."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, patches: _Patches) -> Tensor:
        ctx.save_for_backward(image)
        ctx.patches = patches
        return patches.distances(image)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.patches.pull_back(*ctx.saved_tensors, *gradients), None
