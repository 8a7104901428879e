"""How the slices stand around their axis, and roughly where the bone in them is in the volume.

Silhouettes alone say which arrangements are likely (:mod:`regsuite.solvers.arranging`). Each of them is laid on the
volume's bone by its outlines, from all turns about the axis and both ways along it
(:mod:`regsuite.solvers.contour_fit`): that tells the object from its mirror image, and likely arrangements apart. Then
each slice is compared with what the volume would show at every place of the fan, which shows up a slice that does not
belong where it was put; places are given out anew (an assignment, Kuhn 1955) until nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from regsuite.losses.mutual_information import mutual_informations
from regsuite.methods.radial.prepared import Slices, Volume
from regsuite.progress import Progress
from regsuite.solvers.arranging import arranged
from regsuite.solvers.contour_fit import fitted
from regsuite.solvers.emulation import emulator
from regsuite.spatial.radial import Arrangement

_LIKELY = 8
"""Arrangements that are laid on the bone; each comes with its mirror image."""
_COARSE = 1.2
"""mm a pixel, of silhouettes that are compared with each other."""
_EMULATED = 3.6
"""mm a pixel, of slices that are compared with the volume."""
_ROUNDS = 4


@dataclass(frozen=True)
class Placed:
    """How slices lie in the volume.

    arrangement; pose: (4, 4) float64 from the fan's frame to the volume's RAS mm; unlike: what the fit of outlines
    leaves, 0 to 1; next: the same of the best of the other arrangements; swapped: how many slices the volume moved to
    other places.
    """

    arrangement: Arrangement
    pose: Tensor
    unlike: float
    next: float
    swapped: int = 0

    @property
    def planes(self) -> Tensor:
        """(K, 4, 4) float64: from a slice's (right, down, across) mm to the volume's RAS mm."""
        return self.pose @ self.arrangement.planes()


def arrange(slices: Slices, volume: Volume, frame: Tensor, progress: Progress) -> Placed:
    """frame: (4, 4), where headers put the fan, in the volume's RAS mm."""
    small = slices.coarser(_COARSE)
    likely = [each.arrangement for each in arranged(small.silhouettes, (small.pixel, small.pixel), _LIKELY)]
    progress.step(0.3, "laying the outlines on the bone")
    placed = _laid(slices, volume, frame, likely)
    progress.step(0.7, "comparing each slice with every place")
    return _agreed(slices, volume, placed, progress)


def laid(slices: Slices, volume: Volume, frame: Tensor, arrangement: Arrangement) -> Placed:
    """By the outlines of an arrangement that is known."""
    return _laid(slices, volume, frame, [arrangement])


def _laid(slices: Slices, volume: Volume, frame: Tensor, likely: list[Arrangement]) -> Placed:
    points, weights = slices.outlines()
    turns = _turns(slices.count)
    fans = torch.stack([_in_fan(points, each) for each in likely])
    fans = fans.repeat_interleave(len(turns), dim=0).float()
    starts = (frame @ turns).repeat(len(likely), 1, 1).float()
    poses, costs = fitted(fans, (weights / slices.count).flatten(), volume.surface, starts)
    costs = costs.reshape(len(likely), len(turns))
    best = int(costs.min(dim=1)[0].argmin())
    turn = int(costs[best].argmin())
    others = [float(costs[row].min()) for row in range(len(likely)) if row != best]
    pose = _orthonormal(poses[best * len(turns) + turn].double())
    return Placed(likely[best], pose, float(costs[best, turn]), min(others, default=math.inf))


def _in_fan(points: Tensor, arrangement: Arrangement) -> Tensor:
    """(K N, 3): points of slices (K, N, 3) in the fan's frame."""
    planes = arrangement.planes()
    return (points @ planes[:, :3, :3].transpose(1, 2) + planes[:, None, :3, 3]).flatten(0, 1)


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


def _agreed(slices: Slices, volume: Volume, placed: Placed, progress: Progress) -> Placed:
    small = slices.coarser(_EMULATED)
    shown = emulator(
        volume.picture, volume.grid, tuple(small.pictures.shape[2:]), small.pixel, slices.thickness, small.pixel
    )
    swapped = 0
    for _ in range(_ROUNDS):
        progress.check()
        arrangement = _assigned(small, lambda planes: shown(planes.float()), placed.pose)
        if arrangement.is_like(placed.arrangement):
            break
        swapped += _moved(placed.arrangement, arrangement)
        found = _laid_from(slices, volume, placed.pose, arrangement)
        placed = replace(placed, arrangement=arrangement, pose=found.pose, unlike=found.unlike)
    return replace(placed, swapped=swapped)


def _laid_from(slices: Slices, volume: Volume, pose: Tensor, arrangement: Arrangement) -> Placed:
    points, weights = slices.outlines()
    fan = _in_fan(points, arrangement)[None].float()
    poses, costs = fitted(fan, (weights / slices.count).flatten(), volume.surface, pose[None].float())
    return Placed(arrangement, _orthonormal(poses[0].double()), float(costs[0]), math.inf)


def _assigned(slices: Slices, shown: Callable[[Tensor], tuple[Tensor, Tensor]], pose: Tensor) -> Arrangement:
    """Every slice to the place where the volume is most like it, all to different ones."""
    count = slices.count
    flips = [(bool(flip & 1), bool(flip & 2)) for flip in range(4)]
    ways = [Arrangement(tuple(range(count)), (one,) * count, (other,) * count).planes() for one, other in flips]
    pictures, within = shown(pose @ torch.cat(ways))
    unlike = torch.stack(
        [mutual_informations(each.expand_as(pictures), within)(pictures) for each in slices.pictures[:, None]]
    ).reshape(count, len(flips), count)
    best, flip = unlike.min(dim=1)
    rows, places = linear_sum_assignment(best.cpu().numpy())
    chosen = [flips[int(flip[row, place])] for row, place in zip(rows, places, strict=True)]
    return Arrangement(
        tuple(int(place) for place in places), tuple(one for one, _ in chosen), tuple(other for _, other in chosen)
    )


def _moved(before: Arrangement, after: Arrangement) -> int:
    """How many slices stand differently, the two being in one frame."""
    return int(((before.planes() - after.planes()).abs().amax(dim=(1, 2)) > 1e-6).sum())
