"""The figures of LDDMM, metamorphosis, weighted metamorphosis and cost-function masking.

The quick form takes the demonstration's brain at 2 mm where a goal asks for it, and elsewhere the same recipe at 4 mm
or flat shapes; the full form adds twelve other tumours at 2 mm, real pairs, and the whole head at 1 mm.
"""

from __future__ import annotations

from functools import partial
from statistics import fmean

from Benchmarks import ants_peer
from Benchmarks.against_demeter import AgainstDemeter
from Benchmarks.common import CONSTANT, DEMONS, EVOLVING, LDDMM, PLAIN, Figures, Group, Made, Measured, lesion
from Benchmarks.real_pairs import RealPairs
from Benchmarks.rows import Row, row
from Benchmarks.sizes import Sizes
from Benchmarks.tumours import Sensitivity, Tumours
from Benchmarks.workshop import Workshop

_CANCELS, _KILLS = 100, 20


class Metamorphosis(Measured):
    """What is measured on one case each."""

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
            ("path or shooting", "flat shapes", self.formulations),
        ]
        for kind in DEMONS:
            for masked in (True, False):
                groups.append((f"against {kind} demons", "demo", partial(self.demons, kind, masked)))
        for kind in ("SyN", "SyNCC") if self.full else ("SyN",):
            groups.append((f"against ANTs {kind}", "demo", partial(self.ants, kind)))
        return groups

    def toy(self) -> list[Row]:
        """The paper's Fig. 1."""
        case = self.make("toy", "toy of Fig. 1, 300 x 300", "toy")
        measured = {way: self.register(case, way, preset="toy-2d") for way in (EVOLVING, CONSTANT, PLAIN, LDDMM)}
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
        """The case of ``make demo``."""
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
        """What others read from our files."""
        case = self.brain(4)
        ours = self.workshop.run("ours:files", case=case.file, method=EVOLVING.method, parameters={})
        return [
            row(f"points moved by SimpleITK from our file, {name}", case.data, "mm at most", ours[name], goal="< 0.01")
            for name in ("transform", "inverse")
        ]

    def interruptions(self, how: str, title: str, count: int, every: int) -> list[Row]:
        """What is left of jobs that were ended."""
        data = "weighted metamorphosis of flat shapes in a worker, random moments"
        found = self.workshop.run("interruptions:interrupt", how=how, count=count, every=every)
        return [
            row(f"{count} {title}: files and processes left", data, "count", found["left"], goal="== 0"),
            row(f"{count} {title}: the next run differs", data, "mm at most", found["next_mm"], goal="< 0.01"),
        ]

    def demons(self, kind: str, masked: bool) -> list[Row]:
        """SimpleITK's."""
        case = self.brain(2)
        theirs = self.workshop.run("demons:register", case=case.file, kind=kind, masked=masked)
        return self.compared(case, f"SimpleITK {kind} demons, {lesion(masked)}", theirs)

    def ants(self, kind: str) -> list[Row]:
        """ANTs' SyN, with and without the mask."""
        case, rows = self.brain(2), []
        for masked in (True, False):
            theirs = ants_peer.measured(self.workshop, case.file, kind, masked)
            rows += self.compared(case, f"ANTs {kind} (antspyx {theirs['version']}), {lesion(masked)}", theirs)
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


def groups(workshop: Workshop, full: bool) -> list[Group]:
    """What this benchmark measures."""
    parts = (Metamorphosis, Tumours, Sensitivity, RealPairs, AgainstDemeter, Sizes)
    return [group for part in parts for group in part(workshop, full).groups()]
