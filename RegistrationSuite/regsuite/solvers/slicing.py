"""Where a flat picture lies in a volume, by slicing the volume and comparing: all nine numbers of a pose at once.

    E(q) = ∫ w (1 - ρ²) dx / ∫ w dx + ε/2 Σ_i (q_i / σ_i)²,   ρ the local correlation of the picture with the volume
                                                             cut at pose q

ρ² does not ask which of two tissues is the brighter, so that picture and volume may be of different stains. The sum,
over angles, scales and shear, says what is seldom so of a section: without it half of one fits in too many places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regsuite.losses.correlation import local_correlations
from regsuite.progress import Progress
from regsuite.spatial import Grid
from regsuite.spatial.plates import Plates, cut

_STEPS = (1.0, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09, 1.0, 1.0)
"""Of depth, angles, scales, shear and shifts: what changes a picture about alike. Lengths count in ``unit``."""
_SPREAD = (0.17, 0.17, math.inf, 0.1, 0.1, 0.06)
"""σ of pitch, yaw (rad), rotation, scales and shear: how sections are cut, and how brains differ in size."""
_FIRST = 0.5
"""Of a step, by which the search begins."""
_TOGETHER = 256
"""Poses whose pictures are held at a time."""


@dataclass(frozen=True)
class Problem:
    """One picture at one resolution.

    volume: (1, 1, *shape) on ``grid``; picture: (1, 1, h, w) at ``points`` (h, w, 3) mm in the plane, ``pixel`` mm
    apart; weight: (1, 1, h, w), or (B, 1, h, w) for each of B poses its own; window: σ of the correlation's window, mm;
    odd: ε.
    """

    volume: Tensor
    grid: Grid
    plates: Plates
    picture: Tensor
    weight: Tensor
    points: Tensor
    pixel: float
    window: float
    odd: float

    def energy(self, poses: Tensor) -> Tensor:
        """(B,) E of poses (B, 9): but for the last sum 0 where all agrees, 1 where nothing does."""
        shown = cut(self.volume, self.grid, self.plates.matrices(poses), self.points)
        compare = local_correlations(self.picture, self.weight, (self.pixel, self.pixel), self.window)
        odd = (poses[:, 1:7] / torch.tensor(_SPREAD).to(poses)).square().sum(dim=1)
        return compare(shown) / (self.weight.sum(dim=(1, 2, 3)) * self.pixel**2) + (0.5 * self.odd * odd).to(shown)

    def some(self, rows: slice) -> Problem:
        """Of some of the poses only: with their weights, where each has its own."""
        return self if len(self.weight) == 1 else replace(self, weight=self.weight[rows])


@dataclass(frozen=True)
class Found:
    """pose: (9,); energy: E there, infinite where nothing could be compared."""

    pose: Tensor
    energy: float


def slice_to(
    problem: Problem, start: Tensor, free: Sequence[bool], iterations: int, progress: Progress, unit: float
) -> Found:
    """The pose that lowers E, from ``start`` (9,), along the numbers that are ``free``.

    unit: mm by which a shift changes a picture about as much as the turn of 5° does.
    """
    scale = _scale(free, unit, start)
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


def slice_all(
    problem: Problem,
    starts: Tensor,
    free: Sequence[bool],
    iterations: int,
    rate: float,
    progress: Progress,
    unit: float,
) -> list[Found]:
    """The same from many starts (K, 9) at once, roughly (Adam, Kingma and Ba 2015): the best first.

    rate: of Adam, in steps that change a picture as much as a turn of 5° does.
    """
    scale = _scale(free, unit, starts)
    q = torch.zeros_like(starts, requires_grad=True)
    search = torch.optim.Adam([q], lr=rate)
    parts = [slice(first, first + _TOGETHER) for first in range(0, len(starts), _TOGETHER)]
    for _ in range(iterations):
        progress.check()
        search.zero_grad()
        for part in parts:
            problem.some(part).energy(starts[part] + q[part] * scale).nansum().backward()
        q.grad = torch.nan_to_num(q.grad) if q.grad is not None else None
        search.step()
    poses = (starts + q * scale).detach()
    with torch.no_grad():
        energies = torch.cat([problem.some(part).energy(poses[part]) for part in parts])
    energies = torch.nan_to_num(energies, nan=math.inf)
    return [Found(poses[place], float(energies[place])) for place in energies.argsort()]


def _scale(free: Sequence[bool], unit: float, like: Tensor) -> Tensor:
    """(9,): a step along each number of a pose, 0 where it is not free."""
    scale = torch.tensor(_STEPS, dtype=like.dtype)
    scale[[0, 7, 8]] *= unit
    return scale * torch.tensor([float(each) for each in free], dtype=like.dtype)
