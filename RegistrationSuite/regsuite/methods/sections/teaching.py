"""An encoder trained on an atlas, tried on sections it has not seen, and made to know how sure it may be."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
import torch
from torch import Tensor

import regsuite
from regsuite.catalog.sections import EncoderParameters
from regsuite.errors import InputError
from regsuite.io.sections import section_grid
from regsuite.learning.anatomy import Anatomy
from regsuite.learning.checkpoint import Checkpoint
from regsuite.learning.encoder import (
    METHOD,
    TrainedEncoder,
    embedded,
    encoder_weights,
    extractor_weights,
    fingerprint,
    gallery_poses,
)
from regsuite.learning.synthesis import random_poses, random_sections
from regsuite.learning.training import Settings, any_poses, train
from regsuite.methods.sections.annotation import annotated, check_brightness, check_place
from regsuite.methods.sections.extraction import extracted, is_trusted
from regsuite.methods.sections.identify import identify
from regsuite.methods.sections.locate import located
from regsuite.methods.sections.prepared import prepared
from regsuite.methods.sections.sureness import WITHIN, evidence, fitted
from regsuite.networks.extraction import TissueExtractor
from regsuite.networks.siamese import OF_TORCHVISION, Backbone, SliceEncoder
from regsuite.progress import Context, Progress
from regsuite.registration import Curve, Table, Training
from regsuite.spatial import Image, LabelImage
from regsuite.spatial.plates import Plates, plates_of

_TRIED = 240
"""Sections the encoder is tried on."""
_POSED, _STRANGE = 60, 24
"""Of them, those on which a whole run is tried, and pictures that are none."""
_TRIED_IN_HEADS = 120
"""Sections with what is around the tissue, on which its extraction is tried."""
_WHOLE = 0.8
"""Share of what the template shows that an annotation of the whole organ covers, if no head is around it."""
_CURVE_EVERY = 20
_FEWEST = 8
"""Plates below which there is nothing to tell apart."""
_REACH = 0.8
"""Of a picture's pixel: how far plates are taken for neighbours, or the plates' spacing where that is larger."""
_OTHERS = " or ".join([", ".join(OF_TORCHVISION[:-1]), OF_TORCHVISION[-1]])


def training(inputs: Mapping[str, Any], parameters: EncoderParameters, context: Context) -> Training:
    """Of atlas-encoder."""
    template, labels = inputs["moving"], inputs.get("moving_labels")
    assert isinstance(template, Image)
    weights = inputs.get("weights")
    assert labels is None or isinstance(labels, LabelImage)
    assert weights is None or isinstance(weights, Checkpoint)
    if labels is not None:
        check_brightness(template, labels)
    plates = _plates(template, parameters)
    encoder, extractor = _started(parameters.backbone, weights, context)  # type: ignore[arg-type]
    anatomy = Anatomy.of(template, labels, plates, context.device)
    if labels is not None:
        check_place(anatomy)
    settings = Settings(
        loss=parameters.loss,  # type: ignore[arg-type]
        iterations=parameters.iterations,
        minutes=parameters.minutes,
        batch=parameters.batch,
        rate=parameters.rate,
        margin=parameters.margin,
        reach=max(plates.spacing, _REACH * anatomy.pixel),
    )
    curve = Curve(x_title="iteration", y_title="loss")
    made = train(encoder, extractor, anatomy, settings, _Teller(context, curve, settings))
    context.progress.step(0.93, "embedding the atlas")
    known = _known(encoder, extractor, anatomy, parameters.margin)
    context.progress.step(0.96, "trying the encoder")
    trial = _Trial(known, parameters.margin, context.progress)
    card = _card(template, labels, plates, parameters, made, trial, anatomy)
    if weights is not None:
        card["training"]["weights"] = weights.card.get("file", "")
    known = replace(known, sureness=trial.sureness, card=card)
    result = Training(checkpoint=known.checkpoint(), metrics=trial.metrics())
    result.curves["training"] = curve
    result.tables["validation"] = trial.table()
    if trial.metrics()["top_5"] < 0.8:
        result.notes.append(
            f"Of sections made of the atlas {trial.metrics()['top_5']:.0%} have their plate among the first five: more "
            "iterations would help."
        )
    if not is_trusted(known):
        result.notes.append(
            f"Tissue is told from what is around it with a Dice of {trial.overlap:.2f}, which is not enough to be "
            "used: more iterations would help. Sections are compared with all they show."
        )
    elif labels is not None and annotated(anatomy) < _WHOLE:
        result.notes.append(
            f"The annotation covers {annotated(anatomy):.0%} of what the template shows, and only that is taken for "
            "the atlas's tissue. If it is a part of the organ, identify sections with Extraction 'none'."
        )
    return result


def _started(backbone: Backbone, weights: Checkpoint | None, context: Context) -> tuple[SliceEncoder, TissueExtractor]:
    """Networks of random weights, or such as start from those that were given. InputError where they do not fit."""
    encoder, extractor = SliceEncoder(backbone), TissueExtractor()
    if weights is None:
        return encoder, extractor
    if encoder_weights(weights):
        return _gone_on(encoder, extractor, weights, context)
    if backbone not in OF_TORCHVISION:
        raise InputError(
            f"The network '{backbone}' has no starting weights: choose {_OTHERS} as network, whichever the weights are "
            "of, or leave them out."
        )
    try:
        taken = encoder.take_imagenet(weights.weights)
    except ValueError:
        raise InputError(
            f"The starting weights are not those of '{backbone}', as torchvision has it: give those, or choose the one "
            f"of {_OTHERS} that they are of as network."
        ) from None
    context.progress.log(f"{backbone} starts from the {taken} tensors of '{weights.card.get('file', 'weights')}'")
    return encoder, extractor


def _gone_on(
    encoder: SliceEncoder, extractor: TissueExtractor, weights: Checkpoint, context: Context
) -> tuple[SliceEncoder, TissueExtractor]:
    """As networks were when their training ended. InputError where they were others."""
    earlier = extractor_weights(weights)
    try:
        encoder.load_state_dict(encoder_weights(weights))
        extractor.load_state_dict(earlier or extractor.state_dict())
    except RuntimeError:
        raise InputError(
            f"The starting weights are of an encoder with another network than '{encoder.backbone}': choose the one it "
            "was trained with."
        ) from None
    context.progress.log(f"training goes on from the encoder '{weights.card.get('file', 'weights')}'")
    if not earlier:
        context.progress.log("it holds no extractor of tissue: that one is trained from the start")
    return encoder, extractor


def _plates(template: Image, parameters: EncoderParameters) -> Plates:
    plates = plates_of(template.grid, parameters.axis, parameters.spacing)  # type: ignore[arg-type]
    if plates.count < _FEWEST:
        raise InputError(
            f"The atlas has {plates.count} plates {plates.spacing:g} mm apart, too few to tell apart: lower the "
            "spacing."
        )
    return plates


class _Teller:
    """Progress, and points of the curve."""

    def __init__(self, context: Context, curve: Curve, settings: Settings) -> None:
        self.progress, self.curve, self.settings = context.progress, curve, settings
        self.sums: Counter[str] = Counter()

    def __call__(self, made: int, share: float, losses: Mapping[str, float]) -> None:
        self.progress.step(0.92 * share, f"training, iteration {made}")
        self.sums.update(losses)  # a Counter adds numbers of any kind up
        if made % _CURVE_EVERY == 0:
            means = {name: total / _CURVE_EVERY for name, total in self.sums.items()}
            self.sums.clear()
            self.curve.add(made, **means)
            self.progress.curve("training", made, **means)


def _known(encoder: SliceEncoder, extractor: TissueExtractor, anatomy: Anatomy, margin: float) -> TrainedEncoder:
    """With little of a card, and not yet sure of anything."""
    poses = gallery_poses(anatomy)
    return TrainedEncoder(
        encoder,
        extractor,
        anatomy,
        plates=embedded(encoder, anatomy, anatomy.plates.poses().float()),
        gallery=embedded(encoder, anatomy, poses),
        gallery_poses=poses,
        sureness=torch.zeros(10),
        card={"training": {"margin": margin}},
    )


class _Trial:
    """How the encoder does on sections made of the atlas, half of them oblique, and on what is none of its sections."""

    def __init__(self, known: TrainedEncoder, margin: float, progress: Progress) -> None:
        self.anatomy, self.progress = known.anatomy, progress
        poses = random_poses(self.anatomy, _TRIED, 1.0, together=1)
        poses[: _TRIED // 2, 1:3] = 0
        sections = random_sections(self.anatomy, poses, 1.0).pictures
        embeddings, said = known.look(sections)
        self.distances = torch.cdist(embeddings, known.plates).cpu()
        self.truth = torch.tensor([self.anatomy.plates.number(float(pose[0])) for pose in poses])
        place = self.truth.round().long().clamp(0, self.anatomy.plates.count - 1)
        order = self.distances.argsort(dim=1)
        self.ranks = (order == place[:, None]).float().argmax(dim=1)
        self.depth_error = (said[:, 0].cpu() - poses[:, 0]).abs()
        self.overlap = self._overlap(known)
        known = replace(known, card={**known.card, "validation": {"extraction_dice": self.overlap}})
        self.sureness = self._sureness(known, sections, poses, margin)

    def _overlap(self, known: TrainedEncoder) -> float:
        """Mean Dice of the tissue that is extracted from what shows a head."""
        sections = random_sections(self.anatomy, any_poses(self.anatomy, _TRIED_IN_HEADS, 1.0), 1.0, heads=1.0)
        found, true = known.extract(sections.pictures) > 0.5, sections.tissue > 0.5
        sizes = (found.flatten(1).sum(dim=1) + true.flatten(1).sum(dim=1)).clamp(min=1)
        return float((2 * (found & true).flatten(1).sum(dim=1) / sizes).mean())

    def _sureness(self, known: TrainedEncoder, sections: Tensor, poses: Tensor, margin: float) -> Tensor:
        """From what a whole run finds, of sections and of pictures that are shuffled, which are of no plate."""
        facts, right = [], []
        strange = _shuffled(sections[:_STRANGE])
        for number, picture in enumerate(torch.cat([sections[-_POSED:], strange])):
            found = self._run_on(picture, known)
            if found is not None:
                distances, plate, energy = found
                facts.append(evidence(distances / margin, plate, energy))
                truth = known.anatomy.plates.number(float(poses[number - _POSED, 0])) if number < _POSED else math.inf
                right.append(abs(plate - truth) <= WITHIN)
        if not facts:
            return torch.zeros(10)  # even odds
        return fitted(np.stack(facts), np.array(right))

    def _run_on(self, picture: Tensor, known: TrainedEncoder) -> tuple[Tensor, float, float] | None:
        """Distances, plate and energy of a picture (1, H, W); None where nothing is on it."""
        pixel = known.anatomy.pixel
        grid = section_grid(picture.shape[2], picture.shape[1], (pixel, pixel))
        try:
            section = extracted(prepared(Image(picture[None, None].cpu(), grid)), known)
        except InputError:
            return None
        identified = identify(section, known, pixel_known=True)
        place, identified = located(section, identified, known, False, self.progress)
        found = place.found
        return identified.distances, known.anatomy.plates.number(float(found.pose[0])), found.energy

    def metrics(self) -> dict[str, float]:
        """As the paper defines them, over sections made of the atlas."""
        ranks = self.ranks.float()
        found = {"mean_absolute_error": float(ranks.mean())}
        found |= {f"top_{n}": float((ranks < n).float().mean()) for n in (1, 3, 5, 10)}
        return found | {"depth_error_mm": float(self.depth_error.median()), "extraction_dice": self.overlap}

    def table(self) -> Table:
        """The same for sections parallel to the plates and for oblique ones."""
        half = _TRIED // 2
        rows = []
        for name, part in (("parallel", slice(0, half)), ("oblique", slice(half, None))):
            ranks = self.ranks[part].float()
            shares = [float((ranks < n).float().mean()) for n in (1, 3, 5)]
            rows.append([name, len(ranks), float(ranks.mean()), *shares, float(self.depth_error[part].median())])
        columns = ["sections", "count", "mean absolute error", "top 1", "top 3", "top 5", "depth error mm"]
        return Table("Validation", columns, rows)


def _shuffled(pictures: Tensor) -> Tensor:
    """Pictures (B, 1, H, W) whose parts have changed places: tissue of no plate."""
    rows, columns = pictures.shape[2] // 4, pictures.shape[3] // 4
    tiles = pictures.unfold(2, rows, rows).unfold(3, columns, columns)
    flat = tiles.reshape(len(pictures), 16, rows, columns)[:, torch.randperm(16)]
    grid = flat.reshape(len(pictures), 1, 4, 4, rows, columns)
    return grid.permute(0, 1, 2, 4, 3, 5).reshape(pictures.shape)


def _card(
    template: Image,
    labels: LabelImage | None,
    plates: Plates,
    parameters: EncoderParameters,
    made: int,
    trial: _Trial,
    anatomy: Anatomy,
) -> dict[str, Any]:
    return {
        "method": METHOD,
        "version": regsuite.__version__,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "axis": plates.axis,
        "spacing": plates.spacing,
        "plates": plates.count,
        "backbone": parameters.backbone,
        "pixel": anatomy.pixel,
        "atlas": {
            "name": template.name,
            "template": fingerprint(template),
            "labels": "" if labels is None else fingerprint(labels),
            "shape": list(template.grid.shape),
            "spacing": list(template.grid.spacing),
        },
        "training": {**vars(parameters), "made": made},
        "validation": trial.metrics(),
    }
