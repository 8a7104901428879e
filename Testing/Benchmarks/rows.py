"""Rows of a benchmark: a figure of ours, what it is compared with, and whether its goal is met.

A goal is a relation to a number or to the peer's value:

    ">= 0.85"    "== 0"    "> peer"    "<= 0.6 x peer"    "> peer + 0.1"

A row without a goal states a figure. ``met`` follows from the other fields: None where there is no goal or nothing to
compare, and False where our figure could not be had.

A table holds many figures for people to compare: {"columns", "rows"}, a cell being text, a number, None, or a pair
[mean, standard deviation].
"""

from __future__ import annotations

import math
import operator
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

_RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}
_NUMBER = r"\d+(?:\.\d+)?(?:e[-+]?\d+)?"
_GOAL = re.compile(
    rf"(?P<relation><=|>=|==|<|>) "
    rf"(?:(?P<number>-?{_NUMBER})|(?:(?P<factor>{_NUMBER}) x )?peer(?: (?P<sign>[-+]) (?P<offset>{_NUMBER}))?)"
)
_DIGITS, _SHOWN = 6, 4


@dataclass(frozen=True)
class Goal:
    """``ours relation factor * peer + offset``; factor is 0 where the goal is a number."""

    relation: str
    factor: float
    offset: float

    @property
    def needs_peer(self) -> bool:
        """Whether the goal speaks of the peer's value."""
        return self.factor != 0

    def met(self, ours: float, peer: float | None) -> bool:
        """Whether ``ours`` reaches the goal; never where a value is not a number."""
        bound = self.offset + (self.factor * peer if peer is not None and self.needs_peer else 0.0)
        return _RELATIONS[self.relation](ours, bound)


def parse_goal(text: str) -> Goal:
    """The goal that ``text`` says; ValueError where it is not in the form at the head of this file."""
    match = _GOAL.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is no goal: write such as '>= 0.85', '> peer' or '<= 0.6 x peer + 0.1'")
    if match["number"] is not None:
        return Goal(match["relation"], 0.0, float(match["number"]))
    factor = float(match["factor"] or 1)
    if factor == 0:
        raise ValueError(f"'{text}' is no goal: nothing is left of the peer")
    return Goal(match["relation"], factor, float((match["sign"] or "") + (match["offset"] or "0")))


def row(
    claim: str, data: str, unit: str, ours: float, *, goal: str = "", peer: str = "", peer_value: float | None = None
) -> Row:
    """A measured figure; ``peer`` names what ``peer_value`` is of."""
    shown, other = _rounded(ours), None if peer_value is None else _rounded(peer_value)
    return _row(claim, data, unit, shown, peer, other, goal, _met(goal, shown, other))


def failed(claim: str, data: str, reason: str) -> Row:
    """A figure that could not be had because something of ours broke: its goal is not met."""
    return {**_row(claim, data, "", None, "", None, "", False), "failed": reason}


def skipped(claim: str, data: str, reason: str) -> Row:
    """A figure that was not measured because data or a peer is missing."""
    return {**_row(claim, data, "", None, "", None, "", None), "skipped": reason}


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """Cells are rounded to the digits that are shown."""
    return {"columns": list(columns), "rows": [[_cell(cell) for cell in row] for row in rows]}


def spread(values: Sequence[float]) -> list[float]:
    """A cell: mean and standard deviation, which one value has not."""
    return [statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0]


def _cell(cell: Any) -> Any:
    if isinstance(cell, (list, tuple)):
        return [_cell(each) for each in cell]
    return _json(float(f"{cell:.{_SHOWN}g}")) if isinstance(cell, float) else cell


def _row(
    claim: str, data: str, unit: str, ours: float | None, peer: str, other: float | None, goal: str, met: bool | None
) -> Row:
    return {
        "claim": claim,
        "data": data,
        "ours": _json(ours),
        "peer": peer or None,
        "peer_value": _json(other),
        "unit": unit,
        "goal": goal or None,
        "met": met,
    }


def _met(goal: str, ours: float, peer: float | None) -> bool | None:
    if not goal:
        return None
    parsed = parse_goal(goal)
    return None if parsed.needs_peer and peer is None else parsed.met(ours, peer)


def _rounded(value: float) -> float:
    """To the digits that are shown, so that ``met`` can be checked against the line."""
    return float(f"{value:.{_DIGITS}g}")


def _json(value: float | None) -> float | None:
    """JSON has neither NaN nor infinity."""
    return value if value is not None and math.isfinite(value) else None
