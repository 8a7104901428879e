"""What a user should know of a registration, one sentence each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regsuite.losses.similarity import dissimilarity
from regsuite.methods.metamorphosis.choices import WINDOW
from regsuite.registration import Registration
from regsuite.solvers.geodesics import Path
from regsuite.solvers.pair import Pair
from regsuite.spatial import LabelImage

_LARGE = 0.5
"""Share of the head that no lesion covers."""
_POOR = 0.3
"""Correlation below which the images are of different contrast."""
_LESION, _UNLIKE = 2.0, 0.04
"""How much less alike than elsewhere deformed images are in a lesion, and from where on they differ at all, as 1 - ρ²
in small windows. Of the pairs tried, slices and heads with real and made tumours, it was 3 times and more in the
lesion, and up to 2 in places without one; outside the lesion it was above 0.05 where that was not in the mask."""


def before(pair: Pair, region: Tensor | None, masks: Sequence[tuple[str, LabelImage | None]]) -> list[str]:
    """What can be told from the images and masks; masks: by what the user calls them."""
    sentences = []
    if region is not None:
        shown = pair.weight * (torch.maximum(pair.fixed, pair.moving) > 0.1)
        share = float((region * shown).sum() / shown.sum().clamp(min=1))
        if share > _LARGE:
            sentences.append(
                f"The lesion mask covers {share:.0%} of the head: little is left outside to align, so check that it "
                "marks the lesion alone."
            )
    for title, labels in masks:
        if labels is not None and _at_border(labels):
            sentences.append(
                f"The {title} reaches the border of its image: what lies beyond is unknown, and the deformation "
                "there is a guess."
            )
    return sentences


def _at_border(labels: LabelImage) -> bool:
    inside = labels.mask()
    return any(bool(inside.select(axis, end).any()) for axis in range(inside.ndim) for end in (0, -1))


def contrast(alike: float) -> list[str]:
    """Where squared differences are to be used and intensities do not agree."""
    if alike >= _POOR:
        return []
    return [
        f"The intensities of the two images agree poorly (correlation {alike:.2f}), and squared differences (ssd) take "
        "that for a difference of shape: choose the similarity lncc, ngf or mind, or intensity matching."
    ]


def after(result: Registration, pair: Pair, path: Path, region: Tensor | None) -> list[str]:
    """What can be told from the result; region: the lesion's, where it can be judged."""
    sentences = []
    if region is not None and _misses(pair, path, region):
        sentences.append(
            "The lesion mask does not touch what differs between the images: deformed they are about as alike inside "
            "it as outside, so check that it marks the lesion and belongs to this image."
        )
    if not result.metrics["settled"]:
        sentences.append("The energy was still falling at the last iteration: more iterations may fit better.")
    return sentences


def folding(result: Registration) -> list[str]:
    """Whether the transform folds."""
    folded = result.metrics["folded_fraction"]
    if folded <= 0:
        return []
    share = f"{folded:.2%}" if folded >= 5e-5 else "less than 0.01%"
    return [
        f"The deformation folds at {share} of the voxels: raise the regularity, or see that a mask covers all that "
        "only one of the images has."
    ]


def _misses(pair: Pair, path: Path, region: Tensor) -> bool:
    """Whether the deformed images differ outside the region and hardly more inside it, in whatever contrast."""
    spacing = pair.grid.spacing
    inside, outside = (
        float(dissimilarity("lncc", pair.fixed, part, spacing, WINDOW * pair.size)(path.deformed))
        / max(float(part.sum()) * pair.grid.voxel_volume, 1e-6)
        for part in (pair.weight * region, pair.weight * pair.content * (1 - region))
    )
    return outside > _UNLIKE and inside < _LESION * outside
