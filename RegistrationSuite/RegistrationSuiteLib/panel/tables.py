"""Parameters that are tables of numbers with a row an organ: organs of their own, and matrices between organs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import qt
from regsuite.catalog import Parameter
from regsuite.catalog.cells import by_row, cells_of, text_of
from regsuite.couplings import nearest_coherence

from RegistrationSuiteLib.panel.fields import ParameterField, describe, number_text, tooltip

ROW_PIXELS = 26
MOST_ROWS = 7
"""That are seen at once."""


class TableField(ParameterField):
    """A table with the organs that both sides have; an empty cell leaves it to the general parameters."""

    def __init__(self, parameter: Parameter, changed: Any) -> None:
        self._rows: list[str] = []
        self._cells: dict[str, dict[str, float]] = {}
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
        cells = [(row, column, value) for row, columns in self._cells.items() for column, value in columns.items()]
        return text_of(tuple(cells))

    def _show(self, text: str) -> None:
        self._cells = by_row(cells_of(text))
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
        value = self._cells.get(row, {}).get(column)
        item = qt.QTableWidgetItem("" if value is None else number_text(value))
        if self.parameter.matrix and row == column:
            item = qt.QTableWidgetItem("1" if self.parameter.matrix == "coherence" else "the rest")
            item.setFlags(qt.Qt.ItemIsEnabled)
        elif self.parameter.columns:
            declared = next(each for each in self.parameter.columns if each.name == column)
            item.setToolTip(tooltip(f"{describe(declared)}\nEmpty: as for the other organs."))
        else:
            item.setToolTip(tooltip(f"{row} and {column}. Empty: as between other organs."))
        return item

    # --- the user ---

    def onCell(self, place: int, index: int) -> None:
        if self._setting:
            return
        row, column = self._rows[place], self.columns[index][0]
        text = str(self.table.item(place, index).text()).strip()
        with contextlib.suppress(ValueError):  # what is no number is not taken, and the cell shows what it was
            self._put(row, column, float(text.replace(",", ".")) if text else None)
            if self.parameter.matrix == "coherence":
                self._put(column, row, float(text.replace(",", ".")) if text else None)
        self._fill()
        self._changed()

    def _put(self, row: str, column: str, value: float | None) -> None:
        columns = self._cells.setdefault(row, {})
        if value is None:
            columns.pop(column, None)
        else:
            columns[column] = value

    def onMend(self) -> None:
        """Puts the nearest matrix that is positive semi-definite in its place."""
        matrix = np.array(
            [[1.0 if a == b else self._cells.get(a, {}).get(b, 0.0) for b in self._rows] for a in self._rows]
        )
        found = np.floor(nearest_coherence(np.clip(matrix, 0, 1)).clip(0, 1) * 1000) / 1000
        for place, row in enumerate(self._rows):
            for index, column in enumerate(self._rows):
                if row != column and (column in self._cells.get(row, {}) or abs(found[place, index]) >= 0.001):
                    self._put(row, column, float(found[place, index]))
        self._fill()
        self._changed()
