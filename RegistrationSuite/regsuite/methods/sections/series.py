"""A series of sections of one brain: their plates found together, in order, and cut at the same angles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from regsuite.catalog.sections import AtlasSeriesParameters
from regsuite.learning.checkpoint import Checkpoint
from regsuite.learning.encoder import TrainedEncoder, encoder_of
from regsuite.methods.sections.identify import Identified, identify, pixel_is_known
from regsuite.methods.sections.locate import located, seen_at
from regsuite.methods.sections.pose import Posed, angles_of, posed
from regsuite.methods.sections.prepared import Prepared, prepared
from regsuite.methods.sections.run import DOUBTFUL, answer_of, sliced_to, taken_out
from regsuite.methods.sections.telling import Asked, Inputs, Told
from regsuite.progress import Context, Part, Progress
from regsuite.registration import Curve, Registration, Table
from regsuite.registration import Series as Results
from regsuite.solvers.ordering import ordered
from regsuite.spatial import Image, LabelImage, SectionSet
from regsuite.spatial.plates import POSE

_DOUBT = 25.0
"""Squared distance, in plates, beyond which a plate is no less likely for lying off the one that slicing found."""
_SLACK = 2.0
"""Plates by which two consecutive sections may well be off their even distance."""


@dataclass(frozen=True)
class Placed:
    """A section of a series: how it was seen and where it lies."""

    section: Prepared
    identified: Identified
    posed: Posed


@dataclass(frozen=True)
class Series:
    """placed: in the order of the numbers; angles: pitch and yaw that all share, rad; depths: of
    the plates, mm."""

    placed: list[Placed]
    angles: tuple[float, float]
    depths: Tensor


def placed_together(
    sections: Sequence[Prepared], numbers: Sequence[int], trained: TrainedEncoder, parallel: bool, progress: Progress
) -> Series:
    """numbers: of the sections, rising; parallel: none was cut at an angle."""
    seen = _each_alone(sections, trained, parallel, progress)
    costs = np.stack([_costs(each, trained) for each in seen])
    order = ordered(costs, np.asarray(numbers, dtype=float), _SLACK)
    return _placed_from(trained.anatomy.plates.depths()[order.plates], seen, trained, parallel, progress)


def placed_anyhow(sections: Sequence[Prepared], trained: TrainedEncoder, parallel: bool, progress: Progress) -> Series:
    """The same where nothing is known of their order: each lies where it looks to, and all share their angles."""
    seen = _each_alone(sections, trained, parallel, progress)
    depths = torch.stack([each.posed.found.pose[0] for each in seen])
    return _placed_from(depths, seen, trained, parallel, progress)


def _each_alone(
    sections: Sequence[Prepared], trained: TrainedEncoder, parallel: bool, progress: Progress
) -> list[Placed]:
    seen = []
    for place, section in enumerate(sections):
        progress.step(0.6 * place / len(sections), f"looking at section {place + 1} of {len(sections)}")
        identified = identify(section, trained, pixel_is_known(section, trained), parallel)
        found, identified = located(section, identified, trained, parallel, progress)
        seen.append(Placed(section, identified, found))
    return seen


def _costs(placed: Placed, trained: TrainedEncoder) -> np.ndarray:
    """(N,), of every plate: by its embedding, and by how far it lies from where slicing arrived, which may be wrong."""
    plates, away = trained.anatomy.plates, placed.identified.distances / float(trained.card["training"]["margin"])
    off = (plates.depths() - float(placed.posed.found.pose[0])) / sliced_to(trained)
    return (away.double().square() + 0.5 * off.square().clamp(max=_DOUBT)).numpy()


def _placed_from(
    depths: Tensor, seen: Sequence[Placed], trained: TrainedEncoder, parallel: bool, progress: Progress
) -> Series:
    """depths: (S,) mm, about where the sections lie."""
    starts = [_starts(each, float(depth)) for each, depth in zip(seen, depths, strict=True)]
    alone = _each(seen, starts, trained, not parallel, Part(progress, 0.6, 0.8))
    angles = (0.0, 0.0) if parallel else _shared(alone)
    straight = [torch.cat([each.found.pose[:1], torch.tensor(angles), each.found.pose[3:]])[None] for each in alone]
    together = alone if parallel else _each(seen, straight, trained, False, Part(progress, 0.8, 1.0))
    parts = [
        Placed(each.section, seen_at(found, each.section, each.identified, trained), found)
        for each, found in zip(seen, together, strict=True)
    ]
    return Series(parts, angles, trained.anatomy.plates.depths())


def _starts(placed: Placed, depth: float) -> Tensor:
    """(2, 9): as the section was found, but at this depth, and as it was seen."""
    starts = torch.zeros(2, len(POSE))
    starts[0] = placed.posed.found.pose
    starts[:, 0] = depth
    return starts


def _each(
    seen: Sequence[Placed], starts: Sequence[Tensor], trained: TrainedEncoder, angles: bool, progress: Progress
) -> list[Posed]:
    found = []
    for place, (each, start) in enumerate(zip(seen, starts, strict=True)):
        progress.step(place / len(seen), f"slicing the atlas for section {place + 1} of {len(seen)}")
        view = each.identified.view
        found.append(posed(each.section, view, trained.anatomy, start, angles, True, progress))
    return found


def _shared(found: Sequence[Posed]) -> tuple[float, float]:
    """The middle one of each angle, sections that fit better counting more."""
    poses = np.stack([each.found.pose.double().numpy() for each in found])
    weights = np.array([1 - min(each.found.energy, 0.99) for each in found])
    return _median(poses[:, 1], weights), _median(poses[:, 2], weights)


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) >= 0.5 * weights.sum()
    return float(values[order][int(np.argmax(reached))])


def series_of(inputs: Inputs, parameters: AtlasSeriesParameters, context: Context) -> Results:
    """Of atlas-series."""
    sections, template, checkpoint = (inputs[role] for role in ("sections", "moving", "encoder"))
    labels = inputs.get("moving_labels")
    assert isinstance(sections, SectionSet)
    assert isinstance(template, Image)
    assert isinstance(checkpoint, Checkpoint)
    assert labels is None or isinstance(labels, LabelImage)
    trained, notes = encoder_of(checkpoint, template, labels, context.device)
    each = [prepared(part, parameters.channel, parameters.pixel / 1000) for part in sections.parts]
    shown = [taken_out(section, trained, parameters) for section in each]
    part = Part(context.progress, 0.0, 0.6)
    parallel = parameters.cut == "parallel"
    if parameters.order == "unknown":
        series = placed_anyhow(shown, trained, parallel, part)
    else:
        series = placed_together(shown, sections.numbers, trained, parallel, part)
    results = Results(parts={}, notes=notes)
    for place, (image, placed) in enumerate(zip(sections.parts, series.placed, strict=True)):
        share = Part(context.progress, 0.6 + 0.4 * place / len(shown), 0.6 + 0.4 * (place + 1) / len(shown))
        asked = Asked(image, template, labels, None, parameters)
        told = Told(asked, answer_of(trained, placed.section, placed.identified, placed.posed))
        results.parts[image.name] = told.registration(replace(context, progress=share))
    _tell(results, sections, series)
    return results


def _tell(results: Results, sections: SectionSet, series: Series) -> None:
    rows, curve = [], Curve(x_title="section", y_title="depth mm")
    parts: list[Registration] = list(results.parts.values())
    for image, number, placed, part in zip(sections.parts, sections.numbers, series.placed, parts, strict=True):
        depth, (pitch, yaw) = float(placed.posed.found.pose[0]), angles_of(placed.posed.found.pose)
        rows.append([image.name, number, part.metrics["plate"], depth, pitch, yaw, part.metrics["confidence"]])
        alone = placed.identified.distances.argmin()
        curve.add(number, together=depth, alone=float(series.depths[alone]))
    columns = ["section", "number", "plate", "depth mm", "pitch °", "yaw °", "probability"]
    results.tables["series"] = Table("Series", columns, rows)
    results.curves["depths"] = curve
    pitch, yaw = (float(np.degrees(angle)) for angle in series.angles)
    results.metrics |= {"pitch_deg": pitch, "yaw_deg": yaw}
    doubtful = [name for name, part in results.parts.items() if part.metrics["confidence"] < DOUBTFUL]
    if doubtful:
        results.notes.append(f"The plates of these sections are doubtful, check them: {', '.join(doubtful)}.")
    if not all(placed.identified.view.pixel_known for placed in series.placed):
        results.notes.append("Pixel sizes were estimated where the files give none that suits the atlas.")
    extracted = [
        image.name for image, placed in zip(sections.parts, series.placed, strict=True) if placed.section.left_out
    ]
    if extracted:
        results.notes.append(
            f"What does not look like tissue of the atlas was left out of {', '.join(extracted)}: check the outlines. "
            "Set Extraction to 'none' to keep it."
        )
    crossed = _crossed(curve.values["together"])
    if crossed:
        names = ", ".join(str(rows[place][0]) for place in crossed)
        results.notes.append(f"Out of order, check them: {names}.")


def _crossed(depths: Sequence[float]) -> list[int]:
    """Sections whose depth is not between those of their neighbours."""
    steps = np.diff(depths)
    forth = np.sign(np.median(steps)) if len(steps) else 0
    return [place + 1 for place, step in enumerate(steps) if step * forth < 0]
