"""Atlases as BrainGlobe stores them: a folder of metadata.json, structures.json, reference.tiff and annotation.tiff.

The metadata name, by a letter for each array axis, where it begins: 'asr' runs from the front to the back, from above
down and from the right to the left (https://brainglobe.info, brainglobe-space). Nothing says where the atlas lies in
the world, so the corner of its box furthest to the left, the back and below is put at the origin.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from regsuite.errors import InputError
from regsuite.io.files import existing_file
from regsuite.io.tiff_checks import DAMAGES, tifffile_module
from regsuite.spatial import Grid, Image, LabelImage

METADATA, STRUCTURES, REFERENCE, ANNOTATION = "metadata.json", "structures.json", "reference.tiff", "annotation.tiff"

_MANIFEST = "manifest.json"
"""What atlases of brainglobe-atlasapi 3 have in place of all these."""

_BEGINS = {"r": (0, -1), "l": (0, 1), "a": (1, -1), "p": (1, 1), "s": (2, -1), "i": (2, 1)}
"""The world's axis along which an array axis runs that begins at a side, and whether it runs to R, A or S."""

_MICROMETRES = 1e-3


def is_atlas(folder: Path) -> bool:
    """Whether a folder is a BrainGlobe atlas, of whatever version."""
    return ((folder / METADATA).is_file() and (folder / REFERENCE).is_file()) or (folder / _MANIFEST).is_file()


def read_atlas(folder: Path | str) -> tuple[Image, LabelImage]:
    """The reference and the annotation of a BrainGlobe atlas.

    InputError where a file is missing or damaged, sizes differ, the metadata make no sense, or a label is too large.
    """
    return read_reference(folder), read_annotation(folder)


def read_reference(folder: Path | str) -> Image:
    """The picture of a BrainGlobe atlas; InputError as :func:`read_atlas`."""
    metadata = _metadata(Path(folder))
    array = _stack(Path(folder), REFERENCE)
    return Image.from_array(array, _grid(Path(folder), metadata, array.shape), str(metadata.get("name") or REFERENCE))


def read_annotation(folder: Path | str) -> LabelImage:
    """The labels of a BrainGlobe atlas with their names and colours; InputError as :func:`read_atlas`."""
    place = Path(folder)
    metadata = _metadata(place)
    array = _stack(place, ANNOTATION)
    if array.dtype.kind not in "ui":
        raise InputError(f"The annotation in '{folder}' holds no whole numbers: get the atlas again.")
    largest = int(array.max())
    if largest > np.iinfo(np.int32).max:
        raise InputError(
            f"The annotation in '{folder}' has a label {largest}, and labels go up to {np.iinfo(np.int32).max}: "
            "renumber its structures."
        )
    names, colours = _structures(place)
    return LabelImage.from_array(array, _grid(place, metadata, array.shape), names, colours)


def _metadata(folder: Path) -> dict[str, Any]:
    if (folder / _MANIFEST).is_file():
        raise InputError(
            f"The atlas '{folder}' is stored as brainglobe-atlasapi 3 does (OME-Zarr), which is not supported: "
            "download it with version 2, or save template and annotation as NIfTI."
        )
    content = _json(folder / METADATA)
    if not isinstance(content, dict):
        raise _damaged(folder / METADATA)
    return content


def _json(file: Path) -> Any:
    existing_file(file, "atlas file")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise _damaged(file) from None


def _damaged(file: Path) -> InputError:
    return InputError(f"The atlas file '{file}' cannot be read, it may be damaged: get the atlas again.")


def _stack(folder: Path, name: str) -> np.ndarray:
    """(three axes) as stored."""
    tifffile = tifffile_module()
    file = existing_file(folder / name, "atlas file")
    try:
        array = tifffile.imread(file)
    except DAMAGES:
        raise _damaged(file) from None
    if array.ndim != 3:
        raise InputError(f"The atlas file '{file}' has {array.ndim} dimensions, and 3 are needed: get the atlas again.")
    return np.asarray(array)


def _grid(folder: Path, metadata: dict[str, Any], shape: tuple[int, ...]) -> Grid:
    """From orientation and resolution (µm an array axis). InputError where they, or the shape, make no sense."""
    try:
        sides = [_BEGINS[letter] for letter in str(metadata["orientation"]).lower()]
        steps = [float(step) * _MICROMETRES for step in metadata["resolution"]]
        stated = tuple(int(n) for n in metadata.get("shape", shape))
    except (LookupError, ValueError, TypeError, OverflowError):
        sides, steps, stated = [], [], shape
    if sorted(world for world, _ in sides) != [0, 1, 2] or len(steps) != 3 or not all(map(_is_length, steps)):
        raise InputError(
            f"The metadata of the atlas '{folder}' lack an orientation such as 'asr' or a resolution in µm: add it."
        )
    if stated != shape:
        raise InputError(f"The atlas '{folder}' has {shape} voxels and its metadata say {stated}: get the atlas again.")
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, ((world, sign), step, count) in enumerate(zip(sides, steps, shape, strict=True)):
        affine[world, axis] = sign * step
        affine[world, 3] = step * (0.5 if sign > 0 else count - 0.5)
    return Grid.from_affine(shape, affine)


def _is_length(step: float) -> bool:
    return math.isfinite(step) and step > 0


def _structures(folder: Path) -> tuple[dict[int, str], dict[int, tuple[float, float, float]]]:
    names: dict[int, str] = {}
    colours: dict[int, tuple[float, float, float]] = {}
    file = folder / STRUCTURES
    try:
        for entry in _json(file):
            value = int(entry["id"])
            names[value] = str(entry["name"])
            red, green, blue = (float(part) / 255 for part in entry["rgb_triplet"])
            colours[value] = (red, green, blue)
    except (LookupError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise _damaged(file) from None
    return names, colours
