"""Sets of single slices from files of images: stacks, or a file for each slice, with no header that says more.

Of a stack the first array axis counts the slices, and its position is that of all of them: where each lies is not
known. A file of one slice says where that one lies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from regsuite.errors import InputError
from regsuite.io.dicom_frames import may_be_dicom
from regsuite.io.images import read_image
from regsuite.io.map_names import MILLISECONDS, QUANTITIES, quantity_called, safe, without_numbers
from regsuite.io.sections import as_slice
from regsuite.io.slice_sets import SAME_ANGLE, SAME_PLACE, odd_values, read_slice_set
from regsuite.spatial import Grid, Image
from regsuite.spatial.slice_sets import SliceSet
from regsuite.spatial.slices import across_first

Slices = tuple[Image, ...]


def read_slices(paths: Sequence[Path | str]) -> SliceSet:
    """A folder of DICOM, DICOM files, or files of images: stacks, a map each, or a file for each slice.

    A map is called as its file is; see :func:`slice_set_of`. InputError where they are no such set.
    """
    if not paths:
        raise InputError("No slices were given: give a folder of DICOM, or image files.")
    folders = [path for path in paths if Path(path).is_dir()]
    if folders and len(paths) > 1:
        raise InputError(f"'{folders[0]}' is a folder, and more was given with it: give one folder, or files alone.")
    if folders:
        return read_slice_set(folders[0])
    if all(may_be_dicom(Path(path)) for path in paths):
        return read_slice_set(paths)
    return slice_set_of([as_slice(read_image(path)) for path in paths])


def slice_set_of(images: Sequence[Image], units: Mapping[str, str] | None = None) -> SliceSet:
    """Of 3D images with names: stacks of equal shape, a map each; or single slices, which make a map together where
    their names differ in their numbers alone, and are then in the order in which they come.

    Maps that are named after a quantity (T1, T2, T2star, T1rho, PD), or after a map of one, are quantities; the others
    are images to look at. units: by the images' names, where they are known; other times are in ms. InputError where
    they are no such set.
    """
    stacks = [image for image in images if 1 not in image.grid.shape]
    if stacks and len(stacks) < len(images):
        single = next(image for image in images if 1 in image.grid.shape)
        raise InputError(
            f"'{stacks[0].name}' is a stack and '{single.name}' a single slice: give stacks alone, or a slice each."
        )
    maps = _of_stacks(stacks) if stacks else _of_singles([across_first(image) for image in images])
    known = {_map_of(name, bool(stacks)): unit for name, unit in (units or {}).items()}
    maps = {name: maps[name] for name in _quantities_first(maps)}
    grids = [image.grid for image in next(iter(maps.values()))]
    timed = [name for name in maps if name in MILLISECONDS and name not in known]
    return SliceSet(
        maps=maps,
        units={name: known.get(name, "ms" if name in timed else "") for name in maps},
        quantities=frozenset(maps.keys() & set(QUANTITIES)),
        thickness=max(grid.spacing[0] for grid in grids),
        distinct=any(not _same_pose(grid, grids[0]) for grid in grids),
        notes=(*_supposed(grids if stacks else [], timed), *odd_values(maps)),
    )


def _of_stacks(images: Sequence[Image]) -> dict[str, Slices]:
    first, maps = images[0], {}
    for image in images:
        if image.grid.shape != first.grid.shape:
            sizes = [" x ".join(map(str, reversed(each.grid.shape))) for each in (first, image)]
            raise InputError(
                f"The stacks '{first.name}' and '{image.name}' are of {sizes[0]} and {sizes[1]} voxels: give maps of "
                "the same slices."
            )
        name = _map_of(image.name, stacked=True)
        if name in maps:
            raise InputError(f"Two of the stacks are called '{name}': give each map a name of its own.")
        grid = image.grid.cropped([0, 0, 0], [1, *image.grid.shape[1:]])
        maps[name] = tuple(Image(image.data[:, :, row : row + 1], grid, name) for row in range(image.grid.shape[0]))
    return maps


def _of_singles(images: Sequence[Image]) -> dict[str, Slices]:
    found: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        found[_map_of(image.name, stacked=False)].append(image)
    counts = {name: len(slices) for name, slices in found.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise InputError(f"The maps have different numbers of slices ({listed}): give each slice in every map.")
    first = found[_quantities_first(found)[0]]
    paired = {name: _paired(name, first, slices) for name, slices in found.items()}
    return {name: tuple(replace(each, name=name) for each in slices) for name, slices in paired.items()}


def _paired(name: str, first: Sequence[Image], others: Sequence[Image]) -> list[Image]:
    """The slices of a map in the order of the first map's, by where they lie; as they come where those lie at one
    place. InputError where there is none for a slice that lies apart."""
    apart, left, paired = any(not _same_pose(each.grid, first[0].grid) for each in first), list(others), []
    for image in first:
        place = next((place for place, each in enumerate(left) if _same_pose(each.grid, image.grid)), None)
        if place is None and apart:
            raise InputError(f"No slice of '{name}' lies where '{image.name}' does: give maps of the same slices.")
        paired.append(left.pop(place or 0))
    return paired


def _quantities_first(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: name not in QUANTITIES)


def _same_pose(one: Grid, other: Grid) -> bool:
    normals = np.asarray(one.direction)[:, 0], np.asarray(other.direction)[:, 0]
    apart = np.linalg.norm(one.centre - other.centre)
    return bool(apart <= SAME_PLACE and np.linalg.norm(np.cross(*normals)) <= np.sin(np.radians(SAME_ANGLE)))


def _map_of(name: str, stacked: bool) -> str:
    """What the map of an image is called; the numbers of a stack's name are its own."""
    bare = without_numbers(name)
    return quantity_called(name) or quantity_called(bare) or safe(name if stacked else bare) or "image"


def _supposed(stacked: Sequence[Grid], timed: Sequence[str]) -> Iterator[str]:
    if stacked:
        yield (
            "A stack tells the order of its slices and not where each lies; they are taken to be as thick as it is "
            f"spaced, {stacked[0].spacing[0]:g} mm."
        )
    if timed:
        yield f"The values of {' and '.join(timed)} are taken as milliseconds: the files do not say their unit."
