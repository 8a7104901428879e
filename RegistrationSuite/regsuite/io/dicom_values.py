"""Where a DICOM frame lies and what its values are: LPS becomes RAS, stored numbers become those of the map."""

from __future__ import annotations

import numpy as np

from regsuite.errors import InputError
from regsuite.io.dicom_frames import Header, unplaced
from regsuite.io.geometry import signs, skewed
from regsuite.spatial import Grid

_SKEW = 1e-3
_MEASURES = "PixelMeasuresSequence"
_TRANSFORMATION = "PixelValueTransformationSequence"


def grid_of(header: Header) -> Grid:
    """(1, H, W) in RAS mm, as thick as the slice; of an unknown thickness, as a pixel is wide.

    InputError where the frame has no position, orientation or size of a pixel, is in colour or skewed.
    """
    name = str(header.file)
    grey = header.text("PhotometricInterpretation") in ("MONOCHROME1", "MONOCHROME2", "")
    if header.number("SamplesPerPixel") not in (1, None) or not grey:
        raise InputError(f"'{name}' is a colour image, and slices of grey values are needed: move it elsewhere.")
    position = header.numbers(3, "ImagePositionPatient", "PlanePositionSequence")
    axes = header.numbers(6, "ImageOrientationPatient", "PlaneOrientationSequence")
    pixel = header.numbers(2, "PixelSpacing", _MEASURES)
    if position is None or axes is None or pixel is None or pixel.min() <= 0:
        raise unplaced(header.file)
    along_row, down = axes.reshape(2, 3) * signs(3)
    if np.abs([along_row @ along_row - 1, down @ down - 1, along_row @ down]).max() > _SKEW:
        raise InputError(skewed(name))
    along_row = along_row / np.linalg.norm(along_row)
    down = down - (down @ along_row) * along_row
    down = down / np.linalg.norm(down)
    return Grid(
        shape=(1, *header.shape),
        # PixelSpacing is the distance of rows first, then that of columns.
        spacing=(_thickness(header) or float(pixel.max()), float(pixel[0]), float(pixel[1])),
        origin=tuple(float(x) for x in position * signs(3) + 0.0),
        direction=tuple(map(tuple, np.stack([np.cross(along_row, down), down, along_row], axis=1).tolist())),
    )


def says_thickness(header: Header) -> bool:
    """Whether the file tells how thick the slice is."""
    return _thickness(header) > 0


def values_of(header: Header) -> np.ndarray:
    """(H, W) float64, in the map's own unit: by its real world value mapping, else by its rescale.

    Values that a mapping's table leaves out are NaN. InputError where the pixels cannot be read.
    """
    stored = header.pixels().astype(np.float64)
    mapping = header.mapping()
    if mapping is not None:
        slope = mapping.number("RealWorldValueSlope")
        if slope is not None:
            return stored * slope + (mapping.number("RealWorldValueIntercept") or 0.0)
        table = mapping.all_numbers("RealWorldValueLUTData")
        if len(table):
            return _looked_up(stored, mapping.number("RealWorldValueFirstValueMapped") or 0.0, table)
    slope, intercept = _rescale(header)
    return stored * slope + intercept


def _rescale(header: Header) -> tuple[float, float]:
    """Slope and intercept: 1 and 0 where none are told."""
    slope, intercept = (header.number(f"Rescale{part}", _TRANSFORMATION) for part in ("Slope", "Intercept"))
    told = 1.0 if slope is None else slope, intercept or 0.0
    return (header.private_rescale() or told) if told == (1.0, 0.0) else told


def _looked_up(stored: np.ndarray, first: float, table: np.ndarray) -> np.ndarray:
    places = np.round(stored - first).astype(np.int64)
    inside = (places >= 0) & (places < len(table))
    return np.where(inside, table[np.where(inside, places, 0)], np.nan)


def _thickness(header: Header) -> float:
    """mm; 0 where it is not told."""
    return max(0.0, header.number("SliceThickness", _MEASURES) or 0.0)
