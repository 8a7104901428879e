"""A rigid transform that lays points on a surface, from many starts at once.

    min over R, t   Σ_i w_i ρ_s(φ(R x_i + t)) ,   ρ_s(d) = d² / (d² + s²)   (Geman and McClure 1987)

with φ the signed distance to the surface. Points that belong to no part of it (another bone, a wrong outline) stop
pulling as s, which begins large, becomes small. Each step solves for the six numbers of a small rigid motion
(Gauss-Newton with the weights of the last distances), for all starts in one batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from regsuite.spatial import Grid
from regsuite.spatial.rigid import cross_matrices
from regsuite.spatial.sampling import sample

_SCALES = (20.0, 20.0, 14.0, 10.0, 7.0, 5.0, 3.5, 2.5, 2.5, 2.5)
"""s of the steps, mm."""
_REPEATS = 3
"""Steps at each scale."""
_DAMPING = 1e-3
"""Of the normal equations, as a share of their mean diagonal: keeps still what nothing pulls at."""
_SMOOTH = 0.7
"""σ of the smoothing of a region before its distances, voxels."""


@dataclass(frozen=True)
class Surface:
    """distance: (1, 4, *shape), the signed distance to a region's surface, mm, negative inside, and its gradient."""

    distance: Tensor
    grid: Grid

    @classmethod
    def of(cls, inside: Tensor, grid: Grid) -> Surface:
        """Of a region (*shape) bool; where the image's border cuts it there is no surface."""
        region = inside.cpu().numpy()
        margin = max(1, round(10.0 / min(grid.spacing)))
        padded = np.pad(region, margin, mode="edge")
        outside, within = (ndimage.distance_transform_edt(each, sampling=grid.spacing) for each in (~padded, padded))
        # The surface lies half a voxel before the nearest voxel of the other kind.
        signed = np.where(padded, -within, outside) + np.where(padded, 0.5, -0.5) * min(grid.spacing)
        signed = ndimage.gaussian_filter(signed, _SMOOTH)[tuple(slice(margin, -margin) for _ in region.shape)]
        distance = torch.from_numpy(signed.astype("float32")).to(inside.device)
        steps = torch.gradient(distance, spacing=list(grid.spacing))
        axes = torch.as_tensor(grid.direction, dtype=torch.float32, device=inside.device)
        gradient = torch.einsum("ra,a...->r...", axes, torch.stack(steps))
        return cls(torch.cat([distance[None], gradient])[None], grid)

    def at(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of points (*any, 3) RAS mm: distance (*any,), gradient (*any, 3), and whether they lie in the image."""
        values = sample(self.distance, self.grid, points)[0]
        index = torch.as_tensor(self.grid.to_index(points.detach().cpu().numpy()), device=points.device)
        last = torch.tensor(self.grid.shape, device=points.device) - 1
        within = ((index >= 0) & (index <= last)).all(dim=-1)
        return values[0], values[1:].movedim(0, -1), within


def fitted(points: Tensor, weights: Tensor, surface: Surface, starts: Tensor) -> tuple[Tensor, Tensor]:
    """Rigid transforms (S, 4, 4) from the points' space to the surface's, and what each leaves of Σ w ρ (S,), 0 to 1.

    points: (S, N, 3) mm, of each start its own; weights: (N,), sum 1; starts: (S, 4, 4). A point outside of the
    surface's image counts as one that is far from it.
    """
    poses = starts.to(points)
    for scale in (each for each in _SCALES for _ in range(_REPEATS)):
        moved = _moved(poses, points)
        distance, gradient, within = surface.at(moved)
        pull = weights * within * scale**2 / (distance.square() + scale**2).square()
        middle = moved.mean(dim=1, keepdim=True)
        jacobian = torch.cat([torch.linalg.cross(moved - middle, gradient), gradient], dim=-1)
        normal = torch.einsum("sn,sni,snj->sij", pull, jacobian, jacobian)
        damping = _DAMPING * normal.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None] + 1e-12
        right = torch.einsum("sn,sni->si", pull * distance, jacobian)
        step = -torch.linalg.solve(normal + damping * torch.eye(6).to(normal), right)
        poses = _stepped(poses, step, middle[:, 0])
    distance, _, within = surface.at(_moved(poses, points))
    lost = torch.where(within, distance.square() / (distance.square() + _SCALES[-1] ** 2), 1.0)
    return poses, (weights * lost).sum(dim=1)


def _moved(poses: Tensor, points: Tensor) -> Tensor:
    return points @ poses[:, :3, :3].transpose(1, 2) + poses[:, None, :3, 3]


def _stepped(poses: Tensor, step: Tensor, middle: Tensor) -> Tensor:
    """After small turns ``step[:, :3]`` (rad) about middles (S, 3), and shifts ``step[:, 3:]`` (mm)."""
    turn = torch.linalg.matrix_exp(cross_matrices(step[:, :3]))
    moved = torch.zeros_like(poses)
    moved[:, :3, :3] = turn
    moved[:, :3, 3] = middle - (turn @ middle[:, :, None])[:, :, 0] + step[:, 3:]
    moved[:, 3, 3] = 1
    return moved @ poses
