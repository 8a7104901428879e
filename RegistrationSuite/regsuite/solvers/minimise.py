"""Descent on one scale, told to whoever listens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

Optimiser = Literal["lbfgs", "adadelta"]

_HISTORY = 5
_PATIENCE = {"lbfgs": 5, "adadelta": 30}
"""Evaluations over which the loss must have fallen."""


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
    scale: the size of the first step, as a mean over the variables.
    Raises whatever ``on_evaluation`` raises.
    """
    unit = scale * _first_step(optimiser, sum(variable.numel() for variable in variables))
    scaled = [(variable.detach() / unit).requires_grad_() for variable in variables]
    best = [variable.detach().clone() for variable in scaled]
    history: list[float] = []
    lowest: list[float] = []

    def evaluate() -> Tensor:
        for variable in scaled:
            variable.grad = None
        value = loss([variable * unit for variable in scaled])
        value.backward()
        current = float(value.detach())
        if not lowest or current < lowest[-1]:
            for kept, variable in zip(best, scaled, strict=True):
                kept.copy_(variable.detach())
        history.append(current)
        lowest.append(min(current, lowest[-1]) if lowest else current)
        on_evaluation(len(history), current)
        if len(history) >= evaluations or _settled(lowest, _PATIENCE[optimiser], tolerance):
            raise _Settled
        return value.detach()

    with contextlib.suppress(_Settled):
        _descend(optimiser, scaled, evaluate, evaluations)
    return [kept * unit for kept in best]


def _first_step(optimiser: Optimiser, count: int) -> float:
    """One over the mean size of the optimiser's first step: torch's L-BFGS makes one of unit L1 norm, Adadelta 1e-3."""
    return float(count) if optimiser == "lbfgs" else 1e3


def _settled(lowest: Sequence[float], patience: int, tolerance: float) -> bool:
    return len(lowest) > patience and lowest[-1 - patience] - lowest[-1] <= tolerance * abs(lowest[-1])


def _descend(name: Optimiser, scaled: list[Tensor], evaluate: Callable[[], Tensor], evaluations: int) -> None:
    if name == "adadelta":
        adadelta = torch.optim.Adadelta(scaled, lr=1.0)
        for _ in range(evaluations):
            adadelta.step(evaluate)
        return
    torch.optim.LBFGS(
        scaled,
        max_iter=evaluations,
        max_eval=10 * evaluations,
        history_size=_HISTORY,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    ).step(evaluate)
