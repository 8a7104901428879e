"""Images and labels in files: NIfTI, NRRD, MHA and what else SimpleITK reads, and DICOM series in folders."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from regsuite import memory
from regsuite.errors import InputError
from regsuite.io import atlases, dicom
from regsuite.io.files import ending, existing, refuse_twin, replacing
from regsuite.io.geometry import grid_of, place, skewed
from regsuite.io.label_names import names_beside
from regsuite.spatial import Image, LabelImage
from regsuite.terminology import TAG, term_of

IMAGE_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")
"""What images are written to: formats of one file that keep the position."""

_COMPLEX = (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64)


def read_image(path: Path | str) -> Image:
    """One scalar image from a file, a folder with one DICOM series, or a DICOM file (the whole series it belongs to).

    Of a BrainGlobe atlas' folder it is the reference. InputError where it is missing, damaged, no image, no scalar
    image, a time series or sheared.
    """
    if atlases.is_atlas(Path(path)):
        return atlases.read_reference(path)
    source = _read_scalar(path, "image")
    return Image.from_array(sitk.GetArrayFromImage(source), grid_of(source, str(path)), stem(path))


def read_labels(path: Path | str) -> LabelImage:
    """A label map with the names and colours of a Slicer segmentation (.seg.nrrd), or of a table called like the file.

    Of a BrainGlobe atlas' folder it is the annotation. InputError as :func:`read_image`, and where values are no whole
    numbers, segments overlap or the table is malformed.
    """
    if atlases.is_atlas(Path(path)):
        return atlases.read_annotation(path)
    source = _read_scalar(path, "label image")
    values = sitk.GetArrayFromImage(source)
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int32)
    if not np.array_equal(whole, values):
        raise InputError(f"The label image '{path}' holds values that are no whole numbers: give a label map.")
    names, colours, terms = _segments(source)
    if not names and not colours:
        names, colours = names_beside(Path(path), stem(path))
    return LabelImage.from_array(whole, grid_of(source, str(path)), names, colours, terms)


def write_image(path: Path | str, image: Image) -> None:
    """One file, compressed where the format can: .nii.gz, .nii, .nrrd or .mha. InputError where it cannot be."""
    channels = image.data.shape[1]
    array = image.data[0].detach().cpu()
    array = array[0] if channels == 1 else array.movedim(0, -1).contiguous()
    source = sitk.GetImageFromArray(array.numpy(), isVector=channels > 1)
    place(source, image.grid)
    save(source, path)


def write_labels(path: Path | str, labels: LabelImage) -> None:
    """Like :func:`write_image`; .nrrd holds names and colours too, and .seg.nrrd opens in Slicer as a segmentation."""
    low, high = (int(value) for value in torch.aminmax(labels.data))
    dtype = np.uint8 if low >= 0 and high < 256 else np.int32
    source = sitk.GetImageFromArray(labels.array().astype(dtype))
    place(source, labels.grid)
    if str(path).lower().endswith(".nrrd"):
        _describe_segments(source, labels)
    save(source, path)


def save(source: sitk.Image, path: Path | str) -> None:
    """A SimpleITK image to a file, whole or not at all."""
    ending(path, IMAGE_ENDINGS, "an image")
    refuse_twin(path)
    with replacing(path) as draft:
        sitk.WriteImage(source, str(draft), useCompression=True)


def stem(path: Path | str) -> str:
    """The file's name without its ending."""
    name = Path(path).name
    for one in (".seg.nrrd", *IMAGE_ENDINGS):
        if name.lower().endswith(one):
            return name[: -len(one)]
    return Path(path).stem


def _read_scalar(path: Path | str, what: str) -> sitk.Image:
    source = read(path, what)
    components = source.GetNumberOfComponentsPerPixel()
    layered = _is_segmentation(source)
    if components > 1 and layered:
        raise InputError(f"The segments of '{path}' overlap: export it as a label map first.")
    if components > 1 or source.GetPixelID() in _COMPLEX:
        kind = f"{components} values a voxel (a colour or vector image)" if components > 1 else "complex numbers"
        raise InputError(f"The {what} '{path}' has {kind}, and one number a voxel is needed: extract a channel first.")
    return source


def check_image_file(path: Path | str, what: str) -> None:
    """InputError where a file holds no image, or more than one; its pixels are not read. what: the file is of."""
    file = existing(path, what)
    reader = _header(file, what)
    if reader.GetImageIO() != "GDCMImageIO":
        _check_header(reader, file, what)


def read(path: Path | str, what: str) -> sitk.Image:
    """A SimpleITK image of two or three dimensions, scalar or not; InputError where there is none."""
    file = existing(path, what)
    if file.is_dir():
        return dicom.read_folder(file)
    reader = _header(file, what)
    if reader.GetImageIO() == "GDCMImageIO" and (reader.GetDimension() < 3 or reader.GetSize()[2] == 1):
        return dicom.read_series_of(file)
    _check_header(reader, file, what)
    try:
        source = reader.Execute()
    except RuntimeError:
        raise InputError(f"The {what} '{path}' cannot be read, it may be damaged: get the file again.") from None
    return source[..., 0] if source.GetDimension() == 4 else source


def _header(file: Path, what: str) -> sitk.ImageFileReader:
    """A reader that knows size, position and type, but has read no pixels."""
    if file.name.lower().endswith(".nii.gz"):
        refuse_twin(file)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    kind = sitk.ImageFileReader.GetImageIOFromFileName(str(file))
    if not kind:
        raise InputError(f"The {what} '{file}' is not an image that can be read: give NIfTI, NRRD, MHA or DICOM.")
    reader.SetImageIO(kind)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise InputError(skewed(str(file))) from None
        raise InputError(f"The {what} '{file}' cannot be read, it may be damaged: get the file again.") from None
    return reader


def _check_header(reader: sitk.ImageFileReader, file: Path, what: str) -> None:
    """InputError where the pixels cannot, or need not, be read."""
    size = reader.GetSize()
    if len(size) > 4 or math.prod(size[3:]) > 1:
        raise InputError(
            f"The {what} '{file}' is a series of {math.prod(size[3:])} volumes, and one is needed: extract one first."
        )
    if len(size) < 2:
        raise InputError(f"The {what} '{file}' has {len(size)} dimension, and 2 or 3 are needed: choose another.")
    grid_of(reader, str(file))
    needed, available = 8 * math.prod(size) * reader.GetNumberOfComponents(), memory.available_memory()
    if available is not None and needed > available:
        voxels = " × ".join(str(n) for n in size)
        raise InputError(
            f"The {what} '{file}' of {voxels} voxels needs {memory.text_of(needed)} of memory to be read, and "
            f"{memory.text_of(available)} are free: crop it or lower its resolution first."
        )
    if reader.GetImageIO() == "NiftiImageIO":
        _check_complete(reader, file, what)


def _check_complete(reader: sitk.ImageFileReader, file: Path, what: str) -> None:
    """InputError for a NIfTI file that was cut off: ITK reads it without a word and makes up the missing voxels."""
    header = {key: float(reader.GetMetaData(key)) for key in ("vox_offset", "bitpix", "dim[0]")}
    lengths = [int(reader.GetMetaData(f"dim[{axis}]")) for axis in range(1, int(header["dim[0]"]) + 1)]
    expected = header["vox_offset"] + math.prod(lengths) * header["bitpix"] / 8
    name = file.name.lower()
    if name.endswith((".nii", ".nii.gz")) and _length(file) < expected:
        raise InputError(f"The {what} '{file}' is cut off, its last voxels are missing: get the file again.")


def _length(file: Path) -> int:
    """Bytes in a file once unpacked, or as many as can be unpacked."""
    if not file.name.lower().endswith(".gz"):
        return file.stat().st_size
    total = 0
    try:
        with gzip.open(file) as stream:
            while block := stream.read(1 << 22):
                total += len(block)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return 0
    return total


def _is_segmentation(source: sitk.Image) -> bool:
    return source.HasMetaDataKey("Segment0_ID") or source.HasMetaDataKey("Segment0_LabelValue")


def _segments(source: sitk.Image) -> tuple[dict[int, str], dict[int, tuple[float, float, float]], dict[int, str]]:
    """Names, colours and terms by label value, from a segmentation's header."""
    names: dict[int, str] = {}
    colours: dict[int, tuple[float, float, float]] = {}
    terms: dict[int, str] = {}
    index = 0
    while source.HasMetaDataKey(f"Segment{index}_LabelValue"):
        value = int(source.GetMetaData(f"Segment{index}_LabelValue"))
        if source.HasMetaDataKey(f"Segment{index}_Name"):
            names[value] = source.GetMetaData(f"Segment{index}_Name")
        if source.HasMetaDataKey(f"Segment{index}_Color"):
            red, green, blue = (float(part) for part in source.GetMetaData(f"Segment{index}_Color").split())
            colours[value] = (red, green, blue)
        if source.HasMetaDataKey(f"Segment{index}_Tags"):
            entry = source.GetMetaData(f"Segment{index}_Tags").partition(f"{TAG}:")[2].partition("|")[0]
            terms[value] = term_of(entry)
        index += 1
    return names, colours, terms


def _describe_segments(source: sitk.Image, labels: LabelImage) -> None:
    """Slicer's header fields of a segmentation: one segment a label, all in one layer."""
    header: dict[str, Any] = {
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    sides = (*reversed(labels.grid.shape), 1)[:3]
    extent = " ".join(f"0 {n - 1}" for n in sides)  # of three axes in two dimensions too, or Slicer reads nothing
    for index, value in enumerate(labels.values()):
        header |= _segment(index, value, labels, extent)
    for key, text in header.items():
        source.SetMetaData(key, text)


def _segment(index: int, value: int, labels: LabelImage, extent: str) -> Mapping[str, str]:
    fields = {
        "ID": f"Segment_{value}",
        "Name": labels.name_of(value),
        "LabelValue": str(value),
        "Layer": "0",
        "Extent": extent,
    }
    if value in labels.colours:
        fields["Color"] = " ".join(f"{part:.6g}" for part in labels.colours[value])
    return {f"Segment{index}_{key}": text for key, text in fields.items()}
