"""A segmentation made of the probabilities of single pixels: one smooth part a label, without holes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

_SMOOTH = 0.8
"""σ, mm."""
_NECK = 1.5
"""mm. What hangs on by less than twice this is not of the part."""


def tidied(probabilities: np.ndarray, spacing: Sequence[float], middle: bool) -> np.ndarray:
    """(*shape) int32: 0, or the number of the label.

    probabilities: (L + 1, *shape) of the background and L labels; spacing: mm along each axis; middle: whether the part
    is at the middle of the last axis.

    They are smoothed by a Gaussian of 0.8 mm, and each pixel takes the likeliest label. Of each label the largest part
    stays, connected by faces, where ``middle`` counts a pixel at the middle twice one that is 20 mm from it; parts
    joined by a bridge narrower than 3 mm are two. Holes in it are filled, unless with another label.
    """
    smooth = np.stack([ndimage.gaussian_filter(each, [_SMOOTH / step for step in spacing]) for each in probabilities])
    likeliest = smooth.argmax(axis=0)
    weights = _weights(likeliest.shape, spacing) if middle else np.ones(1, np.float32)
    labels = np.zeros(likeliest.shape, np.int32)
    for label in range(1, len(probabilities)):
        part = _main_part(likeliest == label, spacing, weights)
        labels[ndimage.binary_fill_holes(part) & (labels == 0) & ((likeliest == 0) | part | (likeliest == label))] = (
            label
        )
    return labels


def _main_part(mask: np.ndarray, spacing: Sequence[float], weights: np.ndarray) -> np.ndarray:
    """(*shape) bool: of the largest part of what is left when narrow bridges are cut, all that is within reach."""
    if not mask.any():
        return mask
    box = tuple(slice(max(0, each.start - 1), each.stop + 1) for each in ndimage.find_objects(mask.astype(np.int8))[0])
    inner, weights = mask[box], np.broadcast_to(weights, mask.shape)[box]
    # Padded by the edge: what runs out of the picture is not thin there.
    padded = np.pad(inner, 1, mode="edge")
    core = (ndimage.distance_transform_edt(padded, spacing) > _NECK)[(slice(1, -1),) * mask.ndim]
    parts, count = ndimage.label(core if core.any() else inner)
    sizes = np.bincount(parts.ravel(), np.broadcast_to(weights, inner.shape).ravel(), count + 1)
    chosen = parts == 1 + int(np.argmax(sizes[1:]))
    near = ndimage.distance_transform_edt(~chosen, spacing) <= _NECK + max(spacing)
    whole = np.zeros_like(mask)
    whole[box] = inner & near
    return whole


def _weights(shape: Sequence[int], spacing: Sequence[float]) -> np.ndarray:
    away = np.abs(np.arange(shape[-1]) - (shape[-1] - 1) / 2) * spacing[-1]
    return (1 / (1 + away / 20)).astype(np.float32)
