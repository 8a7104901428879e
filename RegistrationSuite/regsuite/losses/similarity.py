"""How unlike two images are: integrals over a weighted region of local densities from 0 (alike) to about 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from torch import Tensor

from regsuite.losses.correlation import local_correlation
from regsuite.losses.gradient_fields import gradient_fields
from regsuite.losses.self_similarity import self_similarity_context

Name = Literal["ssd", "lncc", "ngf", "mind"]


def dissimilarity(
    name: Name, fixed: Tensor, weight: Tensor, spacing: Sequence[float], width: float
) -> Callable[[Tensor], Tensor]:
    """What takes an image (1, 1, *shape) to how unlike the fixed one it is, mm³ (mm² in 2D).

    fixed, weight: (1, 1, *shape), the images on a scale of about 0 to 1; spacing: mm per array axis;
    width: mm, over which distance the image is compared with itself: σ of the windows of "lncc", the neighbours'
    distance of "mind", of no use to the others.
    Integrals, so that they mean the same at every resolution: of the squared difference, of 1 - ρ² by local windows,
    of the squared sine between the gradients, and of the squared difference of MIND-SSC.
    """
    return _MEASURES[name](fixed, weight, spacing, width)


def squared_difference(image: Tensor, fixed: Tensor, weight: Tensor, voxel_volume: float) -> Tensor:
    """SSD as an integral, ∫ w (I - T)² dx.

    image I, fixed T, weight w: (1, 1, *shape); voxel_volume: mm³ (mm² in 2D), as is the result.
    """
    return ((image - fixed) ** 2 * weight).sum() * voxel_volume


def _squared_difference(
    fixed: Tensor, weight: Tensor, spacing: Sequence[float], width: float
) -> Callable[[Tensor], Tensor]:
    return lambda image: squared_difference(image, fixed, weight, math.prod(spacing))


def _gradient_fields(
    fixed: Tensor, weight: Tensor, spacing: Sequence[float], width: float
) -> Callable[[Tensor], Tensor]:
    return gradient_fields(fixed, weight, spacing)


_MEASURES: dict[Name, Callable[[Tensor, Tensor, Sequence[float], float], Callable[[Tensor], Tensor]]] = {
    "ssd": _squared_difference,
    "lncc": local_correlation,
    "ngf": _gradient_fields,
    "mind": self_similarity_context,
}
