"""Time and memory of whole heads in 3D."""

from __future__ import annotations

from functools import partial
from typing import Any

from Benchmarks.common import EVOLVING, Figures, Group, Made, Measured
from Benchmarks.rows import Row, row

_STEPS = 10
_SETTINGS: dict[str, Any] = {"steps": _STEPS, "kernel_widths": [6.0, 15.0]}
"""Smoothness widths as of a head, which an image marked at its corners would seem to exceed."""


class Sizes(Measured):
    """A patient on the MNI152 template's whole grid, of which nothing is cropped."""

    def groups(self) -> list[Group]:
        """2 mm, and in the full form 1 mm."""
        groups: list[Group] = [("3D at 2 mm", "whole head", partial(self.on_cpu, 2, "< 4096"))]
        if self.full:
            groups.append(("3D at 1 mm", "whole head", partial(self.on_cpu, 1, "< 16384")))
        groups += [
            (f"3D at {mm} mm on a GPU", "whole head", partial(self.on_gpu, mm))
            for mm in ((2, 1) if self.full else (2,))
        ]
        return groups

    def on_cpu(self, mm: int, goal: str) -> list[Row]:
        """Time, memory and overlap."""
        case = self._case(mm)
        return _rows(case, self.register(case, EVOLVING, **_SETTINGS), "memory_mb", goal)

    def on_gpu(self, mm: int) -> list[Row]:
        """The same on the first GPU, where there is one."""
        case = self._case(mm)
        parameters = EVOLVING.parameters(**_SETTINGS)
        ours = self.workshop.run("ours:on_a_gpu", case=case.file, method=EVOLVING.method, parameters=parameters)
        return _rows(case, ours, "gpu_memory_mb", "")

    def _case(self, mm: int) -> Made:
        shape = "99 x 117 x 95" if mm == 2 else "197 x 233 x 189"
        data = f"MNI152 with tumour, whole head {shape}, {mm} mm, {_STEPS} steps"
        return self.make(f"whole-{mm}", data, "whole head", resolution=mm, seed=2)


def _rows(case: Made, ours: Figures, memory: str, goal: str) -> list[Row]:
    return [
        row("memory", case.data, "MiB", ours[memory], goal=goal),
        row("time", case.data, "s", ours["seconds"]),
        row("ventricles by deformation alone", case.data, "Dice", ours["dice_ventricles"]),
    ]
