"""Real tumours: template and patient both ways, and two visits of a patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from Benchmarks import ants_peer
from Benchmarks.common import EVOLVING, WAYS, Figures, Group, Made, Measured, Way
from Benchmarks.rows import Row, failed, row, table
from Benchmarks.workshop import CaseFailed, Missing, data_folder

_TO_PATIENT, _TO_TEMPLATE, _OVER_TIME = "template-to-patient", "patient-to-template", "lesion-over-time"
"""Presets."""
_QUICK_MM = 4
BEFORE, ALIGNED = "before", "initial alignment alone"
DEMONS, SYN = "SimpleITK diffeomorphic demons, lesion left out", "ANTs SyN, lesion left out"


@dataclass(frozen=True)
class Pair:
    """Two real images.

    title, moving image first; maker and options of the case; preset: of our methods, whose initial alignment demons
    start from as well; mm: its resolution in the full form, 0 where it has but one; quick: whether the quick form
    measures it too.
    """

    title: str
    folder: str
    maker: str
    options: Mapping[str, Any]
    preset: str = ""
    mm: int = 0
    quick: bool = False


def _slices(patient: str, quick: bool = False) -> tuple[Pair, ...]:
    name = f"slice of {patient}"
    options = {"patient": patient}
    return (
        Pair(f"SRI24 to {name}", "tumour2d_demeter", "slices", options, quick=quick),
        Pair(f"{name} to SRI24", "tumour2d_demeter", "slices", {**options, "to_template": True}),
    )


def _visits(fixed: str, moving: str, title: str, mm: int, preset: str) -> Pair:
    return Pair(title, "tumour3d_bratsreg", "bratsreg", {"fixed": fixed, "moving": moving}, preset, mm)


PAIRS = (
    *_slices("BraTS2021_00090", quick=True),
    *_slices("BraTS2021_00147"),
    Pair("MNI152 to BraTS 2015 patient", "tumour3d_brats2015", "brats2015", {}, _TO_PATIENT, 3, quick=True),
    Pair("BraTS 2015 patient to MNI152", "tumour3d_brats2015", "brats2015", {"to_template": True}, _TO_TEMPLATE, 3),
    _visits("before", "after", "BraTS-Reg 002, after treatment to before", 2, _OVER_TIME),
    _visits("after", "before", "BraTS-Reg 002, before treatment to after", 2, _OVER_TIME),
    _visits("before", "template", "MNI152 to BraTS-Reg 002 before treatment", 3, _TO_PATIENT),
    _visits("after", "template", "MNI152 to BraTS-Reg 002 after treatment", 3, _TO_PATIENT),
)

_COLUMNS = (
    ("correlation outside the lesion", "correlation_outside"),
    ("TRE, mm", "tre_mm"),
    ("largest, mm", "tre_max_mm"),
    ("folds", "folded_fraction"),
    ("explained by shape", "explained_by_shape"),
    ("time, s", "seconds"),
    ("memory, MiB", "memory_mb"),
)


class RealPairs(Measured):
    """Our methods and peers on real pairs, whose truth nobody knows but at landmarks."""

    def groups(self) -> list[Group]:
        """One for each pair."""
        return [("real pair", pair.title, partial(self.pair, pair)) for pair in PAIRS if self.full or pair.quick]

    def pair(self, pair: Pair) -> list[Row]:
        """Rows on the method with its defaults, and in the table all that was measured."""
        case = self._case(pair)
        shown = self.workshop.folder / f"shown {pair.title}"
        shown.mkdir(exist_ok=True)
        found, broken = self._found(pair, case, shown)
        columns = ["pair", "way", *(title for title, _ in _COLUMNS)]
        lines = [[pair.title, title, *(figures.get(name) for _, name in _COLUMNS)] for title, figures in found.items()]
        self.workshop.tables.setdefault("real pairs", table(columns, []))["rows"] += table(columns, lines)["rows"]
        if self.workshop.pictures is not None:
            images = {title: f"{shown}/{title}.npy" for title in found if (shown / f"{title}.npy").exists()}
            file = self.workshop.pictures / f"{_file(pair.title)}.png"
            self.workshop.run("look:overview", case=case.file, images=images, file=str(file))
        return [*_rows(case.data, found), *(failed(title, case.data, reason) for title, reason in broken.items())]

    def _case(self, pair: Pair) -> Made:
        mm = pair.mm if self.full else _QUICK_MM
        options = {**pair.options, **({"resolution": mm} if pair.mm else {})}
        data = f"{pair.title}, {mm} mm" if pair.mm else f"{pair.title}, 240 x 240"
        return self.make(_file(pair.title), data, pair.maker, folder=str(data_folder(pair.folder)), **options)

    def _found(self, pair: Pair, case: Made, shown: Path) -> tuple[dict[str, Figures], dict[str, str]]:
        """Figures by what was done, what stands at the start first; and why where it could not be."""
        found: dict[str, Figures] = {}
        broken: dict[str, str] = {}
        for title, measure in self._ways(pair, case, shown).items():
            try:
                found[title] = measure()
            except Missing:
                continue  # the group on the demonstration says so
            except CaseFailed as error:
                broken[title] = str(error)
        return found, broken

    def _ways(self, pair: Pair, case: Made, shown: Path) -> dict[str, Callable[[], Figures]]:
        initial = EVOLVING.parameters(pair.preset).get("initial", "none")

        def run(function: str, title: str, **options: Any) -> Callable[[], Figures]:
            return partial(self.workshop.run, function, case=case.file, shown=f"{shown}/{title}.npy", **options)

        ways: dict[str, Callable[[], Figures]] = {}
        if initial != "affine":  # where one is needed, the images do not even overlap
            ways[BEFORE] = partial(self.before, case)
        if initial != "none":
            ways[ALIGNED] = run("ours:aligned", ALIGNED, kind=initial)
        for way in WAYS:
            parameters = way.parameters(pair.preset)
            report = self._report(pair, way)
            ways[way.title] = run("ours:register", way.title, method=way.method, parameters=parameters, report=report)
        options = {"kind": "diffeomorphic", "masked": True, "initial": initial, "matched": True}
        ways[DEMONS] = run("demons:register", DEMONS, **options)
        ways[SYN] = partial(ants_peer.measured, self.workshop, case.file, "SyN", True, f"{shown}/{SYN}.npy")
        return ways

    def _report(self, pair: Pair, way: Way) -> str:
        """Folder for a page with pictures, where they are wanted."""
        pictures = self.workshop.pictures
        return "" if pictures is None else str(pictures / _file(pair.title) / _file(way.title))


def _rows(data: str, found: dict[str, Figures]) -> list[Row]:
    """The method with its defaults beside the start and the peers."""
    if EVOLVING.title not in found:
        return []
    ours, start = found[EVOLVING.title], BEFORE if BEFORE in found else ALIGNED
    measures = [("agreement outside the lesion", "correlation", "correlation_outside", "> peer")]
    if "tre_mm" in ours:
        measures.append(("distance of landmarks, mean", "mm", "tre_mm", "< peer"))
    rows = [row("folded voxels", data, "fraction", ours["folded_fraction"], goal="== 0")]
    for claim, unit, name, goal in measures:
        rows += [
            row(claim, data, unit, ours[name], goal=goal, peer=peer, peer_value=found[peer][name])
            for peer in (start, DEMONS, SYN)
            if peer in found
        ]
    return rows


def _file(title: str) -> str:
    """A title as the name of a file."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in title).split()).lower()
