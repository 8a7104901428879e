"""What lies between a few painted slices: outlines that change evenly from each to the next.

Shape-based interpolation: Raya S., Udupa J.: Shape-based interpolation of multidimensional objects. IEEE Trans. Med.
Imaging 9:32, 1990. Of slice z between painted slices a < z < b, with D the signed distance in a slice, inside positive,

    D_z = ((b - z) D_a + (z - a) D_b) / (b - a)          beyond the last one, b:  D_z = D_b - (z - b)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage


def distances_between(masks: np.ndarray, places: Sequence[int], count: int, spacing: Sequence[float]) -> np.ndarray:
    """(count, H, W) float32 mm: D of every slice.

    masks: (P, H, W) bool, of the slices at ``places``, which ascend; spacing: mm between slices, rows, columns.
    """
    known = {place: _signed(mask, spacing[1:]) for place, mask in zip(places, masks, strict=True)}
    found = np.empty((count, *masks.shape[1:]), np.float32)
    for place in range(count):
        below, above = [each for each in places if each <= place], [each for each in places if each >= place]
        if below and above:
            share = (place - below[-1]) / max(above[0] - below[-1], 1)
            found[place] = (1 - share) * known[below[-1]] + share * known[above[0]]
        else:
            nearest = below[-1] if below else above[0]
            found[place] = known[nearest] - abs(place - nearest) * spacing[0]
    return found


def _signed(mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """mm to the outline, inside positive, to half a pixel; without an inside, as far out as the slice is wide."""
    if not mask.any():
        return np.full(mask.shape, -float(np.hypot(*np.multiply(mask.shape, spacing))), np.float32)
    inside, outside = (ndimage.distance_transform_edt(each, spacing) for each in (mask, ~mask))
    half = min(spacing) / 2
    return np.where(mask, inside - half, half - outside).astype(np.float32)
