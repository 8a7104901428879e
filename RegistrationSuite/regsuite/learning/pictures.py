"""Pictures as the network takes them: evened out, so that stain, lamp and camera count little."""

from __future__ import annotations

from torch import Tensor

SHAPE = (72, 96)
"""Rows and columns of a picture."""
_DARKEST, _BRIGHTEST = 0.01, 0.995
_CLIP = 3.0
_TILES = (4, 4)
_MIDDLE = 0.4


def evened(pictures: Tensor) -> Tensor:
    """Pictures (B, 1, H, W) of any brightness, about -0.4 to 0.6, by Contrast Limited Adaptive Histogram Equalization.

    Source: Pizer et al. 1987 (doi 10.1016/S0734-189X(87)80186-X), as in Antanavicius et al., WBIR 2022, section 3.1.
    """
    from kornia.enhance import equalize_clahe

    return equalize_clahe(stretched(pictures), clip_limit=_CLIP, grid_size=_TILES) - _MIDDLE


def stretched(pictures: Tensor) -> Tensor:
    """Each picture (B, 1, H, W) from 0, its darkest hundredth, to 1."""
    ends = pictures.flatten(1).quantile(pictures.new_tensor([_DARKEST, _BRIGHTEST]), dim=1)
    low, high = (end[:, None, None, None] for end in ends)
    return ((pictures - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
