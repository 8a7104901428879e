"""The figures of radial slices brought to their volume.

The quick form takes a few cases of each kind, the full form more than a hundred; each runs in a process of its own,
with true outlines and with wrong ones. hip_cases.py says what the cases are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean, median
from typing import Any

import numpy as np

from Benchmarks.common import Figures, Group, Measured
from Benchmarks.hip_cases import CT, ERROR, FOLDERS, KNEE, METAL, PHANTOM
from Benchmarks.rows import Row, row, table
from Benchmarks.workshop import CaseFailed, Missing, Workshop, data_folder

Case = tuple[str, int]
"""Kind and seed."""
_KINDS = (PHANTOM, CT, KNEE)
_COUNTS = {False: {PHANTOM: 4, CT: 2, KNEE: 2}, True: {PHANTOM: 60, CT: 24, KNEE: 24}}
_SEARCHED = {False: {PHANTOM: 2, CT: 1, KNEE: 1}, True: {PHANTOM: 12, CT: 6, KNEE: 6}}
_PEERED = {False: {PHANTOM: 1, CT: 1, KNEE: 1}, True: {PHANTOM: 10, CT: 5, KNEE: 5}}
_MM, _DEGREES = 1.0, 1.0
"""Errors of what counts as found."""
_OUTLINES = {"true": "true outlines", "wrong": f"{ERROR:.0%} of the outlines wrong"}
_FOUND = {"true": ">= 0.95", "wrong": ">= 0.9"}
_RIGHT = ">= 0.98"


def groups(workshop: Workshop, full: bool) -> list[Group]:
    """What this benchmark measures."""
    parts = (Accuracy, Searches, Peers, Whole)
    return [group for part in parts for group in part(workshop, full).groups()]


class Slices(Measured):
    """Cases, asked of once."""

    def cases(self, counts: dict[bool, dict[str, int]], kinds: Sequence[str] = _KINDS) -> list[Case]:
        """Of the kinds; those whose data set is missing are left out, and Missing where none is left."""
        chosen, reasons = [], []
        for kind in kinds:
            try:
                self.folders(kind)
            except Missing as missing:
                reasons.append(missing)
                continue
            chosen += [(kind, seed) for seed in range(counts[self.full][kind])]
        if not chosen:
            raise reasons[0]
        return chosen

    def folders(self, kind: str) -> dict[str, str]:
        """The data set of that kind, where it needs one."""
        return {kind: str(data_folder(FOLDERS[kind]))} if kind in FOLDERS else {}

    def asked(self, function: str, case: Case) -> Figures:
        """The figures of one case."""
        kind, seed = case
        return self.workshop.run(function, kind=kind, seed=seed, folders=self.folders(kind))

    def told(self, cases: Sequence[Case]) -> str:
        """For people."""
        counts = {kind: sum(each == kind for each, _ in cases) for kind, _ in cases}
        return ", ".join(f"{count} {kind}" for kind, count in counts.items())


class Accuracy(Slices):
    """Arrangements and errors of many cases; the same trials serve both outlines."""

    def __init__(self, workshop: Workshop, full: bool) -> None:
        super().__init__(workshop, full)
        self.lines: list[list[Any]] = []

    def groups(self) -> list[Group]:
        """One for each way to draw outlines, and one of what is hard."""
        groups: list[Group] = [("accuracy", title, partial(self.measured, name)) for name, title in _OUTLINES.items()]
        return [*groups, ("accuracy", "beside metal", self.beside_metal)]

    def trials(self, cases: Sequence[Case]) -> list[tuple[Case, Figures | None]]:
        """None where a case broke."""
        return [(case, self._tried(case)) for case in cases]

    def _tried(self, case: Case) -> Figures | None:
        try:
            return self.asked("hip_trials:trial", case)
        except CaseFailed:
            return None

    def measured(self, outlines: str) -> list[Row]:
        """Shares of all cases; one that broke is neither right nor found."""
        tried = self.trials(self.cases(_COUNTS))
        data = f"{self.told([case for case, _ in tried])}, {_OUTLINES[outlines]}"
        self.table(tried, outlines)
        every = [each[outlines] if each else None for _, each in tried]
        done = [each for each in every if each]
        if not done:
            raise CaseFailed("No case could be run.")
        rows = [
            row("arrangement right", data, "share", share(every, is_right), goal=_RIGHT),
            row(
                "arrangement right and error at most 1 mm and 1°",
                data,
                "share",
                share(every, is_found),
                goal=_FOUND[outlines],
            ),
            row("the same, after initialisation alone", data, "share", share(every, is_started)),
        ]
        for step, key in (("", "end"), (", after initialisation alone", "start")):
            for part, unit in enumerate(("mm", "°")):
                values = [each[key][part] for each in done]
                rows += [
                    row(f"error{step}, {unit}, median", data, unit, median(values)),
                    row(f"error{step}, {unit}, 95th percentile", data, unit, percentile(values)),
                ]
        rows += [
            row("error over each slice after its own motion, median", data, "mm", median(values_of(done, "slices_mm"))),
            row("the same, 95th percentile", data, "mm", percentile(values_of(done, "slices_mm"))),
        ]
        for solid in ("radial", "visual hull"):
            told = "reconstruction" if solid == "radial" else "the paper's visual hull"
            for part, reach in enumerate(("where slices reach", "within 40 mm of the axis")):
                rows.append(
                    row(f"Dice of {told}, {reach}", data, "Dice", fmean(each["dice"][solid][part] for each in done))
                )
        return rows

    def table(self, tried: Sequence[tuple[Case, Figures | None]], outlines: str) -> None:
        """A line a kind."""
        for kind in dict.fromkeys(kind for (kind, _), _ in tried):
            every = [each[outlines] if each else None for (one, _), each in tried if one == kind]
            done = [each for each in every if each]
            if not done:
                continue
            errors = [
                figure([each[key][part] for each in done])
                for key in ("start", "end")
                for part in (0, 1)
                for figure in (median, percentile)
            ]
            solids = [fmean(each["dice"][name][0] for each in done) for name in ("radial", "visual hull")]
            shares = [share(every, is_right), share(every, is_found)]
            slices = median(values_of(done, "slices_mm"))
            self.lines.append([kind, _OUTLINES[outlines], len(every), *shares, *errors, slices, *solids])
        names = [
            f"{step}, {unit}, {how}"
            for step in ("initialised", "error")
            for unit in ("mm", "°")
            for how in ("median", "95 %")
        ]
        columns = ["kind", "outlines", "cases", "arrangement right", "found", *names, "slices, mm", "Dice", "hull Dice"]
        self.workshop.tables["accuracy"] = table(columns, self.lines)

    def beside_metal(self) -> list[Row]:
        """A hip whose femur the CT shows with metal; no goal."""
        tried = self.trials([(METAL, seed) for seed in range(4 if self.full else 1)])
        rows = []
        for outlines, title in _OUTLINES.items():
            every = [each[outlines] if each else None for _, each in tried]
            data = f"{self.told([case for case, _ in tried])}, {title}"
            rows += [
                row("arrangement right", data, "share", share(every, is_right)),
                row("arrangement right and error at most 1 mm and 1°", data, "share", share(every, is_found)),
            ]
            self.table(tried, outlines)
        return rows


class Searches(Slices):
    """The search beside trying every degree."""

    def groups(self) -> list[Group]:
        """One."""
        return [("search", "beside every whole degree", self.measured)]

    def measured(self) -> list[Row]:
        """Whether it finds the same, and what that takes."""
        cases = self.cases(_SEARCHED)
        found = [self.asked("hip_matches:searched", case) for case in cases]
        same = {name: [abs(each["search"] - each[name]) <= 1.0 for each in found] for name in ("near", "everywhere")}
        names = ("start", "search", "near", "everywhere", "emulated", "emulated_everywhere")
        lines = [[kind, seed, *(each[name] for name in names)] for (kind, seed), each in zip(cases, found, strict=True)]
        columns = ["kind", "seed", "turned away, °", "search, °", "best within its range, °", "best of all, °"]
        self.workshop.tables["search"] = table([*columns, "slices emulated", "for every degree"], lines)
        data, first = f"{self.told(cases)}, turned about the axis by up to {found[0]['reach']:.0f}°", found[0]
        peer = "every whole degree all around"
        return [
            row("same optimum within 1°, of the search's range", data, "share", fmean(same["near"]), goal="== 1"),
            row("same optimum within 1°, of all around", data, "share", fmean(same["everywhere"]), goal="== 1"),
            row(
                "slices emulated, turn about the axis",
                data,
                "slices",
                first["emulated"],
                goal="<= 0.1 x peer",
                peer=peer,
                peer_value=first["emulated_everywhere"],
            ),
            row(
                "slices emulated, turn about the axis",
                data,
                "slices",
                first["emulated"],
                peer="every whole degree of its range",
                peer_value=first["emulated_near"],
            ),
            row(
                "slices emulated, all six numbers",
                data,
                "slices",
                first["emulated_all"],
                peer=f"{peer}, of one",
                peer_value=first["emulated_everywhere"],
            ),
        ]


class Peers(Slices):
    """Beside SimpleITK's registration."""

    def groups(self) -> list[Group]:
        """One for each start."""
        return [
            ("against SimpleITK", "from our initialisation", partial(self.measured, "initialisation")),
            ("against SimpleITK", "from the header", partial(self.measured, "header")),
        ]

    def measured(self, start: str) -> list[Row]:
        """Success, errors and time."""
        cases = self.cases(_PEERED)
        found = [self.asked("hip_matches:beside_peer", case) for case in cases]
        each = [one[start] for one in found]
        peer = f"SimpleITK {found[0]['version']}, Mattes, all slices together"
        given = "arrangement given, " if start == "header" else ""
        data = f"{self.told(cases)}, {given}from {'the header' if start == 'header' else 'our initialisation'}"
        figures: list[tuple[str, str, str, Callable[[Sequence[Figures]], float]]] = [
            ("error at most 1 mm and 1°", "share", ">= peer", lambda ones: fmean(map(near, ones))),
            ("error, mm, median", "mm", "", lambda ones: median(one["error"][0] for one in ones)),
            ("error, mm, largest", "mm", "", lambda ones: max(one["error"][0] for one in ones)),
            ("error, °, median", "°", "", lambda ones: median(one["error"][1] for one in ones)),
            ("error, °, largest", "°", "", lambda ones: max(one["error"][1] for one in ones)),
            ("time, median", "s", "< peer", lambda ones: median(one["seconds"] for one in ones)),
        ]
        ours, theirs = [one["ours"] for one in each], [one["peer"] for one in each]
        return [
            row(claim, data, unit, figure(ours), goal=goal, peer=peer, peer_value=figure(theirs))
            for claim, unit, goal, figure in figures
        ]


class Whole(Slices):
    """A full case, and the values of maps."""

    def groups(self) -> list[Group]:
        """Two."""
        return [
            ("full case", "six slices 256 x 256, volume 256 x 256 x 160", self.full_case),
            ("values of maps", "one case of each kind", self.values),
        ]

    def full_case(self) -> list[Row]:
        """Time and memory from start to end."""
        found, data = self.workshop.run("hip_matches:whole", seed=1), "six slices 256 x 256, volume 256 x 256 x 160"
        self.workshop.tables["steps"] = table(["step", "s"], found["steps"])
        return [
            row("time", data, "s", found["seconds"], goal="<= 60"),
            row("memory of the process, at most", data, "GB", found["memory_gb"], goal="< 3"),
            row("error over each slice", data, "mm", found["error"]),
        ]

    def values(self) -> list[Row]:
        """Histograms, exactly."""
        cases = self.cases({self.full: dict.fromkeys(_KINDS, 1)})
        found = [self.asked("hip_matches:kept", case) for case in cases]
        data, maps = self.told(cases), sum(each["maps"] for each in found)
        told = f"{data}, {maps} slices of maps"
        return [
            row("histogram as acquired", told, "share", sum(each["same"] for each in found) / maps, goal="== 1"),
            row(
                "painted values that no slice has", data, "values", sum(each["strange"] for each in found), goal="== 0"
            ),
        ]


def is_right(each: Figures) -> bool:
    """Whether the arrangement is."""
    return bool(each["right"])


def is_found(each: Figures) -> bool:
    """Whether the common map is, too."""
    return is_right(each) and _small(each["end"])


def is_started(each: Figures) -> bool:
    """Whether initialisation alone would do."""
    return is_right(each) and _small(each["start"])


def near(each: Figures) -> bool:
    """Of a registration whose arrangement was given."""
    return _small(each["error"])


def _small(error: Sequence[float]) -> bool:
    return error[0] <= _MM and error[1] <= _DEGREES


def share(every: Sequence[Figures | None], test: Callable[[Figures], bool]) -> float:
    """Of all cases, those that broke among them."""
    return fmean(each is not None and test(each) for each in every)


def values_of(done: Sequence[Figures], name: str) -> list[float]:
    """One figure of each."""
    return [each[name] for each in done]


def percentile(values: Sequence[float]) -> float:
    """The 95th."""
    return float(np.percentile(values, 95))
