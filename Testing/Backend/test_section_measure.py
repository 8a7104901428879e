"""Regions of a tiny section, counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from regsuite.io.sections import section_grid
from regsuite.methods.sections.measure import region_table
from regsuite.spatial import Image, LabelImage, PointSet

GRID = section_grid(4, 3, (0.5, 0.5))
LABELS = LabelImage.from_array(
    np.array([[[0, 7, 7, 7], [0, 7, 9, 9], [0, 0, 9, 12]]], dtype=np.int32), GRID, {7: "Hippocampus"}
)
BRIGHT = torch.tensor([[[5.0, 1, 2, 3], [5, 6, 10, 20], [5, 5, 30, 8]]])
TISSUE = np.array([[[True, True, True, False], [True, True, True, True], [True, True, True, False]]])


def table(points: np.ndarray | None = None, channels: int = 1, channel: int = 1, scale: float = 1.0) -> Any:
    section = Image(torch.stack([BRIGHT * 10**n for n in range(channels)])[None], GRID)
    marks = None if points is None else PointSet.from_array(points)
    return region_table(section, channel, LABELS, TISSUE, scale, marks)


def marks() -> np.ndarray:
    """RAS mm: two in region 7, one of them off the plane; one in 9; one in the background; one off the section."""
    places = [(0, 1, 0), (30, 2, 0.4), (0, 3, 1), (0, 0, 0), (0, 3, 9)]
    points = [GRID.to_world(np.array([depth, row, column], float)) for depth, column, row in places]
    return np.array(points)


def test_areas_are_those_of_the_tissue_the_largest_first() -> None:
    rows = table().rows
    # Three pixels of 0.25 mm² each; the region of label 12 lies where no tissue is.
    assert [row[:4] for row in rows] == [
        ["Hippocampus", 7, 0.75, 3 / 4],
        [LABELS.name_of(9), 9, 0.75, 1.0],
    ]


def test_areas_are_the_atlass_where_its_mm_are_others() -> None:
    assert table(scale=4.0).rows[0][2] == pytest.approx(3.0)


@pytest.mark.parametrize(("channel", "factor"), [(1, 1.0), (2, 10.0), (0, 5.5)])
def test_brightness_is_the_mean_over_the_tissue_of_the_channel(channel: int, factor: float) -> None:
    rows = table(channels=2, channel=channel).rows
    assert [row[4] for row in rows] == pytest.approx([factor * (1 + 2 + 6) / 3, factor * (10 + 20 + 30) / 3])


def test_markups_are_counted_where_they_were_put() -> None:
    assert [row[5:] for row in table(marks()).rows] == [[2, 2 / 0.75], [1, 1 / 0.75]]


def test_without_markups_their_columns_are_empty() -> None:
    assert [row[5:] for row in table().rows] == [["", ""], ["", ""]]


def test_columns_have_names() -> None:
    found = table(marks())
    assert {len(row) for row in found.rows} == {len(found.columns)}
