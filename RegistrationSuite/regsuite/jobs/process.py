"""Ending a process together with every process it started."""

from __future__ import annotations

import os
import sys
from typing import Any

if sys.platform == "win32":
    import subprocess

    OWN_GROUP: dict[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    """How Popen starts a process that can be ended with its children and shows no window."""

    def end_tree(process: int) -> None:
        """Ends the process and its children at once."""
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process)], capture_output=True, check=False)

else:
    import contextlib
    import signal

    OWN_GROUP: dict[str, Any] = {"start_new_session": True}
    """How Popen starts a process that can be ended with its children and shows no window."""

    def end_tree(process: int) -> None:
        """Ends the process, a leader of its group, and its children at once."""
        # macOS answers EPERM where only ended processes are left in the group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process, signal.SIGKILL)


def end_own_tree() -> None:
    """Ends this process, all that it started, and the launcher in its group that started it."""
    end_tree(os.getpid() if sys.platform == "win32" else os.getpgrp())
