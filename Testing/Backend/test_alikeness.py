"""How alike many images are, by every measure that radial slices may be compared by."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from regsuite.catalog.radial import SIMILARITIES
from regsuite.losses.alikeness import unlike
from regsuite.losses.correlation_ratio import correlation_ratios
from regsuite.losses.mutual_information import mutual_informations
from regsuite.methods.radial.refine import _PRIOR
from scipy.interpolate import BSpline
from torch import Tensor


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def smooth(count: int, seed: int = 0) -> Tensor:
    """(count, 1, 32, 32), 0 to 1: a few waves each."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32] / 32
    waves = [np.sin(2 * np.pi * (a * x + b * y + c)) for a, b, c in rng.uniform(-2, 2, (4 * count, 3))]
    made = np.reshape(waves, (count, 4, 32, 32)).mean(axis=1)
    low, high = (each(made, axis=(1, 2), keepdims=True) for each in (np.min, np.max))
    return torch.from_numpy((made - low) / (high - low)).float()[:, None]


class TestNormalisedMutualInformation:
    def test_by_hand(self) -> None:
        """Two values in either image, in counts of 30, 10, 20 and 40; each of the moving image's is a cubic spline."""
        fixed = torch.tensor([0.0] * 40 + [1.0] * 60).reshape(1, 1, 10, 10)
        moving = torch.tensor([0.2] * 30 + [0.7] * 10 + [0.2] * 20 + [0.7] * 40).reshape(1, 1, 10, 10)
        spline = BSpline.basis_element([-2, -1, 0, 1, 2], extrapolate=False)
        spread = np.nan_to_num([spline(1 + value * 28 + 1e-3 - np.arange(32)) for value in (0.2, 0.7)])
        joint = np.array([[0.3, 0.1], [0.2, 0.4]]) @ spread

        def entropy(p: np.ndarray) -> float:
            return float(-np.sum(p[p > 0] * np.log(p[p > 0])))

        expected = (entropy(joint.sum(axis=0)) + entropy(joint.sum(axis=1))) / entropy(joint)
        found = mutual_informations(fixed, torch.ones_like(fixed), normalised=True)(moving)
        assert -float(found) == pytest.approx(expected, abs=1e-5)

    def test_what_is_independent_has_one(self) -> None:
        one, other = noise(2, 1, 1, 200, 200)
        assert float(mutual_informations(one, torch.ones_like(one), normalised=True)(other)) == pytest.approx(
            -1, abs=0.01
        )


class TestCorrelationRatio:
    def test_by_hand(self) -> None:
        """Of 1, 3 | 5, 7, 9: means 2 and 7 about 5; 2 * 9 + 3 * 4 between, of 16 + 4 + 0 + 4 + 16 in all."""
        fixed = torch.tensor([0.1, 0.1, 0.8, 0.8, 0.8]).reshape(1, 1, 1, 5)
        moving = torch.tensor([1.0, 3.0, 5.0, 7.0, 9.0]).reshape(1, 1, 1, 5)
        assert float(correlation_ratios(fixed, torch.ones_like(fixed))(moving)) == pytest.approx(-30 / 40)
        weight = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]).reshape(1, 1, 1, 5)
        # Means 2 and 6 about 4: 16 of 20.
        assert float(correlation_ratios(fixed, weight)(moving)) == pytest.approx(-16 / 20)

    def test_any_function_will_do_one_way(self) -> None:
        fixed = torch.linspace(0, 1, 32).repeat(32, 1)[None, None]
        moving = (fixed - 0.4).square()
        ones = torch.ones_like(fixed)
        assert float(correlation_ratios(fixed, ones)(moving)) == pytest.approx(-1, abs=1e-4)
        assert float(correlation_ratios(moving, ones)(fixed)) > -0.9


class TestEveryMeasure:
    def test_those_of_the_catalog(self) -> None:
        one = smooth(1)
        for name in SIMILARITIES:
            assert math.isfinite(float(unlike(name, one, torch.ones_like(one), 2.0)(one)))
        assert set(_PRIOR) == set(SIMILARITIES)

    @pytest.mark.parametrize("name", SIMILARITIES)
    def test_a_shifted_image_is_less_alike(self, name: str) -> None:
        """In the other contrast too, and the more the farther."""
        fixed = smooth(3)
        value = unlike(name, 1 - fixed, torch.ones_like(fixed), 2.0)
        near, far, other = (value(each) for each in (fixed.roll(1, 3), fixed.roll(4, 3), smooth(3, 9)))
        assert (value(fixed) < near).all()
        assert (near < far).all()
        assert (value(fixed) < other - 0.1).all()

    @pytest.mark.parametrize("name", SIMILARITIES)
    def test_pairs_are_compared_each_for_itself(self, name: str) -> None:
        fixed, moving = smooth(3), smooth(3, 1)
        weight = torch.ones_like(fixed)
        weight[1, ..., 20:] = 0
        together = unlike(name, fixed, weight, 2.0)(moving)
        alone = [unlike(name, fixed[k : k + 1], weight[k : k + 1], 2.0)(moving[k : k + 1]) for k in range(3)]
        assert torch.allclose(together, torch.cat(alone), atol=1e-5)

    @pytest.mark.parametrize("name", SIMILARITIES)
    def test_the_same_pair_pooled_is_one(self, name: str) -> None:
        fixed, moving = smooth(1).repeat(2, 1, 1, 1), smooth(1, 1).repeat(2, 1, 1, 1)
        weight = torch.ones_like(fixed)
        pooled = unlike(name, fixed, weight, 2.0, pooled=True)(moving)
        assert pooled.shape == (1,)
        assert float(pooled) == pytest.approx(float(unlike(name, fixed, weight, 2.0)(moving)[0]), abs=1e-5)

    @pytest.mark.parametrize("name", SIMILARITIES)
    def test_where_nothing_counts_nothing_is_alike(self, name: str) -> None:
        fixed, moving = smooth(2), smooth(2)
        weight = torch.ones_like(fixed)
        weight[1] = 0
        found = unlike(name, fixed, weight, 2.0)(moving)
        assert float(found[0]) < -0.5
        assert float(found[1]) == 0

    @pytest.mark.parametrize("name", SIMILARITIES)
    def test_its_gradient_is_that_of_its_values(self, name: str) -> None:
        fixed, moving = smooth(2).double(), (0.9 * smooth(2, 1) + 0.05).double().requires_grad_()
        value = unlike(name, fixed, torch.ones_like(fixed), 2.0, pooled=True)
        way = noise(2, 1, 32, 32, seed=3).double() - 0.5
        (slope,) = torch.autograd.grad(value(moving).sum(), moving)
        ahead, behind = (float(value((moving + step * way).detach())) for step in (1e-5, -1e-5))
        assert float((slope * way).sum()) == pytest.approx((ahead - behind) / 2e-5, rel=1e-3)
