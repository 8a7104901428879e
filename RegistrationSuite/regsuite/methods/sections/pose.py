"""A section's pose, found by slicing the atlas from where the encoder puts it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from regsuite.learning.anatomy import Anatomy
from regsuite.methods.sections.prepared import Prepared, missing, shown_at
from regsuite.methods.sections.views import View
from regsuite.progress import Progress
from regsuite.solvers.slicing import Found, Problem, slice_all, slice_to
from regsuite.spatial.plates import POSE, Plates, cut, flat_points

_Round = tuple[float, int, int, float]
_FIRST = ((2.7, 0, 300, 0.2),)
_ROUNDS = ((2.7, 4, 120, 0.2), (2.7, 6, 60, 0.2), (2.7, 10, 24, 0.1), (1.35, 8, 4, 0.1))
_FEWER = ((2.7, 0, 150, 0.2), (2.7, 4, 60, 0.2), (2.7, 6, 24, 0.2), (2.7, 10, 10, 0.1), (1.35, 8, 2, 0.1))
"""Of the search from all starts: distance of the points that are compared, in pixels of the encoder's pictures;
iterations; how many go on, none near another, for coarse pictures of wrong places may agree better than the right one;
and the rate. What goes on from the first is followed twice: with all that is compared, and with what is missing left
out. The likelier of the two for a section takes more."""
_APART = 2.5
"""How far apart they are: pixels in depth, or as many tenths of a radian in the plane."""
_TURNED, _UPRIGHT = 0.08, math.cos(math.radians(50))
"""Energy that a pose is worth which is turned by more than 50°: most sections lie upright."""
_MIDDLE, _FINE = (1.35, 24, 0.01), (0.8, 16, 0.0)
"""Of the searches that follow: distance of the points, iterations, and ε, what an odd pose costs, which at last is
nothing, so that it draws no pose away."""
_WINDOW = 2.4
"""σ of the window of the local correlation, in the same."""
_AROUND = 3
"""Points around the tissue that are compared too: they tell its outline."""
_BEYOND = 0.3
"""Weight of what a section shows beyond the plate, where other tissue was taken from it and some may have stayed."""
_UNIT = 0.045
"""Of the atlas's size: mm that change a picture about as much as a turn of 5° does."""
_TISSUE = 0.5


@dataclass(frozen=True)
class Posed:
    """found: the pose, in the view; matrix: (4, 4) from the section's RAS mm to the atlas's."""

    found: Found
    matrix: np.ndarray


@dataclass(frozen=True)
class Search:
    """For one section in one view. angles: whether they are free; scaled: whether scales and shear are."""

    section: Prepared
    view: View
    anatomy: Anatomy
    angles: bool
    scaled: bool
    progress: Progress

    def candidates(self, starts: Tensor) -> list[Found]:
        """What is found from ``starts`` (K, 9), the likeliest first, none near another."""
        poses = _poses(self._followed(_FIRST, starts.float(), cut_away=False))
        rounds = (_ROUNDS, _FEWER) if self.section.left_out else (_FEWER, _ROUNDS)
        cut_away, whole = (self._followed(each, poses, way) for each, way in zip(rounds, (True, False), strict=True))
        found = self._apart([*cut_away, *whole], len(cut_away) + len(whole))
        return sorted((self.refined(each, *_MIDDLE) for each in found), key=self.cost)

    def _followed(self, rounds: Sequence[_Round], poses: Tensor, cut_away: bool) -> list[Found]:
        """Those of poses (K, 9) that are left after some rounds; cut_away: whether what the section lacks at each of
        them is left out."""
        found = list[Found]()
        for step, iterations, kept, rate in rounds:
            problem = self._problem(step, poses if cut_away else None, _MIDDLE[2])
            found = slice_all(problem, poses, self._free, iterations, rate, self.progress, self._unit)
            found = self._apart(sorted(found, key=self.cost), kept)
            poses = _poses(found)
        return found

    def cost(self, found: Found) -> float:
        """Energy, and a price of what is turned: half of a section may fit better on its side or upside down."""
        turn = math.radians(self.view.turn) + float(found.pose[POSE.index("rotation")])
        return found.energy + (_TURNED if math.cos(turn) < _UPRIGHT else 0.0)

    def posed(self, found: Found) -> Posed:
        """At the finest level."""
        fine = self.refined(found, *_FINE)
        return Posed(fine, matrix_to_atlas(self.section, self.view, self.anatomy.plates, fine.pose))

    def refined(self, found: Found, step: float, iterations: int, odd: float) -> Found:
        """step: distance of the points that are compared, in pixels of the encoder's pictures; odd: ε."""
        problem = self._problem(step, found.pose[None], odd)
        return slice_to(problem, found.pose, self._free, iterations, self.progress, self._unit)

    def _apart(self, found: Sequence[Found], count: int) -> list[Found]:
        """The first so many of different places."""
        far = _APART * torch.tensor([self.anatomy.pixel, 0.1])
        places = _poses(found)[:, [0, POSE.index("rotation")]] / far
        chosen, free = list[int](), torch.ones(len(found), dtype=torch.bool)
        for place in range(len(found)):
            if len(chosen) < count and bool(free[place]):
                chosen.append(place)
                free &= (places - places[place]).abs().amax(dim=1) > 1
        return [found[place] for place in chosen]

    @property
    def _free(self) -> list[bool]:
        return [True, self.angles, self.angles, True, self.scaled, self.scaled, self.scaled, True, True]

    @property
    def _unit(self) -> float:
        return _UNIT * float(max(self.anatomy.plates.extent[:2]))

    def _problem(self, step: float, poses: Tensor | None, odd: float) -> Problem:
        """The section in its view against the atlas; poses: (B, 9), at each of which what it lacks is left out."""
        section, view, anatomy = self.section, self.view, self.anatomy
        device = anatomy.template.device
        pixel = step * anatomy.pixel
        points = flat_points(_shape(anatomy, pixel), pixel)
        placed = view.placed[None]
        picture = shown_at(section, placed, points)
        tissue = shown_at(_as_picture(section), placed, points) > _TISSUE
        weight = functional.max_pool2d(tissue.float(), 2 * _AROUND + 1, 1, _AROUND)
        if poses is not None:
            weight = weight * _counted(section, tissue, anatomy, poses, points)
        return Problem(
            anatomy.template,
            anatomy.grid,
            anatomy.plates,
            picture.to(device),
            weight.to(device),
            points.to(device),
            pixel,
            window=_WINDOW * max(anatomy.pixel, 0.5 * pixel),
            odd=odd,
        )


def _poses(found: Sequence[Found]) -> Tensor:
    """(K, 9)."""
    return torch.stack([each.pose for each in found])


def posed(
    section: Prepared, view: View, anatomy: Anatomy, starts: Tensor, angles: bool, scaled: bool, progress: Progress
) -> Posed:
    """From the best of ``starts`` (K, 9); see :class:`Search`."""
    search = Search(section, view, anatomy, angles, scaled, progress)
    return search.posed(search.candidates(starts)[0])


def matrix_to_atlas(section: Prepared, view: View, plates: Plates, pose: Tensor) -> np.ndarray:
    """(4, 4) from the section's RAS mm to the atlas's, of a pose (9,) in the view."""
    to_atlas = plates.matrices(pose.double()[None])[0].cpu().numpy()
    return to_atlas @ plane_of(section, view)


def plane_of(section: Prepared, view: View) -> np.ndarray:
    """(4, 4) from the section's RAS mm to (right, bottom, next) mm of the view's plane."""
    placed = view.placed.double().numpy().copy()
    placed[2, 2] = view.scale
    return np.linalg.inv(placed) @ section.to_flat


def _counted(section: Prepared, tissue: Tensor, anatomy: Anatomy, poses: Tensor, points: Tensor) -> Tensor:
    """(B, 1, h, w) float, at poses (B, 9): 0 where the section lacks a part of the plate, for a cut is no outline;
    little where a section that was taken out of a head shows more than the plate."""
    matrices = anatomy.plates.matrices(poses.cpu())
    plates = cut(anatomy.regions.cpu(), anatomy.grid, matrices, points, "nearest")[:, 0].numpy() > 0
    shown = tissue[0, 0].numpy()
    lacking = torch.stack([_as_weight(missing(shown, plate), shown) for plate in plates])
    # With the blurred edge of what is there.
    counted = 1 - functional.max_pool2d(lacking, 3, 1, 1)
    if section.left_out:
        beyond = torch.stack([_as_weight(missing(plate, shown), shown) for plate in plates])
        counted = counted * (1 - (1 - _BEYOND) * beyond)
    return counted


def _as_weight(mask: np.ndarray | None, like: np.ndarray) -> Tensor:
    """(1, h, w) float: zeros where there is no mask."""
    return torch.zeros(1, *like.shape) if mask is None else torch.from_numpy(mask).float()[None]


def _shape(anatomy: Anatomy, pixel: float) -> tuple[int, int]:
    from regsuite.learning.pictures import SHAPE

    rows, columns = (max(8, round(n * anatomy.pixel / pixel)) for n in SHAPE)
    return rows, columns


def _as_picture(section: Prepared) -> Prepared:
    """Its tissue as a picture."""
    from dataclasses import replace

    return replace(section, picture=section.tissue.float()[None, None])


def angles_of(pose: Sequence[float] | Tensor) -> tuple[float, float]:
    """Pitch and yaw, degrees."""
    return float(np.degrees(float(pose[1]))), float(np.degrees(float(pose[2])))
