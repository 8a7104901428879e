"""The search beside an exhaustive one, and the method beside SimpleITK's registration, on the same slices; what a full
case takes; whether maps keep their values. In own processes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from regsuite import memory
from regsuite.catalog import method as declared
from regsuite.methods.radial import run_hip_qmri
from regsuite.methods.radial.arrange import laid_around
from regsuite.methods.radial.placing import header_plane
from regsuite.methods.radial.refine import SEARCHED, Compared
from regsuite.methods.radial.run import Run
from regsuite.progress import Context, Progress
from regsuite.registration import Registration
from regsuite.solvers.slice_fit import Level, halved, voted
from regsuite.spatial import Image
from regsuite.spatial.radial import frame_of
from regsuite.spatial.rigid import rigid_moves
from scipy.spatial.transform import Rotation
from torch import Tensor

from Benchmarks import hip_peer
from Benchmarks.hip_cases import RadialCase, hip_case, radial_case
from Benchmarks.hip_trials import prepared_run, rigid_error, slices_error

Values = dict[str, Any]
_AT_ONCE = 6
"""Turns of all slices that are emulated together."""
_AXIS = 2
"""Of a rigid motion's numbers: the turn about the axis."""
_SHAPE, _VOXEL = (160, 256, 256), (1.0, 0.7, 0.7)
"""Of a full case's volume (k, j, i), and mm."""


def searched(kind: str, seed: int, folders: Mapping[str, str]) -> Values:
    """The turn about the axis, degrees, that the search finds and that is best of all whole degrees, within the
    search's range and all around; the start is turned away by anything within that range."""
    case = radial_case(kind, seed, folders)
    run, slices, volume = prepared_run(case, False)
    placed, parameters = run.placed(slices, volume), run.parameters
    compare = Compared.at(slices, volume, SEARCHED, slices.pixel, parameters.similarity).unlike
    levels = halved(parameters.turn, 0.0, parameters.finest)
    reach = sum(level.turn for level in levels)
    start = float(np.random.default_rng([seed, 19]).uniform(-reach, reach))
    planes = _turned(placed.middle, start) @ placed.planes
    found = voted(compare, planes, placed.middle, levels, (_AXIS,), Progress())
    whole = voted(compare, planes, placed.middle, _all_levels(run), (2, 0, 1, 3, 4, 5), Progress())
    everywhere = _exhausted(compare, placed.middle, planes)
    near = {turn: value for turn, value in everywhere.items() if abs(turn) <= reach}
    return {
        "start": start,
        "reach": reach,
        "search": _turn_about(placed.middle, found.move),
        "near": min(near, key=near.__getitem__),
        "everywhere": min(everywhere, key=everywhere.__getitem__),
        "emulated": found.emulated,
        "emulated_all": whole.emulated,
        "emulated_near": len(near) * len(planes),
        "emulated_everywhere": len(everywhere) * len(planes),
    }


def _all_levels(run: Run) -> list[Level]:
    return halved(run.parameters.turn, run.parameters.shift, run.parameters.finest)


def _turned(middle: Tensor, degrees: float) -> Tensor:
    """(4, 4), about the axis."""
    numbers = torch.zeros(6, dtype=torch.float64)
    numbers[_AXIS] = math.radians(degrees)
    return rigid_moves(numbers, middle)


def _turn_about(middle: Tensor, move: Tensor) -> float:
    """Degrees about the axis of a motion."""
    own = torch.linalg.inv(middle) @ move @ middle
    return math.degrees(float(Rotation.from_matrix(own[:3, :3].numpy()).as_rotvec()[_AXIS]))


def _exhausted(compare: Any, middle: Tensor, planes: Tensor) -> dict[int, float]:
    """The mean unlikeness at every whole degree."""
    turns = list(range(-180, 180))
    moves = torch.stack([_turned(middle, turn) for turn in turns])
    with torch.no_grad():
        found = torch.cat([compare(each[:, None] @ planes[None]).mean(dim=1) for each in moves.split(_AT_ONCE)])
    return dict(zip(turns, found.tolist(), strict=True))


def beside_peer(kind: str, seed: int, folders: Mapping[str, str], settings: Mapping[str, Any] | None = None) -> Values:
    """mm and degrees off, and seconds: of both, from our 'initialisation', and from the 'header' with the true
    arrangement given (ours then lays outlines on the bone first, which SimpleITK
    cannot). Both are given the same images, 0 to 1."""
    case = radial_case(kind, seed, folders)
    run, slices, volume = prepared_run(case, False)
    frame = frame_of(case.acquisition.centre, case.acquisition.normal)
    given = case.acquisition.arrangement
    found: Values = {}
    for name in ("initialisation", "header"):
        started = time.perf_counter()
        if name == "header":
            placed, planes, middle = laid_around(slices, volume, frame, [given]), frame @ given.planes(), frame
        else:
            placed = run.placed(slices, volume)
            planes, middle, started = placed.planes, placed.middle, time.perf_counter()
        refined = run.refined(slices, volume, placed, Progress())
        ours = {"error": rigid_error(refined.move @ placed.planes, case), "seconds": time.perf_counter() - started}
        started = time.perf_counter()
        pictures, picture = slices.pictures[:, 0], Image(volume.picture, volume.grid)
        chosen = hip_peer.Settings(**(settings or {}))
        move = hip_peer.registered(pictures, slices.pixel, slices.thickness, planes, middle, picture, chosen)
        theirs = {"error": rigid_error(move @ planes, case), "seconds": time.perf_counter() - started}
        found[name] = {"ours": ours, "peer": theirs, "before": rigid_error(planes, case)}
    return {**found, "version": hip_peer.VERSION}


class _Steps(Progress):
    """Notes when each step began."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, float]] = []

    def step(self, fraction: float, message: str = "") -> None:
        if message:
            self.begun.append((message, time.perf_counter()))


def whole(seed: int) -> Values:
    """Seconds of a full case and of its steps, and the most memory of the process while it ran, GB."""
    _result(radial_case("phantom", seed, {}), Progress())  # no first use is measured
    case = full_case(seed)
    steps = _Steps()
    memory.reset_peak()
    started = time.perf_counter()
    result = _result(case, steps)
    ended = time.perf_counter()
    names = ["preparing", *(name for name, _ in steps.begun)]
    moments = [started, *(moment for _, moment in steps.begun), ended]
    each = [[name, after - before] for name, before, after in zip(names, moments[:-1], moments[1:], strict=True)]
    planes = [header_plane(each.grid) for each in result.sequences["slices"]]
    error = slices_error(torch.stack(planes), case)
    return {"seconds": ended - started, "steps": each, "memory_gb": memory.peak_mb() * 1024**2 / 1e9, "error": error}


def full_case(seed: int) -> RadialCase:
    """A phantom hip in a volume of 256 x 256 x 160."""
    return hip_case(seed, _VOXEL, [n * step for n, step in zip(_SHAPE, _VOXEL, strict=True)])


def _result(case: RadialCase, progress: Progress) -> Registration:
    return run_hip_qmri(case.inputs(False), declared("hip-qmri").check_values({}), Context(progress))


def kept(kind: str, seed: int, folders: Mapping[str, str]) -> Values:
    """How many maps' histograms are those that were acquired, slice by slice, and voxels of the painted volume that
    hold a value that no slice has."""
    case = radial_case(kind, seed, folders)
    result = _result(case, Progress())
    acquired_maps = {"slices": case.acquisition.slices, **case.acquisition.maps}
    same = [
        np.array_equal(np.sort(placed.array(), axis=None), np.sort(given.array(), axis=None))
        for name, images in acquired_maps.items()
        for placed, given in zip(result.sequences[name], images, strict=True)
    ]
    known = np.concatenate([image.array().ravel() for image in case.acquisition.slices])
    painted = result.warped.array()
    strange = np.setdiff1d(painted[painted != 0], known)
    return {"same": sum(same), "maps": len(same), "strange": len(strange)}
