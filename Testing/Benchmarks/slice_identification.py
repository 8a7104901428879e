"""Sections of brains that no encoder has seen: their plates, how sure the method is of them, and oblique cuts.

Half of the sections are partial. MAE and Top-n are the paper's, of the true plate among all 132.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median
from typing import Any

from Benchmarks.common import Figures, Group, Measured
from Benchmarks.rows import Row, row, table
from Benchmarks.slice_encoder import SEED, Encoder

_WITHIN = 2
"""Plates: what confidence is the probability of."""
_BINS = 5
_TOPS = (1, 3, 5, 10)


@dataclass(frozen=True)
class Kind:
    """Sections of one volume; skull: whether what is outside of the brain is left on."""

    title: str
    volume: str
    skull: bool


MICROSCOPY = Kind("microscopy", "microscopy", True)
BRAIN_ONLY = Kind("MRI, brain cut out", "MRI", False)
WITH_SKULL = Kind("MRI with its skull", "MRI", True)
KINDS = (MICROSCOPY, BRAIN_ONLY, WITH_SKULL)

_GOALS = {"Top-3": ">= 0.85", "Top-5": ">= 0.95", "MAE": "<= 1.4"}


class Sections(Measured):
    """Of the kinds, identified; the same sections are asked of once."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder.workshop, encoder.full)
        self.encoder = encoder
        self.every = 2 if self.full else 6

    def identified(self, kind: Kind, cut: str, oblique: bool = False) -> list[Figures]:
        """Figures of each section, as :func:`Benchmarks.slice_trials.identified` gives them."""
        given = {**self.given(kind), "encoder": self.encoder.file, "oblique": oblique, "cut": cut}
        return self.workshop.run("slice_trials:identified", **given)

    def given(self, kind: Kind) -> dict[str, Any]:
        """Which sections they are."""
        given = {"folders": self.encoder.folders, "volume": kind.volume, "skull": kind.skull}
        return {**given, "every": self.every, "seed": SEED}

    def data(self, kind: Kind, found: Sequence[Figures]) -> str:
        """For people."""
        halves = sum(each["partial"] for each in found)
        return f"{kind.title}, {len(found)} sections, {halves} of them partial, {self.encoder.title}"


class Identification(Sections):
    """By embeddings alone, by the whole method, and by mutual information with every plate."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.lines: list[list[Any]] = []
        self.chosen, self.iterations = (5, 100) if self.full else (1, 20)

    def groups(self) -> list[Group]:
        """The baseline takes long and is given some of the sections."""
        ours: list[Group] = [("identification", kind.title, partial(self.ours, kind)) for kind in KINDS]
        baseline: list[Group] = [
            ("identification", f"{kind.title}, beside mutual information", partial(self.beside_information, kind))
            for kind in KINDS
        ]
        return [*ours, ("confidence", "sections of all kinds", self.confidence), *baseline]

    def ours(self, kind: Kind) -> list[Row]:
        """Parallel sections, told to be so, and told nothing of the cut."""
        told, untold = (self.identified(kind, cut) for cut in ("parallel", "oblique"))
        data, rows = self.data(kind, told), []
        for way, name, found in (
            ("embeddings alone", "embedding", told),
            ("the whole method, cut parallel", "belief", told),
            ("the whole method, any cut", "belief", untold),
        ):
            figures = self._ranked(kind.title, way, name, found)
            rows += [row(f"{key}, {way}", data, *figures[key], goal=_GOALS.get(key, "")) for key in figures]
        rows += [
            row("time to identify a section", data, "s", median(each["seconds_identifying"] for each in told)),
            row("time to slice the atlas for a section", data, "s", median(each["seconds_slicing"] for each in told)),
        ]
        return rows + (self._extraction(kind, told) if kind is WITH_SKULL else [])

    def _extraction(self, kind: Kind, found: Sequence[Figures]) -> list[Row]:
        """How well the brain was told from what is around it."""
        data = self.data(kind, found)
        overlaps = [each["outline"] for each in found]
        return [
            row("Dice of the brain taken out of its head, mean", data, "share", fmean(overlaps)),
            row("Dice of the brain taken out of its head, median", data, "share", median(overlaps)),
            row("sections taken out of their head", data, "share", fmean(each["left_out"] > 0 for each in found)),
            row(
                "time to prepare a section and take it out of its head",
                data,
                "s",
                median(each["seconds_preparing"] for each in found),
            ),
        ]

    def _ranked(self, kind: str, way: str, name: str, found: Sequence[Figures]) -> dict[str, tuple[str, float]]:
        """Unit and value by name, of all sections; those of whole and partial ones go into the table."""
        for part, chosen in _parts(found):
            ranks = [each[name] for each in chosen]
            off = median(each["plates_off"] for each in chosen) if name != "embedding" else None
            self.lines.append([kind, part, len(chosen), way, *(_top(ranks, n) for n in _TOPS), fmean(ranks), off])
        columns = ["kind", "sections", "count", "way", *(f"Top-{n}" for n in _TOPS), "MAE", "plates off, median"]
        self.workshop.tables["identification"] = table(columns, self.lines)
        ranks = [each[name] for each in found]
        return {**{f"Top-{n}": ("share", _top(ranks, n)) for n in _TOPS}, "MAE": ("plates", fmean(ranks))}

    def beside_information(self, kind: Kind) -> list[Row]:
        """The same sections, by ours and by the baseline."""
        ours = self.identified(kind, "parallel")[:: self.chosen]
        given = {**self.given(kind), "chosen": self.chosen, "iterations": self.iterations}
        theirs = self.workshop.run("slice_trials:by_information", **given)
        data = self.data(kind, ours)
        peer = f"mutual information, {self.iterations} iterations"
        left, right = (
            self._ranked(f"{kind.title}, as the baseline", way, name, found)
            for way, name, found in (("the whole method, cut parallel", "belief", ours), (peer, "information", theirs))
        )
        rows = []
        for key, (unit, value) in left.items():
            goal = "< peer" if key == "MAE" else ">= peer"
            rows.append(
                row(f"{key}, the whole method", data, unit, value, goal=goal, peer=peer, peer_value=right[key][1])
            )
        return rows + _times(data, peer, ours, theirs)

    def confidence(self) -> list[Row]:
        """How often the plate is within two of the truth where the method says how likely that is."""
        found = [each for kind in KINDS for each in self.identified(kind, "oblique")]
        lines, off = [], 0.0
        for place in range(_BINS):
            low, high = place / _BINS, (place + 1) / _BINS
            chosen = [each for each in found if low <= min(each["confidence"], 1 - 1e-9) < high]
            if not chosen:
                lines.append([f"{low:.1f} to {high:.1f}", 0, None, None])
                continue
            said, right = fmean(each["confidence"] for each in chosen), _near(chosen)
            off += len(chosen) / len(found) * abs(said - right)
            lines.append([f"{low:.1f} to {high:.1f}", len(chosen), said, right])
        columns = ["confidence", "sections", "mean confidence", f"share within {_WITHIN} plates"]
        self.workshop.tables["confidence"] = table(columns, lines)
        data = f"{len(found)} parallel sections of all kinds, any cut, {self.encoder.title}"
        said, right = fmean(each["confidence"] for each in found), _near(found)
        return [
            row("calibration error of the confidence", data, "share", off),
            row("mean confidence", data, "share", said, peer=f"share within {_WITHIN} plates", peer_value=right),
        ]


class Oblique(Sections):
    """Sections cut at up to 15° to the plates, in both directions."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.lines: list[list[Any]] = []

    def groups(self) -> list[Group]:
        """One a kind."""
        return [("oblique", kind.title, partial(self.measured, kind)) for kind in KINDS]

    def measured(self, kind: Kind) -> list[Row]:
        """Errors of angles and depth."""
        found = self.identified(kind, "oblique", oblique=True)
        for part, chosen in _parts(found):
            angles = [angle for each in chosen for angle in each["angles_off"]]
            plates = [each["plates_off"] for each in chosen]
            cells = [median(angles), fmean(angles), median(plates), fmean(plates), _near(chosen)]
            self.lines.append([kind.title, part, len(chosen), *cells])
        errors = [f"{name} error, {how}" for name in ("angle", "plate") for how in ("median", "mean")]
        columns = ["kind", "sections", "count", *errors, f"share within {_WITHIN} plates"]
        self.workshop.tables["oblique"] = table(columns, self.lines)
        everything = next(line for line in reversed(self.lines) if line[1] == "all")
        data = f"{self.data(kind, found)}, cut at up to 15°"
        return [
            row("error of an angle, median", data, "°", everything[3], goal="<= 2"),
            row("error of the position, median", data, "plates", everything[5], goal="<= 1"),
            row(f"position within {_WITHIN} plates", data, "share", everything[7]),
        ]


def _times(data: str, peer: str, ours: Sequence[Figures], theirs: Sequence[Figures]) -> list[Row]:
    slow = median(each["seconds"] for each in theirs)
    steps = ("seconds_preparing", "seconds_identifying", "seconds_slicing")
    whole = median(sum(each[step] for step in steps) for each in ours)
    alone = median(each["seconds_identifying"] for each in ours)
    return [
        row("time to identify a section", data, "s", alone, goal="< peer", peer=peer, peer_value=slow),
        row("time of the whole method but the fit", data, "s", whole, goal="< peer", peer=peer, peer_value=slow),
        row("how much faster a section is identified", data, "times", slow / alone),
        row("memory", data, "MiB", ours[0]["memory_mb"], peer=peer, peer_value=theirs[0]["memory_mb"]),
    ]


def _parts(found: Sequence[Figures]) -> list[tuple[str, list[Figures]]]:
    """All of them, the whole and the partial ones."""
    parts = [
        ("all", list(found)),
        ("whole", [each for each in found if not each["partial"]]),
        ("partial", [each for each in found if each["partial"]]),
    ]
    return [(title, chosen) for title, chosen in parts if chosen]


def _top(ranks: Sequence[int], n: int) -> float:
    return fmean(rank < n for rank in ranks)


def _near(found: Sequence[Figures]) -> float:
    return fmean(each["plates_off"] <= _WITHIN for each in found)
