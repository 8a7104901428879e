"""Real sections identified, in a process of its own."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from regsuite import io, jobs
from regsuite.io.anchoring import ALLEN_VOXEL, AnchoredSection
from regsuite.jobs import Job
from regsuite.registration import Registration
from regsuite.spatial import Grid, LabelImage
from regsuite.transforms import Affine, Transform, warp_labels

from Benchmarks.cost import Cost
from Benchmarks.look_slices import outlined
from Benchmarks.slice_volumes import Brains

Values = dict[str, Any]
Folders = dict[str, str]

_ALIGNED, _PREDICTED = "GLTa.json", "MyResults.csv"
"""Two anchorings by DeepSlice."""
_APART = 12
"""Pixels between the points of a section that are compared."""
_ALONG = 1
"""The world axis from the back to the front of the brain."""


def anchored(folder: str, pictures: str, folders: Folders, encoder: str) -> list[Values]:
    """Every section of the folder, its pixel size unknown, against the anchoring that DeepSlice gave it.

    plate, wanted: counted from 1, where the middle of the tissue lies, as found and by the anchoring.
    """
    brains, place = Brains(folders), Path(folder)
    aligned, predicted = (
        {section.filename: section for section in io.read_series(place / name).sections}
        for name in (_ALIGNED, _PREDICTED)
    )
    files = [file for file in io.find_sections(place).files if file.name in aligned and file.name in predicted]
    return [_judged(file, brains, encoder, aligned[file.name], predicted[file.name], pictures) for file in files]


def _judged(
    file: Path, brains: Brains, encoder: str, truth: AnchoredSection, other: AnchoredSection, pictures: str
) -> Values:
    section = io.read_section(file)
    inputs = _inputs(brains, encoder) | {"fixed": section}
    with Cost() as cost:
        result = jobs.run(Job("atlas-slice", inputs, device="cpu"))
    found = replace(truth, anchoring=tuple(result.record["chosen"]["anchoring"]))
    true = Affine(_matrix(truth, section.grid, brains.grid, ALLEN_VOXEL))
    points = _on_tissue(section.grid, true, brains.labels)
    ways: dict[str, Transform] = {
        "affine": Affine(_matrix(found, section.grid, brains.grid, None)),
        "deformed": result.transform,
        "predicted": Affine(_matrix(other, section.grid, brains.grid, ALLEN_VOXEL)),
    }
    there = true.points(points).numpy()
    moved = {name: way.points(points).numpy() for name, way in ways.items()}
    distances = {
        name: _distances(each, there) | {"other_mm": _distance(each, moved["predicted"])}
        for name, each in moved.items()
    }
    if pictures:
        drawings = {"found": _regions(result), "anchoring": warp_labels(brains.labels, true, section.grid)}
        outlined(section, drawings, str(Path(pictures) / f"{file.stem}.png"))
    middles = [_plate(brains, each) for each in (moved["affine"], there)]
    names = ("plate", "wanted")
    told = {"name": file.stem.rpartition("_")[2], "confidence": result.metrics["confidence"], "seconds": cost.seconds}
    return {**told, **dict(zip(names, middles, strict=True)), **distances}


def _inputs(brains: Brains, encoder: str) -> dict[str, Any]:
    return {"moving": brains.template, "moving_labels": brains.labels, "encoder": encoder}


def _matrix(section: AnchoredSection, grid: Grid, atlas: Grid, voxel: float | None) -> np.ndarray:
    """From the section's RAS mm to the atlas's."""
    height, width = grid.shape[1:]
    pixel = grid.spacing[2], grid.spacing[1]
    return io.matrix_of(replace(section, width=width, height=height), pixel, atlas, voxel)


def _on_tissue(grid: Grid, true: Transform, labels: LabelImage) -> torch.Tensor:
    """(N, 3) mm: points of the section that lie in the brain by the anchoring."""
    points = grid.points(torch.float64)[0, ::_APART, ::_APART].reshape(-1, 3)
    index = np.round(labels.grid.to_index(true.points(points).numpy())).astype(int)
    inside = np.all((index >= 0) & (index < np.array(labels.grid.shape)), axis=1)
    inside[inside] = labels.array()[tuple(index[inside].T)] > 0
    return points[torch.from_numpy(inside)]


def _distances(found: np.ndarray, there: np.ndarray) -> Values:
    """Means over the points (N, 3), mm: along the brain and in all; and how far their middles are along the brain."""
    off = found - there
    return {
        "middle_mm": float(abs(off[:, _ALONG].mean())),
        "along_mm": float(np.abs(off[:, _ALONG]).mean()),
        "all_mm": _distance(found, there),
    }


def _distance(found: np.ndarray, there: np.ndarray) -> float:
    return float(np.linalg.norm(found - there, axis=1).mean())


def _plate(brains: Brains, points: np.ndarray) -> float:
    """Counted from 1, of the middle of points: plates are counted from the front."""
    front = brains.grid.centre[_ALONG] - points[:, _ALONG].mean()
    return brains.plates.number(float(front)) + 1


def _regions(result: Registration) -> LabelImage:
    assert result.warped_labels is not None
    return result.warped_labels


def series(folder: str, pictures: str, folders: Folders, encoder: str) -> Values:
    """Sections of the channel that shows the anatomy, one by one and as a series; depths from the front on, mm."""
    brains = Brains(folders)
    files = sorted(str(file) for file in Path(folder).glob("section*_ch1.png"))
    numbers = [int(Path(file).name[len("section") :].partition("_")[0]) for file in files]
    inputs, settings = _inputs(brains, encoder), {"deformation": "none"}
    alone = [jobs.run(Job("atlas-slice", {**inputs, "fixed": file}, settings, device="cpu")) for file in files]
    sections = io.read_sections(files)
    given = {**inputs, "sections": type(sections)(sections.parts, numbers)}
    with Cost() as cost:
        together = jobs.run_series(Job("atlas-series", given, device="cpu"))
    for name, part in together.parts.items() if pictures else ():
        image = next(each for each in sections.parts if each.name == name)
        outlined(image, {"found": _regions(part)}, os.path.join(pictures, f"{name}.png"))
    ways = {"alone": alone, "together": list(together.parts.values())}
    found = {way: _order(numbers, [each.metrics["depth_mm"] for each in results]) for way, results in ways.items()}
    return {"numbers": numbers, "seconds": cost.seconds, **found}


def _order(numbers: list[int], depths: list[float]) -> Values:
    """in_order: share of neighbours that follow each other as most do; uneven_mm: mean distance from the straight line
    through numbers and depths."""
    steps = np.sign(np.diff(depths))
    line = np.polyval(np.polyfit(numbers, depths, 1), numbers)
    in_order = max(float((steps > 0).mean()), float((steps < 0).mean()))
    return {"depths": depths, "in_order": in_order, "uneven_mm": float(np.abs(np.array(depths) - line).mean())}
