"""How unlike two images are."""

from __future__ import annotations

from torch import Tensor


def squared_difference(image: Tensor, fixed: Tensor, weight: Tensor, voxel_volume: float) -> Tensor:
    """SSD as an integral, ∫ w (I - T)² dx: so that it means the same at every resolution.

    image I, fixed T, weight w: (1, 1, *shape); voxel_volume: mm³ (mm² in 2D), as is the result.
    """
    return ((image - fixed) ** 2 * weight).sum() * voxel_volume
