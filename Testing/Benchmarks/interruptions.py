"""Jobs cancelled and workers killed at random moments, and what they leave behind."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from regsuite import jobs, phantoms
from regsuite.jobs import Job, Message, WorkerClient
from regsuite.registration import Registration

from Benchmarks.workshop import Missing

_PROCESSES = Path("/proc")
_PATIENCE = 5.0
"""Seconds that a process may take to end."""
_LONGEST = 600.0
"""Seconds after which a job that says nothing is given up."""
_METHOD, _QUICK = "weighted-metamorphosis", {"iterations": 10, "steps": 4, "levels": 2}


def interrupt(how: str, count: int, every: int) -> dict[str, Any]:
    """Cancels or kills ``count`` jobs: leftovers (files and processes), and whether the next run gives the same in mm.

    how: "cancel" or "kill"; of every ``every`` jobs one is met while its method runs, the others while they start.
    """
    if not _PROCESSES.is_dir():
        raise Missing("What processes are left is counted through /proc, which this system has not.")
    case = phantoms.shapes_2d((64, 56), spacing=1.8)
    task = Job(_METHOD, case.inputs, _QUICK, device="cpu")
    expected = jobs.run(task).transform
    rng = random.Random(0)
    with tempfile.TemporaryDirectory(prefix="regsuite-bench-") as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        client = WorkerClient()
        left = 0
        for number in range(count):
            client.submit(task)
            if number % every == 0:
                _wait(client, "curve")
                time.sleep(rng.uniform(0, 1))
            else:
                time.sleep(10 ** rng.uniform(-3, 0))
            _END[how](client)
            left += _leftovers(Path(folder))
        client.submit(task)
        again = _wait(client, "done")[-1].result
        assert isinstance(again, Registration)
        client.close()
        left += _leftovers(Path(folder))
    points = case.fixed.grid.points()
    return {"left": left, "next_mm": float((again.transform.points(points) - expected.points(points)).abs().max())}


def _cancel(client: WorkerClient) -> None:
    client.cancel()


def _kill(client: WorkerClient) -> None:
    """As the system does when memory runs out; the job may just have ended."""
    temporary = Path(tempfile.gettempdir())
    while not (workers := _workers(temporary)):  # its variables are not to be read before it has begun
        time.sleep(0.001)
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    deadline = time.monotonic() + _PATIENCE
    while any(temporary.iterdir()) and time.monotonic() < deadline:
        client.poll()  # a process is not gone before the last of its threads is
        time.sleep(0.005)


_END = {"cancel": _cancel, "kill": _kill}


def _wait(client: WorkerClient, kind: str) -> list[Message]:
    """All messages up to one of that kind."""
    messages: list[Message] = []
    deadline = time.monotonic() + _LONGEST
    while not any(message.kind == kind for message in messages):
        messages += client.poll()
        failures = [message.text for message in messages if message.kind == "failed"]
        if failures or time.monotonic() > deadline:
            raise RuntimeError(f"a job did not come to '{kind}': {failures}")
        time.sleep(0.005)
    return messages


def _leftovers(temporary: Path) -> int:
    """Files in the temporary folder, and processes that use it."""
    return len(_gone(temporary)) + len(list(temporary.iterdir()))


def _gone(temporary: Path) -> list[int]:
    """The processes that use the folder still, after they had time to end."""
    deadline = time.monotonic() + _PATIENCE
    while (left := _workers(temporary)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def _workers(temporary: Path) -> list[int]:
    """Living processes, but this one, whose temporary files go there."""
    return [int(folder.name) for folder in _PROCESSES.glob("[0-9]*") if _is_worker(folder, str(temporary).encode())]


def _is_worker(process: Path, temporary: bytes) -> bool:
    try:
        environment, state = (process / "environ").read_bytes(), (process / "stat").read_text().rpartition(")")[2]
    except OSError:  # ended meanwhile, or another user's
        return False
    return b"TMPDIR=" + temporary in environment and int(process.name) != os.getpid() and state.split()[0] != "Z"
