"""Mutual information, from joint histograms."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_BINS = 32
_REACH = 4
"""Bins that one value of the moving image touches: the support of a cubic B-spline."""


def mutual_informations(
    fixed: Tensor, weight: Tensor, pooled: bool = False, normalised: bool = False
) -> Callable[[Tensor], Tensor]:
    """-I(fixed; moving) of many images at once, nats (B,); or, ``pooled``, of all of them in one histogram, (1,).

    fixed, and the images the result takes: (B, 1, *shape), 0 to 1 (values beyond count as the nearest of these);
    weight: of the same shape, how much each pixel counts. Where nothing does, 0.
    normalised: -(H(fixed) + H(moving)) / H(fixed, moving) instead, -2 to -1 (Studholme et al. 1999, doi
    10.1016/S0031-3203(98)00091-0).
    The moving image's histogram is a Parzen estimate by cubic B-splines, so that its derivatives are continuous; the
    fixed one's is of plain bins. Source: Mattes et al. 2003 (doi 10.1109/TMI.2003.809072).
    """
    groups = 1 if pooled else len(fixed)
    shares = weight.reshape(groups, -1)
    shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-12)
    rows = (fixed.reshape(groups, -1).clamp(0, 1) * (_BINS - 1)).round().long() * _BINS

    def value(moving: Tensor) -> Tensor:
        joint = _joint(moving.reshape(groups, -1), rows, shares)
        return -_normalised(joint) if normalised else -_information(joint)

    return value


def _joint(moving: Tensor, rows: Tensor, shares: Tensor) -> Tensor:
    """(B, bins, bins): how often the fixed image's bin and the moving one's come together."""
    place = 1 + moving.clamp(0, 1) * (_BINS - 4) + 1e-3
    first = place.floor().detach()
    part = place - first
    joint = moving.new_zeros(len(moving), _BINS * _BINS)
    for step, share in zip(range(-1, _REACH - 1), _spline(part), strict=True):
        joint = joint.scatter_add(1, rows + first.long() + step, share * shares)
    return joint.reshape(-1, _BINS, _BINS)


def _spline(part: Tensor) -> tuple[Tensor, ...]:
    """The cubic B-spline at the four bins around a place that lies that far beyond the second of them."""
    rest = 1 - part
    return (
        rest**3 / 6,
        (3 * part**3 - 6 * part**2 + 4) / 6,
        (3 * rest**3 - 6 * rest**2 + 4) / 6,
        part**3 / 6,
    )


def _information(joint: Tensor) -> Tensor:
    """(B,) nats."""
    both, one, other = _entropies(joint)
    return one + other - both


def _normalised(joint: Tensor) -> Tensor:
    """(B,)."""
    both, one, other = _entropies(joint)
    return (one + other) / both.clamp(min=1e-12)


def _entropies(joint: Tensor) -> list[Tensor]:
    """(B,) nats each: of both together, and of each alone."""
    densities = (joint, joint.sum(dim=1), joint.sum(dim=2))
    return [-torch.xlogy(p, p.clamp(min=1e-12)).flatten(1).sum(dim=1) for p in densities]
