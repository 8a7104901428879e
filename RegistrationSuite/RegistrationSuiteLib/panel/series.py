"""What a panel shows of a series: a table of its sections, one of which is looked at, and the curve of their depths."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import qt
import slicer.util

from RegistrationSuiteLib import display, parts, records, tables
from RegistrationSuiteLib.panel.fields import tooltip

UI_FILE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "Resources", "UI", "Series.ui")
SERIES, CHART = "series", "depths_chart"
"""Outputs of a series."""
COLUMNS = {
    "plate": ("Plate", "plate", "{:.1f}"),
    "depth mm": ("Depth, mm", "depth_mm", "{:.2f}"),
    "pitch °": ("Pitch, °", "pitch_deg", "{:.1f}"),
    "yaw °": ("Yaw, °", "yaw_deg", "{:.1f}"),
    "probability": ("Sure", "confidence", "{:.0%}"),
}
"""Behind the section's name: a column's title, its metric, and how that is written, by its name in the output."""
ROW_PIXELS = 24
MOST_ROWS = 10
"""That are seen at once."""
FRAME_PIXELS = 4


class SeriesTable:
    """The table; ``chosen`` is called with the node of the section whose row the user chose."""

    def __init__(self, chosen: Callable[[Any], None]) -> None:
        self.widget = slicer.util.loadUI(UI_FILE)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self._chosen = chosen
        self._setting = False
        self._nodes: Mapping[str, Any] = {}
        self._sections: list[Any] = []
        self._prepare()
        self.ui.sectionsTable.connect("currentCellChanged(int,int,int,int)", self.onRow)
        self.ui.sectionsTable.connect("cellClicked(int,int)", self.onRow)
        self.ui.showDepthsButton.connect("clicked()", self.onDepths)
        self.ui.showSeriesButton.connect("clicked()", self.onTable)

    def _prepare(self) -> None:
        table = self.ui.sectionsTable
        table.setColumnCount(1 + len(COLUMNS))
        table.setHorizontalHeaderLabels(["Section", *(title for title, _, _ in COLUMNS.values())])
        table.verticalHeader().setDefaultSectionSize(ROW_PIXELS)
        header = table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)

    def fill(self, nodes: Mapping[str, Any], shown: Any) -> None:
        """Shows the series among the last run's nodes, none where that was none; shown: the section in the views."""
        self._setting, self._nodes = True, nodes
        rows = tables.rows_of(nodes[SERIES]) if SERIES in nodes else []
        sections = parts.sections_of(nodes)
        self._sections = [sections.get(place) for place in range(len(rows))]
        table = self.ui.sectionsTable
        table.setRowCount(len(rows))
        for place, row in enumerate(rows):
            texts = [row["section"], *_figures(row, self._metrics(place))]
            for index, text in enumerate(texts):
                table.setItem(place, index, self._item(text, index == 0, self._sections[place] is not None))
        table.setFixedHeight(ROW_PIXELS * (min(len(rows), MOST_ROWS) + 1) + FRAME_PIXELS)
        if shown in self._sections:
            table.setCurrentCell(self._sections.index(shown), 0)
        self.ui.showDepthsButton.enabled = CHART in nodes
        self._setting = False

    def _metrics(self, place: int) -> dict[str, float]:
        """Of the latest run of the section at that place; empty where that is gone."""
        section = self._sections[place]
        return records.metrics_of(parts.seen_from(self._nodes, section)) if section is not None else {}

    def _item(self, text: str, name: bool, there: bool) -> Any:
        """A cell, of a name or a figure; of a section that is no longer in the scene, one that cannot be chosen."""
        item = qt.QTableWidgetItem(text)
        if name:
            item.setToolTip(tooltip(text))
        else:
            item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
        if not there:
            item.setFlags(qt.Qt.NoItemFlags)
        return item

    @property
    def first(self) -> Any:
        """The first section's node; None where no series is shown."""
        return next((section for section in self._sections if section is not None), None)

    # --- the user ---

    def onRow(self, row: int) -> None:
        if not self._setting and 0 <= row < len(self._sections) and self._sections[row] is not None:
            self._chosen(self._sections[row])

    def onDepths(self) -> None:
        display.show_plot(self._nodes[CHART])

    def onTable(self) -> None:
        display.show_table(self._nodes[SERIES])


def _figures(row: Mapping[str, str], metrics: Mapping[str, float]) -> list[str]:
    """Behind a section's name: what its own run says, else its row in the table of all."""
    known = metrics or {metric: float(row[name]) for name, (_, metric, _) in COLUMNS.items()}
    return [form.format(known[metric]) if metric in known else "–" for _, metric, form in COLUMNS.values()]
