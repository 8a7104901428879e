"""The same measures for every transform, ours or a peer's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from regsuite import evaluation, io
from regsuite.phantoms import Case, TumourCase
from regsuite.phantoms.case import VENTRICLES
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.transforms import DisplacementField, Transform, identity, warp_image, warp_labels
from scipy import ndimage

from Benchmarks.cases import Kept, kept
from Benchmarks.real_cases import RealCase

Values = dict[str, Any]
_DARK = 0.05
"""Of the bright end, below which a voxel of a stripped head is no tissue."""


def judged(given: Kept, transform: Transform, final: Image | None = None) -> Values:
    """Figures by name; ``final`` is the image with intensity added, in the moving image's unit.

    folded_fraction; left_deformation, left_outside, left_final: sums of squared differences from the fixed image (of a
    phantom without its bias field), by deformation alone, of that outside the lesion, and with intensity added, as
    shares of those before; correlation_outside, of the two images in the fixed head outside the lesions.
    Of phantoms also dice, dice_ventricles, error_mm, error_95_mm; with landmarks tre_mm, tre_max_mm.
    """
    case, grid = given.case, given.case.fixed.grid
    warped = warp_image(case.moving, transform, grid)
    figures: Values = {
        "folded_fraction": evaluation.folded_fraction(transform, grid),
        "left_deformation": _left(given, warped),
        "left_outside": _left(given, warped, _outside(case.mask)),
        "left_final": _left(given, warped if final is None else final),
        "correlation_outside": _correlation(given, warp_image(given.moving, transform, grid), transform),
    }
    if isinstance(case, Case):
        figures["dice"] = evaluation.dice(case.fixed_labels, warp_labels(case.moving_labels, transform, grid))
    if isinstance(case, TumourCase):
        error = case.error_mm(transform)
        figures["dice_ventricles"] = figures["dice"][VENTRICLES]
        figures |= {"error_mm": float(error.mean()), "error_95_mm": float(error.quantile(0.95))}
    if isinstance(case, RealCase) and case.fixed_points is not None and case.moving_points is not None:
        distances = evaluation.target_registration_error(transform, case.fixed_points, case.moving_points)
        figures |= {"tre_mm": float(distances.mean()), "tre_max_mm": float(distances.max())}
    return figures


def _outside(mask: LabelImage | None) -> torch.Tensor | None:
    return None if mask is None else ~mask.mask()[None, None]


def _left(given: Kept, image: Image, where: torch.Tensor | None = None) -> float:
    """The squared difference from the fixed image as a share of that at the start."""
    start = given.case.moving.resampled(given.case.fixed.grid, outside="zeros")
    squares = [(each.data - given.fixed.data).square() for each in (image, start)]
    after, before = (float((each if where is None else each[where]).sum()) for each in squares)
    return after / before


def _correlation(given: Kept, warped: Image, transform: Transform) -> float:
    """Pearson's, over the fixed head without the lesions of both images."""
    case, fixed = given.case, given.fixed.data
    head = fixed > _DARK * float(np.quantile(fixed.numpy(), 0.995))
    outside = _outside(case.mask)
    head = head if outside is None else head & outside
    moving_mask = getattr(case, "moving_mask", None)
    if moving_mask is not None:
        head = head & (warp_labels(moving_mask, transform, case.fixed.grid).data == 0)
    return float(torch.corrcoef(torch.stack([fixed[head], warped.data[head]]).double())[0, 1])


def before(case: str) -> Values:
    """The figures of doing nothing."""
    given = kept(case)
    return judged(given, identity(given.case.fixed.grid.dim))


def before_each(cases: list[str]) -> list[Values]:
    """The figures of doing nothing, of several cases."""
    return [before(case) for case in cases]


def read(case: str, transforms: list[str], shown: str = "") -> Values:
    """The figures of transforms in files, the one applied first at the head."""
    given = kept(case)
    whole: Transform = identity(given.case.fixed.grid.dim)
    for file in transforms:
        whole = io.read_transform(file) @ whole
    show(given, whole, shown)
    return judged(given, whole)


def show(given: Kept, transform: Transform, file: str) -> None:
    """Leaves the moving image by deformation alone as an array, for a picture; nothing where no file is named."""
    if file:
        np.save(file, warp_image(given.case.moving, transform, given.case.fixed.grid).array())


def path(images: str, file: str) -> Values:
    """Figures of a flat path in pixels: its velocities (steps, j, i, (x, y)) and what it paints per unit of time.

    Every point goes back through the velocities, last step first, where the source is read once, and what is painted is
    carried along, as our path solver does it. Squared
    differences and energies as shares of the squared difference at the start; energy_blurred: with the path's own image
    ``final``.
    """
    with np.load(images) as given, np.load(file) as made:
        source, target = given["source"], given["target"]
        back = -np.moveaxis(made["velocity"], -1, 1)[:, ::-1] / len(made["velocity"])  # components along j, i
        rates, own, energy = made["painted"] / len(made["painted"]), made["final"], float(made["energy"])
    u, added = np.zeros_like(back[0]), np.zeros_like(source)
    for step in back[::-1]:
        u = u + np.stack([_carried(component, u) for component in step])
    for step, rate in zip(back, rates, strict=True):
        added = _carried(added, step) + rate
    deformed = _carried(source, u)
    start = _squares(source, target)
    final, grid = _squares(deformed + added, target), Grid.regular(source.shape)
    # A regular grid's world axes are its array axes, the last one first.
    field = DisplacementField(grid, torch.from_numpy(u[None, ::-1].astype(np.float32)))
    return {
        "compared_deformation": _squares(deformed, target) / start,
        "compared_final": final / start,
        "energy": (final + energy) / start,
        "energy_blurred": (_squares(own, target) + energy) / start,
        "folded_fraction": evaluation.folded_fraction(field, grid),
    }


def _carried(array: np.ndarray, u: np.ndarray) -> np.ndarray:
    """array (j, i) read at every pixel moved by u (2, j, i)."""
    return ndimage.map_coordinates(array, np.indices(array.shape) + u, order=1, mode="nearest")


def _squares(image: np.ndarray, other: np.ndarray) -> float:
    return float(np.square(image - other).sum())
