"""What is around the bones of a hip: muscles with fat between them, vessels, and skin, in the joint's own frame."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from regsuite.phantoms.solids import Ripple, blended, flattened, rod

# Start, end (mm lateral, anterior, superior of the head's centre) and radii of each belly.
_BELLIES = (
    ((-45, -78, 55), (48, -50, -42), (24.0, 15.0)),  # gluteus maximus, upper and lower half
    ((-30, -78, 15), (44, -58, -80), (24.0, 15.0)),
    ((-5, -22, 90), (58, -10, 8), (24.0, 11.0)),  # gluteus medius
    ((12, 2, 75), (52, 8, 4), (15.0, 9.0)),  # gluteus minimus
    ((46, 46, 70), (72, 20, -80), (13.0, 9.0)),  # tensor fasciae latae
    ((36, 60, 70), (-14, 58, -100), (8.0, 9.0)),  # sartorius
    ((22, 40, 42), (34, 48, -120), (9.0, 18.0)),  # rectus femoris
    ((-36, 14, 90), (-10, 34, 10), (22.0, 15.0)),  # iliopsoas
    ((-10, 34, 10), (8, 10, -58), (15.0, 9.0)),
    ((64, 8, -24), (58, 18, -140), (13.0, 22.0)),  # vastus lateralis
    ((36, 26, -72), (34, 24, -150), (13.0, 18.0)),  # vastus intermedius
    ((-56, 32, -44), (18, 4, -92), (12.0, 11.0)),  # pectineus
    ((-58, 26, -64), (-2, 20, -150), (11.0, 17.0)),  # adductor longus
    ((-36, -12, -74), (16, -14, -150), (16.0, 24.0)),  # adductor magnus
    ((-16, -42, -66), (10, -48, -150), (11.0, 19.0)),  # hamstrings
    ((-8, -32, -44), (36, -22, -46), (9.0, 9.0)),  # quadratus femoris
    ((-44, -34, 4), (34, -18, 0), (10.0, 6.0)),  # obturator internus, with the gemelli
    ((-44, -2, 26), (-42, -10, -40), (8.0, 9.0)),
    ((-46, 8, -48), (14, -16, -28), (10.0, 6.0)),  # obturator externus
    ((-80, 0, 60), (-84, 0, -20), (24.0, 20.0)),  # organs of the pelvis
)
_VESSELS = (
    ((-16, 50, 70), (-12, 52, 0), (5.0, 4.5)),
    ((-12, 52, 0), (-16, 44, -150), (4.5, 4.0)),
    ((-29, 46, 70), (-24, 49, -10), (6.5, 6.0)),
    ((-24, 49, -10), (-20, 34, -150), (6.0, 5.0)),
    ((-12, 48, -14), (14, 30, -100), (3.5, 2.5)),
)
_PLUMP = 6.0
"""Added to every belly's radius, mm: they press against each other."""
_SEPTUM = 0.9
"""Half of the fat between two bellies that touch, mm."""


class Flesh:
    """Soft tissue; the seed makes the bellies thicker or thinner and bends everything."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._bends = [Ripple(rng, 70.0) for _ in range(3)]
        self._strength = rng.uniform(0.88, 1.08, len(_BELLIES))
        self._width = rng.uniform(0.94, 1.06)
        self._fat = rng.uniform(9, 18)
        self._uneven = Ripple(rng, 90.0)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Signed distances (...) at points (3, ...) of muscle, of vessels, and of the whole body."""
        bent = [part + 3.0 * bend(x) for part, bend in zip(x, self._bends, strict=True)]
        body = self._body(x)
        muscle = torch.maximum(self._muscle(bent), body + self._fat + 4.0 * self._uneven(x))
        vessels = rod(bent, *_VESSELS[0])
        for each in _VESSELS[1:]:
            vessels = torch.minimum(vessels, rod(bent, *each))
        return muscle, vessels, body

    def _muscle(self, x: list[Tensor]) -> Tensor:
        nearest = torch.full_like(x[0], torch.inf)
        second = nearest
        for (start, end, radii), strength in zip(_BELLIES, self._strength, strict=True):
            distance = rod(x, start, end, (radii[0] * strength + _PLUMP, radii[1] * strength + _PLUMP))
            second = torch.minimum(second, torch.maximum(nearest, distance))
            nearest = torch.minimum(nearest, distance)
        # Where two bellies would overlap, a sheet of fat lies between them.
        return torch.maximum(nearest, _SEPTUM - (second - nearest) / 2)

    def _body(self, x: Tensor) -> Tensor:
        """Trunk and thigh; the joint lies about 90 mm from the middle of the body."""
        there = flattened(x, (-90.0, -8.0, 0.0), (0.0, 1.0, 0.0), 0.62)
        wide = 182 * self._width
        trunk = rod(there, (-90.0, -8.0, -30.0), (-90.0, -8.0, 300.0), (wide, 0.95 * wide))
        thigh = rod(x, (12.0, -6.0, 0.0), (-4.0, 0.0, -300.0), (92 * self._width, 70 * self._width))
        return blended(trunk, thigh, 30.0)
