"""LPS in files and RAS inside: the one place where the two meet."""

from __future__ import annotations

from typing import Any

import numpy as np

from regsuite.errors import InputError
from regsuite.spatial import Grid


def signs(dim: int) -> np.ndarray:
    """(d,): RAS components are these times LPS components, and the other way."""
    return np.array([-1.0, -1.0, 1.0])[:dim]


def grid_of(header: Any, name: str) -> Grid:
    """The grid of a SimpleITK image or reader in two or three dimensions; of a fourth axis the first position.

    InputError where the axes are not at right angles.
    """
    stored = header.GetDimension()
    dim = min(stored, 3)
    # Adding 0 turns -0 into 0.
    direction = np.reshape(header.GetDirection(), (stored, stored))[:dim, :dim] * signs(dim)[:, None] + 0.0
    try:
        return Grid(
            shape=tuple(reversed(header.GetSize()[:dim])),
            spacing=tuple(reversed(header.GetSpacing()[:dim])),
            origin=tuple(float(x) for x in np.array(header.GetOrigin()[:dim]) * signs(dim) + 0.0),
            direction=tuple(tuple(float(x) for x in row) for row in direction[:, ::-1]),
        )
    except ValueError:
        raise InputError(skewed(name)) from None


def skewed(name: str) -> str:
    """The sentence for axes that are not at right angles."""
    return f"The axes of '{name}' are not at right angles or have no length: resample it onto a regular grid first."


def place(image: Any, grid: Grid) -> None:
    """Gives a SimpleITK image the position of ``grid``."""
    direction = np.asarray(grid.direction)[:, ::-1] * signs(grid.dim)[:, None]
    image.SetSpacing(tuple(reversed(grid.spacing)))
    image.SetOrigin(tuple(np.asarray(grid.origin) * signs(grid.dim)))
    image.SetDirection(direction.ravel().tolist())
