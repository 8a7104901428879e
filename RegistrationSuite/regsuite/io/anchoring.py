"""Where sections lie in an atlas, as QuickNII, VisuAlign and DeepSlice write it.

An anchoring is nine numbers: where the upper left corner of the section lies (o), and how far it is from there to the
upper right corner (u) and to the lower left one (v). The point (x, y) of a picture, in pixels from its upper left
corner, lies at o + u x / width + v y / height. They count the target's voxels from the outer corner of the volume that
is furthest to the left, the back and below; x runs to the right, y to the front, z up (QuickNII's manual and source,
https://github.com/Tevemadar/QuickNII: the slice is drawn from the voxels of the whole parts of these numbers).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regsuite.spatial import Grid

ALLEN_TARGET, ALLEN_VOXEL = "ABA_Mouse_CCFv3_2017_25um.cutlas", 0.025
"""QuickNII's name of the Allen mouse brain atlas, and the mm of its voxels."""

Anchoring = tuple[float, float, float, float, float, float, float, float, float]
"""ox, oy, oz, ux, uy, uz, vx, vy, vz in voxels of the target."""

Marker = tuple[float, float, float, float]
"""VisuAlign's: (nx, ny) of the picture shows what the anchoring alone expects at (x, y); pixels from its corner."""


@dataclass(frozen=True)
class AnchoredSection:
    """A section of a series; anchoring is None where it is not anchored yet.

    width, height: of the picture that the markers refer to, in pixels; 0 where the file does not say. filename is a
    name to compare, not to open.
    """

    filename: str
    number: int
    width: int
    height: int
    anchoring: Anchoring | None = None
    markers: tuple[Marker, ...] = ()


@dataclass(frozen=True)
class AnchoredSeries:
    """Sections in one atlas; resolution: the target's voxels to R, A and S, or None where it is not known."""

    name: str
    target: str
    sections: tuple[AnchoredSection, ...]
    resolution: tuple[int, int, int] | None = None


def matrix_of(
    section: AnchoredSection,
    pixel: Sequence[float],
    grid: Grid,
    voxel: float | Sequence[float] | None = None,
) -> np.ndarray:
    """(4, 4): RAS mm of the section, as ``io.sections`` places it, to RAS mm of the atlas.

    pixel: mm along a row and down a column of a picture of the section's width and height (of one of another size, put
    that size into the section first: an anchoring counts in shares of it); grid: the atlas; voxel: the
    target's voxels in mm, to R, A and S where they differ, or None for those of the grid. The third column is the unit
    normal. ValueError where the section has no size, no anchoring, or one without an area.
    """
    if section.anchoring is None or min(section.width, section.height) < 1:
        raise ValueError(f"the section '{section.filename}' is not anchored, or its size is not known")
    target = target_matrix(grid, voxel)
    corner, across, down = np.reshape(section.anchoring, (3, 3))
    steps = target[:3, :3] @ np.stack([across / section.width, down / section.height], axis=1)
    normal = np.cross(steps[:, 0], steps[:, 1])
    if not np.linalg.norm(normal) > 0:
        raise ValueError(f"the anchoring of the section '{section.filename}' has no area")
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = -steps[:, 0] / pixel[0], -steps[:, 1] / pixel[1]
    matrix[:3, 2] = normal / np.linalg.norm(normal)
    matrix[:3, 3] = target[:3, :3] @ corner + target[:3, 3] + steps.sum(axis=1) / 2
    return matrix


def anchoring_of(
    matrix: np.ndarray,
    width: int,
    height: int,
    pixel: Sequence[float],
    grid: Grid,
    voxel: float | Sequence[float] | None = None,
) -> Anchoring:
    """The anchoring that puts a picture of ``width`` x ``height`` pixels where a (4, 4) matrix puts it.

    The other way from :func:`matrix_of`, with the same arguments; what happens across the section's plane is left out.
    """
    corners = np.array([[0, 0], [width, 0], [0, height]]) - 0.5
    points = np.column_stack([-corners * np.asarray(pixel), np.zeros(3), np.ones(3)])
    placed = np.linalg.solve(target_matrix(grid, voxel), np.asarray(matrix, dtype=np.float64) @ points.T)[:3]
    values = np.concatenate([placed[:, 0], placed[:, 1] - placed[:, 0], placed[:, 2] - placed[:, 0]])
    ox, oy, oz, ux, uy, uz, vx, vy, vz = (float(value) for value in values)
    return ox, oy, oz, ux, uy, uz, vx, vy, vz


def target_matrix(grid: Grid, voxel: float | Sequence[float] | None = None) -> np.ndarray:
    """(4, 4): voxels of an anchoring's target to RAS mm, for an atlas on ``grid`` whose box is that of the target."""
    order, signs = _towards_ras(grid)
    axes = np.asarray(grid.direction)[:, order] * signs
    size = np.asarray(grid.spacing)[list(order)] if voxel is None else np.broadcast_to(np.asarray(voxel, float), 3)
    first = np.full(3, -0.5)
    last = np.asarray(grid.shape) - 0.5
    corner = np.empty(3)
    for axis, sign in zip(order, signs, strict=True):
        corner[axis] = first[axis] if sign > 0 else last[axis]
    matrix = np.eye(4)
    matrix[:3, :3] = axes * size
    matrix[:3, 3] = grid.to_world(corner)
    return matrix


def resolution_of(grid: Grid, voxel: float | Sequence[float] | None = None) -> tuple[int, int, int]:
    """How many voxels of a target, to R, A and S, an atlas' box holds."""
    order, _ = _towards_ras(grid)
    extent = np.array([grid.shape[axis] * grid.spacing[axis] for axis in order])
    size = [grid.spacing[axis] for axis in order] if voxel is None else voxel
    right, front, up = np.round(extent / np.asarray(size)).astype(int).tolist()
    return right, front, up


def _towards_ras(grid: Grid) -> tuple[tuple[int, ...], np.ndarray]:
    """Which array axes run closest to R, A and S, and whether there or away (1 or -1)."""
    if grid.dim != 3:
        raise ValueError("an atlas has three dimensions")
    direction = np.asarray(grid.direction)
    order = max(
        itertools.permutations(range(3)),
        key=lambda axes: math.fsum(abs(direction[world, axis]) for world, axis in enumerate(axes)),
    )
    return order, np.sign([direction[world, axis] for world, axis in enumerate(order)])
