"""Where the sections of a series lie, all at once: in the order they were cut, and about evenly.

    min over depths t_1, t_2, ...   Σ_i c_i(t_i) + Σ_i ((t_i+1 - t_i - b (n_i+1 - n_i)) / s)² ,   s (n) growing with √n,

with t rising or falling throughout, c_i what a section alone says of each plate, n_i its number in the series, and b
the distance of two consecutive sections, which is found with it. Solved exactly over the plates by dynamic programming
(Viterbi 1967), for both directions and a range of b; the best of all is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_STEPS = 25
"""Distances b that are tried in each direction."""


@dataclass(frozen=True)
class Ordered:
    """plates: (N,) int, one a section; step: b, plates (negative: the series runs towards lower plates);
    cost: of the whole."""

    plates: np.ndarray
    step: float
    cost: float


def ordered(costs: np.ndarray, numbers: np.ndarray, slack: float) -> Ordered:
    """costs: (N, P) c_i of each plate; numbers: (N,) rising; slack: s of two consecutive sections, plates."""
    count = costs.shape[1]
    if len(costs) == 1:
        best = int(costs[0].argmin())
        return Ordered(np.array([best]), 0.0, float(costs[0, best]))
    largest = 1.2 * count / max(1, numbers[-1] - numbers[0])
    least = min(0.5, 0.1 * largest)
    steps = np.geomspace(least, largest, _STEPS)
    tried = [_path(costs, numbers, sign * step, slack) for sign in (1, -1) for step in steps]
    return min(tried, key=lambda each: each.cost)


def _path(costs: np.ndarray, numbers: np.ndarray, step: float, slack: float) -> Ordered:
    """The best plates for one b."""
    plates = np.arange(costs.shape[1])
    moved = plates[None] - plates[:, None]
    total, came = costs[0].copy(), []
    for row, apart in zip(costs[1:], np.diff(numbers), strict=True):
        price = ((moved - step * apart) / slack) ** 2 / max(1, apart)
        price = np.where(moved * np.sign(step) > 0, price, np.inf)
        through = total[:, None] + price
        came.append(through.argmin(axis=0))
        total = through.min(axis=0) + row
    path = [int(total.argmin())]
    for back in reversed(came):
        path.append(int(back[path[-1]]))
    return Ordered(np.array(path[::-1]), step, float(total.min()))
