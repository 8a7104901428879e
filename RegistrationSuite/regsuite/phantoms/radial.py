"""Radial slices of a labelled volume, as a quantitative scanner would give them, with everything about them known.

Where a point of a slice really was in the volume. Let p = (right, down, across) mm from a slice's middle.

    fan's frame      f = A_k p                A_k = arrangement.planes()[k]
    scanner          s = F f                  F = frame_of(centre, normal), both as the scanner's header has them
    patient moved    m = M_k s                M_k = motions[k]
    volume           x = T⁻¹ m                T = truth: fixed = volume, moving = slices, warped(x) = moving(T(x))

so that ``true_planes()[k]`` = T⁻¹ M_k F A_k. A header tells F alone: every slice says that it lies in the first plane
of the fan, F P with P = in_order(K).planes()[0], which is right for one slice of the K at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from regsuite.phantoms.outlines import spoilt
from regsuite.phantoms.quantities import DENSITY, MAPS, quantities
from regsuite.spatial import Grid, Image, LabelImage, sample
from regsuite.spatial.plates import flat_points
from regsuite.spatial.radial import Arrangement, frame_of, in_order
from regsuite.spatial.smoothing import gaussian_smooth
from regsuite.transforms import Affine, warp_labels

_FULL_WIDTH = 2.3548
_PROFILE_STEP = 0.5
_LEAST_STEPS = 7
_GEOMETRY, _TISSUE, _NOISE, _OUTLINE = range(4)


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


@dataclass(frozen=True)
class RadialAcquisition:
    """K slices, their maps, and the truth about them.

    slices, maps (by name, ms), silhouettes (of the bone at the slice's middle plane, label 1; the true ones without
    error of outline): of each slice one, on the one grid that all headers give; centre (3,), normal (3,): of the
    localizer, scanner's RAS mm; truth: from the volume's points to the scanner's; motions: of each slice, from the
    scanner's points to where they really were; quantities: the maps all over the volume, and the density of protons.
    """

    slices: tuple[Image, ...]
    maps: Mapping[str, tuple[Image, ...]]
    silhouettes: tuple[LabelImage, ...]
    true_silhouettes: tuple[LabelImage, ...]
    arrangement: Arrangement
    centre: Tensor
    normal: Tensor
    truth: Affine
    motions: tuple[Affine, ...]
    quantities: Mapping[str, Image]

    def true_planes(self) -> Tensor:
        """(K, 4, 4) float64: from a slice's (right, down, across) mm to the volume's RAS mm."""
        return _true_planes(self.arrangement, self.centre, self.normal, self.truth, self.motions)


def radial_acquisition(
    volume: Image,
    tissues: LabelImage,
    bone: int | Sequence[int],
    centre: Tensor | Sequence[float],
    normal: Tensor | Sequence[float],
    *,
    recipe: RadialRecipe | None = None,
    seed: int = 0,
) -> RadialAcquisition:
    """Slices around an axis of a volume, from the seed.

    tissues: on any grid of the volume's space; what they do not label is parted by the volume's brightness. bone: the
    labels whose union is the silhouette; centre, normal: the axis, RAS mm of the volume. Beyond the volume's border
    slices are 0. ValueError where a label of the bone is nowhere.
    """
    recipe = recipe or RadialRecipe()
    wanted = [bone] if isinstance(bone, int) else list(bone)
    if not set(wanted) <= set(tissues.values()):
        raise ValueError(f"the bone's labels {wanted} are not all among the volume's {tissues.values()}")
    rngs = [np.random.default_rng([seed, part]) for part in range(4)]
    middle = np.asarray(centre, dtype=float)
    truth = _rigid(rngs[_GEOMETRY], middle, recipe.shift, recipe.turn)
    there = truth.points(torch.from_numpy(middle))
    along = truth.matrix[:3, :3] @ torch.as_tensor(np.asarray(normal, dtype=float))
    along = along / along.norm()
    arrangement = _some_arrangement(rngs[_GEOMETRY], recipe.count)
    motions = tuple(_rigid(rngs[_GEOMETRY], there.numpy(), *recipe.motion) for _ in range(recipe.count))
    planes = _true_planes(arrangement, there, along, truth, motions)

    header = frame_of(there, along) @ in_order(recipe.count).planes()[0]
    grid = _grid(recipe, header.numpy())
    known = quantities(volume, tissues, rngs[_TISSUE], variation=recipe.variation, texture=recipe.texture)
    slices, maps = _measured(known, planes, recipe, grid, rngs[_NOISE])
    true = [_silhouette(tissues, wanted, Affine(plane @ torch.linalg.inv(header)), grid) for plane in planes]
    drawn = [_drawn(each, recipe, rngs[_OUTLINE]) for each in true]
    return RadialAcquisition(
        slices=slices,
        maps=maps,
        silhouettes=tuple(drawn),
        true_silhouettes=tuple(true),
        arrangement=arrangement,
        centre=there,
        normal=along,
        truth=truth,
        motions=motions,
        quantities=known,
    )


def _true_planes(
    arrangement: Arrangement, centre: Tensor, normal: Tensor, truth: Affine, motions: Sequence[Affine]
) -> Tensor:
    moved = torch.stack([motion.matrix for motion in motions])
    return torch.linalg.inv(truth.matrix) @ moved @ frame_of(centre, normal) @ arrangement.planes()


def _rigid(rng: np.random.Generator, about: np.ndarray, shift: float, turn: float) -> Affine:
    """A turn about a point and a shift, each in any direction, by anything up to the given mm and degrees."""
    directions = rng.standard_normal((2, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    degrees, distance = turn * rng.random(), shift * rng.random()
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(degrees * directions[0], degrees=True).as_matrix()
    matrix[:3, 3] = about - matrix[:3, :3] @ about + distance * directions[1]
    return Affine(matrix)


def _some_arrangement(rng: np.random.Generator, count: int) -> Arrangement:
    flips = rng.random((2, count)) < 0.5
    places = tuple(int(place) for place in rng.permutation(count))
    return Arrangement(places, tuple(map(bool, flips[0])), tuple(map(bool, flips[1])))


def _grid(recipe: RadialRecipe, plane: np.ndarray) -> Grid:
    """Of one slice, whose middle is that of a plane (4, 4)."""
    rows, columns = recipe.shape
    steps = [recipe.thickness or recipe.pixel, recipe.pixel, recipe.pixel]
    affine = plane[:, [2, 1, 0, 3]] * [*steps, 1.0]
    affine[:3, 3] -= affine[:3, 1] * (rows - 1) / 2 + affine[:3, 2] * (columns - 1) / 2
    return Grid.from_affine([1, rows, columns], affine)


def _measured(
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
        mean = _over_profile(data, volume, plane, recipe).numpy()
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


def _over_profile(data: Tensor, grid: Grid, plane: Tensor, recipe: RadialRecipe) -> Tensor:
    """(C, H, W): the mean of a volume (1, C, *shape) across a slice, blurred in its plane."""
    flat = flat_points(recipe.shape, recipe.pixel, torch.float64) @ plane[:3, :3].T + plane[:3, 3]
    across = plane[:3, 2]
    offsets = recipe.offsets()
    total = sum(sample(data, grid, flat + offset * across, outside="zeros") for offset in offsets) / len(offsets)
    return gaussian_smooth(total, [recipe.pixel] * 2, recipe.point_spread / _FULL_WIDTH)[0]


def _silhouette(tissues: LabelImage, bone: Sequence[int], there: Affine, grid: Grid) -> LabelImage:
    """Where the larger share is bone; ``there``: from the header's points to the volume's."""
    inside = torch.isin(tissues.data, torch.tensor(bone, dtype=tissues.data.dtype))
    name, colour = tissues.name_of(bone[0]), tissues.colours.get(bone[0])
    named = LabelImage(inside.to(torch.int32), tissues.grid, {1: name}, {1: colour} if colour else {})
    return warp_labels(named, there, grid)


def _drawn(true: LabelImage, recipe: RadialRecipe, rng: np.random.Generator) -> LabelImage:
    """The silhouette with its outline's errors."""
    mask = spoilt(true.array()[0] > 0, recipe.segmentation_error, recipe.pixel, rng)
    return LabelImage.from_array(mask[None].astype(np.int32), true.grid, true.names, true.colours)
