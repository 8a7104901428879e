"""The client of a worker process. It polls files, has no threads, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import regsuite
from regsuite import catalog
from regsuite.errors import JobFailed
from regsuite.jobs import job as jobs
from regsuite.jobs.failures import plain_failures
from regsuite.jobs.job import Job
from regsuite.jobs.message import FILE, Message, Tail
from regsuite.jobs.process import OWN_GROUP, end_tree
from regsuite.jobs.session import Session, sweep

if TYPE_CHECKING:
    from regsuite.spatial import Image

_LOG = "worker.log"


class WorkerClient:
    """Runs jobs, one at a time, in a worker process that stays warm between them.

    python: the interpreter, in Slicer ``PythonSlicer``; environment: the worker's variables. Both default to this
    process's own.
    """

    def __init__(self, python: str | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._python = python or sys.executable
        self._environment = os.environ if environment is None else environment
        self._worker: _Worker | None = None
        self._job: Path | None = None
        self._count = 0

    @property
    def running(self) -> bool:
        """Whether a job was submitted and its end not yet polled."""
        return self._job is not None

    def start(self) -> None:
        """Starts the worker, so that the first job finds it warm; submit does it where this was not called."""
        if self._worker is not None and self._worker.process.poll() is not None:
            self._end()
        if self._worker is None:
            sweep()
            self._worker = _Worker(self._python, self._environment)

    def submit(self, job: Job) -> None:
        """Hands a job to the worker; poll tells how it goes.

        Raises InputError for an unknown method or value, JobFailed where a job is running or no worker starts.
        """
        if self.running:
            raise JobFailed("A registration is running: wait for its end or cancel it first.")
        values = dataclasses.asdict(catalog.method(job.method).check_values(job.parameters))
        self.start()
        assert self._worker is not None
        self._count += 1
        folder = self._worker.session.folder / f"job-{self._count}"
        folder.mkdir()
        with plain_failures():
            jobs.save(dataclasses.replace(job, parameters=values), folder)
        self._job = folder
        self._worker.tell(folder.name)

    def poll(self) -> list[Message]:
        """The news since the last poll, oldest first; of several previews the newest."""
        if self._worker is None:
            return []
        ended = self._worker.process.poll() is not None  # asked first: the last words of a dying worker are not missed
        records = self._worker.tail.records()
        previews = [record for record in records if record["kind"] == "preview"]
        told = [_message(record) for record in records if record["kind"] != "preview" or record is previews[-1]]
        messages = [message for message in told if message is not None]
        if any(message.kind in ("done", "failed") for message in messages):
            self._forget_job()
        if ended:
            messages += [Message("failed", self._worker.last_words())] if self.running else []
            self._end()
        return messages

    def cancel(self) -> None:
        """Ends the job at once, and the worker with its children; the next submit starts another."""
        self._end()

    def close(self) -> None:
        """Ends the worker."""
        self._end()

    def _forget_job(self) -> None:
        if self._job is not None:
            shutil.rmtree(self._job, ignore_errors=True)
        self._job = None

    def _end(self) -> None:
        if self._worker is not None:
            self._worker.end()
        self._worker = self._job = None


class _Worker:
    """A worker process with its session; both are gone after ``end``, which also runs when this process exits."""

    def __init__(self, python: str, environment: Mapping[str, str]) -> None:
        self.session = Session()
        self.tail = Tail(self.session.folder / FILE)
        command = [python, "-m", "regsuite.jobs.worker", str(self.session.folder)]
        try:
            with (self.session.folder / _LOG).open("wb") as log:
                self.process = subprocess.Popen(
                    command,
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=_environment(environment, self.session.scratch),
                    **OWN_GROUP,
                )
        except OSError as error:
            self.session.remove()
            sentence = f"The worker process '{python}' does not start ({error.strerror}): check its path."
            raise JobFailed(sentence) from error
        self.end = weakref.finalize(self, _end, self.process, self.session, os.getpid())

    def tell(self, line: str) -> None:
        """A line for the worker; where it has just died, the next poll says so."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(f"{line}\n".encode())

    def last_words(self) -> str:
        """The sentence for a worker that ended without being asked."""
        code = self.process.returncode
        if code < 0:
            reason = "killed, perhaps out of memory"
        else:
            lines = (self.session.folder / _LOG).read_text(encoding="utf-8", errors="replace").splitlines()
            reason = "; ".join([f"exit code {code}", *(line.strip().rstrip(".") for line in lines[-1:])])
        return (
            f"The worker process ended unexpectedly ({reason}): run again, at a lower resolution or on smaller images "
            "where memory is short."
        )


def _environment(given: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """The worker's variables: it finds this regsuite, and its temporary files go with the session."""
    own = str(Path(regsuite.__file__).resolve().parents[1])
    paths = [own, *filter(None, given.get("PYTHONPATH", "").split(os.pathsep))]
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    return {**given, **temporary, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}


def _end(process: subprocess.Popen[bytes], session: Session, owner: int) -> None:
    if os.getpid() != owner:
        return  # a fork of the client drops its copy
    end_tree(process.pid)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
    session.remove()


def _message(record: dict[str, Any]) -> Message | None:
    """A message from its line; None for a preview that has been replaced already."""
    if record["kind"] == "preview":
        image = _preview(Path(record["file"]), record["image"])
        return None if image is None else Message("preview", image=image)
    if record["kind"] == "done":
        return _done(Path(record["folder"]))
    return Message(**record)


def _preview(file: Path, described: Mapping[str, Any]) -> Image | None:
    import numpy as np

    from regsuite.archive import Reader

    try:
        with np.load(file, allow_pickle=False) as arrays:
            return Reader(arrays).image(described)
    except FileNotFoundError:
        return None


def _done(folder: Path) -> Message:
    from regsuite.registration import load

    try:
        with plain_failures():
            return Message("done", result=load(folder))
    except JobFailed as error:
        return Message("failed", str(error))
