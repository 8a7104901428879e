"""The plates of a volume, and every other plane a flat section may be cut in.

A pose has nine numbers: depth (mm along the plates' axis, from the middle of the volume), pitch and yaw (rad, turns of
the plane about its horizontal and its vertical line), rotation (rad, in the plane), the logarithms of the horizontal
and the vertical scale, shear, and a shift along the plane's two lines (mm).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from regsuite.spatial.grid import Grid
from regsuite.spatial.sampling import Mode, sample

Axis = Literal["coronal", "sagittal", "horizontal"]

POSE = ("depth", "pitch", "yaw", "rotation", "scale_x", "scale_y", "shear", "shift_x", "shift_y")
"""The numbers of a pose, in their order."""

_PLATES = 132

_L, _P, _R, _S, _I = np.array([[-1, 0, 0], [0, -1, 0], [1, 0, 0], [0, 0, 1], [0, 0, -1]], dtype=np.float64)
_FRAMES = {"coronal": (_L, _I, _P), "sagittal": (_P, _I, _R), "horizontal": (_L, _P, _S)}


@dataclass(frozen=True)
class Plates:
    """Parallel planes through a volume, numbered from the front (left, bottom) on and drawn as Slicer's views are.

    grid: the volume's, 3D; spacing: mm between two plates.
    """

    grid: Grid
    axis: Axis
    spacing: float

    @property
    def frame(self) -> np.ndarray:
        """(3, 3): columns are the RAS directions of a plate's right, its bottom, and the next plate."""
        return np.stack(_FRAMES[self.axis], axis=1)

    @property
    def extent(self) -> np.ndarray:
        """(3,) mm along the frame's directions, to the outer faces of the voxels."""
        corners = self.grid.padded((1, 1, 1)).corners() @ self.frame
        rim = np.abs(self.frame.T @ np.asarray(self.grid.direction)) @ np.asarray(self.grid.spacing)
        return corners.max(axis=0) - corners.min(axis=0) - rim

    @property
    def count(self) -> int:
        """How many plates there are."""
        return max(1, int(np.floor(self.extent[2] / self.spacing + 1e-6)))

    def depths(self) -> Tensor:
        """(count,) mm from the middle of the volume, float64."""
        return (torch.arange(self.count, dtype=torch.float64) - (self.count - 1) / 2) * self.spacing

    def number(self, depth: float) -> float:
        """The plate, counted from 0 and with a fraction between two of them, that lies at this depth."""
        return depth / self.spacing + (self.count - 1) / 2

    def poses(self) -> Tensor:
        """(count, 9), of the plates themselves."""
        return torch.cat([self.depths()[:, None], torch.zeros(self.count, len(POSE) - 1, dtype=torch.float64)], dim=1)

    def matrices(self, poses: Tensor) -> Tensor:
        """(B, 4, 4): from a plane's (right, bottom, next) mm to RAS mm, of poses (B, 9); differentiable."""
        linear = _turned(poses) @ _within(poses)
        shift = torch.cat([poses[:, 7:9], torch.zeros_like(poses[:, :1])], dim=1)
        place = (_turned(poses) @ shift[:, :, None])[:, :, 0]
        frame = torch.as_tensor(self.frame, dtype=poses.dtype, device=poses.device)
        centre = torch.as_tensor(self.grid.centre, dtype=poses.dtype, device=poses.device)
        depth = torch.cat([torch.zeros_like(poses[:, :2]), poses[:, :1]], dim=1)
        offset = (place + depth) @ frame.T + centre
        upper = torch.cat([frame @ linear, offset[:, :, None]], dim=2)
        last = torch.zeros_like(upper[:, :1])
        last[:, :, 3] = 1
        return torch.cat([upper, last], dim=1)

    def pose_of(self, matrix: Tensor) -> Tensor:
        """(9,) float64: the pose whose plane, right and bottom a (4, 4) matrix has; the inverse of :meth:`matrices`.

        ValueError where the plane is mirrored, or stands across the plates.
        """
        local = torch.as_tensor(self.frame.T, dtype=torch.float64) @ matrix[:3, :3].to(torch.float64)
        normal = torch.linalg.cross(local[:, 0], local[:, 1])
        normal = normal / normal.norm()
        if float(normal[2]) <= 0:
            raise ValueError("the plane is seen from behind or stands across the plates")
        pitch = torch.atan2(-normal[1], torch.hypot(normal[0], normal[2]))
        yaw = torch.atan2(normal[0], normal[2])
        turned = _turned(torch.stack([pitch.new_zeros(()), pitch, yaw, *[pitch.new_zeros(())] * 6])[None])[0]
        flat = turned.T @ local
        rotation = torch.atan2(flat[1, 0], flat[0, 0])
        cos, sin = torch.cos(rotation), torch.sin(rotation)
        scale_x = torch.hypot(flat[0, 0], flat[1, 0])
        across, scale_y = cos * flat[0, 1] + sin * flat[1, 1], cos * flat[1, 1] - sin * flat[0, 1]
        centre = torch.as_tensor(self.grid.centre, dtype=torch.float64)
        place = torch.as_tensor(self.frame.T, dtype=torch.float64) @ (matrix[:3, 3].to(torch.float64) - centre)
        depth = (place @ normal) / normal[2]
        shift = turned.T @ (place - depth * torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
        shear = across / scale_y
        return torch.stack([depth, pitch, yaw, rotation, scale_x.log(), scale_y.log(), shear, shift[0], shift[1]])


def plates_of(grid: Grid, axis: Axis, spacing: float = 0.0) -> Plates:
    """Those of a volume; spacing: mm, or 0 for 132 of them, as the Allen atlas has, but no closer than its voxels."""
    plates = Plates(grid, axis, 1.0)
    across = np.abs(np.asarray(grid.direction).T @ plates.frame[:, 2])
    finest = float(across @ np.asarray(grid.spacing))
    return Plates(grid, axis, spacing or max(float(plates.extent[2]) / _PLATES, finest))


def _turned(poses: Tensor) -> Tensor:
    """(B, 3, 3): yaw about the vertical after pitch about the horizontal line."""
    (cp, sp), (cy, sy) = ((torch.cos(angle), torch.sin(angle)) for angle in (poses[:, 1], poses[:, 2]))
    zero = torch.zeros_like(cp)
    rows = [cy, sy * sp, sy * cp, zero, cp, -sp, -sy, cy * sp, cy * cp]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def _within(poses: Tensor) -> Tensor:
    """(B, 3, 3): rotation after shear after scales, in the plane."""
    cos, sin = torch.cos(poses[:, 3]), torch.sin(poses[:, 3])
    x, y, shear = torch.exp(poses[:, 4]), torch.exp(poses[:, 5]), poses[:, 6]
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    rows = [cos * x, (cos * shear - sin) * y, zero, sin * x, (sin * shear + cos) * y, zero, zero, zero, one]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def flat_points(shape: tuple[int, int], spacing: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """(H, W, 3): a picture's pixel centres (right, bottom, 0) mm from its middle."""
    rows, columns = ((torch.arange(n, dtype=dtype) - (n - 1) / 2) * spacing for n in shape)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)], dim=-1)


def cut(data: Tensor, grid: Grid, matrices: Tensor, points: Tensor, mode: Mode = "linear") -> Tensor:
    """(B, C, H, W): what a volume (1, C, *shape) shows in planes; beyond its border it is 0.

    matrices: (B, 4, 4) to RAS mm, as :meth:`Plates.matrices` gives them; points: (H, W, 3) or (B, H, W, 3) mm in the
    planes. Differentiable in both.
    """
    flat = points.expand(len(matrices), *points.shape[-3:])
    there = torch.einsum("bij,bhwj->bhwi", matrices[:, :3, :3].to(flat), flat) + matrices[:, None, None, :3, 3].to(flat)
    return sample(data, grid, there, mode, "zeros")[0].movedim(0, 1)
