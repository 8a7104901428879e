"""Coherent point drift: every update against the bound written out, against a textbook form, and laws."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from regsuite.progress import Progress
from regsuite.solvers.drift.correspondence import Target, shares
from regsuite.solvers.drift.covariance import Kernel, Whole, low_rank
from regsuite.solvers.drift.model import Belief, Model, Similarity
from regsuite.solvers.drift.solve import Cloud, Drift, Settings, drift
from regsuite.spatial.surfaces import farthest_first
from scipy.spatial.transform import Rotation
from scipy.special import digamma, gammaln
from torch import Tensor

ORGANS = 3
COHERENT, INDEPENDENT = torch.ones(ORGANS, ORGANS).double(), torch.eye(ORGANS).double()
ERRORS = torch.tensor([[0.9, 0.1, 0.0], [0.05, 0.9, 0.05], [0.0, 0.2, 0.8]]).double()
CENTRES = torch.tensor([[0.0, 0, 0], [60, 10, 0], [10, 55, 20]]).double()


def _random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _balls(count: int, seed: int = 0) -> Cloud:
    """Points on three ellipsoids with axes of 22, 14 and 9 mm and the like, as many on each."""
    parts = []
    for centre, axes in zip(CENTRES, ((22.0, 14, 9), (8.0, 18, 13), (10.0, 7, 15)), strict=True):
        x = torch.randn(count, 3, generator=_random(seed), dtype=torch.float64)
        parts.append(centre + torch.tensor(axes).double() * x / x.norm(dim=1, keepdim=True))
    return Cloud(torch.cat(parts), torch.arange(ORGANS).repeat_interleave(count))


def _moved(cloud: Cloud) -> tuple[Cloud, Tensor]:
    """Each ball on its own way and a little bent, and where its points are then."""
    ways = torch.tensor([[8.0, 0, -3], [-6, 5, 0], [0, -7, 6]]).double()
    x = cloud.points + ways[cloud.organs]
    x = x + 2 * torch.sin(cloud.points[:, [1, 2, 0]] / 12)
    return Cloud(x, cloud.organs), x


def _kernel(coherence: Tensor = INDEPENDENT, deviation: float = 10.0, width: float = 20.0) -> Kernel:
    return Kernel(torch.full((ORGANS,), deviation).double(), torch.full((ORGANS,), width).double(), coherence)


def _settings(**options: Any) -> Settings:
    return Settings(**{"outlier_rates": [0.0] * ORGANS, "outlier_volumes": [1.0] * ORGANS, **options})


def _run(source: Cloud, target: Cloud, kernel: Kernel | None = None, u: Tensor | None = None, **options: Any) -> Drift:
    transitions = torch.eye(ORGANS).double() if u is None else u
    return drift(source, target, kernel or _kernel(), transitions, _settings(**options), Progress())


def _error(found: Drift, truth: Tensor) -> float:
    return float((found.moved - truth).norm(dim=1).mean())


class Written:
    """The model of the head of ``model``, in numpy and in full, as far as the bound needs it."""

    def __init__(
        self, source: Cloud, target: Cloud, kernel: Kernel, u: Tensor, log_o: Tensor, inliers: float, kappa: float
    ):
        self.y, self.x = source.points.numpy(), target.points.numpy()
        self.log_u = np.log(u.numpy().T[target.organs.numpy()][:, source.organs.numpy()].T.clip(1e-300))
        self.g = kernel.covariance(source.points, source.organs, source.points, source.organs).numpy()
        self.log_o, self.inliers, self.kappa = log_o.numpy(), inliers, kappa

    def joint(self, belief: Belief) -> np.ndarray:
        """log a_mn (M, N)."""
        rho, dim = belief.rho, self.y.shape[1]
        moved = rho.scale * (self.y + belief.v.numpy()) @ rho.rotation.numpy().T + rho.translation.numpy()
        square = ((moved[:, None] - self.x[None]) ** 2).sum(axis=-1)
        gauss = -0.5 * dim * np.log(2 * np.pi * belief.sigma2) - 0.5 * square / belief.sigma2
        spread = -0.5 * dim * rho.scale**2 * belief.variances.numpy()[:, None] / belief.sigma2
        return np.log(self.inliers) + belief.log_alpha.numpy()[:, None] + self.log_u + gauss + spread

    def shares(self, belief: Belief) -> tuple[np.ndarray, np.ndarray]:
        """p (M, N) and the shares of outliers (N,)."""
        logs = np.concatenate([self.joint(belief), self.log_o[None]])
        p = np.exp(logs - logs.max(axis=0))
        p /= p.sum(axis=0)
        return p[:-1], p[-1]

    def bound(
        self, belief: Belief, p: np.ndarray, outlier: np.ndarray, covariance: np.ndarray, nu: np.ndarray
    ) -> float:
        """E_q[log p(x, c, e, v, α)] - E_q[log q], term by term; covariance of v, and ν in q(α)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            data = np.where(p > 0, p * (self.joint(belief) - np.log(p)), 0).sum()
            data += np.where(outlier > 0, outlier * (self.log_o - np.log(outlier)), 0).sum()
        inverse, (count, dim) = np.linalg.inv(self.g), self.y.shape
        v = belief.v.numpy()
        lost = 0.5 * ((v * (inverse @ v)).sum() + dim * (np.trace(inverse @ covariance) - count))
        lost += 0.5 * dim * (np.linalg.slogdet(self.g)[1] - np.linalg.slogdet(covariance)[1])
        a, b = self.kappa + nu, np.full(count, self.kappa)
        lost += gammaln(a.sum()) - gammaln(a).sum() - gammaln(b.sum()) + gammaln(b).sum()
        lost += ((a - b) * (digamma(a) - digamma(a.sum()))).sum()
        return float(data - lost)


class TestBound:
    """The evidence lower bound is written out in numpy; no update lowers it, and ours is the same number."""

    def _setup(self) -> tuple[Model, Written, Target, Tensor, float]:
        source, (target, _) = _balls(12), _moved(_balls(14, seed=1))
        kernel = Kernel(
            torch.tensor([9.0, 6, 12]).double(), torch.tensor([14.0, 25, 18]).double(), 0.6 * INDEPENDENT + 0.4
        )
        outlier = torch.tensor([0.02, 0.1, 0.05]).double().log()[target.organs] - math.log(3e4)
        model = Model(low_rank(kernel, source.points, source.organs, 0.0, 1000), kappa=2.5)
        written = Written(source, target, kernel, ERRORS, outlier, 0.93, 2.5)
        return model, written, Target(target.points, target.organs, outlier), ERRORS, 0.93

    def test_no_update_lowers_it(self) -> None:
        model, written, target, u, inliers = self._setup()
        belief = model.start(Similarity.identity(model.y), 400.0)
        belief = model.weighed(belief, _unseen(shares(target, model.source(belief, inliers), u, belief.sigma2)))
        covariance, nu = written.g, np.zeros(model.count)
        values = []
        for _ in range(25):
            p, outlier = written.shares(belief)
            values.append(written.bound(belief, p, outlier, covariance, nu))
            sums = shares(target, model.source(belief, inliers), u, belief.sigma2)
            assert model.bound(belief, sums) == pytest.approx(values[-1], rel=1e-9)
            before, c = model.moved(belief), belief.rho.scale**2 / belief.sigma2
            belief = model.displaced(belief, sums)
            covariance = np.linalg.inv(np.linalg.inv(written.g) + c * np.diag(p.sum(axis=1)))
            values.append(written.bound(belief, p, outlier, covariance, nu))
            belief = model.weighed(belief, sums)
            nu = p.sum(axis=1)
            values.append(written.bound(belief, p, outlier, covariance, nu))
            belief = model.placed(belief, sums, before)
            values.append(written.bound(belief, p, outlier, covariance, nu))
        steps = np.diff(values)
        assert steps.min() > -1e-7
        assert values[-1] - values[0] > 20

    @pytest.mark.parametrize("part", ["v", "sigma2", "scale", "rotation", "translation"])
    def test_an_update_is_the_best_of_its_part(self, part: str) -> None:
        """Whatever is changed a little after its update, the bound falls."""
        model, written, target, u, inliers = self._setup()
        belief = model.start(Similarity.identity(model.y), 400.0)
        for _ in range(4):
            sums = shares(target, model.source(belief, inliers), u, belief.sigma2)
            belief = model.updated(belief, sums)
        p, outlier = written.shares(belief)
        sums = shares(target, model.source(belief, inliers), u, belief.sigma2)
        before, c = model.moved(belief), belief.rho.scale**2 / belief.sigma2
        after = model.displaced(belief, sums)
        covariance = np.linalg.inv(np.linalg.inv(written.g) + c * np.diag(p.sum(axis=1)))
        if part != "v":
            after = model.placed(after, sums, before)
        nu = p.sum(axis=1)
        best = written.bound(after, p, outlier, covariance, nu)
        for size in (-1.0, 1.0):
            other = _changed(after, part, size)
            assert written.bound(other, p, outlier, covariance, nu) < best, size


def _unseen(sums: Any) -> Any:
    """As if no target point had been seen."""
    return replace(sums, nu=torch.zeros_like(sums.nu))


def _changed(belief: Belief, part: str, size: float) -> Belief:
    rho = belief.rho
    if part == "v":
        return replace(belief, v=belief.v + size * 1e-2 * torch.randn(belief.v.shape, generator=_random(3)).double())
    if part == "sigma2":
        return replace(belief, sigma2=belief.sigma2 * (1 + 0.02 * size))
    if part == "scale":
        return replace(belief, rho=replace(rho, scale=rho.scale * (1 + 0.005 * size)))
    if part == "translation":
        return replace(belief, rho=replace(rho, translation=rho.translation + size * 0.1))
    turn = torch.from_numpy(Rotation.from_rotvec([0.004 * size, 0, 0.003 * size]).as_matrix())
    return replace(belief, rho=replace(rho, rotation=turn @ rho.rotation))


def test_one_organ_is_textbook_bcpd() -> None:
    """Hirose's Algorithm, written out in full with every matrix, from the same start."""
    source = Cloud(_balls(15).points, torch.zeros(45, dtype=torch.long))
    target = Cloud(_moved(_balls(15, seed=2))[1], torch.zeros(45, dtype=torch.long))
    kernel = Kernel(torch.tensor([10.0]).double(), torch.tensor([20.0]).double(), torch.ones(1, 1).double())
    model = Model(low_rank(kernel, source.points, source.organs, 0.0, 1000))
    goal = Target(target.points, target.organs, torch.full((45,), math.log(0.1 / 1e5)).double())
    belief = model.start(Similarity.identity(model.y), 300.0)
    for _ in range(10):
        sums = shares(goal, model.source(belief, 0.9), torch.ones(1, 1).double(), belief.sigma2)
        belief = model.updated(belief, sums)
    expected, sigma2 = _textbook(source.points.numpy(), target.points.numpy(), 0.1, 1e5, 300.0, 10)
    assert np.abs(model.moved(belief).numpy() - expected).max() < 1e-6
    assert belief.sigma2 == pytest.approx(sigma2, rel=1e-7)


def _textbook(
    y: np.ndarray, x: np.ndarray, omega: float, volume: float, sigma2: float, count: int
) -> tuple[np.ndarray, float]:
    m, d = y.shape
    g = 100 * np.exp(-((y[:, None] - y[None]) ** 2).sum(-1) / (2 * 20.0**2))
    s, r, t, v, var = 1.0, np.eye(d), np.zeros(d), np.zeros_like(y), np.diag(g)
    for _ in range(count):
        moved = s * (y + v) @ r.T + t
        square = ((x[None] - moved[:, None]) ** 2).sum(-1)
        phi = (2 * np.pi * sigma2) ** (-d / 2) * np.exp(-square / (2 * sigma2)) / m * (1 - omega)
        phi *= np.exp(-(s**2) * d * var / (2 * sigma2))[:, None]
        p = phi / (omega / volume + phi.sum(axis=0))
        nu, mass = p.sum(axis=1), p.sum()
        hat = p @ x / nu[:, None]
        sigma = np.linalg.inv(np.linalg.inv(g) + s**2 / sigma2 * np.diag(nu))
        v = s**2 / sigma2 * sigma @ (nu[:, None] * ((hat - t) @ r / s - y))
        u, var = y + v, np.diag(sigma)
        xm, um, vm = nu @ hat / mass, nu @ u / mass, nu @ var / mass
        sxu = ((hat - xm) * nu[:, None]).T @ (u - um) / mass
        suu = ((u - um) * nu[:, None]).T @ (u - um) / mass + vm * np.eye(d)
        a, _, b = np.linalg.svd(sxu)
        r = a @ np.diag([1.0] * (d - 1) + [np.linalg.det(a @ b)]) @ b
        s = np.trace(r.T @ sxu) / np.trace(suu)
        t = xm - s * r @ um
        moved = s * u @ r.T + t
        sigma2 = float((p * ((x[None] - moved[:, None]) ** 2).sum(-1)).sum() / (d * mass) + s**2 * vm)
    return moved, sigma2


class TestCovariance:
    def test_is_the_papers_where_ranges_agree(self) -> None:
        cloud = _balls(5)
        kernel = Kernel(torch.tensor([9.0, 6, 12]).double(), torch.full((3,), 30.0).double(), 0.5 * INDEPENDENT + 0.5)
        g = kernel.covariance(cloud.points, cloud.organs, cloud.points, cloud.organs)
        i, j = 2, 11  # organs 0 and 2
        apart = float((cloud.points[i] - cloud.points[j]).square().sum())
        assert float(g[i, j]) == pytest.approx(9 * 12 * 0.5 * math.exp(-apart / (2 * 30 * 30)))

    def test_is_positive_definite_where_they_do_not(self) -> None:
        """The paper's form is not: organs of 5 and 50 mm that move together have a negative eigenvalue there."""
        x = torch.linspace(0, 60, 40).double()[:, None] * torch.tensor([[1.0, 0, 0]]).double()
        cloud = Cloud(torch.cat([x, x]), torch.tensor([0] * 40 + [1] * 40))
        kernel = Kernel(torch.ones(2).double(), torch.tensor([5.0, 50.0]).double(), torch.ones(2, 2).double())
        ours = kernel.covariance(cloud.points, cloud.organs, cloud.points, cloud.organs)
        ranges = kernel.ranges[cloud.organs]
        theirs = torch.exp(-torch.cdist(cloud.points, cloud.points).square() / (2 * ranges[:, None] * ranges))
        assert float(torch.linalg.eigvalsh(ours).min()) > -1e-8
        assert float(torch.linalg.eigvalsh(theirs).min()) < -0.5

    def test_low_rank_leaves_out_what_it_may(self) -> None:
        cloud = _balls(60)
        g = _kernel().covariance(cloud.points, cloud.organs, cloud.points, cloud.organs)
        for tolerance in (0.1, 1e-2, 1e-4):
            found = low_rank(_kernel(), cloud.points, cloud.organs, tolerance, 1000)
            left = g - found.factor @ found.factor.T
            assert float(left.diagonal().max()) <= tolerance * 100 + 1e-9
            assert float(torch.linalg.eigvalsh(left).min()) > -1e-8
        assert low_rank(_kernel(), cloud.points, cloud.organs, 0.1, 7).rank == 7

    def test_elsewhere_as_at_the_points(self) -> None:
        """Eq. 5 with all of G, and through the pivots."""
        cloud = _balls(20)
        found = low_rank(_kernel(), cloud.points, cloud.organs, 1e-9, 1000)
        w = torch.randn(found.rank, 3, generator=_random(), dtype=torch.float64)
        v = found.factor @ w
        assert torch.allclose(found.anywhere(w, cloud.points, cloud.organs), v, atol=1e-4)
        x = cloud.points[::7] + 3.0
        g = found.kernel.covariance(cloud.points, cloud.organs, cloud.points, cloud.organs)
        between = found.kernel.covariance(x, cloud.organs[::7], cloud.points, cloud.organs)
        expected = between @ torch.linalg.solve(g + 1e-7 * torch.eye(len(g)), v)
        assert torch.allclose(found.anywhere(w, x, cloud.organs[::7]), expected, atol=0.05)

    def test_points_in_one_place_are_one(self) -> None:
        cloud = _balls(10)
        twice = Cloud(torch.cat([cloud.points, cloud.points]), torch.cat([cloud.organs, cloud.organs]))
        found = low_rank(_kernel(), twice.points, twice.organs, 0.0, 1000)
        assert found.rank <= 30
        assert bool(torch.isfinite(found.factor).all())


class TestShares:
    def test_neighbours_stand_for_all_where_sigma_is_small(self) -> None:
        source, (target, _) = _balls(150), _moved(_balls(150, seed=1))
        model = Model(low_rank(_kernel(), source.points, source.organs, 1e-2, 1000))
        belief = model.start(Similarity.identity(model.y), 2.0)
        belief = replace(belief, v=target.points[:1] * 0 + 1.0, variances=0 * belief.variances)
        goal = Target(target.points, target.organs, torch.full((450,), -12.0).double())
        both = [shares(goal, model.source(belief, 0.9), ERRORS, 2.0, nearest) for nearest in (False, True)]
        assert torch.allclose(both[0].nu, both[1].nu, atol=1e-3)
        assert torch.allclose(both[0].weighted, both[1].weighted, atol=0.05)
        assert both[1].squares == pytest.approx(both[0].squares, rel=1e-3)
        assert both[1].evidence == pytest.approx(both[0].evidence, rel=1e-3)

    def test_a_point_nothing_can_have_made_counts_for_nothing(self) -> None:
        source = _balls(10)
        model = Model(low_rank(_kernel(), source.points, source.organs, 1e-2, 1000))
        belief = model.start(Similarity.identity(model.y), 4.0)
        x = torch.cat([source.points[:5], source.points[:1] + 1e4])
        for nearest in (False, True):
            u = torch.eye(ORGANS).double()
            u[:, 1] = 0
            sums = shares(Target(x, torch.tensor([0, 0, 0, 0, 1, 0]), torch.full((6,), -math.inf).double()),
                          model.source(belief, 1.0), u, 4.0, nearest)  # fmt: skip
            assert float(sums.inlier[4]) == 0
            assert bool(torch.isfinite(sums.weighted).all())
            assert math.isfinite(sums.evidence)


class TestLaws:
    def test_order_of_the_points_does_not_matter(self) -> None:
        source, (target, _) = _balls(60), _moved(_balls(60, seed=1))
        order = torch.randperm(180, generator=_random(5))
        plain = _run(source, target)
        mixed = _run(source.part(order), target.part(order.flip(0)))
        assert float((mixed.moved - plain.moved[order]).abs().max()) < 1e-3

    def test_a_turn_of_both_clouds_turns_the_result(self) -> None:
        source, (target, _) = _balls(50), _moved(_balls(50, seed=1))
        turn = torch.from_numpy(Rotation.from_rotvec([0.5, -1.2, 2.0]).as_matrix())
        shift = torch.tensor([300.0, -100, 50]).double()
        plain = _run(source, target)
        turned = _run(*(Cloud(each.points @ turn.T + shift, each.organs) for each in (source, target)))
        assert float((turned.moved - (plain.moved @ turn.T + shift)).abs().max()) < 1e-3

    def test_a_scale_of_everything_scales_the_result(self) -> None:
        """Metres instead of millimetres."""
        source, (target, _) = _balls(50), _moved(_balls(50, seed=1))
        plain = _run(source, target)
        small = Kernel(0.001 * _kernel().deviations, 0.001 * _kernel().ranges, INDEPENDENT)
        scaled = _run(*(Cloud(0.001 * each.points, each.organs) for each in (source, target)), small)
        assert float((1000 * scaled.moved - plain.moved).abs().max()) < 1e-3

    def test_a_turned_source_is_turned_back(self) -> None:
        source, (target, truth) = _balls(60), _moved(_balls(60))
        turn = torch.from_numpy(Rotation.from_rotvec([0.3, -0.4, 0.2]).as_matrix())
        turned = Cloud(1.2 * source.points @ turn.T - 40, source.organs)
        found = _run(turned, target, _kernel(deviation=10.0 / 1.2, width=20.0 / 1.2))
        assert _error(found, truth) < 1.5 * _error(_run(source, target), truth) + 0.1

    def test_coherence_interpolates(self) -> None:
        """Organs that move on their own: the less they are taken to move together the better."""
        source, (target, truth) = _balls(80), _moved(_balls(80))
        errors = [
            _error(_run(source, target, _kernel((1 - s) * INDEPENDENT + s * COHERENT, width=60.0)), truth)
            for s in (1.0, 0.5, 0.0)
        ]
        assert errors[0] > errors[1] > errors[2]

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_the_same_points_come_together(self, dtype: torch.dtype) -> None:
        """σ goes to nothing, and nothing becomes infinite."""
        source = _balls(60)
        x = source.points + torch.sin(source.points[:, [1, 2, 0]] / 20)
        source, target = source.to("cpu", dtype), Cloud(x, source.organs).to("cpu", dtype)
        kernel = Kernel(*(part.to(dtype) for part in (_kernel().deviations, _kernel().ranges, INDEPENDENT)))
        found = drift(source, target, kernel, torch.eye(ORGANS, dtype=dtype), _settings(iterations=400), Progress())
        assert float((found.moved.double() - x).norm(dim=1).mean()) < 0.1
        assert found.sigma < 0.1

    def test_a_strong_prior_makes_all_points_weigh_the_same(self) -> None:
        """As κ grows, BCPD's mixing goes over into equal weights; a weak prior does not."""
        source, (target, _) = _balls(40), _moved(_balls(60, seed=1))
        equal, strong, weak = (_run(source, target, kappa=kappa) for kappa in (math.inf, 1e6, 0.1))
        assert float((strong.moved - equal.moved).abs().max()) < 1e-2
        assert float((weak.moved - equal.moved).abs().max()) > 0.1

    def test_organs_that_go_as_a_whole_cost_no_displacement(self) -> None:
        """Affine motions, each organ its own: without the term a small deviation cannot follow them."""
        source = _balls(60)
        x = source.points.clone()
        for organ, shift in enumerate(([25.0, 0, 0], [0, -20, 10], [-15, 10, 0])):
            own, middle = source.organs == organ, CENTRES[organ]
            turn = torch.from_numpy(Rotation.from_rotvec([0.1 * organ, -0.15, 0.1]).as_matrix())
            x[own] = 1.1 * (source.points[own] - middle) @ turn.T + middle + torch.tensor(shift).double()
        kernel = _kernel(deviation=1.0, width=40.0)
        whole = Whole(torch.full((ORGANS,), 20.0).double(), torch.full((ORGANS,), 0.2).double(), CENTRES)
        errors = [
            _error(_run(source, Cloud(x, source.organs), each), x) for each in (replace(kernel, whole=whole), kernel)
        ]
        assert errors[0] < 0.3
        assert errors[1] > 3 * errors[0] + 1


class TestErrorsInTheLabels:
    def test_outliers_are_left_out(self) -> None:
        """A tenth of one organ's points lie far from it."""
        source, (target, truth) = _balls(100), _moved(_balls(100))
        x = target.points.clone()
        x[100:110] += torch.tensor([0.0, 0, 45]).double()
        target = Cloud(x, target.organs)
        left_out = _run(source, target, outlier_rates=[0.0, 0.1, 0.0], outlier_volumes=[6e4] * 3)
        taken_in = _run(source, target)
        rows = torch.arange(110, 200)
        error = [float((found.moved - truth)[rows].norm(dim=1).mean()) for found in (left_out, taken_in)]
        assert error[0] < 1.0
        assert error[0] < 0.6 * error[1]
        assert float(left_out.shares.inlier[100:110].max()) < 0.05

    def test_transitions_bear_with_swapped_labels(self) -> None:
        source, (target, truth) = _balls(100), _moved(_balls(100))
        organs = target.organs.clone()
        organs[:10], organs[100:110] = 1, 0
        u = torch.tensor([[0.9, 0.1, 0], [0.1, 0.9, 0], [0, 0, 1]]).double()
        clean = _error(_run(source, target), truth)
        with_u = _error(_run(source, Cloud(target.points, organs), u=u), truth)
        without = _error(_run(source, Cloud(target.points, organs)), truth)
        assert with_u < 1.1 * clean + 0.02
        assert without > 2 * with_u


def test_farthest_first_by_hand() -> None:
    x = torch.tensor([[0.0, 0], [10, 0], [4, 0], [5, 0]])
    assert farthest_first(x, 3).tolist() == [1, 0, 3]


def test_works_in_2d() -> None:
    angle = torch.linspace(0, 6.2, 80).double()
    x = torch.stack([30 * angle.cos(), 20 * angle.sin()], dim=1)
    y = x + torch.stack([3 * torch.sin(x[:, 1] / 10), 2 * torch.cos(x[:, 0] / 15)], dim=1)
    organs = torch.zeros(80, dtype=torch.long)
    one = torch.ones(1).double()
    kernel = Kernel(5 * one, 15 * one, one[:, None])
    found = drift(Cloud(x, organs), Cloud(y, organs), kernel, one[:, None], Settings([0.0], [1.0]), Progress())
    assert float(torch.cdist(found.moved, y).amin(dim=1).mean()) < 0.3
