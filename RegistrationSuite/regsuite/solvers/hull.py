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

_AT_ONCE = 200_000
"""Points."""


def visual_hull(silhouettes: Tensor, pixel: float, arrangement: Arrangement, points: Tensor) -> Tensor:
    """(*any) bool, at points (*any, 3) mm in the fan's frame, float64. silhouettes: (K, H, W), 0 to 1; pixel: mm."""
    flat = pixel_grid((silhouettes.shape[1], silhouettes.shape[2]), pixel)
    flattened = points.reshape(-1, 3)
    left = torch.arange(len(flattened))
    for silhouette, plane in zip(silhouettes, arrangement.planes(), strict=True):
        back = torch.linalg.inv(plane)
        there = flattened[left] @ back[:2, :3].T + back[:2, 3]
        left = left[sample(silhouette[None, None], flat, there, outside="zeros")[0, 0] > 0.5]
    inside = torch.zeros(len(flattened), dtype=torch.bool)
    inside[left] = True
    return inside.reshape(points.shape[:-1])


def reached(points: Tensor, silhouettes: Tensor, pixel: float) -> Tensor:
    """(*any) bool: which points of the fan's frame lie in the cylinder that slices (K, H, W) go round."""
    rows, columns = (n * pixel / 2 for n in silhouettes.shape[1:])
    return (points[..., 2].abs() <= rows) & (torch.hypot(points[..., 0], points[..., 1]) <= columns)


def radial_solid(silhouettes: Tensor, pixel: float, arrangement: Arrangement, points: Tensor) -> Tensor:
    """The same, between half-planes by the angle."""
    near = reached(points, silhouettes, pixel)
    ring, step = _ring(silhouettes, pixel, arrangement), math.radians(arrangement.step)
    parts = [_mixed(ring, pixel, step, part) < 0 for part in points[near].split(_AT_ONCE)]
    inside = torch.zeros_like(near)
    inside[near] = torch.cat(parts)
    return inside


def _mixed(ring: Tensor, pixel: float, step: float, points: Tensor) -> Tensor:
    """φ (N,) at points (N, 3); step: rad from one half-plane of the ring to the next."""
    flat = pixel_grid((ring.shape[1], ring.shape[2]), pixel)
    x, y, z = points.unbind(dim=-1)
    there = torch.stack([torch.hypot(x, y), z], dim=-1)
    place = torch.remainder(torch.atan2(y, x) / step, len(ring))
    level = torch.zeros_like(x)
    for number, half in enumerate(ring):
        share = 1 - (torch.remainder(place - number + 1, len(ring)) - 1).abs()
        beside = (share > 0).nonzero()[:, 0]
        level[beside] += share[beside] * sample(half[None, None].double(), flat, there[beside])[0, 0]
    return level


def bounds(silhouettes: Tensor, pixel: float) -> tuple[float, float]:
    """Radius and half the height, mm, of a cylinder around the fan's axis that holds either solid."""
    sides = []
    for axis in (2, 1):
        places = (silhouettes > 0.5).any(dim=3 - axis).any(dim=0).nonzero()[:, 0]
        middle = (silhouettes.shape[axis] - 1) / 2
        sides.append((float((places - middle).abs().max()) + 1) * pixel if len(places) else 0.0)
    # Prisms meet farthest out between two slices.
    return sides[0] / math.cos(math.pi / 2 / len(silhouettes)), sides[1]


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
