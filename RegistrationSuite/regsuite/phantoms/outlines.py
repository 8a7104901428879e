"""Outlines as one who was not careful drew them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from regsuite.spatial.windows import smoothstep

_REACH = (6.0, 12.0)
_DEPTH = (3.0, 6.0)
_LEAST_MM = 2.0


def spoilt(mask: np.ndarray, share: float, pixel: float, rng: np.random.Generator) -> np.ndarray:
    """(H, W) bool: ``mask`` with bites and bulges of 3 to 6 mm along this share of its outline's length.

    pixel: mm. The border of the picture is no outline.
    """
    outline = np.argwhere(mask & ~ndimage.binary_erosion(mask, border_value=1)) * pixel
    missing = round(share * len(outline))
    if missing == 0:
        return mask
    x = np.moveaxis(np.indices(mask.shape), 0, -1) * pixel
    moved = np.zeros(mask.shape)
    right = np.ones(len(outline), dtype=bool)
    while missing * pixel > _LEAST_MM:
        place = outline[rng.choice(np.flatnonzero(right))]
        distances = np.linalg.norm(outline - place, axis=1)
        reach = min(rng.uniform(*_REACH), np.sort(distances[right])[missing - 1])
        missing -= int((right & (distances <= reach)).sum())
        right &= distances > reach
        depth = rng.uniform(*_DEPTH) * rng.choice([-1, 1])
        bump = depth * smoothstep((1.2 * reach - np.linalg.norm(x - place, axis=-1)) / (0.4 * reach))
        moved = np.where(np.abs(bump) > np.abs(moved), bump, moved)
    distance = (ndimage.distance_transform_edt(~mask) - ndimage.distance_transform_edt(mask)) * pixel
    return distance < moved
