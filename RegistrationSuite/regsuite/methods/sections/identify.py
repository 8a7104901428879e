"""Which plate a section is: the encoder looks at it from all sides, and compares with what it knows of the atlas."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regsuite.learning.encoder import TrainedEncoder
from regsuite.methods.sections.prepared import Prepared, shown_at
from regsuite.spatial.plates import POSE

TURNS = 12
"""Angles a section is looked at from, all around."""
_SIZES = (0.5, 0.65, 0.8, 1.0, 1.2)
"""Of the tissue, in parts of the atlas's largest section, where no pixel size is known."""
_HANDICAP = 1.25
_LOOKED_AT_AGAIN = 6
_STARTS, _APART = 10, 2.5
"""Poses to start from, and how far apart in depth, pixels of the encoder's pictures."""
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
    known = _known(trained, parallel, plate)
    nearest, said = _seen(section, trained, views, known)
    nearest = nearest * _handicaps(len(views))
    kept = nearest.argsort()[:_LOOKED_AT_AGAIN]
    again = views[kept] @ _corrections(said[kept], pixel_known)
    both = torch.cat([views[kept], again])
    nearest, said = _seen(section, trained, both, known)
    nearest = nearest * _handicaps(len(views))[kept].repeat(2)
    best = int(nearest.argmin())
    view = both[best]
    embedding, said = _looked(section, trained, view[None])
    distances = torch.cdist(embedding, trained.plates)[0]
    starts = _starts(embedding, said, distances, trained, parallel)
    return Identified(distances.cpu(), View(view, pixel_known), starts.cpu())


def _views(section: Prepared, trained: TrainedEncoder, pixel_known: bool) -> Tensor:
    """(V, 4, 4): turned about the middle of the tissue, at one size or several."""
    largest = max(trained.anatomy.plates.extent[:2])
    sizes = [1.0] if pixel_known else [max(section.size()) / (part * largest) for part in _SIZES]
    found = []
    for size in sizes:
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
    device = trained.plates.device
    return trained.look(shown_at(section, views, trained.anatomy.points().cpu()).to(device))


def _known(trained: TrainedEncoder, parallel: bool, plate: float) -> Tensor:
    """(K, 64): embeddings of what the section may be."""
    plates = trained.anatomy.plates
    if plate:
        near = min(max(round(plate), 1), plates.count) - 1
        away = (trained.gallery_poses[:, 0] - plates.depths()[near]).abs()
        oblique = trained.gallery[away <= max(_APART * trained.anatomy.pixel / 2, float(away.min()) + 1e-6)]
        return torch.cat([trained.plates[near : near + 1], oblique[: 0 if parallel else None]])
    return trained.plates if parallel else torch.cat([trained.plates, trained.gallery])


def _seen(section: Prepared, trained: TrainedEncoder, views: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """(V,) how near each view comes to what is known, and (V, 7) what is said of their poses."""
    embeddings, said = _looked(section, trained, views)
    return torch.cdist(embeddings, known).amin(dim=1).cpu(), said.cpu()


def _corrections(said: Tensor, pixel_known: bool) -> Tensor:
    """(V, 4, 4) from a plane that stands right to the one that was looked at: the inverse of what is said of it."""
    scale = torch.zeros_like(said[:, 4]) if pixel_known else said[:, 4]
    cos, sin = torch.cos(said[:, 3]), torch.sin(said[:, 3])
    forth = torch.eye(4).repeat(len(said), 1, 1)
    forth[:, :2, :2] = torch.exp(scale)[:, None, None] * torch.stack([cos, -sin, sin, cos], 1).reshape(-1, 2, 2)
    forth[:, :2, 3] = said[:, 5:7]
    return torch.linalg.inv(forth)


def _starts(embedding: Tensor, said: Tensor, distances: Tensor, trained: TrainedEncoder, parallel: bool) -> Tensor:
    """(K, 9): what the encoder says itself, then the nearest plates and oblique plates, none near another."""
    plates = trained.anatomy.plates
    half = float(plates.extent[2]) / 2
    heard = torch.zeros(1, len(POSE)).to(said)
    heard[0, :3] = said[0, :3]
    heard[0, 0] = heard[0, 0].clamp(-half, half)
    if parallel:
        heard[0, 1:3] = 0
    known, away = plates.poses().to(said), distances
    if not parallel:
        known = torch.cat([trained.gallery_poses, known])
        away = torch.cat([torch.cdist(embedding, trained.gallery)[0], away])
    apart = max(_APART * trained.anatomy.pixel, plates.spacing)
    chosen = heard
    for pose in known[away.argsort()]:
        if len(chosen) == _STARTS:
            break
        if float((chosen[:, 0] - pose[0]).abs().min()) >= apart:
            chosen = torch.cat([chosen, pose[None]])
    return chosen
