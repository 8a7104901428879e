"""Frames in DICOM files, classic and enhanced, through pydicom: what is said of each of them, and its stored pixels.

Classic files hold one frame each and say everything at the top. Enhanced ones hold many; of a frame they say things in
its own functional groups, in those shared by all, or at the top (DICOM PS3.3, C.7.6.16).
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterable, MutableSequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from regsuite.errors import InputError
from regsuite.io.dicom_fields import Fields, cut_short, damages

_ENDINGS = (".dcm", ".dicom", ".ima")
_MAGIC = b"DICM"
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_UNKNOWN_LENGTH = 0xFFFFFFFF
_DEFLATED = "1.2.840.10008.1.2.1.99"
_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", _DEFLATED)
"""Transfer syntaxes whose pixels are not compressed."""
_SIEMENS = (0x0021, "SIEMENS MR SDI 02")
_PHILIPS = (0x2005, "Philips MR Imaging DD 005")
"""Groups of private fields, and who put them there."""
_UNITLESS = ("1", "NO UNITS")
_DEFERRED = 1 << 16
"""Bytes. Longer values, such as pixels, are not read with the others."""


class Header(Fields):
    """What a file says of one of its frames, counted from 0."""

    def __init__(self, file: Path, dataset: Any, index: int = 0) -> None:
        own = dataset.get("PerFrameFunctionalGroupsSequence")
        shared = dataset.get("SharedFunctionalGroupsSequence")
        super().__init__(file, [*([own[index]] if own else []), *([shared[0]] if shared else []), dataset])
        self.index, self.enhanced = index, bool(own or shared)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = (int(self.number(field) or 0) for field in ("Rows", "Columns"))
        if rows < 1 or columns < 1:
            raise cut_short(self.file)
        return rows, columns

    def types(self) -> tuple[str, ...]:
        """The values of its frame type, or of the file's image type, in capitals."""
        return _capitals(self.value("FrameType", "MRImageFrameTypeSequence") or self.value("ImageType"))

    def vendor_types(self) -> tuple[str, ...]:
        """The same as Siemens write it since software XA, where the public field has standard terms alone:
        ImageTypeText (0021,1175), in enhanced files within the sequence (0021,11FE) of each frame (dcm2niix issue 236).
        """
        inner = _private(self._sources, *_SIEMENS, 0xFE)
        nested = list(inner) if isinstance(inner, MutableSequence) else []
        return _capitals(_private([*nested, *self._sources], *_SIEMENS, 0x75))

    def private_rescale(self) -> tuple[float, float] | None:
        """Slope and intercept that Philips keep in (2005,140A) and (2005,1409), where the public ones were taken out or
        set to 1 (Orthanc's neuroimaging plug-in; BIDS starter kit, "ASL data conversion"). None where there are none.

        Not the scale slope (2005,100E): that makes signals of several scans alike and maps no quantity.
        """
        try:
            slope, intercept = (_private(self._sources, *_PHILIPS, element) for element in (0x0A, 0x09))
            return None if slope is None else (float(slope), float(intercept or 0.0))
        except damages():
            raise cut_short(self.file) from None

    def mapping(self) -> Fields | None:
        """Its real world value mapping: the first to a unit, where there are several (PS3.3, C.7.6.16.2.11)."""
        mappings = self.items("RealWorldValueMappingSequence")
        told = (each for each in mappings if unit_code(each))
        return next(told, mappings[0] if mappings else None)

    def pixels(self) -> np.ndarray:
        """(H, W) as stored. InputError where they cannot be unpacked or are missing."""
        package = pydicom_pixels()
        whole = self._sources[-1]
        syntax = whole.file_meta.get("TransferSyntaxUID")
        try:
            if not package.get_decoder(syntax).is_available:
                raise NotImplementedError
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                source = whole if syntax == _DEFLATED else self.file
                found = np.asarray(package.pixel_array(source, index=self.index))
        except damages():
            raise cut_short(self.file) if not syntax or syntax in _PLAIN else _packed(self.file, syntax) from None
        if found.shape != self.shape:
            raise cut_short(self.file)
        return found


def unit_code(mapping: Fields) -> str:
    """The code (UCUM) of what a mapping maps to; '' where that has no unit."""
    code, meaning = (mapping.text(field, "MeasurementUnitsCodeSequence") for field in ("CodeValue", "CodeMeaning"))
    return "" if {code.upper(), meaning.upper()} & set(_UNITLESS) else code


def _capitals(values: Any) -> tuple[str, ...]:
    if isinstance(values, bytes):  # a private field of a file that does not tell types
        values = values.decode("ascii", "replace")
    texts = values.split("\\") if isinstance(values, str) else (values or ())
    return tuple(str(each).strip().upper() for each in texts)


def _private(sources: Iterable[Any], group: int, creator: str, element: int) -> Any:
    """The value of a private field in the first of several data sets that has it; None where none has."""
    for source in sources:
        with suppress(KeyError):
            return source.private_block(group, creator)[element].value
    return None


def pydicom_pixels() -> Any:
    """The package pydicom.pixels, imported when it is needed; InputError where it is not installed or too old."""
    try:
        return importlib.import_module("pydicom.pixels")
    except ModuleNotFoundError:
        raise InputError("DICOM slices need the Python package 'pydicom', version 3 or later: install it.") from None


def dicom_files_in(folder: Path) -> list[Path]:
    """The DICOM files in a folder and below, by path."""
    return [file for file in sorted(folder.rglob("*")) if may_be_dicom(file)]


def headers_of(files: Iterable[Path]) -> tuple[list[Header], int]:
    """Of every frame in DICOM files, in their order; and how many of these files hold no picture.

    Pixels are not read. InputError where a file is cut short.
    """
    pydicom_pixels()
    found: list[Header] = []
    others = 0
    for file in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frames = _frames(file)
        found += frames
        others += not frames
    return found, others


def may_be_dicom(file: Path) -> bool:
    """By its ending, or by its first bytes. InputError where it cannot be read."""
    if file.name.startswith(".") or not file.is_file():
        return False
    if file.suffix.lower() in _ENDINGS:
        return True
    try:
        with file.open("rb") as stream:
            return stream.read(132)[128:] == _MAGIC
    except OSError as error:
        raise InputError(f"'{file}' cannot be read ({error.strerror}): check who may read it.") from None


def _frames(file: Path) -> list[Header]:
    """None where a file of another kind than images holds no pixels."""
    pydicom = importlib.import_module("pydicom")
    try:
        dataset = pydicom.dcmread(file, defer_size=_DEFERRED)
        deflated = dataset.file_meta.get("TransferSyntaxUID") == _DEFLATED
        if deflated:  # what was put off would be looked for in the packed file, the pixels too
            dataset = pydicom.dcmread(file)
        if "DirectoryRecordSequence" in dataset:
            return []
        kind = dataset.file_meta.get("MediaStorageSOPClassUID", dataset.SOPClassUID).name
        count = int(dataset.get("NumberOfFrames") or 1)
        groups = dataset.get("PerFrameFunctionalGroupsSequence")
        held = [dataset.get_item(each, keep_deferred=True) for each in _PIXELS if each in dataset]
        if not held and "Image" not in kind and "Map" not in kind:
            return []
        if not held or not (deflated or _complete(file, held[0])) or (groups and len(groups) != count):
            raise cut_short(file)
        if count > 1 and not groups:
            raise unplaced(file)
        return [Header(file, dataset, index) for index in range(count)]
    except InputError:
        raise
    except damages():
        raise cut_short(file) from None


def _complete(file: Path, pixels: Any) -> bool:
    """Whether the last byte of the pixels is in the file; of an unknown length they are checked when unpacked."""
    return bool(pixels.length == _UNKNOWN_LENGTH or pixels.value_tell + pixels.length <= file.stat().st_size)


def unplaced(file: Path) -> InputError:
    """For a frame that cannot be put into space."""
    return InputError(
        f"The DICOM file '{file}' does not say where its slices lie (position, orientation, size of a pixel): export "
        "the original images from the scanner."
    )


def _packed(file: Path, syntax: Any) -> InputError:
    return InputError(
        f"The pixels of '{file}' are compressed with {syntax.name} and cannot be unpacked here: export the images "
        "uncompressed, or get the file again if it is damaged."
    )
