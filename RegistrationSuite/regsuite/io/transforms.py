"""Transforms in ITK's files. ITK's transforms, like ours, take fixed points to moving points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from regsuite.errors import InputError
from regsuite.io import images
from regsuite.io.files import ending, existing_file, replacing
from regsuite.io.geometry import grid_of, place, signs
from regsuite.transforms import Affine, Chain, DisplacementField, StationaryVelocity, TimeVelocity, Transform
from regsuite.transforms.chain import chain

_READ = (".h5", ".hdf5", ".tfm", ".txt", ".mat", ".xfm", *images.IMAGE_ENDINGS)
_TEXT = (".tfm", ".txt")
_WRITTEN = (".h5", ".hdf5", *_TEXT, *images.IMAGE_ENDINGS)


def read_transform(path: Path | str) -> Transform:
    """From an ITK transform file (.h5, .tfm, .txt, .mat, .xfm) or a displacement field image (.nii.gz, .nrrd, .mha).

    Linear transforms become Affine, displacement fields DisplacementField, composites Chain. InputError where the file
    is missing, is no transform, or holds a kind of transform that is not known here.
    """
    file = existing_file(path, "transform")
    if ending(path, _READ, "a transform") in images.IMAGE_ENDINGS:
        return _read_field(file)
    try:
        source = sitk.ReadTransform(str(file))
    except RuntimeError:
        raise InputError(f"'{path}' is not a transform that can be read: give one that ITK wrote.") from None
    return chain(*_parts(source, path))


def write_transform(path: Path | str, transform: Transform) -> None:
    """As an ITK transform (.h5; .tfm and .txt for linear ones) or a displacement field image (.nii.gz, .nrrd, .mha).

    Velocities are written as the displacement they lead to, chains as ITK's composite. InputError where the file
    cannot be written or its format cannot hold the transform.
    """
    suffix = ending(path, _WRITTEN, "a transform")
    parts = [_drawn(part) for part in (transform.parts if isinstance(transform, Chain) else (transform,))]
    fields = [part for part in parts if isinstance(part, DisplacementField)]
    if suffix in images.IMAGE_ENDINGS:
        if len(parts) > 1 or not fields:
            raise InputError(f"'{path}' can hold one displacement field and no linear transform: use the ending .h5.")
        images.save(_field_image(fields[0]), path)
        return
    if suffix in _TEXT and fields:
        raise InputError(f"'{path}' can hold linear transforms only, not a displacement field: use the ending .h5.")
    with replacing(path) as draft:
        sitk.WriteTransform(_composed([_to_itk(part) for part in parts]), str(draft))


def _drawn(part: Transform) -> Affine | DisplacementField:
    """A velocity as its displacement on its own grid."""
    if isinstance(part, (StationaryVelocity, TimeVelocity)):
        return part.field()
    if isinstance(part, (Affine, DisplacementField)):
        return part
    raise TypeError(f"a {type(part).__name__} cannot be written")


def _composed(parts: Sequence[sitk.Transform]) -> sitk.Transform:
    """One transform of those in the order they are applied; ITK applies the one added last first."""
    if len(parts) == 1:
        return parts[0]
    composite = sitk.CompositeTransform(parts[0].GetDimension())
    for part in reversed(parts):
        composite.AddTransform(part)
    return composite


def _to_itk(part: Affine | DisplacementField) -> sitk.Transform:
    if isinstance(part, DisplacementField):
        return sitk.DisplacementFieldTransform(_field_image(part))
    flip = signs(part.dim)
    matrix = part.matrix.cpu().numpy()
    affine = sitk.AffineTransform(part.dim)
    affine.SetMatrix((matrix[:-1, :-1] * np.outer(flip, flip)).ravel().tolist())
    affine.SetTranslation((matrix[:-1, -1] * flip).tolist())
    return affine


def _field_image(field: DisplacementField) -> sitk.Image:
    """LPS vectors, 64-bit as ITK's transform takes them."""
    vectors = field.data[0].detach().cpu().movedim(0, -1).to(torch.float64).numpy() * signs(field.dim)
    source = sitk.GetImageFromArray(vectors, isVector=True)
    place(source, field.grid)
    return source


def _parts(source: sitk.Transform, path: Path | str) -> list[Transform]:
    """In the order they are applied."""
    specific = source.Downcast()
    if isinstance(specific, sitk.CompositeTransform):
        count = specific.GetNumberOfTransforms()
        return [part for n in reversed(range(count)) for part in _parts(specific.GetNthTransform(n), path)]
    if isinstance(specific, sitk.DisplacementFieldTransform):
        return [_field(specific.GetDisplacementField(), path)]
    if specific.IsLinear():
        return [_affine(specific)]
    raise InputError(
        f"'{path}' holds a {specific.GetName()}, which is not supported: convert it to a displacement field first."
    )


def _affine(source: sitk.Transform) -> Affine:
    """From where it takes the origin and the unit vectors, whatever its parameters mean."""
    dim = source.GetDimension()
    flip = signs(dim)
    origin = np.array(source.TransformPoint([0.0] * dim))
    columns = [np.array(source.TransformPoint(unit.tolist())) - origin for unit in np.eye(dim)]
    matrix = np.eye(dim + 1)
    matrix[:-1, :-1] = np.stack(columns, axis=1) * np.outer(flip, flip)
    matrix[:-1, -1] = origin * flip
    return Affine(matrix)


def _field(source: sitk.Image, path: Path | str) -> DisplacementField:
    grid = grid_of(source, str(path))
    vectors = sitk.GetArrayFromImage(source) * signs(grid.dim)
    return DisplacementField(grid, torch.from_numpy(np.moveaxis(vectors, -1, 0).astype(np.float32)[None]))


def _read_field(file: Path) -> DisplacementField:
    source = images.read(file, "displacement field")
    dim, components = source.GetDimension(), source.GetNumberOfComponentsPerPixel()
    if components != dim:
        raise InputError(
            f"'{file}' has {components} value{'s' * (components > 1)} a voxel in {dim}D and is no displacement field: "
            "give one with a vector in mm at every voxel."
        )
    return _field(source, file)
