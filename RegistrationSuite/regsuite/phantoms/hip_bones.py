"""The bones of a hip as solids, in the joint's own frame.

The joint's frame, mm: from the centre of the femoral head along lateral, anterior and superior, so that a right and a
left hip are the same here. Sizes and angles are those of adults' hips as anatomy books have them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regsuite.phantoms.solids import Ripple, along, ball, blended, carved, flattened, ring, rod

LATERAL, ANTERIOR, SUPERIOR = np.eye(3)


@dataclass(frozen=True)
class FemurShape:
    """What differs from femur to femur.

    head: its radius, mm; neck: from the head's centre to the shaft's axis, mm; ccd: angle between neck and shaft,
    degrees; anteversion: of the neck about the shaft, degrees; shaft: its radius, mm; lean: of the shaft towards the
    knee, degrees; greater, lesser: size of the trochanters, 1 as usual; rise: of the greater one's tip above the
    head's centre, mm.
    """

    head: float
    neck: float
    ccd: float
    anteversion: float
    shaft: float
    lean: float
    greater: float
    lesser: float
    rise: float

    @property
    def distal(self) -> np.ndarray:
        """Unit vector down the shaft."""
        lean = np.radians(self.lean)
        return np.array([-np.sin(lean), 0.0, -np.cos(lean)])

    @property
    def medial(self) -> np.ndarray:
        """Unit vector at right angles to the shaft, in the frontal plane."""
        return _unit(-LATERAL + (LATERAL @ self.distal) * self.distal)

    @property
    def upward(self) -> np.ndarray:
        """Unit vector along the neck from the shaft to the head."""
        turn, angle = np.radians(self.anteversion), np.radians(self.ccd)
        inward = np.cos(turn) * self.medial + np.sin(turn) * ANTERIOR
        return np.cos(angle) * self.distal + np.sin(angle) * inward

    @property
    def root(self) -> np.ndarray:
        """Where the neck's axis meets the shaft's."""
        return -self.neck * self.upward


def some_femur(rng: np.random.Generator) -> FemurShape:
    """One of the usual adults'."""
    return FemurShape(
        head=rng.uniform(22, 26),
        neck=rng.uniform(46, 56),
        ccd=rng.uniform(120, 135),
        anteversion=rng.uniform(5, 25),
        shaft=rng.uniform(13, 15.5),
        lean=rng.uniform(5, 9),
        greater=rng.uniform(0.85, 1.2),
        lesser=rng.uniform(0.95, 1.3),
        rise=rng.uniform(-5, 4),
    )


class Femur:
    """The upper part of a femur."""

    def __init__(self, shape: FemurShape, rng: np.random.Generator) -> None:
        self.shape = shape
        self._uneven = Ripple(rng, 24.0)

    def __call__(self, x: Tensor) -> Tensor:
        """Signed distance (...) at points (3, ...)."""
        shape = self.shape
        rough = blended(self._shaft(x), self._trochanters(x), 9.0)
        rough = carved(rough, self._pit(x), 5.0)
        rough = blended(rough, self._neck(x), 7.0) + 0.45 * self._uneven(x)
        bone = blended(rough, ball(x, np.zeros(3), shape.head), 4.0)
        return carved(bone, ball(x, 1.1 * shape.head * self.fovea, 5.0), 2.0)

    @property
    def fovea(self) -> np.ndarray:
        """Unit vector from the head's centre to its dimple, below and behind the axis."""
        return _unit(self.shape.upward - 0.35 * SUPERIOR - 0.25 * ANTERIOR)

    def _shaft(self, x: Tensor) -> Tensor:
        shape = self.shape
        root, distal, radius = shape.root, shape.distal, shape.shaft
        flare = rod(x, root + 4 * distal, root + 60 * distal, (radius + 4.5, radius))
        shaft = rod(x, root + 50 * distal, root + 260 * distal, (radius, radius - 1))
        behind = -(radius - 2.0) * ANTERIOR
        ridge = rod(x, root + 55 * distal + behind, root + 260 * distal + behind, (3.0, 4.5))
        return blended(blended(flare, shaft, 8.0), ridge, 4.0)

    def _neck(self, x: Tensor) -> Tensor:
        shape = self.shape
        # The neck is thinner from front to back, and stands a little behind the middle of the head.
        thin = _unit(np.cross(shape.upward, shape.distal))
        start = -0.3 * shape.head * shape.upward - 0.06 * shape.head * ANTERIOR
        there = flattened(x, start, thin, 0.82)
        return rod(there, start, shape.root, (0.60 * shape.head, 0.66 * shape.head))

    def _pit(self, x: Tensor) -> Tensor:
        """What hollows the greater trochanter out, from behind, above and the inner side: its fossa, a shallow dish."""
        shape = self.shape
        out = _unit(0.8 * shape.medial - 0.7 * ANTERIOR - 0.5 * shape.distal)
        floor = shape.root - 13 * ANTERIOR - 15 * shape.distal - 2 * shape.medial + 10 * out
        return rod(x, floor, floor + 30 * out, (8.0, 12.0))

    def _trochanters(self, x: Tensor) -> Tensor:
        shape = self.shape
        root, distal, medial = shape.root, shape.distal, shape.medial
        large, small = shape.greater, shape.lesser
        body = root - (9 + 4 * large) * medial - 4 * ANTERIOR + 8 * distal
        top = root - (8 + 3 * large) * medial - 12 * ANTERIOR
        top[2] = shape.rise - 10.5 * large
        greater = rod(x, body, top, (14 * large, 10.5 * large))
        inward = _unit(0.85 * medial - 0.53 * ANTERIOR)
        lesser_root, lesser_tip = root + 46 * distal, root + 40 * distal + (shape.shaft + 6 * small) * inward
        lesser = rod(x, lesser_root, lesser_tip, (11.0, 5.5 * small))
        crest = rod(x, top + 8 * distal, lesser_tip - 4 * inward, (6.0, 5.0))
        return blended(blended(greater, crest, 6.0), lesser, 6.0)


class Pelvis:
    """The part of a hip bone around its socket.

    cup: the socket's radius, mm; opening: unit vector out of it; rim: how far along it the socket reaches.
    """

    def __init__(self, cup: float, rng: np.random.Generator) -> None:
        self.cup = cup
        tilt, turn = np.radians(rng.uniform(40, 48)), np.radians(rng.uniform(12, 22))
        self.opening = np.cos(turn) * (np.sin(tilt) * LATERAL - np.cos(tilt) * SUPERIOR) + np.sin(turn) * ANTERIOR
        self.rim = rng.uniform(0, 4)
        self._wall = rng.uniform(6, 8)
        self._stretch = rng.uniform(0.94, 1.06, 3)
        self._uneven = Ripple(rng, 30.0)

    def __call__(self, x: Tensor) -> Tensor:
        """Signed distance (...) at points (3, ...)."""
        outside = ball(x, np.zeros(3), self.cup + self._wall)
        bone = blended(self._branches(x), outside, 10.0) + 0.5 * self._uneven(x)
        bone = carved(bone, ball(x, np.zeros(3), self.cup), 1.0)
        bone = carved(bone, self.fossa(x), 2.0)
        exit_way = torch.maximum(-self.behind(x), ball(x, np.zeros(3), self.cup + 14))
        return carved(bone, exit_way, 3.0)

    def behind(self, x: Tensor) -> Tensor:
        """Distance (...) beyond the plane of the rim, negative in the socket's half."""
        return along(x, self.opening).sub_(self.rim)

    def fossa(self, x: Tensor) -> Tensor:
        """The hollow of the socket's floor that has no cartilage, and its notch below."""
        floor = -0.72 * self.cup * self.opening
        hollow = ball(x, floor - 0.12 * self.cup * SUPERIOR, 0.46 * self.cup)
        notch = _unit(-0.35 * LATERAL - SUPERIOR - 0.1 * ANTERIOR)
        return blended(hollow, rod(x, floor, 1.05 * self.cup * notch, (0.3 * self.cup, 0.26 * self.cup)), 4.0)

    def labrum(self, x: Tensor) -> Tensor:
        """The lip on the rim."""
        across = np.sqrt(self.cup**2 - self.rim**2)
        return ring(x, (self.rim + 1.5) * self.opening, self.opening, across + 0.5, 2.6)

    def _branches(self, x: Tensor) -> Tensor:
        there = [part / float(share) for part, share in zip(x, self._stretch, strict=True)]
        # Start, end, radii: the ilium's edges in front and behind, then ischium, its branch, pubis.
        rods = (
            ((2, 6, 34), (28, 40, 88), (10.0, 8.0)),
            ((-8, -14, 30), (-38, -48, 84), (12.0, 10.0)),
            ((-8, -24, -10), (-14, -34, -58), (12.0, 14.0)),
            ((-14, -32, -62), (-62, 14, -70), (9.0, 6.0)),
            ((-12, 18, -10), (-74, 30, -42), (11.0, 8.0)),
        )
        bone = rod(there, *rods[0])
        for each in rods[1:]:
            bone = blended(bone, rod(there, *each), 12.0)
        middle, across = (-4, -3, 36), _unit(0.8 * LATERAL - 0.6 * ANTERIOR)
        wing = rod(flattened(there, middle, across, 0.16), middle, (-5, -4, 110), (22.0, 52.0))
        return blended(bone, wing, 12.0)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
