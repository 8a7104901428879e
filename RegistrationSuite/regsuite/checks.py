"""What can be wrong with the inputs of a method, found before a long run and told in one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from regsuite import memory
from regsuite.catalog import Input, Method
from regsuite.errors import InputError
from regsuite.learning.checkpoint import Checkpoint
from regsuite.slice_set_checks import check_meeting, check_slice_set
from regsuite.spatial import Grid, Image, LabelImage, PointSet, SectionSet, SliceSet, Surfaces

Inputs = Mapping[str, Image | LabelImage | PointSet | SectionSet | SliceSet | Surfaces | Checkpoint]

FIXED_BYTES = 200
"""Least memory of a run for every voxel of the fixed image: its fields and results, 50 single-precision numbers."""
OTHER_BYTES = 16
"""Least memory for every voxel of another image: as read, as given, and evened out."""

_TYPES: dict[str, type] = {
    "image": Image,
    "section": Image,
    "sections": SectionSet,
    "slices": SliceSet,
    "checkpoint": Checkpoint,
    "weights": Checkpoint,
    "mask": LabelImage,
    "labels": LabelImage,
    "points": PointSet,
    "surfaces": Surfaces,
}
_KINDS = {
    "image": "an image",
    "section": "an image of one slice",
    "sections": "sections",
    "slices": "a set of slices",
    "checkpoint": "a checkpoint",
    "weights": "weights",
    "mask": "a label image",
    "labels": "a label image",
    "points": "a set of points",
    "surfaces": "surfaces",
}
_FULL = 0.98


def check_inputs(method: Method, inputs: Inputs, parameters: Any = None) -> None:
    """InputError, in one sentence, for the first thing that makes these inputs unusable for ``method``.

    parameters: the method's checked values; they tell whether an initial alignment may bring images together.
    """
    check_roles(method, inputs)
    given = [(item, inputs[item.role]) for item in method.inputs if item.role in inputs]
    for item, value in given:
        _check_kind(item, value)
    apart = (Checkpoint, SectionSet, SliceSet)
    given = [(item, value) for item, value in given if not isinstance(value, apart) and item.frame != "slices"]
    if not given:
        raise InputError(f"{method.title} was given nothing to register: give {_either(method)}.")
    _check_dimensions(method, given)
    _check_slices(given)
    _check_grids(given)
    for item, value in given:
        if isinstance(value, Image):
            check_size(item, value.grid)
            _check_intensities(item, value)
    _check_masks(given)
    fixed, moving = inputs.get("fixed"), inputs.get("moving")
    slices = inputs.get("slices")
    if isinstance(slices, SliceSet) and isinstance(fixed, Image):
        check_meeting(slices, fixed.grid, parameters)
    images = all(item.kind == "image" for item, value in given if item.role in ("fixed", "moving"))
    if images and isinstance(fixed, Image) and isinstance(moving, Image) and _stays(parameters):
        _check_overlap(method, fixed.grid, moving.grid)


def _stays(parameters: Any) -> bool:
    """Whether nothing brings images together before they are compared."""
    return getattr(parameters, "initial", "none") == "none"


def check_roles(method: Method, inputs: Mapping[str, Any]) -> None:
    """InputError unless every required input is there and every given one is known."""
    known = {item.role: item for item in method.inputs}
    for role in inputs:
        if role not in known:
            raise InputError(f"{method.title} has no input '{role}': it takes {', '.join(known)}.")
    for role, item in known.items():
        if item.required and role not in inputs:
            raise InputError(f"{method.title} needs the {_name(item)}, the input '{role}': give one.")


def check_size(item: Input, grid: Grid) -> None:
    """InputError where a run with an image on ``grid`` as this input cannot fit into the memory that is free."""
    available = memory.available_memory()
    needed = grid.voxel_count * (FIXED_BYTES if item.role == "fixed" else OTHER_BYTES)
    if available is not None and needed > available:
        raise InputError(
            f"The {_name(item)} of {_shape(grid)} voxels needs at least {memory.text_of(needed)} of memory, and "
            f"{memory.text_of(available)} are free: lower its resolution or crop it first."
        )


def _name(item: Input) -> str:
    return item.title.lower()


def _either(method: Method) -> str:
    """Its inputs, none of which it needs in every case."""
    *names, last = (f"the {_name(item)}" for item in method.inputs)
    return f"{', '.join(names)} or {last}"


def _shape(grid: Grid) -> str:
    return " × ".join(str(n) for n in reversed(grid.shape))


def _check_kind(item: Input, value: Any) -> None:
    if not isinstance(value, _TYPES[item.kind]):
        given = {
            Image: "An image",
            LabelImage: "A label image",
            PointSet: "A set of points",
            Surfaces: "A set of surfaces",
            SliceSet: "A set of slices",
        }
        what = given.get(type(value), "Something else")
        raise InputError(
            f"{what} was given for the {_name(item)}, where {_KINDS[item.kind]} is needed: choose another."
        )
    if isinstance(value, Surfaces):
        _check_surfaces(item, value)
    if isinstance(value, SliceSet):
        check_slice_set(item, value)
    if isinstance(value, SectionSet):
        for part in value.parts:
            _check_intensities(replace(item, title=f"Section '{part.name}'"), part)
    if isinstance(value, Image) and item.kind == "image" and value.data.shape[1] != 1:
        raise InputError(
            f"The {_name(item)} has {value.data.shape[1]} values a voxel (a colour or vector image, or a time series), "
            "and one is needed: extract a single channel or time point first."
        )


def _check_surfaces(item: Input, surfaces: Surfaces) -> None:
    if not surfaces.parts:
        raise InputError(f"There is no surface among the {_name(item)}: give one, or leave them out.")
    first = surfaces.parts[0]
    for part in surfaces.parts:
        if part.dim != first.dim:
            raise InputError(
                f"Of the {_name(item)}, '{first.name}' is {first.dim}D and '{part.name}' is {part.dim}D: give both in "
                "the same number of dimensions."
            )


def _dim(value: Image | LabelImage | PointSet | Surfaces) -> int:
    return value.dim if isinstance(value, (PointSet, Surfaces)) else value.grid.dim


def _check_dimensions(method: Method, given: list[tuple[Input, Any]]) -> None:
    first, dim = given[0][0], _dim(given[0][1])
    for item, value in given:
        if _dim(value) != dim:
            raise InputError(
                f"The {_name(first)} is {dim}D and the {_name(item)} is {_dim(value)}D: give both in the same number "
                "of dimensions."
            )
    if dim not in method.dimensions:
        raise InputError(f"{method.title} works in {method.dimensions[0]}D only, and the {_name(first)} is {dim}D.")


def _check_slices(given: list[tuple[Input, Any]]) -> None:
    """A 3D grid one voxel thick cannot be deformed in 3D; a section has to be one."""
    for item, value in given:
        if item.kind == "image" and value.grid.dim == 3 and min(value.grid.shape) == 1:
            raise InputError(
                f"The {_name(item)} is a single slice in a 3D file: save it as a 2D image, or register it in Slicer, "
                "where slices are registered in their plane."
            )
        if item.kind == "section" and 1 not in value.grid.shape:
            raise InputError(
                f"The {_name(item)} has {_shape(value.grid)} voxels, and one slice is needed: extract a slice first."
            )


def _on_grids(given: list[tuple[Input, Any]]) -> Iterator[tuple[Input, LabelImage, Input, Image]]:
    """Every mask and label image with its declaration, and the image on whose grid it must lie with that one's."""
    images = {item.role: (item, value) for item, value in given if isinstance(value, Image)}
    for item, value in given:
        if isinstance(value, LabelImage) and item.frame in images:
            yield item, value, *images[item.frame]


def _check_grids(given: list[tuple[Input, Any]]) -> None:
    for item, value, reference, image in _on_grids(given):
        if not _same_grid(value.grid, image.grid):
            other, difference = _name(reference), _difference(value.grid, image.grid)
            raise InputError(
                f"The grid of the {_name(item)} is not that of the {other} ({difference}): resample onto the {other}'s "
                "grid first."
            )


def _same_grid(one: Grid, other: Grid) -> bool:
    """Within a fiftieth of a voxel: file formats round positions."""
    return one.same_as(other, max(1e-3, 0.02 * min(other.spacing)))


def _difference(one: Grid, other: Grid) -> str:
    if one.shape != other.shape:
        return f"{_shape(one)} voxels, not {_shape(other)}"
    return f"up to {np.linalg.norm(one.corners() - other.corners(), axis=1).max():.3g} mm apart"


def _check_intensities(item: Input, image: Image) -> None:
    bad = int((~torch.isfinite(image.data)).sum())
    if bad:
        raise InputError(
            f"The {_name(item)} is not finite (NaN or infinite) in {bad} of its {image.grid.voxel_count} voxels: "
            "replace these values first, for instance by 0."
        )
    low, high = (float(value) for value in torch.aminmax(image.data))
    if low == high == 0:
        raise InputError(f"The {_name(item)} is empty, every voxel is 0: choose another.")
    if low == high:
        raise InputError(f"The {_name(item)} has the same value, {low:g}, in every voxel: choose another.")


def _check_masks(given: list[tuple[Input, Any]]) -> None:
    for item, mask, reference, image in _on_grids(given):
        if item.kind == "mask":
            _check_mask(item, mask, reference, image)


def _check_mask(item: Input, mask: LabelImage, reference: Input, image: Image) -> None:
    inside = mask.mask()
    if not bool(inside.any()):
        way_out = "choose a method that needs none" if item.required else "leave it out"
        raise InputError(f"Nothing is marked in the {_name(item)}: mark a region in it, or {way_out}.")
    for share, whole in _shares(inside, image.data[0, 0], _name(reference)):
        if share > _FULL:
            raise InputError(
                f"The region marked in the {_name(item)} covers {100 * share:.3g} % of {whole}, which leaves nothing "
                "to align: mark only what has no counterpart."
            )


def _shares(inside: torch.Tensor, intensities: torch.Tensor, name: str) -> Iterator[tuple[float, str]]:
    """How much of an image, and of what is not plain background in it, a mask covers."""
    yield float(inside.double().mean()), f"the {name}"
    low, high = torch.aminmax(intensities)
    yield float(inside[intensities > low + 0.01 * (high - low)].double().mean()), f"what the {name} shows"


def _box(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest world position (d,), to the outer faces of the voxels."""
    margin = np.abs(np.asarray(grid.direction)) @ np.asarray(grid.spacing) / 2
    return grid.corners().min(axis=0) - margin, grid.corners().max(axis=0) + margin


def _check_overlap(method: Method, fixed: Grid, moving: Grid) -> None:
    (fixed_low, fixed_high), (moving_low, moving_high) = _box(fixed), _box(moving)
    gaps = np.maximum(moving_low - fixed_high, fixed_low - moving_high)
    if gaps.max() < 0:
        return
    aligns = any(parameter.name == "initial" for parameter in method.parameters)
    advice = "set 'initial' to 'rigid' or 'affine', or bring them together" if aligns else "bring them together"
    raise InputError(
        "The fixed and the moving image do not overlap in space, they are "
        f"{np.linalg.norm(gaps.clip(0)):.4g} mm apart: {advice} first."
    )
