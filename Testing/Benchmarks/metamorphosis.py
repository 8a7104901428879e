"""The figures of LDDMM, metamorphosis, weighted metamorphosis and cost-function masking.

The quick form takes the demonstration's brain at 2 mm where a goal asks for it, and elsewhere the same recipe at 4 mm
or flat shapes; the full form adds twelve other tumours at 2 mm, and real slices where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from RegistrationSuiteLib import demo

from Benchmarks import ants_peer, demeter_peer
from Benchmarks.rows import Row, row
from Benchmarks.workshop import CaseFailed, Workshop, data_folder

Figures = dict[str, Any]
Group = tuple[str, str, Callable[[], Sequence[Row]]]

_SQUARES = "share of the squared difference before"
_CANCELS, _KILLS = 100, 20
_PATIENTS = ("BraTS2021_00090", "BraTS2021_00147")
_DEMETER = {"widths": [5.0, 15.0], "steps": 10, "iterations": 11}
"""Its kernels in pixels of 1 mm, steps, and iterations of its outer loop."""
_LIKE_DEMETER = {"regularity": 0.004, "bias_correction": False}
"""It takes intensities as they are, and a weak regularity."""


@dataclass(frozen=True)
class Way:
    """A method with its settings."""

    title: str
    method: str
    settings: tuple[tuple[str, Any], ...] = ()

    def parameters(self, **more: Any) -> dict[str, Any]:
        """For a job."""
        return {**dict(self.settings), **more}


EVOLVING = Way("weighted metamorphosis, evolving mask", "weighted-metamorphosis")
CONSTANT = Way("weighted metamorphosis, constant mask", "weighted-metamorphosis", (("mask_evolution", "constant"),))
PLAIN = Way("metamorphosis", "metamorphosis")
LDDMM = Way("LDDMM", "lddmm")
MASKING = Way("cost-function masking", "cost-function-masking")
WAYS = (EVOLVING, CONSTANT, PLAIN, LDDMM, MASKING)
_BETTER_BY = ((EVOLVING, PLAIN, 0.031), (PLAIN, LDDMM, 0.055), (LDDMM, MASKING, 0.236))
"""The paper's order of ventricle Dice, and by how much (Table 1)."""


@dataclass(frozen=True)
class Made:
    """A case in the workshop."""

    file: str
    data: str


class Metamorphosis:
    """What the groups share."""

    def __init__(self, workshop: Workshop, full: bool) -> None:
        self.workshop, self.full = workshop, full

    def groups(self) -> list[Group]:
        """In the order they are measured."""
        groups: list[Group] = [
            ("ovals of the toy by deformation alone", "toy", self.toy),
            ("demonstration", "demo", self.demonstration),
            ("a written transform read by SimpleITK", "demo at 4 mm", self.files),
            (
                f"{_CANCELS} cancels",
                "flat shapes",
                partial(self.interruptions, "cancel", "cancelled jobs", _CANCELS, 8),
            ),
            (
                f"{_KILLS} killed workers",
                "flat shapes",
                partial(self.interruptions, "kill", "killed workers", _KILLS, 2),
            ),
        ]
        for kind in ("diffeomorphic", "fast symmetric"):
            for masked in (True, False):
                groups.append((f"against {kind} demons", "demo", partial(self.demons, kind, masked)))
        for kind in ("SyN", "SyNCC") if self.full else ("SyN",):
            groups.append((f"against ANTs {kind}", "demo", partial(self.ants, kind)))
        for patient in _PATIENTS if self.full else _PATIENTS[:1]:
            groups.append(("against Demeter", f"SRI24 to BraTS slice {patient}", partial(self.demeter, patient)))
        groups.append(("the paper's order", "demo at 4 mm", partial(self.order, self.small, False)))
        groups.append(("path or shooting", "flat shapes", self.formulations))
        groups.append(("sensitivity to parameters", "demo", self.sensitivity))
        if self.full:
            groups.append(("the paper's order", "12 tumours", partial(self.order, self.others, True)))
        return groups

    # Cases

    def make(self, name: str, data: str, phantom: str, **options: Any) -> Made | None:
        """A phantom's case; None where its recipe cannot be followed."""
        file = str(self.workshop.folder / f"{name}.pickle")
        made = self.workshop.run("cases:make", phantom=phantom, file=file, **options)
        return None if made["refused"] else Made(file, data)

    def needed(self, *arguments: Any, **options: Any) -> Made:
        """A case that must be possible."""
        made = self.make(*arguments, **options)
        if made is None:
            raise CaseFailed(f"The case {arguments[0]} cannot be made.")
        return made

    def brain(self, resolution: int) -> Made:
        """The demonstration's."""
        data = f"demo: MNI152 with tumour, seed {demo.SEED}, {resolution} mm"
        return self.needed(f"demo-{resolution}", data, "brain", resolution=resolution, seed=demo.SEED)

    def shapes(self) -> Made:
        return self.needed("shapes", "flat head 112 x 96, 1 mm", "shapes")

    def small(self) -> list[Made]:
        """Where 2 mm would take too long for the quick form."""
        return [self.brain(4)]

    def others(self) -> list[Made]:
        """Twelve tumours of other seeds, sizes and places, at 2 mm."""
        made: list[Made] = []
        for seed in range(10, 100):
            recipe = other_recipe(seed)
            case = self.make(f"other-{seed}", f"tumour {seed}", "brain", resolution=2, seed=seed, **recipe)
            made += [case] if case is not None else []
            if len(made) == 12:
                return made
        raise CaseFailed("Fewer than twelve of ninety tumours can be grown.")

    # Measurements

    def register(self, case: Made, way: Way, **parameters: Any) -> Figures:
        return self.workshop.run(
            "cases:register", case=case.file, method=way.method, parameters=way.parameters(**parameters)
        )

    def before(self, case: Made) -> Figures:
        return self.workshop.run("cases:before", case=case.file)

    def toy(self) -> list[Row]:
        """The paper's Fig. 1."""
        case = self.needed("toy", "toy of Fig. 1, 300 x 300", "toy")
        measured = {way: self.register(case, way, bias_correction=False) for way in (EVOLVING, CONSTANT, PLAIN, LDDMM)}
        dice = {way: fmean(figures["dice"].values()) for way, figures in measured.items()}
        overlap = [
            row(
                f"ovals by deformation alone, {better.title}",
                case.data,
                "mean Dice",
                dice[better],
                goal="> peer",
                peer=worse.title,
                peer_value=dice[worse],
            )
            for better, worse in ((EVOLVING, CONSTANT), (CONSTANT, PLAIN), (CONSTANT, LDDMM), (EVOLVING, LDDMM))
        ]
        folds = [
            row(f"folded voxels, {way.title}", case.data, "fraction", figures["folded_fraction"], goal="== 0")
            for way, figures in measured.items()
        ]
        return overlap + folds

    def demonstration(self) -> list[Row]:
        case = self.brain(2)
        ours, start = self.register(case, EVOLVING), self.before(case)

        def against_start(claim: str, unit: str, name: str, goal: str) -> Row:
            return row(claim, case.data, unit, ours[name], goal=goal, peer="before", peer_value=start[name])

        return [
            row("ventricles by deformation alone", case.data, "Dice", ours["dice_ventricles"], goal=">= 0.85"),
            against_start("ventricles, clearly above before", "Dice", "dice_ventricles", "> peer + 0.1"),
            row("folded voxels", case.data, "fraction", ours["folded_fraction"], goal="== 0"),
            against_start("distance to the true deformation, mean", "mm", "error_mm", "< peer"),
            against_start("distance to the true deformation, 95 %", "mm", "error_95_mm", "< peer"),
            row("time of the registration", case.data, "s", ours["seconds"], goal="<= 300"),
            row("memory of the registration", case.data, "MiB", ours["memory_mb"], goal="< 4000"),
        ]

    def files(self) -> list[Row]:
        case = self.brain(4)
        ours = self.workshop.run(
            "cases:files", case=case.file, method=EVOLVING.method, parameters=EVOLVING.parameters()
        )
        return [
            row(f"points moved by SimpleITK from our file, {name}", case.data, "mm at most", ours[name], goal="< 0.01")
            for name in ("transform", "inverse")
        ]

    def interruptions(self, how: str, title: str, count: int, every: int) -> list[Row]:
        data = "weighted metamorphosis of flat shapes in a worker, random moments"
        found = self.workshop.run("interruptions:interrupt", how=how, count=count, every=every)
        return [
            row(f"{count} {title}: files and processes left", data, "count", found["left"], goal="== 0"),
            row(f"{count} {title}: the next run differs", data, "mm at most", found["next_mm"], goal="< 0.01"),
        ]

    def demons(self, kind: str, masked: bool) -> list[Row]:
        case = self.brain(2)
        theirs = self.workshop.run("cases:demons", case=case.file, kind=kind, masked=masked)
        return self.compared(case, f"SimpleITK {kind} demons, {_lesion(masked)}", theirs)

    def ants(self, kind: str) -> list[Row]:
        case, rows = self.brain(2), []
        python = ants_peer.interpreter()
        images = self.workshop.run("cases:ants_inputs", case=case.file, folder=str(self.workshop.folder / "ants"))
        for masked in (True, False):
            out = str(self.workshop.folder / f"ants-{kind}-{masked}-")
            done = self.workshop.run("ants_peer:syn", python=python, images=images, kind=kind, masked=masked, out=out)
            figures = self.workshop.run("cases:judged_files", case=case.file, transforms=done["transforms"])
            title = f"ANTs {kind} (antspyx {done['version']}), {_lesion(masked)}"
            rows += self.compared(case, title, {**figures, **done})
        return rows

    def compared(self, case: Made, peer: str, theirs: Figures) -> list[Row]:
        """Accuracy, folds, time and memory of ours beside a peer's, measured in the same way in the same call."""
        ours = self.register(case, EVOLVING)
        return [
            row(claim, case.data, unit, ours[name], goal=goal, peer=peer, peer_value=theirs[name])
            for claim, unit, name, goal in (
                ("ventricles by deformation alone", "Dice", "dice_ventricles", "> peer"),
                ("distance to the true deformation, mean", "mm", "error_mm", "< peer"),
                ("folded voxels", "fraction", "folded_fraction", "<= peer"),
                ("time", "s", "seconds", ""),
                ("memory", "MiB", "memory_mb", ""),
            )
        ]

    def demeter(self, patient: str) -> list[Row]:
        """The authors' own package on their own pair, with the same kernels, steps and number of evaluations."""
        folder, python = data_folder("tumour2d_demeter"), demeter_peer.interpreter()
        case = self.needed(
            patient, f"SRI24 to slice of {patient}, 240 x 240", "slices", folder=str(folder), patient=patient
        )
        images, out = (str(self.workshop.folder / f"{patient}-{name}.npz") for name in ("images", "demeter"))
        self.workshop.run("cases:arrays", case=case.file, file=images)
        theirs = self.workshop.run("demeter_peer:register", python=python, images=images, out=out, **_DEMETER)
        theirs = {**theirs, **self.workshop.run("cases:judged_arrays", case=case.file, file=out)}
        same = {**_LIKE_DEMETER, "kernel_widths": _DEMETER["widths"], "steps": _DEMETER["steps"]}
        shooting = self.register(
            case, CONSTANT, **same, formulation="shooting", levels=1, iterations=theirs["evaluations"]
        )
        path = self.register(case, CONSTANT, **same, iterations=100)
        for each in (theirs, shooting, path):
            each["ms"] = 1000 * each["seconds"] / each["evaluations"]
        rows = []
        for title, ours in (("shooting on one scale", shooting), ("path on three scales", path)):
            rows += [
                row(
                    f"{title}: {claim}", case.data, unit, ours[name], goal=goal, peer="Demeter", peer_value=theirs[name]
                )
                for claim, unit, name, goal in (
                    ("time per evaluation", "ms", "ms", "<= 0.333 x peer"),
                    ("time", "s", "seconds", ""),
                    ("memory", "MiB", "memory_mb", "<= 0.5 x peer"),
                    ("difference left, final", _SQUARES, "left_final", "<= peer"),
                    ("difference left by deformation alone", _SQUARES, "left_deformation", "<= peer"),
                )
            ]
        return rows

    def order(self, cases: Callable[[], list[Made]], margins: bool) -> list[Row]:
        """The methods on the same cases, with means over them."""
        made = cases()
        data = made[0].data if len(made) == 1 else f"{len(made)} other tumours on MNI152, 2 mm, means"
        figures = {way: _means([self.register(case, way) for case in made]) for way in WAYS}
        rows = []
        for better, worse, margin in _BETTER_BY:
            rows.append(
                row(
                    f"ventricles by deformation alone, {better.title}",
                    data,
                    "Dice",
                    figures[better]["dice_ventricles"],
                    goal=f"> peer + {margin}" if margins else "> peer",
                    peer=worse.title,
                    peer_value=figures[worse]["dice_ventricles"],
                )
            )
        for way in WAYS:
            rows += self._stated(way, data, figures[way], _means([self.before(case) for case in made]))
        return rows

    def _stated(self, way: Way, data: str, ours: Figures, start: Figures) -> list[Row]:
        """A method's figures, for the table of methods."""
        return [
            row(
                f"{way.title}: {claim}",
                data,
                unit,
                ours[name],
                goal=goal,
                peer="before" if name in start else "",
                peer_value=start.get(name),
            )
            for claim, unit, name, goal in (
                ("ventricles by deformation alone", "Dice", "dice_ventricles", "> peer"),
                ("distance to the true deformation, mean", "mm", "error_mm", "< peer"),
                ("difference left, final", _SQUARES, "left_final", ""),
                ("difference left by deformation alone", _SQUARES, "left_deformation", ""),
                ("folded voxels", "fraction", "folded_fraction", "== 0"),
                ("time", "s", "seconds", ""),
                ("memory", "MiB", "memory_mb", ""),
            )
        ]

    def formulations(self) -> list[Row]:
        """What is optimised: the path, or the initial residual as in the paper."""
        case = self.shapes()
        path, shooting = (
            self.register(case, EVOLVING, formulation=name, iterations=200, bias_correction=False)
            for name in ("path", "shooting")
        )
        return [
            row(f"path: {claim}", case.data, unit, path[name], goal=goal, peer="shooting", peer_value=shooting[name])
            for claim, unit, name, goal in (
                ("energy reached", "share of the energy at the start", "energy", "<= peer"),
                ("evaluations until it settles", "count", "evaluations", "<= peer"),
                ("time", "s", "seconds", "<= peer"),
            )
        ]

    def sensitivity(self) -> list[Row]:
        """The main parameters twice and half their defaults."""
        case = self.brain(2) if self.full else self.shapes()
        widths = self.workshop.run("cases:default_widths", case=case.file)
        names = ("kernel_widths", "regularity", "intensity_penalty", *(("steps",) if self.full else ()))
        settings: list[dict[str, Any]] = [{}]
        settings += [{name: _scaled(name, factor, widths)} for name in names for factor in (2.0, 0.5)]
        usual, *changed = self.workshop.run(
            "cases:variations", case=case.file, method=EVOLVING.method, parameters=settings
        )
        rows = []
        for name, pair in zip(names, zip(changed[::2], changed[1::2], strict=True), strict=True):
            change = max(abs(dice - usual) for dice in pair)
            rows.append(
                row(
                    f"{name} twice and half: change of the ventricles' overlap",
                    case.data,
                    "Dice",
                    change,
                    goal="< 0.02",
                )
            )
        return rows


def groups(workshop: Workshop, full: bool) -> list[Group]:
    """What this benchmark measures."""
    return Metamorphosis(workshop, full).groups()


def other_recipe(seed: int) -> dict[str, float]:
    """Sizes of tumours and their pressure, in turn; their places follow from the seed."""
    radius = (10.0, 13.0, 16.0, 19.0)[seed % 4]
    return {
        "radius": radius,
        "mass_effect": radius * (0.4, 0.5, 0.6)[seed % 3],
        "oedema": (4.0, 8.0, 12.0)[seed // 2 % 3],
    }


def _scaled(name: str, factor: float, widths: Sequence[float]) -> Any:
    """A parameter's default times a factor."""
    if name == "kernel_widths":
        return [factor * width for width in widths]
    from regsuite.catalog import method

    default = next(each.default for each in method(EVOLVING.method).parameters if each.name == name)
    return type(default)(default * factor)


def _lesion(masked: bool) -> str:
    return "lesion left out" if masked else "lesion seen"


def _means(figures: Sequence[Figures]) -> Figures:
    """Of every figure that is a number."""
    first = figures[0]
    return {name: fmean(each[name] for each in figures) for name in first if isinstance(first[name], (int, float))}
