"""Several single slices of one part of the body, each at a pose of its own and with any number of maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from regsuite.spatial.grid import Grid
from regsuite.spatial.image import Image

AXIS_TOLERANCE = 1.0
"""mm. Farther than this from a plane, within the slice, a line does not lie in it."""

_PARALLEL = 1e-3


class Axis(NamedTuple):
    """A line in space: a point on it, RAS mm (3,), and its direction, a unit vector (3,)."""

    centre: np.ndarray
    normal: np.ndarray


@dataclass(frozen=True)
class SliceSet:
    """K slices; of every map one image a slice, all in the same order.

    maps: by name, K images (1, 1, 1, H, W) on grids of shape (1, H, W), as thick as the slice, RAS mm;
    units: by the same names, of the values, '' where it is not known;
    quantities: names of the maps whose values are measured; the others are images to look at;
    thickness: mm, of the thickest slice;
    distinct: whether the poses tell where each slice lies; if not, all slices have one pose and only their order tells
    them apart;
    notes: sentences on what was left out, supposed or is odd.
    """

    maps: Mapping[str, tuple[Image, ...]]
    units: Mapping[str, str]
    quantities: frozenset[str]
    thickness: float
    distinct: bool
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counts = {len(images) for images in self.maps.values()}
        if len(counts) != 1 or self.units.keys() != self.maps.keys() or not self.quantities <= self.maps.keys():
            raise ValueError(f"every map has as many slices, and a unit; not {counts}, {self.units}, {self.quantities}")

    @property
    def count(self) -> int:
        """How many slices there are."""
        return len(self.grids)

    @property
    def compared(self) -> str:
        """The name of the images that are compared with a volume: those to look at, before maps."""
        looked_at = [name for name in self.maps if name not in self.quantities]
        return (looked_at or list(self.maps))[0]

    @property
    def grids(self) -> tuple[Grid, ...]:
        """Of the slices in the first map."""
        return tuple(image.grid for image in next(iter(self.maps.values())))

    def axis(self, tolerance: float = AXIS_TOLERANCE, one_pose: Literal["slice", "localizer"] = "slice") -> Axis | None:
        """The line that all slices share, along the rows' order of the first one where it runs that way; None where the
        planes have no line in common within ``tolerance`` mm.

        one_pose: whose pose it is where all slices have the same one. Of a slice: the axis runs down the middle of it,
        in the rows' order. Of the localizer, to which the slices are normal: it stands on the middle of it.
        """
        if self.distinct:
            return common_line(self.grids, tolerance)
        grid = self.grids[0]
        return Axis(grid.centre, np.asarray(grid.direction)[:, 1 if one_pose == "slice" else 0])


def common_line(grids: Sequence[Grid], tolerance: float = AXIS_TOLERANCE) -> Axis | None:
    """The line nearest to lying in every plane, least squares; its centre is nearest to the middle of the slices.

    grids: (1, H, W) each. None for fewer than three planes, for parallel ones, and where, within the length of a slice,
    the line leaves one of them by more than ``tolerance`` mm.
    """
    if len(grids) < 3:
        return None
    normals = np.array([np.asarray(grid.direction)[:, 0] for grid in grids])
    centres = np.array([grid.centre for grid in grids])
    _, strengths, basis = np.linalg.svd(normals)
    if strengths[1] < _PARALLEL * strengths[0]:
        return None
    offsets = (normals * centres).sum(axis=1)
    middle, across, along = centres.mean(axis=0), basis[:2].T, basis[2]
    shift = np.linalg.lstsq(normals @ across, offsets - normals @ middle, rcond=None)[0]
    centre = middle + across @ shift
    half = max(np.multiply(grid.shape, grid.spacing)[1:].max() for grid in grids) / 2
    ends = np.array([centre - half * along, centre + half * along])
    if np.abs(ends @ normals.T - offsets).max() > tolerance:
        return None
    return Axis(centre, along * _sign(along, grids[0]))


def _sign(along: np.ndarray, grid: Grid) -> float:
    """With the rows of the slice, or with its columns where the axis runs across it."""
    parts = along @ np.asarray(grid.direction)[:, 1:]
    return float(np.sign(parts[np.argmax(np.abs(parts))]))
