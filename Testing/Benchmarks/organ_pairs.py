"""Two persons whose organs or brain structures are known: those registered, and those left out.

Abdomens: organs of a CT to those of an MR slab of 60 mm. The middles of the organs are put together, the CT is cut
30 mm above and below the slab, and nothing is scaled, as a slab does not tell of size. Brains lie where their files
say, at 2 mm. Every way has its own presets otherwise, which are made for abdomens.
"""

from __future__ import annotations

import itertools
import math
from functools import partial
from statistics import fmean
from typing import Any

from Benchmarks.common import Figures, Group, Measured
from Benchmarks.organ_ways import BCPD, BEFORE, GMC, OMC, OURS, WAYS
from Benchmarks.rows import Row, row, spread, table
from Benchmarks.workshop import data_folder

_BRAINS = ("04", "09", "13", "01")
_FEW = 2
"""Pairs of brains in the quick form."""
_PARTS = (("used", "registered"), ("others", "left out"))
_MEASURES = (("Dice", "Dice"), ("surface distance", "mm"))

Found = dict[str, list[Figures]]
"""Figures of every pair by the way's title."""


class Pairs(Measured):
    """Real segmentations, whose truth is their own borders."""

    def groups(self) -> list[Group]:
        """One pair of abdomens, and brains."""
        pairs = list(itertools.permutations(_BRAINS, 2))[: None if self.full else _FEW]
        return [
            ("structures of two persons", "CT to MR", self.abdomens),
            ("structures of two persons", f"{len(pairs)} pairs of brains", partial(self.brains, pairs)),
        ]

    def abdomens(self) -> list[Row]:
        """By organ, as there is but one pair."""
        pair = str(self.workshop.folder / "abdomens.pickle")
        folder = str(data_folder("abdomen_totalseg"))
        self.workshop.run("label_pairs:make_abdomens", folder=folder, file=pair)
        found = self._found([pair], pose="rigid")
        self._tables("CT to MR", found)
        return self._rows(f"CT to MR, {len(found[BEFORE][0]['used'])} organs", found)

    def brains(self, pairs: list[tuple[str, str]]) -> list[Row]:
        """Structures that hardly slide along each other."""
        folder, files = str(data_folder("brain_labelmaps_synthseg")), []
        for fixed, moving in pairs:
            files.append(str(self.workshop.folder / f"brains-{fixed}-{moving}.pickle"))
            given = {"folder": folder, "fixed": fixed, "moving": moving, "file": files[-1]}
            self.workshop.run("label_pairs:make_brains", **given)
        found = self._found(files)
        self._tables("brains", found)
        return self._rows(f"{len(pairs)} pairs of brains, 2 mm", found)

    def _found(self, pairs: list[str], **more: Any) -> Found:
        found: Found = {BEFORE: [self.workshop.run("label_pairs:before", pair=pair) for pair in pairs]}
        for way in WAYS:
            given: dict[str, Any] = {"method": way.method, "parameters": way.parameters(**more)}
            found[way.title] = [self.workshop.run("label_pairs:registered", pair=pair, **given) for pair in pairs]
        return found

    def _tables(self, name: str, found: Found) -> None:
        lines: list[list[Any]] = []
        for title, figures in found.items():
            costs: list[list[Any]] = [
                [each.get(key) for each in figures] for key in ("folded_fraction", "seconds", "memory_mb")
            ]
            means = [spread(_means(figures, part, place)) for part, _ in _PARTS for place in (0, 1)]
            lines.append([title, *means, *(None if None in cost else spread(cost) for cost in costs)])
        measures = [f"{title}, {name}" for _, title in _PARTS for name in ("Dice", "mm")]
        columns = ["way", *measures, "folds", "time, s", "memory, MiB"]
        self.workshop.tables[name] = table(columns, lines)
        columns = ["structure", *(f"{title}, {unit}" for title in found for unit in ("Dice", "mm"))]
        lines = [
            [
                f"{structure} ({kind})",
                *(cell for figures in found.values() for cell in _cells(figures, part, structure)),
            ]
            for part, kind in _PARTS
            for structure in found[BEFORE][0][part]
        ]
        self.workshop.tables[f"{name} by structure"] = table(columns, lines)

    def _rows(self, data: str, found: Found) -> list[Row]:
        """Ours beside doing nothing and beside one cloud for all; the paper's two ways beside that cloud."""
        rows = []
        for (part, kind), (place, (claim, unit)) in itertools.product(_PARTS, enumerate(_MEASURES)):
            for way, peer in (
                (OURS.title, BEFORE),
                (OURS.title, BCPD.title),
                (GMC.title, BCPD.title),
                (OMC.title, BCPD.title),
            ):
                ours, theirs = (fmean(_means(found[title], part, place)) for title in (way, peer))
                goal = "> peer" if place == 0 else "< peer"
                text = f"{claim} of what is {kind}, {way}"
                rows.append(row(text, data, unit, ours, goal=goal, peer=peer, peer_value=theirs))
        folds = fmean(each["folded_fraction"] for each in found[OURS.title])
        return [*rows, row("folded voxels, ours", data, "fraction", folds, goal="== 0")]


def _means(figures: list[Figures], part: str, place: int) -> list[float]:
    """Of each pair the mean over the structures: Dice (place 0), or mm (1) where there is a surface at all."""
    values = [[cell[place] for cell in each[part].values()] for each in figures]
    return [fmean(value for value in each if not math.isnan(value)) for each in values]


def _cells(figures: list[Figures], part: str, structure: str) -> list[Any]:
    """Dice and mm of a structure."""
    columns = zip(*(each[part][structure] for each in figures), strict=True)
    known = [[value for value in column if not math.isnan(value)] for column in columns]
    return [spread(values) if len(values) > 1 else values[0] if values else None for values in known]
