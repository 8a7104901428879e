"""Our methods on the benchmark's cases, in a process of their own."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from regsuite import io, jobs, phantoms
from regsuite.catalog import method as declared
from regsuite.jobs import Job
from regsuite.registration import Registration
from regsuite.report import write_report
from regsuite.transforms import Transform

from Benchmarks.cases import AnyCase, Kept, kept, started
from Benchmarks.cost import Cost
from Benchmarks.judging import judged, show
from Benchmarks.workshop import Missing

Values = dict[str, Any]
_EXPLAINED = "explained_by_shape"


def register(
    case: str, method: str, parameters: Values, device: str = "cpu", shown: str = "", report: str = ""
) -> Values:
    """Runs one of our methods and judges it: figures by name, with its cost and its descent.

    shown: file for the deformed image, as an array; report: folder for the page that a user sees.
    """
    given = kept(case)
    _warmed_up(method, device)
    with Cost() as cost:
        result = _run(given.case, method, parameters, device)
    if report:
        write_report(result, given.case.fixed, given.case.moving, report, mask=given.case.mask)
    show(given, result.transform, shown)
    return {
        **judged(given, result.transform, result.images.get("metamorphosed")),
        _EXPLAINED: result.metrics[_EXPLAINED],
        **{f"compared_{name}": _compared(result, name) for name in ("deformation", "final")},
        **cost.figures,
        "gpu_memory_mb": result.record.get("peak_gpu_memory_mb", 0.0),
        "evaluations": len(result.curves["energy"].x),
        # A descent ends with at least five evaluations on the finest scale, which is the one that counts.
        "energy": min(result.curves["energy"].values["total"][-5:]),
    }


def _compared(result: Registration, name: str) -> float:
    """The squared difference that is left of the images as the method compares them, as a share of that before."""
    left, before = (result.metrics[f"mean_squared_difference_{each}"] for each in (name, "before"))
    return left / before


def register_each(cases: list[str], method: str, parameters: Values) -> list[Values]:
    """The figures of several cases, one after the other."""
    return [register(case, method, parameters) for case in cases]


def variations(cases: list[str], method: str, names: list[str], factors: list[float]) -> list[Values]:
    """Dice of the ventricles by deformation alone of each case: with the defaults, as ``usual``, and with one parameter
    after the other times each factor, as lists by name. What is automatic is varied about what the method chose.
    """
    return [_varied(kept(case), method, names, factors) for case in cases]


def _varied(given: Kept, method: str, names: list[str], factors: list[float]) -> Values:
    result = _run(given.case, method, {})
    chosen = result.record["parameters"] | result.record["chosen"]
    dice: Values = {"usual": judged(given, result.transform)["dice_ventricles"]}
    for name in names:
        settings = [{name: _scaled(chosen[name], factor)} for factor in factors]
        transforms = [_run(given.case, method, each).transform for each in settings]
        dice[name] = [judged(given, transform)["dice_ventricles"] for transform in transforms]
    return dice


def _scaled(value: Any, factor: float) -> Any:
    """A number, or each of several, times a factor; whole ones stay whole."""
    if isinstance(value, (list, tuple)):
        return [_scaled(each, factor) for each in value]
    return max(1, round(value * factor)) if isinstance(value, int) else value * factor


@functools.cache
def _warmed_up(method: str, device: str) -> None:
    """Once, in small: no import and no first use of a library is measured."""
    _run(phantoms.shapes_2d((48, 40)), method, {"levels": 1, "iterations": 2}, device)


def _run(case: AnyCase, method: str, parameters: Values, device: str = "cpu") -> Registration:
    roles = {item.role for item in declared(method).inputs}
    inputs = {role: value for role, value in case.inputs.items() if role in roles}
    return jobs.run(Job(method, inputs, parameters, device=device))


def on_a_gpu(**arguments: Any) -> Values:
    """:func:`register` on the first GPU."""
    if not torch.cuda.is_available():
        raise Missing("PyTorch finds no GPU here.")
    return register(device="cuda", **arguments)


def aligned(case: str, kind: str, shown: str = "") -> Values:
    """The figures of the alignment that our methods start from."""
    given = kept(case)
    with Cost() as cost:
        start = started(given, kind)
    show(given, start, shown)
    return {**judged(given, start), **cost.figures}


def files(case: str, method: str, parameters: Values) -> Values:
    """Largest distance in mm between points moved by our transform and by SimpleITK from its file, both ways."""
    result = _run(kept(case).case, method, parameters)
    rng = np.random.default_rng(0)
    corners = result.fixed_grid.corners()
    points = rng.uniform(corners.min(axis=0), corners.max(axis=0), (2000, result.fixed_grid.dim))
    with tempfile.TemporaryDirectory() as folder:
        return {
            name: _distance(transform, points, Path(folder) / f"{name}.h5")
            for name, transform in (("transform", result.transform), ("inverse", result.inverse))
        }


def _distance(transform: Transform, points: np.ndarray, file: Path) -> float:
    io.write_transform(file, transform)
    theirs, flip = sitk.ReadTransform(str(file)), np.array([-1.0, -1.0, 1.0][: points.shape[1]])
    there = np.array([theirs.TransformPoint(point) for point in (points * flip).tolist()]) * flip
    here = transform.points(torch.from_numpy(points)).numpy()
    return float(np.linalg.norm(here - there, axis=1).max())
