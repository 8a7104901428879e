r"""What a forest is told of every pixel of a slice: what is there, around it, and between it and the axis.

Of each map I, with G_σ a Gaussian of σ mm:

    I,   G_σ * I,   |∇ G_σ * I|,   the two eigenvalues of the Hessian of G_σ * I (their sum is the Laplacian),
    the local spread √(G_σ * I² - (G_σ * I)²)

Of slices around an axis, which is their middle column, what a path along the row from the axis (a = 0) to the pixel
(a = x) meets: the least and the greatest brightness, and all change, ∫ |∂I/∂a| da. Marrow and fat look the same, but to
fat the path crosses compact bone. All of this is the same for a slice that is seen from behind or upside down, as
slices may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from scipy import ndimage

Layout = Literal["radial", "parallel"]
"""Of the slices of a stack: around an axis, each in a frame of its own, or one above the other as in a volume."""

SCALES = (0.7, 1.4, 2.8, 5.6)
"""σ, mm."""
_WIDE = 10.0
_LEAST_SPREAD = 1.0
"""mm. Of less, the spread is noise."""
_REACH = 3.0
"""σ."""


def pixel_features(maps: np.ndarray, spacing: Sequence[float], layout: Layout) -> np.ndarray:
    """(F, H, W) float32, of a slice's maps (C, H, W), finite; spacing: mm between rows and between columns.

    The features' order depends on nothing else than C and the layout.
    """
    found = [feature for each in maps for feature in _of_map(each.astype(np.float32), spacing)]
    if layout == "radial":
        for each in maps:
            found += _from_axis(each.astype(np.float32), spacing)
    return np.stack([*found, *_places(maps.shape[1:], spacing, layout)]).astype(np.float32)


def _of_map(image: np.ndarray, spacing: Sequence[float]) -> Iterator[np.ndarray]:
    yield image
    yield _smooth(image, _WIDE, spacing)
    for scale in SCALES:
        smooth = _smooth(image, scale, spacing)
        down, right = np.gradient(smooth, *spacing)
        yield smooth
        yield np.hypot(down, right)
        yield from _eigenvalues(down, right, spacing)
        if scale >= _LEAST_SPREAD:
            yield np.sqrt(np.maximum(_smooth(image * image, scale, spacing) - smooth * smooth, 0))


def _eigenvalues(down: np.ndarray, right: np.ndarray, spacing: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """The greater and the lesser one of the Hessian, of the derivatives."""
    down_down, down_right = np.gradient(down, *spacing)
    right_right = np.gradient(right, spacing[1], axis=1)
    middle, half = (down_down + right_right) / 2, np.hypot((down_down - right_right) / 2, down_right)
    return middle + half, middle - half


def _from_axis(image: np.ndarray, spacing: Sequence[float]) -> list[np.ndarray]:
    smooth = _smooth(image, SCALES[0], spacing)
    change = np.abs(np.gradient(smooth, axis=1))
    return [
        _outward(np.minimum, smooth),
        _outward(np.maximum, smooth),
        _outward(np.add, change),
    ]


def _outward(gather: np.ufunc, image: np.ndarray) -> np.ndarray:
    """Gathered along each row from the middle to both ends."""
    first, last = (image.shape[1] - 1) // 2, image.shape[1] // 2
    gathered = np.empty_like(image)
    gathered[:, last:] = gather.accumulate(image[:, last:], axis=1)
    gathered[:, first::-1] = gather.accumulate(image[:, first::-1], axis=1)
    return gathered


def _places(shape: Sequence[int], spacing: Sequence[float], layout: Layout) -> list[np.ndarray]:
    """mm: where the pixel is from the middle; around an axis only how far along it, which no flip changes."""
    down, right = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)), indexing="ij"
    )
    return [down, right] if layout == "parallel" else [np.abs(down)]


def _smooth(image: np.ndarray, scale: float, spacing: Sequence[float]) -> np.ndarray:
    return ndimage.gaussian_filter(image, [scale / step for step in spacing], truncate=_REACH)
