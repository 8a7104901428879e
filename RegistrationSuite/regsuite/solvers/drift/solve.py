"""Coherent point drift from far to near: few points first, then all of them, then each with its neighbours alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from regsuite.progress import Part, Progress
from regsuite.registration import Curve
from regsuite.solvers.drift.correspondence import Shares, Target, shares
from regsuite.solvers.drift.covariance import Kernel, LowRank, low_rank, still
from regsuite.solvers.drift.model import Belief, Model, Pose, Similarity
from regsuite.spatial.surfaces import farthest_first

_COARSE, _FINER = 600, 3
"""About how many points a side the first stage has, and how many times as many each next one."""
_LEAST_SIGMA = 1e-4
"""Of the target's root mean square radius."""
_NEAR = 1.0
"""σ below which neighbours stand for all, in mean distances of source points to their nearest."""
_SETTLED, _LITTLE = 3, 3e-3
"""Iterations in a row by which σ changes little, and how little, of itself."""


@dataclass(frozen=True)
class Cloud:
    """Points (N, d) mm, with the number of each one's organ (N,) from 0."""

    points: Tensor
    organs: Tensor

    def part(self, rows: Tensor) -> Cloud:
        """Some of the points."""
        return Cloud(self.points[rows], self.organs[rows])

    def to(self, device: str | torch.device, dtype: torch.dtype) -> Cloud:
        """On another device."""
        return Cloud(self.points.to(device, dtype), self.organs.to(device))


@dataclass(frozen=True)
class Settings:
    """How clouds are brought together.

    outlier_rates: P(outlier | organ), (L,); outlier_volumes: mm³ (mm² in 2D) in which each organ's outliers lie evenly,
    (L,); kappa: of the Dirichlet prior of the points' weights; pose: what ρ may be; tolerance: of G's low rank, 0 for
    all of G; most: the largest rank; iterations: of a stage, at most.
    """

    outlier_rates: Sequence[float]
    outlier_volumes: Sequence[float]
    kappa: float = math.inf
    pose: Pose = "similarity"
    tolerance: float = 1e-3
    most: int = 600
    iterations: int = 150


@dataclass
class Drift:
    """Where the source has drifted.

    moved: T(y) = ρ(y + v(y)) of the source (M, d); shares: of the last iteration; curve: σ by iteration;
    bound: of the log evidence, in the end.
    """

    prior: LowRank
    belief: Belief
    shares: Shares
    curve: Curve
    bound: float
    settled: bool = True
    sigma: float = field(init=False)

    def __post_init__(self) -> None:
        self.sigma = math.sqrt(self.belief.sigma2)

    @property
    def moved(self) -> Tensor:
        """ŷ (M, d) mm."""
        return self.belief.rho(self.prior.points + self.belief.v)

    def displacement(self, x: Tensor, organs: Tensor) -> Tensor:
        """v (N, d) mm at points x (N, d) of organs (N,): where ρ(x + v) is."""
        return self.prior.anywhere(self.belief.w, x, organs)


def drift(
    source: Cloud, target: Cloud, kernel: Kernel, transitions: Tensor, settings: Settings, progress: Progress
) -> Drift:
    """Move the source onto the target; transitions: u(l' | l), (L, L), a row for each organ of the source.

    Bayesian coherent point drift (Hirose 2021) with the organs of MO-BCPD (WBIR 2022); see ``model``. The scale of ρ is
    found before anything drifts: together with a drift that can grow the source it would shrink, since a smaller
    source leaves less unknown.
    """
    curve = Curve(x_title="iteration", y_title="σ, mm")
    stages = _stages(source, target, settings.pose)
    whole = float(sum(len(stage.rows) * len(stage.columns) for stage in stages))
    done, found = 0.0, None
    for stage in stages:
        share = len(stage.rows) * len(stage.columns) / whole
        run = _Run(source.part(stage.rows), target.part(stage.columns), kernel, transitions, settings, curve)
        found = run.found(stage.drifts, found, Part(progress, done, done + share))
        done += share
    assert found is not None
    return found


@dataclass(frozen=True)
class _Stage:
    """Which points of the source and of the target take part, and whether the source drifts or is moved as a whole."""

    rows: Tensor
    columns: Tensor
    drifts: bool = True


@dataclass(frozen=True)
class _Run:
    """One stage."""

    source: Cloud
    target: Cloud
    kernel: Kernel
    transitions: Tensor
    settings: Settings
    curve: Curve

    def found(self, drifts: bool, before: Drift | None, progress: Progress) -> Drift:
        """Where the source drifts, from where it was before."""
        settings, points, organs = self.settings, self.source.points, self.source.organs
        if drifts:
            prior = low_rank(self.kernel, points, organs, settings.tolerance, settings.most)
            free: Pose = "none" if settings.pose == "none" else "rigid"
        else:
            prior, free = still(self.kernel, points, organs), settings.pose
        model = Model(prior, settings.kappa, free)
        progress.log(f"{len(points)} points to {len(self.target.points)}, displacements of rank {prior.rank}")
        goal, inliers = _goal(
            self.target, settings.outlier_rates if drifts else [0.0] * len(settings.outlier_rates), settings
        )
        belief = _start(model, self.target) if before is None else _carried(model, before)
        least = (_LEAST_SIGMA * _radius(self.target.points)) ** 2
        near = (_NEAR * _spacing(points) * _radius(self.target.points) / _radius(points)) ** 2
        calm, sums, bound = 0, None, 0.0
        for iteration in range(settings.iterations):
            sparse = points.device.type == "cpu" and belief.sigma2 < near  # a GPU has all pairs sooner
            sums = shares(goal, model.source(belief, inliers), self.transitions, belief.sigma2, sparse)
            last, belief = belief, model.updated(belief, sums)
            belief = replace(belief, sigma2=max(belief.sigma2, least))
            bound = model.bound(last, sums)
            self._tell(belief, (iteration + 1) / settings.iterations, progress)
            calm = calm + 1 if abs(belief.sigma2 / last.sigma2 - 1) < 2 * _LITTLE else 0
            if calm >= _SETTLED:
                break
        assert sums is not None
        return Drift(prior, belief, sums, self.curve, bound, calm >= _SETTLED)

    def _tell(self, belief: Belief, done: float, progress: Progress) -> None:
        sigma = math.sqrt(belief.sigma2)
        self.curve.add(len(self.curve.x) + 1, sigma=sigma)
        progress.curve("fit", self.curve.x[-1], sigma=sigma)
        progress.step(done, f"σ {sigma:.3g} mm, {len(self.source.points)} points")


def _goal(target: Cloud, outlier_rates: Sequence[float], settings: Settings) -> tuple[Target, float]:
    """The target with log P(outlier, l_n) p_out(x_n | l_n), and the share 1 - ω of inliers."""
    like = target.points
    rates = torch.as_tensor(outlier_rates, dtype=like.dtype, device=like.device)
    volumes = torch.as_tensor(settings.outlier_volumes, dtype=like.dtype, device=like.device)
    share = torch.bincount(target.organs, minlength=len(rates)).to(like.dtype) / len(like)
    outlier = (rates * share / volumes).log()[target.organs]
    return Target(like, target.organs, outlier), 1 - float((rates * share).sum())


def _start(model: Model, target: Cloud) -> Belief:
    """The source as it lies."""
    middles = (model.y.mean(dim=0) - target.points.mean(dim=0)).square().sum()
    squares = float(middles) + _radius(model.y) ** 2 + _radius(target.points) ** 2
    return model.start(Similarity.identity(model.y), squares / model.dim)


def _carried(model: Model, before: Drift) -> Belief:
    """What was found with fewer points, or without drift, for all of the model's."""
    prior = model.prior
    start = model.start(before.belief.rho, before.belief.sigma2)
    v = before.displacement(prior.points, prior.organs)
    return replace(start, v=v, variances=torch.zeros_like(start.variances))


def _stages(source: Cloud, target: Cloud, pose: Pose) -> list[_Stage]:
    """As a whole, then drifting, with few points first."""
    most = max(len(source.points), len(target.points))
    counts = [most]
    while counts[-1] > _FINER * _COARSE:
        counts.append(counts[-1] // _FINER)
    few = min(counts[-1], _COARSE)
    order, other = (
        farthest_first(each.points, min(len(each.points), max([few, *counts[1:]]))) for each in (source, target)
    )

    def rows(cloud: Cloud, order: Tensor, count: int) -> Tensor:
        every = torch.arange(len(cloud.points), device=order.device)
        return every if count >= len(every) else order[:count]

    stages = [_Stage(rows(source, order, count), rows(target, other, count)) for count in counts[::-1]]
    whole = _Stage(rows(source, order, few), rows(target, other, few), drifts=False)
    return stages if pose == "none" else [whole, *stages]


def _radius(points: Tensor) -> float:
    return float((points - points.mean(dim=0)).square().sum(dim=1).mean().sqrt())


def _spacing(points: Tensor) -> float:
    """Mean distance of points to their nearest neighbours."""
    from scipy.spatial import cKDTree

    array = points.cpu().numpy()
    return float(cKDTree(array).query(array, k=min(2, len(array)))[0][:, -1].mean())
