"""Where the voxels of an image are in physical space."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

BLOCK_VOXELS = 1 << 18
"""About how many voxels are worked on at once where the work needs many numbers a voxel."""


@dataclass(frozen=True)
class Grid:
    """A regular grid in RAS millimetres.

    shape, spacing (mm): per array axis, (k, j, i) in 3D and (j, i) in 2D;
    origin: RAS position (mm) of the centre of the first voxel;
    direction: d x d orthonormal, ``direction[world axis][array axis]``: column a is the unit vector of array axis a.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        dim = len(self.shape)
        if dim not in (2, 3) or len(self.spacing) != dim or len(self.origin) != dim or len(self.direction) != dim:
            raise ValueError(f"a grid has two or three axes throughout, not shape {self.shape}, spacing {self.spacing}")
        if min(self.shape) < 1 or min(self.spacing) <= 0:
            raise ValueError(f"a grid has positive shape and spacing, not {self.shape} and {self.spacing}")
        axes = np.asarray(self.direction)
        if not np.abs(axes.T @ axes - np.eye(dim)).max() <= 1e-3:
            raise ValueError("a grid's axes are orthogonal unit vectors; resample a sheared image first")

    @classmethod
    def from_affine(cls, shape: Sequence[int], affine: np.ndarray) -> Grid:
        """The grid whose array index (k, j, i, 1) is taken to RAS mm by ``affine`` (d+1, d+1)."""
        axes = np.asarray(affine, dtype=np.float64)[:-1, :-1]
        spacing = np.linalg.norm(axes, axis=0)
        if spacing.min() <= 0:
            raise ValueError("a grid's axes have positive length")
        return cls(
            shape=tuple(int(n) for n in shape),
            spacing=tuple(float(s) for s in spacing),
            origin=tuple(float(x) for x in np.asarray(affine)[:-1, -1]),
            direction=tuple(tuple(float(x) for x in row) for row in axes / spacing),
        )

    @classmethod
    def regular(cls, shape: Sequence[int], spacing: float | Sequence[float] = 1.0) -> Grid:
        """An axis-aligned grid from the world's origin: R along the last array axis, A along the one before."""
        dim = len(shape)
        steps = (spacing,) * dim if isinstance(spacing, (int, float)) else tuple(spacing)
        affine = np.eye(dim + 1)
        affine[:dim, :dim] = np.fliplr(np.diag(steps[::-1]))
        return cls.from_affine(shape, affine)

    @property
    def dim(self) -> int:
        """2 or 3."""
        return len(self.shape)

    @property
    def affine(self) -> np.ndarray:
        """(d+1, d+1) float64: array index (k, j, i, 1) to RAS mm."""
        matrix = np.eye(self.dim + 1)
        matrix[:-1, :-1] = np.asarray(self.direction) * np.asarray(self.spacing)
        matrix[:-1, -1] = self.origin
        return matrix

    @property
    def voxel_volume(self) -> float:
        """mm³ (mm² in 2D)."""
        return float(np.prod(self.spacing))

    @property
    def voxel_count(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    @property
    def centre(self) -> np.ndarray:
        """RAS position (d,) of the middle."""
        return self.to_world((np.asarray(self.shape) - 1) / 2)

    def to_world(self, index: np.ndarray | Sequence[float]) -> np.ndarray:
        """RAS mm (..., d) of array indices (..., d)."""
        matrix = self.affine
        return np.asarray(index, dtype=np.float64) @ matrix[:-1, :-1].T + matrix[:-1, -1]

    def to_index(self, points: np.ndarray | Sequence[float]) -> np.ndarray:
        """Fractional array indices (..., d) of RAS mm points (..., d)."""
        matrix = np.linalg.inv(self.affine)
        return np.asarray(points, dtype=np.float64) @ matrix[:-1, :-1].T + matrix[:-1, -1]

    def points(self, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> Tensor:
        """RAS mm of every voxel centre, (*shape, d)."""
        matrix = torch.as_tensor(self.affine, dtype=torch.float64, device=device)
        axes = [torch.arange(n, dtype=torch.float64, device=device) for n in self.shape]
        index = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        return (index @ matrix[:-1, :-1].T + matrix[:-1, -1]).to(dtype)

    def corners(self) -> np.ndarray:
        """RAS mm (2**d, d) of the corner voxels' centres."""
        return self.to_world(np.array(list(itertools.product(*[(0, n - 1) for n in self.shape]))))

    def cropped(self, start: Sequence[int], shape: Sequence[int]) -> Grid:
        """The part of ``shape`` from voxel ``start``; a negative start or a larger shape extends the grid."""
        return Grid(tuple(int(n) for n in shape), self.spacing, tuple(map(float, self.to_world(start))), self.direction)

    def padded(self, margin: Sequence[int]) -> Grid:
        """Extended by ``margin`` voxels at both ends of every axis."""
        return self.cropped([-m for m in margin], [n + 2 * m for n, m in zip(self.shape, margin, strict=True)])

    def blocks(self, halo: int = 0) -> Iterator[Block]:
        """Parts along the first array axis, in order, for work that would take much memory at once.

        halo: how many rows of its neighbours each part has as well.
        """
        count = self.shape[0]
        thick = max(1, BLOCK_VOXELS * count // self.voxel_count)
        for start in range(0, count, thick):
            stop = min(start + thick, count)
            low, high = max(start - halo, 0), min(stop + halo, count)
            part = self.cropped([low] + [0] * (self.dim - 1), [high - low, *self.shape[1:]])
            yield Block(part, slice(low, high), slice(start - low, stop - low))

    def resampled(self, spacing: Sequence[float]) -> Grid:
        """The grid of about this spacing (mm per array axis) that covers the same box of voxels."""
        extent = np.asarray(self.shape) * np.asarray(self.spacing)
        shape = np.maximum(1, np.round(extent / np.asarray(spacing) - 1e-6)).astype(int)
        steps = extent / shape
        origin = self.to_world(0.5 * steps / np.asarray(self.spacing) - 0.5)
        return Grid(tuple(map(int, shape)), tuple(map(float, steps)), tuple(map(float, origin)), self.direction)

    def same_as(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Whether all corners agree within ``tolerance`` mm and the shapes are equal."""
        return self.shape == other.shape and bool(np.abs(self.corners() - other.corners()).max() <= tolerance)


class Block(NamedTuple):
    """A part of a grid along its first array axis.

    rows: which rows of the whole grid it has; own: which of its rows are its own and not its neighbours'.
    """

    grid: Grid
    rows: slice
    own: slice
