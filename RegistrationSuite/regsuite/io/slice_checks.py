"""What keeps the slices of a folder from being one set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regsuite.errors import InputError
from regsuite.io.dicom_frames import Header
from regsuite.spatial import Grid

PARALLEL = 1.0
"""Degrees. Slices that are not tilted more than this against each other are a stack."""
FEWEST = 3
"""Fewer slices do not tell where their axis is."""

_ONE_OF = {
    "PatientID": "patients",
    "StudyInstanceUID": "examinations",
    "FrameOfReferenceUID": "frames of reference",
}


@dataclass(frozen=True)
class PlacedSlice:
    """One image of one slice; place: which of the poses in the folder it has, counted from 0."""

    header: Header
    grid: Grid
    place: int


def check_one_examination(folder: Path, headers: Sequence[Header]) -> None:
    """InputError where the files are of several patients, examinations or frames of reference."""
    for field, what in _ONE_OF.items():
        firsts = {value: header for header in reversed(headers) if (value := header.text(field))}
        if len(firsts) > 1:
            one, other, *_ = firsts.values()
            raise InputError(
                f"The folder '{folder}' mixes {len(firsts)} {what}, such as those of '{other.file.name}' and "
                f"'{one.file.name}': give a folder with one of them."
            )


def angles(normals: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Degrees (N,) between planes, seen from either side."""
    return np.degrees(np.arcsin(np.minimum(1.0, np.linalg.norm(np.cross(normals, normal), axis=1))))


def check_maps(folder: Path, maps: Mapping[str, Sequence[PlacedSlice]], distinct: bool) -> None:
    """InputError unless every map has one image of each of the same slices, three or more, that are no stack.

    distinct: whether their poses tell them apart.
    """
    for name, slices in maps.items():
        if twins := _twins(slices, distinct):
            raise InputError(
                f"The folder '{folder}' holds several images of '{name}' for one slice, such as {which(twins[0])} and "
                f"{which(twins[1])}: keep one series of each map in it."
            )
    counts = {name: len(slices) for name, slices in maps.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise InputError(
            f"The maps in '{folder}' have different numbers of slices ({listed}): add the missing slices, or move away "
            "what does not belong to the set."
        )
    first, *others = maps
    if counts[first] < FEWEST:
        number = f"{counts[first]} slice{'s' if counts[first] > 1 else ''}"
        raise InputError(
            f"The folder '{folder}' holds {number} of '{first}', and {FEWEST} or more are needed: give all slices of "
            "the examination."
        )
    for other in others:
        if distinct and {each.place for each in maps[first]} != {each.place for each in maps[other]}:
            raise InputError(
                f"The maps '{first}' and '{other}' in '{folder}' do not lie on the same planes: move away the one that "
                "does not belong to the set."
            )
    normals = np.array([np.asarray(each.grid.direction)[:, 0] for each in maps[first]])
    if distinct and max(angles(normals, normal).max() for normal in normals) < PARALLEL:
        raise InputError(
            f"The {counts[first]} slices of '{first}' in '{folder}' are parallel, and slices around an axis are "
            "needed: give the radial series, or read a stack as a volume."
        )


def _twins(slices: Sequence[PlacedSlice], distinct: bool) -> list[PlacedSlice]:
    """Two images of one map that lie at one place; where places tell nothing, out of two series of several slices."""
    firsts: dict[int | str, list[PlacedSlice]] = {}
    for each in slices:
        firsts.setdefault(each.place if distinct else each.header.text("SeriesInstanceUID"), []).append(each)
    several = [alike for alike in firsts.values() if len(alike) > 1]
    if distinct:
        return several[0][:2] if several else []
    return [alike[0] for alike in several[:2]] if len(several) > 1 else []


def which(each: PlacedSlice) -> str:
    """The file, and the frame in it, for a sentence."""
    frame = f"frame {each.header.index + 1} of " if each.header.enhanced else ""
    return f"{frame}'{each.header.file.name}'"
