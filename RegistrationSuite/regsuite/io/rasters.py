"""PNG and JPEG pictures through SimpleITK, which unpacks them whole."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from regsuite import memory
from regsuite.errors import InputError
from regsuite.io.levels import BAND_ROWS
from regsuite.io.pixels import Pixel, plausible

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
"""What the files begin with."""

_JPEG_END, _TAIL = b"\xff\xd9", 1 << 16
"""What a JPEG ends with, and how many bytes may follow it."""

_PER_METRE, _HEADER_LENGTH, _GREY_WITH_OPACITY = 1, 13, 4
"""Of a PNG: pHYs's unit, the bytes of IHDR, and one of its colour types."""

_WIDE = (sitk.sitkUInt16, sitk.sitkVectorUInt16)


class RasterLevel:
    """A :class:`~regsuite.io.levels.Level` of a PNG or JPEG; its pixels are read when they are first asked for.

    InputError where the file is damaged, animated or larger than the memory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._array: np.ndarray | None = None
        self._grey_opaque = _is_grey_with_opacity(path)
        self.width, self.height, stored, self.dtype = self._described()
        self.count = stored - (stored in (2, 4))
        self.step = BAND_ROWS
        self._needed = 2 * stored * self.width * self.height * self.dtype.itemsize

    @property
    def colour(self) -> bool:
        """Whether the channels are red, green and blue."""
        return self.count == 3

    def rows(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """(C, bottom - top, right - left), as stored."""
        if self._array is None:
            self._array = self._read()
        return self._array[:, top:bottom, left:right]

    def _described(self) -> tuple[int, int, int, np.dtype]:
        """Width, height, values a pixel and their type."""
        is_png = _begins(self._path, PNG)
        if any(name == b"acTL" for name, _ in _chunks(self._path)):
            raise InputError(f"The section '{self._path}' is an animation, and one picture is needed: save one frame.")
        if not is_png and not _is_complete(self._path):
            raise InputError(f"The section '{self._path}' is cut off, its last pixels are missing: get the file again.")
        if self._grey_opaque:
            width, height, bits = struct.unpack(">IIB", _first_chunk(self._path)[:9])
            return width, height, 2, np.dtype(np.uint16 if bits == 16 else np.uint8)
        reader = self._reader()
        width, height = reader.GetSize()[:2]
        dtype = np.dtype(np.uint16 if reader.GetPixelID() in _WIDE else np.uint8)
        return width, height, reader.GetNumberOfComponents(), dtype

    def _reader(self) -> sitk.ImageFileReader:
        """One that has read the header."""
        reader = sitk.ImageFileReader()
        reader.SetImageIO("PNGImageIO" if _begins(self._path, PNG) else "JPEGImageIO")
        reader.SetFileName(str(self._path))
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            raise self._damaged() from None
        return reader

    def _read(self) -> np.ndarray:
        available = memory.available_memory()
        if available is not None and self._needed > available:
            raise InputError(
                f"The section '{self._path}' needs {memory.text_of(self._needed)} of memory to be unpacked, and "
                f"{memory.text_of(available)} are free: save it as a tiled or pyramidal TIFF."
            )
        try:
            array = self._unpacked()
        except RuntimeError:
            raise self._damaged() from None
        array = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
        return array[: self.count]

    def _unpacked(self) -> np.ndarray:
        """(H, W) or (H, W, values)."""
        if not self._grey_opaque:
            return sitk.GetArrayFromImage(self._reader().Execute())
        try:
            decode = importlib.import_module("imagecodecs").png_decode
        except ModuleNotFoundError:
            raise InputError(
                f"The section '{self._path}' is grey with opacity, which needs the Python package 'imagecodecs': "
                "install it, or save the picture without opacity."
            ) from None
        return np.asarray(decode(self._path.read_bytes()))

    def _damaged(self) -> InputError:
        return InputError(f"The section '{self._path}' cannot be read, it may be damaged: get the file again.")


def png_pixel(path: Path) -> Pixel | None:
    """The pixel size (mm) that a PNG's pHYs chunk gives, where it is plausible; None of other files."""
    for name, data in _chunks(path):
        if name == b"pHYs" and len(data) == 9:
            x, y, unit = struct.unpack(">IIB", data)
            return plausible(1000 / x, 1000 / y) if unit == _PER_METRE and x and y else None
    return None


def _first_chunk(path: Path) -> bytes:
    """The header of a PNG; nothing of other files."""
    return next((data for _, data in _chunks(path)), b"")


def _is_grey_with_opacity(path: Path) -> bool:
    """Whether a PNG is of the one kind that SimpleITK does not read."""
    header = _first_chunk(path)
    return len(header) == _HEADER_LENGTH and header[9] == _GREY_WITH_OPACITY


def _begins(path: Path, mark: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(mark)) == mark


def _is_complete(path: Path) -> bool:
    """Whether a JPEG has its last mark: without it the decoder makes up what is missing."""
    with path.open("rb") as stream:
        stream.seek(max(path.stat().st_size - _TAIL, 0))
        return _JPEG_END in stream.read()


def _chunks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the chunks of a PNG before its pixels; none of other files."""
    with path.open("rb") as stream:
        if stream.read(len(PNG)) != PNG:
            return
        while len(head := stream.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name == b"IDAT":
                return
            yield name, stream.read(length)
            stream.seek(4, 1)
