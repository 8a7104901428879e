"""How some figures are told to a person: the same words in the panel and in the report. Plain Python."""

from __future__ import annotations

from collections.abc import Mapping

ORGAN, DISTANCE = "organ", "distance, mm"
"""Values of the points of organs' surfaces: the organ's colour, and how far the point is from the organ to be met."""

SHAPE, SHAPE_OUTSIDE = "explained_by_shape", "explained_by_shape_outside"
NAMES = {SHAPE: "Explained by shape", SHAPE_OUTSIDE: "Explained by shape, outside the lesion"}
"""Of metrics whose key does not say enough."""

SHAPE_HELP = (
    "Explained by shape is the share of the change between the images that the deformation alone accounts for; what is "
    "left was added as intensity or still differs."
)


def percent(share: float) -> str:
    """A share of 1 in whole per cent."""
    return f"{100 * share:.0f} %"


def shape_line(metrics: Mapping[str, float]) -> str:
    """How much of the change shape explains, in a line; empty where that is not known."""
    if SHAPE not in metrics:
        return ""
    outside = f" (outside the lesion {percent(metrics[SHAPE_OUTSIDE])})" if SHAPE_OUTSIDE in metrics else ""
    return f"{NAMES[SHAPE]}: {percent(metrics[SHAPE])}{outside}"
