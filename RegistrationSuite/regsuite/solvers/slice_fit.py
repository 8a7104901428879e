"""Slices and a volume brought together by emulating the slices: a search in which all slices vote, then descent.

The volume is cut where the slices are thought to be (:mod:`regsuite.solvers.emulation`) and the cuts are compared with
the slices. The six numbers of a rigid motion are searched one after the other: the planes are moved by -δ and by +δ,
each slice votes for what it resembles most, δ is halved. Votes weigh as much as they gain. Source: Hip qMRI radial 2D
slices to 3D volume registration, WBIR 2022, section 2.2 (one turn, δ = 15°); here for turns and shifts of all kinds.

Then all six are freed at once, and six more for each slice, which a prior keeps small:

    min over q, q_k   E(planes(q, q_k)) + λ Σ_k |q_k / σ|² / K                             (L-BFGS)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regsuite.progress import Progress
from regsuite.spatial.rigid import rigid_moves

_TURN, _SHIFT = math.radians(1.0), 1.0
"""Of the descent's variables: a turn and a shift that change slices about as much."""

Compare = Callable[[Tensor], Tensor]
"""Planes (C, K, 4, 4) to how unlike each of K slices and its emulation are, (C, K)."""


@dataclass(frozen=True)
class Level:
    """δ of one round of the search: degrees of turns, mm of shifts."""

    turn: float
    shift: float


def halved(turn: float, shift: float, finest: float) -> list[Level]:
    """Rounds from ``turn`` degrees and ``shift`` mm down to ``finest`` of either."""
    levels = []
    while max(turn, shift) >= finest:
        levels.append(Level(turn, shift))
        turn, shift = turn / 2, shift / 2
    return levels


@dataclass(frozen=True)
class Searched:
    """planes: (K, 4, 4); move: (4, 4), what they were moved by; emulated: how many slices were made of the volume;
    trace: the mean unlikeness after every round."""

    planes: Tensor
    move: Tensor
    emulated: int
    trace: Sequence[float]


def voted(
    compare: Compare, planes: Tensor, frame: Tensor, levels: Sequence[Level], order: Sequence[int], progress: Progress
) -> Searched:
    """Planes (K, 4, 4) moved by the search.

    frame: (4, 4), whose origin and directions turns and shifts are about and along; order: of the six numbers (three
    turns, three shifts) in a round.
    """
    move = torch.eye(4, dtype=planes.dtype, device=planes.device)
    here = compare(planes[None])[0]
    emulated, trace = len(planes), [float(here.mean())]
    for level in levels:
        for number in order:
            progress.check()
            steps = torch.zeros(2, 6, dtype=planes.dtype, device=planes.device)
            size = torch.deg2rad(torch.tensor(level.turn)) if number < 3 else torch.tensor(level.shift)
            steps[:, number] = torch.stack([-size, size])
            moves = rigid_moves(steps, frame) @ move
            there = compare(moves[:, None] @ planes[None])
            emulated += 2 * len(planes)
            best = _elected(torch.cat([here[None], there]))
            if best:
                move, here = moves[best - 1], there[best - 1]
        trace.append(float(here.mean()))
    return Searched(move @ planes, move, emulated, trace)


def _elected(unlike: Tensor) -> int:
    """Of candidates (C, K): each slice votes for its best, by as much as that is better than where it is (row 0)."""
    gain, choice = (unlike[0] - unlike).max(dim=0)
    votes = torch.zeros(len(unlike), dtype=unlike.dtype, device=unlike.device).scatter_add(0, choice, gain)
    mean = (unlike[0] - unlike).mean(dim=1)
    elected = int(votes.argmax())
    return elected if float(mean[elected]) > 0 else int(mean.argmax())


@dataclass(frozen=True)
class Prior:
    """σ of what a slice moves on its own, degrees and mm, and λ, in the units of E; without it slices stay together."""

    turn: float
    shift: float
    weight: float


@dataclass(frozen=True)
class Polished:
    """planes: (K, 4, 4); move: (4, 4) of all of them; own: (K, 4, 4), after which each slice moved by itself;
    energy: E at the end."""

    planes: Tensor
    move: Tensor
    own: Tensor
    energy: float


def polished(
    energy: Callable[[Tensor], Tensor],
    planes: Tensor,
    frame: Tensor,
    prior: Prior | None,
    iterations: int,
    progress: Progress,
) -> Polished:
    """Planes (K, 4, 4) after descent; energy: planes (K, 4, 4) to a number; frame: (4, 4), as of :func:`voted`."""
    count = len(planes) if prior else 0
    numbers = torch.zeros(1 + count, 6, dtype=planes.dtype, device=planes.device, requires_grad=True)
    search = torch.optim.LBFGS(
        [numbers], max_iter=iterations, max_eval=2 * iterations, history_size=12, line_search_fn="strong_wolfe"
    )
    unit = torch.tensor([_TURN] * 3 + [_SHIFT] * 3).to(planes)

    def moved() -> tuple[Tensor, Tensor]:
        moves = rigid_moves(numbers * unit, frame)
        own = moves[1:] if prior else torch.eye(4).to(planes).expand(len(planes), 4, 4)
        return moves[0], own

    def closure() -> Tensor:
        progress.check()
        search.zero_grad()
        move, own = moved()
        value = energy(move @ own @ planes)
        if prior:
            value = value + prior.weight * _far(numbers[1:] * unit, prior).mean()
        value.backward()
        return value

    search.step(closure)
    with torch.no_grad():
        move, own = moved()
        found = move @ own @ planes
        return Polished(found, move, own, float(energy(found)))


def _far(numbers: Tensor, prior: Prior) -> Tensor:
    """(K,): Σ (q / σ)², of turns in rad and shifts in mm."""
    sigma = torch.tensor([math.radians(prior.turn)] * 3 + [prior.shift] * 3).to(numbers)
    return (numbers / sigma).square().sum(dim=1)
