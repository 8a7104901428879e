"""A lesion mask for two visits of a patient whose tumour nobody has outlined."""

from __future__ import annotations

import numpy as np
from regsuite.solvers.bias import even_out
from regsuite.solvers.pair import ANTIALIAS, at_resolution, coarsen
from regsuite.spatial import Grid, Image, LabelImage
from scipy import ndimage

_VOXEL, _SMOOTH, _DEEP, _CLOSED = 2.0, 2.0, 8.0, 6.0
"""mm: of the grid it is found on, of the images' smoothing, below the head's surface, of the gaps that are closed."""
_DARKER = 3.0
"""Robust standard deviations."""


def former_lesion(before: Image, after: Image) -> LabelImage:
    """Tumour and oedema of the first visit, found as what the second, rigidly aligned on the same grid, has no more.

    Both images at 2 mm are evened out (N4), divided by their median in the head and smoothed by 2 mm. A voxel deeper
    than 8 mm that is darker before than after by more than three robust standard deviations (of the difference there)
    is a candidate: in T1, necrosis and oedema are darker than the tissue that takes their place. The largest piece
    counts; gaps up to 6 mm, such as a bright rim between core and oedema, are closed.

    The same region serves for both visits: in the second it holds the scar. It is no rater's outline: mass effect
    between the visits shifts it by some mm, and infiltration that looks the same in both visits is not in it.
    """
    evened = [even_out(coarse(image, _VOXEL), None) for image in (before, after)]
    grid, (first, second) = evened[0].grid, (image.array() for image in evened)
    head = ndimage.binary_fill_holes(ndimage.binary_opening((first > 0) & (second > 0)))
    deep = ndimage.distance_transform_edt(head, sampling=grid.spacing) > _DEEP
    widths = [_SMOOTH / h for h in grid.spacing]
    first, second = (ndimage.gaussian_filter(each / np.median(each[head]), widths) for each in (first, second))
    gone = (_robust_score(first - second, deep) < -_DARKER) & deep
    pieces, _ = ndimage.label(gone)
    largest = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return LabelImage.from_array(_closed(largest, grid) & head, grid, {1: "Lesion"})


def coarse(image: Image, voxel: float) -> Image:
    """At a coarser voxel in mm, each about the mean of what it covers."""
    grid = at_resolution(image.grid, voxel)
    return Image(coarsen(image.data, image.grid, grid, ANTIALIAS), grid, image.name)


def _robust_score(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Distance from the median in 1.4826 median absolute deviations."""
    middle = np.median(values[where])
    return (values - middle) / (1.4826 * np.median(np.abs(values[where] - middle)))


def _closed(mask: np.ndarray, grid: Grid) -> np.ndarray:
    """Gaps narrower than _CLOSED mm and holes filled."""
    grown = ndimage.distance_transform_edt(~mask, sampling=grid.spacing) <= _CLOSED / 2
    return ndimage.binary_fill_holes(ndimage.distance_transform_edt(grown, sampling=grid.spacing) > _CLOSED / 2)
