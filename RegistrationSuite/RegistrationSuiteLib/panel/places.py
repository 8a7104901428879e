"""The part of a panel that shows which slice stands where around the axis, and lets the user say it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import qt
from scipy import ndimage

from RegistrationSuiteLib.panel.live import draw_pixels
from RegistrationSuiteLib.panel.series import FRAME_PIXELS, MOST_ROWS, ROW_PIXELS
from RegistrationSuiteLib.scene.cuts import grey_colours
from RegistrationSuiteLib.scene.planes import WINDOW

if TYPE_CHECKING:
    from regsuite.spatial.radial import Arrangement

    from RegistrationSuiteLib.fans import Fan

COLUMNS = ("Slice", "Place", "Mirrored", "Turned", "MI, nats")
SLICE, PLACE, MIRRORED, TURNED, INFORMATION = range(len(COLUMNS))
THUMBNAIL, IN_A_ROW = 116, 3
CAPTION_PIXELS, GAP_PIXELS, MOST_LINES = 52, 10, 2
OUTLINE = (255, 210, 63)
DARKER = 0.75
"""Of a slice's colour, so that it can be read on white."""


class PlacesTable:
    """The slices upright beside each other, and a row for each; ``edited`` is called with what the user says, and
    ``chosen`` with the number, from 0, of the slice whose row or picture was chosen."""

    def __init__(self, ui: Any, edited: Callable[[Arrangement], None], chosen: Callable[[int], None]) -> None:
        self._ui = ui
        self._edited, self._chosen = edited, chosen
        self._setting = False
        self._shown: Arrangement | None = None
        self._boxes: list[Any] = []
        self._order: list[int] = []
        self._prepare()
        ui.placesTable.connect("itemChanged(QTableWidgetItem*)", self.onItem)
        ui.placesTable.connect("cellClicked(int,int)", self.onRow)
        ui.fanList.connect("itemClicked(QListWidgetItem*)", self.onPicture)

    def _prepare(self) -> None:
        table = self._ui.placesTable
        table.setColumnCount(len(COLUMNS))
        table.setHorizontalHeaderLabels(list(COLUMNS))
        table.verticalHeader().setDefaultSectionSize(ROW_PIXELS)
        table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.Stretch)
        strip = self._ui.fanList
        strip.iconSize = qt.QSize(THUMBNAIL, THUMBNAIL)
        strip.gridSize = qt.QSize(THUMBNAIL + GAP_PIXELS, THUMBNAIL + CAPTION_PIXELS)

    # --- showing ---

    def fill(self, arrangement: Arrangement | None, information: Sequence[str]) -> None:
        """A row a slice; none without an arrangement. information: of each slice, after the last run, or nothing."""
        self._setting, self._shown = True, arrangement
        table, count = self._ui.placesTable, arrangement.count if arrangement else 0
        if table.rowCount != count:
            self._make_rows(count)
        for row in range(count):
            self._fill_row(row, information[row] if row < len(information) else "–")
        self._setting = False

    def _make_rows(self, count: int) -> None:
        table = self._ui.placesTable
        table.setRowCount(0)
        table.setRowCount(count)
        self._boxes = []
        for row in range(count):
            for column in (SLICE, MIRRORED, TURNED, INFORMATION):
                item = qt.QTableWidgetItem(str(row + 1) if column == SLICE else "")
                kind = qt.Qt.ItemIsUserCheckable if column in (MIRRORED, TURNED) else qt.Qt.ItemIsSelectable
                item.setFlags(qt.Qt.ItemIsEnabled | kind)
                table.setItem(row, column, item)
            box = qt.QSpinBox()
            box.minimum, box.maximum = 1, count
            box.frame = False
            box.connect("valueChanged(int)", partial(self.onPlace, row))
            table.setCellWidget(row, PLACE, box)
            self._boxes.append(box)
        table.setFixedHeight(ROW_PIXELS * (min(count, MOST_ROWS) + 1) + FRAME_PIXELS)

    def _fill_row(self, row: int, information: str) -> None:
        assert self._shown is not None
        table = self._ui.placesTable
        self._boxes[row].value = self._shown.places[row] + 1
        for column, checked in ((MIRRORED, self._shown.mirrored[row]), (TURNED, self._shown.turned[row])):
            table.item(row, column).setCheckState(qt.Qt.Checked if checked else qt.Qt.Unchecked)
        table.item(row, INFORMATION).setText(information)

    def draw(self, fan: Fan | None, bone: np.ndarray | None) -> None:
        """The slices upright by their places; bone: (K, H, W) bool, what is outlined in them."""
        strip = self._ui.fanList
        strip.clear()
        strip.visible = fan is not None
        self._order = fan.order if fan is not None else []
        lines = min(MOST_LINES, -(-len(self._order) // IN_A_ROW))
        strip.setFixedHeight(lines * (THUMBNAIL + CAPTION_PIXELS) + FRAME_PIXELS)
        for place, number in enumerate(self._order, start=1):
            assert fan is not None
            stand = fan.stands[number]
            icon = qt.QIcon(_thumbnail(fan, number, None if bone is None else bone[number]))
            flips = [word for word in ("mirrored", "turned") if getattr(stand, word)]
            item = qt.QListWidgetItem(icon, f"Place {place}: slice {number + 1}\n" + "\n".join([*flips, "", ""][:2]))
            strip.addItem(item)
        self._colour(fan)

    def _colour(self, fan: Fan | None) -> None:
        """The numbers of the slices in the colours of their places."""
        self._setting = True
        for row, colour in enumerate(fan.colours if fan is not None else ()):
            if row < self._ui.placesTable.rowCount:
                ink = qt.QColor(*(round(255 * DARKER * part) for part in colour))
                item = self._ui.placesTable.item(row, SLICE)
                item.setForeground(qt.QBrush(ink))
                font = item.font()
                font.setBold(True)
                item.setFont(font)
        self._setting = False

    # --- the user ---

    def onPlace(self, row: int, place: int) -> None:
        """The slice that stood there takes the place that became free."""
        if self._setting or self._shown is None:
            return
        places = list(self._shown.places)
        places[places.index(place - 1)] = places[row]
        places[row] = place - 1
        self._tell(places)

    def onItem(self, item: Any) -> None:
        if not self._setting and self._shown is not None and item.column() in (MIRRORED, TURNED):
            self._tell(self._shown.places)

    def _tell(self, places: Sequence[int]) -> None:
        from regsuite.spatial.radial import Arrangement

        self._edited(Arrangement(tuple(places), self._checked(MIRRORED), self._checked(TURNED)))

    def _checked(self, column: int) -> tuple[bool, ...]:
        table = self._ui.placesTable
        return tuple(table.item(row, column).checkState() == qt.Qt.Checked for row in range(table.rowCount))

    def onRow(self, row: int, _column: int) -> None:
        self._chosen(row)

    def onPicture(self, _item: Any) -> None:
        number = self._order[self._ui.fanList.currentRow]
        self._ui.placesTable.selectRow(number)
        self._chosen(number)


def _thumbnail(fan: Fan, number: int, bone: np.ndarray | None) -> Any:
    """A QPixmap of a slice as it stands among the others."""
    image, stand = fan.images[number], fan.stands[number]
    values = np.nan_to_num(image.array()[0])
    pixels = grey_colours(values, *(float(each) for each in np.percentile(values, WINDOW)))
    if bone is not None:
        width = max(1, round(max(values.shape) / THUMBNAIL))
        pixels[bone & ~ndimage.binary_erosion(bone, iterations=width)] = OUTLINE
    upwards = pixels[:: 1 if stand.turned else -1, :: -1 if stand.mirrored else 1]
    return draw_pixels(upwards, (image.grid.spacing[1], image.grid.spacing[2]), THUMBNAIL, THUMBNAIL)
