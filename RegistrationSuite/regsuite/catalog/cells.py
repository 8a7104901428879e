"""Tables of numbers as values of parameters: each cell of a named row and a named column; what is not there is left to
the other parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Cells = tuple[tuple[str, str, float], ...]
"""(row, column, number)."""


def cells_of(value: Any) -> Cells:
    """From a mapping of mappings of numbers, such a one as JSON, or cells; TypeError or ValueError where it is none."""
    if isinstance(value, str):
        value = json.loads(value) if value.strip() else {}
    if isinstance(value, Mapping):
        value = [(row, column, number) for row, columns in value.items() for column, number in _items(columns)]
    return tuple((_name(row), _name(column), _number(number)) for row, column, number in value)


def _items(columns: Any) -> Any:
    if not isinstance(columns, Mapping):
        raise TypeError(columns)
    return columns.items()


def _name(text: Any) -> str:
    if not isinstance(text, str) or not text.strip():
        raise TypeError(text)
    return text.strip()


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError(value)
    return float(value)


def by_row(cells: Cells) -> dict[str, dict[str, float]]:
    """The numbers by row and column."""
    rows: dict[str, dict[str, float]] = {}
    for row, column, number in cells:
        rows.setdefault(row, {})[column] = number
    return rows


def text_of(cells: Cells) -> str:
    """As JSON; empty where there is no cell."""
    rows = {
        row: {column: float(f"{number:.10g}") for column, number in each.items()} for row, each in by_row(cells).items()
    }
    return json.dumps(rows, ensure_ascii=False) if rows else ""
