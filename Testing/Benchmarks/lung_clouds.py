"""Lungs as clouds of points, registered and judged at expert landmarks. Runs in a process of its own.

Positions are voxels (i, j, k) of 1.75 x 1.00 x 1.25 mm. A cloud is points on the surface of the lungs' mask, and the
keypoints that were found in that breath's image alone; the correspondence that the files give for these is not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from regsuite.progress import Progress
from regsuite.solvers.drift.covariance import Kernel
from regsuite.solvers.drift.solve import Cloud, Drift, Settings, drift
from regsuite.spatial import Grid, LabelImage
from regsuite.spatial.surfaces import surface_points

from Benchmarks.cost import Cost
from Benchmarks.point_clouds import keep, spread

Values = dict[str, Any]

_VOXEL = (1.75, 1.00, 1.25)
_DEVIATION = 10.0
"""Of the displacement, mm, as MO-BCPD's paper has it."""
_POINTS = 2000
"""A cloud, at most as many of them on the surface as keypoints leave."""
SURFACE, KEYPOINTS = 0, 1
"""Kinds of points, which are one organ or two."""


def cloud(folder: str, case: int, breath: str, keypoints: bool) -> Cloud:
    """Points (N, 3) mm of a breath, "exp" or "insp", by kind."""
    file = Path(folder) / f"copd{case:02}_{breath}_corrfield.csv"
    few = _positions(file, slice(0, 3)) if keypoints else np.zeros((0, 3))
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(Path(folder) / f"copd{case:02}_{breath}_lungmask.nii.gz")))
    labels = LabelImage.from_array(mask, Grid.regular(mask.shape, _VOXEL[::-1]))
    surface = surface_points(labels, 1, _POINTS - len(few)).numpy()
    kinds = torch.tensor([SURFACE] * len(surface) + [KEYPOINTS] * len(few))
    return Cloud(torch.from_numpy(np.concatenate([surface, few])).float(), kinds)


def _positions(file: Path, columns: slice) -> np.ndarray:
    return np.loadtxt(file, delimiter=",", skiprows=1)[:, columns] * _VOXEL


def _landmarks(folder: str, case: int) -> tuple[np.ndarray, np.ndarray]:
    """Exhale and inhale (300, 3) mm."""
    file = Path(folder) / f"copd{case:02}_landmarks.csv"
    return _positions(file, slice(0, 3)), _positions(file, slice(3, 6))


def before(folder: str, case: int) -> Values:
    """The distance of landmarks where nothing is done."""
    exhale, inhale = _landmarks(folder, case)
    return _judged(exhale, inhale)


def registered(folder: str, case: int, keypoints: bool, kinds: int, range: float) -> Values:
    """Exhale to inhale, with its cost.

    kinds: 1 where all points are one organ's, 2 where keypoints are matched to keypoints alone and all move as one;
    range: of the displacement, mm.
    """
    given = [cloud(folder, case, breath, keypoints) for breath in ("exp", "insp")]
    clouds = [Cloud(each.points, each.organs.clamp(max=kinds - 1)) for each in given]
    _found([Cloud(each.points[::10], each.organs[::10]) for each in clouds], kinds, range)  # warms up
    exhale, inhale = _landmarks(folder, case)
    with Cost() as cost:
        found = _found(clouds, kinds, range)
        x = torch.from_numpy(exhale).float()
        arrived = found.belief.rho(x + found.displacement(x, torch.zeros(len(x), dtype=torch.long)))
    return {**_judged(arrived.double().numpy(), inhale), **cost.figures}


def _found(clouds: list[Cloud], kinds: int, range: float) -> Drift:
    ones = torch.ones(kinds)
    kernel = Kernel(_DEVIATION * ones, range * ones, torch.ones(kinds, kinds))
    settings = Settings([0.0] * kinds, [1.0] * kinds)
    fixed, moving = clouds
    return drift(fixed, moving, kernel, torch.eye(kinds), settings, Progress())


def clouds_for_peer(folder: str, case: int, keypoints: bool, file: str) -> None:
    """The same points: see :func:`Benchmarks.point_clouds.keep`."""
    moving, fixed = (cloud(folder, case, breath, keypoints).points.double().numpy() for breath in ("exp", "insp"))
    keep(file, fixed, moving)


def judged(folder: str, case: int, clouds: str, moved: str) -> Values:
    """What a peer made."""
    exhale, inhale = _landmarks(folder, case)
    return _judged(spread(clouds, moved, exhale), inhale)


def _judged(arrived: np.ndarray, inhale: np.ndarray) -> Values:
    distance = np.linalg.norm(arrived - inhale, axis=1)
    return {"tre_mm": float(distance.mean()), "tre_95_mm": float(np.quantile(distance, 0.95))}
