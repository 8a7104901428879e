r"""The prior covariance of organs' displacements, in low-rank form.

Displacements of points y_i of organs l_i are a Gaussian process, the same in every direction and for every direction
alone (multi-organ Bayesian coherent point drift, WBIR 2022, Eqs. 2 and 3):

    G_ij = Λ_i Λ_j S_ij c_ij exp(-|y_i - y_j|² / (B_i² + B_j²)),    c_ij = (2 B_i B_j / (B_i² + B_j²))^{d/2}

with Λ the standard deviation and B the range of each organ's displacement, both in mm, and S the coherence of two
organs, 1 to move together and 0 to move independently. Where B_i = B_j this is the paper's Eq. 3. Where they differ
the paper's exp(-|y_i - y_j|² / 2 B_i B_j) is not positive definite for any coherence other than 0; the kernel here
(a convolution of two processes' kernels) is, as long as S is.

An organ may besides go as a whole: be shifted by τ mm, and turned and stretched by a share ε, about its middle m,

    G_ij += S_ij (τ_i τ_j + ε_i ε_j (y_i - m_i) · (y_j - m_j))

which is affine in y and costs nothing of Λ; the paper has no such term.

G ≈ L Lᵀ by Cholesky factors with the pivot p_k where most variance is left, until none has more than a share of its
own variance. Then v = L w, w ~ N(0, 1), and anywhere else (the paper's Eq. 5)

    v(x) = g(x, p) β,    β = L_p⁻ᵀ w
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_CHUNK = 1 << 24
"""Most numbers of a block of covariances."""


@dataclass(frozen=True)
class Whole:
    """How organs go as a whole: shifts τ (mm) and strains ε, (L,), about their middles (L, d) mm."""

    shifts: Tensor
    strains: Tensor
    middles: Tensor

    def features(self, points: Tensor, organs: Tensor) -> Tensor:
        """τ and ε (y - m), (N, 1 + d), of points (N, d)."""
        stretched = self.strains[organs, None] * (points - self.middles[organs])
        return torch.cat([self.shifts[organs, None], stretched], dim=1)

    def __call__(self, x: Tensor, organs: Tensor, y: Tensor, others: Tensor) -> Tensor:
        """(N, M) mm², but for the coherence."""
        return self.features(x, organs) @ self.features(y, others).T


@dataclass(frozen=True)
class Kernel:
    """deviations Λ (mm) and ranges B (mm) by organ, (L,); coherence S (L, L); whole: None where organs do not go as a
    whole."""

    deviations: Tensor
    ranges: Tensor
    coherence: Tensor
    whole: Whole | None = None

    def covariance(self, x: Tensor, organs: Tensor, y: Tensor, others: Tensor) -> Tensor:
        """G (N, M) mm² between points x (N, d) of organs (N,) and y (M, d) of others (M,)."""
        square = self.ranges.square()
        sums = square[:, None] + square
        scale = (2 * self.ranges[:, None] * self.ranges / sums) ** (0.5 * x.shape[1])
        factor = self.deviations[:, None] * self.deviations * self.coherence * scale
        distance = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square_()
        at = (organs[:, None], others[None])
        smooth = distance.mul_(-1 / sums[at]).exp_().mul_(factor[at])
        return smooth if self.whole is None else self.coherence[at].mul(self.whole(x, organs, y, others)).add_(smooth)

    def variances(self, points: Tensor, organs: Tensor) -> Tensor:
        """Of the displacement of points (N, d) of organs (N,), mm²."""
        variances = self.deviations.square()[organs]
        if self.whole is not None:
            variances = variances + self.whole.features(points, organs).square().sum(dim=1)
        return variances * self.coherence.diagonal()[organs]


@dataclass(frozen=True)
class LowRank:
    """G of points y (M, d) as L Lᵀ: ``factor`` L (M, K), and the pivots' rows among the points."""

    kernel: Kernel
    points: Tensor
    organs: Tensor
    factor: Tensor
    pivots: Tensor

    @property
    def rank(self) -> int:
        """K."""
        return int(self.factor.shape[1])

    def coefficients(self, w: Tensor) -> Tensor:
        """β (K, d) of w (K, d)."""
        return torch.linalg.solve_triangular(self.factor[self.pivots].T, w, upper=True)

    def anywhere(self, w: Tensor, x: Tensor, organs: Tensor) -> Tensor:
        """v (N, d) mm at points x (N, d) of organs (N,), in blocks."""
        beta = self.coefficients(w)
        pivots, others = self.points[self.pivots], self.organs[self.pivots]
        rows = max(1, _CHUNK // max(1, self.rank))
        parts = zip(x.split(rows), organs.split(rows), strict=True)
        return torch.cat([self.kernel.covariance(part, own, pivots, others) @ beta for part, own in parts])


def still(kernel: Kernel, points: Tensor, organs: Tensor) -> LowRank:
    """Points that do not drift: rank 0."""
    none = torch.zeros(0, dtype=torch.long, device=points.device)
    return LowRank(kernel, points, organs, points.new_zeros(len(points), 0), none)


def low_rank(kernel: Kernel, points: Tensor, organs: Tensor, tolerance: float, most: int) -> LowRank:
    """G of points (M, d) of organs (M,), with at most a share ``tolerance`` of every point's variance left out.

    most: the largest rank. Tolerance 0 takes all of G, but for what rounding makes of points in one place.
    """
    variances = kernel.variances(points, organs)
    left = variances.clone()
    most = min(most, len(points))
    columns = torch.zeros(most, len(points), dtype=points.dtype, device=points.device)
    pivots: list[int] = []
    # Of points alike the outermost goes first, in whatever order they come.
    aside = (points - points.mean(dim=0)).norm(dim=1)
    aside *= 1e-6 / aside.max().clamp(min=1e-30)
    least = max(tolerance, 10 * torch.finfo(points.dtype).eps)
    while len(pivots) < most:
        shares = left / variances
        if float(shares.max()) <= least:
            break
        row, count = int((shares + aside).argmax()), len(pivots)
        column = kernel.covariance(points[row : row + 1], organs[row : row + 1], points, organs)[0]
        column -= columns[:count, row] @ columns[:count]
        column /= left[row].sqrt()
        columns[count] = column
        left = (left - column.square()).clamp(min=0)
        left[row] = 0
        pivots.append(row)
    found = torch.tensor(pivots, device=points.device)
    return LowRank(kernel, points, organs, columns[: len(pivots)].T.contiguous(), found)
