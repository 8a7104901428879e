"""A section as it is compared: grey, bright on dark, upright in its own plane, with what of it is tissue."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from regsuite.errors import InputError
from regsuite.io.sections import stored_pixel
from regsuite.spatial import Grid, Image
from regsuite.spatial.plates import cut
from regsuite.spatial.slices import upright
from regsuite.spatial.smoothing import gaussian_smooth

_LONGEST = 640
"""Pixels of the picture that is compared, on its longer side."""
_RIM = 0.02
"""Share of the picture's size that its rim is wide."""
_FAINT, _BRIGHT = 0.005, 0.995
_SMOOTH = 1 / 150
"""Of the picture's size: detail that does not count for what is tissue."""
_SPECK = 0.03
"""Share of the largest piece of tissue below which another one is dirt."""
_LEAST = 0.002
"""Share of the picture that has to be tissue."""
_MARGIN = 0.08
"""Of a plate's size: tissue of it that lies farther from the section's is missing there, and not just displaced."""
_MISSED = 0.01
"""Share of the plate's tissue that is missing where something is missing at all."""

_OVER = np.diag([-1.0, 1.0, -1.0, 1.0])
"""Half a turn about the vertical line."""


@dataclass(frozen=True)
class Prepared:
    """picture: (1, 1, H, W), 0 to 1, tissue bright; tissue: (H, W) bool; pixel: mm, in the section's own geometry;
    to_flat: (4, 4) from the section's RAS mm to (right, bottom, up from the paper) mm about the picture's middle;
    inverted: whether the background was brighter than the tissue; channel: which one was taken, from 1, 0 for all;
    sized: whether the user gave the size of a pixel; turned_over: whether the section is seen from its other side;
    left_out: share of what it showed that is none of the atlas's tissue and was taken away."""

    picture: Tensor
    tissue: Tensor
    pixel: float
    to_flat: np.ndarray
    inverted: bool
    channel: int
    sized: bool = False
    turned_over: bool = False
    left_out: float = 0.0

    @property
    def grid(self) -> Grid:
        """2D, (bottom, right) mm about the middle, of the picture."""
        height, width = self.picture.shape[2:]
        affine = np.diag([self.pixel, self.pixel, 1.0])[[1, 0, 2]]
        affine[:2, 2] = -(width - 1) / 2 * self.pixel, -(height - 1) / 2 * self.pixel
        return Grid.from_affine((height, width), affine)

    def other_side(self) -> Prepared:
        """The section turned over about its vertical line."""
        return replace(
            self,
            picture=self.picture.flip(3),
            tissue=self.tissue.flip(1),
            to_flat=_OVER @ self.to_flat,
            turned_over=not self.turned_over,
        )

    @property
    def file_to_flat(self) -> np.ndarray:
        """(4, 4) to flat mm, from mm about the middle of the file's first pixel, to the left and up, as ``io.sections``
        places a picture."""
        height, width = self.picture.shape[2:]
        corner = np.diag([-1.0, -1.0, 1.0, 1.0])
        corner[:2, 3] = -(width - 1) / 2 * self.pixel, -(height - 1) / 2 * self.pixel
        return _OVER @ corner if self.turned_over else corner

    def middle(self) -> tuple[float, float]:
        """(right, bottom) mm: of the box around the tissue."""
        low, high = self._box()
        centre = (low + high) / 2 - (np.array(self.tissue.shape) - 1) / 2
        return float(centre[1] * self.pixel), float(centre[0] * self.pixel)

    def size(self) -> tuple[float, float]:
        """(width, height) mm of the box around the tissue."""
        low, high = self._box()
        return float((high - low + 1)[1] * self.pixel), float((high - low + 1)[0] * self.pixel)

    def _box(self) -> tuple[np.ndarray, np.ndarray]:
        places = torch.nonzero(self.tissue).double().numpy()
        return places.min(axis=0), places.max(axis=0)


def prepared(section: Image, channel: int = 0, pixel: float = 0.0) -> Prepared:
    """Of a section (1, C, *shape) on a 3D grid of one slice; channel: from 1, 0 to choose; pixel: mm of a pixel
    as its file has it, whatever its grid says, 0 where that is right.

    InputError where there is no such channel, or nothing on the section.
    """
    values, affine = upright(section)
    own = float(np.linalg.norm(affine[:3, 0]))
    values, affine, own = _coarser(_square(values, affine, own), affine, own)
    picture, taken, inverted = _grey(values, channel)
    tissue = _tissue(picture)
    to_flat = np.linalg.inv(affine)
    to_flat[:2] *= own
    shift = np.eye(4)
    shift[:2, 3] = -(np.array(picture.shape[:1:-1]) - 1) / 2 * own
    scale_up = np.linalg.norm(affine[:3, 2])
    to_flat[2] *= scale_up
    larger = pixel / stored_pixel(section.grid) if pixel else 1.0
    to_flat = np.diag([larger, larger, larger, 1.0]) @ shift @ to_flat
    return Prepared(picture, tissue, larger * own, to_flat, inverted, taken, sized=pixel > 0)


def _square(values: Tensor, affine: np.ndarray, pixel: float) -> Tensor:
    """The same with pixels as high as they are wide; ``affine`` is changed with it."""
    high = float(np.linalg.norm(affine[:3, 1]))
    if abs(high / pixel - 1) < 1e-3:
        return values
    rows = max(1, round(values.shape[1] * high / pixel))
    factor = values.shape[1] / rows
    affine[:3, 3] += (factor / 2 - 0.5) * affine[:3, 1]
    affine[:3, 1] *= factor
    return torch.nn.functional.interpolate(values[None], (rows, values.shape[2]), mode="bilinear", antialias=True)[0]


def _coarser(values: Tensor, affine: np.ndarray, pixel: float) -> tuple[Tensor, np.ndarray, float]:
    """At most 640 pixels long."""
    factor = max(values.shape[1:]) / _LONGEST
    if factor <= 1:
        return values, affine, pixel
    height, width = (max(1, round(n / factor)) for n in values.shape[1:])
    small = torch.nn.functional.interpolate(values[None], (height, width), mode="bilinear", antialias=True)[0]
    affine = affine.copy()
    for column, (old, new) in enumerate(zip((values.shape[2], values.shape[1]), (width, height), strict=True)):
        affine[:3, 3] += (old / new / 2 - 0.5) * affine[:3, column]
        affine[:3, column] *= old / new
    return small, affine, float(np.linalg.norm(affine[:3, 0]))


# --- brightness ---


def _grey(values: Tensor, channel: int) -> tuple[Tensor, int, bool]:
    """(1, 1, H, W) 0 to 1, which channel, and whether it was inverted."""
    count = len(values)
    if channel > count:
        raise InputError(f"The section has {count} channels and no channel {channel}: choose one of them.")
    photograph = count == 3 and _rim(values.mean(dim=0)) > float(values.mean(dim=0).mean())
    taken = channel or (0 if count == 1 or photograph else 1 + _richest(values))
    grey = values.mean(dim=0) if taken == 0 else values[taken - 1]
    low, high = (float(each) for each in torch.quantile(_some(grey), torch.tensor([_FAINT, _BRIGHT])))
    if not high > low:  # nor where a number is none
        raise InputError("The section shows nothing, it has one brightness throughout: choose another channel or file.")
    ground = _rim(grey)
    inverted = ground - low > high - ground
    bright = (ground - grey) / (ground - low) if inverted else (grey - ground) / (high - ground)
    return bright.clamp(0, 1)[None, None], taken or (1 if count == 1 else 0), inverted


def _rim(grey: Tensor) -> float:
    """The median brightness around the picture."""
    rows, columns = (max(1, round(_RIM * n)) for n in grey.shape)
    parts = [grey[:rows], grey[-rows:], grey[:, :columns], grey[:, -columns:]]
    return float(torch.cat([part.flatten() for part in parts]).median())


def _some(values: Tensor) -> Tensor:
    """At most a million of them: a quantile takes no more than 16."""
    flat = values.flatten()
    return flat[:: max(1, len(flat) // 1_000_000)]


def _richest(values: Tensor) -> int:
    """The channel in which structure stands out most from grain."""
    smooth = gaussian_smooth(values[:, None], (1.0, 1.0), 3.0)[:, 0]
    grain = (values - smooth).flatten(1).std(dim=1)
    return int(torch.argmax(smooth.flatten(1).std(dim=1) / grain.clamp(min=1e-9)))


def tissue_on(picture: Tensor) -> Tensor:
    """(H, W) bool, of any grey picture (1, 1, H, W). InputError where there is none."""
    return _tissue(_grey(picture[0], 0)[0])


def _tissue(picture: Tensor) -> Tensor:
    """(H, W) bool: what is brighter than the background, without specks and with its holes filled."""
    import SimpleITK as sitk

    smooth = gaussian_smooth(picture, (1.0, 1.0), _SMOOTH * max(picture.shape[2:]))[0, 0].numpy()
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.Execute(sitk.GetImageFromArray(smooth))
    tissue = without_specks(smooth > 0.6 * otsu.GetThreshold())
    if tissue is None:
        raise InputError("The section shows nothing that could be tissue: choose another channel or file.")
    return tissue


def without_specks(mask: np.ndarray) -> Tensor | None:
    """(H, W) bool, of another, and with its holes filled; None where nothing of some size is left."""
    pieces, count = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    if sizes.max() < _LEAST * mask.size:
        return None
    kept = np.isin(pieces, np.flatnonzero(sizes >= _SPECK * sizes.max()))
    return torch.from_numpy(ndimage.binary_fill_holes(kept))


def missing(tissue: np.ndarray, plate: np.ndarray) -> np.ndarray | None:
    """(H, W) bool: where a section lacks a part of its plate, up to the section's edge; None where it lacks nothing.

    tissue, plate: (H, W) bool, where the section and the plate have tissue.
    """
    if not plate.any():
        return None
    rows, columns = np.nonzero(plate)
    margin = _MARGIN * max(np.ptp(rows), np.ptp(columns))
    core = plate & (ndimage.distance_transform_edt(~tissue) > margin)
    if core.sum() < max(1.0, _MISSED * plate.sum()):
        return None
    return ~tissue & (ndimage.distance_transform_edt(~core) <= margin + 2)


def shown_at(section: Prepared, matrices: Tensor, points: Tensor) -> Tensor:
    """(B, 1, h, w): the section's picture at ``points`` (h, w, 3) mm that (B, 4, 4) matrices take into its plane."""
    return flat_cut(section.picture, section.pixel, matrices, points)


def flat_cut(pictures: Tensor, pixel: float, matrices: Tensor, points: Tensor) -> Tensor:
    """(B, 1, h, w): a picture (1, 1, H, W), whose middle is where its plane's mm begin, at ``points`` (h, w, 3) mm that
    (B, 4, 4) matrices take into that plane; 0 beyond it."""
    height, width = pictures.shape[2:]
    affine = np.diag([pixel, pixel, 1.0, 1.0])[:, [2, 1, 0, 3]]
    affine[:2, 3] = -(width - 1) / 2 * pixel, -(height - 1) / 2 * pixel
    return cut(pictures[:, :, None], Grid.from_affine((1, height, width), affine), matrices, points)
