"""Full-resolution results as tiled, pyramidal OME-TIFF, written a band of rows at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from regsuite.io.files import ending, replacing
from regsuite.io.pixels import Pixel
from regsuite.io.tiff_checks import tifffile_module

TILE = 512
_SMALLEST_LEVEL = 1024
"""No level is stored below a picture of this many pixels on the longer side."""

_ENDINGS = (".ome.tif", ".ome.tiff", ".tif", ".tiff")
_MICROMETRES, _CENTIMETRE = 1000.0, 10.0

Bands = Iterable[tuple[int, np.ndarray]]


def write_labels_tiff(
    path: Path | str, bands: Bands, width: int, height: int, dtype: Any = np.uint16, pixel: Pixel | None = None
) -> None:
    """Labels, or a picture in red, green and blue, as a tiled, deflated pyramidal OME-TIFF.

    bands: (first row, array) in order, from the first row to the last; arrays (h, W) hold labels and (3, h, W) colours.
    dtype: uint8, uint16 or uint32. pixel: mm along a row and down a column. Smaller levels take every second pixel of
    labels and the mean of four of colours. InputError where the file cannot be written; ValueError where the bands do
    not cover the picture or hold labels that ``dtype`` cannot. At most a band and a row of tiles are in memory.
    """
    tifffile = tifffile_module()
    ending(path, _ENDINGS, "a pyramid")
    with replacing(path) as draft:
        rows = _checked(bands, width, height, np.dtype(dtype))
        first = next(rows)
        sizes = _sizes(width, height)
        with (
            tifffile.TiffWriter(draft, ome=True, bigtiff=4 * width * height * first.itemsize > 1 << 31) as writer,
            tempfile.TemporaryDirectory(dir=draft.parent) as folder,
        ):
            source: Iterator[np.ndarray] = _joined(first, rows)
            for number, (wide, high) in enumerate(sizes):
                more = number + 1 < len(sizes)
                with open(Path(folder) / str(number), "w+b") as store:
                    kept = _halving(source, store) if more else source
                    writer.write(_tiles(kept), **_options(first, wide, high, number, len(sizes), pixel))
                if more:
                    source = _stored(Path(folder) / str(number), first, sizes[number + 1])


def _sizes(width: int, height: int) -> list[tuple[int, int]]:
    sizes = [(width, height)]
    while max(sizes[-1]) > _SMALLEST_LEVEL:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


def _options(band: np.ndarray, width: int, height: int, number: int, count: int, pixel: Pixel | None) -> dict[str, Any]:
    colour = band.ndim == 3
    options: dict[str, Any] = {
        "shape": (height, width, 3) if colour else (height, width),
        "dtype": band.dtype,
        "tile": (TILE, TILE),
        "compression": "zlib",
        "photometric": "rgb" if colour else "minisblack",
    }
    if pixel is not None:
        options["resolution"] = tuple(_CENTIMETRE / (size * 2**number) for size in pixel)
        options["resolutionunit"] = "CENTIMETER"
    if number:
        return options | {"subfiletype": 1, "metadata": None}
    metadata: dict[str, Any] = {"axes": "YXS" if colour else "YX"}
    for axis, size in zip("XY", pixel or (), strict=False):
        metadata |= {f"PhysicalSize{axis}": size * _MICROMETRES, f"PhysicalSize{axis}Unit": "µm"}
    return options | {"subifds": count - 1, "metadata": metadata}


def _checked(bands: Bands, width: int, height: int, dtype: np.dtype) -> Iterator[np.ndarray]:
    """The bands as (h, W) or (h, W, 3) of ``dtype``; ValueError where rows are missing or values do not fit."""
    expected = 0
    limits = np.iinfo(dtype)
    for top, band in bands:
        if top != expected or band.shape[-1] != width or band.ndim not in (2, 3):
            raise ValueError(f"a band {band.shape} at row {top} does not follow {expected} rows of {width} pixels")
        if band.size and (band.min() < limits.min or band.max() > limits.max):
            raise ValueError(f"values {band.min()} to {band.max()} do not fit into {dtype}")
        expected += band.shape[-2]
        yield np.ascontiguousarray(np.moveaxis(band, 0, -1) if band.ndim == 3 else band, dtype=dtype)
    if expected != height:
        raise ValueError(f"the bands have {expected} rows of {height}")


def _joined(first: np.ndarray, rest: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Bands of TILE rows, the last one lower."""
    waiting = first
    for band in rest:
        waiting = np.concatenate([waiting, band])
        while len(waiting) > TILE:
            yield waiting[:TILE]
            waiting = waiting[TILE:]
    for top in range(0, len(waiting), TILE):
        yield waiting[top : top + TILE]


def _tiles(bands: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Whole tiles, those at the end filled up with 0."""
    for band in bands:
        for left in range(0, band.shape[1], TILE):
            part = band[:, left : left + TILE]
            tile = np.zeros((TILE, TILE, *band.shape[2:]), dtype=band.dtype)
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


def _halving(bands: Iterator[np.ndarray], store: IO[bytes]) -> Iterator[np.ndarray]:
    """The bands unchanged; ``store`` gets each at half its size. All but the last have an even number of rows."""
    for band in bands:
        store.write(_half(band).tobytes())
        yield band


def _half(band: np.ndarray) -> np.ndarray:
    if band.ndim == 2:
        return band[::2, ::2]
    odd = [(0, band.shape[0] % 2), (0, band.shape[1] % 2), (0, 0)]
    full = np.pad(band, odd, mode="edge").astype(np.uint32)
    rounded = (full[::2, ::2] + full[1::2, ::2] + full[::2, 1::2] + full[1::2, 1::2] + 2) // 4
    return rounded.astype(band.dtype)


def _stored(file: Path, like: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Bands of TILE rows of what ``_halving`` kept."""
    inner = like.shape[2:]
    line = size[0] * int(np.prod(inner, dtype=int))
    with file.open("rb") as stream:
        for top in range(0, size[1], TILE):
            rows = min(TILE, size[1] - top)
            yield np.fromfile(stream, dtype=like.dtype, count=rows * line).reshape(rows, size[0], *inner)
