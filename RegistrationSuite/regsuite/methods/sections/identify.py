"""Which plate a section is: the encoder looks at it from all sides, and compares with what it knows of the atlas."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from regsuite.learning.encoder import TrainedEncoder
from regsuite.learning.training import plate_poses
from regsuite.methods.sections.prepared import Prepared
from regsuite.methods.sections.starts import Look, starts
from regsuite.methods.sections.views import TURNS, View, corrections, looked, turned_views

_SIZES = (0.5, 0.65, 0.8, 1.0, 1.2)
"""Of the tissue, in parts of the atlas's largest section, where no pixel size is known."""
_HANDICAP = 1.25
_LOOKED_AT_AGAIN = 6
_NEAR = 1.25
"""Pixels from the plate that a section is said to be, within which oblique ones count."""
_LIKELY = (0.02, 3.0)
"""Size of a section's picture in parts of an atlas's, within which a pixel size is believed."""


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
    first, said = looked(section, trained, views)
    handicaps = _handicaps(len(views))
    kept = (_nearest(first, known) * handicaps).argsort()[:_LOOKED_AT_AGAIN]
    again = views[kept] @ corrections(said[kept], pixel_known)
    second, said_again = looked(section, trained, again)
    views, embeddings, said = (
        torch.cat([one[kept], other]) for one, other in ((views, again), (first, second), (said, said_again))
    )
    order = (_nearest(embeddings, known) * handicaps[kept].repeat(2)).argsort()
    looks = [Look(views[n], said[n], torch.cdist(embeddings[n][None], known)[0]) for n in order]
    best = embeddings[order[0]][None]
    return Identified(
        torch.cdist(best, trained.plates.cpu())[0],
        View(looks[0].view, pixel_known),
        starts(looks, poses, trained.anatomy, parallel),
    )


def _views(section: Prepared, trained: TrainedEncoder, pixel_known: bool) -> Tensor:
    """(V, 4, 4): turned about the middle of the tissue, at one size or several."""
    largest = max(trained.anatomy.plates.extent[:2])
    sizes = [1.0] if pixel_known else [max(section.size()) / (part * largest) for part in _SIZES]
    return torch.cat([turned_views(section, size) for size in sizes])


def _handicaps(count: int) -> Tensor:
    """(V,): what a distance is multiplied by: most sections lie upright, and another turn has to be clearly nearer."""
    turns = torch.arange(count) % TURNS
    upright = (turns <= 1) | (turns == TURNS - 1)
    return torch.where(upright, 1.0, _HANDICAP)


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
        close = away <= max(_NEAR * trained.anatomy.pixel, float(away.min()) + 1e-6)
        flat, oblique = (flat[0][near : near + 1], flat[1][near : near + 1]), (oblique[0][close], oblique[1][close])
    return flat if parallel else (torch.cat([flat[0], oblique[0]]), torch.cat([flat[1], oblique[1]]))


def aligned(section: Prepared, trained: TrainedEncoder, view: View, poses: Tensor) -> tuple[Tensor, Tensor]:
    """Of the section as it lies at poses (B, 9): distances to every plate (B, N), and to the atlas as it is cut there
    (B,)."""
    plates = trained.anatomy.plates
    planes = plate_poses(poses)
    within = torch.linalg.inv(plates.matrices(planes)) @ plates.matrices(poses)
    embeddings, _ = looked(section, trained, view.placed @ torch.linalg.inv(within))
    known, _ = trained.look(trained.anatomy.plate_pictures(planes))
    return torch.cdist(embeddings, trained.plates.cpu()), (embeddings - known.cpu()).norm(dim=1)
