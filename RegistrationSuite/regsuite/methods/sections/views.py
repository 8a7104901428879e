"""How a section is looked at: turned and sized, as a plate of the atlas would be drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regsuite.learning.encoder import TrainedEncoder
from regsuite.methods.sections.prepared import Prepared, shown_at

TURNS = 12
"""Angles a section is looked at from, all around."""


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


def turned_views(section: Prepared, size: float) -> Tensor:
    """(TURNS, 4, 4): all around the middle of the tissue, a mm of the atlas being ``size`` mm."""
    found = []
    for turn in range(TURNS):
        angle = 2 * math.pi * turn / TURNS
        placed = np.eye(4)
        placed[:2, :2] = size * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        placed[:2, 3] = section.middle()
        found.append(placed)
    return torch.tensor(np.stack(found), dtype=torch.float32)


def looked(section: Prepared, trained: TrainedEncoder, views: Tensor) -> tuple[Tensor, Tensor]:
    """(V, 64) and (V, 7): embeddings of the views, and what is said of their poses."""
    device = trained.plates.device
    embeddings, said = trained.look(shown_at(section, views, trained.anatomy.points().cpu()).to(device))
    return embeddings.cpu(), said.cpu()


def corrections(said: Tensor, pixel_known: bool) -> Tensor:
    """(V, 4, 4) from a plane that stands right to the one that was looked at: the inverse of what is said of it."""
    scale = torch.zeros_like(said[:, 4]) if pixel_known else said[:, 4]
    cos, sin = torch.cos(said[:, 3]), torch.sin(said[:, 3])
    forth = torch.eye(4).repeat(len(said), 1, 1)
    forth[:, :2, :2] = torch.exp(scale)[:, None, None] * torch.stack([cos, -sin, sin, cos], 1).reshape(-1, 2, 2)
    forth[:, :2, 3] = said[:, 5:7]
    return torch.linalg.inv(forth)
