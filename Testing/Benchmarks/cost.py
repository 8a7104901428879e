"""Seconds and memory of a piece of work, measured alike for ours and for peers. Needs the standard library only."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import time
from types import TracebackType

from regsuite import memory


class Cost:
    """``with Cost() as cost``: cost.seconds, and cost.memory_mb, the most resident memory (MiB) above that at entry."""

    def __enter__(self) -> Cost:
        gc.collect()
        _give_back()
        memory.reset_peak()
        self._entry = memory.peak_mb()
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._started
        self.memory_mb = memory.peak_mb() - self._entry

    @property
    def figures(self) -> dict[str, float]:
        """By name."""
        return {"seconds": self.seconds, "memory_mb": self.memory_mb}


def _give_back() -> None:
    """Freed memory that the allocator still holds would hide what the next case takes (glibc; elsewhere nothing)."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
