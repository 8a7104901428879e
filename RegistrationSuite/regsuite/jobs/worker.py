"""The worker process: ``python -m regsuite.jobs.worker <session folder>``.

Names of job folders come in on standard input, a line each; news goes into the session's message file, arrays into the
job's folder. When standard input closes, the client is gone: the worker removes the session's folder and ends.
"""

from __future__ import annotations

import contextlib
import importlib
import queue
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regsuite.errors import InputError, JobFailed
from regsuite.jobs import device, local, message, process, session
from regsuite.jobs import job as jobs
from regsuite.jobs.failures import plain_failures
from regsuite.progress import Progress

if TYPE_CHECKING:
    from regsuite.spatial import Image

_STEP_SECONDS = 0.05
_PREVIEW_SECONDS = 0.5
_PREVIEW_VOXELS = 500_000

_writing = threading.Lock()
"""Held while a file of the session is written, and for good once the session is being removed."""


class Outbox(Progress):
    """Writes a job's news for the client. Steps and previews that come faster than anyone looks are left out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._told: dict[str, float] = {}
        self._text = ""
        self._previews = 0

    def send(self, kind: str, **content: Any) -> None:
        """One message."""
        with _writing:
            message.append(self.folder.parent / message.FILE, {"kind": kind, **content})

    def step(self, fraction: float, message: str = "") -> None:
        if self._due("step", _STEP_SECONDS) or message != self._text or fraction >= 1:
            self._text = message
            self.send("progress", fraction=float(fraction), text=message)

    def log(self, text: str) -> None:
        self.send("log", text=text)

    def curve(self, name: str, x: float, **values: float) -> None:
        self.send("curve", name=name, x=float(x), values={key: float(value) for key, value in values.items()})

    def preview(self, image: Image) -> None:
        if self._due("preview", _PREVIEW_SECONDS):
            self._write_preview(_small(image))

    def _due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        due = now - self._told.get(what, -seconds) >= seconds
        if due:
            self._told[what] = now
        return due

    def _write_preview(self, image: Image) -> None:
        """The newest preview takes the place of the one before, so that a client that does not look costs no disk."""
        import numpy as np

        from regsuite.archive import Writer

        writer = Writer()
        described = writer.image(image)
        with _writing:
            np.savez(self._preview_file(), **writer.arrays)  # type: ignore[arg-type]
        self.send("preview", file=str(self._preview_file()), image=described)
        self._previews += 1
        with contextlib.suppress(OSError):  # on Windows, while the client reads it
            self._preview_file(back=2).unlink(missing_ok=True)

    def _preview_file(self, back: int = 0) -> Path:
        return self.folder / f"preview-{self._previews - back}.npz"


def _small(image: Image) -> Image:
    """Coarser where it has more voxels than a preview needs."""
    image = image.to("cpu")
    factor = (image.grid.voxel_count / _PREVIEW_VOXELS) ** (1 / image.grid.dim)
    return image if factor <= 1 else image.resampled(image.grid.resampled([s * factor for s in image.grid.spacing]))


def _serve(outbox: Outbox) -> None:
    """Runs one job; its last message is 'done' or 'failed', whatever happens."""
    try:
        with plain_failures():
            _run(outbox)
    except (InputError, JobFailed) as error:
        outbox.send("failed", text=str(error))
    except Exception as error:  # noqa: BLE001  the client is told of every error of every method
        outbox.log(traceback.format_exc())
        reason = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(".")
        outbox.send("failed", text=f"The method stopped on its own error ({reason}): please report it with the log.")


def _run(outbox: Outbox) -> None:
    from regsuite.registration import save

    done = local.execute(jobs.load(outbox.folder), outbox)
    result = outbox.folder / "result"
    with _writing:
        result.mkdir()
        save(done, result)
    outbox.send("done", folder=str(result))


def _listen(folder: Path, waiting: queue.Queue[Outbox]) -> None:
    """Queues the jobs that are asked for; at the end of input takes the session away and ends everything."""
    for line in sys.stdin:
        waiting.put(Outbox(folder / line.strip()))
    _writing.acquire()
    session.remove(folder)
    process.end_own_tree()


def main(folder: Path) -> None:
    """Serve jobs until the client goes."""
    waiting: queue.Queue[Outbox] = queue.Queue()
    threading.Thread(target=_listen, args=(folder, waiting), daemon=True).start()
    with contextlib.suppress(ModuleNotFoundError):  # the first job will say so
        importlib.import_module("regsuite.checks")  # and torch with it, while the user is still choosing
    while True:
        _serve(waiting.get())
        if "torch" in sys.modules:
            device.release()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
