"""Weighted metamorphosis with a constant mask beside its authors' package, on one functional.

Both minimise, with the energy of Eqs. 1, 3 and 9 of François et al. (WBIR 2022) and in pixels of 1 mm,

    J = ∑ (I_1 - T)² + λ ∫ ||v_t||²_V + γ <z_t, M z_t> dt,   γ M z the intensity added per unit of time.

Demeter (0.2.11) moves by v = -√(1-R) K_D (√(1-R) p ∇I) and adds R p, R = 1/2 inside the lesion (its authors' choice)
and 0 outside; it minimises 1/2 ∑ (I_1 - T)² + λ_D/2 (<m_0, K_D m_0> + mean of p_0²), m = p ∇I. Made equal:

    images      the arrays our method compares: cropped around the head, both from dark 0 to bright 1
    K_D         the sum of two Gaussians of height 1; K = K_D / c, c = 2π ∑ σ² being its integral. With p = z / c
                Demeter's moves are those of (4) for K
    λ, κ        λ = λ_D / c and γ = R / c, so κ = λ/γ = 2 λ_D
    steps       10, and as many evaluations as Demeter makes
    J           of Demeter's last path. Velocity: <m, K_D m> with m = √(1-R) p ∇I, painting: <p, R p>, both as means
                over its steps. For I_1 the source is read once through its map, and what it painted is carried along,
                as we do it. Its own image is blurred at each of its steps, which brings it nearer to any smooth image;
                J with that image is given too.

Not equal, in Demeter's favour: the norm of its velocity is taken without the kinks that √(1-R) puts into it; it prices
p_0 by its mean over all pixels, next to nothing. In ours: nothing moves at the border of the cropped image.
"""

from __future__ import annotations

import math
from functools import partial

from Benchmarks import demeter_peer
from Benchmarks.common import CONSTANT, SQUARES, Figures, Group, Measured
from Benchmarks.rows import Row, row, table
from Benchmarks.workshop import data_folder

_PATIENTS = ("BraTS2021_00090", "BraTS2021_00147")
_WIDTHS, _STEPS, _ITERATIONS = (5.0, 15.0), 10, 11
"""Pixels of 1 mm; steps; of Demeter's outer loop, each of which evaluates up to thirty times."""
_PRICES = (1e-3, 1e-2)
"""λ_D: Demeter's usual one, and one at which neither should fold."""

_CLAIMS = (
    ("time per evaluation", "ms", "ms", "<= 0.333 x peer"),
    ("memory", "MiB", "memory_mb", "<= 0.5 x peer"),
    ("energy", SQUARES, "energy", "<= peer"),
    ("energy, Demeter's with its blurred image", SQUARES, "energy_blurred", "<= peer"),
    ("folded pixels", "fraction", "folded_fraction", "<= peer"),
)
_COLUMNS = (
    ("evaluations", "evaluations"),
    ("ms each", "ms"),
    ("time, s", "seconds"),
    ("memory, MiB", "memory_mb"),
    ("energy", "energy"),
    ("SSD final", "compared_final"),
    ("SSD deformation", "compared_deformation"),
    ("folds", "folded_fraction"),
)


class AgainstDemeter(Measured):
    """The authors' package on their own pairs, with the same kernel, steps and number of evaluations."""

    def groups(self) -> list[Group]:
        """One for each patient and price of the energy."""
        return [
            ("against Demeter", f"SRI24 to slice of {patient}, {price:g}", partial(self.demeter, patient, price))
            for patient in (_PATIENTS if self.full else _PATIENTS[:1])
            for price in (_PRICES if self.full else _PRICES[:1])
        ]

    def demeter(self, patient: str, price: float) -> list[Row]:
        """Rows with goals for one scale, on which both do the same work; all in the table."""
        data = f"SRI24 to slice of {patient}, price {price:g}"
        theirs, ours = self._measured(patient, price)
        found = {"Demeter": theirs, **ours}
        lines = [[data, title, *(figures[name] for _, name in _COLUMNS)] for title, figures in found.items()]
        columns = ["pair", "way", *(title for title, _ in _COLUMNS)]
        self.workshop.tables.setdefault("Demeter", table(columns, []))["rows"] += table(columns, lines)["rows"]
        return [
            row(f"{title}: {claim}", data, unit, ours[title][name], goal=goal, peer="Demeter", peer_value=theirs[name])
            for title in ("path, one scale", "shooting, one scale")
            for claim, unit, name, goal in _CLAIMS
        ]

    def _measured(self, patient: str, price: float) -> tuple[Figures, dict[str, Figures]]:
        """Demeter's figures, and ours by title; squares and energies are shares of the squared difference before."""
        folder, python = str(data_folder("tumour2d_demeter")), demeter_peer.interpreter()
        case = self.make(f"{patient}-demeter", patient, "slices", folder=folder, patient=patient)
        images, out = (str(self.workshop.folder / f"{patient}-{price:g}-{name}.npz") for name in ("images", "demeter"))
        self.workshop.run("cases:arrays", case=case.file, file=images)
        amplitude = 2 * math.pi * sum(width**2 for width in _WIDTHS)
        theirs = self.workshop.run(
            "demeter_peer:register",
            python=python,
            images=images,
            out=out,
            widths=_WIDTHS,
            amplitude=amplitude,
            price=price,
            steps=_STEPS,
            iterations=_ITERATIONS,
        )
        theirs |= self.workshop.run("judging:path", images=images, file=out)
        same = CONSTANT.parameters(
            bias_correction=False,
            similarity="ssd",
            kernel_widths=list(_WIDTHS),
            regularity=price / amplitude * max(_WIDTHS) ** 2,
            lesion_weight=1.0,
            intensity_penalty=2 * price,
            steps=_STEPS,
        )
        ours = {
            "path, one scale": {"levels": 1, "iterations": theirs["evaluations"]},
            "shooting, one scale": {"formulation": "shooting", "levels": 1, "iterations": theirs["evaluations"]},
            "path, all scales": {},
        }
        figures = {
            title: self.workshop.run(
                "ours:register", case=case.file, method=CONSTANT.method, parameters={**same, **settings}
            )
            for title, settings in ours.items()
        }
        for each in (theirs, *figures.values()):
            each["ms"] = 1000 * each["seconds"] / each["evaluations"]
            each.setdefault("energy_blurred", each["energy"])
        return theirs, figures
