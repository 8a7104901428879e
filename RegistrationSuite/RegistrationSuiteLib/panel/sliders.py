"""The sliders that change a section's place in an atlas by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from RegistrationSuiteLib.plates import Moved, Place

PERCENT = 100.0
STEPS = 200
"""Into which half the atlas's size is divided, about, for one step of a shift."""


class PoseSliders:
    """Plate and angles as they are, and what is done in the section's plane as a change of what was found.

    ``changed`` is called when the user moves one.
    """

    def __init__(self, ui: Any, changed: Callable[[], None]) -> None:
        self._ui = ui
        self._changed = changed
        self._setting = False
        self._cut = (ui.plateSlider, ui.pitchSlider, ui.yawSlider)
        self._plane = (ui.turnSlider, ui.scaleSlider, ui.stretchSlider, ui.rightSlider, ui.downSlider)
        for slider in (*self._cut, *self._plane):
            slider.connect("valueChanged(double)", self.onValue)

    def enable(self, enabled: bool) -> None:
        for slider in (*self._cut, *self._plane):
            slider.enabled = enabled

    def show(self, place: Place) -> None:
        """Puts every slider where the section was found, without telling anyone."""
        ui, self._setting = self._ui, True
        ui.plateSlider.maximum = place.count
        for slider in (ui.rightSlider, ui.downSlider):
            slider.minimum, slider.maximum = -place.reach, place.reach
            slider.singleStep = 10.0 ** math.floor(math.log10(place.reach / STEPS))
        for slider, value in zip(self._cut, (place.plate, *place.angles), strict=True):
            slider.value = value
        for slider, value in zip(self._plane, (0.0, PERCENT, PERCENT, 0.0, 0.0), strict=True):
            slider.value = value
        self._setting = False

    def pose(self, place: Place) -> tuple[float, ...]:
        """What the sliders say; what none of them was moved from stays as it was found, to all its digits."""
        found = (place.plate, *place.angles)
        moved = [
            abs(each.value - exact) > 0.5 * 10**-each.decimals for each, exact in zip(self._cut, found, strict=True)
        ]
        cut = [each.value if new else exact for each, exact, new in zip(self._cut, found, moved, strict=True)]
        turn, scale, stretch, right, down = (float(slider.value) for slider in self._plane)
        return place.moved(place.turned(*cut), Moved(turn, scale / PERCENT, stretch / PERCENT, right, down))

    def onValue(self, _value: float) -> None:
        if not self._setting:
            self._changed()
