"""Sections under the microscope: PNG, JPEG, TIFF, OME-TIFF and whole-slide pyramids, from small to gigapixels.

A section is one picture of one or more channels. It lies where ITK and Slicer put a picture: columns run to L, rows to
P in the axial plane S = 0, and the centre of the first full-resolution pixel is the origin. A smaller level of it
covers the same area, so its first voxel's centre is half a block less half a pixel away from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from regsuite.errors import InputError
from regsuite.io import tiffs
from regsuite.io.files import existing, existing_file
from regsuite.io.images import read_image
from regsuite.io.levels import Level, bands, shrunk
from regsuite.io.pixels import COLOURS, Pixel, channels_of, pixel_of
from regsuite.io.rasters import JPEG, PNG, RasterLevel, png_pixel
from regsuite.spatial import Grid, Image, SectionSet

SECTION_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".btf", ".tf2", ".tf8", ".svs", ".ndpi", ".scn", ".bif")

STAND_IN_PIXEL = 1.0
"""mm. Taken where neither the file nor the caller knows the size of a pixel, as ITK and Slicer do."""
LONGEST = 2048
"""Pixels on the longer side of a section that is worked on; a file may hold many more."""

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NUMBER = re.compile(r"\d+")
_MARKED_NUMBER = re.compile(r"_s(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class SectionFile:
    """What a section's file holds, its pixels unread.

    width, height: pixels at full resolution; dtype: as stored; pixel: mm along a row and down a column, or None where
    the file does not say; levels: (width, height) of the stored resolutions, the largest first.
    """

    path: Path
    name: str
    width: int
    height: int
    channels: tuple[str, ...]
    dtype: np.dtype
    pixel: Pixel | None
    levels: tuple[tuple[int, int], ...]

    def read(self, longest: int, pixel: float | Pixel | None = None) -> Image:
        """(1, C, 1, H, W) float32, values as stored, at most ``longest`` pixels on the longer side.

        It comes from the smallest level that is not smaller than that, averaged over squares. pixel: mm at full
        resolution, in place of what the file says. InputError where the file cannot be read.
        """
        if longest < 1:
            raise ValueError(f"a section has a positive size, not {longest}")
        size = _pair(pixel) if pixel is not None else self.pixel or (STAND_IN_PIXEL, STAND_IN_PIXEL)
        with _opened(self.path) as levels:
            fitting = [level for level in levels if max(level.width, level.height) >= longest]
            level = fitting[-1] if fitting else levels[0]
            factor = max(1.0, max(level.width, level.height) / longest)
            steps = (_ratio(self.width, level.width) * factor, _ratio(self.height, level.height) * factor)
            array = shrunk(level, factor)
        grid = section_grid(array.shape[2], array.shape[1], size, steps)
        return Image(torch.from_numpy(array)[None, :, None], grid, self.name)

    def bands(self, rows: int = 1024) -> Iterator[tuple[int, np.ndarray]]:
        """Full resolution, about ``rows`` rows at a time: the first row and (C, h, W) as stored."""
        with _opened(self.path) as levels:
            yield from bands(levels[0], rows)

    def region(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """(C, height, width) at full resolution from column x and row y, as stored; ValueError outside the section."""
        if not (0 <= x < x + width <= self.width and 0 <= y < y + height <= self.height):
            raise ValueError(f"columns from {x}, rows from {y}, {width} x {height} lie outside the section")
        with _opened(self.path) as levels:
            return levels[0].rows(y, y + height, x, x + width)


def open_section(path: Path | str) -> SectionFile:
    """What a section's file holds. InputError where it is missing, damaged or not one flat picture."""
    file = existing_file(path, "section")
    if _kind(file) == "raster":
        raster = RasterLevel(file)
        channels = COLOURS if raster.colour else tuple(str(n + 1) for n in range(raster.count))
        return _described(file, [raster], channels, png_pixel(file))
    with tiffs.opened(file) as (series, levels):
        channels = channels_of(series, levels[0].count, levels[0].colour)
        return _described(file, levels, channels, pixel_of(series))


def read_section(path: Path | str, longest: int = LONGEST) -> Image:
    """A section to be worked on, at most ``longest`` pixels long: (1, C, 1, H, W), of a picture or of a volume of one
    slice, which is read whole.

    InputError where the file cannot be read.
    """
    if ending_of(path) is None:
        return as_slice(read_image(path))
    return open_section(path).read(longest)


def read_sections(paths: Sequence[Path | str]) -> SectionSet:
    """A series, of files or of folders of them, in the order of its numbers; at most 1024 pixels long each.

    InputError where there is none, one cannot be read, or two have one name.
    """
    files = sections_in(paths)
    names = [section_name(file) for file in files]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"Two sections are called '{repeated[0]}': give each a name of its own.")
    placed = sorted(zip(section_numbers(files), files, strict=True))
    return SectionSet([read_section(file, LONGEST // 2) for _, file in placed], [number for number, _ in placed])


def sections_in(paths: Sequence[Path | str]) -> list[Path]:
    """The files of a series, given as files or as folders of them. InputError where there is none."""
    files = [file for path in paths for file in (find_sections(path).files if Path(path).is_dir() else [Path(path)])]
    if not files:
        raise InputError("No section was given: give files, or a folder of them.")
    return files


def ending_of(path: Path | str) -> str | None:
    """Which of the endings of pictures it has."""
    return next((one for one in SECTION_ENDINGS if str(path).lower().endswith(one)), None)


def as_slice(image: Image) -> Image:
    """A 2D image as the single slice it is in space, in the axial plane S = 0."""
    if image.grid.dim == 3:
        return image
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[:2, 1:3], affine[:2, 3] = image.grid.affine[:2, :2], image.grid.affine[:2, 2]
    affine[:3, 0] = (0, 0, image.grid.spacing[1])
    return Image(image.data[:, :, None], Grid.from_affine((1, *image.grid.shape), affine), image.name)


def section_grid(width: int, height: int, pixel: Pixel, steps: tuple[float, float] = (1, 1)) -> Grid:
    """Where a section lies whose voxels are ``steps`` full-resolution pixels of ``pixel`` mm each; shape (1, H, W).

    It is as thick as a voxel is wide.
    """
    across, down = pixel[0] * steps[0], pixel[1] * steps[1]
    affine = np.zeros((4, 4))
    affine[:3, :3] = [[0, 0, -across], [0, -down, 0], [across, 0, 0]]
    affine[:, 3] = [(pixel[0] - across) / 2, (pixel[1] - down) / 2, 0, 1]
    return Grid.from_affine((1, height, width), affine + 0.0)


def stored_pixel(grid: Grid) -> float:
    """mm: of a pixel as the file has it, of a section on the grid that :func:`section_grid` gave it; its voxels' width
    where the grid is another."""
    axis = grid.shape.index(1) if 1 in grid.shape else 0
    across, down = (grid.spacing[each] for each in (2, 1)) if axis == 0 else (min(grid.spacing), 0.0)
    found = across + 2 * grid.origin[0], down + 2 * grid.origin[1]
    whole = 0 < found[0] <= across * 1.001 and abs(found[0] / across - found[1] / max(down, 1e-9)) < 0.01
    return found[0] if whole else across


class FoundSections(NamedTuple):
    """The section files of a folder in the order of their numbers, and the other files in it."""

    files: list[Path]
    others: list[Path]


def find_sections(folder: Path | str) -> FoundSections:
    """The sections of a folder in natural order, s2 before s10. InputError where there is none."""
    place = existing(folder, "folder of sections")
    if not place.is_dir():
        raise InputError(f"'{folder}' is a file, and a folder of sections is needed: give the folder it lies in.")
    files = sorted((file for file in place.iterdir() if file.is_file() and file.name[0] != "."), key=_natural)
    sections = [file for file in files if file.name.lower().endswith(SECTION_ENDINGS)]
    if not sections:
        raise InputError(f"The folder '{folder}' holds no sections: put PNG, JPEG or TIFF files into it.")
    return FoundSections(sections, [file for file in files if file not in sections])


def section_numbers(files: Sequence[Path | str]) -> list[int]:
    """A number for each file, all different: that after '_s' in its name, else the last one, else its place from 1."""
    names = [section_name(file) for file in files]
    for pattern in (_MARKED_NUMBER, _NUMBER):
        found = [pattern.findall(name) for name in names]
        numbers = [int(texts[-1]) for texts in found if texts]
        if len(set(numbers)) == len(names):
            return numbers
    return list(range(1, len(names) + 1))


def section_name(path: Path | str) -> str:
    """The file's name without its ending."""
    name = Path(path).stem
    return name[:-4] if name.lower().endswith(".ome") else name


def _natural(file: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", file.name.lower())]


def _kind(file: Path) -> str:
    """'raster' or 'tiff', from what the file begins with. InputError where it is neither."""
    with file.open("rb") as stream:
        head = stream.read(len(PNG))
    if head == PNG or head.startswith(JPEG):
        return "raster"
    if head.startswith(_TIFF):
        return "tiff"
    raise InputError(f"The section '{file}' is not a picture that can be read: give PNG, JPEG or TIFF.")


@contextmanager
def _opened(file: Path) -> Iterator[Sequence[Level]]:
    existing_file(file, "section")
    if _kind(file) == "raster":
        yield [RasterLevel(file)]
        return
    with tiffs.opened(file) as (_, levels):
        yield levels


def _described(file: Path, levels: Sequence[Level], channels: tuple[str, ...], pixel: Pixel | None) -> SectionFile:
    first = levels[0]
    sizes = tuple((level.width, level.height) for level in levels)
    return SectionFile(file, section_name(file), first.width, first.height, channels, first.dtype, pixel, sizes)


def _ratio(full: int, stored: int) -> float:
    """Full-resolution pixels a stored one: a whole number where rounding alone explains the rest."""
    whole = round(full / stored)
    return whole if full // whole <= stored <= -(-full // whole) else full / stored


def _pair(pixel: float | Pixel) -> Pixel:
    return (float(pixel), float(pixel)) if isinstance(pixel, (int, float)) else (float(pixel[0]), float(pixel[1]))
