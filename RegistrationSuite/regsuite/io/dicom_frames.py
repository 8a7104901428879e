"""Frames in DICOM files, classic and enhanced, through pydicom: what is said of each of them, and its stored pixels.

Classic files hold one frame each and say everything at the top. Enhanced ones hold many; of a frame they say things in
its own functional groups, in those shared by all, or at the top (DICOM PS3.3, C.7.6.16).
"""

from __future__ import annotations

import importlib
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from regsuite.errors import InputError

_DAMAGES = (
    *(ValueError, RuntimeError, OSError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(struct.error, zlib.error),
)
"""What pydicom and its decoders raise where a file is damaged, beside its own InvalidDicomError."""

_ENDINGS = (".dcm", ".dicom", ".ima")
_MAGIC = b"DICM"

# What pydicom remarks on odd files goes to the application's log, where there is one, and not to the terminal.
logging.getLogger("pydicom").addHandler(logging.NullHandler())


class Header:
    """What a file says of one of its frames, counted from 0."""

    def __init__(self, file: Path, dataset: Any, index: int = 0) -> None:
        self.file, self.index, self._whole = file, index, dataset
        own = dataset.get("PerFrameFunctionalGroupsSequence")
        shared = dataset.get("SharedFunctionalGroupsSequence")
        self.enhanced = bool(own or shared)
        self._sources = [*([own[index]] if own else []), *([shared[0]] if shared else []), dataset]

    def item(self, sequence: str) -> Any:
        """The first item of a sequence, the frame's own before others; None where there is none."""
        found = (self._get(source, sequence) for source in self._sources)
        return next((items[0] for items in found if items), None)

    def value(self, field: str, sequence: str = "") -> Any:
        """Of a field in a functional group, else at the top of the file; None where it is missing or empty."""
        groups = [self._get(source, sequence) for source in self._sources] if sequence else []
        found = [self._get(group[0], field) for group in groups if group] + [self._get(self._whole, field)]
        return next((each for each in found if each is not None and not (hasattr(each, "__len__") and not each)), None)

    def text(self, field: str, sequence: str = "") -> str:
        """'' where it is missing."""
        found = self.value(field, sequence)
        return "" if found is None else str(found).strip()

    def number(self, field: str, sequence: str = "") -> float | None:
        """None where it is missing or not finite."""
        numbers = self.numbers(1, field, sequence)
        return None if numbers is None else float(numbers[0])

    def numbers(self, count: int, field: str, sequence: str = "") -> np.ndarray | None:
        """(count,) float64; None where they are missing, not so many, or not finite."""
        found = self.value(field, sequence)
        values = np.atleast_1d(np.asarray([] if found is None else found, dtype=np.float64))
        return values if values.shape == (count,) and bool(np.isfinite(values).all()) else None

    def types(self) -> tuple[str, ...]:
        """The values of its frame type, or of the file's image type, in capitals."""
        found = self.value("FrameType", "MRImageFrameTypeSequence") or self.value("ImageType") or ()
        return tuple(str(each).strip().upper() for each in ([found] if isinstance(found, str) else found))

    def _get(self, source: Any, field: str) -> Any:
        """pydicom takes a field's text apart when it is first asked for."""
        try:
            return source.get(field)
        except _DAMAGES:
            raise _cut_short(self.file) from None

    def pixels(self) -> np.ndarray:
        """(H, W) as stored. InputError where they cannot be unpacked or are missing."""
        package = pydicom_pixels()
        syntax = self._whole.file_meta.get("TransferSyntaxUID")
        try:
            if not package.get_decoder(syntax).is_available:
                raise NotImplementedError
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = np.asarray(package.pixel_array(self.file, index=self.index))
        except _DAMAGES:
            raise _packed(self.file, syntax) if syntax and syntax.is_compressed else _cut_short(self.file) from None
        if found.shape != (self.value("Rows"), self.value("Columns")):
            raise _cut_short(self.file)
        return found


def pydicom_pixels() -> Any:
    """The package pydicom.pixels, imported when it is needed; InputError where it is not installed or too old."""
    try:
        return importlib.import_module("pydicom.pixels")
    except ModuleNotFoundError:
        raise InputError("DICOM slices need the Python package 'pydicom', version 3 or later: install it.") from None


def headers_in(folder: Path) -> tuple[list[Header], int]:
    """Of every frame in the DICOM files in a folder and below, by path; and how many of these files hold no picture.

    Pixels are not read. InputError where a file is cut short.
    """
    pydicom_pixels()
    found: list[Header] = []
    others = 0
    for file in sorted(folder.rglob("*")):
        if file.name.startswith(".") or not file.is_file() or not _may_be_dicom(file):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frames = list(_frames(file))
        found += frames
        others += not frames
    return found, others


def _may_be_dicom(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(132)[128:] == _MAGIC or file.suffix.lower() in _ENDINGS


def _frames(file: Path) -> Iterator[Header]:
    """None where a file of another kind than images says nothing of rows."""
    pydicom = importlib.import_module("pydicom")
    try:
        dataset = pydicom.dcmread(file, stop_before_pixels=True)
        kind = (dataset.file_meta.get("MediaStorageSOPClassUID") or dataset.SOPClassUID).name
        count = int(dataset.get("NumberOfFrames") or 1)
        groups = dataset.get("PerFrameFunctionalGroupsSequence")
        held = "Rows" in dataset and "Columns" in dataset
    except (pydicom.errors.InvalidDicomError, *_DAMAGES):
        raise _cut_short(file) from None
    if not held and "Image" not in kind:
        return
    if not held or (groups and len(groups) != count):
        raise _cut_short(file)
    if count > 1 and not groups:
        raise unplaced(file)
    for index in range(count):
        yield Header(file, dataset, index)


def unplaced(file: Path) -> InputError:
    """For a frame that cannot be put into space."""
    return InputError(
        f"The DICOM file '{file}' does not say where its slices lie (position, orientation, size of a pixel): export "
        "the original images from the scanner."
    )


def _cut_short(file: Path) -> InputError:
    return InputError(f"The DICOM file '{file}' is cut short or damaged: copy it from the scanner again.")


def _packed(file: Path, syntax: Any) -> InputError:
    return InputError(
        f"The pixels of '{file}' are compressed with {syntax.name} and cannot be unpacked here: export the images "
        "uncompressed, or get the file again if it is damaged."
    )
