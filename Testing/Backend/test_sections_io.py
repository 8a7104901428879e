"""Sections in files: every kind of file against the array it was made of, positions against ramps, and bad files."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from regsuite import io, memory
from regsuite.errors import InputError
from regsuite.io import rasters, tiffs
from regsuite.io.levels import BAND_ROWS, shrunk

HEIGHT, WIDTH = 300, 421
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
GREY = (COLUMNS * 7 + ROWS * 3).astype(np.uint16)
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1).astype(np.uint8)
TWO = np.stack([GREY, GREY[::-1]])
TILES: dict[str, Any] = {"tile": (64, 96), "compression": "zlib"}
PLANAR: dict[str, Any] = {"photometric": "rgb", "planarconfig": "separate"}

FILES: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "raw": (GREY, {}),
    "other byte order": (GREY, {"byteorder": ">"}),
    "strips": (GREY, {"rowsperstrip": 37, "compression": "zlib"}),
    "lzw": (GREY, {"rowsperstrip": 37, "compression": "lzw", "predictor": True}),
    "tiles": (GREY, TILES | {"predictor": True}),
    "raw tiles": (GREY, {"tile": (64, 96)}),
    "8 bits": (GREY.astype(np.uint8), TILES),
    "numbers": (GREY.astype(np.float32), TILES),
    "colour": (COLOUR, {"photometric": "rgb"}),
    "colour tiles": (COLOUR, TILES | {"photometric": "rgb"}),
    "colour planes": (np.moveaxis(COLOUR, -1, 0), PLANAR),
    "colour plane tiles": (np.moveaxis(COLOUR, -1, 0), TILES | PLANAR),
    "pages": (TWO, {"photometric": "minisblack"}),
    "page tiles": (TWO, TILES | {"photometric": "minisblack"}),
    "imagej": (TWO, {"imagej": True, "metadata": {"axes": "CYX"}}),
    "first plane described": (TWO, {"imagej": True, "truncate": True, "metadata": {"axes": "CYX"}}),
    "bigtiff": (GREY, TILES | {"bigtiff": True}),
}


def channels_first(array: np.ndarray) -> np.ndarray:
    """(C, H, W) of what a file was made of."""
    array = array[None] if array.ndim == 2 else array
    return np.moveaxis(array, -1, 0) if array.shape[-1] == 3 else array


def overlaps(length: int, factor: float) -> np.ndarray:
    """(n, length): how much of each of n squares' extent along an axis lies in each pixel."""
    low = np.arange(np.ceil(length / factor - 1e-9))[:, None] * factor
    pixels = np.arange(length)
    shares = np.clip(np.minimum(low + factor, pixels + 1) - np.maximum(low, pixels), 0, None)
    return shares / shares.sum(axis=1, keepdims=True)


def png(file: Path, array: np.ndarray, kind: int, *extra: tuple[bytes, bytes]) -> Path:
    """A PNG of the colour type ``kind`` by hand, with more chunks before the pixels."""
    bits = array.dtype.itemsize * 8
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], bits, kind, 0, 0, 0)
    lines = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in array)
    parts = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    ]
    file.write_bytes(rasters.PNG + b"".join(chunks))
    return file


def pyramid(file: Path, base: np.ndarray, *, flat: bool, count: int = 3, **options: Any) -> list[np.ndarray]:
    """A TIFF whose levels are block means of the first one; flat: as pages, else as SubIFDs."""
    levels = [base]
    for _ in range(count - 1):
        last = levels[-1]
        levels.append(last.reshape(last.shape[0] // 2, 2, last.shape[1] // 2, 2).mean(axis=(1, 3)).astype(base.dtype))
    with tifffile.TiffWriter(file) as writer:
        writer.write(base, subifds=0 if flat else count - 1, tile=(64, 64), metadata=None, **options)
        for level in levels[1:]:
            writer.write(level, subfiletype=1, tile=(64, 64), metadata=None)
    return levels


class TestPixels:
    @pytest.mark.parametrize("name", FILES)
    def test_are_those_stored(self, name: str, tmp_path: Path) -> None:
        array, options = FILES[name]
        tifffile.imwrite(tmp_path / "x.tif", array, **options)
        section, expected = io.open_section(tmp_path / "x.tif"), channels_first(array)
        assert (section.width, section.height, section.dtype) == (WIDTH, HEIGHT, array.dtype)
        assert len(section.channels) == len(expected)
        assert np.array_equal(section.region(0, 0, WIDTH, HEIGHT), expected)
        assert np.array_equal(section.region(97, 60, 211, 131), expected[:, 60:191, 97:308])
        assert np.array_equal(np.concatenate([band for _, band in section.bands(100)], axis=1), expected)
        assert np.array_equal(section.read(500).data[0, :, 0], expected.astype(np.float32))

    @pytest.mark.parametrize("name", ["raw", "strips", "colour tiles", "colour plane tiles", "page tiles"])
    @pytest.mark.parametrize("longest", [420, 400, 211, 77, 1])
    def test_are_averaged_over_squares(self, name: str, longest: int, tmp_path: Path) -> None:
        array, options = FILES[name]
        tifffile.imwrite(tmp_path / "x.tif", array, **options)
        image = io.open_section(tmp_path / "x.tif").read(longest)
        assert max(image.grid.shape) == longest
        down, across = overlaps(HEIGHT, WIDTH / longest), overlaps(WIDTH, WIDTH / longest)
        expected = down @ channels_first(array).astype(np.float64) @ across.T
        assert np.allclose(image.data[0, :, 0], expected, rtol=1e-6)

    def test_sitk_agrees(self, tmp_path: Path) -> None:
        for name, array in (("a.png", GREY), ("b.png", COLOUR), ("c.jpg", COLOUR), ("d.jpg", GREY.astype(np.uint8))):
            source = sitk.GetImageFromArray(array, isVector=array.ndim == 3)
            sitk.WriteImage(source, str(tmp_path / name))
            section = io.open_section(tmp_path / name)
            stored = channels_first(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name))))
            assert np.array_equal(section.region(5, 7, 200, 100), stored[:, 7:107, 5:205])
            assert section.dtype == array.dtype
            assert section.channels == (("red", "green", "blue") if array.ndim == 3 else ("1",))

    def test_opacity_is_dropped(self, tmp_path: Path) -> None:
        grey = GREY.astype(np.uint8)
        opaque = np.dstack([COLOUR, np.full_like(grey, 9)])
        file = png(tmp_path / "rgba.png", opaque, 6)
        assert np.array_equal(io.open_section(file).region(0, 0, WIDTH, HEIGHT), channels_first(COLOUR))
        file = png(tmp_path / "la.png", np.dstack([grey, grey // 2]), 4)
        assert np.array_equal(io.open_section(file).region(0, 0, WIDTH, HEIGHT), grey[None])
        tifffile.imwrite(tmp_path / "x.tif", opaque, photometric="rgb", extrasamples=["unassalpha"], **TILES)
        section = io.open_section(tmp_path / "x.tif")
        assert section.channels == ("red", "green", "blue")
        assert np.array_equal(section.region(0, 0, WIDTH, HEIGHT), channels_first(COLOUR))

    def test_indexed_colours(self, tmp_path: Path) -> None:
        index = (GREY % 3).astype(np.uint8)
        palette = np.array([[10, 20, 30], [0, 255, 7], [200, 100, 50]], dtype=np.uint8)
        expected = np.moveaxis(palette[index], -1, 0)
        file = png(tmp_path / "x.png", index, 3, (b"PLTE", palette.tobytes()))
        assert np.array_equal(io.open_section(file).region(0, 0, WIDTH, HEIGHT), expected)
        table = np.zeros((3, 256), np.uint16)
        table[:, :3] = palette.T.astype(np.uint16) << 8
        tifffile.imwrite(tmp_path / "x.tif", index, photometric="palette", colormap=table)
        section = io.open_section(tmp_path / "x.tif")
        assert (section.channels, section.dtype) == (("red", "green", "blue"), np.uint8)
        assert np.array_equal(section.region(0, 0, WIDTH, HEIGHT), expected)

    @pytest.mark.parametrize("photometric", ["rgb", "ycbcr"])
    def test_tifffile_agrees_on_jpeg_in_tiles(self, photometric: str, tmp_path: Path) -> None:
        pytest.importorskip("imagecodecs")
        smooth = np.dstack([COLUMNS // 2, ROWS // 2, ROWS // 3]).astype(np.uint8)
        tifffile.imwrite(tmp_path / "x.svs", smooth, tile=(128, 128), compression="jpeg", photometric=photometric)
        section = io.open_section(tmp_path / "x.svs")
        assert section.channels == ("red", "green", "blue")
        expected = channels_first(tifffile.imread(tmp_path / "x.svs"))
        assert np.array_equal(section.region(0, 0, WIDTH, HEIGHT), expected)
        assert np.array_equal(section.region(100, 130, 200, 40), expected[:, 130:170, 100:300])

    def test_tiles_that_are_left_out(self, tmp_path: Path) -> None:
        def tiles() -> Iterator[np.ndarray | None]:
            yield np.full((128, 128), 7, np.uint8)
            yield None

        tifffile.imwrite(tmp_path / "x.tif", tiles(), shape=(128, 200), dtype=np.uint8, tile=(128, 128))
        region = io.open_section(tmp_path / "x.tif").region(100, 0, 100, 128)[0]
        assert (region[:, :28] == 7).all()
        assert not region[:, 28:].any()

    def test_a_region_outside(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "x.tif", GREY)
        with pytest.raises(ValueError, match="outside"):
            io.open_section(tmp_path / "x.tif").region(400, 0, 22, 5)


class TestMeans:
    """Of levels in memory, whose squares are whole pixels or not."""

    @pytest.mark.parametrize("longest", range(1, 130, 3))
    def test_of_every_size(self, longest: int) -> None:
        class InMemory:
            height, width, count, step, dtype = 131, 97, 2, 10, np.dtype(float)
            array = np.random.default_rng(0).random((2, 131, 97))

            def rows(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
                return self.array[:, top:bottom, left:right]

        factor = 131 / longest
        expected = overlaps(131, factor) @ InMemory.array @ overlaps(97, factor).T
        assert shrunk(InMemory(), factor).shape == expected.shape
        assert np.allclose(shrunk(InMemory(), factor), expected, rtol=1e-6)


class TestDecoding:
    """Only what is needed is unpacked, and nothing twice."""

    @pytest.fixture
    def counted(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
        calls: list[tuple[int, int]] = []
        decode = tiffs.decoded

        def counting(page: Any, index: int) -> np.ndarray:
            calls.append((page.imagewidth, index))
            return decode(page, index)

        monkeypatch.setattr(tiffs, "decoded", counting)
        return calls

    def test_each_tile_once(self, counted: list[tuple[int, int]], tmp_path: Path) -> None:
        base = np.zeros((2048, 3072), np.uint8)
        tifffile.imwrite(tmp_path / "x.tif", base, tile=(256, 256), compression="zlib")
        section = io.open_section(tmp_path / "x.tif")
        assert not counted
        section.read(300)
        assert sorted(counted) == [(3072, n) for n in range(8 * 12)]
        counted.clear()
        assert [top for top, _ in section.bands(600)] == [0, 512, 1024, 1536]
        assert len(counted) == len(set(counted)) == 96
        counted.clear()
        section.region(256, 512, 300, 10)
        assert [index for _, index in counted] == [2 * 12 + 1, 2 * 12 + 2]

    @pytest.mark.parametrize("flat", [True, False])
    def test_the_smallest_level_that_will_do(self, flat: bool, counted: list[tuple[int, int]], tmp_path: Path) -> None:
        pyramid(tmp_path / "x.tif", np.zeros((512, 1024), np.uint8), flat=flat, count=4, compression="zlib")
        section = io.open_section(tmp_path / "x.tif")
        assert section.levels == ((1024, 512), (512, 256), (256, 128), (128, 64))
        for longest, width in ((1024, 1024), (513, 1024), (512, 512), (300, 512), (256, 256), (200, 256), (50, 128)):
            counted.clear()
            section.read(longest)
            assert {wide for wide, _ in counted} == {width}

    def test_low_strips_are_read_together(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "x.tif", GREY, rowsperstrip=1, compression="zlib")
        assert [top for top, _ in io.open_section(tmp_path / "x.tif").bands(1)] == list(range(0, HEIGHT, BAND_ROWS))


class TestPositions:
    def test_where_slicer_puts_a_picture(self, tmp_path: Path) -> None:
        sitk.WriteImage(sitk.GetImageFromArray(GREY), str(tmp_path / "x.png"))
        source = sitk.ReadImage(str(tmp_path / "x.png"))
        source.SetSpacing((0.5, 0.25))
        grid = io.open_section(tmp_path / "x.png").read(500, pixel=(0.5, 0.25)).grid
        left, back = source.TransformIndexToPhysicalPoint((17, 40))
        assert np.allclose(grid.to_world((0, 40, 17)), [-left, -back, 0])
        assert grid.shape == (1, HEIGHT, WIDTH)
        assert np.allclose(grid.affine[:3, :3], [[0, 0, -0.5], [0, -0.25, 0], [0.5, 0, 0]])

    @pytest.mark.parametrize("flat", [True, False])
    @pytest.mark.parametrize("longest", [1024, 600, 256, 100, 64])
    def test_a_ramp_has_the_same_values_at_every_level(self, flat: bool, longest: int, tmp_path: Path) -> None:
        """Values that are columns and rows at full resolution are where they say they are, also after averaging."""
        pixel = (0.002, 0.003)
        rows, columns = np.mgrid[:512, :1024].astype(np.float32)
        for axis, ramp in enumerate((columns, rows)):
            pyramid(tmp_path / "x.tif", ramp, flat=flat)
            image = io.open_section(tmp_path / "x.tif").read(longest, pixel=pixel)
            expected = -image.grid.points()[..., axis] / pixel[axis]
            cut = 0 if 1024 % longest == 0 else 0.13 * 2  # stairs of two pixels, cut anywhere, against a straight line
            inside = (slice(None), slice(0, -1), slice(0, -1))  # the last ones may be smaller
            assert np.allclose(image.data[0, 0][inside], expected[inside], atol=1e-3 + cut)

    @pytest.mark.parametrize(("rows", "columns"), [(250, 350), (251, 351)])
    def test_levels_rounded_either_way_have_whole_steps(self, rows: int, columns: int, tmp_path: Path) -> None:
        with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
            writer.write(np.zeros((501, 701), np.uint8), subifds=1, metadata=None)
            writer.write(np.zeros((rows, columns), np.uint8), subfiletype=1, metadata=None)
        grid = io.open_section(tmp_path / "x.tif").read(columns, 0.1).grid
        assert grid.shape == (1, rows, columns)
        assert np.allclose(grid.spacing[1:], 0.2)
        assert np.allclose(grid.origin, [-0.05, -0.05, 0])

    def test_without_a_pixel_size(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "x.tif", GREY)
        section = io.open_section(tmp_path / "x.tif")
        assert section.pixel is None
        assert section.read(500).grid.spacing[1:] == (1.0, 1.0)
        assert section.read(500, pixel=0.5).grid.spacing[1:] == (0.5, 0.5)


def ome(**fields: Any) -> dict[str, Any]:
    return {"ome": True, "metadata": {"axes": "YX"} | fields}


def resolution(per_unit: float, unit: str) -> dict[str, Any]:
    return {"resolution": (per_unit, per_unit), "resolutionunit": unit, "metadata": None}


class TestMetadata:
    @pytest.mark.parametrize(
        ("options", "pixel"),
        [
            ({}, None),
            (ome(PhysicalSizeX=0.65, PhysicalSizeY=0.5), (0.00065, 0.0005)),
            (ome(PhysicalSizeX=650, PhysicalSizeXUnit="nm", PhysicalSizeY=1, PhysicalSizeYUnit="µm"), (0.00065, 0.001)),
            (ome(PhysicalSizeX=0.1, PhysicalSizeXUnit="mm", PhysicalSizeY=0.1, PhysicalSizeYUnit="mm"), (0.1, 0.1)),
            (ome(PhysicalSizeX=3, PhysicalSizeXUnit="pixel", PhysicalSizeY=3, PhysicalSizeYUnit="pixel"), None),
            (ome(), None),
            ({"imagej": True, "resolution": (2, 4), "metadata": {"unit": "um"}}, (0.0005, 0.00025)),
            ({"imagej": True, "resolution": (2, 2), "metadata": {"unit": "pixel"}}, None),
            ({"description": "Aperio Image Library v1\r\nx [0,0] |AppMag = 20|MPP = 0.5|x = 1"}, (0.0005, 0.0005)),
            (resolution(20000, "CENTIMETER"), (0.0005, 0.0005)),
            (resolution(25400, "INCH"), (0.001, 0.001)),
            (resolution(20000, "NONE"), None),
            *((resolution(dpi, "INCH"), None) for dpi in (1, 72, 96, 150, 300, 600)),
        ],
    )
    def test_size_of_a_pixel(self, options: dict[str, Any], pixel: tuple[float, float] | None, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "x.tif", GREY, **options)
        assert io.open_section(tmp_path / "x.tif").pixel == (pytest.approx(pixel) if pixel else None)

    @pytest.mark.parametrize(
        ("per_metre", "unit", "pixel"),
        [(2_000_000, 1, 0.0005), (2835, 1, None), (11811, 1, None), (2_000_000, 0, None)],
    )
    def test_size_of_a_pixel_of_a_png(self, per_metre: int, unit: int, pixel: float | None, tmp_path: Path) -> None:
        file = png(tmp_path / "x.png", GREY, 0, (b"pHYs", struct.pack(">IIB", per_metre, per_metre, unit)))
        assert io.open_section(file).pixel == (pytest.approx((pixel, pixel)) if pixel else None)

    def test_names_of_channels(self, tmp_path: Path) -> None:
        named = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
        tifffile.imwrite(tmp_path / "x.ome.tif", TWO, metadata=named, photometric="minisblack")
        section = io.open_section(tmp_path / "x.ome.tif")
        assert (section.name, section.channels) == ("x", ("DAPI", "GFP"))
        tifffile.imwrite(tmp_path / "y.ome.tif", COLOUR, photometric="rgb")
        assert io.open_section(tmp_path / "y.ome.tif").channels == ("red", "green", "blue")
        three = np.stack([GREY, GREY, GREY])
        tifffile.imwrite(tmp_path / "z.tif", three, photometric="minisblack")
        assert io.open_section(tmp_path / "z.tif").channels == ("1", "2", "3")

    def test_thumbnails_are_left_alone(self, tmp_path: Path) -> None:
        with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
            writer.write(GREY, metadata=None)
            writer.write(COLOUR[:90, :100], metadata=None, photometric="rgb")
        assert io.open_section(tmp_path / "x.tif").levels == ((WIDTH, HEIGHT),)


def half(file: Path, share: float = 0.5) -> Path:
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    return file


def tiff(array: np.ndarray, **options: Any) -> Callable[[Path], object]:
    return lambda file: tifffile.imwrite(file, array, **options)


def cut_tiff(file: Path) -> None:
    """The pixels come last; the directory at the beginning is whole."""
    tifffile.imwrite(file, GREY)
    half(file, 0.9)


def cut_imagej(file: Path) -> None:
    """Large ImageJ files describe their first plane only."""
    tifffile.imwrite(file, TWO, imagej=True, truncate=True, metadata={"axes": "CYX"})
    half(file, 0.9)


def cut_jpeg(file: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(COLOUR, isVector=True), str(file))
    half(file)


def two_pictures(file: Path) -> None:
    with tifffile.TiffWriter(file) as writer:
        writer.write(GREY, metadata=None)
        writer.write(COLOUR[:200, :300], metadata=None, photometric="rgb")


def ome_with_entities(file: Path) -> None:
    text = '<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY a "b">]><OME><Image><Pixels/></Image></OME>'
    tifffile.imwrite(file, GREY, description=text, metadata=None)


class TestSectionsThatCannotBeRead:
    @pytest.mark.parametrize(
        ("make", "name", "sentence"),
        [
            (lambda file: None, "x.tif", "does not exist"),
            (lambda file: file.mkdir(), "x.tif", "is a folder"),
            (lambda file: file.write_bytes(b""), "x.tif", "is not a picture"),
            (lambda file: file.write_text("hello"), "x.png", "is not a picture"),
            (lambda file: file.write_bytes(b"GIF89a" + bytes(99)), "x.gif", "is not a picture"),
            (lambda file: file.write_bytes(b"II*\0" + bytes(4)), "x.tif", "holds no picture|cannot be read"),
            (lambda file: file.write_bytes(b"II*\0\xff\xff\xff\x7f"), "x.tif", "holds no picture|cannot be read"),
            (lambda file: png(file, np.zeros((0, 4), np.uint8), 0), "x.png", "cannot be read"),
            (lambda file: png(file, GREY, 0, (b"acTL", bytes(8))), "x.png", "is an animation"),
            (lambda file: file.write_bytes(rasters.PNG), "x.png", "cannot be read"),
            (cut_jpeg, "x.jpg", "is cut off"),
            (cut_tiff, "x.tif", "is cut off"),
            (cut_imagej, "x.tif", "is cut off"),
            (tiff(np.stack([GREY] * 6), photometric="minisblack"), "x.tif", "holds 6 pages"),
            (tiff(TWO, ome=True, metadata={"axes": "ZYX"}), "x.ome.tif", "has 2 planes in depth"),
            (tiff(TWO, imagej=True, metadata={"axes": "TYX"}), "x.tif", "has 2 points in time"),
            (tiff(GREY.astype(np.complex64)), "x.tif", "complex numbers"),
            (two_pictures, "x.tif", "holds 2 pictures"),
            (ome_with_entities, "x.ome.tif", "not safe to read"),
        ],
    )
    def test_says_why(self, make: Callable[[Path], object], name: str, sentence: str, tmp_path: Path) -> None:
        make(tmp_path / name)
        with pytest.raises(InputError, match=sentence) as caught:
            io.open_section(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_png_that_is_cut_off(self, tmp_path: Path) -> None:
        section = io.open_section(half(png(tmp_path / "x.png", GREY, 0)))
        with pytest.raises(InputError, match="may be damaged"):
            section.read(100)

    def test_a_tile_that_is_damaged(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "x.tif", GREY, **TILES)
        with tifffile.TiffFile(tmp_path / "x.tif") as file:
            start, length = file.pages[0].dataoffsets[7], file.pages[0].databytecounts[7]
        content = bytearray((tmp_path / "x.tif").read_bytes())
        content[start : start + length] = bytes(length)
        (tmp_path / "x.tif").write_bytes(bytes(content))
        section = io.open_section(tmp_path / "x.tif")
        assert section.region(0, 0, 10, 10).shape == (1, 10, 10)
        with pytest.raises(InputError, match="may be damaged"):
            section.read(100)

    def test_a_file_that_went_away(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "x.tif", GREY)
        section = io.open_section(tmp_path / "x.tif")
        (tmp_path / "x.tif").unlink()
        with pytest.raises(InputError, match="does not exist"):
            section.read(100)

    def test_a_compression_without_its_codec(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tifffile.imwrite(tmp_path / "x.tif", GREY, compression="lzw")
        monkeypatch.setattr(tifffile.TIFF, "DECOMPRESSORS", {})
        with pytest.raises(InputError, match=r"compressed with LZW.*'imagecodecs'"):
            io.open_section(tmp_path / "x.tif")

    def test_without_tifffile(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tifffile.imwrite(tmp_path / "x.tif", GREY)
        monkeypatch.setitem(sys.modules, "tifffile", None)
        with pytest.raises(InputError, match="need the Python package 'tifffile'"):
            io.open_section(tmp_path / "x.tif")

    def test_the_size_is_weighed_against_the_memory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tifffile.imwrite(tmp_path / "x.tif", GREY, rowsperstrip=HEIGHT, compression="zlib")
        section = io.open_section(png(tmp_path / "x.png", GREY, 0))
        monkeypatch.setattr(memory, "available_memory", lambda: 1000)
        with pytest.raises(InputError, match="packed in one piece and needs"):
            io.open_section(tmp_path / "x.tif")
        with pytest.raises(InputError, match="of memory to be unpacked"):
            section.read(100)

    def test_importing_needs_no_tifffile(self) -> None:
        code = "import sys, regsuite.io; assert 'tifffile' not in sys.modules and 'imagecodecs' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], check=True)


class TestFolders:
    def test_natural_order(self, tmp_path: Path) -> None:
        for name in ("b_s10.png", "b_s2.TIF", "b_s002a.svs", "B_s1.jpg", "notes.txt", ".hidden.png", "a.json"):
            (tmp_path / name).touch()
        (tmp_path / "more.png").mkdir()
        found = io.find_sections(tmp_path)
        assert [file.name for file in found.files] == ["B_s1.jpg", "b_s2.TIF", "b_s002a.svs", "b_s10.png"]
        assert [file.name for file in found.others] == ["a.json", "notes.txt"]

    @pytest.mark.parametrize(
        ("names", "numbers"),
        [
            (["x1_s054.png", "x1_s084_v2.png"], [54, 84]),
            (["mouse3_slice7.tif", "mouse3_slice12.ome.tif"], [7, 12]),
            (["s4_ch0.png", "s5_ch0.png"], [1, 2]),
            (["front.png", "back.png"], [1, 2]),
            (["a_s3.png", "b7.png"], [3, 7]),
        ],
    )
    def test_numbers(self, names: list[str], numbers: list[int]) -> None:
        assert io.section_numbers(names) == numbers

    def test_without_sections(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        for path, sentence in (
            (tmp_path, "holds no sections"),
            (tmp_path / "notes.txt", "is a file"),
            (tmp_path / "nowhere", "does not exist"),
        ):
            with pytest.raises(InputError, match=sentence):
                io.find_sections(path)


def in_bands(array: np.ndarray, rows: int) -> Iterator[tuple[int, np.ndarray]]:
    """(h, W) or (3, h, W) a time."""
    for top in range(0, array.shape[-2], rows):
        yield top, array[..., top : top + rows, :]


class TestPyramids:
    LABELS = np.add.outer(np.arange(1501) // 7 * 300, np.arange(2305) // 5).astype(np.uint32)

    @pytest.mark.parametrize(
        ("rows", "dtype"), [(97, np.uint32), (512, np.uint32), (1501, np.uint32), (1000, np.uint16)]
    )
    def test_labels(self, rows: int, dtype: Any, tmp_path: Path) -> None:
        labels = self.LABELS % np.iinfo(dtype).max
        io.write_labels_tiff(tmp_path / "x.ome.tif", in_bands(labels, rows), 2305, 1501, dtype, (0.0005, 0.00025))
        with tifffile.TiffFile(tmp_path / "x.ome.tif") as file:
            assert (file.is_ome, file.pages[0].is_tiled, file.series[0].dtype) == (True, True, dtype)
            assert file.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE
            levels = [level.asarray() for level in file.series[0].levels]
        assert [level.shape for level in levels] == [(1501, 2305), (751, 1153), (376, 577)]
        for number, level in enumerate(levels):
            assert np.array_equal(level, labels[:: 2**number, :: 2**number])
        section = io.open_section(tmp_path / "x.ome.tif")
        assert section.pixel == pytest.approx((0.0005, 0.00025))
        assert np.array_equal(section.region(0, 0, 2305, 1501)[0], labels)
        assert [file.name for file in tmp_path.iterdir()] == ["x.ome.tif"]

    def test_colours(self, tmp_path: Path) -> None:
        colours = np.stack([self.LABELS % 251, self.LABELS % 241, self.LABELS % 199]).astype(np.uint8)
        io.write_labels_tiff(tmp_path / "x.tif", in_bands(colours, 300), 2305, 1501, np.uint8)
        section = io.open_section(tmp_path / "x.tif")
        assert (section.channels, section.pixel) == (("red", "green", "blue"), None)
        assert np.array_equal(section.region(0, 0, 2305, 1501), colours)
        means = colours[:, :1500, :2304].reshape(3, 750, 2, 1152, 2).mean(axis=(2, 4))
        assert np.abs(section.read(1153).data[0, :, 0, :750, :1152].numpy() - means).max() <= 0.5

    @pytest.mark.parametrize(
        ("bands", "sentence"),
        [
            ([(0, LABELS[:100]), (200, LABELS[200:])], "does not follow 100 rows"),
            ([(0, LABELS[:100])], "100 rows of 1501"),
            ([(0, LABELS[:, :7])], "does not follow"),
            ([(0, LABELS.astype(np.int64) - 1)], "do not fit into uint32"),
        ],
    )
    def test_bands_that_do_not_fit_leave_nothing(
        self, bands: list[tuple[int, np.ndarray]], sentence: str, tmp_path: Path
    ) -> None:
        with pytest.raises(ValueError, match=sentence):
            io.write_labels_tiff(tmp_path / "x.tif", iter(bands), 2305, 1501, np.uint32)
        assert not list(tmp_path.iterdir())

    def test_paths_that_cannot_be_written(self, tmp_path: Path) -> None:
        for name, sentence in (("x.png", "use one of"), ("nowhere/x.tif", "does not exist")):
            with pytest.raises(InputError, match=sentence):
                io.write_labels_tiff(tmp_path / name, in_bands(self.LABELS, 500), 2305, 1501, np.uint32)
