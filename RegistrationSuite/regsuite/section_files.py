"""What other programs take of a section that was found in an atlas: an anchored series, and regions at full size."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from regsuite import io
from regsuite.errors import InputError
from regsuite.io.anchoring import ALLEN_TARGET, ALLEN_VOXEL
from regsuite.io.sections import LONGEST, STAND_IN_PIXEL, ending_of
from regsuite.progress import Progress
from regsuite.registration import Registration, Series
from regsuite.spatial import Grid, Image, LabelImage, SectionSet
from regsuite.spatial.grid import BLOCK_VOXELS
from regsuite.spatial.slices import upright
from regsuite.transforms import Transform, warp_labels

ANCHORING, REGIONS = "anchoring.json", "regions.ome.tif"

_ALLEN_RESOLUTION = (456, 528, 320)
"""Voxels of QuickNII's Allen mouse brain atlas, to R, A and S."""


def write_section_files(
    registration: Registration, folder: Path, inputs: Mapping[str, Any], progress: Progress | None = None
) -> dict[str, str]:
    """Write what there is to write of such a registration into an existing folder; each file by its name in the report.

    anchoring.json, for QuickNII and VisuAlign; and, where the section was a picture of more pixels than what was worked
    on and none of a series, and an annotation was given, regions.ome.tif, of which ``progress`` is told. InputError
    where a file cannot be written.
    """
    if not _is_anchored(registration):
        return {}
    picture, labels = _picture(registration), inputs.get("moving_labels")
    section = _section(registration, inputs, picture)
    io.write_series(folder / ANCHORING, _series(Path(section.filename).stem, [section], inputs["moving"]))
    files = {"anchoring": ANCHORING}
    if picture is not None and labels is not None and "sections" not in inputs and _larger(picture):
        write_regions(folder / REGIONS, picture, labels, registration.transform, progress or Progress())
        files["regions_full"] = REGIONS
    return files


def write_series_file(series: Series, folder: Path, inputs: Mapping[str, Any]) -> dict[str, str]:
    """anchoring.json of all sections of a series, in their order and with their numbers, as QuickNII opens it; nothing
    where the registrations are of no sections. InputError where it cannot be written."""
    given: SectionSet = inputs["sections"]
    parts = [series.parts[section.name] for section in given.parts]
    if not all(map(_is_anchored, parts)):
        return {}
    sections = [
        replace(_section(part, {**inputs, "fixed": section}, _picture(part)), number=number)
        for section, number, part in zip(given.parts, given.numbers, parts, strict=True)
    ]
    io.write_series(folder / ANCHORING, _series("sections", sections, inputs["moving"]))
    return {"anchoring": ANCHORING}


def _is_anchored(registration: Registration) -> bool:
    return "anchoring" in registration.record.get("chosen", {})


def _larger(picture: io.SectionFile) -> bool:
    """Whether it holds more than was worked on, and TIFF files can be written."""
    return max(picture.width, picture.height) > LONGEST and importlib.util.find_spec("tifffile") is not None


def write_regions(
    path: Path, picture: io.SectionFile, labels: LabelImage, transform: Transform, progress: Progress
) -> None:
    """The regions on every pixel of a section's picture, as a pyramidal OME-TIFF, a few rows at a time.

    transform: from the section to the atlas. Values take two bytes where they fit, else four. progress is told of each
    band of rows, and what it raises leaves no file.
    """
    pixel = picture.pixel or (STAND_IN_PIXEL, STAND_IN_PIXEL)
    grid = io.section_grid(picture.width, picture.height, pixel)
    dtype = np.uint16 if int(labels.data.max()) <= np.iinfo(np.uint16).max else np.uint32
    bands = _bands(grid, labels, transform, progress)
    io.write_labels_tiff(path, bands, picture.width, picture.height, dtype, picture.pixel)


def _bands(
    grid: Grid, labels: LabelImage, transform: Transform, progress: Progress
) -> Iterator[tuple[int, np.ndarray]]:
    _, height, width = grid.shape
    rows = max(1, BLOCK_VOXELS // width)
    for top in range(0, height, rows):
        progress.step(top / height, f"writing the regions at full size, {REGIONS}")
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


def _section(
    registration: Registration, inputs: Mapping[str, Any], picture: io.SectionFile | None
) -> io.AnchoredSection:
    """In the voxels of the atlas that was given, with VisuAlign's markers where the plate was deformed."""
    given, chosen = _given(registration), registration.record["chosen"]
    name = Path(given["path"]).name if "path" in given else given.get("name") or _name(inputs) or "section"
    width, height = (picture.width, picture.height) if picture is not None else _size(registration.fixed_grid)
    markers = tuple((x * width, y * height, nx * width, ny * height) for x, y, nx, ny in chosen.get("markers", ()))
    number = io.section_numbers([name])[0]
    return io.AnchoredSection(name, number, width, height, tuple(chosen["anchoring"]), markers)


def _series(name: str, sections: Sequence[io.AnchoredSection], atlas: Image) -> io.AnchoredSeries:
    """In the atlas that was given; of the Allen mouse brain's size, in QuickNII's own."""
    target, resolution = atlas.name, io.resolution_of(atlas.grid)
    if io.resolution_of(atlas.grid, ALLEN_VOXEL) == _ALLEN_RESOLUTION:
        scale = np.array(_ALLEN_RESOLUTION) / resolution
        target, resolution = ALLEN_TARGET, _ALLEN_RESOLUTION
        sections = [_scaled(section, scale) for section in sections]
    return io.AnchoredSeries(name, target, tuple(sections), resolution)


def _scaled(section: io.AnchoredSection, scale: np.ndarray) -> io.AnchoredSection:
    """scale: (3,), by which voxels to R, A and S become more."""
    assert section.anchoring is not None
    ox, oy, oz, ux, uy, uz, vx, vy, vz = (np.reshape(section.anchoring, (3, 3)) * scale).ravel().tolist()
    return replace(section, anchoring=(ox, oy, oz, ux, uy, uz, vx, vy, vz))


def _size(grid: Grid) -> tuple[int, int]:
    """Columns and rows of a section as it stands."""
    height, width = upright(Image(torch.empty(1, 1, *grid.shape), grid))[0].shape[1:]
    return int(width), int(height)
