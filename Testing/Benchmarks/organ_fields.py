"""A displacement known at points of organs, carried to a whole volume."""

from __future__ import annotations

from typing import Any

from Benchmarks.common import Group, Measured
from Benchmarks.organ_ways import OURS
from Benchmarks.rows import Row, row

_SHAPE, _SPACING = (200, 256, 256), (1.6, 1.5, 1.5)
"""With these voxels the field, which reaches two ranges around the organs, has no fewer voxels than the volume."""


class Fields(Measured):
    """Time, memory and quality of the interpolation."""

    def groups(self) -> list[Group]:
        """On the phantom."""
        return [("the displacement carried to a volume", "256 x 256 x 200", self.carried)]

    def carried(self) -> list[Row]:
        """At the volume's own resolution."""
        given: dict[str, Any] = {"shape": _SHAPE, "spacing": _SPACING, "parameters": OURS.parameters()}
        found = self.workshop.run("organ_cases:carried", **given)
        size = " x ".join(map(str, found["shape"][::-1]))
        data = f"five organs in 256 x 256 x 200 of {_SPACING[-1]} x {_SPACING[-2]} x {_SPACING[0]} mm, field of {size}"
        return [
            row("time of carrying the displacement", data, "s", found["seconds"], goal="< 10"),
            row("memory of carrying the displacement", data, "MiB", found["memory_mb"], goal="< 2048"),
            row("folded voxels", data, "fraction", found["folded_fraction"], goal="== 0"),
            row("carried displacement from that of the points, mean", data, "mm", found["points_mm"]),
        ]
