"""An encoder, and an extractor of tissue, trained on sections that are made as it goes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from monai.losses import DiceCELoss
from torch import Tensor, nn
from torch.nn import functional

from regsuite.learning.anatomy import Anatomy
from regsuite.learning.pictures import evened
from regsuite.learning.synthesis import laid, random_poses, random_sections
from regsuite.losses.embedding import Name, embedding_loss
from regsuite.networks.extraction import TissueExtractor
from regsuite.networks.siamese import SliceEncoder
from regsuite.spatial.plates import POSE

_WARM_UP = 100
_HARD_AFTER = 0.35
"""Share of the training after which sections are as hard as they get."""
_LAST_RATE = 0.005
_CLIP = 5.0
_DECAY = 1e-4
_POSE_WEIGHT = 0.15
"""Of the pose's loss, whose unit is about what can be seen, beside the embedding's."""
_HEADS = 0.6
"""Share of the extractor's sections that show what is around the tissue."""
_TURN, _SIZE, _APART = math.pi, 0.25, 2.0
"""How much more its sections are turned (rad), resized (logarithm) and shifted (times), for it comes first."""


@dataclass(frozen=True)
class Settings:
    """iterations: at most; minutes: at most, 0 for no limit; batch: sections an iteration, two of each of its planes;
    rate: Adam's; margin, reach: see :mod:`regsuite.losses.embedding`, reach in mm."""

    loss: Name = "neighbours"
    iterations: int = 8000
    minutes: float = 0.0
    batch: int = 64
    rate: float = 2e-3
    margin: float = 0.7
    reach: float = 0.12


def scales(anatomy: Anatomy) -> Tensor:
    """(7,): what the pose head counts depth, pitch, yaw, rotation, scale and the shifts in: each about as much as can
    be seen."""
    length = 2.5 * anatomy.pixel
    return torch.tensor([length, 0.05, 0.05, 0.05, 0.03, length, length])


def said(poses: Tensor) -> Tensor:
    """(B, 7): what the pose head is to say of poses (B, 9): one scale, and no shear."""
    scale = poses[:, [4, 5]].mean(dim=1, keepdim=True)
    return torch.cat([poses[:, :4], scale, poses[:, 7:]], dim=1)


def gaps(one: Tensor, other: Tensor, anatomy: Anatomy) -> Tensor:
    """(A, B) mm: root mean square distance between the planes of poses (A, 9) and (B, 9) over an atlas's box."""
    width, height = anatomy.plates.extent[:2]
    spread = torch.tensor([1.0, height / math.sqrt(12), width / math.sqrt(12)]).to(one)
    return torch.cdist(one[:, :3] * spread, other[:, :3] * spread)


def train(
    encoder: SliceEncoder,
    extractor: TissueExtractor,
    anatomy: Anatomy,
    settings: Settings,
    tell: Callable[[int, float, Mapping[str, float]], None],
) -> int:
    """Train both in place; the iterations that were made.

    tell: is told, after each iteration, its number, the share of the work done, and the losses by name; what it raises
    ends the training.
    """
    device = anatomy.template.device
    networks = nn.ModuleList([encoder, extractor])
    networks.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(networks.parameters(), lr=settings.rate, weight_decay=_DECAY)
    units, started, made = scales(anatomy).to(device), time.monotonic(), 0
    while made < settings.iterations:
        share = _share(made, started, settings)
        if share >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * _rate(made, share)
        hardness = min(1.0, 0.25 + share / _HARD_AFTER)
        losses = _losses(encoder, anatomy, settings, units, hardness)
        losses["extraction"] = _extraction_loss(extractor, anatomy, settings.batch // 2, hardness)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        for network in networks:
            torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
        optimiser.step()
        made += 1
        tell(made, share, {name: value.item() for name, value in losses.items()})
    networks.eval()
    return made


def _share(made: int, started: float, settings: Settings) -> float:
    """Of the work that is done, by iterations or by the clock."""
    by_clock = (time.monotonic() - started) / (60 * settings.minutes) if settings.minutes else 0.0
    return max(made / settings.iterations, by_clock)


def _rate(made: int, share: float) -> float:
    return min(1.0, made / _WARM_UP) * (0.5 * (1 + math.cos(math.pi * share)) + _LAST_RATE)


def _losses(
    encoder: SliceEncoder, anatomy: Anatomy, settings: Settings, units: Tensor, hardness: float
) -> dict[str, Tensor]:
    """Of a new batch: of its embeddings, and of the poses the encoder says."""
    device = anatomy.template.device
    with torch.no_grad():
        planes = random_poses(anatomy, settings.batch // 2, hardness)
        poses = torch.cat([planes, laid(planes, anatomy, hardness)]).to(device)
        sections = random_sections(anatomy, poses, hardness).pictures
        plates = anatomy.plate_pictures(plate_poses(planes))
        pictures = torch.cat([evened(sections), evened(plates)]).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=uses_bfloat16(device)):
        embeddings, posed = encoder(pictures)
    seen, known = embeddings.float().split([len(poses), len(planes)])
    away = gaps(poses, planes.to(device), anatomy)
    embedded = embedding_loss(settings.loss, torch.cdist(seen, known), away, settings.margin, settings.reach)
    pose = functional.smooth_l1_loss(posed[: len(poses)].float(), said(poses) / units)
    return {"embedding": embedded, "pose": _POSE_WEIGHT * pose}


def _extraction_loss(extractor: TissueExtractor, anatomy: Anatomy, batch: int, hardness: float) -> Tensor:
    """Of a new batch: Dice and cross-entropy of what is tissue (MONAI's DiceCELoss)."""
    device = anatomy.template.device
    with torch.no_grad():
        sections = random_sections(anatomy, any_poses(anatomy, batch, hardness).to(device), hardness, _HEADS)
        pictures = evened(sections.pictures).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=uses_bfloat16(device)):
        logits = extractor(pictures)
    return DiceCELoss(sigmoid=True)(logits.float(), sections.tissue)


def any_poses(anatomy: Anatomy, count: int, hardness: float) -> Tensor:
    """(count, 9): as an extractor sees sections, turned any way and far from the middle."""
    poses = random_poses(anatomy, count, hardness, together=1)
    poses[:, POSE.index("rotation")] = (torch.rand(count) * 2 - 1) * _TURN
    poses[:, 4:6] += (torch.rand(count, 1) * 2 - 1) * _SIZE
    poses[:, 7:] *= _APART
    return poses


def plate_poses(poses: Tensor) -> Tensor:
    """Poses (B, 9) with their depth and tilt alone: as the plates of an atlas are drawn."""
    kept = torch.zeros_like(poses)
    kept[:, : POSE.index("rotation")] = poses[:, : POSE.index("rotation")]
    return kept


def uses_bfloat16(device: torch.device) -> bool:
    """Whether training gains by half precision here: on a GPU, and on a CPU that multiplies matrices of it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
