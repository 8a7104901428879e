"""Simulated patients with organs, registered and judged at landmarks. Runs in a process of its own."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any
from unittest import mock

import numpy as np
import torch
from regsuite import catalog, evaluation, io
from regsuite.methods.organs.field import field_of
from regsuite.methods.organs.run import Run
from regsuite.methods.organs.sides import organs_of
from regsuite.phantoms.organs import Motions, OrganCase, abdomen, landmarks, patient
from regsuite.progress import Context
from regsuite.solvers.drift import solve
from regsuite.solvers.drift.covariance import Kernel, LowRank
from regsuite.solvers.drift.solve import Cloud, Drift
from regsuite.spatial import Grid, Image, LabelImage
from scipy.spatial import cKDTree

from Benchmarks.cost import Cost

Values = dict[str, Any]

ABDOMEN = {
    1: "spleen",
    2: "right kidney",
    3: "left kidney",
    4: "gallbladder",
    5: "liver",
    6: "stomach",
    7: "pancreas",
}
"""Organs by label in TotalSegmentator's classes ``total`` and ``total_mr`` alike."""
_MARGIN_MM = 45.0
"""Around the CT, so that organs may leave it."""


def make(folder: str, seeds: Sequence[int], motions: Values, labels: str = "") -> list[str]:
    """Files of patients, one a seed, whose organs came from those of a label image, or from the phantom's abdomen."""
    source, files = _abdomen(labels) if labels else abdomen(), []
    for seed in seeds:
        fixed, ways = patient(source, seed, Motions(**motions))
        case = OrganCase(plain(fixed), plain(source), fixed, source, ways)
        files.append(f"{folder}/patient-{seed}.pickle")
        Path(files[-1]).write_bytes(pickle.dumps(case))
    return files


def _abdomen(file: str) -> LabelImage:
    labels = io.read_labels(file)
    keep = torch.isin(labels.data, torch.tensor(list(ABDOMEN), dtype=labels.data.dtype))
    margin = [int(_MARGIN_MM / h) for h in labels.grid.spacing]
    data = torch.nn.functional.pad(
        torch.where(keep, labels.data, 0), [m for each in margin[::-1] for m in (each, each)]
    )
    return LabelImage(data, labels.grid.padded(margin), ABDOMEN)


def plain(labels: LabelImage) -> Image:
    """An empty image, for methods that do not look at intensities; it takes no memory."""
    return Image(torch.zeros(1).expand(labels.data.shape), labels.grid)


def kept(file: str) -> OrganCase:
    """What :func:`make` kept."""
    case = pickle.loads(Path(file).read_bytes())
    assert isinstance(case, OrganCase)
    return case


def before(cases: list[str]) -> list[Values]:
    """Of each case the mean distance in mm of landmarks from where they belong, by organ, where nothing is done."""
    return [_errors(kept(file), lambda _, y: y) for file in cases]


def errors(cases: list[str], method: str, parameters: Values, wrong: str = "", share: float = 0.0) -> list[Values]:
    """The same where one of our methods has brought the clouds together, with its cost.

    wrong, share: which of the fixed points, and how many, have a neighbour's label; see :func:`mislabelled`.
    """
    _found(kept(cases[0]), method, {**parameters, "points": 100})  # no first use of a library is measured
    return [_measured(kept(file), method, parameters, wrong, share) for file in cases]


def errors_by_all_of_g(cases: list[str], method: str, parameters: Values) -> list[Values]:
    """The same with G as a matrix of full rank M: every update inverts one of M x M, as BCPD is written."""
    with mock.patch.object(solve, "low_rank", _all_of_g):
        return errors(cases, method, parameters)


def _all_of_g(kernel: Kernel, points: torch.Tensor, organs: torch.Tensor, *_: float) -> LowRank:
    """G = L Lᵀ with L (M, M), of a diagonal that is larger by a share of 1e-5, or rounding makes G indefinite."""
    g = kernel.covariance(points, organs, points, organs).double()
    g.diagonal().mul_(1 + 1e-5)
    root = torch.linalg.cholesky(g).to(points)
    return LowRank(kernel, points, organs, root, torch.arange(len(points), device=points.device))


def _measured(case: OrganCase, method: str, parameters: Values, wrong: str, share: float) -> Values:
    with Cost() as cost:
        run, found, clouds = _found(case, method, parameters, wrong, share)
    return {
        **_errors(case, lambda value, y: arrived(run, found, value, y)),
        **cost.figures,
        "rank": found.prior.rank,
        "points": len(clouds[0].points),
    }


def _found(
    case: OrganCase, method: str, parameters: Values, wrong: str = "", share: float = 0.0
) -> tuple[Run, Drift, tuple[Cloud, Cloud]]:
    run = run_of(case.inputs, method, parameters)
    moving, fixed = run.cloud("moving"), run.cloud("fixed")
    if wrong:
        fixed = mislabelled(fixed, wrong, share)
    return run, run.drifted(moving, fixed), (moving, fixed)


def run_of(inputs: Any, method: str, parameters: Values) -> Run:
    """One of our methods before it begins."""
    return Run(inputs, catalog.method(method).check_values(parameters), Context())


def mislabelled(cloud: Cloud, where: str, share: float) -> Cloud:
    """A share of all points with the label of the other organ that is nearest to them: those nearest to another organ
    (``where`` "border"), or any ("anywhere")."""
    x, organs = cloud.points.numpy(), cloud.organs.numpy()
    distance, other = np.full(len(x), np.inf), organs.copy()
    for organ in np.unique(organs):
        own = organs == organ
        away, nearest = cKDTree(x[~own]).query(x[own])
        distance[own], other[own] = away, organs[~own][nearest]
    order = np.argsort(distance) if where == "border" else np.random.default_rng(0).permutation(len(x))
    wrong, changed = order[: round(share * len(x))], organs.copy()
    changed[wrong] = other[wrong]
    return Cloud(cloud.points, torch.from_numpy(changed))


def arrived(run: Run, found: Drift, value: int, y: np.ndarray) -> np.ndarray:
    """Points (N, 3) mm of the moving organ of that label, where the drift takes them."""
    organ = run.values.index(value) if run.chosen.several else 0
    x = torch.from_numpy(y).to(found.prior.points)
    at = torch.full((len(x),), organ, device=x.device)
    return found.belief.rho(x + found.displacement(x, at)).double().cpu().numpy()


def _errors(case: OrganCase, where: Any) -> Values:
    """Means over each organ's landmarks."""
    found: dict[int, list[float]] = {}
    for (value, _), y in landmarks(case.moving_labels).items():
        wrong = where(value, y[None]) - case.ways[value](y[None])
        found.setdefault(value, []).append(float(np.linalg.norm(wrong)))
    organs = {case.moving_labels.name_of(value): fmean(each) for value, each in found.items()}
    return {"organs": organs, "error_mm": fmean(organs.values())}


def carried(shape: list[int], spacing: list[float], parameters: Values) -> Values:
    """The displacement of the phantom's organs carried to a volume of that shape and spacing (mm): cost and quality.

    folded_fraction: of the field; points_mm: mean distance of the field's values at the drift's points from theirs.
    """
    labels = _within(abdomen(min(spacing)), Grid.regular(shape, spacing))
    small = abdomen(4.0)
    fixed, ways = patient(small, 0)
    case = OrganCase(plain(fixed), plain(small), fixed, small, ways)
    run, found, (moving, _) = _found(case, "mo-bcpd", parameters)
    field_of(found, run.organs, run.values, 20.0)  # no first use of a library is measured
    with Cost() as cost:
        field = field_of(found, organs_of(labels, None, "moving"), run.values, min(spacing))
    gone = (field.points(moving.points) - moving.points - found.belief.v).norm(dim=1)
    return {
        **cost.figures,
        "shape": list(field.grid.shape),
        "folded_fraction": evaluation.folded_fraction(field, field.grid),
        "points_mm": float(gone.mean()),
    }


def _within(labels: LabelImage, grid: Grid) -> LabelImage:
    """On a grid about the same middle, nearest neighbours."""
    shift = labels.grid.centre - grid.centre
    placed = Grid(grid.shape, grid.spacing, tuple(float(x) for x in np.asarray(grid.origin) + shift), grid.direction)
    image = Image(labels.data.float(), labels.grid).resampled(placed, mode="nearest", outside="zeros")
    return LabelImage(image.data.round().int(), placed, labels.names)
