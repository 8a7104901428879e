"""A small hip, its radial slices and what a run that found everything would give; made once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from dicom_samples import LPS, Frame, write_classic
from regsuite.catalog import method
from regsuite.catalog.radial import SIMILARITIES, STEPS
from regsuite.methods.radial.arrange import Placed
from regsuite.methods.radial.prepared import prepared_slices, prepared_volume
from regsuite.methods.radial.refine import Refined
from regsuite.methods.radial.telling import Told
from regsuite.phantoms.hip import FEMUR, Hip, hip
from regsuite.phantoms.radial import RadialAcquisition, radial_acquisition
from regsuite.phantoms.radial_slices import RadialRecipe
from regsuite.registration import Registration
from regsuite.spatial import Grid, LabelImage, SliceSet
from regsuite.spatial.radial import frame_of

LOOKED_AT = "Proton"
SLOPE = 0.25
"""ms a stored step of the T2 map in DICOM."""


@dataclass(frozen=True)
class Case:
    """A hip and what was acquired of it; labels: of the slices, a stack in their order."""

    hip: Hip
    acquired: RadialAcquisition
    slices: SliceSet
    labels: LabelImage

    @property
    def inputs(self) -> dict[str, object]:
        """Of a job."""
        return {
            "fixed": self.hip.volume,
            "fixed_labels": self.hip.tissues,
            "slices": self.slices,
            "slice_labels": self.labels,
        }


@cache
def case() -> Case:
    """Of 2.5 mm voxels, and six slices of 72 x 80 pixels of 1.9 mm."""
    made = hip(0, "right", 2.5, 150.0)
    recipe = RadialRecipe(shape=(72, 80), pixel=1.9, shift=6.0, turn=8.0, motion=(0.6, 0.6))
    acquired = radial_acquisition(made.volume, made.tissues, FEMUR, made.centre, made.normal, recipe=recipe, seed=0)
    maps = {**acquired.maps, LOOKED_AT: acquired.slices}
    units = {name: "ms" if name in acquired.maps else "" for name in maps}
    slices = SliceSet(maps, units, frozenset(acquired.maps), recipe.thickness, False)
    stack = np.concatenate([each.array() for each in acquired.silhouettes])
    grid = Grid.regular(stack.shape, (recipe.thickness, recipe.pixel, recipe.pixel))
    return Case(made, acquired, slices, LabelImage.from_array(stack, grid, {1: "Femur"}))


def true_result(until: str = "refinement") -> Registration:
    """As a run would give it that found the truth, each slice's own motion too."""
    told = _told(STEPS.index(until))
    declared = method("hip-qmri")
    record = {
        "method": declared.name,
        "title": declared.title,
        "parameters": dataclasses.asdict(declared.check_values({"until": until})),
    }
    return dataclasses.replace(told.registration(), record=record)


def _told(step: int) -> Told:
    """What the steps up to one found."""
    made = case()
    told = Told(made.hip.volume, made.hip.tissues, made.slices, LOOKED_AT, 4.0)
    if step == 0:
        return told
    acquired = made.acquired
    nominal = frame_of(acquired.centre, acquired.normal) @ acquired.arrangement.planes()
    pose = torch.linalg.inv(acquired.truth.matrix) if step >= 3 else torch.eye(4, dtype=torch.float64)
    placed = Placed(nominal, pose, acquired.arrangement, 0.04, 0.06)
    slices = prepared_slices(acquired.slices, made.labels.mask().float(), 4.0)
    told = dataclasses.replace(told, slices=slices, placed=placed, reconstruction="radial" if step >= 2 else None)
    if step < 3:
        return told
    volume = prepared_volume(made.hip.volume, made.hip.tissues, FEMUR)
    before, after = torch.linspace(0.5, 0.9, 6), torch.linspace(0.8, 1.1, 6)
    if step == 3:
        return dataclasses.replace(told, volume=volume, before=before)
    planes = acquired.true_planes()
    own = planes @ torch.linalg.inv(pose @ nominal)
    refined = Refined(
        planes, torch.eye(4, dtype=torch.float64), own, 366, [-0.6, -0.8, -0.9], before, after, SIMILARITIES[0]
    )
    return dataclasses.replace(told, volume=volume, refined=refined)


def write_dicom(folder: Path) -> dict[str, np.ndarray]:
    """The case as a scanner would write it, a series a map, every slice at the one pose; the stored values by map."""
    maps = {"T2": ("T2 map", SLOPE, "ms"), LOOKED_AT: (LOOKED_AT, 0.001, "")}
    stored = {}
    for series, (name, (title, slope, unit)) in enumerate(maps.items(), start=1):
        images = case().slices.maps[name]
        stored[name] = np.stack([np.clip(np.round(image.array()[0] / slope), 0, 60000) for image in images])
        rescale = {"RescaleSlope": slope, "RescaleIntercept": 0} | ({"RescaleType": unit} if unit else {})
        grid = images[0].grid
        sides = np.asarray(grid.direction)
        frames = [
            Frame(each.astype(np.uint16), np.asarray(grid.origin) * LPS, [*(sides[:, 2] * LPS), *(sides[:, 1] * LPS)])
            for each in stored[name]
        ]
        spacing = [grid.spacing[1], grid.spacing[2]]
        fields = {"PixelSpacing": spacing, "SliceThickness": grid.spacing[0], "SeriesDescription": title, **rescale}
        write_classic(folder, frames, series, **fields)
    return stored
