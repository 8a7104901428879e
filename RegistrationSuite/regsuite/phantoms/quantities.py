"""What quantitative imaging would measure in every voxel of a labelled volume."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from regsuite.phantoms.fields import smooth_noise
from regsuite.spatial import Grid, Image, LabelImage

MAPS = ("T1", "T2", "T1rho")
DENSITY = "density"
"""Of protons, 1 in water; no map of the acquisition, but what its brightness needs."""


class Tissue(NamedTuple):
    """Relaxation times in ms, and the density of protons, 1 in water."""

    t1: float
    t2: float
    t1rho: float
    density: float


AIR = Tissue(0.0, 0.0, 0.0, 0.0)
# T1 and T2 are about those of G. E. Gold et al., AJR 183:343, 2004, at 3 T, where they have the tissue; T1rho is put a
# little above T2, as it is measured; the rest is plausible.
TISSUES = {
    "Femur": Tissue(370.0, 125.0, 140.0, 0.85),
    "Pelvis": Tissue(520.0, 85.0, 100.0, 0.80),
    "Femoral cartilage": Tissue(1200.0, 40.0, 48.0, 0.75),
    "Acetabular cartilage": Tissue(1150.0, 37.0, 44.0, 0.75),
    "Labrum": Tissue(900.0, 18.0, 24.0, 0.45),
    "Joint fluid": Tissue(3000.0, 400.0, 440.0, 1.00),
    "Muscle": Tissue(1400.0, 35.0, 41.0, 0.80),
    "Fat": Tissue(380.0, 130.0, 145.0, 0.95),
    "Vessel": Tissue(1900.0, 110.0, 125.0, 0.25),
    "Skin": Tissue(900.0, 30.0, 36.0, 0.60),
}
"""By the name of the label."""

_CALM_MM = 0.5
_VARIATION_MM = 15.0
_CLASSES = 4
_MOST = 4.0
_FAINT = 0.04


def quantities(
    volume: Image, tissues: LabelImage, rng: np.random.Generator, *, variation: float = 0.06, texture: float = 0.10
) -> dict[str, Image]:
    """T1, T2 and T1rho (ms) and the density, on the grid of the volume.

    A label that :data:`TISSUES` does not name gets values by chance. What has no label is parted by its brightness into
    air, where all is 0, and three tissues more. variation: relative standard deviation of smooth variation all over,
    of each map on its own; texture: how much the logarithm of a value rises where the volume is brighter by one
    standard deviation of its tissue (below 0: falls); density follows three times as much.
    """
    brightness = ndimage.gaussian_filter(volume.array(), [_CALM_MM / step for step in volume.grid.spacing])
    classes, table = _classes(brightness, tissues, rng)
    detail = _detail(brightness, classes, len(table))
    maps = {}
    for name, values in zip((*MAPS, DENSITY), np.array(table, dtype=np.float32).T, strict=True):
        vary = variation * _smooth(rng, volume.grid) if name != DENSITY else 0.0
        follow = texture if name != DENSITY else 3 * texture
        maps[name] = Image.from_array(values[classes] * np.exp(follow * detail + vary), volume.grid, name)
    return maps


def _classes(brightness: np.ndarray, tissues: LabelImage, rng: np.random.Generator) -> tuple[np.ndarray, list[Tissue]]:
    """(*shape) the number of each voxel's tissue, and the tissues by number."""
    labels = tissues.array()
    thin = np.ascontiguousarray(brightness[tuple(slice(None, None, max(1, n // 96)) for n in brightness.shape)])
    thresholds = _thresholds(thin)
    table = [AIR] + [_by_chance(rng) for _ in thresholds]
    classes = np.searchsorted(np.asarray(thresholds, np.float32), brightness).astype(np.int16)
    numbers = np.full(int(labels.max()) + 1, -1, dtype=np.int16)
    for value in tissues.values():
        numbers[value] = len(table)
        table.append(TISSUES.get(tissues.name_of(value)) or _by_chance(rng))
    return np.where(labels > 0, numbers[labels], classes), table


def _thresholds(brightness: np.ndarray) -> list[float]:
    """Between air, two soft tissues and the brightest, by Otsu's measure."""
    search = sitk.OtsuMultipleThresholdsImageFilter()
    search.SetNumberOfThresholds(_CLASSES - 1)
    search.Execute(sitk.GetImageFromArray(brightness))
    return list(search.GetThresholds())


def _by_chance(rng: np.random.Generator) -> Tissue:
    t2 = rng.uniform(30, 110)
    return Tissue(rng.uniform(400, 1500), t2, t2 * rng.uniform(1.1, 1.4), rng.uniform(0.5, 1.0))


def _detail(brightness: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """(*shape) float32: how much brighter than its tissue a voxel is, in robust standard deviations.

    A tissue without detail of its own is measured by a share of the whole volume's range.
    """
    low, high = np.percentile(brightness[::2, ::2, ::2], (1, 99))
    middle, spread = np.zeros(count, np.float32), np.full(count, np.inf, np.float32)
    for number in range(count):
        inside = brightness[classes == number]
        if len(inside):
            middle[number] = np.median(inside)
            spread[number] = max(1.48 * np.median(np.abs(inside - middle[number])), _FAINT * (high - low))
    return np.clip((brightness - middle[classes]) / spread[classes], -_MOST, _MOST)


def _smooth(rng: np.random.Generator, grid: Grid) -> np.ndarray:
    coarse = grid.resampled([max(_VARIATION_MM / 4, each) for each in grid.spacing])
    noise = smooth_noise(rng, coarse, _VARIATION_MM).astype(np.float32)
    return Image.from_array(noise, coarse).resampled(grid).array()
