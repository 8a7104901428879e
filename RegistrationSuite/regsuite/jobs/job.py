"""One registration as data: which method, on what, with which values."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regsuite.archive import Writer
    from regsuite.spatial import Image, LabelImage, PointSet, SectionSet, SliceSet, Surfaces

    Given = Image | LabelImage | PointSet | SectionSet | SliceSet | Surfaces | str | os.PathLike[str]


@dataclass(frozen=True)
class Job:
    """What is to be run.

    inputs: by role, in memory, as the path of a file, or, of surfaces, sections and slices, as a list of paths;
    parameters: values, or texts as a user types them;
    device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1"...
    """

    method: str
    inputs: Mapping[str, Given | Sequence[str | os.PathLike[str]]]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"


def save(job: Job, folder: Path) -> None:
    """Write the job into an existing folder, for another process."""
    import numpy as np

    from regsuite.archive import Writer

    writer = Writer()
    described = {item.name: getattr(job, item.name) for item in dataclasses.fields(job)}
    described["parameters"] = dict(job.parameters)
    described["inputs"] = {role: _described(value, writer) for role, value in job.inputs.items()}
    np.savez(folder / "job.npz", **writer.arrays)  # type: ignore[arg-type]
    (folder / "job.json").write_text(json.dumps(described), encoding="utf-8")


def _described(value: Any, writer: Writer) -> dict[str, Any]:
    if isinstance(value, (str, os.PathLike)):
        return {"kind": "file", "path": os.path.abspath(value)}
    if isinstance(value, Sequence):
        return {"kind": "files", "paths": [os.path.abspath(path) for path in value]}
    return writer.value(value)


def load(folder: Path) -> Job:
    """Read what :func:`save` wrote."""
    import numpy as np

    from regsuite.archive import Reader

    described = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    with np.load(folder / "job.npz", allow_pickle=False) as arrays:
        reader = Reader(arrays)
        inputs = {
            role: value["path"] if value["kind"] == "file" else value.get("paths") or reader.value(value)
            for role, value in described["inputs"].items()
        }
    return Job(**{**described, "inputs": inputs})
