"""How radial slices are measured: their recipe, and what they show of a volume whose tissue is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regsuite.phantoms.quantities import DENSITY, MAPS
from regsuite.spatial import Grid, Image, sample
from regsuite.spatial.plates import flat_points
from regsuite.spatial.smoothing import gaussian_smooth

_FULL_WIDTH = 2.3548
"""Of a Gaussian at half its height, in standard deviations."""
_PROFILE_STEP = 0.5
_LEAST_STEPS = 7


@dataclass(frozen=True)
class RadialRecipe:
    """How the slices are made.

    count: of them; shape: (rows, columns); pixel, thickness: mm, the profile across is a box; point_spread: full width
    at half maximum of a Gaussian in the plane, mm; noise: standard deviation, of the slices relative to their
    brightest tissue (Rician), of the maps relative to each value; shift, turn: at most how far the scanner's space is
    from the volume's, mm and degrees about the joint's centre; motion: at most how far each slice is from where it
    should be, mm and degrees; segmentation_error: share of the bone's outline that is wrong; variation, texture: of
    the maps, as :func:`regsuite.phantoms.quantities.quantities` has them; echo, repetition: ms, of the slices.
    """

    count: int = 6
    shape: tuple[int, int] = (256, 256)
    pixel: float = 0.6
    thickness: float = 4.0
    point_spread: float = 0.8
    noise: float = 0.03
    shift: float = 15.0
    turn: float = 30.0
    motion: tuple[float, float] = (0.5, 0.5)
    segmentation_error: float = 0.0
    variation: float = 0.06
    texture: float = 0.10
    echo: float = 40.0
    repetition: float = 1500.0

    def __post_init__(self) -> None:
        if not 0 <= self.segmentation_error <= 1:
            raise ValueError(f"a share of the outline is from 0 to 1, not {self.segmentation_error}")

    def offsets(self) -> np.ndarray:
        """(N,) mm across the slice, the middles of equal parts of its thickness."""
        count = max(_LEAST_STEPS, round(self.thickness / _PROFILE_STEP)) if self.thickness else 1
        return ((np.arange(count) + 0.5) / count - 0.5) * self.thickness


def measured(
    known: Mapping[str, Image], planes: Tensor, recipe: RadialRecipe, grid: Grid, rng: np.random.Generator
) -> tuple[tuple[Image, ...], dict[str, tuple[Image, ...]]]:
    """The slices' brightness and their maps: means over the profile and the point spread, with noise."""
    t1, t2, density = (known[name].data.clamp(min=1e-3) for name in ("T1", "T2", DENSITY))
    signal = density * torch.exp(-recipe.echo / t2) * (1 - torch.exp(-recipe.repetition / t1))
    volume = known["T1"].grid
    data = torch.cat([signal, *(known[name].data for name in MAPS)], dim=1)
    brightest = float(torch.quantile(signal[:, :, ::3, ::3, ::3], 0.98))
    slices, maps = [], []
    for number, plane in enumerate(planes):
        mean = over_profile(data, volume, plane, recipe).numpy()
        real, imaginary = recipe.noise * brightest * rng.standard_normal((2, *recipe.shape))
        slices.append(
            Image.from_array(np.hypot(mean[0] + real, imaginary)[None].astype(np.float32), grid, f"Slice {number + 1}")
        )
        noisy = mean[1:] * (1 + recipe.noise * rng.standard_normal(mean[1:].shape))
        maps.append(np.clip(noisy, 0, None).astype(np.float32))
    named = {
        name: tuple(
            Image.from_array(each[part][None], grid, f"{name} {number + 1}") for number, each in enumerate(maps)
        )
        for part, name in enumerate(MAPS)
    }
    return tuple(slices), named


def over_profile(data: Tensor, grid: Grid, plane: Tensor, recipe: RadialRecipe) -> Tensor:
    """(C, H, W): the mean of a volume (1, C, *shape) across a slice, blurred in its plane."""
    flat = flat_points(recipe.shape, recipe.pixel, torch.float64) @ plane[:3, :3].T + plane[:3, 3]
    across = plane[:3, 2]
    offsets = recipe.offsets()
    total = torch.zeros(1, data.shape[1], *recipe.shape, dtype=data.dtype)
    for offset in offsets:
        total += sample(data, grid, flat + offset * across, outside="zeros") / len(offsets)
    return gaussian_smooth(total, [recipe.pixel] * 2, recipe.point_spread / _FULL_WIDTH)[0]
