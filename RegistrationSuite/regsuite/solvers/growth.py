"""Masks that grow from inside a region to the region.

"ball": François et al., Weighted Metamorphosis (WBIR 2022), section 2: M_t is the LDDMM path from a small smoothed ball
to the segmentation.

"tissue": a front that starts in the region and moves through its tissue, as the front of a reaction-diffusion tumour
does by the eikonal approximation of Konukoglu et al., Image guided personalization of reaction-diffusion type tumor
growth models using modified anisotropic eikonal equations (IEEE TMI 29, 2010, doi:10.1109/TMI.2009.2026413). There the
speed follows the diffusivities of segmented grey and white matter and their fibres; here it is isotropic and asks for
an image of any contrast alone: with I the tissue and R the radius of the largest ball in the region,

    |∇T| = 1 + b |∇I|,    b = 2 R,

so a millimetre of even tissue takes a millimetre of time, and crossing an edge of contrast δ as much again as b δ mm,
however sharp or blurred it is: the sum of path and of change along it that geodesic distances have in Criminisi et al.,
GeoS: Geodesic Image Segmentation (ECCV 2008, doi:10.1007/978-3-540-88682-2_9).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from regsuite.errors import InputError
from regsuite.progress import Part, Progress
from regsuite.solvers.geodesics import Energy
from regsuite.solvers.multiscale import Settings, solve
from regsuite.solvers.pair import Pair
from regsuite.spatial import Grid, sample
from regsuite.spatial.smoothing import gaussian_smooth
from regsuite.transforms import identity

Model = Literal["ball", "tissue"]

_BALL = 0.4
"""Radius of the first ball, of the largest ball that fits into the piece."""
_VOXELS_ACROSS = 5
"""Voxels in the largest ball's radius on the grid an LDDMM path is computed on."""
_MARGIN = 3
"""Voxels around a piece that its soft edge reaches."""
_MOST_PATHS = 2
_LEAST_SHARE = 0.1
_THINNEST = 0.2
"""LDDMM paths are computed for so many pieces, none below a share of the largest one's volume, nor where the largest
ball inside has less than a share of the piece's: from there no path gets to the ends."""
_REACHED = 0.8
"""Dice overlap with its piece at which an LDDMM path counts as having arrived."""
_MIDDLE = 0.05
"""mm of depth worth a mm nearer the middle, so that of places about as deep the middle one is chosen."""
_EDGE_DELAY = 2.0
"""b, of the largest ball's radius."""


def soft_mask(mask: Tensor, grid: Grid) -> Tensor:
    """Binary (N, 1, *shape) with an edge a voxel wide."""
    return gaussian_smooth(mask, grid.spacing, [0.7 * h for h in grid.spacing])


def growing_masks(
    mask: Tensor,
    grid: Grid,
    steps: int,
    progress: Progress,
    model: Model = "ball",
    seeds: Tensor | None = None,
    tissue: Tensor | None = None,
) -> Tensor:
    """M_t of every step, (steps, 1, *shape) in 0..1, growing to the binary mask (1, 1, *shape).

    Each is the mask at the start of its step, the last one the whole mask, so that nothing of it stays out of reach.
    None is anywhere smaller than the one before; edges are a voxel wide.
    seeds: binary (1, 1, *shape), where growth starts; of any shape and number, what lies outside the mask does not
    count. tissue: (1, 1, *shape), about 0..1, the image the front of "tissue" moves in; None is the same everywhere.

    Every connected piece of the mask starts at the same time and is whole at the end; one without seeds starts at its
    deepest place. The first mask holds the seeds and a voxel around them, or as much as a ball of 0.4 times the radius
    of the largest ball in the piece if that is more; a piece of a few voxels is therefore there from the start. A mask
    that touches the border of the grid is taken to go on beyond it, so its deepest place may lie on the border.

    "tissue": the radius (d-th root of volume) of each piece grows evenly.
    "ball": an LDDMM path for the largest piece or two. Smaller ones, and a piece too thin or with seeds too far aside
    for a path to reach its ends, grow as in "tissue" at the same speed everywhere.

    Raises InputError where seeds are given and none is in the mask.
    """
    masks = torch.zeros(steps, 1, *grid.shape, device=mask.device)
    pieces = _pieces(mask, grid, seeds)
    done, whole = 0, sum(piece.voxels for piece in pieces)
    for number, piece in enumerate(pieces):
        part = Part(progress, done / whole, (done + piece.voxels) / whole)
        part.step(0.0, "growing the mask")
        large = number < _MOST_PATHS and piece.voxels >= _LEAST_SHARE * pieces[0].voxels
        if model == "ball" and large and piece.ball() >= _THINNEST * piece.voxels:
            frames = _path(piece, steps, part, mask.device)
        else:
            frames = _front(piece, steps, tissue if model == "tissue" else None)
        # Soft edges of pieces that nearly touch add up to the soft edge of both.
        masks[(slice(None), slice(None), *piece.box)] += frames.to(mask.device)
        done += piece.voxels
    return masks.clamp_(0, 1)


@dataclass(frozen=True)
class _Piece:
    """A connected piece of the mask in a box around it.

    box: of the whole grid; grid: of the box; inside, seeds: (*box) bool;
    radius: of the largest ball inside, mm; nucleus: voxels of the first ball.
    """

    box: tuple[slice, ...]
    grid: Grid
    inside: np.ndarray
    seeds: np.ndarray
    radius: float
    nucleus: int

    @property
    def voxels(self) -> int:
        return int(self.inside.sum())

    def ball(self) -> float:
        """Voxels of the largest ball inside."""
        unit = {2: np.pi, 3: 4 / 3 * np.pi}[self.grid.dim]
        return float(unit * self.radius**self.grid.dim / self.grid.voxel_volume)

    def distance(self) -> np.ndarray:
        """mm to the nearest seed, (*box)."""
        return ndimage.distance_transform_edt(~self.seeds, sampling=self.grid.spacing)

    def first(self, around: float) -> np.ndarray:
        """What the first mask is before its edges are soft, (*box) bool: at least the seeds and ``around`` mm more."""
        distance = np.where(self.inside, self.distance(), np.inf)
        enough = np.partition(distance[self.inside], self.nucleus - 1)[self.nucleus - 1]
        return distance <= max(around, enough)


def _pieces(mask: Tensor, grid: Grid, seeds: Tensor | None) -> list[_Piece]:
    """Connected pieces, largest first."""
    labels, count = ndimage.label(mask[0, 0].cpu().numpy() > 0.5)
    drawn = np.zeros(grid.shape, dtype=bool) if seeds is None else seeds[0, 0].cpu().numpy() > 0.5
    if seeds is not None and not (drawn & (labels > 0)).any():
        raise InputError("The growth seeds do not touch the lesion mask: draw them inside it.")
    pieces = [
        _piece(labels, number, extent, grid, drawn)
        for number, extent in zip(range(1, count + 1), ndimage.find_objects(labels), strict=True)
    ]
    return sorted(pieces, key=lambda piece: -piece.voxels)


def _piece(labels: np.ndarray, number: int, extent: tuple[slice, ...], grid: Grid, drawn: np.ndarray) -> _Piece:
    box = tuple(
        slice(max(0, part.start - _MARGIN), min(n, part.stop + _MARGIN))
        for part, n in zip(extent, grid.shape, strict=True)
    )
    here = grid.cropped([part.start for part in box], [part.stop - part.start for part in box])
    inside = labels[box] == number
    deepest, radius, nucleus = _deepest(inside, here.spacing)
    seeds = drawn[box] & inside
    if not seeds.any():
        seeds[deepest] = True
    return _Piece(box, here, inside, seeds, radius, nucleus)


def _deepest(inside: np.ndarray, spacing: Sequence[float]) -> tuple[tuple[int, ...], float, int]:
    """Where the largest ball in a piece is, as an array index, its radius in mm, and the voxels of the first ball."""
    depths = _depth(inside, spacing)[inside]
    where = np.argwhere(inside)
    off = np.linalg.norm((where - where.mean(axis=0)) * spacing, axis=1)
    best = where[(depths - _MIDDLE * off).argmax()]
    radius = float(depths.max())
    nucleus = np.linalg.norm((where - best) * spacing, axis=1) <= _BALL * radius
    return tuple(int(n) for n in best), radius, int(nucleus.sum())


def _depth(inside: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """mm from voxels (*shape) inside to the nearest one outside, where the region goes on beyond the array."""
    if not inside.all():
        return ndimage.distance_transform_edt(inside, sampling=spacing)
    padded = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=spacing)
    return padded[(slice(1, -1),) * inside.ndim]


def arrival_times(speed: np.ndarray, seeds: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """When a front that starts at the seeds (*shape) bool gets to every voxel (*shape); infinite where it never does.

    speed: (*shape) mm per unit of time, at most 1, 0 where there is no way. Solves |∇T| = 1 / speed by fast marching
    (Sethian 1999, in ITK), which is of first order and late by a voxel or two on the diagonals. A second front, free to
    go everywhere at speed 1, is as late, and its distance is known: what it is late by is taken off the first.
    """
    free = _march(np.ones_like(speed), seeds, spacing)
    return _march(speed, seeds, spacing) - (free - ndimage.distance_transform_edt(~seeds, sampling=spacing))


def _march(speed: np.ndarray, seeds: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(speed.astype(np.float32))
    image.SetSpacing([float(h) for h in spacing[::-1]])
    march = sitk.FastMarchingImageFilter()
    march.SetTrialPoints(np.argwhere(seeds)[:, ::-1].tolist())
    times = sitk.GetArrayFromImage(march.Execute(image))
    return np.where(times < 1e30, times, np.inf)


def tissue_speed(tissue: Tensor, grid: Grid, delay: float) -> np.ndarray:
    """1 / (1 + b |∇I|) of (1, 1, *shape) smoothed by a voxel, (*shape); delay: b, mm."""
    smooth = gaussian_smooth(tissue.detach().cpu().float(), grid.spacing, grid.spacing)[0, 0].numpy()
    axes = [(axis, h) for axis, (n, h) in enumerate(zip(grid.shape, grid.spacing, strict=True)) if n > 1]
    slopes = [np.gradient(smooth, h, axis=axis) for axis, h in axes]
    return 1 / (1 + delay * np.sqrt(sum(slope**2 for slope in slopes) + np.zeros(grid.shape)))


def _front(piece: _Piece, steps: int, tissue: Tensor | None) -> Tensor:
    """Frames (steps, 1, *box) of a front through the tissue."""
    speed = piece.inside.astype(np.float32)
    if tissue is not None:
        speed *= tissue_speed(tissue[(slice(None), slice(None), *piece.box)], piece.grid, _EDGE_DELAY * piece.radius)
    around = max(piece.grid.spacing)
    times = arrival_times(speed, piece.seeds, piece.grid.spacing)
    # Seeds on an edge are left as slowly on all sides, and still shall lie within the first mask.
    times[piece.distance() <= around] = 0
    first = int(piece.first(around).sum())
    moments = np.full(piece.grid.shape, np.inf)
    moments[piece.inside] = _moments(times[piece.inside], first, piece.grid.dim)
    starts = torch.tensor([*(step / steps for step in range(steps - 1)), 1.0], dtype=torch.float64)
    reached = torch.from_numpy(moments) <= starts.reshape(-1, 1, *[1] * piece.grid.dim)
    return soft_mask(reached.float(), piece.grid)


def _moments(times: np.ndarray, first: int, dim: int) -> np.ndarray:
    """From 0 to 1, when each voxel (N,) is reached if the radius grows evenly from that of ``first`` voxels."""
    rank = np.empty(len(times))
    rank[times.argsort(kind="stable")] = np.arange(1, len(times) + 1)
    radius, start, end = rank ** (1 / dim), first ** (1 / dim), len(times) ** (1 / dim)
    # The first mask may be the whole already.
    return ((radius - start) / max(end - start, 1e-9)).clip(0, 1)


def _path(piece: _Piece, steps: int, progress: Progress, device: torch.device) -> Tensor:
    """Frames (steps, 1, *box) of an LDDMM path from the seeds, or of a front where no path gets to the whole piece."""
    small = _around(piece)
    points = small.points(torch.float64, device)
    inside = torch.from_numpy(piece.inside).to(device).float()[None, None]
    end = soft_mask(sample(inside, piece.grid, points), small)
    start = torch.minimum(_nucleus(piece, small, points), end)
    path = _grow(start, end, small, piece.radius, steps, progress)
    frames = sample(torch.cat(path, dim=1), small, piece.grid.points(torch.float64, device), outside="zeros")[0][
        :, None
    ]
    # The path stretches its start's soft edge and is on larger voxels: what counts is where its outline is.
    grown = ((frames > 0.5) & (inside > 0.5)).float()
    if 2 * float(grown[-1].sum()) < _REACHED * float(grown[-1].sum() + inside.sum()):
        return _front(piece, steps, None)
    return soft_mask(torch.cat([grown[: steps - 1].cummax(dim=0).values, inside]), piece.grid)


def _around(piece: _Piece) -> Grid:
    """A grid around the piece, coarse enough to be quick and fine enough for its largest ball."""
    where = np.argwhere(piece.inside)
    margin = np.ceil(0.5 * piece.radius / np.asarray(piece.grid.spacing)).astype(int) + 2
    low, high = where.min(axis=0) - margin, where.max(axis=0) + margin
    box = piece.grid.cropped([int(n) for n in low], [int(n) for n in high - low + 1])
    return box.resampled([max(h, piece.radius / _VOXELS_ACROSS) for h in piece.grid.spacing])


def _nucleus(piece: _Piece, small: Grid, points: Tensor) -> Tensor:
    """The first mask on the small grid, (1, 1, *shape)."""
    first, spacing = piece.first(max(small.spacing)), piece.grid.spacing
    outside = ndimage.distance_transform_edt(~first, sampling=spacing) - _depth(first, spacing)
    away = sample(torch.from_numpy(outside).to(points.device).float()[None, None], piece.grid, points)
    # An edge two voxels wide, so that it has a gradient to be moved by.
    return (0.5 - away / (2 * min(small.spacing))).clamp(0, 1)


def _grow(start: Tensor, end: Tensor, grid: Grid, radius: float, steps: int, progress: Progress) -> list[Tensor]:
    """Frames of the LDDMM path from the start to the region."""
    pair = Pair(
        fixed=end,
        moving=start,
        weight=torch.ones_like(end),
        content=torch.ones_like(end),
        grid=grid,
        initial=identity(grid.dim),
        dark=0.0,
        unit=1.0,
        fixed_dark=0.0,
        fixed_unit=1.0,
        size=2 * radius,
    )
    energy = Energy(regularity=0.01 / radius**2, widths=(radius / 3, radius))
    # What the first mask covers is stretched to the whole, and may be to any size.
    settings = Settings(energy, steps=steps, levels=2, evaluations=20, tolerance=1e-2, folding=0.0)
    return solve(pair, settings, progress).path.frames
