"""A rigid or affine alignment to start from, by SimpleITK's registration framework."""

from __future__ import annotations

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
_SAMPLES = 20000


def align(
    fixed: Image, moving: Image, kind: str, ignore: LabelImage | None, progress: Progress, seed: int = 0
) -> Affine:
    """The transform from fixed to moving points that maximises mutual information (Mattes); "none" is the identity.

    Centres of mass are brought together first. ignore: region of the fixed image that is not compared.
    Raises InputError where the images cannot be aligned.
    """
    if kind == "none":
        return identity(fixed.grid.dim)
    progress.step(0.0, f"{kind} alignment")
    target, source = (
        _volume(fixed.data[0, 0].cpu().numpy(), fixed.grid),
        _volume(moving.data[0, 0].cpu().numpy(), moving.grid),
    )
    mask = None if ignore is None else _volume((~ignore.mask()).cpu().numpy().astype(np.uint8), ignore.grid)
    found = _search(target, source, _rigid(target, source), mask, seed)
    if kind == "affine":
        found = _search(target, source, _affine(found), mask, seed)
    result = Affine(_matrix(found))
    shift = float((result.points(torch.as_tensor(fixed.grid.centre)) - torch.as_tensor(fixed.grid.centre)).norm())
    progress.log(f"Initial {kind} alignment moves the image centre by {shift:.1f} mm")
    return result


def _volume(array: np.ndarray, grid: Grid) -> sitk.Image:
    """The array where it lies in RAS (not in files' LPS): all stays within this module."""
    import SimpleITK as sitk

    volume = sitk.GetImageFromArray(np.ascontiguousarray(array))
    volume.SetSpacing(grid.spacing[::-1])
    volume.SetOrigin(grid.origin)
    volume.SetDirection(np.asarray(grid.direction)[:, ::-1].ravel().tolist())
    return volume


def _rigid(fixed: sitk.Image, moving: sitk.Image) -> Any:
    import SimpleITK as sitk

    start = sitk.Euler2DTransform() if fixed.GetDimension() == 2 else sitk.Euler3DTransform()
    by_moments = sitk.CenteredTransformInitializerFilter.MOMENTS
    return type(start)(sitk.CenteredTransformInitializer(fixed, moving, start, by_moments))


def _affine(rigid: Any) -> Any:
    import SimpleITK as sitk

    start = sitk.AffineTransform(rigid.GetDimension())
    start.SetMatrix(rigid.GetMatrix())
    start.SetTranslation(rigid.GetTranslation())
    start.SetCenter(rigid.GetCenter())
    return start


def _search(fixed: sitk.Image, moving: sitk.Image, start: Any, mask: sitk.Image | None, seed: int) -> Any:
    """The best transform of the start's kind."""
    import SimpleITK as sitk

    registration = sitk.ImageRegistrationMethod()
    registration.SetMetricAsMattesMutualInformation(32)
    registration.SetMetricSamplingStrategy(registration.RANDOM)
    registration.SetMetricSamplingPercentage(min(1.0, _SAMPLES / fixed.GetNumberOfPixels()), seed + 1)
    if mask is not None:
        registration.SetMetricFixedMask(mask)
    registration.SetInterpolator(sitk.sitkLinear)
    registration.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, 200, 0.6)
    registration.SetOptimizerScalesFromPhysicalShift()
    shrink = [factor for factor in _SHRINK if factor == 1 or min(fixed.GetSize()) / factor >= _SHORTEST_AXIS]
    registration.SetShrinkFactorsPerLevel(shrink)
    registration.SetSmoothingSigmasPerLevel([0.5 * (factor - 1) for factor in shrink])
    registration.SetInitialTransform(start, inPlace=True)
    try:
        registration.Execute(sitk.Cast(fixed, sitk.sitkFloat32), sitk.Cast(moving, sitk.sitkFloat32))
    except RuntimeError as error:
        raise InputError(
            "The images could not be aligned to start from: too little of them overlaps; "
            "bring them near each other by hand and set the initial alignment to 'none'."
        ) from error
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
