"""A small brain to be sliced: an atlas with regions, other brains of its kind, and sections whose place is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.plates import Plates, cut
from regsuite.spatial.smoothing import gaussian_smooth

_HALF = np.array([5.2, 6.2, 3.8])
"""Half the brain's size along R, A and S, mm."""
_CORTEX = 0.78
"""Where the cortex ends, in parts of the way from the middle to the surface."""
_REGIONS = 40
_LEVELS = (0.30, 0.95)


@dataclass(frozen=True)
class AtlasCase:
    """template and labels on one grid; plates: its coronal ones."""

    template: Image
    labels: LabelImage
    plates: Plates


def atlas_case(spacing: float = 0.2, seed: int = 0, plate_spacing: float | None = None) -> AtlasCase:
    """A brain of about 10 x 12 x 8 mm whose regions come in pairs, left and right, and differ from front to back.

    spacing: of its voxels, mm; seed: another one gives another brain, not another individual.
    """
    half = _HALF + 0.6
    shape = np.ceil(2 * half / spacing).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = np.fliplr(np.diag([spacing] * 3))
    affine[:3, 3] = -(shape - 1) / 2 * spacing
    grid = Grid.from_affine([int(n) for n in shape[::-1]], affine)
    labels = _regions(grid, np.random.default_rng(seed))
    image = _painted(labels, grid, np.random.default_rng(seed + 1))
    names = {1: "Cortex"} | {value: f"Nucleus {value - 1}" for value in range(2, _REGIONS + 2)}
    template = Image.from_array(image, grid, "Atlas")
    annotation = LabelImage.from_array(labels, grid, names)
    return AtlasCase(template, annotation, Plates(grid, "coronal", plate_spacing or spacing))


def _regions(grid: Grid, random: np.random.Generator) -> np.ndarray:
    """(*shape) int32: cortex around ellipsoids whose middles lie anywhere along A, right and left alike."""
    x = grid.points(torch.float64).numpy()
    # Narrow and low at the front, wide in the middle, as a brain is.
    taper = 1 - 0.22 * np.clip(x[..., 1] / _HALF[1], -1, 1)
    inside = np.linalg.norm(x / (_HALF * np.stack([taper, np.ones_like(taper), taper], -1)), axis=-1)
    labels = (inside < 1).astype(np.int32)
    for value in range(2, _REGIONS + 2):
        centre = random.uniform([0.6, -4.8, -2.0], [3.4, 4.8, 2.0])
        size = random.uniform([0.5, 0.7, 0.5], [1.3, 2.0, 1.2])
        mirrored = np.stack([np.abs(x[..., 0]), x[..., 1], x[..., 2]], axis=-1)
        labels[(np.linalg.norm((mirrored - centre) / size, axis=-1) < 1) & (inside < _CORTEX)] = value
    return labels


def _painted(labels: np.ndarray, grid: Grid, random: np.random.Generator) -> np.ndarray:
    """(*shape) float32: each region its own brightness, soft at its border, with some texture."""
    levels = np.concatenate([[0.0, 0.6], random.uniform(*_LEVELS, _REGIONS)])
    step = float(min(grid.spacing))
    data = torch.from_numpy(levels[labels].astype(np.float32))[None, None]
    soft = gaussian_smooth(data, grid.spacing, 0.6 * step)[0, 0].numpy()
    noise = torch.from_numpy(random.standard_normal(labels.shape).astype(np.float32))[None, None]
    texture = gaussian_smooth(noise, grid.spacing, 1.2 * step)[0, 0].numpy()
    return np.clip(soft + 0.06 * texture * (labels > 0), 0, None).astype(np.float32)


def section_of(
    case: AtlasCase,
    pose: np.ndarray,
    *,
    shape: tuple[int, int] = (120, 160),
    pixel: float = 0.08,
    stain: float = 1.0,
    kept: float = 1.0,
) -> Image:
    """A section cut at ``pose`` (9), as a file of one would be read: (1, 1, 1, H, W), its first pixel at the origin.

    pixel: mm; stain: the brightness to that power, negative ones inverted; kept: the left share of it that is there.
    """
    from regsuite.io.sections import section_grid

    grid = section_grid(shape[1], shape[0], (pixel, pixel))
    # Columns run to L, rows to P: the plane's right and bottom, about the picture's middle.
    flat = torch.from_numpy((grid.points(torch.float64).numpy() - grid.centre)[0] * (-1.0, -1.0, 0.0))
    matrices = case.plates.matrices(torch.as_tensor(pose, dtype=torch.float64)[None])
    shown = cut(case.template.data, case.template.grid, matrices, flat.float())[0, 0].clamp(min=0) ** abs(stain)
    shown = shown if stain > 0 else shown.max() - shown
    shown[:, round(kept * shape[1]) :] = 0.0 if stain > 0 else shown.max()
    return Image(shown[None, None, None], grid, "Section")
