"""Slices that stand around one axis, like the blades of a fan.

The fan's own frame, mm: the axis is its third direction, and the first slice lies in the plane of the first and third.
A slice has columns (right), rows (down) and what lies across it, mm from where the axis crosses its middle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regsuite.spatial.grid import Grid

_SAME = 1e-6


@dataclass(frozen=True)
class Arrangement:
    """Which way each of K slices stands in a fan of K places, 180/K degrees apart.

    places: of each slice, counted from 0; mirrored: its columns run towards the axis' other side; turned: its rows run
    against the axis. Every arrangement is a rigid one: to mirror a slice's columns is to see it from behind.
    """

    places: tuple[int, ...]
    mirrored: tuple[bool, ...]
    turned: tuple[bool, ...]

    def __post_init__(self) -> None:
        count = len(self.places)
        if sorted(self.places) != list(range(count)) or len(self.mirrored) != count or len(self.turned) != count:
            raise ValueError(f"an arrangement gives each slice a place, and two flips; not {self}")

    @classmethod
    def of(cls, planes: Tensor) -> Arrangement:
        """That of planes (K, 4, 4) in the fan's frame: the inverse of :meth:`planes`."""
        count = len(planes)
        angles = torch.atan2(planes[:, 1, 0], planes[:, 0, 0]) * count / math.pi
        steps = [int(step) for step in torch.remainder(angles.round(), 2 * count)]
        turned = (planes[:, 2, 1] < 0).tolist()
        return cls(tuple(step % count for step in steps), tuple(step >= count for step in steps), tuple(turned))

    @property
    def count(self) -> int:
        """How many slices there are."""
        return len(self.places)

    @property
    def step(self) -> float:
        """Degrees between two places."""
        return 180.0 / self.count

    @classmethod
    def of_numbers(cls, places: Sequence[float], turned: Sequence[float], count: int) -> Arrangement:
        """places: of ``count`` slices, from 1, negative where one is mirrored; turned: the numbers, also from 1, of the
        slices that are, 0 for none. ValueError where not every slice has a place of its own, or one is turned that is
        none of them."""
        whole, numbers = [round(place) for place in places], {round(number) for number in turned}
        if not numbers <= set(range(count + 1)):
            raise ValueError(f"turned slices are some of 1 to {count}; not {turned}")
        return cls(
            tuple(abs(place) - 1 for place in whole),
            tuple(place < 0 for place in whole),
            tuple(number in numbers for number in range(1, 1 + count)),
        )

    def numbers(self) -> tuple[list[int], list[int]]:
        """Places and turned slices: the inverse of :meth:`of_numbers`."""
        signs = [-1 if mirrored else 1 for mirrored in self.mirrored]
        places = [sign * (place + 1) for sign, place in zip(signs, self.places, strict=True)]
        return places, [number for number, turned in enumerate(self.turned, start=1) if turned]

    def planes(self) -> Tensor:
        """(K, 4, 4) float64: from a slice's (right, down, across) mm to the fan's frame."""
        angles = torch.tensor(self.places, dtype=torch.float64) * math.radians(self.step)
        across = torch.where(torch.tensor(self.mirrored), -1.0, 1.0).to(torch.float64)
        along = torch.where(torch.tensor(self.turned), -1.0, 1.0).to(torch.float64)
        planes = torch.zeros(self.count, 4, 4, dtype=torch.float64)
        planes[:, 0, 0], planes[:, 1, 0] = across * torch.cos(angles), across * torch.sin(angles)
        planes[:, 2, 1] = along
        planes[:, :3, 2] = torch.linalg.cross(planes[:, :3, 0], planes[:, :3, 1])
        planes[:, 3, 3] = 1
        return planes

    def is_like(self, other: Arrangement) -> bool:
        """Whether one is the other, turned as a whole: slices alone cannot tell such arrangements apart."""
        if self.count != other.count:
            return False
        mine, others = self.planes(), other.planes()
        turned = others[0] @ torch.linalg.inv(mine[0])
        return bool((turned @ mine - others).abs().max() < _SAME)


def in_order(count: int) -> Arrangement:
    """As planned: slice after slice, none of them flipped."""
    return Arrangement(tuple(range(count)), (False,) * count, (False,) * count)


def frame_of(centre: Tensor, normal: Tensor) -> Tensor:
    """(4, 4) float64: from the fan's frame to RAS mm, for an axis through ``centre`` (3,) along ``normal`` (3,).

    The turn about the axis is a choice: the first direction is as near to a world axis as can be.
    """
    along = normal.to(torch.float64) / normal.to(torch.float64).norm()
    world = torch.eye(3, dtype=torch.float64)[int(along.abs().argmin())]
    first = world - (world @ along) * along
    first = first / first.norm()
    frame = torch.eye(4, dtype=torch.float64)
    frame[:3, :3] = torch.stack([first, torch.linalg.cross(along, first), along], dim=1)
    frame[:3, 3] = centre
    return frame


def pixel_grid(shape: tuple[int, int], pixel: float) -> Grid:
    """A flat grid in a slice's own (right, down) mm, from its middle; shape: rows and columns."""
    rows, columns = shape
    affine = np.array([[0, pixel, -(columns - 1) / 2 * pixel], [pixel, 0, -(rows - 1) / 2 * pixel], [0, 0, 1]])
    return Grid.from_affine((rows, columns), affine)
