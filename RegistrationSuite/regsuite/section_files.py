"""What other programs take of a section that was found in an atlas: an anchored series, and regions at full size."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from regsuite import io
from regsuite.errors import InputError
from regsuite.io.anchoring import ALLEN_TARGET, ALLEN_VOXEL, Anchoring
from regsuite.io.sections import LONGEST, STAND_IN_PIXEL, ending_of
from regsuite.registration import Registration
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.grid import BLOCK_VOXELS
from regsuite.spatial.slices import upright
from regsuite.transforms import Transform, warp_labels

ANCHORING, REGIONS = "anchoring.json", "regions.ome.tif"

_ALLEN_RESOLUTION = (456, 528, 320)
"""Voxels of QuickNII's Allen mouse brain atlas, to R, A and S."""


def write_section_files(registration: Registration, folder: Path, inputs: Mapping[str, Any]) -> dict[str, str]:
    """Write what there is to write of such a registration into an existing folder; each file by its name in the report.

    anchoring.json, for QuickNII and VisuAlign; and, where the section was a picture of more pixels than what was worked
    on and an annotation was given, regions.ome.tif. InputError where a file cannot be written.
    """
    anchoring = registration.record.get("chosen", {}).get("anchoring")
    if anchoring is None:
        return {}
    picture, labels = _picture(registration), inputs.get("moving_labels")
    series = _series(registration, inputs, picture, tuple(anchoring))
    io.write_series(folder / ANCHORING, series)
    files = {"anchoring": ANCHORING}
    if picture is not None and labels is not None and _larger(picture):
        write_regions(folder / REGIONS, picture, labels, registration.transform)
        files["regions_full"] = REGIONS
    return files


def _larger(picture: io.SectionFile) -> bool:
    """Whether it holds more than was worked on, and TIFF files can be written."""
    return max(picture.width, picture.height) > LONGEST and importlib.util.find_spec("tifffile") is not None


def write_regions(path: Path, picture: io.SectionFile, labels: LabelImage, transform: Transform) -> None:
    """The regions on every pixel of a section's picture, as a pyramidal OME-TIFF, a few rows at a time.

    transform: from the section to the atlas. Values take two bytes where they fit, else four.
    """
    pixel = picture.pixel or (STAND_IN_PIXEL, STAND_IN_PIXEL)
    grid = io.section_grid(picture.width, picture.height, pixel)
    dtype = np.uint16 if int(labels.data.max()) <= np.iinfo(np.uint16).max else np.uint32
    io.write_labels_tiff(path, _bands(grid, labels, transform), picture.width, picture.height, dtype, picture.pixel)


def _bands(grid: Grid, labels: LabelImage, transform: Transform) -> Iterator[tuple[int, np.ndarray]]:
    _, height, width = grid.shape
    rows = max(1, BLOCK_VOXELS // width)
    for top in range(0, height, rows):
        band = grid.cropped([0, top, 0], [1, min(rows, height - top), width])
        yield top, warp_labels(labels, transform, band).array()[0]


def _picture(registration: Registration) -> io.SectionFile | None:
    """The file the section was read from, where that is a picture and still there."""
    path = _given(registration).get("path")
    if path is None or ending_of(path) is None:
        return None
    try:
        return io.open_section(path)
    except InputError:
        return None


def _given(registration: Registration) -> Mapping[str, Any]:
    """What the record says of the section."""
    return dict(registration.record.get("inputs", {}).get("fixed", {}))


def _name(inputs: Mapping[str, Any]) -> str:
    """Of the section, where it is known."""
    return str(getattr(inputs.get("fixed"), "name", ""))


def _series(
    registration: Registration, inputs: Mapping[str, Any], picture: io.SectionFile | None, anchoring: Anchoring
) -> io.AnchoredSeries:
    """One section in the atlas that was given; of the Allen mouse brain's size, in QuickNII's own."""
    given, atlas = _given(registration), inputs["moving"]
    name = Path(given["path"]).name if "path" in given else given.get("name") or _name(inputs) or "section"
    width, height = (picture.width, picture.height) if picture is not None else _size(registration.fixed_grid)
    target, resolution = atlas.name, io.resolution_of(atlas.grid)
    if io.resolution_of(atlas.grid, ALLEN_VOXEL) == _ALLEN_RESOLUTION:
        scale = np.array(_ALLEN_RESOLUTION) / resolution
        target, resolution = ALLEN_TARGET, _ALLEN_RESOLUTION
        ox, oy, oz, ux, uy, uz, vx, vy, vz = (np.reshape(anchoring, (3, 3)) * scale).ravel().tolist()
        anchoring = ox, oy, oz, ux, uy, uz, vx, vy, vz
    section = io.AnchoredSection(name, io.section_numbers([name])[0], width, height, anchoring)
    return io.AnchoredSeries(Path(name).stem, target, (section,), resolution)


def _size(grid: Grid) -> tuple[int, int]:
    """Columns and rows of a section as it stands."""
    height, width = upright(Image(torch.empty(1, 1, *grid.shape), grid))[0].shape[1:]
    return int(width), int(height)
