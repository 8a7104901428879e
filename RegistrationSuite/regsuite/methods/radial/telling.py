"""What a run found, as a result: transforms, placed maps, the solid, tables and what to know of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regsuite.methods.radial.arrange import Placed
from regsuite.methods.radial.measure import region_table
from regsuite.methods.radial.placing import painted, placed, regions_on
from regsuite.methods.radial.prepared import Slices, Volume
from regsuite.methods.radial.refine import Refined
from regsuite.registration import Curve, Registration, Table
from regsuite.solvers.emulation import emulator
from regsuite.solvers.hull import radial_solid, reached, visual_hull
from regsuite.spatial import Image, LabelImage
from regsuite.spatial.meshes import surface_of
from regsuite.spatial.slice_sets import SliceSet
from regsuite.transforms import Affine

_COLUMNS = [
    "slice",
    "place",
    "mirrored",
    "turned",
    "moved on its own, mm",
    "turned on its own, °",
    "mutual information before",
    "mutual information after",
]


@dataclass(frozen=True)
class Told:
    """What there is to tell of; compared: the name of the images that were compared with the volume."""

    image: Image
    labels: LabelImage
    set: SliceSet
    compared: str
    slices: Slices
    volume: Volume
    placed: Placed
    refined: Refined

    def registration(self, reconstruction: str) -> Registration:
        """The result."""
        maps = {
            name: [placed(image, plane) for image, plane in zip(images, self.refined.planes, strict=True)]
            for name, images in self.set.maps.items()
        }
        shown = maps[self.compared]
        regions = [regions_on(self.labels, each.grid) for each in shown]
        solid = self._solid(reconstruction, self.transform.matrix)
        measured = {name: images for name, images in maps.items() if name in self.set.quantities}
        result = Registration(
            transform=self.transform,
            inverse=self.transform.inverse(),
            fixed_grid=self.image.grid,
            warped=painted(shown, self.image.grid, self.slices.thickness),
            sequences={"slices": shown, "emulated": self._emulated(shown), **measured},
            tables={"arrangement": self._arrangement(), "regions": region_table(maps, self.set.units, regions)},
            metrics=self._metrics(solid),
            curves={"search": self._curve()},
        )
        if solid is not None:
            result.labels["solid"] = solid
            result.surfaces["surface"] = surface_of(solid, 1)
        return result

    @property
    def transform(self) -> Affine:
        """From the volume to where the scanner says the slices are."""
        return Affine(torch.linalg.inv(self.refined.move @ self.placed.pose))

    def _solid(self, reconstruction: str, back: Tensor) -> LabelImage | None:
        """On the volume's grid; None where slices do not stand around an axis. back: (4, 4), volume to scanner."""
        if self.placed.arrangement is None:
            return None
        make = radial_solid if reconstruction == "radial" else visual_hull
        silhouettes = self.slices.silhouettes.cpu()
        parts = [make(silhouettes, self.slices.pixel, self.placed.arrangement, points) for points in self._in_fan(back)]
        data = torch.cat(parts)[None, None].int()
        return LabelImage(data, self.image.grid, {1: "Reconstructed bone"}, {1: (0.9, 0.8, 0.5)})

    def _in_fan(self, back: Tensor) -> Iterator[Tensor]:
        """The volume's voxels in the fan's frame, (*shape, 3) mm, block by block."""
        assert self.placed.arrangement is not None
        frame = self.placed.nominal[0] @ torch.linalg.inv(self.placed.arrangement.planes()[0])
        move = Affine(torch.linalg.inv(frame) @ back)
        for block in self.image.grid.blocks():
            yield move.points(block.grid.points(torch.float64))

    def _emulated(self, shown: list[Image]) -> list[Image]:
        """What the volume shows in the placed slices, in its own brightness."""
        shape = (shown[0].grid.shape[1], shown[0].grid.shape[2])
        pixel = min(shown[0].grid.spacing[1:])
        data = self.image.data.to(self.volume.picture)
        make = emulator(data, self.image.grid, shape, pixel, self.slices.thickness, pixel)
        pictures, within = make(self.refined.planes.float())
        pairs = zip(pictures * within, shown, strict=True)
        return [Image(picture[None, :, None], each.grid, "Emulated") for picture, each in pairs]

    def _arrangement(self) -> Table:
        rows: list[list[Any]] = []
        arrangement = self.placed.arrangement
        for number in range(self.slices.count):
            shift, turn = _size(self.refined.own[number], self.refined.planes[number, :3, 3])
            where: list[Any] = ["", "", ""]
            if arrangement is not None:
                where = [
                    arrangement.places[number] + 1,
                    "yes" if arrangement.mirrored[number] else "no",
                    "yes" if arrangement.turned[number] else "no",
                ]
            information = [float(self.refined.before[number]), float(self.refined.after[number])]
            rows.append([number + 1, *where, shift, turn, *information])
        return Table("Arrangement", _COLUMNS, rows)

    def _metrics(self, solid: LabelImage | None) -> dict[str, float]:
        found = {
            "outline_unlikeness": self.placed.unlike,
            "mutual_information_before": float(self.refined.before.mean()),
            "mutual_information_after": float(self.refined.after.mean()),
            "emulated_slices": float(self.refined.emulated),
        }
        if math.isfinite(self.placed.next):
            found["next_arrangement_unlikeness"] = self.placed.next
        if solid is not None:
            back = self.transform.matrix
            silhouettes, pixel = self.slices.silhouettes, self.slices.pixel
            around = torch.cat([reached(points, silhouettes, pixel) for points in self._in_fan(back)])
            made, bone = solid.mask(), self.volume.bone.cpu() & around
            found["solid_dice"] = float(2 * (made & bone).sum() / (made.sum() + bone.sum()))
        return found

    def _curve(self) -> Curve:
        curve = Curve(x_title="Round", y_title="Mutual information, nats")
        for place, value in enumerate(self.refined.trace):
            curve.add(place, search=-value)
        return curve


def _size(move: Tensor, at: Tensor) -> tuple[float, float]:
    """mm by which a point is moved, and degrees of the turn."""
    shift = float((move[:3, :3] @ at + move[:3, 3] - at).norm())
    cosine = np.clip((float(move[:3, :3].trace()) - 1) / 2, -1, 1)
    return shift, float(np.degrees(np.arccos(cosine)))
