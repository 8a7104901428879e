"""What a run chooses by itself, from image and mask, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from regsuite.errors import InputError
from regsuite.solvers.pair import Pair, correlation_of, noise_of

Log = Callable[[str], None]

_SHOWN = 0.1
"""Intensity of what is shown and not background."""
WINDOW = 0.03
"""σ of a similarity's windows, of the images' mean extent."""
_WIDTHS = (0.045, 0.13)
"""Automatic kernel widths, of the images' mean extent: about 7 and 21 mm for a head."""
_REGULARITY = {2: 0.0045, 3: 0.0015}
_PENALTY = 0.3
_PENALTIES = (0.03, 0.3)
"""The intensity penalty where there is no mask, and its range where there is one."""


def kernel_widths(asked: Sequence[float], pair: Pair, log: Log) -> tuple[float, ...]:
    """σ in mm; InputError where one is too narrow to smooth."""
    widths, finest = tuple(asked), min(pair.grid.spacing)
    if widths == (0.0,):
        widths = tuple(max(share * pair.size, finest) for share in _WIDTHS)
        text = " and ".join(f"{width:.3g}" for width in widths)
        log(f"Smoothness widths {text} mm: 4.5 % and 13 % of the images' extent")
    if min(widths) < 0.5 * finest:
        raise InputError(
            f"Parameter 'kernel_widths' holds {min(widths):g} mm, less than half the working voxel of {finest:.3g} mm: "
            "give wider ones, or 0 alone for automatic ones."
        )
    if max(widths) > pair.size:
        raise InputError(
            f"Parameter 'kernel_widths' holds {max(widths):g} mm, and the images are {pair.size:.3g} mm across: "
            "give narrower ones, or 0 alone for automatic ones."
        )
    return widths


def regularity(asked: float, dim: int, log: Log) -> float:
    """ρ: slices of two heads cut structures that need not correspond, and are kept stiffer than volumes."""
    if asked > 0:
        return asked
    log(f"Regularity {_REGULARITY[dim]:g}, for images in {dim}D")
    return _REGULARITY[dim]


def agreement(pair: Pair, region: Tensor | None) -> float:
    """Correlation of the intensities where both images show something, outside the lesion."""
    both = pair.weight * (pair.fixed > _SHOWN) * (pair.moving > _SHOWN)
    return correlation_of(pair, both if region is None else both * (1 - region))


def penalty(asked: float, pair: Pair, region: Tensor | None, log: Log) -> float:
    """κ such that what stays unpainted, κ/(1 + κ) of the lesion's contrast, is as faint as the fixed image's noise."""
    if asked > 0:
        return asked
    if region is None:
        log(f"Intensity penalty {_PENALTY:g}, as there is no mask")
        return _PENALTY
    contrast = float((pair.fixed - pair.moving)[region > 0.5].abs().mean())
    noise = noise_of(pair.fixed, torch.minimum(pair.content, 1 - region) * (pair.fixed > _SHOWN))
    low, high = _PENALTIES
    chosen = min(max(noise / max(contrast, 1e-6), low), high)
    log(
        f"Intensity penalty {chosen:.2g}: in the mask the images differ by {contrast:.2g}, and the noise around it is "
        f"{noise:.2g} (1 is bright)"
    )
    return chosen
