"""The toy of the weighted metamorphosis paper's Fig. 1, drawn anew: a triangle grows and pushes four ovals aside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from regsuite.phantoms.case import Case
from regsuite.spatial import Grid, Image, LabelImage

_OVAL_NAMES = ("Bottom", "Left", "Right", "Top")
# (centre x, centre y, semi-axis x, semi-axis y) on a canvas of 300 x 300, y upwards; inner ovals, then border ovals.
_MOVING_OVALS = (
    (150, 122, 22, 9), (118, 158, 9, 22), (200, 170, 9, 22), (150, 236, 22, 9),
    (150, 34, 34, 6), (34, 150, 6, 34), (266, 150, 6, 34), (150, 266, 34, 6),
)  # fmt: skip
_FIXED_OVALS = (
    (150, 98, 22, 9), (92, 167, 9, 22), (212, 176, 9, 22), (150, 246, 22, 9),
    (150, 20, 34, 6), (20, 150, 6, 34), (280, 150, 6, 34), (150, 280, 34, 6),
)  # fmt: skip
_MOVING_TRIANGLE, _FIXED_TRIANGLE = 10.0, 70.0
_CORE_RADIUS, _CORE_LEVEL = 22.0, 0.3
_OVAL_LEVEL = 0.5
# A little below a half: the triangle's base runs through voxel centres, where rounding would decide.
_INSIDE = 0.499


def toy_triangle(size: int = 300) -> Case:
    """Moving: a seed of a triangle among four grey ovals, four more at the border; fixed: a large one with a dark core.

    The bottom and the left inner oval of the moving image lie where the fixed image has its triangle, and the border
    ovals of the two images do not overlap, as in the paper. Voxels are 1 mm; ``size`` scales the drawing. Labels 1 to 4
    are the inner ovals, 5 to 8 those at the border; the mask is the fixed image's triangle.
    """
    # Columns run from right to left, so that radiological views show the drawing as it is in the paper.
    grid = Grid.from_affine((size, size), np.array([[0.0, -1.0, size - 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    fixed, fixed_labels, triangle = _drawn(grid, size / 300, _FIXED_OVALS, _FIXED_TRIANGLE, _CORE_RADIUS, "Grown")
    moving, moving_labels, _ = _drawn(grid, size / 300, _MOVING_OVALS, _MOVING_TRIANGLE, 0.0, "Before")
    mask = LabelImage.from_array(triangle > _INSIDE, grid, {1: "Triangle"}, {1: (0.90, 0.25, 0.20)})
    return Case(fixed, moving, mask, fixed_labels, moving_labels)


def _drawn(
    grid: Grid, scale: float, ovals: Sequence[tuple[float, ...]], circumradius: float, core: float, name: str
) -> tuple[Image, LabelImage, np.ndarray]:
    """Image, oval labels, share of the triangle."""
    y, x = np.indices(grid.shape) / scale
    triangle = _soft(_triangle_distance(x - 150, y - 150, circumradius) * scale)
    hole = _soft((np.hypot(x - 150, y - 150) - core) * scale) if core else np.zeros(grid.shape)
    image, labels = triangle * (1 - hole) + _CORE_LEVEL * hole, np.zeros(grid.shape, dtype=np.int32)
    for value, (centre_x, centre_y, a, b) in enumerate(ovals, start=1):
        oval = _soft(_oval_distance(x - centre_x, y - centre_y, a, b) * scale)
        image = np.maximum(image, _OVAL_LEVEL * oval)
        labels[oval > _INSIDE] = value
    names = {i + 1: f"{place} oval" for i, place in enumerate(_OVAL_NAMES)}
    names |= {i + 5: f"Border oval {i + 1}" for i in range(4)}
    return Image.from_array(image.astype(np.float32), grid, name), LabelImage.from_array(labels, grid, names), triangle


def _triangle_distance(x: np.ndarray, y: np.ndarray, circumradius: float) -> np.ndarray:
    """Signed distance to the sides' lines of an upright equilateral triangle about the origin, negative inside."""
    normals = [np.radians(angle) for angle in (270, 30, 150)]
    return np.max([np.cos(a) * x + np.sin(a) * y for a in normals], axis=0) - circumradius / 2


def _oval_distance(x: np.ndarray, y: np.ndarray, a: float, b: float) -> np.ndarray:
    """Signed distance to an ellipse about the origin, to first order near its outline, negative inside."""
    level = np.hypot(x / a, y / b)
    slope = np.hypot(x / a**2, y / b**2) / np.maximum(level, 1e-6)
    return (level - 1) / np.maximum(slope, 1e-6)


def _soft(distance: np.ndarray) -> np.ndarray:
    """Share of the inside, from 1 to 0 across the two pixels of an edge."""
    return np.clip(0.5 - distance / 2, 0, 1)
