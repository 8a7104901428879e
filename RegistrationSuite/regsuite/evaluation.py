r"""How good a registration is: overlap, surface and landmark distances, regularity, inverse consistency.

Conventions: distances in mm; a label that one of two images lacks has Dice 0 and no surface distance (NaN), one that
both lack is not listed. Fields are judged at the voxels of a grid, in blocks where that saves memory.

Folding is judged by all finite differences and not by central ones, which do not see the voxel they are taken at: where
it jumps over its neighbour, they stay as they were. Liu Y., Chen J., Wei S., Carass A., Prince J.: On Finite Difference
Jacobian Computation in Deformable Image Registration. IJCV 2024, doi:10.1007/s11263-024-02047-1: a digital transform
is diffeomorphic where every simplex of both ways of cutting the cells of the grid keeps its orientation. These are, at
each voxel, the 2^d determinants of forward and backward differences and, in 3D, the two tetrahedra in the middle of a
cell.
"""

from __future__ import annotations

import importlib
import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regsuite.errors import InputError
from regsuite.registration import Table
from regsuite.spatial import Grid, LabelImage, PointSet
from regsuite.transforms import Transform, identity, warp_labels
from regsuite.transforms.base import determinant

_SMALLEST_JACOBIAN = 1e-9
"""Determinants are raised to this before their logarithm is taken."""


def dice(fixed: LabelImage, other: LabelImage) -> dict[int, float]:
    """2 |A ∩ B| / (|A| + |B|) of every label that one of the two has."""
    _check_same_grid(fixed, other)
    values = torch.tensor([0, *_either(fixed, other)], dtype=fixed.data.dtype).sort().values
    ranks = [torch.searchsorted(values, labels.data.cpu().flatten()) for labels in (fixed, other)]
    count = len(values)
    joint = torch.bincount(ranks[0] * count + ranks[1], minlength=count * count).reshape(count, count)
    scores = 2 * joint.diag() / (joint.sum(dim=0) + joint.sum(dim=1))
    return {int(value): float(score) for value, score in zip(values, scores, strict=True) if value != 0}


def hausdorff95(fixed: LabelImage, other: LabelImage) -> dict[int, float]:
    """The larger of the two directed 95th percentiles of the distance between surface voxels, mm, of every label."""
    from monai.metrics import compute_hausdorff_distance  # takes seconds to import

    return _surfaces(
        fixed, other, lambda a, b, spacing: compute_hausdorff_distance(a, b, True, "euclidean", 95, spacing=spacing)
    )


def mean_surface_distance(fixed: LabelImage, other: LabelImage) -> dict[int, float]:
    """The mean distance between surface voxels, over both surfaces, mm, of every label."""
    from monai.metrics import compute_average_surface_distance

    return _surfaces(
        fixed, other, lambda a, b, spacing: compute_average_surface_distance(a, b, True, True, spacing=spacing)
    )


def _surfaces(
    fixed: LabelImage, other: LabelImage, distance: Callable[[Tensor, Tensor, Sequence[float]], Tensor]
) -> dict[int, float]:
    _check_same_grid(fixed, other)
    result = {}
    for value in _either(fixed, other):
        a, b = fixed.mask(value).cpu(), other.mask(value).cpu()
        both = bool(a.any()) and bool(b.any())
        box = _bounding_box(a | b)
        pair = (a[box][None, None], b[box][None, None])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # MONAI 1.6 calls itself in a way it has deprecated
            result[value] = float(distance(*pair, fixed.grid.spacing)) if both else math.nan
    return result


def _check_surfaces() -> None:
    try:
        importlib.import_module("monai")
    except ModuleNotFoundError as error:
        raise InputError(
            "Surface distances need the Python package 'monai': install it, or leave the labels out."
        ) from error


def _bounding_box(mask: Tensor) -> tuple[slice, ...]:
    """Around the true voxels."""
    box = []
    for axis in range(mask.ndim):
        others = [other for other in range(mask.ndim) if other != axis]
        found = torch.nonzero(mask.sum(dim=others))[:, 0]
        box.append(slice(int(found[0]), int(found[-1]) + 1))
    return tuple(box)


def _either(fixed: LabelImage, other: LabelImage) -> list[int]:
    return sorted({*fixed.values(), *other.values()})


def _check_same_grid(fixed: LabelImage, other: LabelImage) -> None:
    if not _same(fixed.grid, other.grid):
        raise InputError("The two label images lie on different grids: resample one onto the other's grid first.")


def _same(grid: Grid, other: Grid) -> bool:
    """Within a fiftieth of a voxel: file formats round positions."""
    return grid.same_as(other, max(1e-3, 0.02 * min(grid.spacing)))


def target_registration_error(transform: Transform, fixed: PointSet, moving: PointSet) -> np.ndarray:
    """Distance (N,) in mm of T(fixed) from the same landmarks in the moving image, paired in their order."""
    if fixed.points.shape != moving.points.shape:
        raise InputError(
            f"There are {len(fixed.points)} fixed landmarks in {fixed.dim}D and {len(moving.points)} moving ones in "
            f"{moving.dim}D: give the same landmarks, in the same order."
        )
    return (transform.points(fixed.points) - moving.points).norm(dim=-1).cpu().numpy()


def jacobian_statistics(
    transform: Transform, grid: Grid, mask: Tensor | None = None, device: str | torch.device = "cpu"
) -> dict[str, float]:
    """jacobian_min, jacobian_max and sdlogj, the standard deviation of log J, from central differences on ``grid``.

    mask: (*shape) bool, the voxels that count.
    """
    everywhere = transform.jacobian_determinant(grid, device)[0, 0]
    jacobian = _filled(everywhere if mask is None else everywhere[mask.to(everywhere.device)])
    logarithm = jacobian.double().clamp(min=_SMALLEST_JACOBIAN).log()
    return {
        "jacobian_min": float(jacobian.min()),
        "jacobian_max": float(jacobian.max()),
        "sdlogj": float(logarithm.std(correction=0)),
    }


def folded_fraction(
    transform: Transform, grid: Grid, mask: Tensor | None = None, device: str | torch.device = "cpu"
) -> float:
    """The share (0 to 1) of voxels, of those in ``mask`` (*shape) bool, that :func:`folded_voxels` finds."""
    folded = folded_voxels(transform, grid, device)
    inside = folded if mask is None else folded[mask.to(folded.device)]
    return float(_filled(inside).double().mean())


def folded_voxels(transform: Transform, grid: Grid, device: str | torch.device = "cpu") -> Tensor:
    """(*shape) bool: where any finite-difference determinant is not positive (see the head of this file)."""
    steps = torch.as_tensor(grid.affine[:-1, :-1], device=device)
    found = []
    for part, _, own in grid.blocks(halo=1):
        positions = transform.points(part.points(torch.float64, device)).movedim(-1, 0)
        for axis in range(grid.dim):
            if grid.shape[axis] == 1:  # a slice is as thick as a voxel, and moves as a whole
                step = steps[:, axis].reshape(-1, *([1] * grid.dim))
                positions = torch.cat([positions, positions + step], dim=1 + axis)
        found.append(_turned(positions, grid)[tuple(slice(n) for n in part.shape)][own])
    return torch.cat(found)


def _turned(positions: Tensor, grid: Grid) -> Tensor:
    """(*shape) bool: at which voxels a simplex of the positions (d, *shape) has lost its orientation or its size."""
    folded = torch.zeros(positions.shape[1:], dtype=torch.bool, device=positions.device)
    handedness = np.linalg.det(np.asarray(grid.direction))
    for voxel, apex, ends in _simplices(grid.dim):
        offsets = np.array(ends) - np.array(apex)
        sign = float(np.sign(np.linalg.det(offsets) * handedness))
        start = _cell_corner(positions, apex)
        edges = torch.stack([_cell_corner(positions, end) - start for end in ends], dim=1)
        _cell_corner(folded[None], voxel)[0].logical_or_(sign * determinant(edges[None])[0, 0] <= 0)
    return folded


_Corner = tuple[int, ...]


def _simplices(dim: int) -> Iterator[tuple[_Corner, _Corner, list[_Corner]]]:
    """Of every simplex of a cell the voxel it counts for, its apex and its other vertices: corners, 0 or 1 an axis."""
    for apex in itertools.product((0, 1), repeat=dim):
        yield apex, apex, [tuple(c ^ (a == axis) for a, c in enumerate(apex)) for axis in range(dim)]
    if dim == 3:
        yield (1, 1, 1), (0, 0, 0), [(1, 1, 0), (1, 0, 1), (0, 1, 1)]
        yield (1, 1, 1), (1, 1, 1), [(0, 0, 1), (0, 1, 0), (1, 0, 0)]


def _cell_corner(data: Tensor, corner: _Corner) -> Tensor:
    """A view of (C, *shape) with one corner of every cell, (C, *(n - 1))."""
    return data[(slice(None), *(slice(c, n - 1 + c) for c, n in zip(corner, data.shape[1:], strict=True)))]


def inverse_consistency(
    transform: Transform,
    inverse: Transform,
    grid: Grid,
    mask: Tensor | None = None,
    device: str | torch.device = "cpu",
) -> dict[str, float]:
    """Mean and largest distance in mm of inverse(T(x)) from x, over ``grid`` or the voxels of ``mask`` (*shape)."""
    errors = []
    for part, rows, _ in grid.blocks():
        x = part.points(torch.float64, device)
        x = x.reshape(-1, grid.dim) if mask is None else x[mask[rows].to(device)]
        errors.append((inverse.points(transform.points(x)) - x).norm(dim=-1).float())
    error = _filled(torch.cat(errors))
    return {
        "inverse_consistency_mean_mm": float(error.double().mean()),
        "inverse_consistency_max_mm": float(error.max()),
    }


def _filled(values: Tensor) -> Tensor:
    if not values.numel():
        raise InputError("The mask for the evaluation is empty: mark a region in it, or leave it out.")
    return values


def field_metrics(
    transform: Transform,
    inverse: Transform | None,
    grid: Grid,
    mask: Tensor | None = None,
    device: str | torch.device = "cpu",
) -> dict[str, float]:
    """Jacobian statistics, folded_fraction and, where there is an inverse, inverse consistency on the fixed grid."""
    metrics = jacobian_statistics(transform, grid, mask, device)
    metrics["folded_fraction"] = folded_fraction(transform, grid, mask, device)
    if inverse is not None:
        metrics |= inverse_consistency(transform, inverse, grid, mask, device)
    return metrics


def overlap_change(before: LabelImage, after: LabelImage, fixed: LabelImage) -> tuple[dict[str, float], Table]:
    """Dice with the fixed labels before and after registration: of every fixed label, and their mean.

    Metrics dice_before, dice_after (means) and dice_<name>_before, dice_<name>_after; the same as a table.
    """
    old, new = dice(fixed, before), dice(fixed, after)
    metrics: dict[str, float] = {}
    rows: list[list[Any]] = []
    for value in fixed.values():
        name = fixed.names.get(value) or after.name_of(value)
        rows.append([name, old[value], new[value]])
        metrics |= {f"dice_{key_of(name)}_before": old[value], f"dice_{key_of(name)}_after": new[value]}
    if rows:
        means = [float(np.mean([row[column] for row in rows])) for column in (1, 2)]
        metrics |= {"dice_before": means[0], "dice_after": means[1]}
        rows.append(["mean", *means])
    return metrics, Table("Overlap", ["label", "Dice before", "Dice after"], rows)


def key_of(name: str) -> str:
    """A label's name as part of a metric's: lower case, words joined by underscores."""
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def surface_change(before: LabelImage, after: LabelImage, fixed: LabelImage) -> tuple[dict[str, float], Table]:
    """Surface distances of the fixed labels before and after: a table of each, and the means of those that exist."""
    measured = [measure(fixed, other) for measure in (hausdorff95, mean_surface_distance) for other in (before, after)]
    rows: list[list[Any]] = [
        [fixed.names.get(value) or after.name_of(value), *(_or_none(column[value]) for column in measured)]
        for value in fixed.values()
    ]
    keys = ["hd95_before_mm", "hd95_after_mm", "surface_distance_before_mm", "surface_distance_after_mm"]
    metrics = {}
    for column, key in enumerate(keys, start=1):
        known = [row[column] for row in rows if row[column] is not None]
        if known:
            metrics[key] = float(np.mean(known))
    titles = ["HD95 before (mm)", "HD95 after (mm)", "mean distance before (mm)", "mean distance after (mm)"]
    return metrics, Table("Surfaces", ["label", *titles], rows)


def _or_none(value: float) -> float | None:
    """None for a distance that does not exist, since tables are stored as JSON."""
    return None if math.isnan(value) else value


def landmark_change(transform: Transform, fixed: PointSet, moving: PointSet) -> tuple[dict[str, float], Table]:
    """Landmark distances before and after: tre_before_mm and tre_after_mm (means), tre_after_max_mm, and a table."""
    before = target_registration_error(identity(fixed.dim), fixed, moving)
    after = target_registration_error(transform, fixed, moving)
    names = fixed.names or [str(number + 1) for number in range(len(before))]
    rows = [[name, float(old), float(new)] for name, old, new in zip(names, before, after, strict=True)]
    metrics = {
        "tre_before_mm": float(before.mean()),
        "tre_after_mm": float(after.mean()),
        "tre_after_max_mm": float(after.max()),
    }
    return metrics, Table("Landmarks", ["landmark", "distance before (mm)", "distance after (mm)"], rows)


def evaluate(
    transform: Transform,
    grid: Grid,
    inverse: Transform | None = None,
    fixed_labels: LabelImage | None = None,
    moving_labels: LabelImage | None = None,
    fixed_points: PointSet | None = None,
    moving_points: PointSet | None = None,
    mask: LabelImage | None = None,
    device: str | torch.device = "cpu",
) -> tuple[dict[str, float], dict[str, Table]]:
    """Everything that can be said with what is given: metrics, and the tables overlap, surfaces and landmarks.

    grid: the fixed image's, on which fixed_labels and mask (any label counts) lie; moving labels may lie anywhere.
    InputError where labels are given and MONAI, which measures the distance of their surfaces, is not installed.
    """
    if any(labels is not None and not _same(labels.grid, grid) for labels in (fixed_labels, mask)):
        raise InputError("The fixed labels or the mask lie on another grid than the fixed image: resample them first.")
    if fixed_labels is not None and moving_labels is not None:
        _check_surfaces()
    metrics = field_metrics(transform, inverse, grid, None if mask is None else mask.mask(), device)
    tables: dict[str, Table] = {}
    if fixed_labels is not None and moving_labels is not None:
        before = warp_labels(moving_labels, identity(grid.dim), grid)
        after = warp_labels(moving_labels, transform, grid)
        for name, change in (("overlap", overlap_change), ("surfaces", surface_change)):
            measured, tables[name] = change(before, after, fixed_labels)
            metrics |= measured
    if fixed_points is not None and moving_points is not None:
        measured, tables["landmarks"] = landmark_change(transform, fixed_points, moving_points)
        metrics |= measured
    return metrics, tables
