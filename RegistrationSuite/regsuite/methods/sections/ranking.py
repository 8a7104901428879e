"""How well sections are identified: where the true plate stands when all plates are ranked.

Source: Antanavicius et al., WBIR 2022, section 3.2, Metrics: MAE = Σ y_i / N, where y_i is the position, from zero, of
section i's true plate; Top-n is the share of sections whose true plate is among the first n.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rank_errors(distances: Tensor, truth: Tensor) -> Tensor:
    """y (S,) int64: the positions of the true plates.

    distances: (S, P) of every section to every plate, the smaller the more alike (mutual information: negated);
    truth: (S,) int64, plates from 0. Equal distances rank in the order of the plates.
    """
    positions = torch.argsort(torch.argsort(distances, dim=1, stable=True), dim=1)
    return positions.gather(1, truth[:, None])[:, 0]


def mean_absolute_error(errors: Tensor) -> float:
    """Of :func:`rank_errors`: 0 where every section is identified, at most one less than there are plates."""
    return float(errors.double().mean())


def top_n(errors: Tensor, n: int) -> float:
    """Of :func:`rank_errors`: the share (0 to 1) of sections whose true plate is among the first n."""
    return float((errors < n).double().mean())
