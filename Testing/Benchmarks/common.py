"""What the groups of the benchmark share: ways to register, and cases in the workshop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from RegistrationSuiteLib import demo
from regsuite import catalog

from Benchmarks.rows import Row
from Benchmarks.workshop import CaseFailed, Workshop

Figures = dict[str, Any]
Group = tuple[str, str, Callable[[], Sequence[Row]]]

SQUARES = "share of the squared difference before"


@dataclass(frozen=True)
class Way:
    """A method with its settings."""

    title: str
    method: str
    settings: tuple[tuple[str, Any], ...] = ()

    def parameters(self, preset: str = "", **more: Any) -> dict[str, Any]:
        """For a job, with the values of a preset where one is named."""
        return {**(catalog.method(self.method).preset(preset).values if preset else {}), **dict(self.settings), **more}


EVOLVING = Way("weighted metamorphosis, evolving mask", "weighted-metamorphosis")
CONSTANT = Way("weighted metamorphosis, constant mask", "weighted-metamorphosis", (("mask_evolution", "constant"),))
PLAIN = Way("metamorphosis", "metamorphosis")
LDDMM = Way("LDDMM", "lddmm")
MASKING = Way("cost-function masking", "cost-function-masking")
WAYS = (EVOLVING, CONSTANT, PLAIN, LDDMM, MASKING)

DEMONS = ("diffeomorphic", "fast symmetric")
"""Kinds of SimpleITK's."""


@dataclass(frozen=True)
class Made:
    """A case in the workshop."""

    file: str
    data: str


class Measured:
    """Cases, and their registrations by our methods; the base of every collection of groups."""

    def __init__(self, workshop: Workshop, full: bool) -> None:
        self.workshop, self.full = workshop, full

    def make(self, name: str, data: str, phantom: str, **options: Any) -> Made:
        """A case that must be possible."""
        file = str(self.workshop.folder / f"{name}.pickle")
        made = self.workshop.run("cases:make", phantom=phantom, file=file, **options)
        if made["refused"]:
            raise CaseFailed(f"The case {name} cannot be made: {made['refused']}.")
        return Made(file, data)

    def brain(self, resolution: int) -> Made:
        """The demonstration's."""
        data = f"demo: MNI152 with tumour, seed {demo.SEED}, {resolution} mm"
        return self.make(f"demo-{resolution}", data, "brain", resolution=resolution, seed=demo.SEED)

    def shapes(self) -> Made:
        """A flat head."""
        return self.make("shapes", "flat head 112 x 96, 1 mm", "shapes")

    def register(self, case: Made, way: Way, **parameters: Any) -> Figures:
        """By one of our methods; parameters as :meth:`Way.parameters` takes them."""
        return self.workshop.run(
            "ours:register", case=case.file, method=way.method, parameters=way.parameters(**parameters)
        )

    def before(self, case: Made) -> Figures:
        """Without any registration."""
        return self.workshop.run("judging:before", case=case.file)


def lesion(masked: bool) -> str:
    """What a peer is told of the lesion, for people."""
    return "lesion left out" if masked else "lesion seen"
