"""Anatomical planes through any grid, seen as a radiologist sees them: the patient's right on the left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regsuite.spatial import Grid, Image, LabelImage, sample
from regsuite.transforms import Transform

_MARGIN_MM = 4.0
_BACKGROUND = 0.05

# Title, then per screen axis (rightwards, upwards): world axis, sign; then the letters at left, right, bottom, top.
_Axis = tuple[int, int]
_VIEWS_3D: tuple[tuple[str, _Axis, _Axis, str], ...] = (
    ("Axial", (0, -1), (1, 1), "RLPA"),
    ("Coronal", (0, -1), (2, 1), "RLIS"),
    ("Sagittal", (1, -1), (2, 1), "APIS"),
)
_VIEWS_2D: tuple[tuple[str, _Axis, _Axis, str], ...] = (("", (0, -1), (1, 1), "RLPA"),)


@dataclass(frozen=True)
class Plane:
    """A sampled plane.

    points: (h, w, d) RAS mm, row 0 at the bottom; extent: left, right, bottom, top, in mm along the screen's axes;
    marks: letters at left, right, bottom, top; axes: world axes along the screen's two axes; signs: theirs.
    """

    title: str
    points: Tensor
    extent: tuple[float, float, float, float]
    marks: str
    axes: tuple[int, int]
    signs: tuple[int, int]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in mm."""
        left, right, bottom, top = self.extent
        return right - left, top - bottom

    def image(self, image: Image, channel: int = 0) -> np.ndarray:
        """(h, w) intensities, zero outside the image."""
        data = image.data[:, channel : channel + 1].detach().cpu().to(torch.float32)
        return sample(data, image.grid, self.points, outside="zeros")[0, 0].numpy()

    def share(self, labels: LabelImage, value: int | None = None) -> np.ndarray:
        """(h, w) share of a label, or of all, at every point: its outline is where this is a half."""
        inside = labels.mask(value).cpu().to(torch.float32)[None, None]
        return sample(inside, labels.grid, self.points, outside="zeros")[0, 0].numpy()

    def mapped(self, transform: Transform) -> np.ndarray:
        """(h, w, 2) where the points go, in mm along the screen's axes."""
        moved = transform.points(self.points.to(torch.float64)).cpu().numpy()
        return np.stack([moved[..., axis] * sign for axis, sign in zip(self.axes, self.signs, strict=True)], axis=-1)


def head_box(image: Image) -> tuple[np.ndarray, np.ndarray]:
    """The corners (d,), (d,) in RAS mm of the box around what is not background, with a margin, within the image."""
    data = image.data[0, 0].detach().cpu()
    points = image.grid.points()[data > background_level(image)].numpy()
    corners = image.grid.corners()
    if not len(points):
        return corners.min(axis=0), corners.max(axis=0)
    return (
        np.maximum(points.min(axis=0) - _MARGIN_MM, corners.min(axis=0)),
        np.minimum(points.max(axis=0) + _MARGIN_MM, corners.max(axis=0)),
    )


def background_level(image: Image) -> float:
    """An intensity between the background's and the tissue's."""
    low, high = quantiles(image.data, 0.01, 0.99)
    return low + _BACKGROUND * (high - low)


def quantiles(data: Tensor, *levels: float) -> list[float]:
    """Of a sample of the values."""
    values = data.detach().cpu().flatten()
    values = values[:: max(1, values.numel() // 200_000)].double()
    return torch.quantile(values, torch.tensor(levels, dtype=torch.float64)).tolist()


def planes(grid: Grid, centre: np.ndarray, box: tuple[np.ndarray, np.ndarray]) -> list[Plane]:
    """The planes through ``centre`` (d,) over ``box``: axial, coronal and sagittal in 3D, the image itself in 2D."""
    views = _VIEWS_3D if grid.dim == 3 else _VIEWS_2D
    step = min(grid.spacing) / 2
    return [_plane(view, centre, box, step) for view in views]


def _plane(
    view: tuple[str, _Axis, _Axis, str], centre: np.ndarray, box: tuple[np.ndarray, np.ndarray], step: float
) -> Plane:
    title, across, up, marks = view
    right, top = (_screen_steps(box, axis, step) for axis in (across, up))
    points = np.broadcast_to(centre, (len(top), len(right), len(centre))).copy()
    points[..., across[0]] = across[1] * right
    points[..., up[0]] = up[1] * top[:, None]
    half = step / 2
    extent = (right[0] - half, right[-1] + half, top[0] - half, top[-1] + half)
    return Plane(
        title, torch.from_numpy(points), extent, marks, axes=(across[0], up[0]), signs=(across[1], up[1])
    )  # fmt: skip


def _screen_steps(box: tuple[np.ndarray, np.ndarray], axis: _Axis, step: float) -> np.ndarray:
    """mm along a screen axis, rising."""
    ends = sorted(axis[1] * side[axis[0]] for side in box)
    return np.arange(ends[0], ends[1] + step / 2, step)


def lesion_centre(mask: LabelImage | None, box: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """RAS mm (d,): the middle of the lesion, else of the box."""
    if mask is None:
        return (box[0] + box[1]) / 2
    return mask.grid.points(torch.float64)[mask.mask().cpu()].mean(dim=0).numpy()
