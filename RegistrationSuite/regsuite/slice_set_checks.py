"""What can be wrong with a set of single slices, found before a long run and told in one sentence each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from regsuite.catalog import Input
from regsuite.errors import InputError
from regsuite.io.slice_checks import FEWEST, PARALLEL, angles
from regsuite.spatial import Grid, Image, SliceSet

_STEPS = 201
"""Places along an axis that are looked at."""


def check_slice_set(item: Input, slices: SliceSet) -> None:
    """InputError unless these are slices that tell of a space; values may be missing, but not all of a map."""
    if slices.count < FEWEST:
        raise InputError(
            f"The {item.title.lower()} are {slices.count}, and {FEWEST} or more are needed: give all slices of the "
            "examination."
        )
    shapes = {grid.shape[1:] for images in slices.maps.values() for grid in (image.grid for image in images)}
    if len(shapes) > 1:
        sizes = " and ".join(f"{columns} × {rows}" for rows, columns in sorted(shapes))
        raise InputError(
            f"The {item.title.lower()} are of {sizes} pixels, and one size is needed: resample them, or take them from "
            "one examination."
        )
    rows, columns = slices.grids[0].shape[1:]
    if slices.count >= min(rows, columns):
        raise InputError(
            f"The {item.title.lower()} are {slices.count} of {columns} × {rows} pixels, which no slices around an axis "
            "are: give a stack whose last axis counts the slices, and not a volume."
        )
    for name, images in slices.maps.items():
        _check_values(name, images)
    normals = np.array([np.asarray(grid.direction)[:, 0] for grid in slices.grids])
    if slices.distinct and max(angles(normals, normal).max() for normal in normals) < PARALLEL:
        raise InputError(
            f"The {item.title.lower()} are parallel, and slices around an axis are needed: give the radial series, or "
            "register a stack as a volume."
        )


def _check_values(name: str, images: Sequence[Image]) -> None:
    for number, image in enumerate(images, start=1):
        values = image.data[torch.isfinite(image.data)]
        what = f"Slice {number} of '{name}'" if len(images) > 1 else f"'{name}'"
        if not len(values):
            raise InputError(f"{what} has no values, all of them are missing: leave this map or slice out.")
        if float(values.min()) == float(values.max()):
            value = float(values.min())
            raise InputError(f"{what} has the same value, {value:g}, in every pixel: leave this map or slice out.")


def check_meeting(slices: SliceSet, volume: Grid, parameters: Any) -> None:
    """InputError where the axis of the slices, as far as they reach, passes beside the volume; of slices without a
    common axis, where they all lie beside it."""
    axis = slices.axis(one_pose="localizer" if getattr(parameters, "axis", "") == "localizer" else "slice")
    reach = max(np.multiply(grid.shape, grid.spacing)[1:].max() for grid in slices.grids) / 2
    if axis is not None:
        points, what = axis.centre + np.linspace(-reach, reach, _STEPS)[:, None] * axis.normal, "axis of the slices"
    else:
        points, what = np.concatenate([grid.corners() for grid in slices.grids]), "slices"
        points = np.concatenate([points, [grid.centre for grid in slices.grids]])
    away = _outside(volume, points).min()
    if away > 0:
        passes = "passes" if axis is not None else "lie"
        raise InputError(
            f"The {what} {passes} {away:.3g} mm beside the volume: give the volume of the same joint, or bring the two "
            "together first."
        )


def _outside(grid: Grid, points: np.ndarray) -> np.ndarray:
    """mm (N,) from points (N, 3) to the voxels of a grid; 0 inside."""
    index = grid.to_index(points)
    beyond = np.maximum(-0.5 - index, index - (np.asarray(grid.shape) - 0.5)).clip(0)
    return np.linalg.norm(beyond * grid.spacing, axis=1)
