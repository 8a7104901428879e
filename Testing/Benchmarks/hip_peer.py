"""Six slices brought to a volume by SimpleITK's registration: Mattes mutual information, a rigid transform, descent.

SimpleITK compares one pair of images. Jointly: the slices are painted into one volume around their axis, each voxel
from the slice it is nearest to, so that a pyramid has something to smooth, and a mask lets only what lies within the
slices' thickness count. Each on its own: every slice is a slab of four layers, registered by itself; the six poses are
averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
from regsuite.spatial import Image, sample
from regsuite.spatial.radial import pixel_grid
from scipy.spatial.transform import Rotation
from torch import Tensor

VERSION = str(sitk.Version_VersionString())
_LAYERS = 4
"""Of a slab: the fewest that SimpleITK's smoothing takes."""


@dataclass(frozen=True)
class Settings:
    """together: all slices, not each on its own; voxel: mm, of the painted volume; step: the optimiser's first one, mm
    (scales are those of physical shifts); share: of the pixels that are sampled."""

    together: bool = True
    voxel: float = 1.6
    step: float = 1.0
    share: float = 1.0
    bins: int = 50
    iterations: int = 200
    shrink: tuple[int, ...] = (4, 2, 1)
    smooth: tuple[float, ...] = (2.4, 1.2, 0.0)
    """mm."""


def registered(
    pictures: Tensor, pixel: float, thickness: float, planes: Tensor, frame: Tensor, volume: Image, settings: Settings
) -> Tensor:
    """(4, 4) float64: by what slices in planes (K, 4, 4) are moved to the volume, RAS mm.

    pictures: (K, H, W); frame: (4, 4), whose third direction is the slices' axis.
    """
    moving = _image(volume.array(), np.asarray(volume.grid.affine))
    middle = frame[:3, 3].tolist()
    if settings.together:
        return _pose(*_painted(pictures, pixel, thickness, planes, frame, settings.voxel), moving, middle, settings)
    slabs = [_slab(*pair, pixel, thickness) for pair in zip(pictures, planes, strict=True)]
    return _mean(torch.stack([_pose(slab, None, moving, middle, settings) for slab in slabs]))


def _pose(
    fixed: sitk.Image, mask: sitk.Image | None, moving: sitk.Image, middle: list[float], settings: Settings
) -> Tensor:
    search = sitk.ImageRegistrationMethod()
    search.SetMetricAsMattesMutualInformation(settings.bins)
    if mask is not None:
        search.SetMetricFixedMask(mask)
    if settings.share < 1:
        search.SetMetricSamplingStrategy(search.REGULAR)
        search.SetMetricSamplingPercentage(settings.share)
    search.SetInterpolator(sitk.sitkLinear)
    search.SetOptimizerAsRegularStepGradientDescent(
        learningRate=settings.step,
        minStep=1e-3,
        numberOfIterations=settings.iterations,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-8,
    )
    search.SetOptimizerScalesFromPhysicalShift()
    search.SetShrinkFactorsPerLevel(settings.shrink)
    search.SetSmoothingSigmasPerLevel(settings.smooth)
    search.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    transform = sitk.Euler3DTransform()
    transform.SetCenter(middle)
    search.SetInitialTransform(transform, inPlace=True)
    search.Execute(fixed, moving)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.tensor(transform.GetMatrix(), dtype=torch.float64).reshape(3, 3)
    pose[:3, 3] = torch.tensor(transform.TransformPoint((0.0, 0.0, 0.0)), dtype=torch.float64)
    return pose


def _image(array: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """affine: of array indices (k, j, i). All images are in RAS mm here, which SimpleITK need not know."""
    image = sitk.GetImageFromArray(array.astype(np.float32))
    columns = affine[:3, 2::-1]
    spacing = np.linalg.norm(columns, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((columns / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def _painted(
    pictures: Tensor, pixel: float, thickness: float, planes: Tensor, frame: Tensor, voxel: float
) -> tuple[sitk.Image, sitk.Image]:
    """The slices in one volume around the axis, and where they are."""
    half = max(pictures.shape[1:]) * pixel / 2
    side = torch.arange(-half + voxel / 2, half, voxel, dtype=torch.float64)
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] = frame[:3, :3] * voxel
    affine[:3, 3] = frame[:3, 3] + frame[:3, :3] @ side[:1].expand(3)
    affine = affine[:, [2, 1, 0, 3]]
    points = torch.stack(torch.meshgrid(side, side, side, indexing="ij"), dim=-1).flip(-1) @ frame[:3, :3].T
    points = points + frame[:3, 3]
    flat, values = pixel_grid((pictures.shape[1], pictures.shape[2]), pixel), torch.zeros(points.shape[:-1])
    nearest = torch.full(points.shape[:-1], torch.inf, dtype=torch.float64)
    for picture, plane in zip(pictures, planes, strict=True):
        back = torch.linalg.inv(plane)
        there = points @ back[:3, :3].T + back[:3, 3]
        away = there[..., 2].abs()
        shown = sample(picture[None, None], flat, there[..., :2], outside="zeros")[0, 0]
        values = torch.where(away < nearest, shown, values)
        nearest = torch.minimum(away, nearest)
    mask = sitk.Cast(_image((nearest <= thickness / 2).numpy(), affine.numpy()), sitk.sitkUInt8)
    return _image(values.numpy(), affine.numpy()), mask


def _slab(picture: Tensor, plane: Tensor, pixel: float, thickness: float) -> sitk.Image:
    """One slice of the thickness that it has."""
    rows, columns = picture.shape
    layer = thickness / _LAYERS
    own = np.array(
        [
            [0, 0, pixel, -(columns - 1) / 2 * pixel],
            [0, pixel, 0, -(rows - 1) / 2 * pixel],
            [layer, 0, 0, -(_LAYERS - 1) / 2 * layer],
            [0, 0, 0, 1],
        ]
    )
    return _image(np.repeat(picture.numpy()[None], _LAYERS, axis=0), plane.numpy() @ own)


def _mean(poses: Tensor) -> Tensor:
    """Of rigid maps (K, 4, 4), about the origin of the space."""
    mean = poses.mean(dim=0)
    mean[:3, :3] = torch.from_numpy(Rotation.from_matrix(poses[:, :3, :3].numpy()).mean().as_matrix())
    return mean
