"""Cases of the benchmark: phantoms whose truth is known, made and kept in files. Runs in a process of its own."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from regsuite import io, phantoms
from regsuite.phantoms import Case, TumourCase
from regsuite.progress import Progress
from regsuite.solvers.bias import even_out
from regsuite.solvers.initial import align
from regsuite.solvers.pair import make_pair
from regsuite.spatial import Image, LabelImage
from regsuite.transforms import Affine, identity, warp_image, warp_labels

from Benchmarks.real_cases import RealCase, brats2015, bratsreg, slices

Values = dict[str, Any]
AnyCase = Case | RealCase

_WHOLE_HEAD = {2: (95, 117, 99), 1: (189, 233, 197)}
"""The template's grid before it is cropped around the brain, by mm."""
_MARGIN = 6
"""Voxels that a method keeps free around what is in the images."""


@dataclass(frozen=True)
class Kept:
    """A case as it lies in a file; fixed, moving: its images evened out, for peers and for judging."""

    case: AnyCase
    fixed: Image
    moving: Image


def make(phantom: str, file: str, **options: Any) -> Values:
    """Keeps a case in a file; ``refused`` says why where the recipe cannot be followed."""
    try:
        case = _MAKERS[phantom](**options)
    except ValueError as error:
        return {"refused": str(error)}
    _keep(case, file)
    return {"refused": "", "mm": round(min(case.fixed.grid.spacing), 3), "shape": list(case.fixed.grid.shape)}


def make_tumours(folder: str, resolution: int, recipes: dict[str, Values], count: int) -> list[str]:
    """The names of the first ``count`` brains, by recipe, whose tumour can be grown; each is kept as NAME.pickle."""
    template, labels = phantoms.mni152(resolution)
    made: list[str] = []
    for name, recipe in recipes.items():
        if len(made) == count:
            break
        try:
            case = phantoms.tumour_brain(template, labels, **recipe)
        except ValueError:
            continue
        _keep(case, f"{folder}/{name}.pickle")
        made.append(name)
    return made


def _keep(case: AnyCase, file: str) -> None:
    kept = Kept(case, even_out(case.fixed, case.mask), even_out(case.moving, getattr(case, "moving_mask", None)))
    with Path(file).open("wb") as stream:
        pickle.dump(kept, stream)


def kept(file: str) -> Kept:
    """What :func:`make` kept."""
    with Path(file).open("rb") as stream:
        found = pickle.load(stream)
    assert isinstance(found, Kept)
    return found


def started(given: Kept, kind: str) -> Affine:
    """The alignment that our masked methods start from: sought from the image that has the lesion."""
    case, moving_mask = given.case, getattr(given.case, "moving_mask", None)
    if case.mask is None and moving_mask is not None:
        return align(given.moving, given.fixed, kind, moving_mask, Progress()).inverse()
    return align(given.fixed, given.moving, kind, case.mask, Progress(), ignore_moving=moving_mask)


def _brain(resolution: int, seed: int, **recipe: Any) -> TumourCase:
    template, labels = phantoms.mni152(resolution)
    return phantoms.tumour_brain(template, labels, seed=seed, **recipe)


def _whole_head(resolution: int, seed: int) -> TumourCase:
    """A brain on the template's whole grid, all of which is worked on: two bright voxels mark its corners."""
    case = _brain(resolution, seed)
    wanted, given = _WHOLE_HEAD[resolution], case.fixed.grid.shape
    low = [(n - m) // 2 for n, m in zip(wanted, given, strict=True)]
    grid = case.fixed.grid.cropped([-n for n in low], wanted)
    drawn = (case.mask, case.fixed_labels, case.moving_labels, case.valid)
    mask, fixed_labels, moving_labels, valid = (warp_labels(each, identity(3), grid) for each in drawn)
    fixed, moving = (_marked(warp_image(each, identity(3), grid)) for each in (case.fixed, case.moving))
    return TumourCase(fixed, moving, mask, fixed_labels, moving_labels, case.truth, valid)


def _marked(image: Image) -> Image:
    data = image.data.clone()
    for end in (_MARGIN, -1 - _MARGIN):
        data[(0, 0, *[end] * image.grid.dim)] = float(data.max())
    return Image(data, image.grid, image.name)


_MAKERS: dict[str, Callable[..., AnyCase]] = {
    "brain": _brain,
    "whole head": _whole_head,
    "toy": phantoms.toy_triangle,
    "shapes": phantoms.shapes_2d,
    "slices": slices,
    "brats2015": brats2015,
    "bratsreg": bratsreg,
}


def for_ants(case: str, folder: str) -> Values:
    """The images of a case as files for a peer in its own environment: evened out, and where it may look."""
    given, place = kept(case), Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    masks = {"healthy": given.case.mask, "healthy_moving": getattr(given.case, "moving_mask", None)}
    images = {"fixed": given.fixed, "moving": given.moving}
    images |= {name: _outside(mask) for name, mask in masks.items() if mask is not None}
    for name, image in images.items():
        io.write_image(place / f"{name}.nii.gz", image)
    return {name: str(place / f"{name}.nii.gz") for name in images}


def _outside(mask: LabelImage) -> Image:
    return Image((mask.data == 0).float(), mask.grid)


def arrays(case: str, file: str) -> None:
    """The images of a flat case as our methods compare them, source, target and mask (j, i), for Demeter."""
    given = kept(case).case
    assert given.mask is not None
    pair = make_pair(given.fixed, given.moving, identity(2), ignore=given.mask)
    mask = Image(given.mask.data.float(), given.mask.grid).resampled(pair.grid, outside="zeros")
    source, target, where = (each[0, 0].numpy() for each in (pair.moving, pair.fixed, (mask.data > 0.5).float()))
    np.savez(file, source=source, target=target, mask=where)
