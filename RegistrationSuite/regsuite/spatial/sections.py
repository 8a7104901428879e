"""Several sections of one brain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regsuite.spatial.image import Image


@dataclass(frozen=True)
class SectionSet:
    """parts: sections, each (1, C, *shape) on a 3D grid of one slice, with names of their own; numbers: (N,) their
    places in the series, rising."""

    parts: Sequence[Image]
    numbers: Sequence[int]

    def __post_init__(self) -> None:
        if len(self.parts) != len(self.numbers) or sorted(set(self.numbers)) != list(self.numbers):
            raise ValueError("every section of a series has a number, and they rise")
