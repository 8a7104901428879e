"""What the normalised measures share: how far two vectors are from parallel, where both stand out of the noise."""

from __future__ import annotations

from torch import Tensor

FLAT = 0.05
"""Contrast, in units of the images' scale 0..1, that is taken for noise: some twice that of a common MR image."""


def unlikeness(product: Tensor, square: Tensor, other: Tensor, floor: float) -> Tensor:
    """1 - (|a·b| + floor)² / ((a·a + floor)(b·b + floor)), from a·b, a·a and b·b.

    0 where a = ±b, however small, and where both are far below √floor; 1 - cos² of their angle where both are far
    above; near 1 where only one of them is; never outside 0..1 (Cauchy and Schwarz, with √floor as one more component).
    """
    return 1 - (product.abs() + floor) ** 2 / ((square + floor) * (other + floor))
