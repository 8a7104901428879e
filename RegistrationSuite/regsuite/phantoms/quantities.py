"""What quantitative imaging would measure in every voxel of a labelled volume."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from regsuite.phantoms.fields import coarse_noise
from regsuite.spatial import Image, LabelImage

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
"""Standard deviations that are followed, at most."""
_FAINT = 0.04
_DENSITY_FOLLOWS = 3


def quantities(
    volume: Image, tissues: LabelImage, rng: np.random.Generator, *, variation: float = 0.06, texture: float = 0.10
) -> dict[str, Image]:
    """T1, T2 and T1rho (ms) and the density, on the grid of the volume, which is that of its tissues.

    A label that :data:`TISSUES` does not name gets values by chance. What has no label gets them from its brightness:
    nothing in the darkest part, which is air, and values by chance at three levels above, evenly between them.
    variation: relative standard deviation of smooth variation all over, of each map on its own; texture: how much the
    logarithm of a label's value rises where the volume is brighter by one standard deviation of that label (below 0:
    falls); density follows three times as much, so that compact bone is dark.
    """
    brightness = ndimage.gaussian_filter(volume.array(), [_CALM_MM / step for step in volume.grid.spacing])
    levels = _levels(brightness)
    unlabelled = np.array([AIR] + [_by_chance(rng) for _ in levels[1:]], dtype=np.float32)
    labels, table = _numbered(tissues, rng)
    detail, bare = texture * _detail(brightness, labels, len(table)), labels == 0

    def valued(part: int, exponent: np.ndarray) -> np.ndarray:
        values = table[:, part][labels] * np.exp(exponent)
        values[bare] = np.interp(brightness[bare], levels, unlabelled[:, part])
        return values

    maps = {DENSITY: Image.from_array(valued(len(MAPS), _DENSITY_FOLLOWS * detail), volume.grid, DENSITY)}
    for part, name in enumerate(MAPS):
        uneven = np.exp(variation * coarse_noise(rng, volume.grid, (_VARIATION_MM,), _VARIATION_MM / 4))
        maps[name] = Image.from_array(valued(part, detail) * uneven, volume.grid, name)
    return maps


def _numbered(tissues: LabelImage, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(*shape) the number of each voxel's tissue, 0 for none, and (N, 4) float32 the tissues by number."""
    labels = tissues.array()
    present = np.flatnonzero(np.bincount(labels.ravel())[1:]) + 1
    numbers = np.zeros(int(labels.max()) + 1, dtype=np.int16)
    numbers[present] = np.arange(1, len(present) + 1)
    named = [TISSUES.get(tissues.name_of(int(value))) or _by_chance(rng) for value in present]
    return numbers[labels], np.array([AIR, *named], dtype=np.float32)


def _levels(brightness: np.ndarray) -> np.ndarray:
    """(4,) the mean brightness of air, two soft tissues and the brightest, parted by Otsu's measure."""
    some = brightness[tuple(slice(None, None, max(1, n // 96)) for n in brightness.shape)]
    # Metal, or a bright vessel, would have a level to itself.
    some = np.clip(some, *np.percentile(some, (0.5, 99.5)))
    search = sitk.OtsuMultipleThresholdsImageFilter()
    search.SetNumberOfThresholds(_CLASSES - 1)
    search.Execute(sitk.GetImageFromArray(some))
    parts = np.searchsorted(np.asarray(search.GetThresholds()), some.ravel())
    return np.array([some.ravel()[parts == number].mean() for number in range(_CLASSES) if (parts == number).any()])


def _by_chance(rng: np.random.Generator) -> Tissue:
    t2 = rng.uniform(30, 110)
    return Tissue(rng.uniform(400, 1500), t2, t2 * rng.uniform(1.1, 1.4), rng.uniform(0.5, 1.0))


def _detail(brightness: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """(*shape) float32: how much brighter than its tissue a voxel is, in robust standard deviations.

    A tissue without detail of its own is measured by a share of the whole volume's range.
    """
    low, high = np.percentile(brightness[::2, ::2, ::2], (1, 99))
    middle, spread = np.zeros(count, np.float32), np.full(count, np.inf, np.float32)
    for number in range(1, count):
        inside = brightness[labels == number]
        middle[number] = np.median(inside)
        spread[number] = max(1.48 * np.median(np.abs(inside - middle[number])), _FAINT * (high - low))
    return np.clip((brightness - middle[labels]) / spread[labels], -_MOST, _MOST)
