"""What a worker tells its client: one JSON object a line, in a file that only grows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from regsuite.registration import Result
    from regsuite.spatial import Image

FILE = "messages.jsonl"
"""The file's name in a session's folder."""

Kind = Literal["progress", "log", "curve", "preview", "done", "failed"]


@dataclass(frozen=True)
class Message:
    """News of a running job.

    progress: fraction (0 to 1) and text; log: text; curve: name, x and values; preview: image; done: result;
    failed: text, one sentence.
    """

    kind: Kind
    text: str = ""
    fraction: float = 0.0
    name: str = ""
    x: float = 0.0
    values: Mapping[str, float] = field(default_factory=dict)
    image: Image | None = None
    result: Result | None = None


def append(file: Path, record: Mapping[str, Any]) -> None:
    """One more line; it is complete on disk when this returns."""
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record) + "\n")


class Tail:
    """Reads the lines that were added to a file since the last look."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._position = 0

    def records(self) -> list[dict[str, Any]]:
        """The complete new lines; half a line waits for its end."""
        if not self._file.exists():
            return []
        with self._file.open("rb") as stream:
            stream.seek(self._position)
            whole, newline, _ = stream.read().rpartition(b"\n")
        self._position += len(whole) + len(newline)
        return [json.loads(line) for line in whole.splitlines()]
