r"""Which source point each target point comes from, as shares (the expectation step).

With ŷ the source points as they are moved, σ_m² what is not known of each, α_m its weight, u the label transitions,
and s, σ of the model (see ``model``), a target point x_n of organ l_n comes from source point m with probability

    p_mn = a_mn / (o_n + Σ_m a_mn),    a_mn = (1 - ω) α_m u(l_n | l_m) N(x_n; ŷ_m, σ² 1) exp(-d s² σ_m² / 2σ²)

and from none with o_n / (o_n + Σ_m a_mn), o_n = P(outlier, l_n) p_out(x_n | l_n). Only sums over p are kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

_CHUNK = 1 << 22
"""Most pairs at once."""
_NEAREST = 24
_REACH = 6.0
"""How many nearest source points of an organ, and within how many σ, stand for all."""

_LEAST = -60.0
"""Of log p: what is smaller counts for nothing, and would be a denormal number, with which everything is slow."""


@dataclass(frozen=True)
class Target:
    """What is to be met: points x (N, d) mm, organs (N,), and log o_n (N,), -inf where a point cannot be an outlier."""

    points: Tensor
    organs: Tensor
    outlier: Tensor


@dataclass(frozen=True)
class Source:
    """What may have made it: ŷ (M, d) mm, organs (M,), and log a_mn but for u and the distance, (M,)."""

    points: Tensor
    organs: Tensor
    log_weight: Tensor


@dataclass(frozen=True)
class Shares:
    """Sums over p: ν_m (M,), Σ_n p_mn x_n (M, d), Σ_mn p_mn |x_n - ŷ_m|², ν'_n (N,), and Σ_n log(o_n + Σ_m a_mn)."""

    nu: Tensor
    weighted: Tensor
    squares: float
    inlier: Tensor
    evidence: float


def shares(target: Target, source: Source, transitions: Tensor, sigma2: float, nearest: bool = False) -> Shares:
    """The sums; transitions: u(l' | l), (L, L), row l of source organs; nearest: only over near source points."""
    return (_sparse if nearest else _dense)(target, source, transitions.log(), sigma2)


def _dense(target: Target, source: Source, log_u: Tensor, sigma2: float) -> Shares:
    nu = torch.zeros_like(source.log_weight)
    weighted = torch.zeros_like(source.points)
    inlier, squares, evidence = [], 0.0, 0.0
    rows = max(1, _CHUNK // len(source.points))
    parts = zip(target.points.split(rows), target.organs.split(rows), target.outlier.split(rows), strict=True)
    for x, organs, outlier in parts:
        square = torch.cdist(x, source.points, compute_mode="donot_use_mm_for_euclid_dist").square_()
        logs = torch.add(source.log_weight, square, alpha=-0.5 / sigma2).add_(log_u.T[organs][:, source.organs])
        p, total = _normalised(logs, outlier)
        nu += p.sum(dim=0)
        weighted += p.T @ x
        inlier.append(p.sum(dim=1))
        squares += float(torch.dot(p.flatten(), square.flatten()))
        evidence += float(total.double().sum())
    return Shares(nu, weighted, squares, torch.cat(inlier), evidence)


def _sparse(target: Target, source: Source, log_u: Tensor, sigma2: float) -> Shares:
    near, columns = _near(target, source, log_u, _REACH * math.sqrt(sigma2))
    x = target.points
    square = (x[:, None] - source.points[columns]).square().sum(dim=-1)
    logs = -0.5 / sigma2 * square + source.log_weight[columns]
    logs = logs + log_u.T[target.organs[:, None], source.organs[columns]]
    p, total = _normalised(torch.where(near, logs, -math.inf), target.outlier)
    flat = columns.reshape(-1)
    nu = torch.zeros_like(source.log_weight).index_add_(0, flat, p.reshape(-1))
    moments = (p[..., None] * x[:, None]).reshape(-1, x.shape[1])
    weighted = torch.zeros_like(source.points).index_add_(0, flat, moments)
    squares = float(torch.dot(p.flatten(), square.flatten()))
    return Shares(nu, weighted, squares, p.sum(dim=1), float(total.double().sum()))


def _near(target: Target, source: Source, log_u: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """For every target point source points (N, k) that may have made it, and which of them are within reach."""
    found: list[np.ndarray] = []
    x = target.points.cpu().numpy()
    possible = torch.isfinite(log_u).cpu().numpy()
    for organ in range(len(log_u)):
        own = torch.nonzero(source.organs == organ)[:, 0].cpu().numpy()
        asking = possible[organ][target.organs.cpu().numpy()]
        if not len(own) or not asking.any():
            continue
        tree = cKDTree(source.points[torch.from_numpy(own).to(source.points.device)].cpu().numpy())
        k = min(_NEAREST, len(own))
        index = tree.query(x[asking], k=range(1, k + 1), distance_upper_bound=reach)[1]
        every = np.full((len(x), k), -1)
        every[asking] = np.where(index < len(own), own[np.minimum(index, len(own) - 1)], -1)
        found.append(every)
    columns = torch.from_numpy(np.concatenate(found, axis=1)).to(source.points.device)
    return columns >= 0, columns.clamp(min=0)


def _normalised(logs: Tensor, outlier: Tensor) -> tuple[Tensor, Tensor]:
    """p (N, M) and log(o_n + Σ_m a_mn) (N,); a point with nothing near that cannot be an outlier counts for nothing."""
    highest = torch.maximum(logs.amax(dim=1), outlier)
    highest = torch.where(torch.isfinite(highest), highest, 0.0)
    logs = logs.sub_(highest[:, None])
    p = logs.masked_fill_(logs < _LEAST, -math.inf).exp_()
    total = p.sum(dim=1) + (outlier - highest).exp()
    known = total > 0
    p /= torch.where(known, total, 1.0)[:, None]
    return p, torch.where(known, total, 1.0).log() + torch.where(known, highest, 0.0)
