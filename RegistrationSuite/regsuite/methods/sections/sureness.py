"""How sure to be of a plate: a probability that comes true as often as it says.

    p = 1 / (1 + exp(-(b + Σ_i a_i x_i)))

with x the distance of the embedding, how much of the encoder's belief lies around the plate found, and E, the
dissimilarity of section and plate there (:mod:`regsuite.solvers.slicing`). a and b are fitted (logistic regression, Cox
1958) to sections made of the atlas, and to pictures that are none of its sections, after the encoder was trained.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor

WITHIN = 2
"""Plates: p is the probability that the truth is not farther off."""
_PENALTY = 0.02
"""Keeps weights finite where simulated sections leave no doubt."""
_SAME = 1e-6
"""Spread of evidence below which it tells nothing."""


def evidence(distances: Tensor, plate: float, energy: float) -> np.ndarray:
    """(3,): what p is made of; distances: (N,) to the plates, in margins; plate: the one found, from 0."""
    belief = torch.softmax(-distances.square(), dim=0).numpy()
    near = np.abs(np.arange(len(belief)) - plate) <= WITHIN
    worst = energy if math.isfinite(energy) else 1.0  # where nothing agrees
    return np.array([float(distances.min()), float(belief[near].sum()), worst])


def probability(weights: Tensor, evidence: np.ndarray) -> float:
    """p, of weights (10,) as :func:`fitted` gives them."""
    bias, slopes, means, widths = _parts(weights.double().numpy())
    return float(expit(bias + slopes @ ((evidence - means) / widths)))


def fitted(evidence: np.ndarray, true: np.ndarray) -> Tensor:
    """(10,) float32: weights from evidence (S, 3) and whether each was within two plates (S,)."""
    means, widths = evidence.mean(axis=0), evidence.std(axis=0)
    widths = np.where(widths > _SAME, widths, 1.0)
    x, sign = (evidence - means) / widths, np.where(true, 1.0, -1.0)

    def cost(values: np.ndarray) -> float:
        return float(np.logaddexp(0, -sign * (values[0] + x @ values[1:])).mean() + _PENALTY * (values[1:] ** 2).sum())

    found = minimize(cost, np.zeros(1 + x.shape[1]), method="L-BFGS-B").x
    return torch.tensor(np.concatenate([found, means, widths]), dtype=torch.float32)


def _parts(weights: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    count = (len(weights) - 1) // 3
    slopes, means, widths = weights[1:].reshape(3, count)
    return float(weights[0]), slopes, means, widths
