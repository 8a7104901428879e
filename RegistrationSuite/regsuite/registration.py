"""What every method returns, and how it is kept on disk between processes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from regsuite.archive import Reader, Writer
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


@dataclass
class Registration:
    """The result of a method, on the fixed image's grid.

    transform takes fixed to moving points, inverse the other way. labels, images, sequences, surfaces, curves and
    tables go by the names of the method's declared outputs; labels may lie on any grid, such as the moving image's.
    notes are what a user should know of this result, one sentence each; record says how it was made, and under
    ``chosen`` what a method put for parameters that were left to it, by name.
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
    curves: dict[str, Curve] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)


def save(registration: Registration, folder: Path | str) -> None:
    """Write ``registration.json`` and ``registration.npz`` into an existing folder."""
    writer = Writer()
    described = {
        "transform": writer.transform(registration.transform),
        "inverse": writer.transform(registration.inverse),
        "fixed_grid": writer.grid(registration.fixed_grid),
        "warped": registration.warped and writer.image(registration.warped),
        "warped_labels": registration.warped_labels and writer.labels(registration.warped_labels),
        "labels": {name: writer.labels(labels) for name, labels in registration.labels.items()},
        "images": {name: writer.image(image) for name, image in registration.images.items()},
        "sequences": {name: [writer.image(frame) for frame in seq] for name, seq in registration.sequences.items()},
        "surfaces": {name: writer.surface(surface) for name, surface in registration.surfaces.items()},
        "curves": {name: asdict(curve) for name, curve in registration.curves.items()},
        "tables": {name: asdict(table) for name, table in registration.tables.items()},
        "metrics": registration.metrics,
        "notes": registration.notes,
        "record": registration.record,
    }
    np.savez(Path(folder) / "registration.npz", **writer.arrays)  # type: ignore[arg-type]
    (Path(folder) / "registration.json").write_text(json.dumps(described), encoding="utf-8")


def load(folder: Path | str) -> Registration:
    """Read what :func:`save` wrote; no code in the files is executed."""
    data = json.loads((Path(folder) / "registration.json").read_text(encoding="utf-8"))
    with np.load(Path(folder) / "registration.npz", allow_pickle=False) as arrays:
        reader = Reader(arrays)
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
            curves={name: Curve(**curve) for name, curve in data["curves"].items()},
            tables={name: Table(**table) for name, table in data["tables"].items()},
            metrics=data["metrics"],
            notes=data["notes"],
            record=data["record"],
        )
