"""What is known of slices that were placed around an axis, for the pictures of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch

from regsuite.registration import Registration
from regsuite.spatial import Grid, Image, LabelImage, sample
from regsuite.spatial.slice_sets import Axis, common_line

Colour = tuple[float, float, float]

COLOURS = ("#bf6060", "#00ffff", "#ff0000", "#6080bf", "#ffdf00", "#9f40ff", "#9fdf80")
"""Of places. Any two of the first six are 37 apart in CIELAB, or more, as protanopes, deuteranopes and tritanopes see
them (Machado et al. 2009, doi 10.1109/TVCG.2009.113), and 63 to others."""
SHARED_AXIS_MM = 8.0
"""How far a slice that has moved on its own may leave the axis."""
_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
_LEAST_LETTER = 0.35
"""Cosine of the angle to an axis that is named."""


class Stand(NamedTuple):
    """How a slice stands in its fan; place: what orders them."""

    place: float
    mirrored: bool
    turned: bool


@dataclass(frozen=True)
class FanSubject:
    """What the pictures are of; fixed_labels lie in the fixed image's space, slice_labels are a stack in the slices'
    order."""

    registration: Registration
    fixed: Image
    fixed_labels: LabelImage
    slice_labels: LabelImage

    @property
    def slices(self) -> list[Image]:
        """The placed slices that were compared."""
        return self.registration.sequences["slices"]

    @property
    def emulated(self) -> list[Image]:
        """What the volume shows there."""
        return self.registration.sequences["emulated"]

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """Of the arrangement's table, in the order of the slices; where there is none, no slice has a place."""
        table = self.registration.tables.get("arrangement")
        if table is None:
            return [{"place": "", "mirrored": "", "turned": ""}] * len(self.slices)
        return [dict(zip(table.columns, row, strict=True)) for row in table.rows]

    @property
    def arranged(self) -> bool:
        """Whether it was asked how the slices stand."""
        return "arrangement" in self.registration.tables

    @property
    def laid(self) -> bool:
        """Whether the slices were laid in the volume; until then they are where headers put them."""
        return "regions" in self.registration.tables

    @cached_property
    def stands(self) -> list[Stand]:
        """Of every slice: as it was arranged or, of slices whose headers told of their planes, as these lie about their
        axis; as it is without one."""
        if self.axis is not None and not all(row["place"] for row in self.rows):
            return stands_about(self.axis, [image.grid for image in self.slices])
        return [
            Stand(row["place"] or number, row["mirrored"] == "yes", row["turned"] == "yes")
            for number, row in enumerate(self.rows)
        ]

    @cached_property
    def order(self) -> list[int]:
        """Numbers of the slices, from 0, by their places."""
        return sorted(range(len(self.stands)), key=lambda number: self.stands[number].place)

    @cached_property
    def axis(self) -> Axis | None:
        """The line around which they were placed."""
        return common_line([image.grid for image in self.slices], SHARED_AXIS_MM)

    @property
    def bone(self) -> int | None:
        """The volume's label; None for all."""
        return self.registration.record.get("chosen", {}).get("bone")

    @property
    def tallness(self) -> float:
        """Height of a slice as a share of its width."""
        left, right, bottom, top = extent_of(self.slices[0].grid)
        return (top - bottom) / (right - left)

    def upright(self, number: int, array: np.ndarray) -> np.ndarray:
        """(H, W) of a slice as it stands among the others: rows along the axis, columns towards its place."""
        stand = self.stands[number]
        turned = array[::-1] if stand.turned else array
        return turned[:, ::-1] if stand.mirrored else turned

    def bone_in(self, number: int) -> np.ndarray:
        """(H, W) float: the volume's bone where a slice was placed."""
        grid, labels = self.slices[number].grid, self.fixed_labels
        inside = labels.mask(self.bone).cpu().float()[None, None]
        return sample(inside, labels.grid, grid.points(torch.float64), outside="zeros")[0, 0, 0].numpy()

    def drawn_in(self, number: int) -> np.ndarray:
        """(H, W) float: the same bone as it was drawn in a slice, or all that was where none has its name."""
        name = "" if self.bone is None else self.fixed_labels.name_of(self.bone).lower()
        same = [value for value in self.slice_labels.values() if self.slice_labels.name_of(value).lower() == name]
        return self.slice_labels.mask(same[0] if same else None)[number].cpu().float().numpy()

    def colour(self, number: int) -> Colour:
        """That of a slice, by its place."""
        return place_colour(self.order.index(number))


def place_colour(place: int) -> Colour:
    """Red, green and blue, 0 to 1, of a place counted from 0; after the seventh they come again."""
    hue = COLOURS[place % len(COLOURS)]
    red, green, blue = (int(hue[digit : digit + 2], 16) / 255 for digit in (1, 3, 5))
    return red, green, blue


def stands_about(axis: Axis, grids: Sequence[Grid]) -> list[Stand]:
    """How slices (1, H, W) stand whose own planes say it, by their angles about an axis."""
    return [_stand(grid, axis) for grid in grids]


def view_along(normal: np.ndarray) -> np.ndarray:
    """(2, 3): right and up of the view along an axis; the patient's head up, and the right on the left, if they can."""
    ups = np.eye(3)[[2, 1]]
    up = next(each for each in ups if abs(each @ normal) < 0.9)
    up = up - (up @ normal) * normal
    up = up / np.linalg.norm(up)
    right = np.cross(up, normal)
    strongest = int(np.abs(right).argmax())
    return np.stack([right * (-np.sign(right[strongest]) if strongest < 2 else 1.0), up])


def ends_of(line: np.ndarray) -> tuple[str, str]:
    """Letters of the two ends of a direction in space, the strongest first: 'SR' is up, and to the right."""
    strong = [int(axis) for axis in np.argsort(-np.abs(line)) if abs(line[axis]) > _LEAST_LETTER]
    ends = [_LETTERS[axis] if line[axis] > 0 else _LETTERS[axis][::-1] for axis in strong]
    return "".join(low for low, _ in ends), "".join(high for _, high in ends)


def extent_of(grid: Grid) -> tuple[float, float, float, float]:
    """mm."""
    _, down, right = np.multiply(grid.shape, grid.spacing)
    return (0.0, float(right), 0.0, float(down))


def _stand(grid: Grid, axis: Axis) -> Stand:
    """By the angle of its columns about the axis, mirrored so that it is within half a turn, and its rows along it."""
    down, right = np.asarray(grid.direction)[:, 1], np.asarray(grid.direction)[:, 2]
    first, second = view_along(axis.normal)
    angle = np.degrees(np.arctan2(right @ second, right @ first)) % 360
    return Stand(float(angle % 180), bool(angle >= 180), bool(down @ axis.normal < 0))
