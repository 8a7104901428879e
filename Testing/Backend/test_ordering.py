"""A series is placed in order even where single sections say little."""

from __future__ import annotations

import numpy as np
import pytest
from regsuite.solvers.ordering import ordered

PLATES = 60


def costs_of(truth: np.ndarray, seed: int = 0) -> np.ndarray:
    """Bowls about the truth, capped, with noise."""
    noise = np.random.default_rng(seed).uniform(0, 1.5, (len(truth), PLATES))
    return np.minimum(((np.arange(PLATES)[None] - truth[:, None]) / 2) ** 2, 9) + noise


@pytest.mark.parametrize("sign", [1, -1])
def test_sections_that_say_nothing_take_their_place_between_the_others(sign: int) -> None:
    numbers = np.array([2.0, 4, 6, 9, 11, 14, 16])
    truth = np.round(30 + sign * (numbers - 9) * 3)
    costs = costs_of(truth)
    costs[3] = np.random.default_rng(5).uniform(0, 9, PLATES)
    found = ordered(costs, numbers, slack=2.0)
    assert np.abs(found.plates - truth).max() <= 2
    assert found.step == pytest.approx(3 * sign, rel=0.15)
    assert (np.diff(found.plates) * sign > 0).all()


def test_no_path_is_cheaper() -> None:
    """Against every rising pair of plates."""
    costs, numbers = costs_of(np.array([4.0, 9.0]))[:, :14], np.array([1.0, 2.0])
    found = ordered(costs, numbers, slack=2.0)
    sign = np.sign(found.step)
    every = [
        costs[0, one] + costs[1, other] + ((other - one - found.step) / 2.0) ** 2
        for one in range(14)
        for other in range(14)
        if (other - one) * sign > 0
    ]
    assert found.cost == pytest.approx(min(every))


def test_one_section_is_where_it_looks_to_be() -> None:
    costs = costs_of(np.array([17.0]))
    assert ordered(costs, np.array([3.0]), slack=2.0).plates.tolist() == [int(costs[0].argmin())]
