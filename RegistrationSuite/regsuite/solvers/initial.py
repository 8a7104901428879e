"""A rigid or affine alignment to start from, by SimpleITK's registration framework."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from regsuite.errors import InputError
from regsuite.progress import Progress
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.transforms import Affine, identity

if TYPE_CHECKING:
    import SimpleITK as sitk

_SHRINK = (4, 2, 1)
_SHORTEST_AXIS = 24
_SAMPLES = 50000
_BINS = 32
_ITERATIONS = 100
_DARK = 0.005
"""Share of the voxels that may be darker than what has no mass."""
_SMALL = 24
"""Voxels across the images on which turns are tried."""
_TURNS = tuple(np.deg2rad((-24.0, -12.0, 0.0, 12.0, 24.0)).tolist())


def align(
    fixed: Image,
    moving: Image,
    kind: str,
    ignore: LabelImage | None,
    progress: Progress,
    seed: int = 0,
    ignore_moving: LabelImage | None = None,
) -> Affine:
    """The transform from fixed to moving points that maximises mutual information (Mattes); "none" is the identity.

    Centres of mass are brought together first. ignore, ignore_moving: regions of the fixed and of the
    moving image that are not compared.
    Raises InputError where the images cannot be aligned.
    """
    if kind == "none":
        return identity(fixed.grid.dim)
    progress.step(0.0, f"{kind} alignment")
    target, source = _image(fixed), _image(moving)
    masks = [
        None if each is None else _volume((~each.mask()).cpu().numpy().astype(np.uint8), each.grid)
        for each in (ignore, ignore_moving)
    ]
    try:
        with one_thread():
            start = _rigid(_image(_mass(fixed, ignore)), _image(_mass(moving, ignore_moving)))
            found = _search(target, source, start, masks, seed)
            if kind == "affine":
                found = _search(target, source, _affine(found), masks, seed)
    except RuntimeError as error:
        raise InputError(
            "The images could not be aligned to start from: too little of them overlaps; "
            "bring them near each other by hand and set the initial alignment to 'none'."
        ) from error
    result = Affine(_matrix(found))
    centre = torch.as_tensor(fixed.grid.centre)
    shift = float((result.points(centre) - centre).norm())
    progress.log(f"Initial {kind} alignment moves the image centre by {shift:.1f} mm")
    return result


@contextmanager
def one_thread() -> Iterator[None]:
    """Several add up in any order, which the search makes much of: a seed would not give the same result again."""
    import SimpleITK as sitk

    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def _mass(image: Image, ignore: LabelImage | None) -> Image:
    """The image with its dark at 0, for a centre of mass, and the region as bright as the head is elsewhere, so that
    it has no say in where the head is."""
    dark = float(np.quantile(image.data.cpu().numpy(), _DARK))
    data = (image.data - dark).clamp(min=0)
    if ignore is not None:
        inside = ignore.mask()[None, None]
        told = data[~inside]
        data = torch.where(inside, told[told >= told.mean()].mean(), data)
    return dataclasses.replace(image, data=data)


def _image(image: Image) -> sitk.Image:
    return _volume(image.data[0, 0].cpu().numpy().astype(np.float32), image.grid)


def _volume(array: np.ndarray, grid: Grid) -> sitk.Image:
    """The array where it lies in RAS (not in files' LPS): all stays within this module."""
    import SimpleITK as sitk

    volume = sitk.GetImageFromArray(np.ascontiguousarray(array))
    volume.SetSpacing(grid.spacing[::-1])
    volume.SetOrigin(grid.origin)
    volume.SetDirection(np.asarray(grid.direction)[:, ::-1].ravel().tolist())
    return volume


def _rigid(fixed: sitk.Image, moving: sitk.Image) -> Any:
    """Centres of mass together, and the turn about them, of a coarse set, that looks best on small images."""
    import SimpleITK as sitk

    start = sitk.Euler2DTransform() if fixed.GetDimension() == 2 else sitk.Euler3DTransform()
    kind, by_moments = type(start), sitk.CenteredTransformInitializerFilter.MOMENTS
    start = kind(sitk.CenteredTransformInitializer(fixed, moving, start, by_moments))
    metric = sitk.ImageRegistrationMethod()
    metric.SetMetricAsMattesMutualInformation(_BINS)
    metric.SetInterpolator(sitk.sitkLinear)
    small = [_shrunk(fixed), _shrunk(moving)]

    def value(turn: Sequence[float]) -> float:
        metric.SetInitialTransform(_turned(start, turn))
        return float(metric.MetricEvaluate(*small))

    turns = itertools.product(_TURNS, repeat=1 if fixed.GetDimension() == 2 else 3)
    return _turned(start, min(turns, key=value))


def _shrunk(image: sitk.Image) -> sitk.Image:
    import SimpleITK as sitk

    factors = [max(1, n // _SMALL) for n in image.GetSize()]
    widths = [max(0.5 * factor * h, 1e-3) for factor, h in zip(factors, image.GetSpacing(), strict=True)]
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, widths) if max(factors) > 1 else image, factors)


def _turned(start: Any, turn: Sequence[float]) -> Any:
    """The start turned by angles (rad) about its centre."""
    turned = type(start)(start)
    turned.SetParameters([*turn, *start.GetParameters()[len(turn) :]])
    return turned


def _affine(rigid: Any) -> Any:
    import SimpleITK as sitk

    start = sitk.AffineTransform(rigid.GetDimension())
    start.SetMatrix(rigid.GetMatrix())
    start.SetTranslation(rigid.GetTranslation())
    start.SetCenter(rigid.GetCenter())
    return start


def _search(fixed: sitk.Image, moving: sitk.Image, start: Any, masks: Sequence[Any], seed: int) -> Any:
    """The best transform of the start's kind."""
    import SimpleITK as sitk

    registration = sitk.ImageRegistrationMethod()
    registration.SetMetricAsMattesMutualInformation(_BINS)
    registration.SetMetricSamplingStrategy(registration.RANDOM)
    registration.SetMetricSamplingPercentage(min(1.0, _SAMPLES / fixed.GetNumberOfPixels()), seed + 1)
    for mask, put in zip(masks, (registration.SetMetricFixedMask, registration.SetMetricMovingMask), strict=True):
        if mask is not None:
            put(mask)
    registration.SetInterpolator(sitk.sitkLinear)
    registration.SetOptimizerAsConjugateGradientLineSearch(1.0, _ITERATIONS, 1e-6, 5)
    registration.SetOptimizerScalesFromPhysicalShift()
    shrink = [factor for factor in _SHRINK if factor == 1 or min(fixed.GetSize()) / factor >= _SHORTEST_AXIS]
    registration.SetShrinkFactorsPerLevel(shrink)
    registration.SetSmoothingSigmasPerLevel([float(factor) for factor in shrink])
    registration.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    registration.SetInitialTransform(start, inPlace=True)
    registration.Execute(fixed, moving)
    return start


def _matrix(transform: Any) -> np.ndarray:
    """Homogeneous matrix of a transform with a centre: x -> A (x - c) + c + t."""
    dim = transform.GetDimension()
    linear = np.asarray(transform.GetMatrix()).reshape(dim, dim)
    centre, shift = np.asarray(transform.GetCenter()), np.asarray(transform.GetTranslation())
    matrix = np.eye(dim + 1)
    matrix[:-1, :-1] = linear
    matrix[:-1, -1] = centre + shift - linear @ centre
    return matrix
