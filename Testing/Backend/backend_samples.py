"""Grids of every kind, and maps whose values, inverses and Jacobians are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from regsuite.spatial import Grid
from scipy.spatial.transform import Rotation
from torch import Tensor

_OBLIQUE = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
_TURN = np.array([[0.8, -0.6], [0.6, 0.8]])


def _grid(shape: tuple[int, ...], spacing: tuple[float, ...], axes: np.ndarray, origin: tuple[float, ...]) -> Grid:
    affine = np.eye(len(shape) + 1)
    affine[:-1, :-1] = axes * np.array(spacing)
    affine[:-1, -1] = origin
    return Grid.from_affine(shape, affine)


GRIDS = {
    "regular-3d": Grid.regular((26, 28, 30), 2.0),
    "anisotropic-3d": _grid((17, 30, 24), (4.0, 1.9, 2.2), np.fliplr(np.eye(3)), (-31.0, 12.5, 900.0)),
    "oblique-3d": _grid((25, 26, 27), (2.0, 2.3, 1.8), _OBLIQUE @ np.fliplr(np.eye(3)), (10.0, -40.0, 5.0)),
    "other-handed-3d": _grid((27, 25, 26), (2.0, 2.0, 2.0), _OBLIQUE @ np.diag([1.0, -1.0, 1.0]), (-5.0, 60.0, -8.0)),
    "mirrored-3d": _grid((26, 26, 26), (2.0, 2.1, 2.2), np.fliplr(np.diag([-1.0, 1.0, 1.0])), (25.0, -25.0, -25.0)),
    "regular-2d": Grid.regular((40, 44), 1.5),
    "oblique-2d": _grid((30, 48), (2.0, 1.2), _TURN @ np.fliplr(np.eye(2)), (100.0, -70.0)),
    "other-handed-2d": _grid((44, 40), (1.5, 1.5), _TURN, (-9.0, 4.0)),
}
"""By name: axis-aligned and oblique, both handednesses, isotropic and not, near the world's origin and far from it."""


@dataclass(frozen=True)
class Truth:
    """A map and its inverse as functions of points (..., d)."""

    points: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]

    def matrix(self, x: Tensor) -> Tensor:
        """The Jacobian (..., d, d) at x, by automatic differentiation."""
        flat = x.reshape(-1, x.shape[-1])
        return torch.func.vmap(torch.func.jacrev(self.points))(flat).reshape(*x.shape, x.shape[-1])

    def after(self, first: Truth) -> Truth:
        """This map applied after another."""
        return Truth(lambda x: self.points(first.points(x)), lambda y: first.inverse(self.inverse(y)))


def affine_truth(matrix: np.ndarray) -> Truth:
    """x -> A x + t of a homogeneous matrix."""
    forward, back = torch.as_tensor(matrix), torch.as_tensor(np.linalg.inv(matrix))
    return Truth(
        lambda x: x @ forward[:-1, :-1].T + forward[:-1, -1],
        lambda y: y @ back[:-1, :-1].T + back[:-1, -1],
    )


def affine_matrix(grid: Grid) -> np.ndarray:
    """A turn, shear, stretch and shift that leaves the middle of the grid about where it is."""
    linear = {
        2: np.array([[1.1, 0.2], [-0.1, 0.9]]),
        3: np.array([[1.05, 0.1, -0.08], [-0.12, 0.95, 0.05], [0.02, 0.07, 1.1]]),
    }[grid.dim]
    matrix = np.eye(grid.dim + 1)
    matrix[:-1, :-1] = linear
    matrix[:-1, -1] = grid.centre - linear @ grid.centre + np.array([1.5, -2.0, 0.7])[: grid.dim]
    return matrix


def radius_of(grid: Grid) -> float:
    """mm from the middle to the nearest face."""
    return 0.5 * min((n - 1) * h for n, h in zip(grid.shape, grid.spacing, strict=True))


@dataclass(frozen=True)
class Swirl:
    """A turn about ``centre`` (d,) mm by ``angle`` that fades out at ``radius`` mm: θ(|x - c|).

    velocity: v(x) = θ w × (x - c). Its flow keeps |x - c|, so that each point turns by its own constant angle: J = 1.
    """

    centre: Tensor
    radius: float
    angle: float

    def velocity(self, x: Tensor) -> Tensor:
        """v at points (..., d), mm."""
        return self._angle_at(x) * ((x - self.centre) @ _generator(len(self.centre)).T)

    def truth(self) -> Truth:
        """The flow over unit time."""
        return Truth(lambda x: self._turned(x, 1.0), lambda y: self._turned(y, -1.0))

    def _turned(self, x: Tensor, sign: float) -> Tensor:
        turn, theta = _generator(len(self.centre)), sign * self._angle_at(x)
        across = (x - self.centre) @ turn.T
        return x + torch.sin(theta) * across + (1 - torch.cos(theta)) * (across @ turn.T)  # Rodrigues

    def _angle_at(self, x: Tensor) -> Tensor:
        share = (((x - self.centre) ** 2).sum(dim=-1, keepdim=True) / self.radius**2).clamp(max=1)
        return self.angle * (1 - share) ** 3


def swirl_of(grid: Grid, angle: float, aside: float = 0.0) -> Swirl:
    """About the middle of the grid, or ``aside`` (a share of the room there is) of it, within its border."""
    room = radius_of(grid)
    centre = torch.as_tensor(grid.centre) + aside * room * torch.eye(grid.dim, dtype=torch.float64)[0]
    return Swirl(centre, room * (1 - abs(aside)), angle)


def swirl_velocity(grid: Grid, angle: float) -> Callable[[Tensor], Tensor]:
    """v of the swirl about the middle of the grid."""
    return swirl_of(grid, angle).velocity


def swirl(grid: Grid, angle: float) -> Truth:
    """The swirl about the middle of the grid."""
    return swirl_of(grid, angle).truth()


def _generator(dim: int) -> Tensor:
    """The matrix that takes the cross product with a unit axis."""
    if dim == 2:
        return torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    x, y, z = 2 / 3, -1 / 3, 2 / 3
    return torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)


def drawn(function: Callable[[Tensor], Tensor], grid: Grid) -> Tensor:
    """A vector function of points as (1, d, *shape) float32."""
    return function(grid.points(torch.float64)).movedim(-1, 0)[None].to(torch.float32)


def inside(grid: Grid, count: int = 500, margin: float = 0.0) -> Tensor:
    """Random points (count, d), float64, ``margin`` voxels or more inside the outermost voxel centres."""
    generator = torch.Generator().manual_seed(7)
    share = torch.rand(count, grid.dim, dtype=torch.float64, generator=generator)
    index = margin + share * (torch.tensor(grid.shape, dtype=torch.float64) - 1 - 2 * margin)
    return torch.as_tensor(grid.to_world(index.numpy()))
