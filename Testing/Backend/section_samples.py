"""The phantom's brain, and an encoder that sees without having learned: its embedding is the picture itself, coarse."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
import torch
from regsuite.learning.anatomy import Anatomy
from regsuite.learning.checkpoint import Checkpoint
from regsuite.learning.encoder import TrainedEncoder, gallery_poses
from regsuite.learning.pictures import stretched
from regsuite.methods.sections import pose
from regsuite.networks.extraction import TissueExtractor
from regsuite.networks.siamese import SliceEncoder
from regsuite.phantoms.atlas import AtlasCase, atlas_case
from regsuite.spatial.plates import POSE, Plates
from torch import Tensor
from torch.nn import functional

MARGIN = 0.3
LAYERS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


class Seeing(TrainedEncoder):
    """Says nothing of poses, and takes all for tissue."""

    def look(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return seen(pictures), torch.zeros(len(pictures), 7)

    def extract(self, pictures: Tensor) -> Tensor:
        return torch.ones_like(pictures)


def seen(pictures: Tensor) -> Tensor:
    """Embeddings (B, 108) of length 1 of pictures (B, 1, H, W)."""
    small = functional.adaptive_avg_pool2d(stretched(pictures), (9, 12)).flatten(1)
    return functional.normalize(small - small.mean(dim=1, keepdim=True), dim=1)


@cache
def seeing() -> Seeing:
    """Of that brain; it gives every plate odds of exp(3)."""
    return seeing_along(brain().plates)


def seeing_along(plates: Plates) -> Seeing:
    """The same of other plates."""
    case = brain()
    anatomy = Anatomy.of(case.template, case.labels, plates)
    poses = gallery_poses(anatomy)
    weights = torch.zeros(10)
    weights[0], weights[7:] = 3.0, 1.0
    return Seeing(
        SliceEncoder(),
        TissueExtractor(),
        anatomy,
        plates=seen(anatomy.plate_pictures(plates.poses().float())),
        gallery=seen(anatomy.plate_pictures(poses)),
        gallery_poses=poses,
        sureness=weights,
        card={"training": {"margin": MARGIN}, "validation": {"extraction_dice": 1.0}},
    )


@cache
def brain() -> AtlasCase:
    return atlas_case(spacing=0.25, plate_spacing=0.5)


def pose_of(**numbers: float) -> np.ndarray:
    """(9,): zeros but for the numbers named."""
    return np.array([numbers.get(name, 0.0) for name in POSE])


def nothing_learned() -> Checkpoint:
    return Checkpoint({}, {"method": "atlas-encoder"})


def imagenet(name: str) -> dict[str, Tensor]:
    """Random weights with the names and shapes of torchvision's ResNets (He et al. 2016, table 1)."""
    expansion = 4 if name == "resnet50" else 1
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7), **norm("bn1", 64)}
    came = 64
    for stage, (count, width) in enumerate(zip(LAYERS[name], (64, 128, 256, 512), strict=True), start=1):
        for block in range(count):
            at, out = f"layer{stage}.{block}", width * expansion
            widths = (came, width, width, out) if expansion == 4 else (came, width, width)
            sides = (1, 3, 1) if expansion == 4 else (3, 3)
            for number, ((before, after), side) in enumerate(zip(itertools.pairwise(widths), sides, strict=True), 1):
                shapes |= {f"{at}.conv{number}.weight": (after, before, side, side), **norm(f"{at}.bn{number}", after)}
            if block == 0 and came != out:
                shapes |= {f"{at}.downsample.0.weight": (out, came, 1, 1), **norm(f"{at}.downsample.1", out)}
            came = out
    shapes |= {"fc.weight": (1000, came), "fc.bias": (1000,)}
    generator = torch.Generator().manual_seed(0)
    return {key: torch.rand(shape, generator=generator) for key, shape in shapes.items()}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (width,) for part in parts} | {f"{name}.num_batches_tracked": ()}


def hurried(patch: pytest.MonkeyPatch, iterations: int) -> None:
    """Slices the atlas from few starts, for so many iterations a round."""
    patch.setattr(pose, "_FIRST", ((2.7, 0, 8, 0.2),))
    for name, kept in (("_ROUNDS", 2), ("_FEWER", 1)):
        patch.setattr(pose, name, ((2.7, iterations, kept, 0.2),))
    patch.setattr(pose, "_MIDDLE", (2.7, iterations, 0.01))
    patch.setattr(pose, "_FINE", (1.35, iterations, 0.0))
