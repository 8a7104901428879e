"""A tumour in a real brain: the MNI152 template that nilearn's package carries."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from regsuite.phantoms.case import GREY, LABEL_COLOURS, LABEL_NAMES, VENTRICLES, WHITE, TumourCase
from regsuite.phantoms.tumour import Recipe, tumour_case
from regsuite.spatial import Grid, Image, LabelImage

# MNI coordinates (mm) inside the bodies and the atria of the lateral ventricles.
_VENTRICLE_SEEDS = ((-8, 0, 22), (8, 0, 22), (-22, -38, 14), (22, -38, 14))
_MARGIN_MM = 12.0


def mni152(resolution: int = 2) -> tuple[Image, LabelImage]:
    """The brain-extracted T1 template of the MNI152 average and its ventricles, grey and white matter.

    resolution: whole mm. Needs nilearn; nothing is downloaded. The images are cropped around the brain.
    """
    from nilearn import datasets

    t1 = datasets.load_mni152_template(resolution=resolution)
    grey = datasets.load_mni152_gm_template(resolution=resolution)
    white = datasets.load_mni152_wm_template(resolution=resolution)
    brain = datasets.load_mni152_brain_mask(resolution=resolution)
    inside = np.asarray(brain.dataobj) > 0
    # NIfTI arrays run (i, j, k) and so does their affine; ours run (k, j, i).
    grid = Grid.from_affine(t1.shape[::-1], t1.affine @ np.eye(4)[[2, 1, 0, 3]])
    maps = [np.transpose(np.asarray(each.dataobj, np.float32) * inside) for each in (t1, grey, white)]
    window = _around(maps[0] > 0, grid)
    grid = grid.cropped([each.start for each in window], [each.stop - each.start for each in window])
    t1_array, grey_array, white_array = (each[window] for each in maps)
    labels = tissue_labels(grey_array, white_array, np.transpose(inside)[window], grid)
    return Image.from_array(t1_array, grid, "MNI152 template"), labels


def tissue_labels(grey: np.ndarray, white: np.ndarray, brain: np.ndarray, grid: Grid) -> LabelImage:
    """Ventricles, grey and white matter from the tissue shares (*shape) in MNI space."""
    labels = np.where(grey > white, GREY, WHITE) * (grey + white > 0.5) * brain
    labels[_ventricles(1 - grey - white, brain, grid)] = VENTRICLES
    return LabelImage.from_array(labels, grid, LABEL_NAMES, LABEL_COLOURS)


def _ventricles(fluid: np.ndarray, brain: np.ndarray, grid: Grid) -> np.ndarray:
    """Fluid deep in the brain that is connected to the lateral ventricles, without the cisterns behind the thalami."""
    deep = ndimage.distance_transform_edt(brain, sampling=grid.spacing) > 12
    x, y, _ = np.moveaxis(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    cistern = (np.abs(x) < 10) & (y < -18)
    pieces, _ = ndimage.label((fluid > 0.5) & deep & ~cistern)
    seeds = np.round(grid.to_index(np.array(_VENTRICLE_SEEDS))).astype(int)
    return np.isin(pieces, [piece for piece in pieces[tuple(seeds.T)] if piece])


def _around(inside: np.ndarray, grid: Grid) -> tuple[slice, ...]:
    """The box of ``inside`` with a margin, within the array."""
    margins = [int(np.ceil(_MARGIN_MM / h)) for h in grid.spacing]
    box = ndimage.find_objects(inside.astype(np.int8))[0]
    return tuple(
        slice(max(0, part.start - margin), min(n, part.stop + margin))
        for part, margin, n in zip(box, margins, inside.shape, strict=True)
    )


def tumour_brain(
    template: Image | None = None, labels: LabelImage | None = None, *, seed: int = 0, **recipe: Any
) -> TumourCase:
    """A patient made of a healthy brain, the MNI152 template by default, with a tumour beside the ventricles.

    template: brain-extracted, with its labels; recipe: fields of :class:`regsuite.phantoms.Recipe` that differ from
    their defaults, such as centre, radius or mass_effect.
    """
    if template is None or labels is None:
        template, labels = mni152()
    return tumour_case(template, labels, Recipe(**recipe), seed=seed)
