"""A section's pose, found by slicing the atlas from where the encoder puts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from regsuite.errors import InputError
from regsuite.learning.anatomy import Anatomy
from regsuite.methods.sections.identify import View
from regsuite.methods.sections.prepared import Prepared, missing, shown_at, tissue_on
from regsuite.progress import Progress
from regsuite.solvers.slicing import Found, Problem, slice_to
from regsuite.spatial.plates import Plates, cut, flat_points

_LEVELS = ((2.7, 8, 3), (1.35, 24, 1), (0.8, 16, 1))
"""From coarse to fine: distance of the points that are compared, in pixels of the encoder's pictures; iterations; and
how many of what was found go on."""
_WINDOW = 2.4
"""σ of the window of the local correlation, in the same."""
_AROUND = 3
"""Points around the tissue that are compared too: they tell its outline."""
_UNIT = 0.045
"""Of the atlas's size: mm that change a picture about as much as a turn of 5° does."""
_TISSUE = 0.5


@dataclass(frozen=True)
class Posed:
    """found: the pose, in the view; matrix: (4, 4) from the section's RAS mm to the atlas's."""

    found: Found
    matrix: np.ndarray


def posed(
    section: Prepared, view: View, anatomy: Anatomy, starts: Tensor, angles: bool, scaled: bool, progress: Progress
) -> Posed:
    """From the best of ``starts`` (K, 9); angles: whether they are free; scaled: whether scales and shear are."""
    free = [True, angles, angles, True, scaled, scaled, scaled, True, True]
    unit = _UNIT * float(max(anatomy.plates.extent[:2]))
    going, found = [start.float() for start in starts], list[Found]()
    for step, iterations, kept in _LEVELS:
        problem = _problem(section, view, anatomy, step, found[0].pose if found else None)
        found = [slice_to(problem, start, free, iterations, progress, unit) for start in going]
        found = sorted(found, key=lambda each: each.energy)[:kept]
        going = [each.pose for each in found]
    return Posed(found[0], matrix_to_atlas(section, view, anatomy.plates, found[0].pose))


def matrix_to_atlas(section: Prepared, view: View, plates: Plates, pose: Tensor) -> np.ndarray:
    """(4, 4) from the section's RAS mm to the atlas's, of a pose (9,) in the view."""
    to_atlas = plates.matrices(pose.double()[None])[0].cpu().numpy()
    return to_atlas @ plane_of(section, view)


def plane_of(section: Prepared, view: View) -> np.ndarray:
    """(4, 4) from the section's RAS mm to (right, bottom, next) mm of the view's plane."""
    placed = view.placed.double().numpy().copy()
    placed[2, 2] = view.scale
    return np.linalg.inv(placed) @ section.to_flat


def _problem(section: Prepared, view: View, anatomy: Anatomy, step: float, pose: Tensor | None) -> Problem:
    """The section in its view against the atlas, at points ``step`` pixels of the encoder's apart; pose: (9,), about
    where it lies, if that is known."""
    device = anatomy.template.device
    pixel = step * anatomy.pixel
    points = flat_points(_shape(anatomy, pixel), pixel)
    placed = view.placed[None]
    picture = shown_at(section, placed, points)
    tissue = shown_at(_as_picture(section), placed, points) > _TISSUE
    weight = functional.max_pool2d(tissue.float(), 2 * _AROUND + 1, 1, _AROUND)
    if pose is not None:
        weight = weight * _seen(tissue, anatomy, pose, points)
    window = _WINDOW * max(anatomy.pixel, 0.5 * pixel)
    return Problem(
        anatomy.template,
        anatomy.grid,
        anatomy.plates,
        picture.to(device),
        weight.to(device),
        points.to(device),
        pixel,
        window,
    )


def _seen(tissue: Tensor, anatomy: Anatomy, pose: Tensor, points: Tensor) -> Tensor:
    """(1, 1, h, w) float: 0 where, at this pose, the section lacks a part of the plate: a cut is no outline."""
    plate = cut(anatomy.template.cpu(), anatomy.grid, anatomy.plates.matrices(pose.cpu()[None]), points)
    try:
        gone = missing(tissue[0, 0].numpy(), tissue_on(plate).numpy())
    except InputError:
        gone = None
    if gone is None:
        return torch.ones(tissue.shape)
    # With the blurred edge of what is there.
    return 1 - functional.max_pool2d(torch.from_numpy(gone).float()[None, None], 3, 1, 1)


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
