"""One registration as data: which method, on what, with which values."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regsuite.spatial import Image, LabelImage, PointSet


@dataclass(frozen=True)
class Job:
    """What is to be run.

    inputs: by role, in memory or as the path of a file; parameters: values, or texts as a user types them;
    device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1"...
    """

    method: str
    inputs: Mapping[str, Image | LabelImage | PointSet | str | os.PathLike[str]]
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
    described["inputs"] = {
        role: {"kind": "file", "path": os.path.abspath(value)}
        if isinstance(value, (str, os.PathLike))
        else writer.spatial(value)
        for role, value in job.inputs.items()
    }
    np.savez(folder / "job.npz", **writer.arrays)  # type: ignore[arg-type]
    (folder / "job.json").write_text(json.dumps(described), encoding="utf-8")


def load(folder: Path) -> Job:
    """Read what :func:`save` wrote."""
    import numpy as np

    from regsuite.archive import Reader

    described = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    with np.load(folder / "job.npz", allow_pickle=False) as arrays:
        reader = Reader(arrays)
        inputs = {
            role: value["path"] if value["kind"] == "file" else reader.spatial(value)
            for role, value in described["inputs"].items()
        }
    return Job(**{**described, "inputs": inputs})
