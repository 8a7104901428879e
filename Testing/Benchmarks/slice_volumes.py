"""The mouse brains of the atlas benchmark on one grid, and sections that are cut from them.

The atlas is the Allen template of 200 µm with the annotation of 2017 of 100 µm, both at 100 µm, 114 x 132 x 80 voxels
to R, A and S. The other volumes are brains that no encoder has seen: one under the light microscope
(``mouse_brain3d_brainreg``), and the average of an MRI (DSURQE), which has its skull. Both lie where the atlas does, by
other people's registrations, but for one voxel. Runs in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from regsuite.io.sections import section_grid
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.plates import POSE, Plates, cut, flat_points, plates_of
from scipy.ndimage import map_coordinates
from torch import Tensor

LABELS, BRAIN, AVERAGES = "mouse_atlas_allen_labels", "mouse_brain3d_brainreg", "mouse_brain_ccf_dsurqe_200um"
VOXEL = 0.1
"""mm, of the atlas and of all volumes."""
_COARSE = 0.2
_OFFSET = (0.05, 0.08, 0.02)
"""mm, to R, A and S, from the corner of the volumes of 200 µm to the annotation's: where regions explain most of the
template's variance, in steps of 0.02 mm to A and S; to R as much of it is explained to either side."""
_FORWARD = 1
"""Voxels by which the brain under the microscope is moved to A, by the same measure: as it was registered by others,
regions explain .518 of its variance, and .524 one voxel farther to the front."""
SHOWN = {"microscopy": (19, 125), "MRI": (7, 125)}
"""The first and last plate, from 0, that a volume shows enough of."""
_PIXEL, _SHAPE = 0.05, (200, 260)
"""mm, and rows and columns, of a section."""
_TURN, _STRETCH, _SHIFT = 0.2, 0.08, 0.5
"""Most of a section's turn (rad), of its scales' logarithms, and of its shift (mm)."""
_ANGLE = 15.0
_CUT_AWAY = (0.3, 0.55)
"""Share of the tissue that a partial section lacks, beyond a straight line."""
_BRIGHT = 99.5


@dataclass(frozen=True)
class Cut:
    """A section with its truth: plate, from 0; pose (9,); partial: whether tissue was cut away; tissue: (H, W) bool,
    the brain's of what is left."""

    image: Image
    plate: int
    pose: Tensor
    partial: bool
    tissue: Tensor


@dataclass(frozen=True)
class Brains:
    """The volumes of folders by the data sets' names."""

    folders: dict[str, str]

    @cached_property
    def template(self) -> Image:
        """The atlas's."""
        return Image.from_array(self._coarse("ccf_template_200um", 1), self.grid, "Allen template")

    @cached_property
    def labels(self) -> LabelImage:
        """The atlas's regions, by their index."""
        return LabelImage.from_array(self._numbers, self.grid)

    @cached_property
    def plates(self) -> Plates:
        """132 coronal ones."""
        return plates_of(self.grid, "coronal")

    @cached_property
    def grid(self) -> Grid:
        """RAS, the first voxel at 0."""
        return Grid.from_affine(self._numbers.shape, np.diag([VOXEL, VOXEL, VOXEL, 1.0]))

    @cached_property
    def _numbers(self) -> np.ndarray:
        return self._read(LABELS, "ccf2017_labels_100um").transpose(2, 1, 0)

    def volume(self, name: str) -> Image:
        """'microscopy' or 'MRI', 0 to about 1."""
        if name == "microscopy":
            array = self._read(BRAIN, "sample_in_ccf_100um").transpose(0, 2, 1)[:, ::-1, ::-1].astype(np.float32)
            array = np.roll(array, _FORWARD, axis=1)
        else:
            array = self._coarse("dsurqe_mri_200um", 1)
        bright = float(np.percentile(array, _BRIGHT))
        return Image.from_array(np.clip(array / bright, 0, 1.5), self.grid, name)

    def brain(self) -> Image:
        """1 inside the brain, by the annotation."""
        return Image.from_array((self._numbers > 0).astype(np.float32), self.grid)

    def _coarse(self, name: str, order: int) -> np.ndarray:
        """A volume of 200 µm on the atlas's grid."""
        places = np.meshgrid(*map(np.arange, self._numbers.shape), indexing="ij")
        there = [((place + 0.5) * VOXEL + off) / _COARSE - 0.5 for place, off in zip(places, _OFFSET, strict=True)]
        return map_coordinates(self._read(AVERAGES, name).astype(np.float32), there, order=order)

    def _read(self, folder: str, name: str) -> np.ndarray:
        return sitk.GetArrayFromImage(sitk.ReadImage(str(Path(self.folders[folder]) / f"{name}.nii.gz")))


def cuts(brains: Brains, name: str, skull: bool, oblique: bool, every: int, seed: int) -> Iterator[Cut]:
    """Sections at every so-many-th plate; every second one is partial.

    skull: whether what is outside of the brain is left on; oblique: cut at up to 15° to the plates, else parallel.
    """
    rng, plates, volume, brain = np.random.default_rng(seed), brains.plates, brains.volume(name), brains.brain()
    points = flat_points(_SHAPE, _PIXEL)
    first, last = SHOWN[name]
    for place, plate in enumerate(range(first, last + 1, every)):
        pose = _pose(float(plates.depths()[plate]), oblique, rng)
        matrices = plates.matrices(pose[None])
        picture = cut(volume.data, brains.grid, matrices, points)
        inside = cut(brain.data, brains.grid, matrices, points) > 0.5
        if not skull:
            picture = picture * inside
        partial, tissue = place % 2 == 0, inside[0, 0]
        if partial:
            left = ~_beyond_a_line(tissue, points, rng)
            picture, tissue = picture * left, tissue & left
        image = Image(picture[:, :, None], section_grid(*_SHAPE[::-1], (_PIXEL, _PIXEL)))
        yield Cut(image, plate, pose, partial, tissue)


def _pose(depth: float, oblique: bool, rng: np.random.Generator) -> Tensor:
    pose = torch.zeros(len(POSE))
    pose[0] = depth
    if oblique:
        pose[1:3] = torch.from_numpy(np.deg2rad(rng.uniform(-_ANGLE, _ANGLE, 2)))
    pose[3] = rng.uniform(-_TURN, _TURN)
    pose[4:6] = torch.from_numpy(rng.uniform(-_STRETCH, _STRETCH, 2))
    pose[7:] = torch.from_numpy(rng.uniform(-_SHIFT, _SHIFT, 2))
    return pose


def _beyond_a_line(tissue: Tensor, points: Tensor, rng: np.random.Generator) -> Tensor:
    """(H, W) bool: a side of a random line, with a random share of the tissue."""
    angle = rng.uniform(0, 2 * np.pi)
    along = points[..., 0] * np.cos(angle) + points[..., 1] * np.sin(angle)
    return along > torch.quantile(along[tissue], 1 - rng.uniform(*_CUT_AWAY))
