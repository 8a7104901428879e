"""A section without what is none of the atlas's tissue: a head in a scanner shows skull, muscle and skin too."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from regsuite.learning.encoder import TrainedEncoder
from regsuite.methods.sections.identify import pixel_is_known
from regsuite.methods.sections.prepared import Prepared, flat_cut, shown_at, without_specks
from regsuite.methods.sections.views import turned_views
from regsuite.spatial.plates import flat_points

_OTHER = (0.15, 0.8)
"""Share of what a section shows that may be something else: less, or more, is taken for the network's own error."""
_SIZES = (0.7, 0.9, 1.1, 1.4, 1.8)
"""Of all that is shown, in parts of the atlas's largest section, where the pixel size may not be known: a head is
larger than its brain."""
_TRUSTED = 0.75
"""Dice, on sections made of the atlas, from which the network is believed."""
_LOOKS = 2
"""The second is about the middle of what the first found."""


def extracted(section: Prepared, trained: TrainedEncoder) -> Prepared:
    """The section as it is where little of what it shows seems to be something else, or nearly all of it, or where the
    network has not learned enough to tell."""
    if not is_trusted(trained):
        return section
    found = section
    for _ in range(_LOOKS):
        inside = without_specks((_extracted(section, found, trained) & section.tissue).numpy())
        if inside is None:
            return section
        found = replace(section, tissue=inside, picture=section.picture * inside)
    share = 1 - float((found.tissue & section.tissue).sum() / section.tissue.sum())
    return replace(found, left_out=share) if _OTHER[0] <= share <= _OTHER[1] else section


def is_trusted(trained: TrainedEncoder) -> bool:
    """Whether its extractor has learned to tell tissue from what is around it."""
    return float(trained.card["validation"]["extraction_dice"]) >= _TRUSTED


def _extracted(section: Prepared, about: Prepared, trained: TrainedEncoder) -> Tensor:
    """(H, W) bool: what the network takes for tissue, looking at the middle of that of ``about``."""
    anatomy = trained.anatomy
    largest = float(max(anatomy.plates.extent[:2]))
    sizes = [1.0]
    if not pixel_is_known(section, trained):
        sizes += [max(about.size()) / (part * largest) for part in _SIZES]
    views = torch.stack([turned_views(about, size)[0] for size in sizes])
    shown = shown_at(section, views, anatomy.points().cpu())
    likely = trained.extract(shown.to(anatomy.template.device)).cpu()
    surest = int(_doubt(likely).argmin())
    height, width = section.picture.shape[2:]
    points = flat_points((height, width), section.pixel)
    back = torch.linalg.inv(views[surest : surest + 1])
    inside = flat_cut(likely[surest : surest + 1], anatomy.pixel, back, points)[0, 0]
    return inside > 0.5


def _doubt(likely: Tensor) -> Tensor:
    """(B,): how unsure an answer (B, 1, H, W) is, beside how much of it differs from all tissue and from none."""
    inside, unsure = (each.flatten(1).sum(dim=1) for each in (likely, likely * (1 - likely)))
    outside = likely[0].numel() - inside
    return (unsure + 1) / (torch.minimum(inside, outside) + 1)
