"""Where a section lies: searched for from where the encoder saw it and all over the atlas, and looked at as it lies."""

from __future__ import annotations

from dataclasses import replace

import torch

from regsuite.learning.encoder import TrainedEncoder
from regsuite.methods.sections.identify import Identified, aligned
from regsuite.methods.sections.pose import Posed, Search
from regsuite.methods.sections.prepared import Prepared
from regsuite.methods.sections.starts import everywhere
from regsuite.progress import Progress

_LEARNED, _FARTHEST = 0.025, 6.0
"""Energy that the distance of two embeddings is worth, squared and in margins; and where that ends to count: a farther
embedding is of a picture unlike all that the encoder has learned from."""


def located(
    section: Prepared, identified: Identified, trained: TrainedEncoder, parallel: bool, progress: Progress
) -> tuple[Posed, Identified]:
    """Of an identified section; its distances are then those of the section as it lies."""
    view = identified.view
    search = Search(section, view, trained.anatomy, not parallel, True, progress)
    found = search.candidates(torch.cat([identified.starts, everywhere(section, trained, view, parallel)]))
    distances, away = aligned(section, trained, view, torch.stack([each.pose for each in found]))
    away = away / float(trained.card["training"]["margin"])
    learned = _LEARNED * away.square().clamp(max=_FARTHEST)
    costs = [search.cost(each) + float(far) for each, far in zip(found, learned, strict=True)]
    best = costs.index(min(costs))
    return search.posed(found[best]), replace(identified, distances=distances[best])


def seen_at(found: Posed, section: Prepared, identified: Identified, trained: TrainedEncoder) -> Identified:
    """With the distances of the section as it lies there."""
    distances, _ = aligned(section, trained, identified.view, found.found.pose[None])
    return replace(identified, distances=distances[0])
