"""Twelve simulated tumours whose deformation is known: every method and peer on each; and what parameters do to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from Benchmarks import ants_peer
from Benchmarks.common import (
    DEMONS,
    EVOLVING,
    LDDMM,
    MASKING,
    PLAIN,
    SQUARES,
    WAYS,
    Figures,
    Group,
    Made,
    Measured,
    Way,
)
from Benchmarks.rows import Row, row, spread, table
from Benchmarks.workshop import CaseFailed, Missing

_BETTER_BY = ((EVOLVING, PLAIN, 0.031), (PLAIN, LDDMM, 0.055), (LDDMM, MASKING, 0.236))
"""The paper's order of ventricle Dice, and by how much: 77.2, 74.1, 68.6, 45.0 (Table 1)."""
_MISSES = ((EVOLVING, PLAIN, 0.88), (PLAIN, LDDMM, 0.825))
"""The same as shares of what is missed, 1 - Dice: (100 - 77.2) / (100 - 74.1), (100 - 74.1) / (100 - 68.6)."""
_FIRST_SEED, _LAST_SEED, _COUNT = 10, 100, 12
_SENSITIVE, _SENSITIVE_MM = 4, 3
Changes = dict[str, list[list[float]]]
"""Of the ventricles' Dice: of every case, for every factor, by parameter."""
_FACTORS = {"2": 2.0, "1/2": 0.5}
_VARIED = ("kernel_widths", "regularity", "intensity_penalty", "lesion_weight", "iterations", "steps")

_COLUMNS = (
    ("ventricles, Dice", "dice_ventricles"),
    ("from the truth, mm", "error_mm"),
    ("95 %, mm", "error_95_mm"),
    ("SSD final", "left_final"),
    ("SSD deformation", "left_deformation"),
    ("SSD outside", "left_outside"),
    ("folds", "folded_fraction"),
    ("time, s", "seconds"),
    ("memory, MiB", "memory_mb"),
)


class Tumours(Measured):
    """The methods in the paper's order, and peers, on the same cases."""

    def groups(self) -> list[Group]:
        """The demonstration at 4 mm; in the full form also the twelve."""
        quick: list[Group] = [("the paper's order", "demo at 4 mm", self.one)]
        return [*quick, ("the paper's order", "12 tumours", self.twelve)] if self.full else quick

    def one(self) -> list[Row]:
        """At 4 mm, whether the order is the paper's."""
        case = self.brain(4)
        figures = {way: self.register(case, way) for way in WAYS}
        rows = [
            _margin(figures[better], figures[worse], case.data, better, worse, 0) for better, worse, _ in _BETTER_BY
        ]
        start = self.before(case)
        return rows + [line for way in WAYS for line in _stated(way.title, case.data, figures[way], start)]

    def twelve(self) -> list[Row]:
        """Rows of means over tumours of other seeds, sizes and places, at 2 mm, and a table of every one."""
        made = tumours(self, 2, _COUNT)
        data = f"{len(made)} tumours on MNI152, 2 mm, means"
        found = {"before": self._of_each("judging:before_each", made)}
        found |= {way.title: self._ours(way, made) for way in WAYS}
        peers = self._peers(made)
        self.workshop.tables["tumours"] = _summary({**found, **peers})
        self.workshop.tables["each tumour"] = _each(made, {**found, **peers})
        means = {title: _means(figures) for title, figures in {**found, **peers}.items()}
        rows = [
            _margin(means[better.title], means[worse.title], data, better, worse, by)
            for better, worse, by in _BETTER_BY
        ]
        rows += [
            _missed(means[better.title], means[worse.title], data, better, worse, by) for better, worse, by in _MISSES
        ]
        for way in WAYS:
            rows += _stated(way.title, data, means[way.title], means["before"])
        for peer in peers:
            rows += _against(peer, data, means[EVOLVING.title], means[peer])
        return rows

    def _of_each(self, function: str, made: Sequence[Made], **options: Any) -> list[Figures]:
        return self.workshop.run(function, cases=[case.file for case in made], **options)

    def _ours(self, way: Way, made: Sequence[Made]) -> list[Figures]:
        return self._of_each("ours:register_each", made, method=way.method, parameters=way.parameters())

    def _peers(self, made: Sequence[Made]) -> dict[str, list[Figures]]:
        """By title; ANTs only where it is installed, which its own group says."""
        found = {
            f"SimpleITK {kind} demons, lesion left out": self._of_each(
                "demons:register_each", made, kind=kind, masked=True
            )
            for kind in DEMONS
        }
        try:
            syn = [ants_peer.measured(self.workshop, case.file, "SyN", masked=True) for case in made]
        except Missing:
            return found
        return {**found, "ANTs SyN, lesion left out": syn}


class Sensitivity(Measured):
    """What the ventricles' overlap owes to each parameter."""

    def groups(self) -> list[Group]:
        """Flat shapes; in the full form also four tumours."""
        quick: list[Group] = [("sensitivity to parameters", "flat shapes", self.flat)]
        return [*quick, ("sensitivity to parameters", "4 tumours", self.four)] if self.full else quick

    def flat(self) -> list[Row]:
        """In a moment."""
        case = self.shapes()
        return _sensitivity_rows(case.data, self._changes([case]))

    def four(self) -> list[Row]:
        """Recipes of the first of the twelve at 3 mm, and a table of every change."""
        made = tumours(self, _SENSITIVE_MM, _SENSITIVE)
        changes = self._changes(made)
        self.workshop.tables["sensitivity"] = table(
            ["parameter", "times", "change of the mean Dice", "largest change of one case"],
            [
                [name, factor, fmean(each), max(each, key=abs)]
                for name, pair in changes.items()
                for factor, each in zip(_FACTORS, pair, strict=True)
            ],
        )
        return _sensitivity_rows(f"{len(made)} tumours on MNI152, {_SENSITIVE_MM} mm", changes)

    def _changes(self, made: Sequence[Made]) -> Changes:
        """With the main parameters of weighted metamorphosis twice and half their defaults."""
        files = [case.file for case in made]
        dice = self.workshop.run(
            "ours:variations", cases=files, method=EVOLVING.method, names=list(_VARIED), factors=list(_FACTORS.values())
        )
        return {
            name: [[case[name][place] - case["usual"] for case in dice] for place in range(len(_FACTORS))]
            for name in _VARIED
        }


def _sensitivity_rows(data: str, changes: Changes) -> list[Row]:
    return [
        row(f"{name} twice and half: {claim}", data, "Dice", max(size(each) for each in pair), goal="< 0.02")
        for name, pair in changes.items()
        for claim, size in _SIZES
    ]


def _of_mean(changes: Sequence[float]) -> float:
    return abs(fmean(changes))


def _largest(changes: Sequence[float]) -> float:
    return max(map(abs, changes))


_SIZES: tuple[tuple[str, Callable[[Sequence[float]], float]], ...] = (
    ("change of the ventricles' mean overlap", _of_mean),
    ("largest change of one case's overlap", _largest),
)


def tumours(measured: Measured, resolution: int, count: int) -> list[Made]:
    """The first ones, of seeds from ten on, that can be grown."""
    folder = measured.workshop.folder / f"tumours-{resolution}"
    folder.mkdir(exist_ok=True)
    recipes = {f"tumour {seed}": {"seed": seed, **recipe(seed)} for seed in range(_FIRST_SEED, _LAST_SEED)}
    names = measured.workshop.run(
        "cases:make_tumours", folder=str(folder), resolution=resolution, recipes=recipes, count=count
    )
    if len(names) < count:
        raise CaseFailed(f"Only {len(names)} of {len(recipes)} tumours can be grown.")
    return [Made(f"{folder}/{name}.pickle", name) for name in names]


def recipe(seed: int) -> dict[str, float]:
    """Sizes of tumours and their pressure, in turn; their places follow from the seed."""
    radius = (10.0, 13.0, 16.0, 19.0)[seed % 4]
    return {
        "radius": radius,
        "mass_effect": radius * (0.4, 0.5, 0.6)[seed % 3],
        "oedema": (4.0, 8.0, 12.0)[seed // 2 % 3],
    }


def _means(figures: Sequence[Figures]) -> Figures:
    """Of every figure that is a number."""
    first = figures[0]
    return {name: fmean(each[name] for each in figures) for name in first if isinstance(first[name], (int, float))}


def _summary(found: dict[str, list[Figures]]) -> dict[str, Any]:
    """A line for each method: mean and standard deviation over the cases."""
    return table(
        ["method", *(title for title, _ in _COLUMNS)],
        [
            [
                method,
                *(spread([each[name] for each in figures]) if name in figures[0] else None for _, name in _COLUMNS),
            ]
            for method, figures in found.items()
        ],
    )


def _each(made: Sequence[Made], found: dict[str, list[Figures]]) -> dict[str, Any]:
    """A line for each method and case."""
    return table(
        ["method", "case", *(title for title, _ in _COLUMNS)],
        [
            [method, case.data, *(each.get(name) for _, name in _COLUMNS)]
            for method, figures in found.items()
            for case, each in zip(made, figures, strict=True)
        ],
    )


def _margin(ours: Figures, others: Figures, data: str, better: Way, worse: Way, by: float) -> Row:
    return row(
        f"ventricles by deformation alone, {better.title}",
        data,
        "Dice",
        ours["dice_ventricles"],
        goal=f"> peer + {by}" if by else "> peer",
        peer=worse.title,
        peer_value=others["dice_ventricles"],
    )


def _missed(ours: Figures, others: Figures, data: str, better: Way, worse: Way, share: float) -> Row:
    """Margins where little is left to win."""
    return row(
        f"ventricles missed by deformation alone, {better.title}",
        data,
        "1 - Dice",
        1 - ours["dice_ventricles"],
        goal=f"<= {share} x peer",
        peer=worse.title,
        peer_value=1 - others["dice_ventricles"],
    )


def _stated(title: str, data: str, ours: Figures, start: Figures) -> list[Row]:
    """A method's figures."""
    return [
        row(
            f"{title}: {claim}",
            data,
            unit,
            ours[name],
            goal=goal,
            peer="before" if goal in ("> peer", "< peer") else "",
            peer_value=start.get(name),
        )
        for claim, unit, name, goal in (
            ("ventricles by deformation alone", "Dice", "dice_ventricles", "> peer"),
            ("distance to the true deformation, mean", "mm", "error_mm", "< peer"),
            ("distance to the true deformation, 95 %", "mm", "error_95_mm", "< peer"),
            ("difference left, final", SQUARES, "left_final", ""),
            ("difference left by deformation alone", SQUARES, "left_deformation", ""),
            ("folded voxels", "fraction", "folded_fraction", "== 0"),
            ("time", "s", "seconds", ""),
            ("memory", "MiB", "memory_mb", ""),
        )
    ]


def _against(peer: str, data: str, ours: Figures, theirs: Figures) -> list[Row]:
    """The method with its defaults beside a peer."""
    return [
        row(claim, data, unit, ours[name], goal=goal, peer=peer, peer_value=theirs[name])
        for claim, unit, name, goal in (
            ("ventricles by deformation alone", "Dice", "dice_ventricles", "> peer"),
            ("distance to the true deformation, mean", "mm", "error_mm", "< peer"),
            ("folded voxels", "fraction", "folded_fraction", "<= peer"),
        )
    ]
