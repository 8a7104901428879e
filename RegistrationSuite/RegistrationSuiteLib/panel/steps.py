"""A row of buttons, each of which runs a chain up to one of its steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from regsuite.catalog.radial import STEPS

BUTTONS = dict(
    zip(STEPS, ("segmentButton", "arrangeButton", "reconstructButton", "initialiseButton", "refineButton"), strict=True)
)
FINISHED = "✓ "


class StepButtons:
    """Marks the steps that were run, and the next one; ``run`` is called with the step whose button is pressed."""

    def __init__(self, ui: Any, run: Callable[[str], None]) -> None:
        self._buttons = {step: getattr(ui, name) for step, name in BUTTONS.items()}
        for step, button in self._buttons.items():
            button.connect("clicked()", partial(run, step))

    def show(self, done: str, ready: bool) -> None:
        """done: the last step that was run, empty where none was; ready: whether one can be."""
        count = STEPS.index(done) + 1 if done else 0
        for place, button in enumerate(self._buttons.values()):
            button.enabled = ready
            title = button.text.removeprefix(FINISHED)
            button.text = FINISHED + title if place < count else title
            font = button.font
            font.setBold(place == count)
            button.font = font
