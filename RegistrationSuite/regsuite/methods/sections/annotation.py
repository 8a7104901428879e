"""Whether an atlas's annotation lies on what its template shows."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, signal

from regsuite.errors import InputError
from regsuite.learning.anatomy import Anatomy, threshold
from regsuite.spatial import Image, LabelImage

_LARGE, _SMALL = 64, 0.5
"""Voxels of the volumes that are compared, on the longest side, at most; share of what the template shows that an
annotation has to fill, or else it may lie anywhere in it."""
_FAR, _BETTER, _WELL = 0.08, 0.06, 0.85
"""How far off an annotation clearly is, in parts of its smallest width; how much more of it then fits elsewhere, and
how much of it does there. A brain annotated in a head fits as well all around its place."""
_ALIKE = 0.01
_FAINT = 0.6
"""Of Otsu's threshold: tissue that is less bright than the rest is tissue too."""


def check_brightness(template: Image, labels: LabelImage) -> None:
    """InputError where the annotation is empty, or lies where the template is dark."""
    inside = labels.data != 0
    if not bool(inside.any()):
        raise InputError("The annotation is empty: give the one of this atlas, or leave it out.")
    within, outside = float(template.data[inside].mean()), template.data[~inside]
    if outside.numel() and within <= float(outside.mean()):
        raise InputError(
            "The annotation does not fit the template, which is brighter outside of it than inside: check that both "
            "are of one atlas and orientation."
        )


def check_place(anatomy: Anatomy) -> None:
    """InputError where the annotation fits what the template shows clearly better some way off."""
    shown, marked = _shown_and_marked(anatomy)
    step = -(-max(shown.shape) // _LARGE)
    shown, marked = (each[::step, ::step, ::step] for each in (shown, marked))
    if not shown.any() or marked.sum() < max(1.0, _SMALL * shown.sum()):
        return
    off, better = _fits_at(shown, marked)
    spacing = step * np.array(anatomy.grid.spacing)
    sides = [np.ptp(places) + 1 for places in np.nonzero(marked)] * spacing
    distance = float(np.linalg.norm(off * spacing))
    if distance > _FAR * min(sides) and better > _BETTER:
        raise InputError(
            f"The annotation does not fit the template, it lies about {distance:.2g} mm beside what the template "
            "shows: check that both are of one atlas, resolution and place."
        )


def annotated(anatomy: Anatomy) -> float:
    """Share of what the template shows that has a region."""
    shown, marked = _shown_and_marked(anatomy)
    return float((shown & marked).sum() / max(1, shown.sum()))


def _shown_and_marked(anatomy: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """(*shape) bool: where the template is bright, and where regions are."""
    template = anatomy.template[0, 0].cpu().numpy()
    bright = template > _FAINT * threshold(anatomy.template)
    return ndimage.binary_fill_holes(bright), anatomy.regions[0, 0].cpu().numpy() > 0


def _fits_at(shown: np.ndarray, marked: np.ndarray) -> tuple[np.ndarray, float]:
    """(3,) voxels: the least shift at which most of ``marked`` lies on ``shown``; how much more of it that is, as a
    share. No shift where nowhere much of it does."""
    overlap = signal.correlate(shown.astype(np.float32), marked.astype(np.float32), mode="full", method="fft")
    overlap /= min(shown.sum(), marked.sum())
    middle = np.array(marked.shape) - 1
    best, here = float(overlap.max()), float(overlap[tuple(middle)])
    if best < _WELL:
        return np.zeros(3), 0.0
    shifts = np.argwhere(overlap >= best - _ALIKE) - middle
    return shifts[np.linalg.norm(shifts, axis=1).argmin()], best - here
