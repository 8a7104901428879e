"""A deformation as VisuAlign has it: markers from where the affine part alone expects something to where it is."""

from __future__ import annotations

import numpy as np
import torch

from regsuite.methods.sections.prepared import Prepared
from regsuite.transforms import Affine, Transform

_ACROSS = 6
"""Markers in a row, and rows, of the box around the tissue."""
_STAGGER = 0.2
"""By how many of their distances rows are shifted against each other: VisuAlign joins markers to triangles (Delaunay),
and four at the corners of a rectangle may be joined in two ways."""


def markers_of(section: Prepared, matrix: np.ndarray, transform: Transform) -> list[list[float]]:
    """[x, y, nx, ny] of each marker, in shares of the section's width and height from its upper left corner.

    The section shows at (nx, ny), which lies in the tissue, what ``matrix`` alone, (4, 4) from the section's to the
    atlas's RAS mm, puts at (x, y): ``transform`` takes (nx, ny) to where the matrix takes (x, y). Empty where nothing
    is deformed. Source: VisuAlign's own (https://github.com/Tevemadar/VisuAlign, Slice.java and Triangle.java), which
    finds the triangle of a place in (nx, ny) and looks into the atlas at the place it has in (x, y); it does not look
    beyond the section's edges, where a marker is left out.
    """
    if isinstance(transform, Affine):
        return []
    places = _places(section.tissue.numpy())
    size = np.array(section.tissue.shape[::-1])
    flat = np.column_stack([(places - size / 2) * section.pixel, np.zeros(len(places)), np.ones(len(places))])
    there = transform.points(torch.from_numpy((flat @ np.linalg.inv(section.to_flat).T)[:, :3])).numpy()
    expected = np.column_stack([there, np.ones(len(there))]) @ (section.to_flat @ np.linalg.inv(matrix)).T
    markers = np.hstack([expected[:, :2] / section.pixel / size + 0.5, places / size])
    if section.turned_over:  # the file shows the front
        markers[:, [0, 2]] = 1 - markers[:, [0, 2]]
    return markers[((markers >= 0) & (markers < 1)).all(axis=1)].round(6).tolist()


def _places(tissue: np.ndarray) -> np.ndarray:
    """(M, 2): (x, y) in pixels from the upper left corner of a picture (H, W), inside its tissue."""
    rows, columns = np.nonzero(tissue)
    low = np.array([columns.min(), rows.min()])
    size = np.array([columns.max(), rows.max()]) + 1 - low
    y, x = np.meshgrid(np.arange(_ACROSS) + 0.5, np.arange(_ACROSS) + 0.5, indexing="ij")
    x = x + _STAGGER * (np.arange(_ACROSS)[:, None] % 2 - 0.5)
    places = low + np.stack([x.ravel(), y.ravel()], axis=1) / _ACROSS * size
    inside = tissue[places[:, 1].astype(int), places[:, 0].astype(int)]
    return np.asarray(places[inside])
