"""What a run found, as a result: transforms, placed maps, the solid, tables and what to know of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from regsuite.methods.radial.arrange import Placed
from regsuite.methods.radial.measure import region_table
from regsuite.methods.radial.placing import header_plane, painted, placed, regions_on
from regsuite.methods.radial.prepared import Slices, Volume, square_shape
from regsuite.methods.radial.refine import Refined
from regsuite.methods.radial.solid import Fan
from regsuite.registration import Curve, Registration, Table
from regsuite.solvers.emulation import emulator
from regsuite.spatial import Image, LabelImage
from regsuite.spatial.meshes import surface_of
from regsuite.spatial.radial import Arrangement
from regsuite.spatial.slice_sets import SliceSet
from regsuite.transforms import Affine


@dataclass(frozen=True)
class Told:
    """What there is to tell of: the inputs, and what the steps found, None of those that were left out.

    compared: the name of the images that were compared with the volume; thickness: mm, of a slice; placed: of pose
    identity until outlines are laid in the volume; reconstruction: how the solid is made; volume: what outlines were
    laid in; before: (K,) mutual information of the slices then, nats.
    """

    image: Image
    labels: LabelImage
    set: SliceSet
    compared: str
    thickness: float
    slices: Slices | None = None
    placed: Placed | None = None
    reconstruction: str | None = None
    volume: Volume | None = None
    before: Tensor | None = None
    refined: Refined | None = None

    def registration(self) -> Registration:
        """The result."""
        maps = {
            name: [placed(image, plane) for image, plane in zip(images, self.planes, strict=True)]
            for name, images in self.set.maps.items()
        }
        shown = maps[self.compared]
        measured = {name: images for name, images in maps.items() if name in self.set.quantities}
        result = Registration(
            transform=self.transform,
            inverse=self.transform.inverse(),
            fixed_grid=self.image.grid,
            sequences={"slices": shown, "emulated": self._emulated(shown), **measured},
            tables=self._tables(maps),
            metrics=self._metrics(),
        )
        if len({each.grid for each in shown}) > 1:
            result.warped = painted(shown, self.image.grid, self.thickness)
        if self.refined is not None:
            result.curves["search"] = search_curve(self.refined)
        self._add_solid(result)
        return result

    @property
    def planes(self) -> Tensor:
        """(K, 4, 4) float64: of slices to the volume's RAS mm; where the headers put them until they were placed."""
        if self.refined is not None:
            return self.refined.planes
        if self.placed is not None:
            return self.placed.planes
        return torch.stack([header_plane(grid) for grid in self.set.grids])

    @property
    def transform(self) -> Affine:
        """From the volume to where the scanner says the slices are."""
        pose = torch.eye(4, dtype=torch.float64) if self.placed is None else self.placed.pose
        return Affine(torch.linalg.inv(pose if self.refined is None else self.refined.move @ pose))

    @property
    def information(self) -> dict[str, Tensor]:
        """(K,) mutual information, nats, by when it was measured."""
        if self.refined is not None:
            return {"before": self.refined.before, "after": self.refined.after}
        return {} if self.before is None else {"before": self.before}

    def _add_solid(self, result: Registration) -> None:
        """Where slices stand around an axis, and it is asked for."""
        arrangement = self.placed and self.placed.arrangement
        if not (self.reconstruction and self.slices and self.placed and arrangement):
            return
        frame = self.placed.nominal[0] @ torch.linalg.inv(arrangement.planes()[0])
        move = Affine(torch.linalg.inv(frame) @ self.transform.matrix)
        fan = Fan(self.slices.silhouettes.cpu(), self.slices.pixel, arrangement, move)
        solid = fan.solid(self.image.grid, self.reconstruction)
        result.labels["solid"] = solid
        result.surfaces["surface"] = surface_of(solid, 1)
        if self.volume is not None:
            result.metrics["solid_dice"] = fan.dice(solid, self.volume.bone.cpu())

    def _emulated(self, shown: list[Image]) -> list[Image]:
        """What the volume shows in the placed slices, in its own brightness."""
        grid, pixel = shown[0].grid, min(shown[0].grid.spacing[1:])
        make = emulator(self.image.data, self.image.grid, square_shape(grid, pixel), pixel, self.thickness, pixel)
        pictures, within = make(self.planes.float())
        own = functional.interpolate(pictures * within, grid.shape[1:], mode="bilinear", antialias=True)
        return [Image(picture[None, :, None], each.grid, "Emulated") for picture, each in zip(own, shown, strict=True)]

    def _tables(self, maps: dict[str, list[Image]]) -> dict[str, Table]:
        """Of places where slices were arranged, or else laid in the volume; of regions where they were laid."""
        tables = {}
        if self.placed is not None and (self.placed.arrangement or self.volume):
            tables["arrangement"] = self._arrangement(self.placed)
        if self.volume is not None:
            regions = [regions_on(self.labels, each.grid) for each in maps[self.compared]]
            tables["regions"] = region_table(maps, self.set.units, regions)
        return tables

    def _arrangement(self, placed: Placed) -> Table:
        count = self.set.count
        columns: dict[str, Sequence[Any]] = {"slice": range(1, count + 1), **_places(placed.arrangement, count)}
        if self.refined is not None:
            pairs = zip(self.refined.own, self.refined.planes, strict=True)
            sizes = [_size(own, plane[:3, 3]) for own, plane in pairs]
            columns["moved on its own, mm"] = [shift for shift, _ in sizes]
            columns["turned on its own, °"] = [turn for _, turn in sizes]
        for when, values in self.information.items():
            columns[f"mutual information {when}"] = values.tolist()
        return Table("Arrangement", list(columns), [list(row) for row in zip(*columns.values(), strict=True)])

    def _metrics(self) -> dict[str, float]:
        found: dict[str, float] = {}
        if self.placed is not None:
            found["outline_unlikeness"] = self.placed.unlike
        for when, values in self.information.items():
            found[f"mutual_information_{when}"] = float(values.mean())
        if self.refined is not None:
            found["emulated_slices"] = float(self.refined.emulated)
        if self.placed is not None and math.isfinite(self.placed.next):
            found["next_arrangement_unlikeness"] = self.placed.next
        return found


def _places(arrangement: Arrangement | None, count: int) -> dict[str, Sequence[Any]]:
    """Columns of the table; empty where slices were not arranged."""
    if arrangement is None:
        return dict.fromkeys(("place", "mirrored", "turned"), [""] * count)
    flips = {"mirrored": arrangement.mirrored, "turned": arrangement.turned}
    said = {name: ["yes" if flip else "no" for flip in each] for name, each in flips.items()}
    return {"place": [place + 1 for place in arrangement.places], **said}


def search_curve(refined: Refined) -> Curve:
    """Similarity after every round."""
    unit = ", nats" if refined.similarity == "mutual information" else ""
    curve = Curve(x_title="Round", y_title=refined.similarity.capitalize() + unit)
    for place, value in enumerate(refined.trace):
        curve.add(place, search=-value)
    return curve


def _size(move: Tensor, at: Tensor) -> tuple[float, float]:
    """mm by which a point is moved, and degrees of the turn."""
    shift = float((move[:3, :3] @ at + move[:3, 3] - at).norm())
    cosine = np.clip((float(move[:3, :3].trace()) - 1) / 2, -1, 1)
    return shift, float(np.degrees(np.arccos(cosine)))
