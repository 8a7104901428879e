"""Clouds of points without images, registered and judged: bones, and lungs. Runs in a process of its own."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from regsuite.progress import Progress
from regsuite.solvers.drift.covariance import Kernel
from regsuite.solvers.drift.solve import Cloud, Drift, Settings, drift
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from Benchmarks.cost import Cost

Values = dict[str, Any]

_DEVIATION = 10.0
"""Of a displacement, mm."""
_NEIGHBOURS = 40
"""Moved points that every other point follows, where a peer carries nothing itself."""


def read_mesh(file: Path) -> np.ndarray:
    """Vertices (N, 3) float64 mm of a binary PLY file that begins with three 32-bit floats a vertex."""
    content = file.read_bytes()
    end = content.index(b"end_header\n") + len(b"end_header\n")
    count = int(content.partition(b"element vertex ")[2].split()[0])
    return np.frombuffer(content, "<f4", 3 * count, end).reshape(count, 3).astype(float)


def centred(folder: str, number: int) -> np.ndarray:
    """A femur's vertices (N, 3) mm about their middle."""
    points = read_mesh(Path(folder) / f"femur_{number}.ply")
    return points - points.mean(axis=0)


def some(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    """That many of the points (N, d), at random; all where there are no more."""
    if count >= len(points):
        return points
    return points[np.sort(np.random.default_rng(seed).choice(len(points), count, replace=False))]


def femurs(folder: str, fixed: int, moving: int, count: int, range: float) -> Values:
    """One femur brought to another by ``count`` points a side: cost, and mean distance of all vertices in mm.

    range: of the displacement, mm. The cost includes carrying the displacement to all vertices.
    """
    target, source = centred(folder, fixed), centred(folder, moving)
    x, y = some(target, count, 0), some(source, count, 1)
    _warmed_up()
    with Cost() as cost:
        found = _drifted(y, x, range)
        carried = _carried(found, source)
    distance, before = surface_distance(target, carried), surface_distance(target, source)
    return {"distance_mm": distance, "before_mm": before, **cost.figures}


@functools.cache
def _warmed_up() -> None:
    """Once, in small: no first use of a library is measured."""
    points = np.random.default_rng(0).normal(size=(100, 3))
    _carried(_drifted(points, 1.1 * points, 1.0), points)


def _drifted(y: np.ndarray, x: np.ndarray, range: float) -> Drift:
    """Points y (M, 3) mm to x (N, 3) mm as one organ without outliers."""
    one = torch.ones(1)
    kernel = Kernel(_DEVIATION * one, range * one, torch.ones(1, 1))
    source, target = (Cloud(torch.from_numpy(each).float(), _one_organ(len(each))) for each in (y, x))
    return drift(source, target, kernel, torch.ones(1, 1), Settings([0.0], [1.0]), Progress())


def _one_organ(count: int) -> torch.Tensor:
    return torch.zeros(count, dtype=torch.long)


def _carried(found: Drift, points: np.ndarray) -> np.ndarray:
    x = torch.from_numpy(points).float()
    return found.belief.rho(x + found.displacement(x, _one_organ(len(x)))).double().numpy()


def femur_clouds(folder: str, fixed: int, moving: int, count: int, file: str) -> None:
    """The same points for a peer: see :func:`keep`."""
    keep(file, some(centred(folder, fixed), count, 0), some(centred(folder, moving), count, 1))


def keep(file: str, x: np.ndarray, y: np.ndarray) -> None:
    """Points x (N, d), y (M, d) mm for a peer: about the middle of x, divided by its root mean square radius."""
    middle = x.mean(axis=0)
    scale = np.sqrt(np.square(x - middle).sum(axis=1).mean())
    np.savez(file, x=(x - middle) / scale, y=(y - middle) / scale, middle=middle, scale=scale)


def spread(clouds: str, moved: str, points: np.ndarray) -> np.ndarray:
    """Points (N, d) mm carried by what a peer made of y: linear radial basis functions of the 40 nearest."""
    with np.load(clouds) as given:
        y, middle, scale = given["y"], given["middle"], given["scale"]
    far = (points - middle) / scale
    near = RBFInterpolator(y, np.load(moved) - y, neighbors=min(_NEIGHBOURS, len(y)), kernel="linear", degree=0)
    return (far + near(far)) * scale + middle


def femurs_judged(folder: str, fixed: int, moving: int, clouds: str, moved: str) -> float:
    """Mean distance of all vertices in mm, of what a peer made."""
    return surface_distance(centred(folder, fixed), spread(clouds, moved, centred(folder, moving)))


def surface_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The mean of both directions of the mean distance to the nearest point of the other cloud (N, d), mm."""
    return float(0.5 * (cKDTree(other).query(one)[0].mean() + cKDTree(one).query(other)[0].mean()))
