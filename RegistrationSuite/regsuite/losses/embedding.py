"""Losses that bring what belongs together near each other in a space of embeddings.

With d the Euclidean distance of embeddings, F a section, M a plate, A an anchor, P its positive, N a negative:

    contrastive   L = d(F, M)² / 2 of a pair that belongs together,  max(0, m - d(F, M))² / 2 of any other        (1)
    triplet       L = max(d(A, P) - d(A, N) + m, 0)                                                             (2)
    neighbours    L = -Σ_M w(F, M) log softmax_M(-d(F, M)² / m²),  w ∝ exp(-(gap / reach)² / 2), Σ_M w = 1

A triplet is semi-hard where d(A, P) < d(A, N) < d(A, P) + m, and hard where d(A, N) < d(A, P). Of each anchor's
triplets one counts: the hardest of those whose negative is farther than the positive (of an anchor that has none the
easiest), or the hardest of all.

Sources: (1) Hadsell et al. 2006 (doi 10.1109/CVPR.2006.100); (2) Schroff et al. 2015 (doi 10.1109/CVPR.2015.7298682)
and, of the hard ones, Hermans et al. 2017 (arXiv 1703.07737), as in Antanavicius et al., WBIR 2022. "neighbours" takes
the plates for classes between which the truth may lie, and needs no mining.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Name = Literal["neighbours", "semi-hard", "hard", "contrastive"]


def embedding_loss(kind: Name, distances: Tensor, gaps: Tensor, margin: float, reach: float) -> Tensor:
    """The mean loss of a batch.

    distances: (A, P) of the embeddings of A sections and P plates, plate i mod P belonging to section i;
    gaps: (A, P) mm between where they were cut; plates nearer than ``reach`` (mm) are no negatives.
    """
    if kind == "neighbours":
        return neighbour_loss(distances, gaps, margin, reach)
    sections = torch.arange(len(distances), device=distances.device)
    positive, negative = distances[sections, sections % distances.shape[1]][:, None], gaps > reach
    if kind == "contrastive":
        return contrastive_loss(positive, distances[negative], margin)
    chosen = (semi_hard if kind == "semi-hard" else hard)(positive, distances, negative)
    return torch.where(negative.any(dim=1), triplet_loss(positive[:, 0], chosen, margin), 0.0).mean()


def contrastive_loss(positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Equation (1): the mean over pairs that belong together plus that over the others."""
    far = (margin - negative).clamp(min=0).square()
    return 0.5 * positive.square().mean() + 0.5 * far.sum() / max(1, far.numel())


def triplet_loss(positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Equation (2), of every triplet; the distances are broadcast."""
    return (positive - negative + margin).clamp(min=0)


def semi_hard(positive: Tensor, distances: Tensor, negative: Tensor) -> Tensor:
    """(A,): of each anchor the distance to its nearest negative that is farther than its positive, or else to its
    farthest; positive: (A, 1), distances: (A, P), negative: (A, P) bool."""
    farther = negative & (distances > positive)
    nearest = torch.where(farther, distances, torch.inf).amin(dim=1)
    return torch.where(farther.any(dim=1), nearest, torch.where(negative, distances, 0.0).amax(dim=1))


def hard(positive: Tensor, distances: Tensor, negative: Tensor) -> Tensor:
    """(A,): of each anchor the distance to its nearest negative, wherever its positive lies."""
    return torch.where(negative, distances, torch.inf).amin(dim=1)


def neighbour_loss(distances: Tensor, gaps: Tensor, margin: float, reach: float) -> Tensor:
    """Cross-entropy of softmax(-d² / m²) over a section's plates against shares that fall off with their gap."""
    shares = torch.softmax(-0.5 * (gaps / reach).square(), dim=1)
    return -(shares * torch.log_softmax(-(distances / margin).square(), dim=1)).sum(dim=1).mean()
