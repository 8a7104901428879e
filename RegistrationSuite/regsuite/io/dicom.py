"""DICOM series: folders of slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from regsuite.errors import InputError

_POSITION, _ORIENTATION, _DESCRIPTION = "0020|0032", "0020|0037", "0008|103e"
_UNEVEN = 0.05
"""Largest deviation of a step between slices from the usual one, as a share of it."""


def read_folder(folder: Path) -> sitk.Image:
    """The one series in a folder; InputError where there is none, or several."""
    series = _series(folder)
    if not series:
        raise InputError(f"The folder '{folder}' holds no DICOM series: give the folder with the slices, or a file.")
    if len(series) > 1:
        listed = "; ".join(_describe(files) for files in series.values())
        raise InputError(
            f"The folder '{folder}' holds {len(series)} DICOM series ({listed}): give one file of the series you want."
        )
    return _read(folder, next(iter(series.values())))


def read_series_of(file: Path) -> sitk.Image:
    """The whole series that a DICOM file belongs to, from the file's folder."""
    for files in _series(file.parent).values():
        if file.resolve() in [Path(other).resolve() for other in files]:
            return _read(file, files)
    return _read(file, [str(file)])


def _series(folder: Path) -> Mapping[str, Sequence[str]]:
    """Files by series, in the order of the slices; one series is split where the geometry or the type changes."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.GlobalWarningDisplayOff()
    try:
        names = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder), True)
        return {name: sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), name, True) for name in names}
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _describe(files: Sequence[str]) -> str:
    header = _header(files[0])
    title = header.GetMetaData(_DESCRIPTION).strip() if header.HasMetaDataKey(_DESCRIPTION) else ""
    return f"{title or 'untitled'}, {len(files)} files such as {Path(files[0]).name}"


def _header(file: str) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(file)
    reader.ReadImageInformation()
    return reader


def _read(given: Path, files: Sequence[str]) -> sitk.Image:
    if len(files) > 1:
        _check_steps(given, files)
    try:
        return sitk.ReadImage(list(files), imageIO="GDCMImageIO")
    except RuntimeError:
        raise InputError(f"The DICOM series in '{given}' cannot be read: its slices differ or are damaged.") from None


def _check_steps(given: Path, files: Sequence[str]) -> None:
    """InputError where slices are missing or unevenly spaced: they would be stacked as if they were not."""
    headers = [_header(file) for file in files]
    if not all(header.HasMetaDataKey(_POSITION) and header.HasMetaDataKey(_ORIENTATION) for header in headers):
        return
    positions = np.array([_numbers(header.GetMetaData(_POSITION)) for header in headers])
    across, down = _numbers(headers[0].GetMetaData(_ORIENTATION)).reshape(2, 3)
    moves = np.diff(positions, axis=0)
    steps = np.abs(moves @ np.cross(across, down))
    usual = float(np.median(steps))
    if usual <= 0 or np.abs(steps - usual).max() > _UNEVEN * usual:
        raise InputError(
            f"The slices of the DICOM series in '{given}' are {steps.min():.4g} to {steps.max():.4g} mm apart, so some "
            "are missing or doubled: complete the series, or resample it to even steps first."
        )
    if np.abs(np.linalg.norm(moves, axis=1) - steps).max() > _UNEVEN * usual:
        raise InputError(
            f"The slices of the DICOM series in '{given}' are shifted against each other (a tilted gantry): resample "
            "it onto a regular grid first."
        )


def _numbers(text: str) -> np.ndarray:
    return np.array([float(part) for part in text.split("\\")])
