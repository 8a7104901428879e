"""Real pairs with a tumour, of folders as they are published: slices, a patient and the template, two visits.

BraTS 2021 slices and the SRI24 template's, as the package Demeter carries them; patient brats_2013_pat0004_1 of
BraTS 2015 with its tumour's labels; patient 002 of BraTS-Reg with six landmarks, before treatment and 262 days later.
The template is MNI152.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from regsuite import io, phantoms
from regsuite.spatial import Grid, Image, LabelImage, PointSet
from scipy import ndimage

from Benchmarks.lesions import coarse, former_lesion

_MARGIN_MM = 12.0
_VISITS = {"before": "00_0000", "after": "01_0262"}
_ROWS = 239
"""Of a landmark's voxel index (X, Y + 239, Z)."""


@dataclass(frozen=True)
class RealCase:
    """A pair without known truth.

    mask: lesion of the fixed image, on its grid; moving_mask: of the moving image, on its; points: the same landmarks
    in both images.
    """

    fixed: Image
    moving: Image
    mask: LabelImage | None = None
    moving_mask: LabelImage | None = None
    fixed_points: PointSet | None = None
    moving_points: PointSet | None = None

    @property
    def inputs(self) -> Mapping[str, Image | LabelImage]:
        """The inputs of a job, by role."""
        given = {"fixed": self.fixed, "moving": self.moving, "mask": self.mask, "moving_mask": self.moving_mask}
        return {role: value for role, value in given.items() if value is not None}


@dataclass(frozen=True)
class _Side:
    """One of the two images of a pair."""

    image: Image
    lesion: LabelImage | None = None
    points: PointSet | None = None


def _pair(fixed: _Side, moving: _Side) -> RealCase:
    return RealCase(fixed.image, moving.image, fixed.lesion, moving.lesion, fixed.points, moving.points)


def slices(folder: str, patient: str, to_template: bool = False) -> RealCase:
    """The template's slice to a patient's, or the other way; pixels of 1 mm, intensities 0 to 1."""

    def picture(name: str) -> np.ndarray:
        array = sitk.GetArrayFromImage(sitk.ReadImage(f"{folder}/{name}.png")).astype(np.float32)
        return (array if array.ndim == 2 else array[..., 0]) / 255  # grey, stored in colours or not

    shown, healthy, lesion = (picture(name) for name in (f"{patient}_80_", "reg_test_sri24", f"{patient}_seg"))
    grid = Grid.regular(shown.shape)
    sides = [
        _Side(Image.from_array(healthy, grid)),
        _Side(Image.from_array(shown, grid), LabelImage.from_array(lesion > 0.5, grid)),
    ]
    return _pair(sides[0], sides[1]) if to_template else _pair(sides[1], sides[0])


def brats2015(folder: str, resolution: int, to_template: bool = False) -> RealCase:
    """The template to the patient's T1 with contrast agent, or the other way; the lesion is all that is labelled."""
    place = Path(folder) / "brats_2013_pat0004_1"
    image = _prepared(io.read_image(place / "T1c_subtrMeanDivStd.nii.gz"), resolution)
    labels = io.read_image(place / "OTMultiClass.nii.gz")
    patient = _Side(image, _lesion(labels.data > 0.5, labels.grid, image))
    template = _Side(phantoms.mni152(resolution)[0])
    return _pair(template, patient) if to_template else _pair(patient, template)


def bratsreg(folder: str, resolution: int, fixed: str, moving: str) -> RealCase:
    """Two of the visits "before" and "after" treatment and the "template"."""
    images = {name: io.read_image(f"{folder}/BraTSReg_002_{file}_t1ce.nii.gz") for name, file in _VISITS.items()}
    finest = images["before"].grid
    lesion = former_lesion(images["before"], images["after"])

    def side(name: str) -> _Side:
        if name == "template":
            return _Side(phantoms.mni152(resolution)[0])
        image = _prepared(images[name], resolution)
        return _Side(image, _lesion(lesion.data, lesion.grid, image), _landmarks(folder, name, finest))

    return _pair(side(fixed), side(moving))


def _landmarks(folder: str, visit: str, grid: Grid) -> PointSet:
    table = np.genfromtxt(f"{folder}/BraTSReg_002_{_VISITS[visit]}_landmarks.csv", delimiter=",", skip_header=1)
    i, j, k = table[:, 1], table[:, 2] + _ROWS, table[:, 3]
    return PointSet.from_array(grid.to_world(np.stack([k, j, i], axis=-1)))


def _prepared(image: Image, resolution: int) -> Image:
    """At a resolution in mm, with 0 where the head is stripped, cropped around it."""
    lifted = Image(image.data - image.data.min(), image.grid, image.name)
    whole = coarse(lifted, resolution)
    box = ndimage.find_objects((whole.array() > 0.01 * float(whole.data.max())).astype(np.int8))[0]
    margins = [int(np.ceil(_MARGIN_MM / h)) for h in whole.grid.spacing]
    low = [max(0, part.start - margin) for part, margin in zip(box, margins, strict=True)]
    high = [min(n, part.stop + m) for part, m, n in zip(box, margins, whole.grid.shape, strict=True)]
    return whole.resampled(whole.grid.cropped(low, [stop - start for start, stop in zip(low, high, strict=True)]))


def _lesion(mask: torch.Tensor, grid: Grid, image: Image) -> LabelImage:
    """A mask (1, 1, *shape) on an image's grid: where it fills more than half of the voxel."""
    share = coarse(Image(mask.float(), grid), min(image.grid.spacing)).resampled(image.grid, outside="zeros")
    return LabelImage((share.data > 0.5).int(), image.grid, {1: "Lesion"})
