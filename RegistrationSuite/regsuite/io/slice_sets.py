"""Sets of single slices, each at a pose of its own, from the DICOM files of one examination.

Radial slices come in one series of six orientations, in a series for each map or in one for each orientation; as
classic files of one slice or as enhanced ones of many. Some scanners give all slices of such a set one pose, that of
the localizer they were planned on: then their order is all that tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from regsuite.errors import InputError
from regsuite.io.dicom_frames import Header, dicom_files_in, headers_of
from regsuite.io.dicom_values import grid_of, says_thickness, values_of
from regsuite.io.files import existing
from regsuite.io.map_names import QUANTITIES, name_frames, safe, unit_of
from regsuite.io.slice_checks import PlacedSlice, angles, check_maps, check_one_examination, which
from regsuite.spatial import Image
from regsuite.spatial.slice_sets import SliceSet

SAME_PLACE = 0.1
"""mm between the middles of slices that lie at one place."""
SAME_ANGLE = 0.1
"""Degrees between the normals of slices that lie at one place."""

_LOCALIZER = "LOCALIZER"
_SCOUT = re.compile(r"(?<![A-Z])(LOCALI[SZ]ER|SCOUT|SURVEY|3[ -]?PL(ANE)?|LOC)(?![A-Z])")
"""What localizers are called by scanners that do not say so in the image type."""


def read_slice_set(given: Path | str | Sequence[Path | str]) -> SliceSet:
    """The slices and maps in a folder and those below it, or in DICOM files, values in the maps' own units.

    Stored values become real ones by the real world value mapping of the file, else by its rescale. Slices are in the
    order of the first map's series and instance numbers and frames; those of other maps are paired with them by place,
    or by that order where all have one pose. Localizers and copies of files are left out. InputError where there is no
    such set.
    """
    place, files = _files(given)
    headers, others = headers_of(files)
    single = list({_identity(header): header for header in reversed(headers)}.values())[::-1]
    kept = _without_localizers(single)
    if not kept:
        what = "only localizers" if headers else "no DICOM images"
        raise InputError(f"The folder '{place}' holds {what}: give the folder with the slices.")
    check_one_examination(place, kept)
    maps = _placed(name_frames(sorted(kept, key=_order)))
    distinct = any(len({each.place for each in slices}) > 1 for slices in maps.values())
    check_maps(place, maps, distinct)
    first = next(iter(maps.values()))
    if distinct:
        order = [each.place for each in first]
        maps = {name: sorted(slices, key=lambda each: order.index(each.place)) for name, slices in maps.items()}
    images = {name: tuple(_image(each, name) for each in slices) for name, slices in maps.items()}
    return SliceSet(
        maps=images,
        units={name: _unit(name, slices) for name, slices in maps.items()},
        quantities=frozenset(maps.keys() & set(QUANTITIES)),
        thickness=max(each.grid.spacing[0] for each in first),
        distinct=distinct,
        notes=(
            *_left_out(single, kept, len(headers) - len(single), others),
            *_unsure(first, distinct),
            *odd_values(images),
        ),
    )


def _files(given: Path | str | Sequence[Path | str]) -> tuple[Path, list[Path]]:
    """The folder that is spoken of, and the DICOM files."""
    if not isinstance(given, (str, Path)):
        files = [existing(each, "DICOM file") for each in given]
        return files[0].parent, files
    place = existing(given, "folder of slices")
    if not place.is_dir():
        raise InputError(f"'{given}' is a file, and a folder of DICOM slices is needed: give the folder it lies in.")
    return place, dicom_files_in(place)


def _identity(header: Header) -> tuple[str, int]:
    return header.text("SOPInstanceUID") or str(header.file), header.index


def _without_localizers(headers: Sequence[Header]) -> list[Header]:
    """By image type; by name where that leaves some."""
    kept = [header for header in headers if _LOCALIZER not in header.types()]
    named = [header for header in kept if not _SCOUT.search(header.text("SeriesDescription").upper().replace("_", " "))]
    return named or kept


def _order(header: Header) -> tuple[float, str, float, str, int]:
    numbers = [header.number(field) for field in ("SeriesNumber", "InstanceNumber")]
    series, instance = (np.inf if number is None else number for number in numbers)
    return series, header.text("SeriesInstanceUID"), instance, str(header.file), header.index


def _placed(maps: Mapping[str, Sequence[Header]]) -> dict[str, list[PlacedSlice]]:
    """Every frame with its grid and the number of its pose."""
    centres, normals = np.empty((0, 3)), np.empty((0, 3))
    placed: dict[str, list[PlacedSlice]] = {name: [] for name in maps}
    for name, headers in maps.items():
        for header in headers:
            grid = grid_of(header)
            normal = np.asarray(grid.direction)[:, 0]
            near = np.linalg.norm(centres - grid.centre, axis=1) <= SAME_PLACE
            same = np.flatnonzero(near & (angles(normals, normal) <= SAME_ANGLE))
            if not len(same):
                centres, normals = np.vstack([centres, grid.centre]), np.vstack([normals, normal])
            placed[name].append(PlacedSlice(header, grid, int(same[0]) if len(same) else len(centres) - 1))
    return placed


def _image(each: PlacedSlice, name: str) -> Image:
    return Image.from_array(values_of(each.header)[None].astype(np.float32), each.grid, name)


def _unit(name: str, slices: Sequence[PlacedSlice]) -> str:
    units = {unit_of(each.header): each for each in slices}
    if len(units) > 1:
        listed = " and ".join(f"'{unit}' ({which(each)})" for unit, each in list(units.items())[:2])
        raise InputError(f"The slices of the map '{name}' are in different units, {listed}: export them in one unit.")
    return next(iter(units))


def _left_out(headers: Sequence[Header], kept: Sequence[Header], copies: int, others: int) -> Iterator[str]:
    skipped = [header for header in headers if header not in kept]
    if skipped:
        titles = sorted({safe(header.text("SeriesDescription")) or "untitled" for header in skipped})
        yield f"Localizers were left out: {len(skipped)} images ({', '.join(titles)})."
    if copies:
        yield f"Copies of images that were there already were left out: {copies}."
    if others:
        yield f"DICOM files that hold no image were left out: {others}."


def _unsure(slices: Sequence[PlacedSlice], distinct: bool) -> Iterator[str]:
    if not distinct:
        yield (
            "The files give all slices one pose: the slices are in the order of their numbers, and where each of them "
            "lies is not known."
        )
    thick = [each.grid.spacing[0] for each in slices]
    if not all(says_thickness(each.header) for each in slices):
        yield f"The files do not say how thick the slices are: {max(thick):g} mm, the size of a pixel, is supposed."
    elif max(thick) > 1.01 * min(thick):
        yield f"The slices are {min(thick):g} to {max(thick):g} mm thick."


def odd_values(maps: Mapping[str, Sequence[Image]]) -> Iterator[str]:
    """Sentences on values that cannot be: negative ones of quantities, and missing ones of all."""
    for name, images in maps.items():
        values = np.concatenate([image.array().ravel() for image in images])
        missing = int((~np.isfinite(values)).sum())
        negative = int((values < 0).sum()) if name in QUANTITIES else 0
        if missing or negative:
            yield f"Of the {values.size} values of '{name}', {missing} are missing and {negative} are negative."
