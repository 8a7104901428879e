"""DICOM as scanners write it, made for tests: classic files of one slice, and enhanced ones of many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    ParametricMapStorage,
    generate_uid,
)

ROOT = "1.2.826.0.1.3680043.2.1125."
ANGLES = tuple(30.0 * n for n in range(6))
CENTRE = np.array([31.0, -17.0, 12.5])
"""RAS mm, of the fan's axis; it is the middle of every slice."""
AXIS = np.array([0.36, 0.48, -0.8])
"""RAS, the direction of the rows' order. (0.8, -0.6, 0) and its cross product with this are the first slice's sides."""
SHAPE, SPACING, THICKNESS = (8, 10), (2.0, 1.5), 3.0
LPS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Frame:
    """stored: (H, W) as in the file; position, orientation: LPS, of the first pixel, of rows and of columns; fields: by
    keyword, in place of what a file has by default, or None to leave it out."""

    stored: np.ndarray
    position: Sequence[float]
    orientation: Sequence[float]
    fields: Mapping[str, Any] = field(default_factory=dict)


def blade(angle: float, stored: np.ndarray, **fields: Any) -> Frame:
    """A slice of the fan, in degrees."""
    first = np.array([0.8, -0.6, 0.0])
    side = math.cos(math.radians(angle)) * first + math.sin(math.radians(angle)) * np.cross(AXIS, first)
    rows, columns = stored.shape
    corner = CENTRE - (columns - 1) / 2 * SPACING[1] * side - (rows - 1) / 2 * SPACING[0] * AXIS
    return Frame(stored, corner * LPS, [*(side * LPS), *(AXIS * LPS)], fields)


def numbers(place: int, seed: int = 0, dtype: Any = np.uint16) -> np.ndarray:
    """(8, 10), different in every slice."""
    return np.random.default_rng([seed, place]).integers(1, 900, SHAPE).astype(dtype)


def fan(seed: int = 0, **fields: Any) -> list[Frame]:
    """Six slices 30 degrees apart."""
    return [blade(angle, numbers(place, seed), **fields) for place, angle in enumerate(ANGLES)]


def coded(value: str, scheme: str = "UCUM", meaning: str = "") -> Items:
    """A sequence of one code."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning or value
    return Items([code])


def mapping(slope: float, intercept: float, unit: str, quantity: Items | None = None) -> Items:
    """A real world value mapping; quantity: what it is."""
    item = Dataset()
    item.RealWorldValueSlope, item.RealWorldValueIntercept = slope, intercept
    item.MeasurementUnitsCodeSequence = coded(unit)
    if quantity is not None:
        definition = Dataset()
        definition.ConceptNameCodeSequence = coded("246205007", "SCT", "Quantity")
        definition.ConceptCodeSequence = quantity
        item.QuantityDefinitionSequence = Items([definition])
    return Items([item])


def write_classic(folder: Path, frames: Sequence[Frame], series: int = 1, **fields: Any) -> list[Path]:
    """A file a frame, numbered as they come; fields: of all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, frame in enumerate(frames, 1):
        dataset = _top(MRImageStorage, frame.stored, series)
        dataset.InstanceNumber = number
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = (
            _texts(frame.position),
            _texts(frame.orientation),
        )
        dataset.PixelSpacing, dataset.SliceThickness = list(SPACING), THICKNESS
        _set(dataset, {**fields, **frame.fields})
        files.append(folder / f"s{dataset.get('SeriesNumber', series)}-{number:03d}.dcm")
        _save(files[-1], dataset)
    return files


def write_enhanced(
    file: Path, frames: Sequence[Frame], series: int = 1, kind: str = EnhancedMRImageStorage, **fields: Any
) -> Path:
    """All frames in a file. fields: of the file; a frame's own fields stand in its functional groups."""
    stored = np.stack([frame.stored for frame in frames])
    dataset = _top(kind, stored, series)
    dataset.NumberOfFrames, dataset.InstanceNumber = len(frames), 1
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(SPACING), THICKNESS
    shared.PixelMeasuresSequence = Items([measures])
    dataset.SharedFunctionalGroupsSequence = Items([shared])
    dataset.PerFrameFunctionalGroupsSequence = Items([_groups(frame) for frame in frames])
    _set(dataset, fields)
    file.parent.mkdir(parents=True, exist_ok=True)
    _save(file, dataset)
    return file


def write_parametric(file: Path, frames: Sequence[Frame], **fields: Any) -> Path:
    """Of 32-bit floats."""
    return write_enhanced(file, frames, kind=ParametricMapStorage, **fields)


def _groups(frame: Frame) -> Dataset:
    """rescale (slope, intercept), type and mapping among the frame's fields become groups."""
    groups, position, orientation = Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = _texts(frame.position)
    orientation.ImageOrientationPatient = _texts(frame.orientation)
    groups.PlanePositionSequence, groups.PlaneOrientationSequence = Items([position]), Items([orientation])
    if "rescale" in frame.fields:
        values = Dataset()
        values.RescaleSlope, values.RescaleIntercept = frame.fields["rescale"]
        values.RescaleType = "US"
        groups.PixelValueTransformationSequence = Items([values])
    if "type" in frame.fields:
        kind = Dataset()
        kind.FrameType = frame.fields["type"]
        groups.MRImageFrameTypeSequence = Items([kind])
    if "mapping" in frame.fields:
        groups.RealWorldValueMappingSequence = frame.fields["mapping"]
    return groups


def _top(kind: str, stored: np.ndarray, series: int) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, generate_uid(ROOT)
    dataset.Modality, dataset.PatientID, dataset.PatientName = "MR", "hip-1", "Phantom"
    dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = f"{ROOT}1", f"{ROOT}2"
    dataset.SeriesInstanceUID, dataset.SeriesNumber = f"{ROOT}3.{series}", series
    dataset.SeriesDescription, dataset.ImageType = "radial", ["ORIGINAL", "PRIMARY", "M"]
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    if stored.dtype == np.float32:
        dataset.BitsAllocated, dataset.FloatPixelData = 32, stored.astype("<f4").tobytes()
        return dataset
    bits = 8 * stored.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    return dataset


def _set(dataset: Dataset, fields: Mapping[str, Any]) -> None:
    for keyword, value in fields.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)


def _texts(values: Sequence[float]) -> list[str]:
    """As many digits as fit into DICOM's 16 characters."""
    return [f"{value:.12f}"[:16] for value in values]


def _save(file: Path, dataset: Dataset) -> None:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(file, enforce_file_format=True)
