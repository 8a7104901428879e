"""What methods return, and how it is kept on disk between processes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from regsuite.archive import Reader, Writer
from regsuite.learning.checkpoint import Checkpoint
from regsuite.spatial import Grid, Image, LabelImage, Surface
from regsuite.transforms import Transform


@dataclass
class Curve:
    """Lines over a common x, by name."""

    x: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)
    x_title: str = ""
    y_title: str = ""

    def add(self, x: float, **values: float) -> None:
        """One more point on every line."""
        self.x.append(float(x))
        for name, value in values.items():
            self.values.setdefault(name, []).append(float(value))


@dataclass
class Table:
    """Rows of text and numbers under named columns."""

    title: str
    columns: list[str]
    rows: list[list[Any]]


@dataclass(kw_only=True)
class Result:
    """What every run gives, beside what it was run for.

    curves and tables go by the names of the method's declared outputs. notes are what a user should know of this
    result, one sentence each; record says how it was made, and under ``chosen`` what a method put for parameters that
    were left to it, by name.
    """

    curves: dict[str, Curve] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)


@dataclass
class Registration(Result):
    """The result of a registration, on the fixed image's grid.

    transform takes fixed to moving points, inverse the other way. labels, images, sequences and surfaces go by the
    names of the method's declared outputs; labels may lie on any grid, such as the moving image's, and sequences of
    placed slices on one for each frame.
    """

    transform: Transform
    inverse: Transform
    fixed_grid: Grid
    warped: Image | None = None
    warped_labels: LabelImage | None = None
    labels: dict[str, LabelImage] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    sequences: dict[str, list[Image]] = field(default_factory=dict)
    surfaces: dict[str, Surface] = field(default_factory=dict)


def lie_apart(frames: Sequence[Image], fixed_grid: Grid) -> bool:
    """Whether a sequence's frames are slices of a volume, each put somewhere in it, and no moments or candidates."""
    return 1 not in fixed_grid.shape and all(1 in frame.grid.shape for frame in frames)


@dataclass
class Series(Result):
    """Registrations that were found together, by the names of what was registered."""

    parts: dict[str, Registration]


@dataclass
class Training(Result):
    """The result of a training."""

    checkpoint: Checkpoint


def save(result: Result, folder: Path | str) -> None:
    """Write ``result.json`` and ``result.npz`` into an existing folder."""
    writer = Writer()
    described = _described(result, writer)
    np.savez(Path(folder) / "result.npz", **writer.arrays)  # type: ignore[arg-type]
    (Path(folder) / "result.json").write_text(json.dumps(described), encoding="utf-8")


def _described(result: Result, writer: Writer) -> dict[str, Any]:
    described: dict[str, Any] = {
        "curves": {name: asdict(curve) for name, curve in result.curves.items()},
        "tables": {name: asdict(table) for name, table in result.tables.items()},
        "metrics": result.metrics,
        "notes": result.notes,
        "record": result.record,
    }
    if isinstance(result, Registration):
        described |= _registration(result, writer)
    elif isinstance(result, Training):
        described |= {"checkpoint": writer.checkpoint(result.checkpoint)}
    elif isinstance(result, Series):
        described |= {"parts": {name: _described(part, writer) for name, part in result.parts.items()}}
    return described


def _registration(registration: Registration, writer: Writer) -> dict[str, Any]:
    return {
        "transform": writer.transform(registration.transform),
        "inverse": writer.transform(registration.inverse),
        "fixed_grid": writer.grid(registration.fixed_grid),
        "warped": registration.warped and writer.image(registration.warped),
        "warped_labels": registration.warped_labels and writer.labels(registration.warped_labels),
        "labels": {name: writer.labels(labels) for name, labels in registration.labels.items()},
        "images": {name: writer.image(image) for name, image in registration.images.items()},
        "sequences": {name: [writer.image(frame) for frame in seq] for name, seq in registration.sequences.items()},
        "surfaces": {name: writer.surface(surface) for name, surface in registration.surfaces.items()},
    }


def load(folder: Path | str) -> Result:
    """Read what :func:`save` wrote; no code in the files is executed."""
    data = json.loads((Path(folder) / "result.json").read_text(encoding="utf-8"))
    with np.load(Path(folder) / "result.npz", allow_pickle=False) as arrays:
        return _result(data, Reader(arrays))


def _result(data: Mapping[str, Any], reader: Reader) -> Result:
    common = {
        "curves": {name: Curve(**curve) for name, curve in data["curves"].items()},
        "tables": {name: Table(**table) for name, table in data["tables"].items()},
        **{name: data[name] for name in ("metrics", "notes", "record")},
    }
    if "checkpoint" in data:
        return Training(checkpoint=reader.checkpoint(data["checkpoint"]), **common)
    if "parts" in data:
        parts = {name: _result(part, reader) for name, part in data["parts"].items()}
        return Series(parts={name: part for name, part in parts.items() if isinstance(part, Registration)}, **common)
    return Registration(
        transform=reader.transform(data["transform"]),
        inverse=reader.transform(data["inverse"]),
        fixed_grid=reader.grid(data["fixed_grid"]),
        warped=data["warped"] and reader.image(data["warped"]),
        warped_labels=data["warped_labels"] and reader.labels(data["warped_labels"]),
        labels={name: reader.labels(labels) for name, labels in data["labels"].items()},
        images={name: reader.image(image) for name, image in data["images"].items()},
        sequences={name: [reader.image(frame) for frame in seq] for name, seq in data["sequences"].items()},
        surfaces={name: reader.surface(surface) for name, surface in data["surfaces"].items()},
        **common,
    )
