"""Two images made comparable: near each other, on one working grid and one intensity scale, from coarse to fine."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from regsuite.losses.similarity import squared_difference
from regsuite.spatial import Grid, Image, LabelImage, sample
from regsuite.spatial.smoothing import gaussian_smooth
from regsuite.transforms import Affine, warp_image

MARGIN_VOXELS = 6
_FOREGROUND = 0.1
_BRIGHTEST = 2.0
_SMALLEST_AXIS = 10
_LEVELS = 6
ANTIALIAS = 0.42
"""σ of smoothing for the working grid, in its voxels: a half of the voxel's width at half maximum."""
_AROUND = 0.03
"""How far content reaches out, of the images' mean extent."""
_DETAIL, _FLAT = 0.02, 0.02
"""Width of what is detail, of the images' mean extent, and deviation of a flat image."""


@dataclass(frozen=True)
class Pair:
    """Fixed and moving image on one working grid.

    fixed, moving: (1, 1, *shape), dark 0 to bright 1; weight: 1 where both images have data;
    initial: takes fixed to moving points before any deformation;
    dark, unit: 0 and the step from 0 to 1 of ``moving``, in the unit of the moving image;
    content: 1 where either image shows something, and a little around it;
    fixed_dark, fixed_unit: the same of ``fixed``, in the fixed image's; size: mean extent of what is in the images, mm.
    """

    fixed: Tensor
    moving: Tensor
    weight: Tensor
    content: Tensor
    grid: Grid
    initial: Affine
    dark: float
    unit: float
    fixed_dark: float
    fixed_unit: float
    size: float

    def coarser(self, grid: Grid) -> Pair:
        """On a coarser grid of the same box, smoothed for it."""
        return dataclasses.replace(
            self,
            fixed=coarsen(self.fixed, self.grid, grid),
            moving=coarsen(self.moving, self.grid, grid),
            weight=coarsen(self.weight, self.grid, grid),
            content=coarsen(self.content, self.grid, grid),
            grid=grid,
        )

    def difference(self, image: Tensor, weight: Tensor | None = None) -> Tensor:
        """∫ (image - fixed)² over the weighted region, mm³ (mm² in 2D)."""
        weight = self.weight if weight is None else weight
        return squared_difference(image, self.fixed, weight, self.grid.voxel_volume)


def coarsen(data: Tensor, grid: Grid, coarse: Grid, blur: float = 1.0) -> Tensor:
    """(1, 1, *shape) on a coarser grid: smoothed by σ = ``blur`` coarse voxels where it gets coarser, and resampled."""
    if coarse == grid:
        return data
    widths = [blur * new if new > 1.01 * old else 0.0 for old, new in zip(grid.spacing, coarse.spacing, strict=True)]
    return Image(gaussian_smooth(data, grid.spacing, widths), grid).resampled(coarse).data


def pyramid(grid: Grid, levels: int) -> list[Grid]:
    """Grids of the same box, coarsest first; each doubles the voxel on its finest axes.

    levels: how many at most, or 0 for as many as leave ten voxels across; never fewer across than that.
    """
    finest = min(grid.spacing)
    grids = [grid]
    for level in range(1, levels or _LEVELS):
        coarse = grid.resampled([max(h, finest * 2**level) for h in grid.spacing])
        if min(coarse.shape) < min(_SMALLEST_AXIS, *grid.shape):
            break
        grids.append(coarse)
    return grids[::-1]


def make_pair(
    fixed: Image, moving: Image, initial: Affine, resolution: float = 0.0, ignore: LabelImage | None = None
) -> Pair:
    """The working pair of two images (as the method shall compare them) whose positions ``initial`` relates.

    resolution: mm of the working voxel, or 0 for the fixed image's; ignore: region of the fixed image whose intensities
    say nothing of its tissue, such as a tumour.
    """
    base = at_resolution(fixed.grid, resolution)
    near = warp_image(moving, initial, fixed.grid, outside="border")
    # Judged by the same place in both: neither a bright tumour nor what lies there in the template may set the scale.
    told = None if ignore is None else ~ignore.mask()[None, None]
    scaled_fixed, fixed_dark, fixed_unit = _scale(fixed.data, told)
    scaled_moving, dark, unit = _scale(near.data, told)
    covered = _foreground(scaled_fixed) | _foreground(scaled_moving)
    grid, size = _working_grid(base, covered, fixed.grid)
    points = grid.points(torch.float64, fixed.data.device)

    def on_grid(data: Tensor, source: Grid) -> Tensor:
        coarse = at_resolution(source, resolution)
        return sample(coarsen(data, source, coarse, ANTIALIAS), coarse, points)

    ones = torch.ones_like(fixed.data)
    seen = sample(ones, fixed.grid, points, outside="zeros") * sample(
        torch.ones_like(moving.data), moving.grid, initial.points(points), outside="zeros"
    )
    shown = sample(covered.to(ones.dtype), fixed.grid, points, outside="zeros")
    around = gaussian_smooth(shown, grid.spacing, _AROUND * size)
    return Pair(
        fixed=on_grid(scaled_fixed, fixed.grid),
        moving=on_grid(scaled_moving, fixed.grid),
        weight=(seen > 0.5).to(ones.dtype),
        content=(around > 0.05).to(ones.dtype),
        grid=grid,
        initial=initial,
        dark=dark,
        unit=unit,
        fixed_dark=fixed_dark,
        fixed_unit=fixed_unit,
        size=size,
    )


def scale_of(moving: Image, initial: Affine, fixed: Grid, ignore: LabelImage | None) -> tuple[float, float]:
    """``dark`` and ``unit`` of a pair with this moving image."""
    near = warp_image(moving, initial, fixed, outside="border").data
    return _scale(near, None if ignore is None else ~ignore.mask()[None, None])[1:]


def at_resolution(grid: Grid, resolution: float) -> Grid:
    """The grid with its axes no finer than ``resolution`` mm."""
    if resolution <= min(grid.spacing):
        return grid
    return grid.resampled([max(h, resolution) for h in grid.spacing])


def _scale(data: Tensor, counted: Tensor | None) -> tuple[Tensor, float, float]:
    """Intensities from dark 0 to bright 1 by percentiles, what 0 is, how much 1 is; ``counted``: voxels that tell."""
    values = (data if counted is None else data[counted]).flatten()
    low = _quantile(values, 0.005)
    spread = _quantile(values, 0.995) - low
    bright = values[values > low + _FOREGROUND * spread]
    unit = _quantile(bright, 0.98) - low if len(bright) else spread
    unit = unit or float(values.max() - values.min()) or 1.0
    return ((data - low) / unit).clamp(-0.25, _BRIGHTEST), low, unit


def _quantile(values: Tensor, share: float) -> float:
    return float(np.quantile(values.detach().cpu().numpy(), share))


def _foreground(data: Tensor) -> Tensor:
    """Where the image differs from what is usual along its border: (1, 1, *shape) bool."""
    border = torch.zeros_like(data, dtype=torch.bool)
    for axis in range(2, data.ndim):
        border.index_fill_(axis, torch.tensor([0, data.shape[axis] - 1], device=data.device), True)
    return (data - data[border].median()).abs() > _FOREGROUND


def _working_grid(base: Grid, covered: Tensor, fixed: Grid) -> tuple[Grid, float]:
    """The part of ``base`` around the covered voxels of the fixed grid with a margin, and their mean extent in mm."""
    where = covered[0, 0].nonzero().cpu().numpy()
    if len(where) == 0:
        where = np.array([[0] * fixed.dim, [n - 1 for n in fixed.shape]])
    low, high = where.min(axis=0), where.max(axis=0)
    extent = (high - low + 1) * np.asarray(fixed.spacing)
    first, last = base.to_index(fixed.to_world(low - 0.5)), base.to_index(fixed.to_world(high + 0.5))
    start = np.floor(first).astype(int) - MARGIN_VOXELS
    stop = np.ceil(last).astype(int) + MARGIN_VOXELS + 1
    return base.cropped([int(n) for n in start], [int(n) for n in stop - start]), _mean_extent(extent)


def _mean_extent(extent: Sequence[float]) -> float:
    return float(math.exp(np.mean(np.log(np.asarray(extent)))))


def noise_of(image: Tensor, where: Tensor) -> float:
    """Standard deviation of the noise in (1, 1, *shape), where ``where`` is above a half.

    Immerkær, Fast noise variance estimation (1996): of the second difference along one axis of that along the next, in
    which straight edges cancel; with the median, for the other edges not to count.
    """
    rest, inside = image, where > 0.5
    for axis in range(2, image.ndim):
        rest = rest.diff(n=2, dim=axis)
        inside = inside.narrow(axis, 1, rest.shape[axis])
    values = rest[inside].abs()
    spread = math.sqrt(6) ** (image.ndim - 2)  # of a second difference, 1 - 2 + 1, of unit noise: 1 + 4 + 1
    return float(values.median()) / (0.6745 * spread) if len(values) else 0.0


def correlation_of(pair: Pair, where: Tensor) -> float:
    """Pearson's correlation of both images without their detail, weighted by ``where`` (1, 1, *shape); 1 where one of
    them is flat and so cannot disagree."""
    weight = where / where.sum().clamp(min=1e-6)
    smooth = [gaussian_smooth(image, pair.grid.spacing, _DETAIL * pair.size) for image in (pair.fixed, pair.moving)]
    centred = [image - (weight * image).sum() for image in smooth]
    deviations = [(weight * each.square()).sum().sqrt() for each in centred]
    if float(min(deviations)) < _FLAT:
        return 1.0
    return float((weight * centred[0] * centred[1]).sum() / (deviations[0] * deviations[1]))


def matched(moving: Image, fixed: Image, initial: Affine, ignore: LabelImage | None) -> Image:
    """The moving image with its intensities brought to the fixed one's: the monotone map between their distributions.

    Each is taken where its image is brighter than its background, holes filled, without ``ignore``. Nyúl and Udupa, On
    standardizing the MR image intensity scale (1999), with every second percentile for a landmark. Where one of the
    images is flat there is nothing to match.
    """
    near = warp_image(moving, initial, fixed.grid, outside="border").data
    told = torch.ones_like(near, dtype=torch.bool) if ignore is None else ~ignore.mask()[None, None]
    levels = [_landmarks(data, told) for data in (near, fixed.data)]
    if any(each[-1] <= each[0] for each in levels):
        return moving
    old, which, count = np.unique(levels[0], return_inverse=True, return_counts=True)
    new = np.bincount(which, levels[1]) / count  # of a flat region the mean of what it corresponds to
    array = moving.data.cpu().numpy()
    beyond = (new[-1] - new[0]) / (old[-1] - old[0])  # outside the landmarks the slope between the ends
    mapped = np.interp(array, old, new) + beyond * (np.minimum(array - old[0], 0) + np.maximum(array - old[-1], 0))
    return dataclasses.replace(moving, data=torch.from_numpy(mapped).to(moving.data))


def _landmarks(data: Tensor, told: Tensor) -> np.ndarray:
    """The background of (1, 1, *shape) and percentiles of the head, dark parts within it included."""
    scaled, dark, _ = _scale(data, told)
    head = ndimage.binary_fill_holes((scaled > _FOREGROUND)[0, 0].cpu().numpy())
    values = data[0, 0].cpu().numpy()[head & told[0, 0].cpu().numpy()]
    shares = np.linspace(0.02, 0.98, 49)
    return np.concatenate([[dark], np.quantile(values, shares) if len(values) else np.full(len(shares), dark)])
