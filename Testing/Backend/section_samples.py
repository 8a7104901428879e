"""The phantom's brain, and an encoder that sees without having learned: its embedding is the picture itself, coarse."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from regsuite.learning.anatomy import Anatomy
from regsuite.learning.checkpoint import Checkpoint
from regsuite.learning.encoder import TrainedEncoder, gallery_poses
from regsuite.learning.pictures import stretched
from regsuite.networks.siamese import SliceEncoder
from regsuite.phantoms.atlas import AtlasCase, atlas_case
from regsuite.spatial.plates import POSE
from torch import Tensor
from torch.nn import functional

MARGIN = 0.3


class Seeing(TrainedEncoder):
    """Says nothing of poses."""

    def look(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return seen(pictures), torch.zeros(len(pictures), 7)


def seen(pictures: Tensor) -> Tensor:
    """Embeddings (B, 108) of length 1 of pictures (B, 1, H, W)."""
    small = functional.adaptive_avg_pool2d(stretched(pictures), (9, 12)).flatten(1)
    return functional.normalize(small - small.mean(dim=1, keepdim=True), dim=1)


@cache
def seeing() -> Seeing:
    """Of that brain; it gives every plate odds of exp(3)."""
    case = brain()
    anatomy = Anatomy.of(case.template, case.labels, case.plates)
    poses = gallery_poses(anatomy)
    weights = torch.zeros(10)
    weights[0], weights[7:] = 3.0, 1.0
    return Seeing(
        SliceEncoder(),
        anatomy,
        plates=seen(anatomy.plate_pictures(case.plates.poses().float())),
        gallery=seen(anatomy.plate_pictures(poses)),
        gallery_poses=poses,
        sureness=weights,
        card={"training": {"margin": MARGIN}},
    )


@cache
def brain() -> AtlasCase:
    return atlas_case(spacing=0.25, plate_spacing=0.5)


def pose_of(**numbers: float) -> np.ndarray:
    """(9,): zeros but for the numbers named."""
    return np.array([numbers.get(name, 0.0) for name in POSE])


def nothing_learned() -> Checkpoint:
    return Checkpoint({}, {"method": "atlas-encoder"})
