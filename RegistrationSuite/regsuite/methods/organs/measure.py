"""What a run of coherent point drift came to, organ by organ."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regsuite import evaluation
from regsuite.methods.organs.sides import Organs
from regsuite.registration import Registration, Table
from regsuite.solvers.drift.solve import Drift
from regsuite.spatial import Surface
from regsuite.spatial.meshes import distances, joined
from regsuite.transforms import identity, warp_labels
from regsuite.wording import DISTANCE, ORGAN

_MOST = 10_000
"""Points of a surface whose distances are averaged."""
COLUMNS = [
    "organ",
    "points",
    "distance before, mm",
    "distance after, mm",
    "Dice before",
    "Dice after",
    "change of volume, %",
]


_NONE = (math.nan, math.nan)
"""Dice of what has no inside."""


@dataclass(frozen=True)
class Measured:
    """Measures ``result``, whose moving organs ``values`` were taken to the fixed ones."""

    result: Registration
    fixed: Organs
    moving: Organs
    values: list[int]

    def add(self, found: Drift) -> None:
        """Metrics, tables and surfaces to the result."""
        result = self.result
        result.metrics = evaluation.field_metrics(result.transform, result.inverse, result.fixed_grid)
        result.metrics["settled"] = float(found.settled)
        result.metrics["evidence_per_point"] = found.bound / len(found.shares.inlier)
        solid = [value for value in self.values if self.fixed.has_inside(value) and self.moving.has_inside(value)]
        if solid:
            self._add_overlap(solid)
        self._add_surfaces()
        self._add_organs(solid)

    def _add_overlap(self, solid: list[int]) -> None:
        result, still = self.result, identity(self.fixed.dim)
        labels, moving = self.fixed.only(solid), self.moving.only(solid)
        if not labels.grid.same_as(result.fixed_grid):
            labels = warp_labels(labels, still, result.fixed_grid)
        before, after = (warp_labels(moving, way, result.fixed_grid) for way in (still, result.transform))
        metrics, result.tables["overlap"] = evaluation.overlap_change(before, after, labels)
        result.metrics |= metrics

    def _add_organs(self, solid: list[int]) -> None:
        rows: list[list[Any]] = []
        overlap = {row[0]: row[1:] for row in self.result.tables["overlap"].rows} if solid else {}
        for value in self.values:
            y, x = self.moving.surface(value), self.fixed.surface(value)
            moved = replace(y, points=self.result.inverse.points(y.points))
            name, apart = self.fixed.name_of(value), [_apart(y, x), _apart(moved, x)]
            growth = self._growth(value) if value in solid else math.nan
            rows.append([name, len(y.points), *apart, *overlap.get(name, _NONE), growth])
            self.result.metrics[f"surface_distance_{evaluation.key_of(name)}_mm"] = apart[1]
        means = [float(np.mean([row[column] for row in rows])) for column in (2, 3)]
        self.result.metrics |= {"surface_distance_before_mm": means[0], "surface_distance_after_mm": means[1]}
        self.result.tables["organs"] = Table(
            "Organs",
            COLUMNS,
            [*rows, ["mean", sum(row[1] for row in rows), *means, *overlap.get("mean", _NONE), math.nan]],
        )

    def _growth(self, value: int) -> float:
        """By how many per cent the warped organ is larger than the moving one."""
        assert self.result.warped_labels is not None
        before, after = (
            float((labels.data == value).sum()) * labels.grid.voxel_volume
            for labels in (self.moving.labels, self.result.warped_labels)
        )
        return 100 * (after / before - 1) if before and after else math.nan

    def _add_surfaces(self) -> None:
        """All organs' surfaces where they were, where they are now, and those to be met, with how far they are off."""
        before, after, target = [], [], []
        for value in self.values:
            x, y = self.fixed.surface(value), self.moving.surface(value)
            here, colour = self.result.inverse.points(y.points), self._colour(value)
            before.append(_valued(y, x, colour))
            after.append(_valued(replace(y, points=here), x, colour))
            target.append(replace(x, values={ORGAN: colour.expand(len(x.points), 3)}))
        for name, parts in (("organs_before", before), ("organs_after", after), ("organs_target", target)):
            self.result.surfaces[name] = joined(parts, name)

    def _colour(self, value: int) -> Tensor:
        """The segment's own, or one of a wheel."""
        own = self.fixed.labels.colours.get(value) or self.moving.labels.colours.get(value)
        return torch.tensor(own or _WHEEL[self.values.index(value) % len(_WHEEL)], dtype=torch.float64)


_WHEEL = (
    (0.72, 0.38, 0.28),
    (0.36, 0.52, 0.72),
    (0.87, 0.68, 0.32),
    (0.45, 0.62, 0.40),
    (0.60, 0.42, 0.62),
    (0.80, 0.55, 0.60),
    (0.45, 0.66, 0.66),
)


def _valued(surface: Surface, goal: Surface, colour: Tensor) -> Surface:
    distance = distances(surface.points, goal)
    return replace(surface, values={DISTANCE: distance, ORGAN: colour.expand(len(distance), 3)})


def _apart(one: Surface, other: Surface) -> float:
    """Mean distance of the points of two surfaces from the other one, mm."""
    there, back = (
        float(distances(a.points[:: 1 + len(a.points) // _MOST], b).mean()) for a, b in ((one, other), (other, one))
    )
    return 0.5 * (there + back)
