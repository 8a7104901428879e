"""A solid from the sections that slices around one axis show of it.

Visual hull: each silhouette is drawn out across its slice, and the hull is what all of these prisms share. Source: Hip
qMRI radial 2D slices to 3D volume registration, WBIR 2022, section 2.1 (orthographic shape from silhouette). A section
is no silhouette: the hull is too large where outlines are round, and too small where the solid reaches out beside them.

Radial: between two half-planes of the fan, the signed distances to the outlines in both are mixed by the angle:

    φ(r, z, θ) = (1 - a) φ_j(r, z) + a φ_j+1(r, z) ,   a = (θ - θ_j) / (θ_j+1 - θ_j) ,   solid where φ < 0 ,

so that the solid has each outline in its slice.
"""

from __future__ import annotations

import math

import torch
from scipy import ndimage
from torch import Tensor

from regsuite.spatial.radial import Arrangement, pixel_grid
from regsuite.spatial.sampling import sample


def visual_hull(silhouettes: Tensor, pixel: float, arrangement: Arrangement, points: Tensor) -> Tensor:
    """(*any) bool, at points (*any, 3) mm in the fan's frame, float64. silhouettes: (K, H, W), 0 to 1; pixel: mm."""
    flat = pixel_grid((silhouettes.shape[1], silhouettes.shape[2]), pixel)
    inside = torch.ones(points.shape[:-1], dtype=torch.bool)
    for silhouette, plane in zip(silhouettes, arrangement.planes(), strict=True):
        back = torch.linalg.inv(plane)
        there = points @ back[:2, :3].T + back[:2, 3]
        inside &= sample(silhouette[None, None], flat, there, outside="zeros")[0, 0] > 0.5
    return inside


def radial_solid(silhouettes: Tensor, pixel: float, arrangement: Arrangement, points: Tensor) -> Tensor:
    """The same, between half-planes by the angle."""
    flat = pixel_grid((silhouettes.shape[1], silhouettes.shape[2]), pixel)
    ring = _ring(silhouettes, pixel, arrangement)
    x, y, z = points.unbind(dim=-1)
    there = torch.stack([torch.hypot(x, y), z], dim=-1)
    place = torch.remainder(torch.atan2(y, x) / math.radians(arrangement.step), len(ring))
    level = torch.zeros_like(x)
    for number, half in enumerate(ring):
        apart = torch.remainder(place - number + 1, len(ring)) - 1
        share = (1 - apart.abs()).clamp(min=0)
        level += share * sample(half[None, None].double(), flat, there)[0, 0]
    return level < 0


def _ring(silhouettes: Tensor, pixel: float, arrangement: Arrangement) -> Tensor:
    """(2K, H, W): signed distances, mm, in the fan's planes as seen from the axis to the right, rows along the axis."""
    ring = torch.empty(2 * arrangement.count, *silhouettes.shape[1:])
    flips = zip(silhouettes, arrangement.places, arrangement.mirrored, arrangement.turned, strict=True)
    for silhouette, place, mirrored, turned in flips:
        upright = silhouette.flip(0) if turned else silhouette
        inside = (upright.flip(1) if mirrored else upright).cpu().numpy() > 0.5
        away = ndimage.distance_transform_edt
        signed = torch.from_numpy((away(~inside) - away(inside)) * pixel)
        ring[place], ring[place + arrangement.count] = signed, signed.flip(1)
    return ring
