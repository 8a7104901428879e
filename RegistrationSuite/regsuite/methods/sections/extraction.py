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
_SIZES = (0.7, 0.9, 1.1, 1.3)
"""Of all that is shown, in parts of the atlas's largest section, where no pixel size is known."""
_LOOKS = 2
"""The second is about the middle of what the first found."""


def extracted(section: Prepared, trained: TrainedEncoder) -> Prepared:
    """The section as it is where all of it may be the atlas's tissue, or nothing."""
    found = section
    for _ in range(_LOOKS):
        inside = without_specks((_extracted(section, found, trained) & section.tissue).numpy())
        if inside is None:
            return section
        found = replace(section, tissue=inside, picture=section.picture * inside)
    share = 1 - float((found.tissue & section.tissue).sum() / section.tissue.sum())
    return replace(found, left_out=share) if _OTHER[0] <= share <= _OTHER[1] else section


def _extracted(section: Prepared, about: Prepared, trained: TrainedEncoder) -> Tensor:
    """(H, W) bool: what the network takes for tissue, looking at the middle of that of ``about``."""
    anatomy = trained.anatomy
    largest = float(max(anatomy.plates.extent[:2]))
    sizes = [1.0] if pixel_is_known(section, trained) else [max(about.size()) / (part * largest) for part in _SIZES]
    views = torch.stack([turned_views(about, size)[0] for size in sizes])
    shown = shown_at(section, views, anatomy.points().cpu())
    likely = trained.extract(shown.to(anatomy.template.device)).cpu()
    surest = int((likely * (1 - likely)).flatten(1).sum(dim=1).div(likely.flatten(1).sum(dim=1)).argmin())
    height, width = section.picture.shape[2:]
    points = flat_points((height, width), section.pixel)
    back = torch.linalg.inv(views[surest : surest + 1])
    return flat_cut(likely[surest : surest + 1], anatomy.pixel, back, points)[0, 0] > 0.5
