"""A sheet of image panels at one scale, on black, with letters for the directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regsuite.pictures.planes import Plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIXED_COLOUR, MOVING_COLOUR, LESION_COLOUR, GRID_COLOUR = "#35c8f0", "#ffd23f", "#ff4d6d", "#ffe08a"
INK = "#1d2733"
Colour = str | tuple[float, float, float]
_WIDTH, _TALLEST, _TALLEST_ROW = 12.0, 9.0, 5.0
_GAP, _HEAD, _FOOT, _SIDE, _BAR = 0.06, 0.34, 0.42, 0.30, 1.05


class Sheet:
    """Rows and columns of planes, every panel at the same mm per inch; sizes here are inches.

    cells: one plane a panel; bar, legend: leave room for a colour bar at the right, for a legend at the bottom.
    """

    def __init__(
        self,
        cells: Sequence[Sequence[Plane]],
        column_titles: Sequence[str],
        row_titles: Sequence[str] = (),
        *,
        bar: bool = False,
        legend: bool = False,
    ) -> None:
        from matplotlib.figure import Figure

        self.cells = cells
        self._left, self._right = (_SIDE if any(row_titles) else 0), (_BAR if bar else 0)
        self._foot = _FOOT if legend else 0
        self._columns = [max(row[i].size[0] for row in cells) for i in range(len(cells[0]))]
        self._rows = [max(plane.size[1] for plane in row) for row in cells]
        self._scale = self._inches_per_mm()
        self.width = self._left + self._right + self._scale * sum(self._columns) + _GAP * (len(self._columns) - 1)
        self.height = _HEAD + self._foot + self._scale * sum(self._rows) + _GAP * (len(self._rows) - 1)
        self.figure: Figure = Figure(figsize=(self.width, self.height), facecolor="white")
        self.axes = [[self._panel(row, column) for column in range(len(self._columns))] for row in range(len(cells))]
        for axes, title in zip(self.axes[0], column_titles, strict=True):
            axes.set_title(title, fontsize=11.5, color=INK, pad=6)
        for row, title in enumerate(row_titles):
            self._row_title(row, title)

    def _inches_per_mm(self) -> float:
        """As wide as the page, unless that would be too tall."""
        wide = _WIDTH - self._left - self._right - _GAP * (len(self._columns) - 1)
        tall = (_TALLEST if len(self._rows) > 1 else _TALLEST_ROW) - _HEAD - self._foot - _GAP * (len(self._rows) - 1)
        return min(wide / sum(self._columns), tall / sum(self._rows))

    def _top(self, row: int) -> float:
        return self.height - _HEAD - self._scale * sum(self._rows[:row]) - _GAP * row

    def _panel(self, row: int, column: int) -> Axes:
        width, height = self._scale * self._columns[column], self._scale * self._rows[row]
        left = self._left + self._scale * sum(self._columns[:column]) + _GAP * column
        bottom = self._top(row) - height
        box = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box, facecolor="black")
        left_mm, right_mm, bottom_mm, top_mm = self.cells[row][column].extent
        spare = (self._columns[column] - (right_mm - left_mm)) / 2
        spare_up = (self._rows[row] - (top_mm - bottom_mm)) / 2
        axes.set(
            xlim=(left_mm - spare, right_mm + spare),
            ylim=(bottom_mm - spare_up, top_mm + spare_up),
            xticks=[],
            yticks=[],
        )
        axes.spines[:].set_visible(False)
        return axes

    def _row_title(self, row: int, title: str) -> None:
        middle = self._top(row) - self._scale * self._rows[row] / 2
        self.figure.text(
            self._left / 2 / self.width, middle / self.height, title, rotation=90, ha="center", va="center", color=INK,
            fontsize=11.5,
        )  # fmt: skip

    def panels(self) -> list[tuple[Plane, Axes]]:
        """Every plane with its panel, row by row."""
        return [pair for row in range(len(self.cells)) for pair in zip(self.cells[row], self.axes[row], strict=True)]

    def column(self, column: int) -> list[tuple[Plane, Axes]]:
        """The planes of one column with their panels."""
        return [(cells[column], axes[column]) for cells, axes in zip(self.cells, self.axes, strict=True)]

    def legend(self, entries: Sequence[tuple[str, Colour]]) -> None:
        """Lines of these colours with their meaning, under the panels."""
        from matplotlib.lines import Line2D

        lines = [Line2D([], [], color=colour, linewidth=2.4, label=text) for text, colour in entries]
        self.figure.legend(
            handles=lines, loc="lower center", ncols=len(lines), frameon=False, fontsize=10.5, labelcolor=INK
        )

    def colour_bar(
        self,
        cmap: str,
        window: tuple[float, float],
        title: str,
        ticks: Sequence[float] = (),
        texts: Sequence[str] = (),
    ) -> None:
        """A colour bar at the right, as tall as the panels; its pointed ends stand for all that is beyond."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        panels = self.height - _HEAD - self._foot
        left, bottom = self.width - _BAR + 0.12, self._foot + 0.1
        box = (left / self.width, bottom / self.height, 0.17 / self.width, (panels - 0.2) / self.height)
        ends: Literal["max", "both"] = "max" if window[0] == 0 else "both"
        shown = ScalarMappable(Normalize(*window), cmap)
        bar = self.figure.colorbar(shown, cax=self.figure.add_axes(box), extend=ends, extendfrac=0.03)
        if ticks:
            bar.set_ticks(list(ticks), labels=list(texts))
        bar.ax.tick_params(labelsize=9.5, colors=INK)
        bar.set_label(title, fontsize=10, color=INK)
        bar.outline.set_visible(False)


def write_marks(axes: Axes, plane: Plane) -> None:
    """The directions' letters at the panel's edges."""
    write_letters(axes, plane.marks)


def write_letters(axes: Axes, letters: Sequence[str]) -> None:
    """At the panel's left, right, lower and upper edge."""
    from matplotlib.patheffects import withStroke

    places = [
        (0.02, 0.5, "left", "center"),
        (0.98, 0.5, "right", "center"),
        (0.5, 0.02, "center", "bottom"),
        (0.5, 0.98, "center", "top"),
    ]
    for letter, (x, y, across, along) in zip(letters, places, strict=True):
        text = axes.text(x, y, letter, transform=axes.transAxes, ha=across, va=along, color="white", fontsize=10)
        text.set(fontweight="bold", path_effects=[withStroke(linewidth=2.5, foreground="black")])


def draw_image(axes: Axes, plane: Plane, values: np.ndarray, window: tuple[float, float], **how: Any) -> Any:
    """(h, w) values in grey, or as ``how`` says; returns what a colour bar is made from."""
    how = {"cmap": "gray", "interpolation": "bilinear", **how}
    return axes.imshow(
        values, extent=plane.extent, origin="lower", vmin=window[0], vmax=window[1], aspect="auto", **how
    )


def outline(axes: Axes, plane: Plane, share: np.ndarray, colour: Colour, width: float = 1.3) -> None:
    """The line where a share (h, w) is a half, if it is anywhere."""
    if share.min() < 0.5 <= share.max():
        axes.contour(share, levels=[0.5], extent=plane.extent, origin="lower", colors=[colour], linewidths=width)
