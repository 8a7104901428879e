"""Poses to start slicing from: those the encoder names, and others all over the atlas, for it may be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regsuite.learning.anatomy import Anatomy
from regsuite.learning.encoder import TrainedEncoder
from regsuite.methods.sections.prepared import Prepared
from regsuite.methods.sections.views import View, corrections, looked, turned_views
from regsuite.spatial.plates import POSE

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


@dataclass(frozen=True)
class Look:
    """view: (4, 4); said: (7,) of its pose; away: (K,) from what is known."""

    view: Tensor
    said: Tensor
    away: Tensor


def starts(looks: Sequence[Look], poses: Tensor, anatomy: Anatomy, parallel: bool) -> Tensor:
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
    turned = turned_views(section, 1.0 if view.pixel_known else view.scale)
    _, said = looked(section, trained, turned)
    views = torch.cat([turned, turned @ corrections(said, pixel_known=True)])
    found = [_in_view(views, view, anatomy, tilt) for tilt in (_STRAIGHT if parallel else _TILTS)]
    found += [_in_view(turned @ _moved(side, anatomy), view, anatomy, (0.0, 0.0)) for side in _SIDES]
    flat = torch.cat(found).repeat_interleave(len(depths), dim=0)
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
