"""The temporary folder that a client and its worker share, and the sweeping of folders whose owners died.

The owner holds a lock on a file in the folder for as long as it lives. The system lets go of it however the owner ends,
so a free lock means a dead owner, whatever process has its number by now.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

PREFIX = "regsuite-session-"
_LOCK = "owner.lock"


class Session:
    """A new folder of this process, with room for temporary files in ``scratch``."""

    def __init__(self) -> None:
        self.folder, self._lock = _make()
        self.scratch = self.folder / "scratch"
        self.scratch.mkdir()

    def remove(self) -> None:
        """Takes the folder away with all that is in it."""
        os.close(self._lock)
        remove(self.folder)


def sweep() -> None:
    """Removes the folders that dead processes left behind."""
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        lock = _acquire(folder / _LOCK, create=False)
        if lock is not None:
            os.close(lock)
            remove(folder)


def remove(folder: Path) -> None:
    """Deletes a folder; a file that is still being written or held open gets a second to be let go of.

    What cannot be deleted even then is left for the next sweep.
    """
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def _make() -> tuple[Path, int]:
    """A folder and the lock on it; again where a sweep came between the folder and its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = _acquire(folder / _LOCK, create=True)
        if lock is not None:
            return folder, lock


def _acquire(file: Path, create: bool) -> int | None:
    """The lock on ``file``, or None where another process has it or the file is not there."""
    try:
        descriptor = os.open(file, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
    except OSError:
        return None
    try:
        _lock(descriptor)
        if os.path.samestat(os.fstat(descriptor), file.stat()):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


if sys.platform == "win32":

    def _lock(descriptor: int) -> None:
        """OSError where another process has the lock."""
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:

    def _lock(descriptor: int) -> None:
        """OSError where another process has the lock."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
