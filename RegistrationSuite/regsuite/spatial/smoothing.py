"""Smoothing kernels in millimetres, applied by FFT, and pyramids."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Literal

import torch
from scipy.fft import next_fast_len
from torch import Tensor

KernelName = Literal["gaussian", "sobolev"]

_SOBOLEV_ORDER = 3


class Kernel:
    """Convolution with a sum of smoothing kernels, each of unit integral and equal share.

    Gaussian: K^(ω) = exp(-σ²ω²/2); Sobolev: K^(ω) = (1 + σ²ω²/2s)^-s with s = 3, which has the same curvature at ω = 0.

    shape: of the fields it will smooth; spacing: mm per array axis; widths: σ in mm.
    The field is extended by zeros, so what leaves at one border does not come in at the other.
    """

    def __init__(
        self,
        shape: Sequence[int],
        spacing: Sequence[float],
        widths: Sequence[float],
        name: KernelName = "gaussian",
        device: str | torch.device = "cpu",
    ) -> None:
        self.shape = tuple(shape)
        margin = 2 * max(widths)
        self.padded = tuple(
            next_fast_len(n + math.ceil(margin / h), real=True) for n, h in zip(shape, spacing, strict=True)
        )
        squared = _squared_frequency(self.padded, spacing, device)
        terms = [_SPECTRUM[name](squared * (width * width)) for width in widths]
        self.spectrum = (sum(terms[1:], terms[0]) / len(terms)).to(torch.float32)

    def root(self) -> Kernel:
        """The kernel whose square this one is."""
        root = copy.copy(self)
        root.spectrum = self.spectrum.sqrt()
        return root

    def __call__(self, field: Tensor) -> Tensor:
        """The smoothed field (N, C, *shape)."""
        axes = tuple(range(2, field.ndim))
        spectrum = torch.fft.rfftn(field, s=self.padded, dim=axes) * self.spectrum
        smooth = torch.fft.irfftn(spectrum, s=self.padded, dim=axes)
        return smooth[(..., *(slice(n) for n in self.shape))]


def _squared_frequency(shape: Sequence[int], spacing: Sequence[float], device: str | torch.device) -> Tensor:
    """|ω|² in 1/mm² on the half spectrum of a real FFT."""
    last = len(shape) - 1
    total = torch.zeros((), dtype=torch.float64, device=device)
    for axis, (n, h) in enumerate(zip(shape, spacing, strict=True)):
        make = torch.fft.rfftfreq if axis == last else torch.fft.fftfreq
        omega = 2 * math.pi * make(n, d=h, dtype=torch.float64, device=device)
        total = total + (omega**2).reshape([-1 if other == axis else 1 for other in range(len(shape))])
    return total


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
