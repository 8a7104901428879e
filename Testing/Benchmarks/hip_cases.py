"""Radial acquisitions with their truth: of phantom hips, and of volumes with labels. Run in processes of their own.

Six slices of 256 x 256 pixels of 0.6 mm, 4 mm thick, 3 % noise, in another contrast than the volume; order, directions
and flips by chance, misaligned by up to 15 mm and 30°, each slice moved by up to 1 mm and 1° on its own; outlines of
the bone true, and with 10 % of their length wrong.

    phantom   right and left hips of the project's own, 160 mm at 1 mm; one a seed
    CT        left hip of ``abdomen_totalseg``, 3 mm; the axis runs down the femoral neck; the image cuts the femur
    CT metal  the right one, which has metal in it
    knee      distal femur of ``knee_bones_pymskt`` at 1 mm, whose image is painted from its labels; the axis runs along
              the shaft

Of the volumes, axis, acquisition and contrast change with the seed. Slices reach beyond these volumes, as a scanner's
do: there they show what is at the volume's border, drawn out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from regsuite import io
from regsuite.phantoms.fields import coarse_noise
from regsuite.phantoms.hip import FEMUR, hip
from regsuite.phantoms.radial import RadialAcquisition, RadialRecipe, radial_acquisition
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.radial import frame_of
from regsuite.spatial.slice_sets import SliceSet
from regsuite.transforms import identity, warp_labels
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch import Tensor

Drawn = TypeVar("Drawn", Image, LabelImage)

PHANTOM, CT, METAL, KNEE = "phantom", "CT", "CT metal", "knee"
FOLDERS = {CT: "abdomen_totalseg", METAL: "abdomen_totalseg", KNEE: "knee_bones_pymskt"}
"""Data sets, by the kind of case."""
ERROR = 0.1
"""Share of the outline that is wrong."""
RECIPE = RadialRecipe(motion=(1.0, 1.0), segmentation_error=ERROR)

_FEMUR = {CT: 76, METAL: 75, KNEE: 5}
_OFF_AXIS = (4.0, 10.0)
"""mm and degrees by which the axis is off the bone's own, at most."""
_BEYOND = {CT: ((24, 0), (0, 0), (0, 0)), METAL: ((24, 0), (0, 0), (0, 0)), KNEE: ((30, 30), (60, 30), (20, 20))}
"""Voxels by which a volume is drawn out, before and after each array axis, for slices to show."""
_KNEE_VOXEL = 1.0
_SHAFT = 40.0
"""mm of the femur's upper end that say where it runs."""
_BONES, _CARTILAGE, _MENISCUS = (5, 6, 7, 8), (1, 2, 3, 4), (9, 10)
_CORTEX, _BODY = 1.5, 25.0
"""mm: of dark bone; of flesh around the labels."""
_NOISE = 0.02


@dataclass(frozen=True)
class RadialCase:
    """bone: its label; centre: of the joint, (3,) RAS mm of the volume, about which the truth is misaligned."""

    volume: Image
    tissues: LabelImage
    bone: int
    centre: Tensor
    acquisition: RadialAcquisition

    @property
    def nominal(self) -> Tensor:
        """(K, 4, 4): where the slices belong in the volume, had nobody moved."""
        made = self.acquisition
        return torch.linalg.inv(made.truth.matrix) @ frame_of(made.centre, made.normal) @ made.arrangement.planes()

    def inputs(self, wrong: bool) -> dict[str, object]:
        """Roles of hip-qmri; wrong: with the errors of outlines."""
        made = self.acquisition
        maps = {"Weighted": made.slices, **made.maps}
        units = {name: "ms" if name in made.maps else "" for name in maps}
        drawn = made.silhouettes if wrong else made.true_silhouettes
        stack = np.concatenate([each.array() for each in drawn])
        spacing = (RECIPE.thickness, *drawn[0].grid.spacing[1:])
        return {
            "fixed": self.volume,
            "fixed_labels": self.tissues,
            "slices": SliceSet(maps, units, frozenset(made.maps), RECIPE.thickness, False),
            "slice_labels": LabelImage.from_array(stack, Grid.regular(stack.shape, spacing), drawn[0].names),
        }


def radial_case(kind: str, seed: int, folders: Mapping[str, str]) -> RadialCase:
    """folders: of the data sets, by kind."""
    if kind == PHANTOM:
        return hip_case(seed, 1.0, 160.0)
    volume, tissues = _knee(Path(folders[kind]), seed) if kind == KNEE else _ct(Path(folders[kind]))
    bone = _FEMUR[kind]
    inside = tissues.mask(bone)
    points = tissues.grid.points(torch.float64)[inside].numpy()
    centre, normal = _shaft(points) if kind == KNEE else _neck(points, inside.numpy(), tissues.grid)
    rng = np.random.default_rng([seed, 17])
    centre = centre + _OFF_AXIS[0] * rng.random() * _direction(rng)
    tilt = Rotation.from_rotvec(_OFF_AXIS[1] * rng.random() * _direction(rng), degrees=True)
    beyond = _BEYOND[kind]
    shown, segmented = drawn_out(volume, beyond), drawn_out(tissues, beyond)
    made = radial_acquisition(shown, segmented, bone, centre.tolist(), tilt.apply(normal), recipe=RECIPE, seed=seed)
    return RadialCase(volume, tissues, bone, torch.from_numpy(centre), made)


def hip_case(seed: int, spacing: float | Sequence[float], extent: float | Sequence[float]) -> RadialCase:
    """A phantom hip, right or left; mm."""
    made = hip(seed, "left" if seed % 2 else "right", spacing, extent)
    acquisition = radial_acquisition(
        made.volume, made.tissues, FEMUR, made.centre, made.normal, recipe=RECIPE, seed=seed
    )
    return RadialCase(made.volume, made.tissues, FEMUR, made.centre, acquisition)


def drawn_out(image: Drawn, margins: Sequence[tuple[int, int]]) -> Drawn:
    """With its border repeated, by voxels before and after each array axis."""
    matrix = np.asarray(image.grid.affine).copy()
    matrix[:3, 3] -= matrix[:3, :3] @ [before for before, _ in margins]
    data = torch.from_numpy(np.pad(image.array(), margins, mode="edge"))[None, None]
    return replace(image, data=data, grid=Grid.from_affine(data.shape[2:], matrix))


def _ct(folder: Path) -> tuple[Image, LabelImage]:
    image = io.read_image(folder / "example_ct.nii.gz")
    return image, io.read_labels(folder / "example_seg_fast_force_split.nii.gz")


def _neck(points: np.ndarray, inside: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The middle of the femoral head, and the direction from there down the neck. points: (N, 3) of the bone."""
    # Where the image cuts the bone there is no surface.
    depth = ndimage.distance_transform_edt(np.pad(inside, 20, mode="edge"), sampling=grid.spacing)
    depth = depth[tuple(slice(20, -20) for _ in range(3))][inside]
    upper = points[:, 2] > np.median(points[:, 2])
    deepest = np.argmax(np.where(upper, depth, 0))
    head, radius = points[deepest], depth[deepest]
    away = np.linalg.norm(points - head, axis=1)
    neck = points[(away > 1.1 * radius) & (away < 1.9 * radius)].mean(axis=0)
    return head, (neck - head) / np.linalg.norm(neck - head)


def _knee(folder: Path, seed: int) -> tuple[Image, LabelImage]:
    fine = io.read_labels(folder / "knee_DESS_right_labels.nii.gz")
    tissues = warp_labels(fine, identity(3), fine.grid.resampled([_KNEE_VOXEL] * 3))
    return _painted(tissues, np.random.default_rng([seed, 18])), tissues


def _painted(tissues: LabelImage, rng: np.random.Generator) -> Image:
    """What an image could show of a knee: bright marrow in dark cortex, cartilage, dark menisci, muscle and fat."""
    labels, grid = tissues.array(), tissues.grid
    away = ndimage.distance_transform_edt(labels == 0, sampling=grid.spacing)
    flesh = 1 / (1 + np.exp(-4 * coarse_noise(rng, grid, (5.0, 12.0), 2.0)))
    image = np.where(away < _BODY, rng.uniform(250, 350) + rng.uniform(350, 550) * flesh, 15.0)
    for group, low, high in ((_BONES, 650, 850), (_CARTILAGE, 450, 600), (_MENISCUS, 80, 160)):
        level = rng.uniform(low, high)
        for value in group:
            image[labels == value] = level * rng.uniform(0.95, 1.05)
    for value in _BONES:
        deep = ndimage.distance_transform_edt(labels == value, sampling=grid.spacing)
        image[(deep > 0) & (deep <= _CORTEX)] = 80.0
    image *= 1 + 0.06 * coarse_noise(rng, grid, (1.0, 5.0), 2.0)
    image = ndimage.gaussian_filter(image, 0.5) * (1 + 0.1 * np.tanh(coarse_noise(rng, grid, (40.0,), 8.0)))
    sigma = _NOISE * image.max()
    real, imaginary = sigma * rng.standard_normal((2, *grid.shape))
    return Image.from_array(np.hypot(image + real, imaginary).astype(np.float32), grid, "Painted knee")


def _shaft(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle of the condyles, and the direction from the shaft's end, where the image cuts it, to there."""
    top = points[:, 2].max()
    shaft = points[points[:, 2] > top - _SHAFT].mean(axis=0)
    low = np.quantile(points[:, 2], 0.01)
    condyles = points[points[:, 2] < low + _SHAFT].mean(axis=0)
    return condyles, (condyles - shaft) / np.linalg.norm(condyles - shaft)


def _direction(rng: np.random.Generator) -> np.ndarray:
    found = rng.standard_normal(3)
    return found / np.linalg.norm(found)
