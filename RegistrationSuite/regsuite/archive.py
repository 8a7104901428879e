"""Images, labels, points and transforms as JSON beside plain arrays: what processes hand to each other. No pickles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from regsuite.learning.checkpoint import Checkpoint
from regsuite.spatial import Grid, Image, LabelImage, PointSet, SectionSet, SliceSet, Surface, Surfaces
from regsuite.transforms import Affine, Chain, DisplacementField, StationaryVelocity, TimeVelocity, Transform

_ON_GRID: dict[str, Any] = {
    "displacement": DisplacementField,
    "stationary": StationaryVelocity,
    "velocity": TimeVelocity,
}
Value = Image | LabelImage | PointSet | Surfaces | SectionSet | SliceSet | Checkpoint


class Writer:
    """Describes values for JSON and collects their ``arrays`` under unique keys."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def array(self, value: torch.Tensor | np.ndarray) -> str:
        """The key of an array."""
        key = f"a{len(self.arrays)}"
        self.arrays[key] = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
        return key

    def grid(self, grid: Grid) -> dict[str, Any]:
        """Shape, spacing, origin and direction."""
        return asdict(grid)

    def image(self, image: Image) -> dict[str, Any]:
        """Data, grid and name."""
        return {"kind": "image", "data": self.array(image.data), "grid": self.grid(image.grid), "name": image.name}

    def labels(self, labels: LabelImage) -> dict[str, Any]:
        """Data, grid, names, colours and terms."""
        return {
            "kind": "labels",
            "data": self.array(labels.data),
            "grid": self.grid(labels.grid),
            "names": {str(key): name for key, name in labels.names.items()},
            "colours": {str(key): list(colour) for key, colour in labels.colours.items()},
            "terms": {str(key): term for key, term in labels.terms.items()},
        }

    def points(self, points: PointSet) -> dict[str, Any]:
        """Positions and names."""
        return {"kind": "points", "points": self.array(points.points), "names": list(points.names)}

    def surface(self, surface: Surface) -> dict[str, Any]:
        """Points, triangles, name and values."""
        return {
            "points": self.array(surface.points),
            "triangles": self.array(surface.triangles),
            "name": surface.name,
            "values": {name: self.array(value) for name, value in surface.values.items()},
            "colour": surface.colour,
        }

    def checkpoint(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Weights and card."""
        weights = {name: self.array(value) for name, value in checkpoint.weights.items()}
        return {"kind": "checkpoint", "weights": weights, "card": dict(checkpoint.card)}

    def slices(self, slices: SliceSet) -> dict[str, Any]:
        """Every image of every map, and what is known of them."""
        return {
            "kind": "slices",
            "maps": {name: [self.image(image) for image in images] for name, images in slices.maps.items()},
            "units": dict(slices.units),
            "quantities": sorted(slices.quantities),
            "thickness": slices.thickness,
            "distinct": slices.distinct,
            "notes": list(slices.notes),
        }

    def value(self, value: Value) -> dict[str, Any]:
        """Whichever of these it is."""
        if isinstance(value, Checkpoint):
            return self.checkpoint(value)
        if isinstance(value, SliceSet):
            return self.slices(value)
        if isinstance(value, SectionSet):
            parts = [self.image(part) for part in value.parts]
            return {"kind": "sections", "parts": parts, "numbers": list(value.numbers)}
        if isinstance(value, Surfaces):
            return {"kind": "surfaces", "parts": [self.surface(part) for part in value.parts]}
        if isinstance(value, Image):
            return self.image(value)
        return self.labels(value) if isinstance(value, LabelImage) else self.points(value)

    def transform(self, transform: Transform) -> dict[str, Any]:
        """Any transform of regsuite.transforms; TypeError for one that is not from there."""
        if isinstance(transform, Chain):
            return {"kind": "chain", "parts": [self.transform(part) for part in transform.parts]}
        if isinstance(transform, Affine):
            return {"kind": "affine", "matrix": self.array(transform.matrix)}
        for kind, cls in _ON_GRID.items():
            if type(transform) is cls:
                on_grid: Any = transform
                return {"kind": kind, "grid": self.grid(on_grid.grid), "data": self.array(on_grid.data)}
        raise TypeError(f"a {type(transform).__name__} cannot be stored")


class Reader:
    """Rebuilds values from a description and its arrays."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = arrays

    def tensor(self, key: str) -> torch.Tensor:
        """The array of that key."""
        return torch.from_numpy(np.array(self.arrays[key]))

    def grid(self, data: Mapping[str, Any]) -> Grid:
        """What Writer.grid described."""
        direction = tuple(tuple(row) for row in data["direction"])
        return Grid(tuple(data["shape"]), tuple(data["spacing"]), tuple(data["origin"]), direction)

    def image(self, data: Mapping[str, Any]) -> Image:
        """What Writer.image described."""
        return Image(self.tensor(data["data"]), self.grid(data["grid"]), data["name"])

    def labels(self, data: Mapping[str, Any]) -> LabelImage:
        """What Writer.labels described."""
        names = {int(key): name for key, name in data["names"].items()}
        colours = {int(key): (colour[0], colour[1], colour[2]) for key, colour in data["colours"].items()}
        terms = {int(key): term for key, term in data["terms"].items()}
        return LabelImage(self.tensor(data["data"]), self.grid(data["grid"]), names, colours, terms)

    def points(self, data: Mapping[str, Any]) -> PointSet:
        """What Writer.points described."""
        return PointSet(self.tensor(data["points"]), tuple(data["names"]))

    def surface(self, data: Mapping[str, Any]) -> Surface:
        """What Writer.surface described."""
        values = {name: self.tensor(key) for name, key in data["values"].items()}
        colour = None if data["colour"] is None else (data["colour"][0], data["colour"][1], data["colour"][2])
        return Surface(self.tensor(data["points"]), self.tensor(data["triangles"]), data["name"], values, colour)

    def checkpoint(self, data: Mapping[str, Any]) -> Checkpoint:
        """What Writer.checkpoint described."""
        return Checkpoint({name: self.tensor(key) for name, key in data["weights"].items()}, data["card"])

    def slices(self, data: Mapping[str, Any]) -> SliceSet:
        """What Writer.slices described."""
        maps = {name: tuple(self.image(image) for image in images) for name, images in data["maps"].items()}
        return SliceSet(
            maps=maps,
            units=data["units"],
            quantities=frozenset(data["quantities"]),
            thickness=data["thickness"],
            distinct=data["distinct"],
            notes=tuple(data["notes"]),
        )

    def value(self, data: Mapping[str, Any]) -> Value:
        """What Writer.value described."""
        if data["kind"] == "checkpoint":
            return self.checkpoint(data)
        if data["kind"] == "slices":
            return self.slices(data)
        if data["kind"] == "sections":
            return SectionSet([self.image(part) for part in data["parts"]], data["numbers"])
        if data["kind"] == "surfaces":
            return Surfaces([self.surface(part) for part in data["parts"]])
        if data["kind"] == "image":
            return self.image(data)
        return self.labels(data) if data["kind"] == "labels" else self.points(data)

    def transform(self, data: Mapping[str, Any]) -> Transform:
        """What Writer.transform described."""
        if data["kind"] == "chain":
            return Chain([self.transform(part) for part in data["parts"]])
        if data["kind"] == "affine":
            return Affine(self.tensor(data["matrix"]))
        return _ON_GRID[data["kind"]](self.grid(data["grid"]), self.tensor(data["data"]))
