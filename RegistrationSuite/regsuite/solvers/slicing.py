"""Where a flat picture lies in a volume, by slicing the volume and comparing: all nine numbers of a pose at once.

    E(q) = ∫ w (1 - ρ²) dx,   ρ the local correlation of the picture with the volume cut at pose q

ρ² does not ask which of two tissues is the brighter, so that picture and volume may be of different stains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regsuite.losses.correlation import local_correlation
from regsuite.progress import Progress
from regsuite.spatial import Grid
from regsuite.spatial.plates import Plates, cut

_STEPS = (1.0, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09, 1.0, 1.0)
"""Of depth, angles, scales, shear and shifts: what changes a picture about alike. Lengths count in ``unit``."""
_FIRST = 0.5
"""Of a step, by which the search begins."""


@dataclass(frozen=True)
class Problem:
    """One picture at one resolution.

    volume: (1, 1, *shape) on ``grid``; picture, weight: (1, 1, h, w) at ``points`` (h, w, 3) mm in the plane, ``pixel``
    mm apart; window: σ of the correlation's window, mm.
    """

    volume: Tensor
    grid: Grid
    plates: Plates
    picture: Tensor
    weight: Tensor
    points: Tensor
    pixel: float
    window: float

    def energy(self, poses: Tensor) -> Tensor:
        """(B,) E per mm² of weight, of poses (B, 9): 0 where all agrees, 1 where nothing does."""
        shown = cut(self.volume, self.grid, self.plates.matrices(poses), self.points)
        compare = local_correlation(self.picture, self.weight, (self.pixel, self.pixel), self.window)
        area = self.weight.sum() * self.pixel**2
        return torch.stack([compare(each[None]) for each in shown]) / area


@dataclass(frozen=True)
class Found:
    """pose: (9,); energy: E there, per mm² of weight, infinite where nothing could be compared."""

    pose: Tensor
    energy: float


def slice_to(
    problem: Problem, start: Tensor, free: Sequence[bool], iterations: int, progress: Progress, unit: float
) -> Found:
    """The pose that lowers E, from ``start`` (9,), along the numbers that are ``free``.

    unit: mm by which a shift changes a picture about as much as the turn of 5° does.
    """
    scale = torch.tensor(_STEPS, dtype=start.dtype)
    scale[[0, 7, 8]] *= unit
    scale = scale * torch.tensor([float(each) for each in free], dtype=start.dtype)
    q = torch.zeros_like(start, requires_grad=True)
    search = torch.optim.LBFGS(
        [q], lr=_FIRST, max_iter=iterations, max_eval=iterations * 2, history_size=9, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        progress.check()
        search.zero_grad()
        energy = problem.energy((start + q * scale)[None])[0]
        energy.backward()
        return energy

    search.step(closure)
    with torch.no_grad():
        pose = start + q * scale
        energy = float(problem.energy(pose[None])[0])
        found = math.isfinite(energy) and bool(torch.isfinite(pose).all())
        return Found(pose, energy) if found else Found(start, math.inf)
