"""How alike many flat images are, pair by pair or all together, by the name of the measure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from regsuite.losses.correlation import local_correlation
from regsuite.losses.correlation_ratio import correlation_ratios
from regsuite.losses.gradient_fields import gradient_fields
from regsuite.losses.mutual_information import mutual_informations

WINDOW = 8.0
"""mm: σ of the windows of the local correlation."""

Measure = Callable[[Tensor], Tensor]


class _Kind(Protocol):
    def __call__(self, fixed: Tensor, weight: Tensor, pixel: float, pooled: bool) -> Measure: ...


def unlike(name: str, fixed: Tensor, weight: Tensor, pixel: float, pooled: bool = False) -> Measure:
    """What takes images (B, 1, H, W) to how unlike the fixed ones they are, (B,), or ``pooled`` all together, (1,).

    fixed: (B, 1, H, W), 0 to 1, as the images are; weight: of the same shape, 0 or 1, how much each pixel counts, and
    where none does images are least alike; pixel: mm. The less, the more alike; the scale is the measure's own: minus
    the (normalised) mutual information or correlation ratio, and of local measures minus the mean of ρ² by windows, or
    of the squared cosine between the gradients.
    """
    return _KINDS[name](fixed, weight, pixel, pooled)


def _information(fixed: Tensor, weight: Tensor, pixel: float, pooled: bool, normalised: bool) -> Measure:
    return mutual_informations(fixed, weight, pooled, normalised)


def _ratio(fixed: Tensor, weight: Tensor, pixel: float, pooled: bool) -> Measure:
    return correlation_ratios(fixed, weight, pooled)


def _correlation(fixed: Tensor, weight: Tensor, pixel: float, pooled: bool) -> Measure:
    spacing = (pixel, pixel)
    pairs = _each(fixed, weight)
    return _mean([local_correlation(*pair, spacing, WINDOW) for pair in pairs], weight, pixel, pooled)


def _gradients(fixed: Tensor, weight: Tensor, pixel: float, pooled: bool) -> Measure:
    spacing = (pixel, pixel)
    return _mean([gradient_fields(*pair, spacing) for pair in _each(fixed, weight)], weight, pixel, pooled)


def _each(fixed: Tensor, weight: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(fixed.split(1), weight.split(1), strict=True))


def _mean(integrals: list[Measure], weight: Tensor, pixel: float, pooled: bool) -> Measure:
    """Integrals of 0 (alike) to 1 as -1 to 0, over the area that counts."""
    area = weight.flatten(1).sum(dim=1) * pixel**2

    def value(images: Tensor) -> Tensor:
        found = torch.stack([integral(image) for integral, image in zip(integrals, images.split(1), strict=True)])
        if pooled:
            return ((found.sum() - area.sum()) / area.sum().clamp(min=1e-12))[None]
        return (found - area) / area.clamp(min=1e-12)

    return value


_KINDS: dict[str, _Kind] = {
    "mutual information": partial(_information, normalised=False),
    "normalised mutual information": partial(_information, normalised=True),
    "correlation ratio": _ratio,
    "local correlation": _correlation,
    "gradient fields": _gradients,
}
