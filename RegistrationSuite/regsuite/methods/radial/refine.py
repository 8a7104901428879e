"""Slices and volume by their brightness: the search in which slices vote, descent, each slice's own small motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regsuite.losses.alikeness import unlike
from regsuite.methods.radial.prepared import Slices, Volume
from regsuite.progress import Part, Progress
from regsuite.solvers.emulation import Emulator, emulator
from regsuite.solvers.slice_fit import Polished, Prior, halved, polished, voted

SEARCHED = 3.6
"""mm a pixel, of the search."""
_DESCENT = ((2.4, 25), (1.8, 25))
"""mm a pixel and iterations of the descent of all slices together; the second only where none moves on its own."""
_FINE = 1.2
"""mm a pixel, of the last descent, which each slice's own motion joins."""
_FINE_ITERATIONS = 20
_PRIOR = {
    "mutual information": 2e-3,
    "normalised mutual information": 5e-4,
    "correlation ratio": 5e-4,
    "local correlation": 7e-4,
    "gradient fields": 5e-4,
}
"""λ of a slice's own motion: the same share of what slices lose that are a millimetre and a degree off."""
_ORDER = (2, 0, 1, 3, 4, 5)
"""Of the search's numbers: the turn about the axis first."""


@dataclass(frozen=True)
class Refined:
    """planes: (K, 4, 4), of slices to the volume's RAS mm, each after its own motion; move: (4, 4), of all slices, in
    the volume's RAS mm; own: (K, 4, 4), of each slice after that; emulated: slices made of the volume by the search;
    trace: its mean unlikeness by ``similarity``; before, after: (K,) mutual information of the slices, nats, whatever
    the similarity."""

    planes: Tensor
    move: Tensor
    own: Tensor
    emulated: int
    trace: Sequence[float]
    before: Tensor
    after: Tensor
    similarity: str


@dataclass(frozen=True)
class Search:
    """turn, shift: δ at the start, degrees and mm, 0 for no search; finest: of either; own: σ of a slice's own motion,
    degrees and mm, or None; spread: point spread in the plane, mm; similarity: its name, as the parameter's."""

    turn: float
    shift: float
    finest: float
    own: tuple[float, float] | None
    spread: float
    similarity: str


def refine(
    slices: Slices, volume: Volume, planes: Tensor, frame: Tensor, search: Search, progress: Progress
) -> Refined:
    """planes: (K, 4, 4), where to start, float64; frame: (4, 4), about which the search turns."""
    before = information(slices, volume, planes, search.spread)
    coarse = Compared.at(slices, volume, SEARCHED, search.spread, search.similarity)
    levels = halved(search.turn, search.shift, search.finest)
    found = voted(coarse.unlike, planes, frame, levels, _ORDER, Part(progress, 0.0, 0.3))
    move = found.move
    for number, (pixel, iterations) in enumerate(_DESCENT[:1] if search.own else _DESCENT):
        level = Compared.at(slices, volume, pixel, search.spread, search.similarity)
        part = Part(progress, 0.3 + 0.15 * number, 0.45 + 0.15 * number)
        done = polished(level.energy, move @ planes, frame, None, iterations, part)
        move = done.move @ move
    done = _last(slices, volume, move @ planes, frame, search, Part(progress, 0.6, 1.0))
    move = done.move @ move
    return Refined(
        done.planes,
        move,
        done.planes @ torch.linalg.inv(move @ planes),
        found.emulated,
        found.trace,
        before,
        information(slices, volume, done.planes, search.spread),
        search.similarity,
    )


def _last(
    slices: Slices, volume: Volume, planes: Tensor, frame: Tensor, search: Search, progress: Progress
) -> Polished:
    prior = Prior(*search.own, _PRIOR[search.similarity]) if search.own else None
    level = Compared.at(slices, volume, _FINE, search.spread, search.similarity)
    return polished(level.energy, planes, frame, prior, _FINE_ITERATIONS, progress)


def information(slices: Slices, volume: Volume, planes: Tensor, spread: float) -> Tensor:
    """(K,) nats: of each slice and its emulation."""
    level = Compared.at(slices, volume, _FINE, spread, "mutual information")
    with torch.no_grad():
        return -level.unlike(planes[None])[0]


@dataclass(frozen=True)
class Compared:
    """Slices at one pixel size, and what makes their like of the volume."""

    pictures: Tensor
    pixel: float
    shown: Emulator
    similarity: str

    @classmethod
    def at(cls, slices: Slices, volume: Volume, pixel: float, spread: float, similarity: str) -> Compared:
        level = slices.coarser(pixel)
        shape = (level.pictures.shape[2], level.pictures.shape[3])
        wide = max(spread, level.pixel)
        shown = emulator(volume.picture, volume.grid, shape, level.pixel, slices.thickness, wide)
        return cls(level.pictures, level.pixel, shown, similarity)

    def unlike(self, planes: Tensor) -> Tensor:
        """(C, K), of planes (C, K, 4, 4)."""
        shown, within = self.shown(planes.flatten(0, 1).float())
        pictures = self.pictures.repeat(len(planes), 1, 1, 1)
        values = unlike(self.similarity, pictures, within, self.pixel)(shown)
        return values.reshape(len(planes), -1).to(planes)

    def energy(self, planes: Tensor) -> Tensor:
        """Of all slices together, in one histogram where there is one."""
        shown, within = self.shown(planes.float())
        return unlike(self.similarity, self.pictures, within, self.pixel, pooled=True)(shown)[0].to(planes)
