"""How sure to be: probabilities that come true as often as they say, and that are numbers whatever happens."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from regsuite.methods.sections import sureness
from regsuite.methods.sections.sureness import evidence, fitted, probability
from torch import Tensor


def cases(count: int = 400, told: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Evidence (count, 3), of units far apart, and whether each is right: with the odds exp(told * the first)."""
    random = np.random.default_rng(3)
    x = random.standard_normal((count, 3))
    right = random.random(count) < 1 / (1 + np.exp(-(0.4 + told * x[:, 0] - 0.5 * told * x[:, 2])))
    return x * [0.3, 1.0, 0.05] + [2.0, 0.5, 0.3], right


def said(weights: Tensor, facts: np.ndarray) -> np.ndarray:
    return np.array([probability(weights, each) for each in facts])


class TestFitted:
    @pytest.mark.parametrize("told", [0.0, 1.5, 40.0], ids=["noise", "telling", "separable"])
    def test_it_is_the_logistic_regression_of_scikit_learn(self, told: float) -> None:
        linear_model = pytest.importorskip("sklearn.linear_model")
        facts, right = cases(told=told)
        x = (facts - facts.mean(axis=0)) / facts.std(axis=0)
        # There the sum of the losses is weighed by C against half the squares.
        penalty = 1 / (2 * sureness._PENALTY * len(facts))
        peer = linear_model.LogisticRegression(C=penalty, tol=1e-8).fit(x, right)
        assert said(fitted(facts, right), facts) == pytest.approx(peer.predict_proba(x)[:, 1], abs=2e-3)

    def test_what_it_says_comes_true_as_often(self) -> None:
        facts, right = cases(4000)
        weights = fitted(facts[:2000], right[:2000])
        probable = said(weights, facts[2000:])
        for low in (0.0, 0.25, 0.5, 0.75):
            those = (probable >= low) & (probable < low + 0.25)
            assert those.sum() > 100
            assert np.mean(right[2000:][those]) == pytest.approx(np.mean(probable[those]), abs=0.09)

    def test_noise_tells_no_more_than_how_often_it_is_right(self) -> None:
        facts, _ = cases()
        right = np.arange(len(facts)) % 4 > 0
        assert np.abs(said(fitted(facts, right), facts) - 0.75).max() < 0.15

    def test_what_separates_is_sure(self) -> None:
        facts, _ = cases()
        right = facts[:, 0] > 2.0
        probable = said(fitted(facts, right), facts)
        assert ((probable > 0.5) == right).mean() > 0.98
        assert probable[facts[:, 0] > 2.4].min() > 0.9


class TestDegenerate:
    @pytest.mark.parametrize("right", [True, False])
    def test_all_right_or_all_wrong_is_a_number_on_the_right_side(self, right: bool) -> None:
        facts, _ = cases()
        weights = fitted(facts, np.full(len(facts), right))
        assert bool(torch.isfinite(weights).all())
        assert abs(probability(weights, facts[0]) - right) < 0.05

    def test_evidence_that_never_changes_counts_for_nothing(self) -> None:
        facts, right = cases()
        facts[:, 1] = 1 / 3
        weights = fitted(facts, right)
        other = facts[0] + [0, 0.5, 0]
        assert probability(weights, other) == pytest.approx(probability(weights, facts[0]), abs=1e-3)

    def test_a_single_case_will_do(self) -> None:
        weights = fitted(np.array([[1.0, 0.5, 0.2]]), np.array([True]))
        assert 0.5 < probability(weights, np.array([9.0, 0.1, 0.9])) <= 1

    @pytest.mark.parametrize("energy", [math.nan, math.inf])
    def test_where_nothing_could_be_compared_nothing_agrees(self, energy: float) -> None:
        told = evidence(torch.linspace(0.1, 2, 20), 3.0, energy)
        assert told[2] == 1.0

    def test_far_evidence_does_not_overflow(self) -> None:
        weights = fitted(*cases())
        with np.errstate(all="raise"):
            assert {probability(weights, np.full(3, far)) in (0.0, 1.0) for far in (-1e6, 1e6)} == {True}


class TestEvidence:
    def test_it_is_the_least_distance_the_belief_near_the_plate_and_the_energy(self) -> None:
        distances = torch.tensor([3.0, 0.0, 3.0, 3.0, 3.0, 1.0, 3.0])
        told = evidence(distances, 1.4, 0.25)
        odds = np.exp(-(distances.double().numpy() ** 2))
        assert told == pytest.approx([0.0, odds[:4].sum() / odds.sum(), 0.25], abs=1e-6)
