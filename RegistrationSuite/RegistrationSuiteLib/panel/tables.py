"""Parameters that are tables of numbers with a row an organ: organs of their own, and matrices between organs."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import qt
from regsuite.catalog import Parameter
from regsuite.catalog.cells import cells_of, text_of
from regsuite.couplings import valid_coherence

from RegistrationSuiteLib.panel.fields import Changed, ParameterField, describe, number_text, tooltip

ROW_PIXELS = 26
MOST_ROWS = 7
"""That are seen at once."""

Key = tuple[str, str]


class TableField(ParameterField):
    """A table with the organs that both sides have; an empty cell leaves it to the general parameters.

    value_of: the number that a general parameter has in the form, by its name.
    """

    def __init__(self, parameter: Parameter, changed: Changed, value_of: Callable[[str], float]) -> None:
        self._rows: list[str] = []
        self._cells: dict[Key, tuple[str, str, float]] = {}
        self._value_of = value_of
        super().__init__(parameter, changed)

    def _make(self) -> Any:
        self.table = qt.QTableWidget()
        self.table.name = f"{self.parameter.name}Table"
        self.table.connect("cellChanged(int,int)", self.onCell)
        widget = qt.QWidget()
        column = qt.QVBoxLayout(widget)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        self.hint = qt.QLabel("Choose the organs of both sides to fill this table.")
        self.hint.wordWrap = True
        column.addWidget(self.hint)
        if self.parameter.matrix == "coherence":
            self.mend = qt.QPushButton("Nearest valid")
            self.mend.toolTip = tooltip("Change the matrix as little as possible so that organs can move as it says.")
            self.mend.connect("clicked()", self.onMend)
            column.addWidget(self.mend)
        return widget

    def _listen(self) -> None:
        """The table was connected when it was made."""

    def set_rows(self, names: Sequence[str]) -> None:
        """The organs that can be told of."""
        if list(names) != self._rows:
            self._rows = list(names)
            self._fill()

    def text(self) -> str:
        """As JSON; of organs that are not there any more nothing is lost."""
        return text_of(tuple(self._cells.values()))

    def asked(self) -> str:
        """As JSON, what the table shows: nobody could mend a cell that is not there to be seen."""
        shown = [(row, column) for row in self._rows for column, _ in self.columns]
        return text_of(tuple((*pair, self._cells[_key(*pair)][2]) for pair in shown if _key(*pair) in self._cells))

    def _show(self, text: str) -> None:
        self._cells = {_key(row, column): (row, column, value) for row, column, value in cells_of(text)}
        self._fill()

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Key and title of every column."""
        if self.parameter.matrix:
            return [(name, name) for name in self._rows]
        return [
            (each.name, f"{each.title}, {each.unit}" if each.unit else each.title) for each in self.parameter.columns
        ]

    def _fill(self) -> None:
        was, self._setting = self._setting, True
        columns = self.columns
        self.table.setRowCount(len(self._rows))
        self.table.setColumnCount(len(columns))
        self.table.setVerticalHeaderLabels(self._rows)
        self.table.setHorizontalHeaderLabels([title for _, title in columns])
        for place, row in enumerate(self._rows):
            for index, (column, _) in enumerate(columns):
                self.table.setItem(place, index, self._item(row, column))
        self.table.resizeColumnsToContents()
        self.table.verticalHeader().setDefaultSectionSize(ROW_PIXELS)
        self.table.setFixedHeight(ROW_PIXELS * (min(len(self._rows), MOST_ROWS) + 2))
        self.table.visible, self.hint.visible = bool(self._rows), not self._rows
        if self.parameter.matrix == "coherence":
            self.mend.visible = len(self._rows) > 1
        self._setting = was

    def _item(self, row: str, column: str) -> Any:
        value = self._value(row, column)
        item = qt.QTableWidgetItem("" if value is None else number_text(value))
        if self.parameter.matrix and row == column:
            item = qt.QTableWidgetItem("1" if self.parameter.matrix == "coherence" else "the rest")
            item.setFlags(qt.Qt.ItemIsEnabled)
        else:
            item.setToolTip(tooltip(self._help(row, column)))
        return item

    def _help(self, row: str, column: str) -> str:
        if self.parameter.matrix == "coherence":
            return f"How far {row} and {column} move together, 0 to 1. Empty: as Coherence between organs."
        if self.parameter.matrix == "transition":
            share = f"Share of {row}'s points that the fixed segmentation calls {column}."
            return f"{share} Where a row has a cell, its empty cells are 0."
        declared = next(each for each in self.parameter.columns if each.name == column)
        return f"{describe(declared)}\nEmpty: as for the other organs."

    def _value(self, row: str, column: str) -> float | None:
        cell = self._cells.get(_key(row, column))
        if cell is None and self.parameter.matrix == "coherence":  # one that was typed elsewhere holds both ways too
            cell = self._cells.get(_key(column, row))
        return cell[2] if cell else None

    # --- the user ---

    def onCell(self, place: int, index: int) -> None:
        if self._setting:
            return
        row, column = self._rows[place], self.columns[index][0]
        text = str(self.table.item(place, index).text()).strip()
        with contextlib.suppress(ValueError):  # what is no number is not taken, and the cell shows what it was
            value = _number(text) if text else None
            self._put(row, column, value)
            if self.parameter.matrix == "coherence":
                self._put(column, row, value)
        self._fill()
        self._changed()

    def _put(self, row: str, column: str, value: float | None) -> None:
        if value is None:
            self._cells.pop(_key(row, column), None)
        else:
            self._cells[_key(row, column)] = (row, column, value)

    def onMend(self) -> None:
        """Puts the nearest matrix that is positive semi-definite in its place; only what it changes is written."""
        general = self._value_of("coherence")
        given = [[self._value(row, column) for column in self._rows] for row in self._rows]
        matrix = np.array([[general if value is None else value for value in row] for row in given])
        np.fill_diagonal(matrix, 1.0)
        found = valid_coherence((matrix + matrix.T) / 2)
        for place, index in zip(*np.nonzero(found != matrix), strict=True):
            self._put(self._rows[place], self._rows[index], float(found[place, index]))
        self._fill()
        self._changed()


def _key(row: str, column: str) -> Key:
    """By which a cell is found, whatever the case of its names' letters."""
    return row.strip().lower(), column.strip().lower()


def _number(text: str) -> float:
    """ValueError where it is none, or none that could be meant."""
    value = float(text.replace(",", "."))
    if not math.isfinite(value):
        raise ValueError(text)
    return value
