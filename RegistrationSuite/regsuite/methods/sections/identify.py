"""Which plate a section is: the encoder looks at it from all sides, and compares with what it knows of the atlas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regsuite.learning.anatomy import Anatomy
from regsuite.learning.encoder import TrainedEncoder
from regsuite.learning.training import plate_poses
from regsuite.methods.sections.prepared import Prepared, shown_at
from regsuite.spatial.plates import POSE

TURNS = 12
"""Angles a section is looked at from, all around."""
_SIZES = (0.5, 0.65, 0.8, 1.0, 1.2)
"""Of the tissue, in parts of the atlas's largest section, where no pixel size is known."""
_HANDICAP = 1.25
_LOOKED_AT_AGAIN = 6
_STARTS, _APART = (8, 3), 2.5
"""Known poses to start from, of the best view and of each other one, and how far apart in depth, pixels of the
encoder's pictures."""
_EVERY, _BESIDE = 5.0, 0.15
"""Where all of the atlas is searched: pixels between depths, and how far beside the tissue's middle that of the plate
is looked for, in parts of the atlas's size: a part of a section, or more than one, has another."""
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1))
_STRAIGHT = ((0.0, 0.0),)
_TILTS = (*_STRAIGHT, (10.0, 0.0), (-10.0, 0.0), (0.0, 10.0), (0.0, -10.0))
"""Degrees of pitch and yaw."""
_DIFFERENT = torch.tensor([1.5, 1, 1, 0.2, 0.15, 1, 1, 1, 1])
"""Pixels of depth, rad, and logarithm of the scale by which two starts differ at least."""
_LIKELY = (0.02, 3.0)
"""Size of a section's picture in parts of an atlas's, within which a pixel size is believed."""


@dataclass(frozen=True)
class View:
    """placed: (4, 4) from a plane's (right, bottom, next) mm to the section's flat mm; pixel_known: whether
    the picture's size is the section's own."""

    placed: Tensor
    pixel_known: bool

    @property
    def turn(self) -> float:
        """Degrees, -180 to 180, by which the picture has to be turned clockwise to stand as the plates do."""
        return math.degrees(math.atan2(-float(self.placed[1, 0]), float(self.placed[0, 0])))

    @property
    def scale(self) -> float:
        """The section's own mm to a mm of the atlas."""
        return float(torch.linalg.det(self.placed[:2, :2]).abs().sqrt())


@dataclass(frozen=True)
class Identified:
    """distances: (N,) of the section's embedding to every plate's; view: how the section was looked at;
    starts: (K, 9), poses in that view to start from, the likeliest first."""

    distances: Tensor
    view: View
    starts: Tensor

    @property
    def order(self) -> Tensor:
        """(N,): plates, the nearest first."""
        return torch.argsort(self.distances, stable=True)


def pixel_is_known(section: Prepared, trained: TrainedEncoder) -> bool:
    """Whether the user gave its size, or the section's own geometry can be one of this atlas's size."""
    share = max(section.picture.shape[2:]) * section.pixel / float(max(trained.anatomy.plates.extent[:2]))
    tissue = max(section.size()) / float(max(trained.anatomy.plates.extent[:2]))
    return section.sized or (_LIKELY[0] < tissue < 1.6 and share < _LIKELY[1] * 4)


def identify(
    section: Prepared, trained: TrainedEncoder, pixel_known: bool, parallel: bool = False, plate: float = 0.0
) -> Identified:
    """Of a section, its pixel size known or not; parallel: not cut at an angle; plate: counted from 1, the one it is
    said to be, so that only the view is looked for; 0 where none is."""
    views = _views(section, trained, pixel_known)
    known, poses = _known(trained, parallel, plate)
    first, said = _looked(section, trained, views)
    handicaps = _handicaps(len(views))
    kept = (_nearest(first, known) * handicaps).argsort()[:_LOOKED_AT_AGAIN]
    again = views[kept] @ _corrections(said[kept], pixel_known)
    second, said_again = _looked(section, trained, again)
    views, embeddings, said = (
        torch.cat([one[kept], other]) for one, other in ((views, again), (first, second), (said, said_again))
    )
    order = (_nearest(embeddings, known) * handicaps[kept].repeat(2)).argsort()
    looks = [_Look(views[n], said[n], torch.cdist(embeddings[n][None], known)[0]) for n in order]
    best = embeddings[order[0]][None]
    return Identified(
        torch.cdist(best, trained.plates.cpu())[0],
        View(looks[0].view, pixel_known),
        _starts(looks, poses, trained.anatomy, parallel),
    )


def _views(section: Prepared, trained: TrainedEncoder, pixel_known: bool) -> Tensor:
    """(V, 4, 4): turned about the middle of the tissue, at one size or several."""
    largest = max(trained.anatomy.plates.extent[:2])
    sizes = [1.0] if pixel_known else [max(section.size()) / (part * largest) for part in _SIZES]
    return torch.cat([_turned_views(section, size) for size in sizes])


def _turned_views(section: Prepared, size: float) -> Tensor:
    """(TURNS, 4, 4): all around the middle of the tissue, a mm of the atlas being ``size`` mm."""
    found = []
    for turn in range(TURNS):
        angle = 2 * math.pi * turn / TURNS
        placed = np.eye(4)
        placed[:2, :2] = size * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        placed[:2, 3] = section.middle()
        found.append(placed)
    return torch.tensor(np.stack(found), dtype=torch.float32)


def _handicaps(count: int) -> Tensor:
    """(V,): what a distance is multiplied by: most sections lie upright, and another turn has to be clearly nearer."""
    turns = torch.arange(count) % TURNS
    upright = (turns <= 1) | (turns == TURNS - 1)
    return torch.where(upright, 1.0, _HANDICAP)


def _looked(section: Prepared, trained: TrainedEncoder, views: Tensor) -> tuple[Tensor, Tensor]:
    """(V, 64) and (V, 7): embeddings of the views, and what is said of their poses."""
    device = trained.plates.device
    embeddings, said = trained.look(shown_at(section, views, trained.anatomy.points().cpu()).to(device))
    return embeddings.cpu(), said.cpu()


def _nearest(embeddings: Tensor, known: Tensor) -> Tensor:
    """(V,): how near each comes to what is known."""
    return torch.cdist(embeddings, known).amin(dim=1)


def _known(trained: TrainedEncoder, parallel: bool, plate: float) -> tuple[Tensor, Tensor]:
    """(K, 64) and (K, 9): embeddings of what the section may be, and their poses."""
    plates = trained.anatomy.plates
    flat, oblique = (trained.plates.cpu(), plates.poses().float()), (trained.gallery.cpu(), trained.gallery_poses.cpu())
    if plate:
        near = min(max(round(plate), 1), plates.count) - 1
        away = (oblique[1][:, 0] - plates.depths()[near]).abs()
        close = away <= max(_APART * trained.anatomy.pixel / 2, float(away.min()) + 1e-6)
        flat, oblique = (flat[0][near : near + 1], flat[1][near : near + 1]), (oblique[0][close], oblique[1][close])
    return flat if parallel else (torch.cat([flat[0], oblique[0]]), torch.cat([flat[1], oblique[1]]))


def _corrections(said: Tensor, pixel_known: bool) -> Tensor:
    """(V, 4, 4) from a plane that stands right to the one that was looked at: the inverse of what is said of it."""
    scale = torch.zeros_like(said[:, 4]) if pixel_known else said[:, 4]
    cos, sin = torch.cos(said[:, 3]), torch.sin(said[:, 3])
    forth = torch.eye(4).repeat(len(said), 1, 1)
    forth[:, :2, :2] = torch.exp(scale)[:, None, None] * torch.stack([cos, -sin, sin, cos], 1).reshape(-1, 2, 2)
    forth[:, :2, 3] = said[:, 5:7]
    return torch.linalg.inv(forth)


# --- poses to start from ---


@dataclass(frozen=True)
class _Look:
    """view: (4, 4); said: (7,) of its pose; away: (K,) from what is known."""

    view: Tensor
    said: Tensor
    away: Tensor


def _starts(looks: Sequence[_Look], poses: Tensor, anatomy: Anatomy, parallel: bool) -> Tensor:
    """(S, 9), in the first view: what the encoder says of each view, and known poses (K, 9) it is near to."""
    chosen, markers = list[Tensor](), list[Tensor]()
    for place, look in enumerate(looks):
        turned = torch.linalg.inv(look.view) @ looks[0].view
        heard = _heard(look.said, anatomy, parallel)
        for pose in [heard, *_apart(poses[look.away.argsort()], _STARTS[min(place, 1)], anatomy)]:
            in_first = anatomy.plates.pose_of(anatomy.plates.matrices(pose[None])[0] @ turned).float()
            marker = in_first / _DIFFERENT * torch.tensor([1 / anatomy.pixel, 0, 0, 1, 1, 0, 0, 0, 0])
            if all(float((marker - other).abs().max()) > 1 for other in markers):
                chosen.append(in_first)
                markers.append(marker)
    return torch.stack(chosen)


def everywhere(section: Prepared, trained: TrainedEncoder, view: View, parallel: bool) -> Tensor:
    """(S, 9), in that view: poses all over the atlas, at all turns, beside the tissue's middle too, and tilted."""
    anatomy = trained.anatomy
    half = float(anatomy.plates.extent[2]) / 2
    depths = torch.linspace(-half, half, max(2, round(2 * half / (_EVERY * anatomy.pixel))) + 1)[1:-1]
    turned = _turned_views(section, 1.0 if view.pixel_known else view.scale)
    _, said = _looked(section, trained, turned)
    views = torch.cat([turned, turned @ _corrections(said, pixel_known=True)])
    starts = [_in_view(views, view, anatomy, tilt) for tilt in (_STRAIGHT if parallel else _TILTS)]
    starts += [_in_view(turned @ _moved(side, anatomy), view, anatomy, (0.0, 0.0)) for side in _SIDES]
    flat = torch.cat(starts).repeat_interleave(len(depths), dim=0)
    flat[:, 0] += depths.repeat(len(flat) // len(depths))
    return flat


def _in_view(views: Tensor, view: View, anatomy: Anatomy, tilt: tuple[float, float]) -> Tensor:
    """(V, 9), in ``view``: the middle of the atlas, cut at pitch and yaw (degrees), as it lies in views (V, 4, 4)."""
    pose = torch.zeros(1, len(POSE))
    pose[0, 1:3] = torch.deg2rad(torch.tensor(tilt))
    plane = anatomy.plates.matrices(pose)[0]
    return torch.stack([anatomy.plates.pose_of(plane @ torch.linalg.inv(each) @ view.placed) for each in views]).float()


def _moved(side: tuple[int, int], anatomy: Anatomy) -> Tensor:
    """(4, 4): beside where a view was."""
    moved = torch.eye(4)
    moved[:2, 3] = _BESIDE * float(max(anatomy.plates.extent[:2])) * torch.tensor(side)
    return moved


def _heard(said: Tensor, anatomy: Anatomy, parallel: bool) -> Tensor:
    """(9,): depth and angles as the encoder says them."""
    half = float(anatomy.plates.extent[2]) / 2
    pose = torch.zeros(len(POSE))
    pose[:3] = said[:3] * torch.tensor([1.0, not parallel, not parallel])
    pose[0] = pose[0].clamp(-half, half)
    return pose


def _apart(poses: Tensor, count: int, anatomy: Anatomy) -> list[Tensor]:
    """The first so many of poses (K, 9) none of which is near another in depth."""
    apart, chosen = max(_APART * anatomy.pixel, anatomy.plates.spacing), list[Tensor]()
    for pose in poses:
        if len(chosen) == count:
            break
        if all(abs(float(other[0] - pose[0])) >= apart for other in chosen):
            chosen.append(pose)
    return chosen


def aligned(section: Prepared, trained: TrainedEncoder, view: View, poses: Tensor) -> tuple[Tensor, Tensor]:
    """Of the section as it lies at poses (B, 9): distances to every plate (B, N), and to the atlas as it is cut there
    (B,)."""
    plates = trained.anatomy.plates
    planes = plate_poses(poses)
    within = torch.linalg.inv(plates.matrices(planes)) @ plates.matrices(poses)
    embeddings, _ = _looked(section, trained, view.placed @ torch.linalg.inv(within))
    known, _ = trained.look(trained.anatomy.plate_pictures(planes))
    return torch.cdist(embeddings, trained.plates.cpu()), (embeddings - known.cpu()).norm(dim=1)
