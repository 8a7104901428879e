"""Descent on one scale, told to whoever listens."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

Optimiser = Literal["lbfgs", "adadelta"]

_HISTORY = 5
_PATIENCE = {"lbfgs": 6, "adadelta": 30}
"""Evaluations over which the loss must have fallen."""
_SUFFICIENT = 1e-4
_TRIALS = 10
"""Of a step: the share of the decrease that its slope promises, and how often it is shortened."""
_LONGER = 3.0
"""Growth of a step down the gradient after one along which the slope only became steeper."""


class _Settled(Exception):
    """The loss no longer falls."""


def minimise(
    loss: Callable[[Sequence[Tensor]], Tensor],
    variables: Sequence[Tensor],
    evaluations: int,
    optimiser: Optimiser = "lbfgs",
    tolerance: float = 2e-3,
    scale: float = 1.0,
    on_evaluation: Callable[[int, float], None] = lambda count, value: None,
) -> list[Tensor]:
    """The best variables met within a number of evaluations of ``loss``.

    Ends early once the loss has fallen by less than ``tolerance`` of itself over a few evaluations.
    scale: the size of the first step, as a root mean square over the variables.
    Raises whatever ``on_evaluation`` raises.
    """
    search = _Search(loss, variables, evaluations, _PATIENCE[optimiser], tolerance, on_evaluation)
    with contextlib.suppress(_Settled):
        (_adadelta if optimiser == "adadelta" else _lbfgs)(search, scale, evaluations)
    return search.best


class _Search:
    """The variables as they are tried, and the best met so far."""

    def __init__(
        self,
        loss: Callable[[Sequence[Tensor]], Tensor],
        variables: Sequence[Tensor],
        evaluations: int,
        patience: int,
        tolerance: float,
        on_evaluation: Callable[[int, float], None],
    ) -> None:
        self.loss, self.evaluations, self.on_evaluation = loss, evaluations, on_evaluation
        self.patience, self.tolerance = patience, tolerance
        self.variables = [variable.detach().clone().requires_grad_() for variable in variables]
        self.best = [variable.detach().clone() for variable in variables]
        self.lowest: list[float] = []

    def evaluate(self) -> tuple[float, list[Tensor]]:
        """The loss and its gradient; raises _Settled once that was enough."""
        value = self.loss(self.variables)
        found = torch.autograd.grad(value, self.variables, allow_unused=True)
        gradient = [
            torch.zeros_like(variable) if part is None else part
            for variable, part in zip(self.variables, found, strict=True)
        ]
        current = float(value.detach())
        if not self.lowest or current < self.lowest[-1]:
            for kept, variable in zip(self.best, self.variables, strict=True):
                kept.copy_(variable.detach())
        self.lowest.append(min([*self.lowest[-1:], current]))  # in this order what is no number does not count
        self.on_evaluation(len(self.lowest), current)
        if len(self.lowest) >= self.evaluations or self._settled():
            raise _Settled
        return current, gradient

    def _settled(self) -> bool:
        earlier = self.lowest[-1 - self.patience :]
        return len(earlier) > self.patience and earlier[0] - earlier[-1] <= self.tolerance * abs(earlier[-1])


def _adadelta(search: _Search, scale: float, evaluations: int) -> None:
    unit = scale * 1e3  # its first step is some 3e-3 in every variable
    scaled = [variable.detach() / unit for variable in search.variables]
    adadelta = torch.optim.Adadelta(scaled, lr=1.0)
    for _ in range(evaluations):
        for variable, part in zip(scaled, search.evaluate()[1], strict=True):
            variable.grad = part * unit
        adadelta.step()
        for variable, part in zip(search.variables, scaled, strict=True):
            variable.detach().copy_(part * unit)


def _lbfgs(search: _Search, scale: float, evaluations: int) -> None:
    """L-BFGS (Nocedal and Wright, Numerical Optimization, Algorithms 3.1 and 7.4), by backtracking.

    torch's own keeps flat copies of everything, and its first use in a process takes seconds and a hundred megabytes.
    """
    pairs: deque[tuple[list[Tensor], list[Tensor]]] = deque(maxlen=_HISTORY)
    value, gradient = search.evaluate()
    while True:
        direction = _direction(gradient, pairs, scale)
        slope = _dot(direction, gradient)
        if slope >= 0:  # the gradient is zero, or what is remembered no longer holds
            if not pairs:
                return
            pairs.clear()
            continue
        found = _backtrack(search, value, slope, direction)
        if found is None:
            if not pairs:
                return
            pairs.clear()
            continue
        length, value, new = found
        step = [length * part for part in direction]
        change = [after - before for after, before in zip(new, gradient, strict=True)]
        if _dot(step, change) > 0:
            pairs.append((step, change))
        elif not pairs:
            scale *= _LONGER
        gradient = new


def _direction(gradient: list[Tensor], pairs: deque[tuple[list[Tensor], list[Tensor]]], scale: float) -> list[Tensor]:
    """Minus the inverse Hessian, as far as it is known from pairs of steps and changes, times the gradient."""
    count = sum(part.numel() for part in gradient)
    if not pairs:
        length = max(math.sqrt(_dot(gradient, gradient)), 1e-30)
        return [part * (-scale * math.sqrt(count) / length) for part in gradient]
    q = [-part for part in gradient]
    weights = []
    for step, change in reversed(pairs):
        weights.append(_dot(step, q) / _dot(step, change))
        q = [part - weights[-1] * other for part, other in zip(q, change, strict=True)]
    step, change = pairs[-1]
    curvature = _dot(step, change) / _dot(change, change)
    q = [curvature * part for part in q]
    for (step, change), weight in zip(pairs, reversed(weights), strict=True):
        more = weight - _dot(change, q) / _dot(step, change)
        q = [part + more * other for part, other in zip(q, step, strict=True)]
    return q


def _backtrack(
    search: _Search, value: float, slope: float, direction: list[Tensor]
) -> tuple[float, float, list[Tensor]] | None:
    """How far to go for a sufficient decrease, the loss there and its gradient; None where there is none."""
    start = [variable.detach().clone() for variable in search.variables]
    length = 1.0
    for _ in range(_TRIALS):
        for variable, here, part in zip(search.variables, start, direction, strict=True):
            variable.detach().copy_(here + length * part)
        new, gradient = search.evaluate()
        if new <= value + _SUFFICIENT * length * slope:
            return length, new, gradient
        # The minimum of the parabola through both values and the slope.
        parabola = -slope * length**2 / (2 * (new - value - slope * length)) if math.isfinite(new) else 0.0
        length = min(max(parabola, 0.1 * length), 0.5 * length)
    for variable, here in zip(search.variables, start, strict=True):
        variable.detach().copy_(here)
    return None


def _dot(one: list[Tensor], other: list[Tensor]) -> float:
    return float(sum(torch.dot(a.flatten(), b.flatten()) for a, b in zip(one, other, strict=True)))
