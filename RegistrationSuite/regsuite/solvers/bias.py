"""Slow brightness changes of an image, evened out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from regsuite.spatial import Image, LabelImage

_SAMPLES_ACROSS = 32
_ITERATIONS = (20, 20, 20)


def even_out(image: Image, ignore: LabelImage | None) -> Image:
    """The image divided by its bias field, estimated by N4 (Tustison et al., 2010; SimpleITK) on the foreground.

    ignore: a region whose intensities say nothing of the field, such as a tumour. An image with negative values or a
    flat one is returned as it is: it has no multiplicative field to be found.
    """
    import SimpleITK as sitk

    array = image.data[0, 0].cpu().numpy()
    inside = array > 0.1 * np.quantile(array, 0.99)
    if array.min() < 0 or min(array.shape) < 8 or inside.sum() < 1000:
        return image
    if ignore is not None:
        inside &= ~ignore.mask().cpu().numpy()
    volume = sitk.GetImageFromArray(array.astype(np.float32))
    volume.SetSpacing(image.grid.spacing[::-1])
    mask = sitk.GetImageFromArray(inside.astype(np.uint8))
    mask.CopyInformation(volume)
    shrink = [max(1, n // _SAMPLES_ACROSS) for n in volume.GetSize()]
    correction = sitk.N4BiasFieldCorrectionImageFilter()
    correction.SetMaximumNumberOfIterations(_ITERATIONS)
    correction.Execute(sitk.Shrink(volume, shrink), sitk.Shrink(mask, shrink))
    field = np.exp(sitk.GetArrayFromImage(correction.GetLogBiasFieldAsImage(volume)))
    field /= np.median(field[inside])
    even = torch.from_numpy(array / field).to(image.data)
    return replace(image, data=even[None, None])
