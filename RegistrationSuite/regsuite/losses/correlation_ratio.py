"""The correlation ratio: how much of one image is a function of the other, whatever that function."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

_BINS = 32


def correlation_ratios(fixed: Tensor, weight: Tensor, pooled: bool = False) -> Callable[[Tensor], Tensor]:
    """-η²(moving | fixed) of many images at once, (B,), -1 to 0; or, ``pooled``, of all of them together, (1,).

    η² = 1 - Σ_b w_b Var_b(moving) / Var(moving), over the bins b of the fixed image; 0 where the moving one is flat.
    fixed, and the images the result takes: (B, 1, *shape), the fixed one 0 to 1 (values beyond count as the nearest of
    these); weight: of the same shape, how much each pixel counts.
    Source: Roche et al. 1998 (doi 10.1007/BFb0056301).
    """
    groups = 1 if pooled else len(fixed)
    shares = weight.reshape(groups, -1)
    shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-12)
    bins = (fixed.reshape(groups, -1).clamp(0, 1) * (_BINS - 1)).round().long()
    held = shares.new_zeros(groups, _BINS).scatter_add(1, bins, shares)

    def value(moving: Tensor) -> Tensor:
        values = moving.reshape(groups, -1)
        away = values - (shares * values).sum(dim=1, keepdim=True)
        variance = (shares * away.square()).sum(dim=1)
        sums = shares.new_zeros(groups, _BINS).scatter_add(1, bins, shares * away)
        between = (sums.square() / held.clamp(min=1e-12)).sum(dim=1)
        return -between / variance.clamp(min=1e-12)

    return value
