"""Radial slices as users should not give them: files by role, and what they are told, at whatever door they enter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import radial_samples as samples
import SimpleITK as sitk
from dicom_samples import Frame, fan, numbers, write_classic
from regsuite import io
from regsuite.spatial import Grid, Image, LabelImage

Files = dict[str, "Path | list[Path]"]
Fault = Callable[[Path], Files]
FAULTS: dict[str, tuple[Fault, str]] = {}
"""By name: what is given in place of good files, written into a folder, and the sentence."""


def good(folder: Path) -> Files:
    """Of the coarse case, by role."""
    case = samples.coarse_case()
    io.write_image(folder / "volume.nrrd", case.hip.volume)
    io.write_labels(folder / "volume.seg.nrrd", case.hip.tissues)
    io.write_labels(folder / "slices.nrrd", case.labels)
    io.write_image(folder / "T2.nrrd", stack("T2"))
    files: Files = {"fixed": folder / "volume.nrrd", "fixed_labels": folder / "volume.seg.nrrd"}
    return {**files, "slices": [folder / "T2.nrrd"], "slice_labels": folder / "slices.nrrd"}


@cache
def stack(name: str) -> Image:
    """A map of all slices, at their one pose."""
    images = samples.coarse_case().slices.maps[name]
    values = np.concatenate([image.array() for image in images])
    return Image.from_array(values, images[0].grid.cropped([0, 0, 0], values.shape), name)


def fault(sentence: str) -> Callable[[Fault], Fault]:
    def kept(made: Fault) -> Fault:
        FAULTS[made.__name__.replace("_", " ")] = made, sentence
        return made

    return kept


def image(folder: Path, values: np.ndarray, grid: Grid, name: str = "T2") -> Path:
    io.write_image(folder / f"{name}.nrrd", Image.from_array(values, grid))
    return folder / f"{name}.nrrd"


def labels(folder: Path, values: np.ndarray, grid: Grid) -> Path:
    io.write_labels(folder / "labels.nrrd", LabelImage.from_array(values, grid))
    return folder / "labels.nrrd"


def drawn(folder: Path, rows: slice = slice(None), empty: Sequence[int] = (), few: Sequence[int] = ()) -> Path:
    """The slices' labels: some rows of them, some of these empty and some with hardly any."""
    array = samples.coarse_case().labels.array().copy()
    array[[*empty, *few]] = 0
    array[list(few), 18, 18:22] = 1
    array = array[rows]
    return labels(folder, array, samples.coarse_case().labels.grid.cropped([0, 0, 0], array.shape))


def dicom(folder: Path, frames: Sequence[Frame], series: int = 1, **fields: object) -> list[Path]:
    write_classic(folder, frames, series, **fields)
    return [folder]


@fault("The slices are 2, and 3 or more are needed: give all slices")
def two_slices(folder: Path) -> Files:
    whole = stack("T2")
    return {"slices": [image(folder, whole.array()[:2], whole.grid.cropped([0, 0, 0], [2, *whole.grid.shape[1:]]))]}


@fault("The 6 slices of 'radial' in .* are parallel, and slices around an axis are needed")
def parallel_slices(folder: Path) -> Files:
    frames = [Frame(numbers(n), [0, 0, 5.0 * n], [1, 0, 0, 0, 1, 0]) for n in range(6)]
    return {"slices": dicom(folder / "dicom", frames)}


@fault(r"The axis of the slices passes \d+ mm beside the volume: give the volume of the same joint")
def an_axis_beside_the_volume(folder: Path) -> Files:
    moved = stack("T2").grid.affine + np.array([[0, 0, 0, 900], [0] * 4, [0] * 4, [0] * 4])
    return {"slices": [image(folder, stack("T2").array(), Grid.from_affine(stack("T2").grid.shape, moved))]}


@fault("The slices' segmentation shows the bone in no slice: paint it in two slices or more")
def no_bone(folder: Path) -> Files:
    return {"slice_labels": drawn(folder, empty=range(6))}


@fault("Slice 3 shows no bone in its segmentation: paint it there, or leave the slice out")
def hardly_any_bone_in_a_slice(folder: Path) -> Files:
    return {"slice_labels": drawn(folder, few=[2])}


@fault("The slices' segmentation is of 5 x 36 x 40 voxels and the slices of 6 x 36 x 40: segment the slices")
def a_segmentation_of_fewer_slices(folder: Path) -> Files:
    return {"slice_labels": drawn(folder, slice(5))}


@fault("The volume's segmentation is empty: segment the bone that the slices show")
def nothing_segmented_in_the_volume(folder: Path) -> Files:
    tissues = samples.coarse_case().hip.tissues
    return {"fixed_labels": labels(folder, np.zeros(tissues.grid.shape, int), tissues.grid)}


@fault("does not say where its slices lie .*: export the original images from the scanner")
def dicom_without_orientation(folder: Path) -> Files:
    return {"slices": dicom(folder / "dicom", fan(), ImageOrientationPatient=None)}


@fault("several images of 'T2' for one slice, such as .*: keep one series of each map in it")
def two_series_of_a_map(folder: Path) -> Files:
    dicom(folder / "dicom", fan(0), 1, SeriesDescription="T2 map")
    return {"slices": dicom(folder / "dicom", fan(1), 2, SeriesDescription="T2 map")}


@fault("The slices are 36 of 6 × 40 pixels, .*: give a stack whose last axis counts the slices")
def a_stack_in_the_wrong_order_of_axes(folder: Path) -> Files:
    turned, grid = np.moveaxis(stack("T2").array(), 0, 2), stack("T2").grid
    return {"slices": [image(folder, turned.copy(), Grid.from_affine(turned.shape, grid.affine[:, [1, 2, 0, 3]]))]}


@fault("The slices are 30 of 30 × 30 pixels, .*, and not a volume")
def volume_and_slices_swapped(folder: Path) -> Files:
    return {"fixed": good(folder)["slices"][0], "slices": [folder / "volume.nrrd"]}  # type: ignore[index]


@fault("The stacks 'T2' and 'PD' are of 40 x 36 x 6 and 40 x 30 x 6 voxels: give maps of the same slices")
def maps_of_different_sizes(folder: Path) -> Files:
    whole = stack("T2")
    small = whole.array()[:, :30]
    one = image(folder, whole.array(), whole.grid)
    return {"slices": [one, image(folder, small, whole.grid.cropped([0, 0, 0], small.shape), "PD")]}


@fault("is a series of 3 volumes, and one is needed: extract one first")
def a_volume_over_time(folder: Path) -> Files:
    sitk.WriteImage(sitk.JoinSeries([sitk.Image(8, 8, 8, sitk.sitkFloat32)] * 3), str(folder / "v.nii.gz"))
    return {"fixed": folder / "v.nii.gz"}


@fault(r"The volume is 2D and the volume's segmentation is 3D|works in 3D only, and the volume is 2D")
def a_flat_volume(folder: Path) -> Files:
    return {"fixed": image(folder, np.arange(900.0).reshape(30, 30), Grid.regular((30, 30)))}


@fault("The volume is empty, every voxel is 0: choose another")
def a_volume_of_noughts(folder: Path) -> Files:
    volume = samples.coarse_case().hip.volume
    return {"fixed": image(folder, 0 * volume.array(), volume.grid)}


@fault("The volume is not finite .* in 1 of its 27000 voxels: replace these values first")
def a_value_missing_in_the_volume(folder: Path) -> Files:
    values = samples.coarse_case().hip.volume.array().copy()
    values[0, 0, 0] = np.nan
    return {"fixed": image(folder, values, samples.coarse_case().hip.volume.grid)}


@fault("holds no DICOM images: give the folder with the slices")
def a_folder_without_dicom(folder: Path) -> Files:
    (folder / "notes").mkdir()
    (folder / "notes" / "readme.txt").write_text("none")
    return {"slices": [folder / "notes"]}


@fault("is not an image that can be read: give NIfTI, NRRD, MHA or DICOM")
def a_text_for_a_volume(folder: Path) -> Files:
    (folder / "v.nrrd").write_text("none")
    return {"fixed": folder / "v.nrrd"}


@fault("are compressed with JPEG 2000 .* cannot be unpacked here: export the images uncompressed")
def compressed_pixels(folder: Path) -> Files:
    for file in write_classic(folder / "dicom", fan()):
        dataset = pydicom.dcmread(file)
        dataset.compress(pydicom.uid.RLELossless)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
        dataset.save_as(file)
    return {"slices": [folder / "dicom"]}


@fault("2 segmentations were given for 6 slices|segmentation is of 2 x 36 x 40 voxels and the slices of 6 x 36 x 40")
def too_few_files_of_labels(folder: Path) -> Files:
    grid = samples.coarse_case().labels.grid.cropped([0, 0, 0], [1, 36, 40])
    layers = samples.coarse_case().labels.array()[:2]
    for row, layer in enumerate(layers):
        io.write_labels(folder / f"l{row}.nrrd", LabelImage.from_array(layer[None], grid))
    return {"slice_labels": [folder / f"l{row}.nrrd" for row in range(2)]}
