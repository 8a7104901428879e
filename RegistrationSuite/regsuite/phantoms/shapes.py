"""Small heads made of ellipsoids: enough anatomy to test with, made in a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from regsuite.phantoms.case import GREY, LABEL_COLOURS, LABEL_NAMES, VENTRICLES, WHITE, TumourCase
from regsuite.phantoms.tumour import Recipe, tumour_case
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.windows import smoothstep

# Centre and semi-axes per world axis (R, A, S), relative to half the head, of what a head is made of, outside in.
_PARTS: tuple[tuple[int, tuple[float, float, float], tuple[float, float, float]], ...] = (
    (GREY, (0.0, 0.0, 0.0), (0.86, 0.86, 0.86)),
    (WHITE, (0.0, 0.0, 0.0), (0.70, 0.72, 0.70)),
    (GREY, (-0.22, -0.10, -0.25), (0.12, 0.20, 0.18)),
    (GREY, (0.22, -0.10, -0.25), (0.12, 0.20, 0.18)),
    (VENTRICLES, (-0.16, 0.05, 0.05), (0.11, 0.36, 0.22)),
    (VENTRICLES, (0.16, 0.05, 0.05), (0.11, 0.36, 0.22)),
)
_LEVELS = {GREY: 0.65, WHITE: 0.9, VENTRICLES: 0.25}
_TUMOUR = (0.42, 0.10, 0.05)


def shapes_2d(
    shape: Sequence[int] = (112, 96),
    *,
    spacing: float | Sequence[float] = 1.0,
    direction: np.ndarray | None = None,
    seed: int = 0,
    **recipe: Any,
) -> TumourCase:
    """A flat head of about 100 mm with ventricles and a tumour.

    shape: (j, i); spacing: mm; direction: 2 x 2, columns are the array axes' RAS directions;
    recipe: fields of :class:`regsuite.phantoms.Recipe`.
    """
    return _head(_grid(shape, spacing, direction), seed, recipe)


def small_tumour_3d(
    shape: Sequence[int] = (40, 44, 40),
    *,
    spacing: float | Sequence[float] = 2.5,
    direction: np.ndarray | None = None,
    seed: int = 0,
    **recipe: Any,
) -> TumourCase:
    """A head of about 100 mm with ventricles and a tumour.

    shape: (k, j, i); spacing: mm; direction: 3 x 3, columns are the array axes' RAS directions;
    recipe: fields of :class:`regsuite.phantoms.Recipe`.
    """
    return _head(_grid(shape, spacing, direction), seed, recipe)


def _grid(shape: Sequence[int], spacing: float | Sequence[float], direction: np.ndarray | None) -> Grid:
    """Centred about the world's origin, turned by ``direction``."""
    upright = Grid.regular(shape, spacing)
    axes = np.asarray(upright.direction if direction is None else direction, dtype=float)
    matrix = np.eye(upright.dim + 1)
    matrix[:-1, :-1] = axes * np.asarray(upright.spacing)
    matrix[:-1, -1] = -matrix[:-1, :-1] @ ((np.asarray(shape) - 1) / 2)
    return Grid.from_affine(shape, matrix)


def _head(grid: Grid, seed: int, recipe: Mapping[str, Any]) -> TumourCase:
    half = _half_size(grid)
    template, labels = _drawn(grid, half)
    usual = {
        "centre": np.asarray(_TUMOUR[: grid.dim]) * half,
        "radius": 0.25 * half,
        "mass_effect": 0.15 * half,
        "oedema": 0.12 * half,
        "anatomy": 0.03 * half,
        "anatomy_widths": (0.4 * half,),
    }
    return tumour_case(template, labels, Recipe(**{**usual, **recipe}), seed=seed)


def _half_size(grid: Grid) -> float:
    """Half the shortest side in mm."""
    return min(n * h for n, h in zip(grid.shape, grid.spacing, strict=True)) / 2


def _drawn(grid: Grid, half: float) -> tuple[Image, LabelImage]:
    """The healthy head with soft edges, and its labels."""
    x = grid.points(torch.float64).numpy()
    image, labels = np.zeros(grid.shape), np.zeros(grid.shape, dtype=np.int32)
    for label, centre, axes in _PARTS:
        inside = _ellipsoid(x, half * np.asarray(centre[: grid.dim]), half * np.asarray(axes[: grid.dim]), grid)
        image = image * (1 - inside) + inside * _LEVELS[label]
        labels[inside > 0.5] = label
    drawn = Image.from_array(image.astype(np.float32), grid, "Healthy head")
    return drawn, LabelImage.from_array(labels, grid, LABEL_NAMES, LABEL_COLOURS)


def _ellipsoid(x: np.ndarray, centre: np.ndarray, axes: np.ndarray, grid: Grid) -> np.ndarray:
    """Share (*shape) of an ellipsoid in every voxel, its edge about a voxel wide."""
    scaled = np.linalg.norm((x - centre) / axes, axis=-1)
    return smoothstep((1 - scaled) * axes.min() / max(grid.spacing) + 0.5)
