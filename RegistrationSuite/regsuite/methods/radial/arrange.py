"""How the slices stand around their axis, and roughly where the bone in them is in the volume.

Silhouettes alone say which arrangements are likely (:mod:`regsuite.solvers.arranging`). Each of them is laid on the
volume's bone by its outlines, from all turns about the axis and both ways along it
(:mod:`regsuite.solvers.contour_fit`): that tells the object from its mirror image, and likely arrangements apart. Then
each slice is compared with what the volume would show at every place of the fan, which shows up a slice that does not
belong where it was put; places are given out anew (an assignment, Kuhn 1955) until nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation
from torch import Tensor

from regsuite.losses.mutual_information import mutual_informations
from regsuite.methods.radial.prepared import Slices, Volume
from regsuite.progress import Progress
from regsuite.solvers.arranging import arranged
from regsuite.solvers.contour_fit import fitted
from regsuite.solvers.emulation import Emulator, emulator
from regsuite.spatial.radial import Arrangement
from regsuite.spatial.rigid import rigid_moves

_LIKELY = 8
"""Arrangements that are laid on the bone, mirror images among them."""
_COARSE = 1.2
"""mm a pixel, of silhouettes that are compared with each other."""
_EMULATED = 3.6
"""mm a pixel, of slices that are compared with the volume."""
_ROUNDS = 4
_TILTS = (-25.0, 0.0, 25.0)
"""Degrees, about each axis, of the starts of slices in known planes."""


@dataclass(frozen=True)
class Placed:
    """How slices lie in the volume.

    nominal: (K, 4, 4) float64, from a slice's (right, down, across) mm to the scanner's RAS mm, as planned; pose:
    (4, 4) float64, from the scanner's to the volume's RAS mm; arrangement: None where headers tell of any planes;
    unlike: what the fit of outlines leaves, 0 to 1; next: the same of the best of the other arrangements, infinite
    where none was tried.
    """

    nominal: Tensor
    pose: Tensor
    arrangement: Arrangement | None
    unlike: float
    next: float = math.inf

    @property
    def planes(self) -> Tensor:
        """(K, 4, 4) float64: from a slice's (right, down, across) mm to the volume's RAS mm."""
        return self.pose @ self.nominal

    @property
    def middle(self) -> Tensor:
        """(4, 4) float64: what the search turns about; the fan's frame where there is one, in the volume's RAS mm."""
        if self.arrangement is not None:
            return self.planes[0] @ torch.linalg.inv(self.arrangement.planes()[0])
        middle = torch.eye(4, dtype=torch.float64)
        middle[:3, 3] = self.planes[:, :3, 3].mean(dim=0)
        return middle


def arrange(slices: Slices, volume: Volume, frame: Tensor, progress: Progress) -> Placed:
    """frame: (4, 4), of the fan, where headers put it."""
    small = slices.coarser(_COARSE)
    likely = [each.arrangement for each in arranged(small.silhouettes, (small.pixel, small.pixel), _LIKELY)]
    progress.step(0.3, "laying the outlines on the bone")
    placed = laid_around(slices, volume, frame, likely)
    progress.step(0.7, "comparing each slice with every place")
    return _agreed(slices, volume, frame, placed, progress)


def laid_around(slices: Slices, volume: Volume, frame: Tensor, likely: Sequence[Arrangement]) -> Placed:
    """By the outlines of the best of some arrangements, turned any way about the axis, and along it."""
    turns = _turns(slices.count)
    nominal = torch.stack([frame @ turn @ each.planes() for each in likely for turn in turns])
    # What a turn of the fan does is part of the arrangement, so that the pose stays a small one.
    poses, costs = _fitted(slices, volume, nominal, torch.eye(4, dtype=torch.float64))
    best = int(costs.argmin())
    own = best // len(turns)
    others = [float(cost) for row, cost in enumerate(costs) if row // len(turns) != own]
    arrangement = Arrangement.of(torch.linalg.inv(frame) @ nominal[best])
    return Placed(nominal[best], poses[best], arrangement, float(costs[best]), min(others, default=math.inf))


def laid(slices: Slices, volume: Volume, nominal: Tensor) -> Placed:
    """By the outlines of slices in planes that are known, from starts that are turned to all sides."""
    middle = torch.eye(4, dtype=torch.float64)
    middle[:3, 3] = nominal[:, :3, 3].mean(dim=0)
    turns = torch.deg2rad(torch.cartesian_prod(*[torch.tensor(_TILTS, dtype=torch.float64)] * 3))
    starts = rigid_moves(torch.cat([turns, torch.zeros_like(turns)], dim=1), middle)
    poses, costs = _fitted(slices, volume, nominal.expand(len(starts), -1, -1, -1), starts)
    best = int(costs.argmin())
    return Placed(nominal, poses[best], None, float(costs[best]))


def mirrored(slices: Slices, volume: Volume, placed: Placed) -> float:
    """What the fit of the slices' mirror image leaves: less than their own where they are of the other side."""
    about = torch.eye(4, dtype=torch.float64)
    about[:3, 3] = placed.nominal[:, :3, 3].mean(dim=0)
    mirror = about @ torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=torch.float64)) @ torch.linalg.inv(about)
    turns = torch.eye(4, dtype=torch.float64).repeat(24, 1, 1)
    turns[:, :3, :3] = torch.from_numpy(Rotation.create_group("O").as_matrix())
    starts = placed.pose @ about @ turns @ torch.linalg.inv(about)
    _, costs = _fitted(slices, volume, (mirror @ placed.nominal).expand(len(starts), -1, -1, -1), starts)
    return float(costs.min())


def _fitted(slices: Slices, volume: Volume, nominal: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    """Poses (S, 4, 4) float64 of slices in planes (S, K, 4, 4), and what is left (S,)."""
    points, weights = slices.outlines()
    there = points @ nominal[..., :3, :3].transpose(-1, -2) + nominal[..., None, :3, 3]
    share = (weights / slices.count).flatten()
    starts = starts.expand(len(nominal), 4, 4)
    poses, costs = fitted(there.flatten(1, 2).float(), share, volume.surface, starts.float())
    return torch.stack([_orthonormal(pose.double()) for pose in poses]), costs


def _turns(count: int) -> Tensor:
    """(4K, 4, 4): the fan turned about its axis from place to place, and turned over."""
    angles = torch.arange(2 * count, dtype=torch.float64) * math.pi / count
    about = torch.eye(4, dtype=torch.float64).repeat(2 * count, 1, 1)
    about[:, 0, 0], about[:, 0, 1] = torch.cos(angles), -torch.sin(angles)
    about[:, 1, 0], about[:, 1, 1] = torch.sin(angles), torch.cos(angles)
    over = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
    return torch.cat([about, about @ over])


def _orthonormal(pose: Tensor) -> Tensor:
    """Without what rounding adds to a rotation."""
    u, _, v = torch.linalg.svd(pose[:3, :3])
    exact = pose.clone()
    exact[:3, :3] = u @ v
    return exact


def _agreed(slices: Slices, volume: Volume, frame: Tensor, placed: Placed, progress: Progress) -> Placed:
    small = slices.coarser(_EMULATED)
    shape = (small.pictures.shape[2], small.pictures.shape[3])
    shown = emulator(volume.picture, volume.grid, shape, small.pixel, slices.thickness, small.pixel)
    for _ in range(_ROUNDS):
        progress.check()
        arrangement = _assigned(small, shown, placed.pose @ frame)
        if arrangement == placed.arrangement:
            break
        nominal = frame @ arrangement.planes()
        poses, costs = _fitted(slices, volume, nominal[None], placed.pose)
        another = min(placed.next, placed.unlike)
        placed = Placed(nominal, poses[0], arrangement, float(costs[0]), another)
    return placed


def _assigned(slices: Slices, shown: Emulator, pose: Tensor) -> Arrangement:
    """Every slice to the place where the volume is most like it, all to different ones. pose: of the fan's frame."""
    count = slices.count
    flips = [(bool(flip & 1), bool(flip & 2)) for flip in range(4)]
    ways = [Arrangement(tuple(range(count)), (one,) * count, (other,) * count).planes() for one, other in flips]
    pictures, within = shown((pose @ torch.cat(ways)).float())
    unlike = torch.stack(
        [mutual_informations(each.expand_as(pictures), within)(pictures) for each in slices.pictures[:, None]]
    ).reshape(count, len(flips), count)
    best, flip = unlike.min(dim=1)
    rows, places = linear_sum_assignment(best.cpu().numpy())
    chosen = [flips[int(flip[row, place])] for row, place in zip(rows, places, strict=True)]
    return Arrangement(
        tuple(int(place) for place in places), tuple(one for one, _ in chosen), tuple(other for _, other in chosen)
    )
