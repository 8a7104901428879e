"""The organs of one side, however they were given: as labels, as surfaces, as points."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from regsuite.errors import InputError
from regsuite.spatial import Grid, LabelImage, Surface, Surfaces
from regsuite.spatial.meshes import region_of, spread_points, surface_of
from regsuite.spatial.surfaces import surface_points
from regsuite.terminology import pairs

_ACROSS = 100
"""Voxels along the longest side of a grid that is made for surfaces."""
_MARGIN = 4
_WIDER = 5
"""How many times as wide as its labels' grid a side may be with its surfaces."""


@dataclass(frozen=True)
class Organs:
    """labels: the regions of all organs on one grid, where a smaller one is on top; segments: those that were given as
    labels, as they were given; surfaces, regions: of the others, by label, and the voxels (*shape) bool they fill."""

    labels: LabelImage
    segments: LabelImage
    surfaces: Mapping[int, Surface]
    regions: Mapping[int, np.ndarray]

    @property
    def values(self) -> list[int]:
        """The labels of all organs, of those that lie wholly under others as well."""
        return sorted({*self.segments.values(), *self.surfaces})

    @property
    def empty(self) -> list[str]:
        """Names of segments without a voxel."""
        there = self.segments.values()
        return [name for value, name in self.segments.names.items() if value not in there]

    def only(self, values: Sequence[int]) -> LabelImage:
        """The regions of some organs, as they are without the others."""
        inside = _on(self.segments, self.labels.grid)
        regions = {value: self.regions.get(value, inside == value) for value in values}
        return replace(self.labels, data=_painted(regions, inside.shape))

    @property
    def dim(self) -> int:
        """2 or 3."""
        return self.labels.grid.dim

    def name_of(self, value: int) -> str:
        """Of one organ."""
        return self.labels.name_of(value)

    def points(self, value: int, count: int) -> Tensor:
        """At most ``count`` points (N, d) mm, evenly spread over an organ's surface."""
        if value in self.surfaces:
            return spread_points(self.surfaces[value], count)
        return surface_points(self.segments, value, count)

    def corners(self, value: int) -> np.ndarray:
        """Places (N, d) mm between which an organ lies."""
        found = [self.surfaces[value].points.numpy()] if value in self.surfaces else []
        where = self.labels.mask(value).nonzero()
        if len(where):
            low, high = where.amin(dim=0), where.amax(dim=0)
            found.append(self.labels.grid.cropped(low.tolist(), (high - low + 1).tolist()).corners())
        return np.concatenate(found)

    def surface(self, value: int) -> Surface:
        """With triangles, where there are any, and the organ's name."""
        found = self.surfaces[value] if value in self.surfaces else surface_of(self.segments, value)
        return replace(found, name=self.name_of(value), values={})

    def has_inside(self, value: int) -> bool:
        """Whether an organ is a region and no mere cloud or sheet."""
        return value not in self.surfaces or self.surfaces[value].closed


def organs_of(labels: LabelImage | None, surfaces: Surfaces | None, side: str) -> Organs:
    """The organs of one side; InputError where nothing was given, or one name twice. side: for sentences."""
    parts = [] if surfaces is None else [_checked(part, side) for part in surfaces.parts]
    if labels is None and not parts:
        raise InputError(f"The {side} organs are missing: give a segmentation, or surfaces or points of them.")
    _check_names(labels, parts, side)
    if not parts:
        assert labels is not None
        return Organs(labels, labels, {}, {})
    grid = _grid(labels, parts, side)
    segments = LabelImage.from_array(np.zeros(grid.shape), grid) if labels is None else labels
    inside = _on(segments, grid)
    taken = {*segments.names, *segments.values()}
    free = (value for value in itertools.count(1) if value not in taken)
    numbered = {next(free): part for part in parts}
    filled = {value: region_of(part, grid) for value, part in numbered.items()}
    names = {**segments.names, **{value: part.name for value, part in numbered.items()}}
    colours = {**segments.colours, **{value: part.colour for value, part in numbered.items() if part.colour}}
    data = _painted(filled | {value: inside == value for value in segments.values()}, grid.shape)
    return Organs(LabelImage(data, grid, names, colours, segments.terms), segments, numbered, filled)


def _painted(regions: Mapping[int, np.ndarray], shape: tuple[int, ...]) -> Tensor:
    """(1, 1, *shape) labels of regions (*shape) bool; what lies within another comes after."""
    data = np.zeros(shape, dtype=np.int32)
    for value in sorted(regions, key=lambda value: -int(regions[value].sum())):
        data[regions[value]] = value
    return torch.from_numpy(data)[None, None]


def _checked(part: Surface, side: str) -> Surface:
    if not len(part.points) or not bool(torch.isfinite(part.points).all()):
        raise InputError(f"The {side} surface '{part.name}' has no points, or points that are not finite: mend it.")
    return part


def _check_names(labels: LabelImage | None, parts: list[Surface], side: str) -> None:
    segments = [labels.names[value] for value in labels.values() if value in labels.names] if labels is not None else []
    names = [name.strip().lower() for name in (*segments, *(part.name for part in parts))]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"Two of the {side} organs are called '{repeated[0]}': rename one, or leave it out.")


def _grid(labels: LabelImage | None, parts: list[Surface], side: str) -> Grid:
    """That of the labels, extended to where surfaces are; without labels one around the surfaces."""
    points = np.concatenate([part.points.numpy() for part in parts])
    if labels is None:
        low, high = points.min(axis=0), points.max(axis=0)
        voxel = max(float((high - low).max()) / _ACROSS, 1e-3)
        size = ((high - low) / voxel).astype(int) + 1 + 2 * _MARGIN
        affine = np.eye(len(low) + 1)
        affine[:-1, :-1] = np.fliplr(np.eye(len(low))) * voxel
        affine[:-1, -1] = low - _MARGIN * voxel
        return Grid.from_affine(size[::-1], affine)
    index = labels.grid.to_index(points)
    _check_near(labels.grid, index, side)
    low = np.minimum(np.floor(index.min(axis=0)).astype(int) - _MARGIN, 0)
    high = np.maximum(np.ceil(index.max(axis=0)).astype(int) + _MARGIN + 1, labels.grid.shape)
    return labels.grid.cropped([int(each) for each in low], [int(each) for each in high - low])


def _check_near(grid: Grid, index: np.ndarray, side: str) -> None:
    """InputError where a grid that held both would be mostly empty."""
    wide = np.maximum(index.max(axis=0), grid.shape) - np.minimum(index.min(axis=0), 0)
    if (wide / grid.shape).max() > _WIDER:
        raise InputError(
            f"The {side} surfaces lie far from the {side} segments, or are in another unit than mm: put them where "
            "they belong, or leave one of the two out."
        )


def _on(labels: LabelImage, grid: Grid) -> np.ndarray:
    """The labels on a grid that extends theirs."""
    start = np.round(grid.to_index(np.asarray(labels.grid.origin))).astype(int)
    data = np.zeros(grid.shape, dtype=np.int32)
    data[tuple(slice(a, a + n) for a, n in zip(start, labels.grid.shape, strict=True))] = labels.array()
    return data


def matched(moving: Organs, fixed: Organs) -> Organs:
    """The moving organs with the labels of the fixed ones that they are, and others new; as they are where one side's
    organs, of which it has several, have no names."""
    named = [any(value in each.labels.names for value in each.values) for each in (moving, fixed)]
    if not all(named) and max(len(each.values) for each in (moving, fixed)) > 1:
        return moving
    same = pairs(_described(moving), _described(fixed))
    free = itertools.count(1 + max([0, *fixed.values, *fixed.labels.names, *moving.values]))
    return _renumbered(moving, {old: same.get(old) or next(free) for old in moving.values})


def _described(organs: Organs) -> dict[int, tuple[str, str]]:
    return {value: (organs.name_of(value), organs.labels.terms.get(value, "")) for value in organs.values}


def _renumbered(organs: Organs, new: Mapping[int, int]) -> Organs:
    return Organs(
        _relabelled(organs.labels, new),
        _relabelled(organs.segments, new),
        {new[old]: surface for old, surface in organs.surfaces.items()},
        {new[old]: region for old, region in organs.regions.items()},
    )


def _relabelled(labels: LabelImage, new: Mapping[int, int]) -> LabelImage:
    data = torch.zeros_like(labels.data)
    for old, value in new.items():
        data[labels.data == old] = value
    names = {value: labels.name_of(old) for old, value in new.items()}
    colours = {value: labels.colours[old] for old, value in new.items() if old in labels.colours}
    terms = {value: labels.terms[old] for old, value in new.items() if old in labels.terms}
    return LabelImage(data, labels.grid, names, colours, terms)
