"""Smoothing kernels in millimetres, as matrices on sine modes, and Gaussian smoothing of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from regsuite.spatial.grid import Grid

KernelName = Literal["gaussian", "sobolev"]

_SOBOLEV_ORDER = 3
_FAINT = 1e-6
"""Modes whose share of the spectrum is below this are left out."""


class Kernel:
    """Convolution with a sum of smoothing kernels of equal height and, together, unit integral, in a box.

    Of equal height, a kernel's share of the spectrum is its volume's, σ^d: what is narrow adds detail at its price.
    Gaussian: K^(ω) = exp(-σ²ω²/2); Sobolev: K^(ω) = (1 + σ²ω²/2s)^-s with s = 3, which has the same curvature at ω = 0.
    Fields vanish at the faces of the grid's box of voxels: K is diagonal in the modes φ_k(x) = Π √(2/n) sin(π k x / L),
    ω = π k / L, which are orthonormal over the n voxels of an axis of length L. As products of small dense matrices,
    one an axis, the sums over modes are many times quicker than an FFT of the padded box, which these sizes would need.

    widths: σ in mm. ``modes``: how many there are along each array axis; ``sines``: they at the voxels, (n, modes)
    each; ``root``: K^½ on the modes.
    """

    def __init__(
        self,
        grid: Grid,
        widths: Sequence[float],
        name: KernelName = "gaussian",
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.grid, self.dtype, self.device = grid, dtype, device
        squared = []
        for n, h in zip(grid.shape, grid.spacing, strict=True):
            omega = math.pi * torch.arange(1, n, dtype=torch.float64) / (n * h)
            squared.append(omega[_SPECTRUM[name]((omega * min(widths)) ** 2) > _FAINT] ** 2)
        self.modes = tuple(len(each) for each in squared)
        total = squared[0]
        for each in squared[1:]:
            total = total[..., None] + each
        volumes = [width**grid.dim for width in widths]
        terms = [
            volume * _SPECTRUM[name](total * (width * width)) for volume, width in zip(volumes, widths, strict=True)
        ]
        self.spectrum = (sum(terms[1:], terms[0]) / sum(volumes)).to(device, dtype)
        self.root = self.spectrum.sqrt()
        self.sines = self._on(grid)

    def __call__(self, field: Tensor) -> Tensor:
        """K field, of (N, C, *shape)."""
        return along_axes(self.sines, along_axes([each.T for each in self.sines], field) * self.spectrum)

    def field(self, a: Tensor) -> Tensor:
        """K^½ a, of (N, C, *modes) whose squared length is its norm: (N, C, *shape)."""
        return along_axes(self.sines, a * self.root)

    def field_on(self, part: Grid) -> FieldOn:
        """As :meth:`field`, on another grid along the same axes."""
        return FieldOn(self._on(part), self.root)

    def _on(self, part: Grid) -> list[Tensor]:
        """Modes at the voxels of a grid along the same axes: (n, modes) for every axis."""
        first = self.grid.to_index(part.origin) + 0.5
        sines = []
        for start, n, h, whole, spacing, modes in zip(
            first, part.shape, part.spacing, self.grid.shape, self.grid.spacing, self.modes, strict=True
        ):
            x = (float(start) + torch.arange(n, dtype=torch.float64) * (h / spacing)) / whole
            k = torch.arange(1, modes + 1, dtype=torch.float64)
            values = torch.sin(math.pi * x[:, None] * k) * math.sqrt(2 / whole)
            sines.append(values.to(self.device, self.dtype))
        return sines


class FieldOn:
    """Fields of a kernel on one grid."""

    def __init__(self, sines: Sequence[Tensor], root: Tensor) -> None:
        self._sines, self._root = sines, root

    def __call__(self, a: Tensor) -> Tensor:
        """K^½ a, of (N, C, *modes): (N, C, *shape)."""
        return along_axes(self._sines, a * self._root)


def along_axes(matrices: Sequence[Tensor], field: Tensor) -> Tensor:
    """A field (N, C, *shape) with every spatial axis multiplied by its matrix (new size, old size)."""
    for axis, matrix in enumerate(matrices, start=2):
        if axis == field.ndim - 1:
            field = field @ matrix.T
        else:
            shape = field.shape
            lines = matrix @ field.reshape(-1, shape[axis], math.prod(shape[axis + 1 :]))
            field = lines.reshape(*shape[:axis], len(matrix), *shape[axis + 1 :])
    return field


def _gaussian(scaled: Tensor) -> Tensor:
    return torch.exp(-scaled / 2)


def _sobolev(scaled: Tensor) -> Tensor:
    return (1 + scaled / (2 * _SOBOLEV_ORDER)) ** -_SOBOLEV_ORDER


_SPECTRUM = {"gaussian": _gaussian, "sobolev": _sobolev}


def gaussian_smooth(data: Tensor, spacing: Sequence[float], width: float | Sequence[float]) -> Tensor:
    """(N, C, *shape) smoothed by a Gaussian of standard deviation ``width`` mm (one, or one per axis); edges repeat."""
    widths = [float(width)] * len(spacing) if isinstance(width, (int, float)) else list(width)
    for axis, (h, sigma) in enumerate(zip(spacing, widths, strict=True)):
        data = _smooth_axis(data, 2 + axis, sigma / h)
    return data


def _smooth_axis(data: Tensor, axis: int, sigma: float) -> Tensor:
    radius = min(math.ceil(3 * sigma), data.shape[axis] - 1)
    if sigma < 0.05 or radius < 1:
        return data
    offsets = torch.arange(-radius, radius + 1, dtype=data.dtype, device=data.device)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights = weights / weights.sum()
    lines = data.movedim(axis, -1)
    flat = torch.nn.functional.pad(lines.reshape(-1, 1, lines.shape[-1]), (radius, radius), mode="replicate")
    return torch.nn.functional.conv1d(flat, weights[None, None]).reshape(lines.shape).movedim(-1, axis)
