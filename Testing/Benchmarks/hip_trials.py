"""Radial slices of known truth brought to their volume, and how far from the truth they arrive; in own processes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from regsuite.catalog import method as declared
from regsuite.methods.radial.arrange import Placed
from regsuite.methods.radial.prepared import Slices, Volume
from regsuite.methods.radial.run import Run
from regsuite.progress import Context, Progress
from regsuite.solvers.hull import radial_solid, reached, visual_hull
from regsuite.spatial import sample
from scipy.spatial.transform import Rotation
from torch import Tensor

from Benchmarks.hip_cases import RECIPE, RadialCase, radial_case

Values = dict[str, Any]
_SEEN = 40.0
"""mm to each side of a slice's middle where its error is measured."""
_NEAR = 40.0
"""mm: radius of the nearer of two cylinders around the axis in which solids are compared; the other is the slices'."""
_VOXEL = 2.0
"""mm, of that comparison."""


def trial(kind: str, seed: int, folders: Mapping[str, str], solids: bool = True) -> dict[str, Values]:
    """Figures of one case: with 'true' outlines, and with 'wrong' ones."""
    case = radial_case(kind, seed, folders)
    return {name: _tried(case, name == "wrong", solids) for name in ("true", "wrong")}


def prepared_run(case: RadialCase, wrong: bool) -> tuple[Run, Slices, Volume]:
    """The method with its defaults, and its inputs as it takes them."""
    run = Run(case.inputs(wrong), declared("hip-qmri").check_values({}), Context())
    return run, *run.prepared()


def _tried(case: RadialCase, wrong: bool, solids: bool) -> Values:
    run, slices, volume = prepared_run(case, wrong)
    started = time.perf_counter()
    placed = run.placed(slices, volume)
    middle = time.perf_counter()
    refined = run.refined(slices, volume, placed, Progress())
    common = refined.move @ placed.planes
    found: Values = {
        "right": placed.arrangement is not None and placed.arrangement.is_like(case.acquisition.arrangement),
        "unlike": placed.unlike,
        "next": placed.next,
        "start": rigid_error(placed.planes, case),
        "end": rigid_error(common, case),
        "slices_mm": slices_error(refined.planes, case),
        "slices_start_mm": slices_error(placed.planes, case),
        "information": [float(each.mean()) for each in (refined.before, refined.after)],
        "emulated": refined.emulated,
        "seconds": [middle - started, time.perf_counter() - middle],
    }
    return {**found, "dice": _dices(case, slices, placed, refined.move)} if solids else found


def rigid_error(planes: Tensor, case: RadialCase) -> list[float]:
    """mm at the joint's centre and degrees, between planes (K, 4, 4) that share one rigid map and where they belong.

    The mean over the slices, so that a wrong arrangement cannot look right by its first slice.
    """
    off = planes @ torch.linalg.inv(case.nominal)
    moved = off[:, :3, :3] @ case.centre + off[:, :3, 3] - case.centre
    turns = Rotation.from_matrix(off[:, :3, :3].numpy()).magnitude()
    return [float(moved.norm(dim=1).mean()), math.degrees(float(np.mean(turns)))]


def slices_error(planes: Tensor, case: RadialCase) -> float:
    """mm, the mean over the middle of all slices, between planes (K, 4, 4) and where each of them really was."""
    side = torch.linspace(-_SEEN, _SEEN, 9, dtype=torch.float64)
    flat = torch.cartesian_prod(side, side, torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    off = (planes - case.acquisition.true_planes()) @ flat.T
    return float(off[:, :3].norm(dim=1).mean())


def _dices(case: RadialCase, slices: Slices, placed: Placed, move: Tensor) -> Values:
    """Of both solids with the bone, within the cylinder that the slices reach and within a nearer one, as found."""
    height, reach = (n * RECIPE.pixel / 2 for n in RECIPE.shape)
    aside, along = (torch.arange(-far, far, _VOXEL, dtype=torch.float64) for far in (reach, height))
    points = torch.cartesian_prod(aside, aside, along)
    frame, grid = move @ placed.middle, case.tissues.grid
    there = points @ frame[:3, :3].T + frame[:3, 3]
    index = torch.from_numpy(grid.to_index(there.numpy()))
    away = torch.hypot(points[:, 0], points[:, 1])
    within = reached(points, slices.silhouettes, slices.pixel) & (
        (index >= 0) & (index <= torch.tensor(grid.shape) - 1)
    ).all(dim=1)
    points, there, away = points[within], there[within], away[within]
    bone = sample(case.tissues.mask(case.bone)[None, None].double(), grid, there, "nearest")[0, 0] > 0.5
    found: Values = {}
    for name, make in (("radial", radial_solid), ("visual hull", visual_hull)):
        solid = make(slices.silhouettes.double(), slices.pixel, placed.arrangement, points)
        found[name] = [_dice(solid[away < radius], bone[away < radius]) for radius in (reach, _NEAR)]
    return found


def _dice(one: Tensor, other: Tensor) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))
