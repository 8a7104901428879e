"""Local normalised cross-correlation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regsuite.losses.slabs import slab_sum
from regsuite.losses.unlikeness import FLAT, unlikeness
from regsuite.losses.windows import window_matrix, window_sums

_EMPTY = 1e-3
"""Windows that hold a smaller share of a full one's weight do not count: their statistics would say nothing."""


def local_correlation(
    fixed: Tensor, weight: Tensor, spacing: Sequence[float], width: float
) -> Callable[[Tensor], Tensor]:
    """∫ w (1 - ρ²) dx, with ρ the correlation of both images under a Gaussian window.

    fixed, weight, and the images the result takes: (1, 1, *shape); spacing: mm per array axis;
    width: σ of the window, mm, and at least a voxel.
    Every voxel counts by its weight in every window, and its weight is shared among the windows, which stand at most
    σ apart. Variances below FLAT² count as noise (see :func:`unlikeness`).
    Sources: Cachier et al. 2003 (doi 10.1016/S1077-3142(03)00002-X); Avants et al. 2008
    (doi 10.1016/j.media.2007.06.004).
    """
    compared = _Compared.of(fixed[0, 0], weight[0, 0], spacing, width)
    return lambda image: slab_sum(compared.sums(image[0, 0]), lambda sums, rows: compared.unlike(sums, rows).sum())


def local_correlations(
    fixed: Tensor, weight: Tensor, spacing: Sequence[float], width: float
) -> Callable[[Tensor], Tensor]:
    """The same of many small images (B, 1, *shape) at once: (B,).

    weight: (1, 1, *shape), or (B, 1, *shape), for each its own.
    """
    compared = _Compared.of(fixed[0, 0], weight[:, 0], spacing, width)
    return lambda images: compared.unlike(compared.sums(images[:, 0]), slice(None)).flatten(1).sum(dim=1)


@dataclass(frozen=True)
class _Compared:
    """The fixed image T under its windows: one matrix per axis, the weight held by each, and mean and variance."""

    w: Tensor
    wT: Tensor
    matrices: list[Tensor]
    held: Tensor
    inverse: Tensor
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, T: Tensor, w: Tensor, spacing: Sequence[float], width: float) -> _Compared:
        """T: (*shape); w: (*shape), or (B, *shape) for as many images."""
        sigmas = [max(width / h, 1.0) for h in spacing]
        matrices = [window_matrix(n, sigma, int(sigma), T) for n, sigma in zip(T.shape, sigmas, strict=True)]
        held = window_sums(w, matrices)
        counts = held > _EMPTY * held.amax(dim=tuple(range(-T.ndim, 0)), keepdim=True)
        held, inverse = held * counts * math.prod(spacing), torch.where(counts, 1 / held, 0)
        wT = w * T
        mean = window_sums(wT, matrices) * inverse
        variance = window_sums(wT * T, matrices) * inverse - mean**2
        return cls(w, wT, matrices, held, inverse, mean, variance)

    def sums(self, I: Tensor) -> Tensor:
        """(3, ..., *windows) under the windows, of images (..., *shape)."""
        wI = self.w * I
        return torch.stack([window_sums(field, self.matrices) for field in (wI, wI * I, self.wT * I)])

    def unlike(self, sums: Tensor, rows: slice) -> Tensor:
        """(..., *windows) of w (1 - ρ²) under each window, on some rows of them."""
        mean = self.mean[rows]
        mean_I, square, product = sums * self.inverse[rows]
        covariance = product - mean_I * mean
        return self.held[rows] * unlikeness(covariance, square - mean_I**2, self.variance[rows], FLAT**2)
