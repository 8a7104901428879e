"""A section registered affinely with every plate of an atlas, by SimpleITK's Mattes mutual information.

The section is the fixed image F, a plate the moving one M. Both are measured from the middle of their tissue in units
of its radius, in which every number of the affine map weighs about the same; the map starts from the turn, of a few,
that looks best:

    F(x) ~ M(r_M (A (x - c_F) / r_F + t) + c_M)        c, r: middle and radius of the tissue, mm

Source: the baseline of Antanavicius et al., WBIR 2022, section 3.2, with three resolutions in place of seven and all
pixels in place of random ones, so that it is repeatable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from regsuite.errors import InputError
from regsuite.progress import Progress
from regsuite.solvers.initial import one_thread
from regsuite.spatial import Image
from regsuite.spatial.plates import Plates, cut, flat_points

if TYPE_CHECKING:
    import SimpleITK as sitk

_LONGEST = 128
"""Pixels, at most, on the longer side of what is registered."""
_ROOM = 1.1
"""How much wider a plate's picture is than the atlas: its rim shows what is not tissue."""
_REACH = 1.4
"""How much wider than the section the plate's picture is at the start: no part of the section then falls off it."""
_TISSUE = 0.2
"""Pixels differ by more than this from the background, in parts of how much the brightest (or darkest) do."""
_FAINT = 0.01
"""What differs by less, in parts of the template's range, is no tissue on any plate."""
_BINS = 32
_SHRINK = (2, 2, 1)
_SMOOTH = (4.0, 2.0, 0.0)
"""Of the three resolutions, in pixels of the section."""
_TURNS = tuple(np.deg2rad((-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0)).tolist())
_WEIGHTS = (0.5, 0.5, 0.5, 0.5, 1.0, 1.0)
"""Mean squares of what one more of each number of A and t moves the tissue by, in its radii."""
_STEP, _CONVERGED, _WINDOW = 0.1, 1e-5, 5
_LINE = (0.0, 2.0, 0.1, 10)
"""Of the line search: from and to, in steps; how finely; how often at most."""


@dataclass(frozen=True)
class PlateFit:
    """How well a plate fits a section.

    mutual_information: nats, over the section's pixels; minus infinity where the plate could not be registered;
    pose: (9,) float64, see :mod:`regsuite.spatial.plates`, that takes the section into the plate's plane.
    """

    mutual_information: float
    pose: Tensor


def search(
    picture: Tensor, pixel: float, template: Image, plates: Plates, iterations: int, progress: Progress
) -> list[PlateFit]:
    """Every plate's fit, in the order of the plates.

    picture: (1, 1, H, W), grey, columns to the plates' right and rows to their bottom; pixel: mm; iterations: at most,
    at each of three resolutions. InputError where the picture shows nothing, or no plate can be registered with it.
    """
    section = _Flat.of(picture[0, 0], pixel)
    if section is None:
        raise InputError("The section shows nothing, its pixels are all alike: choose another channel or section.")
    atlas = _Atlas(template, plates, _FAINT * float(template.data.max() - template.data.min()))
    fits = []
    with one_thread():
        for number, pose in enumerate(plates.poses()):
            progress.step(number / plates.count, f"Plate {number + 1} of {plates.count}")
            fits.append(_fit(section, atlas, pose, iterations))
    if all(math.isinf(fit.mutual_information) for fit in fits):
        raise InputError(
            "The section could not be registered with any plate: check that it is a section of the atlas's organ and "
            "that the plates are cut along the right axis."
        )
    progress.step(1.0)
    return fits


@dataclass(frozen=True)
class _Flat:
    """A picture (H, W) float32 about its middle; spacing: mm right and down; middle (mm) and radius of its tissue."""

    data: Tensor
    spacing: tuple[float, float]
    middle: tuple[float, float]
    radius: float

    @classmethod
    def of(cls, picture: Tensor, pixel: float, faint: float = 0.0) -> _Flat | None:
        """Of a picture (H, W), averaged down to what is worked on; None where all that differs is ``faint``."""
        height, width = picture.shape
        factor = max(1.0, max(height, width) / _LONGEST)
        shape = (max(1, round(height / factor)), max(1, round(width / factor)))
        data = functional.interpolate(picture[None, None].cpu().float(), shape, mode="area")[0, 0]
        spacing = (pixel * width / shape[1], pixel * height / shape[0])
        weights = _tissue(data, faint).double()
        if not weights.any():
            return None
        columns, rows = _places(data, spacing)
        x, y = weights.sum(dim=0) / weights.sum(), weights.sum(dim=1) / weights.sum()
        middle = (float(x @ columns), float(y @ rows))
        squares = x @ (columns - middle[0]).square() + y @ (rows - middle[1]).square()
        return cls(data, spacing, middle, math.sqrt(float(squares) + sum(h * h for h in spacing) / 12))

    def widened(self, width: float, height: float) -> sitk.Image:
        """In radii from the middle of the tissue, with nothing around it up to this size at least (radii)."""
        import SimpleITK as sitk

        sizes = (width * self.radius, height * self.radius)
        lacking = [size / h - n for size, h, n in zip(sizes, self.spacing, self.data.shape[::-1], strict=True)]
        margins = [max(0, math.ceil(pixels / 2)) for pixels in lacking]
        data = functional.pad(self.data, [margin for margin in margins for _ in range(2)])
        image = sitk.GetImageFromArray(data.numpy())
        image.SetSpacing([h / self.radius for h in self.spacing])
        first = [float(place[0]) for place in _places(data, self.spacing)]
        image.SetOrigin([(start - at) / self.radius for start, at in zip(first, self.middle, strict=True)])
        return image

    @property
    def size(self) -> tuple[float, float]:
        """Width and height, in radii of the tissue."""
        height, width = self.data.shape
        return width * self.spacing[0] / self.radius, height * self.spacing[1] / self.radius


def _places(data: Tensor, spacing: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """mm of the columns and of the rows of (H, W) from its middle, float64."""
    (height, width), (across, down) = data.shape, spacing
    columns, rows = ((torch.arange(n, dtype=torch.float64) - (n - 1) / 2) for n in (width, height))
    return columns * across, rows * down


def _tissue(data: Tensor, faint: float) -> Tensor:
    """(H, W) bool: what differs from the rim, dark or bright."""
    rim = torch.cat([data[0], data[-1], data[:, 0], data[:, -1]]).median()
    differing = (data - rim).abs()
    return (differing > _TISSUE * differing.quantile(0.99)) & (differing > faint)


@dataclass(frozen=True)
class _Atlas:
    """faint: what differs by less from the background of a plate is no tissue."""

    template: Image
    plates: Plates
    faint: float

    def drawn(self, pose: Tensor) -> _Flat | None:
        """A plate as the atlas's voxels show it, or None where it is empty."""
        grid, device = self.template.grid, self.template.data.device
        pixel = min(grid.spacing)
        width, height = (math.ceil(_ROOM * size / pixel) for size in self.plates.extent[:2])
        points = flat_points((height, width), pixel).to(device)
        shown = cut(self.template.data, grid, self.plates.matrices(pose[None]).to(points), points)
        return _Flat.of(shown[0, 0], pixel, self.faint)


def _fit(section: _Flat, atlas: _Atlas, pose: Tensor, iterations: int) -> PlateFit:
    """Of the plate at that pose."""
    failed = PlateFit(-math.inf, pose)
    plate = atlas.drawn(pose)
    if plate is None:
        return failed
    fixed, moving = section.widened(0, 0), plate.widened(*(_REACH * each for each in section.size))
    try:
        value, linear, shift = _registered(fixed, moving, iterations)
        found = atlas.plates.pose_of(_matrix(section, plate, linear, shift, atlas.plates, float(pose[0])))
    except (RuntimeError, ValueError):  # too little of the two overlaps; the plate would be seen from behind
        return failed
    return PlateFit(value, found) if math.isfinite(value) else failed


def _registered(fixed: sitk.Image, moving: sitk.Image, iterations: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Mutual information, A (2, 2) and t (2,). RuntimeError where the two do not overlap."""
    registration = _metric()
    registration.SetOptimizerAsConjugateGradientLineSearch(_STEP, iterations, _CONVERGED, _WINDOW, *_LINE)
    registration.SetOptimizerScales(_WEIGHTS)
    registration.SetShrinkFactorsPerLevel(_SHRINK)
    registration.SetSmoothingSigmasPerLevel([width * fixed.GetSpacing()[0] for width in _SMOOTH])
    registration.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    found = _turned(fixed, moving)
    registration.SetInitialTransform(found, inPlace=True)
    registration.Execute(fixed, moving)
    linear = np.asarray(found.GetMatrix()).reshape(2, 2)
    return -float(registration.GetMetricValue()), linear, np.asarray(found.GetTranslation())


def _metric() -> Any:
    import SimpleITK as sitk

    metric = sitk.ImageRegistrationMethod()
    metric.SetMetricAsMattesMutualInformation(_BINS)
    metric.SetMetricSamplingStrategy(metric.NONE)
    metric.SetInterpolator(sitk.sitkLinear)
    return metric


def _turned(fixed: sitk.Image, moving: sitk.Image) -> Any:
    """The turn about the middle, of a coarse set, that looks best on smooth images."""
    import SimpleITK as sitk

    metric, width = _metric(), _SMOOTH[1] * fixed.GetSpacing()[0]
    small = [sitk.SmoothingRecursiveGaussian(each, width) for each in (fixed, moving)]
    small[0] = sitk.Shrink(small[0], [_SHRINK[0]] * 2)

    def turn(angle: float) -> Any:
        cos, sin = math.cos(angle), math.sin(angle)
        return sitk.AffineTransform([cos, -sin, sin, cos], [0.0, 0.0])

    def value(angle: float) -> float:
        metric.SetInitialTransform(turn(angle))
        return float(metric.MetricEvaluate(*small))

    return turn(min(_TURNS, key=value))


def _matrix(
    section: _Flat, plate: _Flat, linear: np.ndarray, shift: np.ndarray, plates: Plates, depth: float
) -> Tensor:
    """(4, 4) from the section's (right, bottom, next) mm to RAS mm."""
    local = np.eye(4)
    local[:2, :2] = linear * (plate.radius / section.radius)
    local[:2, 3] = plate.middle + plate.radius * shift - local[:2, :2] @ section.middle
    local[2, 3] = depth
    world = np.eye(4)
    world[:3, :3], world[:3, 3] = plates.frame, plates.grid.centre
    return torch.from_numpy(world @ local)
