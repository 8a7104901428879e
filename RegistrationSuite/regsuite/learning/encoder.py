"""A trained encoder with what it knows of its atlas: embeddings of plates, an extractor of its tissue, how sure to be
of a plate, and a card."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regsuite.errors import InputError
from regsuite.learning.anatomy import Anatomy
from regsuite.learning.checkpoint import Checkpoint
from regsuite.learning.pictures import evened
from regsuite.learning.training import scales
from regsuite.networks.extraction import TissueExtractor
from regsuite.networks.siamese import SliceEncoder
from regsuite.spatial import Image, LabelImage
from regsuite.spatial.plates import POSE, Plates

METHOD = "atlas-encoder"
_ENCODER, _EXTRACTOR = "encoder.", "extractor."
_KNOWN = ("plates", "gallery", "gallery_poses", "sureness")
_TILTS = (-16.0, -8.0, 0.0, 8.0, 16.0)
"""Degrees, of the oblique plates that are known."""
_APART = 2.5
"""Pixels between two depths of oblique plates."""
_TOGETHER = 64


@dataclass(frozen=True)
class TrainedEncoder:
    """extractor: tells the atlas's tissue on a picture; plates: (N, 64), of the atlas's plates; gallery: (M, 64),
    of oblique ones at gallery_poses (M, 9); sureness: weights of :mod:`regsuite.methods.sections.sureness`."""

    encoder: SliceEncoder
    extractor: TissueExtractor
    anatomy: Anatomy
    plates: Tensor
    gallery: Tensor
    gallery_poses: Tensor
    sureness: Tensor
    card: Mapping[str, Any]

    @torch.no_grad()
    def look(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (B, 64) of pictures (B, 1, H, W) of any brightness, and what the encoder says of their poses,
        (B, 7) as :func:`regsuite.learning.training.said` has them."""
        parts = [self.encoder(evened(part)) for part in pictures.split(_TOGETHER)]
        embeddings, posed = (torch.cat(each) for each in zip(*parts, strict=True))
        return embeddings, posed * scales(self.anatomy).to(posed)

    @torch.no_grad()
    def extract(self, pictures: Tensor) -> Tensor:
        """(B, 1, H, W) between 0 and 1: whether pictures (B, 1, H, W) show the atlas's tissue."""
        return self.extractor(evened(pictures)).sigmoid()

    def checkpoint(self) -> Checkpoint:
        """What :func:`encoder_of` takes."""
        networks = {_ENCODER: self.encoder, _EXTRACTOR: self.extractor}
        weights = {
            prefix + name: value for prefix, network in networks.items() for name, value in network.state_dict().items()
        }
        return Checkpoint(weights | {name: getattr(self, name) for name in _KNOWN}, self.card)


def gallery_poses(anatomy: Anatomy) -> Tensor:
    """(M, 9): depths over the whole atlas, each at all tilts."""
    half = float(anatomy.plates.extent[2]) / 2
    count = max(2, int(2 * half / (_APART * anatomy.pixel)))
    depths = torch.linspace(-half, half, count)
    angles = torch.deg2rad(torch.tensor(_TILTS))
    grid = torch.stack(torch.meshgrid(depths, angles, angles, indexing="ij"), dim=-1).reshape(-1, 3)
    return torch.cat([grid, torch.zeros(len(grid), len(POSE) - 3)], dim=1)


@torch.no_grad()
def embedded(encoder: SliceEncoder, anatomy: Anatomy, poses: Tensor) -> Tensor:
    """(B, 64): of what the atlas's template shows at poses (B, 9)."""
    parts = poses.split(_TOGETHER)
    return torch.cat([encoder(evened(anatomy.plate_pictures(part)))[0] for part in parts])


def encoder_of(
    checkpoint: Checkpoint, template: Image, labels: LabelImage | None, device: str
) -> tuple[TrainedEncoder, list[str]]:
    """What a checkpoint holds, ready to look, and what to know of it.

    InputError where it is of another method or atlas.
    """
    card = checkpoint.card
    if card.get("method") != METHOD:
        raise InputError(f"The checkpoint was made by '{card.get('method')}' and not by '{METHOD}': give another.")
    missing = {"atlas", "axis", "spacing", "backbone", "training"} - card.keys()
    if missing:
        raise InputError(f"The encoder's card lacks {', '.join(sorted(missing))}: train it or get it again.")
    if card["atlas"]["template"] != fingerprint(template):
        size = " x ".join(str(n) for n in reversed(card["atlas"]["shape"]))
        raise InputError(
            f"The encoder was trained on another atlas ('{card['atlas']['name']}', {size} voxels): give the atlas it "
            "was trained on, or train one on this."
        )
    if not extractor_weights(checkpoint):
        raise InputError(
            "The encoder is of an earlier version, which did not tell the atlas's tissue from skull: train it again; "
            "the training may go on from this file."
        )
    notes = []
    if labels is not None and card["atlas"]["labels"] not in ("", fingerprint(labels)):
        notes.append("The annotation is not the one the encoder was trained with: regions are those that were given.")
    try:
        encoder, extractor = SliceEncoder(card["backbone"]), TissueExtractor()
        encoder.load_state_dict(encoder_weights(checkpoint))
        extractor.load_state_dict(extractor_weights(checkpoint))
        known = {name: checkpoint.weights[name] for name in _KNOWN}
        plates = Plates(template.grid, card["axis"], float(card["spacing"]))
    except (KeyError, RuntimeError, ValueError, TypeError):
        raise InputError("The encoder's weights are not as its card says: train it or get it again.") from None
    anatomy = Anatomy.of(template, labels, plates, device)
    return TrainedEncoder(
        encoder.to(device).eval(),
        extractor.to(device).eval(),
        anatomy,
        **{name: value.to(device) for name, value in known.items()},
        card=card,
    ), notes


def encoder_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Those of the encoder, by its own names; none where the checkpoint is of something else."""
    return _under(_ENCODER, checkpoint)


def extractor_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Those of the extractor of tissue."""
    return _under(_EXTRACTOR, checkpoint)


def _under(prefix: str, checkpoint: Checkpoint) -> dict[str, Tensor]:
    weights = checkpoint.weights.items()
    return {name.removeprefix(prefix): value for name, value in weights if name.startswith(prefix)}


def fingerprint(volume: Image | LabelImage) -> str:
    """What tells one volume from another, wherever it was read from."""
    place = np.round(volume.grid.affine, 3) + 0.0
    dtype = np.float32 if isinstance(volume, Image) else np.int32
    content = np.ascontiguousarray(volume.array(), dtype=dtype)
    return hashlib.sha256(str(volume.grid.shape).encode() + place.tobytes() + content.tobytes()).hexdigest()
