"""Sums under Gaussian windows that stand some voxels apart, by one small matrix per axis.

What is smoothed by a Gaussian of σ voxels is known from its values about σ voxels apart; and along axes of some
hundred voxels a dense matrix is many times quicker than a convolution, on a GPU too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_REACH = 4.0
"""Half a window, in σ."""


def window_matrix(size: int, sigma: float, stride: int, like: Tensor, beyond: int = 0) -> Tensor:
    """(windows, size): Gaussian windows on an axis of ``size`` voxels, their centres ``stride`` voxels apart.

    sigma: voxels; the centres span the axis evenly, and ``beyond`` more of them follow at either end.
    Every voxel's shares in the windows whose centres lie on the axis sum to 1.
    """
    count = math.ceil(size / stride)
    first = (size - 1 - stride * (count - 1)) / 2
    centres = first + stride * torch.arange(-beyond, count + beyond, dtype=torch.float64)
    offsets = (torch.arange(size, dtype=torch.float64) - centres[:, None]) / sigma
    windows = torch.exp(-0.5 * offsets**2) * (offsets.abs() <= _REACH)
    return (windows / windows[beyond : beyond + count].sum(dim=0)).to(like)


def window_sums(data: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """What ``data`` (..., *shape) holds under every window: (..., *windows); one matrix (windows, size) per axis."""
    first = data.ndim - len(matrices)
    for axis in reversed(range(len(matrices))):
        data = _along(data, first + axis, matrices[axis])
    return data


def spread_back(sums: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """The adjoint of :func:`window_sums`: every window's value to its voxels, (*windows) to (*shape)."""
    for axis, matrix in enumerate(matrices):
        sums = _along(sums, axis, matrix.T)
    return sums


def _along(data: Tensor, axis: int, matrix: Tensor) -> Tensor:
    before, after = data.shape[:axis], data.shape[axis + 1 :]
    if not after:
        return data @ matrix.T
    stack = data.reshape(math.prod(before), data.shape[axis], math.prod(after))
    sums = torch.bmm(matrix.expand(len(stack), *matrix.shape), stack)
    return sums.reshape(*before, matrix.shape[0], *after)
