"""The plate fitted smoothly to the section, in the section's plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from regsuite import catalog
from regsuite.errors import InputError
from regsuite.methods.sections.prepared import Prepared, missing, tissue_on
from regsuite.progress import Context
from regsuite.registration import Registration
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.plates import cut
from regsuite.transforms import Affine, DisplacementField, Transform
from regsuite.transforms.chain import chain

_METHOD, _PARTIAL = "lddmm", "cost-function-masking"
"""Of a whole section, and of one that lacks a part."""
_SETTINGS = {"initial": "none", "similarity": "lncc"}
_WORKED_ON = 220
"""Pixels of the section, on its longer side, that the deformation is found with."""
_SLICES = 3
"""Of the field, so that what lies a little off the plane moves too."""
_EDGE = 2
"""Pixels of the section, along what is missing, that its blurred edge reaches."""


@dataclass(frozen=True)
class Fitted:
    """From the section to the atlas and back; notes of the fit."""

    transform: Transform
    inverse: Transform
    folded: float
    notes: list[str]


def fitted(section: Prepared, template: Image, matrix: np.ndarray, context: Context) -> Fitted:
    """matrix: (4, 4) from the section's RAS mm to the atlas's, where the deformation starts."""
    grid = _worked_on(section)
    fixed = Image(section.picture, section.grid).resampled(grid)
    plate = _plate(section, template, matrix, grid)
    if float(plate.data.max()) <= 0:
        return Fitted(Affine(matrix), Affine(np.linalg.inv(matrix)), 0.0, ["The plate shows nothing to fit to."])
    gone = _missing(section, plate)
    inputs: dict[str, Image | LabelImage] = {"fixed": fixed, "moving": plate}
    if gone is not None:
        inputs["mask"] = gone
    declared = catalog.method(_METHOD if gone is None else _PARTIAL)
    found = declared.load()(inputs, declared.check_values(_SETTINGS), context)
    assert isinstance(found, Registration)
    there, back = (_lifted(each, section, grid) for each in (found.transform, found.inverse))
    affine = Affine(matrix)
    folded = found.metrics.get("folded_fraction", 0.0)
    notes = [] if gone is None else ["The section lacks a part of its plate, which was fitted to the rest alone."]
    return Fitted(chain(there, affine), chain(affine.inverse(), back), folded, notes)


def _missing(section: Prepared, plate: Image) -> LabelImage | None:
    """Where the plate shows tissue and the section has none, up to the section's edge; None where it lacks nothing."""
    try:
        shown = tissue_on(plate.data).numpy()
    except InputError:
        return None
    tissue = Image(section.tissue.float()[None, None], section.grid).resampled(plate.grid).data[0, 0].numpy() > 0.5
    gone = missing(tissue, shown)
    if gone is None:
        return None
    mask = ndimage.binary_dilation(gone, iterations=_EDGE)
    return LabelImage.from_array(mask.astype(np.int32), plate.grid)


def _worked_on(section: Prepared) -> Grid:
    height, width = section.picture.shape[2:]
    step = max(section.pixel, section.pixel * max(height, width) / _WORKED_ON)
    return section.grid.resampled([step, step])


def _plate(section: Prepared, template: Image, matrix: np.ndarray, grid: Grid) -> Image:
    """The template on a 2D grid of the section's plane."""
    flat = grid.points()
    points = torch.cat([flat, torch.zeros_like(flat[..., :1])], dim=-1)
    to_atlas = torch.from_numpy(matrix @ np.linalg.inv(section.to_flat))[None]
    shown = cut(template.data.float(), template.grid, to_atlas, points)
    return Image(shown, grid, "plate")


def _lifted(transform: Transform, section: Prepared, flat: Grid) -> DisplacementField:
    """A 2D transform of the section's plane as a field around the section in space."""
    back = np.linalg.inv(section.to_flat)
    u = transform.displacement(flat)[0].double()  # (2, h, w), (right, bottom)
    step = flat.spacing[0]
    affine = np.eye(4)
    affine[:3, 0] = back[:3, 2] / np.linalg.norm(back[:3, 2]) * np.linalg.norm(back[:3, 0]) * step
    affine[:3, 1:3] = back[:3, [1, 0]] * np.array(flat.spacing)
    corner = np.array([*flat.origin, 0.0, 1.0])
    affine[:3, 3] = (back @ corner)[:3] - (_SLICES // 2) * affine[:3, 0]
    grid = Grid.from_affine((_SLICES, *flat.shape), affine)
    linear = torch.from_numpy(back[:3, :2])
    moved = torch.einsum("ij,jhw->ihw", linear, u).float()
    return DisplacementField(grid, moved[None, :, None].expand(-1, -1, _SLICES, -1, -1).contiguous())
