"""What a computer can lack, told in one sentence."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from regsuite.errors import InputError, JobFailed

_NO_MEMORY = ("DefaultCPUAllocator", "can't allocate memory", "not enough memory", "bad_alloc", "Failed to allocate")


@contextmanager
def plain_failures() -> Iterator[None]:
    """Raises JobFailed where memory, disk space or a Python package is missing; other errors pass."""
    try:
        yield
    except (InputError, JobFailed):
        raise
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        raise JobFailed(sentence) from error


def _sentence(error: Exception) -> str | None:
    if isinstance(error, ModuleNotFoundError):
        return f"The Python package '{error.name}' is missing: install it and run again."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"The disk is full ({error.filename or 'temporary files'}): free some space and run again."
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in _NO_MEMORY):
        return (
            "The computer ran out of memory: lower the resolution, crop the images or close other programs, and run "
            "again."
        )
    return None
