"""Images of one slice in space, as a viewer shows them."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from regsuite.spatial.grid import Grid
from regsuite.spatial.image import Image

_VIEWS = {0: ((0, -1, 0), (0, 0, -1)), 1: ((-1, 0, 0), (0, 0, -1)), 2: ((-1, 0, 0), (0, -1, 0))}
"""By the world axis a slice stands across: the RAS directions of right and down, as Slicer's views have them."""


def across_first(image: Image) -> Image:
    """The same slice (1, C, *shape) in space, on a grid of shape (1, H, W)."""
    axis = image.grid.shape.index(1)
    order = [axis, *(each for each in range(3) if each != axis)]
    grid = Grid.from_affine([image.grid.shape[each] for each in order], image.grid.affine[:, [*order, 3]])
    return Image(image.data.movedim(2 + axis, 2), grid, image.name)


def upright(section: Image) -> tuple[Tensor, np.ndarray]:
    """(C, H, W) float32 of a slice (1, C, *shape), with columns to the right and rows down as Slicer would show it;
    (4, 4) from (column, row, up, 1) to RAS mm."""
    grid = section.grid
    axis = grid.shape.index(1)
    normal = np.asarray(grid.direction)[:, axis]
    right, down = (np.array(each, dtype=float) for each in _VIEWS[int(np.argmax(np.round(np.abs(normal), 6)))])
    rows, columns = (each for each in range(3) if each != axis)
    axes = np.asarray(grid.direction)
    data = section.data[0].movedim(1 + axis, 0)[0].float()
    if abs(axes[:, columns] @ right) < abs(axes[:, rows] @ right):
        data, rows, columns = data.transpose(1, 2), columns, rows
    step = np.asarray(grid.spacing) * axes
    origin, along, downwards = np.asarray(grid.origin), step[:, columns], step[:, rows]
    if along @ right < 0:
        data, origin, along = data.flip(2), origin + (data.shape[2] - 1) * along, -along
    if downwards @ down < 0:
        data, origin, downwards = data.flip(1), origin + (data.shape[1] - 1) * downwards, -downwards
    up = np.cross(along, downwards) / np.linalg.norm(along)
    affine = np.eye(4)
    affine[:3] = np.stack([along, downwards, up, origin], axis=1)
    return data, affine
