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
from regsuite.phantoms.quantities import quantities
from regsuite.phantoms.radial_slices import RadialRecipe, measured
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.radial import Arrangement, frame_of, in_order
from regsuite.spatial.slice_sets import SliceSet
from regsuite.transforms import Affine, warp_labels

_GEOMETRY, _TISSUE, _NOISE, _OUTLINE = range(4)


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

    def slice_set(self) -> SliceSet:
        """The slices, as images to look at, and their maps, ms, as a reader gives them."""
        maps = {**self.maps, "Slices": self.slices}
        units = {name: "ms" if name in self.maps else "" for name in maps}
        return SliceSet(maps, units, frozenset(self.maps), self.slices[0].grid.spacing[0], False)

    def silhouette_stack(self, name: str = "Femur") -> LabelImage:
        """The silhouettes in their order, a stack (K, H, W)."""
        stack = np.concatenate([each.array() for each in self.silhouettes])
        grid = self.silhouettes[0].grid
        return LabelImage.from_array(stack, grid.cropped([0, 0, 0], stack.shape), {1: name})


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

    tissues: on the grid of the volume; what they do not label gets its values from the brightness. bone: the
    labels whose union is the silhouette; centre, normal: the axis, RAS mm of the volume. Beyond the volume's border
    slices are 0. ValueError where a label of the bone is nowhere, or the grids differ.
    """
    recipe = recipe or RadialRecipe()
    wanted = [bone] if isinstance(bone, int) else list(bone)
    if not all(bool(tissues.mask(value).any()) for value in wanted):
        raise ValueError(f"the bone's labels {wanted} are not all among the volume's {tissues.values()}")
    if not volume.grid.same_as(tissues.grid):
        raise ValueError("the volume and its tissues are on different grids")
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
    slices, maps = measured(known, planes, recipe, grid, rngs[_NOISE])
    whole = _one_label(tissues, wanted)
    true = [warp_labels(whole, Affine(plane @ torch.linalg.inv(header)), grid) for plane in planes]
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


def _one_label(tissues: LabelImage, bone: Sequence[int]) -> LabelImage:
    """The union of the bone's labels, as 1."""
    inside = torch.isin(tissues.data, torch.tensor(bone, dtype=tissues.data.dtype)).to(torch.int32)
    colour = tissues.colours.get(bone[0])
    return LabelImage(inside, tissues.grid, {1: tissues.name_of(bone[0])}, {1: colour} if colour else {})


def _drawn(true: LabelImage, recipe: RadialRecipe, rng: np.random.Generator) -> LabelImage:
    """The silhouette with its outline's errors."""
    mask = spoilt(true.array()[0] > 0, recipe.segmentation_error, recipe.pixel, rng)
    return LabelImage.from_array(mask[None].astype(np.int32), true.grid, true.names, true.colours)
