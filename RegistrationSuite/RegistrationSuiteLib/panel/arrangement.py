"""What a panel shows of slices around an axis: a picture, the slices upright by their places, and planes in 3D."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import qt
from regsuite.errors import InputError

from RegistrationSuiteLib import fans, tables
from RegistrationSuiteLib.panel.places import PlacesTable
from RegistrationSuiteLib.panel.planes import Planes

if TYPE_CHECKING:
    import numpy as np
    from regsuite.spatial import SliceSet
    from regsuite.spatial.radial import Arrangement

INFORMATION = ("mutual information after", "mutual information before")
"""Columns of the arrangement's table, the one of the later step first."""
PLANES = "planes"
"""The output that shows placed slices in 3D."""


@dataclass(frozen=True)
class Known:
    """What is known of an arrangement.

    chosen: tells one choice of slices and their labels from another; slices: of the choice; said: the arrangement that
    the form says, where it says one; nodes: results, by output name, of the last run of these slices; axis: as the
    method's parameter of that name.
    """

    chosen: object
    slices: SliceSet = field(compare=False)
    said: Arrangement | None
    nodes: Mapping[str, Any]
    axis: str

    @property
    def found(self) -> Arrangement | None:
        """What the last run found."""
        return fans.found_arrangement(self.nodes)

    @property
    def edited(self) -> bool:
        """Whether the form says something else than was found."""
        return self.said is not None and self.said != self.found

    @property
    def placed(self) -> bool:
        """Whether the last run put the slices apart, all of them are there, and nothing else was said since."""
        there = PLANES in self.nodes and len(fans.placed_slices(self.nodes)) == self.slices.count
        return there and not self.edited and (self.slices.distinct or self.found is not None)

    def fan(self) -> fans.Fan | None:
        """Where the last run put the slices, or else what was told puts them; InputError where that needs an axis and
        they have none."""
        if self.placed:
            return fans.fan_of_results(self.nodes)
        one_pose: Literal["localizer", "slice"] = "localizer" if self.axis == "localizer" else "slice"
        return fans.fan_as_told(self.slices, self.said, one_pose, fans.brought_by(self.nodes))

    def information(self) -> list[str]:
        """Of each slice, after the last run; nothing where that compared none, or not as the form says."""
        if self.edited or "arrangement" not in self.nodes:
            return []
        rows = tables.rows_of(self.nodes["arrangement"])
        told = next((name for name in INFORMATION if rows and name in rows[0]), None)
        return [f"{float(row[told]):.2f}" for row in rows] if told else []

    def told(self) -> str:
        """In a sentence."""
        if self.edited:
            return "Given by hand: run the next step, or Apply, with these places."
        if self.found is not None:
            return "As it was found. Correct it where it is wrong, and run the next step."
        if self.slices.distinct:
            return "The headers tell where each slice lies."
        return "In the order of the slices, until it is found."


class ArrangementView:
    """Shows what is known; ``edited`` and ``chosen`` as :class:`PlacesTable` calls them."""

    def __init__(
        self, ui: Any, planes_button: Any, edited: Callable[[Arrangement], None], chosen: Callable[[int], None]
    ) -> None:
        self._ui, self._button = ui, planes_button
        self._places = PlacesTable(ui, edited, chosen)
        self._planes = Planes()
        self._fan: fans.Fan | None = None
        self._known: Known | None = None
        planes_button.connect("toggled(bool)", self.onPlanes)
        self._find()

    def show(self, known: Known | None) -> bool:
        """Fills in what is known, nothing where there are no slices; returns whether that is new, and so is drawn."""
        if known is None:
            self.show_planes(False)
            self._places.fill(None, ())
        else:
            from regsuite.spatial.radial import in_order

            shown = known.said or known.found or in_order(known.slices.count)
            self._places.fill(shown, known.information())
        self._ui.automaticButton.enabled = known is not None and known.said is not None
        new, self._known = known != self._known, known
        if new:
            self._find()
            if self._button.checked:
                self._show()
        return new

    def _find(self) -> None:
        """Where the slices stand, and what to say of that."""
        self._fan, told = None, "Choose the slices first."
        if self._known is not None:
            try:
                self._fan, told = self._known.fan(), self._known.told()
            except InputError as error:
                told = str(error)
        self._button.enabled = self._fan is not None
        self._ui.arrangementLabel.text = told

    def draw(self, bone: np.ndarray | None, picture: bytes | None) -> None:
        """bone: (K, H, W) bool, what is outlined in the slices; picture: PNG, of the volume along the axis."""
        self._places.draw(self._fan, bone)
        pixmap = qt.QPixmap()
        if picture is not None:
            pixmap.loadFromData(picture)
        self._ui.fanLabel.setPixmap(pixmap)
        self._ui.fanLabel.visible = picture is not None

    # --- planes in 3D ---

    def onPlanes(self, visible: bool) -> None:
        if visible:
            self._show()
        else:
            self._planes.hide()

    def show_planes(self, visible: bool) -> None:
        """Presses the button, or releases it."""
        self._button.checked = visible and self._button.enabled

    def _show(self) -> None:
        """The planes as they are known now; the model of the last run where that is what it shows."""
        if self._fan is None or self._known is None:
            self._button.checked = False
            return
        self._planes.show(self._fan, self._known.nodes[PLANES] if self._known.placed else None)
