r"""Multi-organ Bayesian coherent point drift: the model, and one update of each of its parts.

Hirose, A Bayesian Formulation of Coherent Point Drift (PAMI 2021), with the organs of MO-BCPD (WBIR 2022, Eqs. 1 to 4):

    ŷ_m = ρ(y_m + v_m),  ρ(x) = s R x + t            v = L w, w ~ N(0, 1): see ``covariance``
    x_n ~ N(ŷ_m, σ² 1) for m ~ α, with organ l_n ~ u(· | l_m); or an outlier, with
          o_n = P(outlier, l_n) p_out(x_n | l_n)
    α ~ Dirichlet(κ, ..., κ)

The posterior is sought among q(v) q(α) q(c, e) and a single (ρ, σ²), by raising the evidence lower bound in one factor
at a time. With p_mn and its sums ν_m = Σ_n p_mn, N̂ = Σ_m ν_m from ``correspondence``, c = s²/σ², and Δ(ν) diagonal:

    q(w) = N(ŵ, A⁻¹),  A = 1 + c Lᵀ Δ(ν) L,  ŵ = A⁻¹ c Lᵀ (Σ_n p_mn ρ⁻¹(x_n) - ν_m y_m)_m,  σ_m² = (L A⁻¹ Lᵀ)_mm
    q(α) = Dirichlet(κ + ν),  ⟨log α_m⟩ = ψ(κ + ν_m) - ψ(κM + N̂)
    û = y + L ŵ,  R = Φ diag(1, .., |ΦΨ|) Ψᵀ of S_xu = Φ D Ψᵀ,  s = tr(Rᵀ S_xu) / (tr S_uu + d σ̄²),  t = x̄ - s R ū
    σ² = (Σ_mn p_mn |x_n - ŷ_m|² + d s² Σ_m ν_m σ_m²) / (d N̂)

where means and covariances S are those of û_m and x_n under p / N̂, and σ̄² = Σ ν_m σ_m² / N̂. The bound, after the
shares are found anew, is Σ_n log(o_n + Σ_m a_mn) less the divergences of q(w) and q(α) from their priors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from regsuite.solvers.drift.correspondence import Shares, Source
from regsuite.solvers.drift.covariance import LowRank

Pose = Literal["similarity", "rigid", "none"]


@dataclass(frozen=True)
class Similarity:
    """ρ(x) = s R x + t: scale, rotation (d, d), translation (d,) mm."""

    scale: float
    rotation: Tensor
    translation: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return self.scale * x @ self.rotation.T + self.translation

    @classmethod
    def identity(cls, like: Tensor) -> Similarity:
        """For points (N, d)."""
        dim = like.shape[1]
        return cls(1.0, torch.eye(dim, dtype=like.dtype, device=like.device), like.new_zeros(dim))


@dataclass(frozen=True)
class Belief:
    """What is known of the source: ŵ (K, d), v̂ (M, d), σ_m² (M,), ⟨log α⟩ (M,), ρ, σ² and the two divergences."""

    w: Tensor
    v: Tensor
    variances: Tensor
    log_alpha: Tensor
    rho: Similarity
    sigma2: float
    divergence_w: float = 0.0
    divergence_alpha: float = 0.0


class Model:
    """The source as organs drift: y (M, d) mm with G in low-rank form, and the freedom it has.

    kappa: of the Dirichlet prior, infinite for equal weights; free: what of ρ is sought, the rest stays as it is.
    """

    def __init__(self, prior: LowRank, kappa: float = math.inf, free: Pose = "similarity") -> None:
        self.prior, self.y, self.kappa, self.free = prior, prior.points, kappa, free
        self.count, self.dim = self.y.shape

    def start(self, rho: Similarity, sigma2: float) -> Belief:
        """Nothing known but where the source is."""
        v = torch.zeros_like(self.y)
        w = self.y.new_zeros(self.prior.rank, self.dim)
        alpha = self.y.new_full((self.count,), -math.log(self.count))
        return Belief(w, v, self.prior.factor.square().sum(dim=1), alpha, rho, sigma2)

    def moved(self, belief: Belief) -> Tensor:
        """ŷ (M, d)."""
        return belief.rho(self.y + belief.v)

    def source(self, belief: Belief, inliers: float) -> Source:
        """What the shares are found from; inliers: the probability 1 - ω of not being an outlier."""
        spread = -0.5 * self.dim * belief.rho.scale**2 / belief.sigma2 * belief.variances
        constant = math.log(inliers) - 0.5 * self.dim * math.log(2 * math.pi * belief.sigma2)
        return Source(self.moved(belief), self.prior.organs, belief.log_alpha + spread + constant)

    def bound(self, belief: Belief, shares: Shares) -> float:
        """The evidence lower bound, for the shares found from this belief."""
        return shares.evidence - belief.divergence_w - belief.divergence_alpha

    def updated(self, belief: Belief, shares: Shares) -> Belief:
        """Every part of the belief once, in turn."""
        after = self.weighed(self.displaced(belief, shares), shares)
        return self.placed(after, shares, self.moved(belief))

    def displaced(self, belief: Belief, shares: Shares) -> Belief:
        """q(v)."""
        rho, factor = belief.rho, self.prior.factor
        c = rho.scale**2 / belief.sigma2
        back = (shares.weighted - shares.nu[:, None] * rho.translation) @ rho.rotation / rho.scale
        weighted = factor * shares.nu[:, None]
        a = (c * factor.T @ weighted).diagonal_scatter(1 + c * (factor * weighted).sum(dim=0))
        root = torch.linalg.cholesky(a)
        w = torch.cholesky_solve(c * factor.T @ (back - shares.nu[:, None] * self.y), root)
        half = torch.linalg.solve_triangular(root, factor.T, upper=False)
        inverse = torch.linalg.solve_triangular(root, torch.eye(len(a), dtype=a.dtype, device=a.device), upper=False)
        trace = float(inverse.square().sum())
        log_det = 2 * float(root.diagonal().log().sum())
        divergence = 0.5 * (float(w.square().sum()) + self.dim * (trace + log_det - len(a)))
        return replace(belief, w=w, v=factor @ w, variances=half.square().sum(dim=0), divergence_w=divergence)

    def weighed(self, belief: Belief, shares: Shares) -> Belief:
        """q(α)."""
        if math.isinf(self.kappa):
            return belief
        nu = shares.nu.double()
        total = self.kappa * self.count + nu.sum()
        log_alpha = torch.digamma(self.kappa + nu) - torch.digamma(total)
        lost = torch.lgamma(total) - torch.lgamma(self.kappa + nu).sum()
        lost -= math.lgamma(self.kappa * self.count) - self.count * math.lgamma(self.kappa)
        lost += (nu * log_alpha).sum()
        return replace(belief, log_alpha=log_alpha.to(self.y.dtype), divergence_alpha=float(lost))

    def placed(self, belief: Belief, shares: Shares, before: Tensor) -> Belief:
        """ρ and σ²; before: ŷ (M, d) from which the shares were found."""
        mass = float(shares.nu.sum())
        uncertainty = float(torch.dot(shares.nu, belief.variances)) / mass
        rho = belief.rho if self.free == "none" else self._pose(belief, shares, uncertainty, mass)
        change = rho(self.y + belief.v) - before
        residual = shares.weighted - shares.nu[:, None] * before
        squares = shares.squares - 2 * float((change * residual).sum())
        squares += float(torch.dot(shares.nu, change.square().sum(dim=1)))
        sigma2 = squares / (self.dim * mass) + rho.scale**2 * uncertainty
        return replace(belief, rho=rho, sigma2=sigma2)

    def _pose(self, belief: Belief, shares: Shares, uncertainty: float, mass: float) -> Similarity:
        u, nu = self.y + belief.v, shares.nu / mass
        x_mean, u_mean = shares.weighted.sum(dim=0) / mass, nu @ u
        centred = u - u_mean
        s_xu = (shares.weighted / mass - nu[:, None] * x_mean).T @ centred
        phi, _, psi = torch.linalg.svd(s_xu.double())
        signs = torch.ones(self.dim, dtype=torch.float64, device=u.device)
        signs[-1] = torch.linalg.det(phi @ psi).sign()
        rotation = ((phi * signs) @ psi).to(u.dtype)
        spread = float(torch.dot(nu, centred.square().sum(dim=1))) + self.dim * uncertainty
        scale = belief.rho.scale if self.free == "rigid" else float((rotation * s_xu).sum()) / spread
        return Similarity(scale, rotation, x_mean - scale * rotation @ u_mean)
