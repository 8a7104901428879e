"""Label images of two persons, registered by some structures and judged by these and others.

Runs in a process of its own.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from regsuite import evaluation, io
from regsuite.spatial import Grid, LabelImage
from regsuite.spatial.surfaces import surface_points
from regsuite.transforms import Transform, identity, warp_labels

from Benchmarks.cost import Cost
from Benchmarks.organ_cases import ABDOMEN, plain, run_of
from Benchmarks.point_clouds import surface_distance

Values = dict[str, Any]
Sources = Mapping[str, Iterable[int]]
"""Labels of a file that make a structure, by its name."""

_CT_OTHERS: Sources = {
    "duodenum": [19],
    "vertebrae": range(26, 51),
    "aorta": [52],
    "inferior vena cava": [63],
    "portal vein": [64],
    "left autochthon": [86],
    "right autochthon": [87],
}
_MR_OTHERS: Sources = {
    "duodenum": [14],
    "vertebrae": [19],
    "aorta": [23],
    "inferior vena cava": [24],
    "portal vein": [25],
    "left autochthon": [46],
    "right autochthon": [47],
}
"""TotalSegmentator's classes ``total`` and ``total_mr``."""
_SLAB_MM = 30.0
"""How much farther than the slab the CT is taken."""

_BRAIN_OTHERS: Sources = {
    "left caudate": [11],
    "right caudate": [50],
    "left pallidum": [13],
    "right pallidum": [52],
    "left hippocampus": [17],
    "right hippocampus": [53],
    "left amygdala": [18],
    "right amygdala": [54],
}
_BRAIN: Sources = {
    "left lateral ventricle": [4, 5],
    "right lateral ventricle": [43, 44],
    "left thalamus": [10],
    "right thalamus": [49],
    "left putamen": [12],
    "right putamen": [51],
    "brain stem": [16],
    "left cerebellum": [7, 8],
    "right cerebellum": [46, 47],
    "left cerebrum": [2, 3, 26, 11, 13, 17, 18],
    "right cerebrum": [41, 42, 58, 50, 52, 53, 54],
}
"""FreeSurfer's labels. What is left out lies in the cerebrum and is not to be seen there."""
_BRAIN_MM = 2.0


@dataclass(frozen=True)
class LabelPair:
    """What is registered, and what is judged besides."""

    fixed: LabelImage
    moving: LabelImage
    fixed_others: LabelImage
    moving_others: LabelImage


def make_abdomens(folder: str, file: str) -> None:
    """The organs of a CT to those of an MR slab of another person, the middles of the organs put together."""
    names = {name: [value] for value, name in ABDOMEN.items()}
    ct, mr = (io.read_labels(f"{folder}/example_seg_{each}.nii.gz") for each in ("fast_force_split", "mr"))
    middles = [np.mean([_middle(each, value) for value in ABDOMEN], axis=0) for each in (ct, mr)]
    ct = _cut(_shifted(ct, middles[1] - middles[0]), mr.grid)
    _keep(LabelPair(_taken(mr, names), _taken(ct, names), _taken(mr, _MR_OTHERS), _taken(ct, _CT_OTHERS)), file)


def make_brains(folder: str, fixed: str, moving: str, file: str) -> None:
    """The structures of one brain to those of another, where their files say that they lie."""
    images = [_coarser(io.read_labels(f"{folder}/seg_{each}.nii.gz")) for each in (fixed, moving)]
    used, others = ([_taken(image, sources) for image in images] for sources in (_BRAIN, _BRAIN_OTHERS))
    _keep(LabelPair(*used, *others), file)


def _coarser(labels: LabelImage) -> LabelImage:
    return warp_labels(labels, identity(3), labels.grid.resampled([_BRAIN_MM] * 3))


def _keep(pair: LabelPair, file: str) -> None:
    Path(file).write_bytes(pickle.dumps(pair))


def _kept(file: str) -> LabelPair:
    pair = pickle.loads(Path(file).read_bytes())
    assert isinstance(pair, LabelPair)
    return pair


def _taken(labels: LabelImage, sources: Sources) -> LabelImage:
    """Structures numbered from 1 in the order of the sources."""
    data = torch.zeros_like(labels.data)
    for number, values in enumerate(sources.values(), start=1):
        data[torch.isin(labels.data, torch.tensor(list(values), dtype=labels.data.dtype))] = number
    return LabelImage(data, labels.grid, dict(enumerate(sources, start=1)))


def _middle(labels: LabelImage, value: int) -> np.ndarray:
    return labels.grid.to_world(np.argwhere(labels.mask(value).numpy())).mean(axis=0)


def _shifted(labels: LabelImage, shift: np.ndarray) -> LabelImage:
    origin = tuple(float(x) for x in np.asarray(labels.grid.origin) + shift)
    return replace(labels, grid=replace(labels.grid, origin=origin))


def _cut(labels: LabelImage, slab: Grid) -> LabelImage:
    """Slices near a slab of the same orientation: what lies farther has no counterpart."""
    heights = labels.grid.to_world(np.array([[k, 0, 0] for k in range(labels.grid.shape[0])]))[:, 2]
    low, high = slab.corners()[:, 2].min() - _SLAB_MM, slab.corners()[:, 2].max() + _SLAB_MM
    rows = np.flatnonzero((heights >= low) & (heights <= high))
    start, stop = int(rows[0]), int(rows[-1]) + 1
    grid = labels.grid.cropped([start, 0, 0], [stop - start, *labels.grid.shape[1:]])
    return replace(labels, data=labels.data[:, :, start:stop], grid=grid)


def before(pair: str) -> Values:
    """The figures of doing nothing: Dice and mean distance of the surfaces (mm) of every structure."""
    return _judged(_kept(pair), identity(3))


def registered(pair: str, method: str, parameters: Values) -> Values:
    """The same by one of our methods, with its cost and its folds."""
    given = _kept(pair)
    inputs = {
        "fixed": plain(given.fixed),
        "moving": plain(given.moving),
        "fixed_labels": given.fixed,
        "moving_labels": given.moving,
    }
    with Cost() as cost:
        run = run_of(inputs, method, parameters)
        found = run.drifted(run.cloud("moving"), run.cloud("fixed"))
        transform = run.forward(found).inverse()
    folded = evaluation.folded_fraction(transform, given.fixed.grid)
    return {**_judged(given, transform), **cost.figures, "folded_fraction": folded}


def _judged(given: LabelPair, transform: Transform) -> Values:
    """used, others: by structure [Dice, mm], of those that were registered and of those that were left out."""
    return {
        "used": _structures(given.fixed, given.moving, transform),
        "others": _structures(given.fixed_others, given.moving_others, transform),
    }


def _structures(fixed: LabelImage, moving: LabelImage, transform: Transform) -> dict[str, list[float]]:
    """A structure that the transform takes out of the fixed image has Dice 0 and the distance NaN."""
    warped = warp_labels(moving, transform, fixed.grid)
    overlap = evaluation.dice(fixed, warped)
    return {fixed.name_of(value): [overlap[value], _distance(fixed, warped, value)] for value in fixed.values()}


def _distance(fixed: LabelImage, warped: LabelImage, value: int) -> float:
    one, other = (surface_points(each, value).numpy() for each in (fixed, warped))
    return surface_distance(one, other) if len(one) and len(other) else math.nan
