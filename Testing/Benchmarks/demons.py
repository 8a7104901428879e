"""SimpleITK's demons on the benchmark's cases, in a process of their own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import SimpleITK as sitk
import torch
from regsuite import io
from regsuite.solvers.bias import even_out
from regsuite.spatial import Image, LabelImage
from regsuite.transforms import Transform, warp_image, warp_labels

from Benchmarks.cases import Kept, kept, started
from Benchmarks.cost import Cost
from Benchmarks.judging import judged, show

Values = dict[str, Any]

_KINDS = {
    "diffeomorphic": sitk.DiffeomorphicDemonsRegistrationFilter,
    "fast symmetric": sitk.FastSymmetricForcesDemonsRegistrationFilter,
}
_PYRAMID = ((4, 100), (2, 60), (1, 25))
_FILLINGS = 5
_SMOOTHING = 1.5
_BINS, _MATCHES = 128, 10


def register(
    case: str, kind: str, masked: bool, initial: str = "none", matched: bool = False, shown: str = ""
) -> Values:
    """Demons on the same images, evened out like ours; ``masked`` leaves the lesion out.

    initial: the alignment by ours to start from; matched: bring the intensities together by their histograms first.
    """
    given = kept(case)
    with tempfile.TemporaryDirectory() as folder, Cost() as cost:
        transform = _registered(given, kind, masked, initial, matched, Path(folder))
    show(given, transform, shown)
    return {**judged(given, transform), **cost.figures}


def register_each(cases: list[str], kind: str, masked: bool) -> list[Values]:
    """The figures of several cases, one after the other."""
    return [register(case, kind, masked) for case in cases]


def _registered(given: Kept, kind: str, masked: bool, initial: str, matched: bool, folder: Path) -> Transform:
    case, start = given.case, started(given, initial)
    moving_mask = getattr(case, "moving_mask", None)
    fixed, moving = even_out(case.fixed, case.mask), even_out(case.moving, moving_mask)
    images = [_volume(each, folder) for each in (fixed, warp_image(moving, start, fixed.grid))]
    if matched:
        images[1] = sitk.HistogramMatching(images[1], images[0], _BINS, _MATCHES)
    lesions = [case.mask, None if moving_mask is None else warp_labels(moving_mask, start, fixed.grid)]
    lesion = _volume(_union([each for each in lesions if each is not None]), folder) if masked else None
    file = folder / "field.nrrd"
    sitk.WriteImage(_demons(images[0], images[1], lesion, kind), str(file))
    return start @ io.read_transform(file)


def _union(masks: list[LabelImage]) -> Image:
    return Image(torch.stack([(mask.data != 0).float() for mask in masks]).amax(dim=0), masks[0].grid)


def _demons(fixed: sitk.Image, moving: sitk.Image, mask: sitk.Image | None, kind: str) -> sitk.Image:
    """From coarse to fine; a lesion left out is filled again and again with the moving image as warped so far."""
    field = None
    for shrink, iterations in _PYRAMID:
        coarse_fixed, coarse_moving = _coarse(fixed, shrink), _coarse(moving, shrink)
        outside = None if mask is None else 1 - _coarse(mask, shrink)
        if field is not None:
            field = sitk.Resample(field, coarse_fixed)
        for _ in range(1 if mask is None else _FILLINGS):
            target = coarse_fixed if outside is None else _filled(coarse_fixed, coarse_moving, outside, field)
            demons = _KINDS[kind]()
            demons.SetNumberOfIterations(iterations // (1 if mask is None else _FILLINGS))
            demons.SetSmoothDisplacementField(True)
            demons.SetStandardDeviations(_SMOOTHING)
            given = [target, coarse_moving] if field is None else [target, coarse_moving, field]
            field = demons.Execute(*given)
    return field


def _coarse(image: sitk.Image, shrink: int) -> sitk.Image:
    if shrink == 1:
        return image
    smooth = sitk.SmoothingRecursiveGaussian(image, 0.5 * shrink * min(image.GetSpacing()))
    return sitk.Shrink(smooth, [shrink] * image.GetDimension())


def _filled(fixed: sitk.Image, moving: sitk.Image, outside: sitk.Image, field: sitk.Image | None) -> sitk.Image:
    warped = moving
    if field is not None:
        warped = sitk.Resample(moving, fixed, sitk.DisplacementFieldTransform(sitk.Image(field)))
    return fixed * outside + warped * (1 - outside)


def _volume(image: Image, folder: Path) -> sitk.Image:
    """As SimpleITK holds it."""
    file = folder / "volume.nrrd"
    io.write_image(file, image)
    return sitk.ReadImage(str(file), sitk.sitkFloat32)
