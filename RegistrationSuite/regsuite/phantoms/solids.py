"""Solids told by signed distances: mm at points (3, ...), negative inside; good near the surface, rough far from it.

The three coordinates come first, each one piece of memory: many times quicker than points (..., 3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Place = Sequence[float] | np.ndarray
"""(3,) mm."""
Points = Tensor | Sequence[Tensor]
"""(3, ...) mm."""


def along(x: Points, direction: Place) -> Tensor:
    """The part (...) of points along a vector: their scalar product with it."""
    a, b, c = (float(part) for part in direction)
    return (x[0] * a).add_(x[1], alpha=b).add_(x[2], alpha=c)


def length(x: Points) -> Tensor:
    """(...) of vectors (3, ...)."""
    return (x[0] * x[0]).addcmul_(x[1], x[1]).addcmul_(x[2], x[2]).sqrt_()


def away(x: Points, place: Place) -> list[Tensor]:
    """(3, ...) from a place to the points."""
    return [part - float(start) for part, start in zip(x, place, strict=True)]


def ball(x: Points, centre: Place, radius: float) -> Tensor:
    """A ball."""
    return length(away(x, centre)).sub_(radius)


def rod(x: Points, start: Place, end: Place, radii: tuple[float, float]) -> Tensor:
    """A rod with round ends, whose radius goes evenly from one to the other."""
    axis = np.asarray(end, dtype=float) - np.asarray(start, dtype=float)
    left = away(x, start)
    share = along(left, axis / (axis @ axis)).clamp_(0, 1)
    for part, step in zip(left, axis, strict=True):
        part.sub_(share, alpha=float(step))
    return length(left).sub_(share, alpha=radii[1] - radii[0]).sub_(radii[0])


def ring(x: Points, centre: Place, axis: Place, radius: float, thickness: float) -> Tensor:
    """A ring around ``axis``, a unit vector; radius: to the middle of the tube of radius ``thickness``."""
    left = away(x, centre)
    height = along(left, axis)
    around = (length(left).square_() - height.square()).clamp_(min=0).sqrt_()
    return torch.hypot(around.sub_(radius), height).sub_(thickness)


def blended(one: Tensor, other: Tensor, width: float) -> Tensor:
    """The union, its groove filled over ``width`` mm: the quadratic smooth minimum of I. Quilez."""
    depth = (width - (one - other).abs_()).clamp_(min=0)
    return torch.minimum(one, other).sub_(depth.square_(), alpha=0.25 / width)


def carved(solid: Tensor, tool: Tensor, width: float) -> Tensor:
    """The first without the second, its edges rounded over ``width`` mm."""
    return blended(-solid, tool, width).neg_()


def flattened(x: Points, centre: Place, direction: Place, share: float) -> list[Tensor]:
    """Points at which to ask for a solid that is to be thinner through ``centre`` along a unit vector: to ``share``."""
    more = along(x, direction).sub_(float(np.dot(centre, direction))).mul_(1 / share - 1)
    return [part.add(more, alpha=float(step)) for part, step in zip(x, direction, strict=True)]


class Ripple:
    """A smooth uneven field of zero mean and unit variance: a few waves of about one length, known at every point."""

    def __init__(self, rng: np.random.Generator, wavelength: float, waves: int = 5) -> None:
        directions = rng.standard_normal((waves, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self._waves = directions * (2 * np.pi / (wavelength * rng.uniform(0.7, 1.4, (waves, 1))))
        self._phases = rng.uniform(0, 2 * np.pi, waves)

    def __call__(self, x: Points) -> Tensor:
        """(...) at points (3, ...) mm."""
        total = torch.zeros_like(x[0])
        for wave, phase in zip(self._waves, self._phases, strict=True):
            total += along(x, wave).add_(float(phase)).cos_()
        return total.mul_(float(np.sqrt(2 / len(self._phases))))
