"""Images, labels and points: data that knows where it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from regsuite.spatial.grid import Grid
from regsuite.spatial.sampling import Mode, Outside, sample


def _with_channel(array: np.ndarray, grid: Grid) -> np.ndarray:
    array = np.asarray(array)
    if array.shape[-grid.dim :] != grid.shape or array.ndim not in (grid.dim, grid.dim + 1):
        raise ValueError(f"an array of shape {array.shape} does not fit a grid of shape {grid.shape}")
    return array[None] if array.ndim == grid.dim else array


@dataclass(frozen=True)
class Image:
    """Intensities ``data`` (1, C, *shape), floating point, on ``grid``."""

    data: Tensor
    grid: Grid
    name: str = ""

    def __post_init__(self) -> None:
        if tuple(self.data.shape[2:]) != self.grid.shape or self.data.shape[0] != 1:
            raise ValueError(f"image data {tuple(self.data.shape)} does not fit a grid of shape {self.grid.shape}")

    @classmethod
    def from_array(cls, array: np.ndarray, grid: Grid, name: str = "") -> Image:
        """From (*shape) or (C, *shape); 64-bit floats stay, all else becomes 32-bit."""
        array = _with_channel(array, grid)
        dtype = np.float64 if array.dtype == np.float64 else np.float32
        return cls(torch.from_numpy(np.array(array, dtype=dtype)[None]), grid, name)

    def array(self) -> np.ndarray:
        """(*shape), or (C, *shape) where there are several channels."""
        array = self.data[0].detach().cpu().numpy()
        return array[0] if array.shape[0] == 1 else array

    def to(self, device: str | torch.device, dtype: torch.dtype = torch.float32) -> Image:
        """On another device."""
        return dataclasses.replace(self, data=self.data.to(device=device, dtype=dtype))

    def resampled(self, grid: Grid, mode: Mode = "linear", outside: Outside = "border") -> Image:
        """On another grid, without smoothing."""
        parts = (block.grid.points(torch.float64, self.data.device) for block in grid.blocks())
        values = [sample(self.data, self.grid, points, mode, outside) for points in parts]
        return dataclasses.replace(self, data=torch.cat(values, dim=2), grid=grid)


@dataclass(frozen=True)
class LabelImage:
    """Whole-number labels ``data`` (1, 1, *shape) int32 on ``grid``; 0 is background.

    names, colours (r, g, b in 0..1) and terms (what it is, as ``terminology.term_of`` gives it): by label value.
    """

    data: Tensor
    grid: Grid
    names: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, tuple[float, float, float]] = field(default_factory=dict)
    terms: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if tuple(self.data.shape[2:]) != self.grid.shape or self.data.shape[:2] != (1, 1):
            raise ValueError(f"label data {tuple(self.data.shape)} does not fit a grid of shape {self.grid.shape}")

    @classmethod
    def from_array(
        cls,
        array: np.ndarray,
        grid: Grid,
        names: Mapping[int, str] | None = None,
        colours: Mapping[int, tuple[float, float, float]] | None = None,
        terms: Mapping[int, str] | None = None,
    ) -> LabelImage:
        """From (*shape) whole numbers."""
        data = torch.from_numpy(np.array(_with_channel(array, grid), dtype=np.int32)[None])
        return cls(data, grid, dict(names or {}), dict(colours or {}), dict(terms or {}))

    def array(self) -> np.ndarray:
        """(*shape) int32."""
        return self.data[0, 0].cpu().numpy()

    def values(self) -> list[int]:
        """The labels present, without background."""
        return [int(value) for value in torch.unique(self.data) if value != 0]

    def name_of(self, value: int) -> str:
        """The label's name, or its number."""
        return self.names.get(value, str(value))

    def mask(self, value: int | None = None) -> Tensor:
        """(*shape) bool: one label, or all."""
        return self.data[0, 0] != 0 if value is None else self.data[0, 0] == value


@dataclass(frozen=True)
class PointSet:
    """Points (N, d), float64, RAS mm, with a name each (or none at all)."""

    points: Tensor
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] not in (2, 3):
            raise ValueError(f"points are (N, 2) or (N, 3), not {tuple(self.points.shape)}")

    @classmethod
    def from_array(cls, points: np.ndarray, names: Sequence[str] = ()) -> PointSet:
        """From (N, d) RAS mm."""
        return cls(torch.from_numpy(np.array(points, dtype=np.float64)), tuple(names))

    @property
    def dim(self) -> int:
        """2 or 3."""
        return int(self.points.shape[1])

    def array(self) -> np.ndarray:
        """(N, d) float64."""
        return self.points.cpu().numpy()
