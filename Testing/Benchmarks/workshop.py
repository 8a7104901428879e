"""Runs measured cases, each in a fresh process with the same number of threads, so that peaks of memory do not mix."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

_HERE = Path(__file__).resolve()
_ROOT = _HERE.parents[2]
_LIBRARIES = (_HERE.parents[1], _ROOT / "RegistrationSuite")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
_LONGEST = 160
DATA = "REGSUITE_DATA"


class Missing(Exception):
    """Data or a peer that is not here, in plain words; what needs it is skipped."""


class CaseFailed(Exception):
    """A case that broke, in one sentence."""


class Workshop:
    """Measured cases and the temporary folder they share; the same question is answered once.

    pictures: where pictures for people are left, or None; tables: by name, as :func:`Benchmarks.rows.table` makes them.
    """

    def __init__(self, tell: Callable[[str], None] = lambda text: None, pictures: Path | None = None) -> None:
        self._tell = tell
        self.pictures = pictures
        self.tables: dict[str, dict[str, Any]] = {}
        self._replies: dict[str, dict[str, Any]] = {}
        self._temporary = tempfile.TemporaryDirectory(prefix="regsuite-bench-")
        self.folder = Path(self._temporary.name)

    def __enter__(self) -> Workshop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._temporary.cleanup()

    def run(self, function: str, *, python: str = sys.executable, **arguments: Any) -> Any:
        """What ``module:function`` of this package returns in a process of its own.

        Arguments and answer are plain JSON; python: another interpreter, for a peer that lives in its own environment.
        Raises Missing or CaseFailed as the function does.
        """
        key = json.dumps([function, python, arguments], sort_keys=True)
        if key not in self._replies:
            self._replies[key] = self._asked(function, python, arguments)
        reply = self._replies[key]
        if "missing" in reply:
            raise Missing(reply["missing"])
        if "failed" in reply:
            raise CaseFailed(reply["failed"])
        return reply["value"]

    def _asked(self, function: str, python: str, arguments: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        words = ", ".join(str(value) for value in arguments.values() if not _is_path(value))[:_LONGEST]
        self._tell(f"{function.partition(':')[2]} ({words}) ...")
        answer = self.folder / "answer.json"
        answer.unlink(missing_ok=True)
        asked = {"function": function, "arguments": arguments, "answer": str(answer)}
        done = subprocess.run(
            [python, "-m", "Benchmarks.child"],
            input=json.dumps(asked),
            text=True,
            encoding="utf-8",
            stdout=sys.stderr.fileno(),
            env=_environment(),
            check=False,
        )
        self._tell(f"  {time.perf_counter() - started:.0f} s")
        if not answer.exists():
            return {"failed": f"The process of {function} ended with code {done.returncode}."}
        return json.loads(answer.read_text(encoding="utf-8"))


def _is_path(value: Any) -> bool:
    """Or a list or a dictionary of them."""
    if isinstance(value, dict):
        return any(map(_is_path, value.values()))
    return any(map(_is_path, value)) if isinstance(value, list) else isinstance(value, str) and os.sep in value


def threads() -> int:
    """Of every measured case, ours and the peers': OMP_NUM_THREADS, or one a core."""
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


def _environment() -> dict[str, str]:
    paths = [*map(str, _LIBRARIES), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **dict.fromkeys(_THREADS, str(threads())), "PYTHONPATH": os.pathsep.join(paths)}


def peer_python(package: str, module: str, variable: str) -> str:
    """The interpreter that has a peer: the one that the environment variable names, or this one; Missing where none."""
    given = os.environ.get(variable)
    if given is None and importlib.util.find_spec(module) is None:
        raise Missing(f"{package} is not installed: name an interpreter that has it with {variable}.")
    return given or sys.executable


def data_folder(name: str) -> Path:
    """A data set's folder, in REGSUITE_DATA or in shared/data beside the checkout; Missing where it is not there."""
    given = os.environ.get(DATA)
    folder = (Path(given) if given else _ROOT.parent / "shared" / "data") / name
    if not folder.is_dir():
        raise Missing(f"There is no data set '{name}': name the folder it is in with {DATA}.")
    return folder
