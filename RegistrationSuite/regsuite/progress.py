"""How a running method speaks to whoever started it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regsuite.spatial import Image


class Progress:
    """Receives the messages of a running method; this base class is deaf.

    A listener may raise :class:`regsuite.errors.Cancelled` from :meth:`step` to end the run.
    """

    def step(self, fraction: float, message: str = "") -> None:
        """The run is at ``fraction`` (0 to 1) of its work."""

    def check(self) -> None:
        """Raises Cancelled where the user has cancelled; for stages that do not say how far they are."""

    def log(self, text: str) -> None:
        """One line for the log: a choice the method made, and why."""

    def curve(self, name: str, x: float, **values: float) -> None:
        """One more point of the live curve ``name``."""

    def preview(self, image: Image) -> None:
        """An intermediate warped image, on the fixed grid or a coarser one."""


class Part(Progress):
    """The stretch from ``start`` to ``stop`` of another progress, for one stage of a run."""

    def __init__(self, whole: Progress, start: float, stop: float) -> None:
        self._whole, self._start, self._stop = whole, start, stop

    def step(self, fraction: float, message: str = "") -> None:
        self._whole.step(self._start + (self._stop - self._start) * fraction, message)

    def check(self) -> None:
        self._whole.check()

    def log(self, text: str) -> None:
        self._whole.log(text)

    def curve(self, name: str, x: float, **values: float) -> None:
        self._whole.curve(name, x, **values)

    def preview(self, image: Image) -> None:
        self._whole.preview(image)


@dataclass(frozen=True)
class Context:
    """Where a method runs and whom it tells.

    device: a PyTorch device name; seed: makes a run repeatable on one device.
    """

    progress: Progress = field(default_factory=Progress)
    device: str = "cpu"
    seed: int = 0

    def silent(self) -> Progress:
        """For a stage whose messages would confuse; cancelling still works."""
        return _Silent(self.progress)


class _Silent(Progress):
    """Passes on nothing but the chance to cancel."""

    def __init__(self, whole: Progress) -> None:
        self._whole = whole

    def step(self, fraction: float, message: str = "") -> None:
        self._whole.check()
