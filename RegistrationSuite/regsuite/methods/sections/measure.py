"""What lies in which region of a section: area, brightness, and how many of the markups."""

from __future__ import annotations

from typing import Any

import numpy as np

from regsuite.registration import Table
from regsuite.spatial import Image, LabelImage, PointSet

_COLUMNS = ["region", "label", "area mm²", "share of atlas plate", "mean brightness", "markups", "markups per mm²"]


def region_table(
    section: Image, channel: int, labels: LabelImage, tissue: np.ndarray, area_scale: float, points: PointSet | None
) -> Table:
    """A row a region that the section shows, the largest first.

    section: (1, C, *shape); labels: on its grid; tissue: (*shape) bool; area_scale: mm² of the atlas to a mm² of the
    section's own geometry; channel: whose brightness is told, from 1, 0 for the mean of all.
    """
    values, numbers = np.unique(labels.array(), return_inverse=True)
    numbers = numbers.ravel()
    data = section.data[0].cpu().numpy()
    grey = (data.mean(axis=0) if channel == 0 else data[channel - 1]).ravel()
    there = tissue.ravel()
    voxels = np.bincount(numbers, there, len(values))
    drawn = np.bincount(numbers, minlength=len(values))
    sums = np.bincount(numbers, grey * there, len(values))
    counted = _counted(labels, values, points)
    pixel = area_scale * _pixel_area(section)
    rows: list[list[Any]] = []
    for place in np.argsort(-voxels, kind="stable"):
        value = int(values[place])
        if value == 0 or not voxels[place]:
            continue
        area = float(voxels[place] * pixel)
        cells = [counted[place], counted[place] / area] if points is not None else ["", ""]
        share = float(voxels[place] / drawn[place])
        rows.append([labels.name_of(value), value, area, share, float(sums[place] / voxels[place]), *cells])
    return Table("Regions", _COLUMNS, rows)


def _pixel_area(section: Image) -> float:
    axis = section.grid.shape.index(1)
    return float(np.prod([h for place, h in enumerate(section.grid.spacing) if place != axis]))


def _counted(labels: LabelImage, values: np.ndarray, points: PointSet | None) -> np.ndarray:
    """(V,): markups in each region; those off the section count nowhere."""
    counts = np.zeros(len(values), dtype=int)
    if points is None:
        return counts
    index = np.round(labels.grid.to_index(points.array())).astype(int)
    index[:, labels.grid.shape.index(1)] = 0  # markups are placed on the section, not in its depth
    inside = ((index >= 0) & (index < np.array(labels.grid.shape))).all(axis=1)
    found = labels.array()[tuple(index[inside].T)]
    np.add.at(counts, np.searchsorted(values, found), 1)
    return counts
