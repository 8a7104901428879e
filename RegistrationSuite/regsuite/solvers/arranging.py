"""How slices that share an axis stand around it, told by their silhouettes alone.

Each slice is two half-planes that begin at the axis, so K slices make a ring of 2K of them, 180/K degrees apart. A
silhouette changes little from one half-plane to the next:

    min over places, mirrorings and turns   Σ_j d(h_j, h_j+1) ,   d(h, h') = Σ |h - h'| s / Σ (h + h') s ,

with s a pixel's distance from the axis, so that d compares volumes, and h_2K = h_0. As slices are added one by one, the
best partial rings are kept (a beam); for six slices that is all of them, so the answer is exact.

The ring of an arrangement and that of its mirror image cost the same: both are given, and what is known of the object
has to choose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regsuite.spatial.radial import Arrangement

_BEAM = 200_000
"""Partial rings that are kept; six slices have 122,880 rings."""
_STATES = 4
"""Ways one slice can be flipped: mirrored, turned, both, or not at all."""


@dataclass(frozen=True)
class Arranged:
    """cost: the mean d of neighbours, 0 where all half-planes agree and 1 where none do."""

    arrangement: Arrangement
    cost: float


def arranged(silhouettes: Tensor, pixel: tuple[float, float], count: int) -> list[Arranged]:
    """The likeliest arrangements, the best first; none is another one turned as a whole.

    silhouettes: (K, H, W), 0 to 1, the axis in the middle of the columns; pixel: mm of a row and of a column.
    """
    costs = _joined(_half_planes(silhouettes), pixel)
    rings, totals = _rings(costs, len(silhouettes))
    best = np.argsort(totals, kind="stable")[:count]
    return [Arranged(_arrangement(rings[row]), float(totals[row])) for row in best]


def _half_planes(silhouettes: Tensor) -> Tensor:
    """(K, 4, 2, H, W'): of each slice, flipped each way, the half-plane right of the axis and the one left of it, both
    from the axis outwards."""
    flipped = [silhouettes, silhouettes.flip(2), silhouettes.flip(1), silhouettes.flip(1, 2)]
    right = silhouettes.shape[2] // 2
    outwards = [torch.stack([each[:, :, -right:], each[:, :, :right].flip(2)], dim=1) for each in flipped]
    return torch.stack(outwards, dim=1)


def _joined(halves: Tensor, pixel: tuple[float, float]) -> np.ndarray:
    """(K, 4, K, 4, 2, 2): d of either half of one slice and either half of another."""
    count, width = len(halves), halves.shape[-1]
    away = (torch.arange(width, dtype=halves.dtype, device=halves.device) + 0.5) * pixel[1]
    weighed = (halves * away).flatten(3).flatten(0, 2)
    volumes = weighed.sum(dim=1)
    apart = torch.cdist(weighed, weighed, p=1)
    unlike = apart / (volumes[:, None] + volumes[None]).clamp(min=1e-6)
    return unlike.reshape(count, _STATES, 2, count, _STATES, 2).permute(0, 1, 3, 4, 2, 5).cpu().numpy()


def _rings(joined: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rings (N, K) of numbers 4 slice + flip, in the order of their places, and what they cost (N,).

    The first place has the first slice, as it is: any ring can be turned so.
    """
    states = count * _STATES
    beside = (joined[..., 0, 0] + joined[..., 1, 1]).reshape(states, states)
    behind = (joined[..., 0, 1] + joined[..., 1, 0]).reshape(states, states)
    rings, totals = np.zeros((1, 1), dtype=np.int64), np.zeros(1)
    for _ in range(count - 1):
        used = np.zeros((len(rings), count), dtype=bool)
        np.put_along_axis(used, rings // _STATES, True, axis=1)
        rows, slices = np.nonzero(~used)
        rows = np.repeat(rows, _STATES)
        added = (slices[:, None] * _STATES + np.arange(_STATES)).ravel()
        totals = totals[rows] + beside[rings[rows, -1], added]
        if len(totals) > _BEAM:
            kept = np.argpartition(totals, _BEAM)[:_BEAM]
            rows, added, totals = rows[kept], added[kept], totals[kept]
        rings = np.concatenate([rings[rows], added[:, None]], axis=1)
    closed = totals + behind[rings[:, -1], rings[:, 0]]
    return rings, closed / (2 * count)


def _arrangement(ring: np.ndarray) -> Arrangement:
    places = np.empty(len(ring), dtype=int)
    places[ring // _STATES] = np.arange(len(ring))
    flips = ring[np.argsort(ring // _STATES)] % _STATES
    return Arrangement(
        tuple(int(place) for place in places),
        tuple(bool(flip & 1) for flip in flips),
        tuple(bool(flip & 2) for flip in flips),
    )
