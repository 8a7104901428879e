"""A solid that was made of slices beside the bone that they belong to, with the slices' planes, from two sides."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from regsuite.pictures.picture import Picture, encoded
from regsuite.pictures.surfaces import SIDES, draw_surface, seen_from
from regsuite.spatial import Grid, LabelImage, Surface, sample
from regsuite.spatial.meshes import surface_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_VOXEL = 2.5
"""mm, of surfaces that are drawn."""
_PIECES = 60
"""Of each side of a slice's rim, which may pass behind the bone."""
_BONE, _SOLID = np.array([0.86, 0.80, 0.68]), np.array([0.55, 0.75, 0.85])


def solid_picture(
    labels: LabelImage, bone: int | None, solid: LabelImage, planes: Sequence[Grid], colours: Sequence[Any]
) -> Picture:
    """bone: its label; planes: grids of the placed slices, colours: theirs."""
    from matplotlib.figure import Figure

    shown = (("Bone in the volume", _coarse(labels, bone), _BONE), ("Reconstruction", _coarse(solid, None), _SOLID))
    figure = Figure(figsize=(10.5, 9.0), layout="constrained")
    panels = figure.subplots(len(SIDES), len(shown), sharex="row", sharey="row", squeeze=False)
    for row, side in zip(panels, SIDES, strict=True):
        for axes, (title, surface, colour) in zip(row, shown, strict=True):
            draw_surface(axes, surface, side, np.tile(colour, (len(surface.points), 1)))
            middle = seen_from(surface.points.mean(dim=0).numpy(), side)[2]
            for plane, colour_of in zip(planes, colours, strict=True):
                _draw_rim(axes, seen_from(_rim(plane), side), middle, colour_of)
            axes.set_aspect("equal")
            axes.axis("off")
            axes.set_title(f"{title}, {side}" if axes is row[0] else title, fontsize=10)
    caption = (
        "The bone as it was segmented in the volume, and as it was made of the outlines in the slices, with the rims "
        "of the slices in the colours of their places. Both should have one shape; between slices the reconstruction "
        "is a guess. From the front the patient's right is on the left."
    )
    return Picture("reconstruction", "Reconstruction", caption, encoded(figure))


def _coarse(labels: LabelImage, value: int | None) -> Surface:
    """Of large voxels: enough to be looked at, and quickly drawn."""
    grid = labels.grid.resampled([max(_VOXEL, step) for step in labels.grid.spacing])
    inside = labels.mask(value).cpu().float()[None, None]
    part = sample(inside, labels.grid, grid.points(), outside="zeros")[0, 0] > 0.5
    return surface_of(LabelImage(part[None, None].int(), grid), 1)


def _draw_rim(axes: Axes, points: np.ndarray, middle: float, colour: Any) -> None:
    """Over what is drawn where it is nearer to the viewer than its middle, under it where it is farther."""
    from matplotlib.collections import LineCollection

    pieces = np.stack([points[:-1], points[1:]], axis=1)
    near = pieces[..., 2].mean(axis=1) > middle
    for part, height in ((pieces[~near], 0.5), (pieces[near], 3.0)):
        axes.add_collection(LineCollection(list(part[..., :2]), colors=[colour], linewidths=1.3, zorder=height))


def _rim(grid: Grid) -> np.ndarray:
    """(N, 3) RAS mm, around a slice (1, H, W)."""
    _, rows, columns = grid.shape
    low, right, down = -0.5, columns - 0.5, rows - 0.5
    corners = np.array([[0, low, low], [0, low, right], [0, down, right], [0, down, low], [0, low, low]])
    shares = np.linspace(0, 1, _PIECES, endpoint=False)[:, None]
    sides = [start + shares * (end - start) for start, end in pairwise(corners)]
    return grid.to_world(np.concatenate([*sides, corners[-1:]]))
