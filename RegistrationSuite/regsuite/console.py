"""Progress on a terminal: one line that is updated; in a log file: a line now and then."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

from regsuite.progress import Progress

_BAR = 24
_TERMINAL_SECONDS = 0.1
_LOG_SECONDS = 15.0
_LOG_STEP = 0.1


class ConsoleProgress(Progress):
    """Bar, share, time left and what is being done, on ``stream`` (standard error where none is given)."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._start = clock()
        self._terminal = self._stream.isatty()
        self._shown_at = -_LOG_SECONDS
        self._shown = -1.0
        self._width = 0

    def step(self, fraction: float, message: str = "") -> None:
        if self._due(fraction):
            self._shown, self._shown_at = fraction, self._clock()
            self._show(f"{fraction:4.0%}  {self._time(fraction)}  {message}".rstrip(), fraction)

    def log(self, text: str) -> None:
        self._clear()
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Leaves the line."""
        self._clear()
        self._stream.flush()

    def _due(self, fraction: float) -> bool:
        waited = self._clock() - self._shown_at
        if self._terminal:
            return waited >= _TERMINAL_SECONDS or fraction >= 1
        return fraction - self._shown >= _LOG_STEP or waited >= _LOG_SECONDS or fraction >= 1 > self._shown

    def _time(self, fraction: float) -> str:
        """Time left, as far as the time taken tells; at the end the time taken."""
        taken = self._clock() - self._start
        if fraction >= 1:
            return f"{_clock_text(taken)} taken"
        return f"{_clock_text(taken * (1 - fraction) / fraction)} left" if fraction >= 0.01 else "-:-- left"

    def _show(self, text: str, fraction: float) -> None:
        if not self._terminal:
            self._stream.write(text.strip() + "\n")
        else:
            done = round(_BAR * fraction)
            line = f"[{'#' * done}{'-' * (_BAR - done)}] {text}"[: shutil.get_terminal_size().columns - 1]
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        self._stream.flush()

    def _clear(self) -> None:
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._width = 0


def _clock_text(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
