"""Sections made of an atlas: cut at any angle, of any stain, whole or in part, with the faults that sections have.

Stain: each region gets a brightness of its own, which is mixed with the template under a curve of its own, so that an
encoder learns where things are and not how bright they are. Sources: Antanavicius et al., WBIR 2022, section 3.1
(affine maps, cropping and padding, pepper noise); random contrast: Billot et al. 2023
(doi 10.1016/j.media.2023.102789).

Random numbers are torch's own: a seed repeats them. Lengths are in pixels of a picture, or in parts of its half size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from regsuite.learning.anatomy import Anatomy
from regsuite.learning.pictures import SHAPE
from regsuite.spatial.plates import POSE

_TILT = math.radians(8.0)
_MOST_TILT = math.radians(20.0)
_DEFORMED = 1.3
"""Pixels, at most, of the standard deviation of what a section is warped by."""
_IN_HEADS = 0.35
"""Share of sections that show what is around the tissue."""
_FARTHEST, _ORGANS = 20, 5
"""Pixels from the tissue beyond which distances are not told, nor skin is seen; and kinds of organs."""
_KNOTS = 6
"""Of the curve from the template's brightness to a section's."""


@dataclass(frozen=True)
class Sections:
    """pictures: (B, 1, H, W), any brightness; tissue: (B, 1, H, W) 0 or 1, where they show the atlas's; poses: (B, 9),
    see :mod:`regsuite.spatial.plates`."""

    pictures: Tensor
    tissue: Tensor
    poses: Tensor


def random_poses(anatomy: Anatomy, count: int, hardness: float = 1.0, together: int = 4) -> Tensor:
    """(count, 9): depths over the whole atlas, in bunches of ``together`` that lie near each other, so that a batch
    holds plates that are easily confused; tilts, turns, scales and shifts that grow with ``hardness`` (0 to 1)."""
    half = anatomy.plates.extent[2] / 2
    bunch = (torch.rand(math.ceil(count / together)) * 2 - 1) * half
    depths = bunch.repeat(together)[:count] + torch.randn(count) * 2.5 * anatomy.pixel
    poses = torch.zeros(count, len(POSE))
    poses[:, 0] = depths.clamp(-half, half)
    tilted = (torch.rand(count, 2) < 0.7) * hardness
    poses[:, 1:3] = (torch.randn(count, 2) * _TILT).clamp(-_MOST_TILT, _MOST_TILT) * tilted
    return laid(poses, anatomy, hardness)


def laid(poses: Tensor, anatomy: Anatomy, hardness: float = 1.0) -> Tensor:
    """Poses (B, 9) in the same planes, with other turns, scales and shifts within them."""
    count, width = len(poses), anatomy.pixel * SHAPE[1] / 2
    spread = torch.tensor([0.33, 0.18, 0.0, 0.1, 0.2 * width, 0.16 * width])
    drawn = (torch.rand(count, len(spread)) * 2 - 1) * spread * hardness
    drawn[:, 2] = drawn[:, 1] + (torch.rand(count) * 2 - 1) * 0.08 * hardness
    return torch.cat([poses[:, :3], drawn], dim=1)


def random_sections(anatomy: Anatomy, poses: Tensor, hardness: float = 1.0, heads: float = _IN_HEADS) -> Sections:
    """Sections at poses (B, 9); ``hardness``: 0 keeps them whole, at 1 most lack a part; heads: share of them that show
    what is around the tissue."""
    device = anatomy.template.device
    points = anatomy.points() + _warp(len(poses), device) * anatomy.pixel
    template, regions = anatomy.shown(anatomy.plates.matrices(poses.to(device)), points)
    tissue = (regions > 0).float()[:, None]
    stained = _stained(template, regions, anatomy)
    whole = ~_coin(len(poses), hardness, device)
    left = torch.where(whole, 1.0, _uncut(len(poses), device))
    kept = tissue * left * torch.where(whole, 1.0, _untorn(len(poses), device))
    around = _background(tissue, torch.where(_coin(len(poses), 0.7, device), left, 1.0), heads)
    light = _shading(len(poses), device)
    return Sections(_faulty((stained * kept + around * (1 - kept)) * light), kept, poses)


# --- stain ---


def _stained(template: Tensor, regions: Tensor, anatomy: Anatomy) -> Tensor:
    """(B, 1, H, W): the template, partly flattened within its regions, and each of them a little brighter or darker,
    under a random curve."""
    batch, device = len(template), template.device
    means = anatomy.means[regions][:, None]
    flat = torch.where(_coin(batch, 0.5, device), 0.0, _amount(batch, device))
    own = torch.randn(batch, anatomy.count, device=device) * 0.25 * _amount(batch, device)[:, :, 0, 0]
    own = torch.where(_coin(batch, 0.35, device), 0.0, torch.gather(own, 1, regions.flatten(1)).reshape(template.shape))
    stained = _under_curve(template + flat * (means - template) + own)
    grain = torch.randn_like(stained) * 0.05 * _amount(batch, device).square()
    texture = _noise(batch, (SHAPE[0] // 2, SHAPE[1] // 2), device) * 0.06 * _amount(batch, device).square()
    return stained + grain + texture


def _under_curve(values: Tensor) -> Tensor:
    """Values (B, 1, H, W) of 0 to 1 through a curve for each picture, mostly a rising one."""
    batch, device = len(values), values.device
    knots = torch.rand(batch, _KNOTS, device=device)
    knots = torch.where(_coin(batch, 0.6, device)[:, :, 0, 0], knots.sort(dim=1)[0], knots)
    place = values.clamp(0, 1) * (_KNOTS - 1)
    below = place.floor().clamp(max=_KNOTS - 2)
    ends = [torch.gather(knots, 1, (below.flatten(1) + step).long()).reshape(values.shape) for step in (0, 1)]
    return ends[0] + (ends[1] - ends[0]) * (place - below)


def _shading(batch: int, device: torch.device) -> Tensor:
    """Light that is not the same everywhere."""
    return torch.exp(0.6 * _noise(batch, (3, 4), device) * _amount(batch, device))


# --- what is missing ---


def _uncut(batch: int, device: torch.device) -> Tensor:
    """(B, 1, H, W) 0 or 1: what is left after up to two straight cuts."""
    first = torch.where(_coin(batch, 0.45, device), _half_plane(batch, -0.1, 0.42, device), 1.0)
    second = torch.where(_coin(batch, 0.15, device), _half_plane(batch, 0.08, 0.67, device), 1.0)
    return first * second


def _untorn(batch: int, device: torch.device) -> Tensor:
    """(B, 1, H, W) 0 or 1: what tears and holes leave."""
    holes = _noise(batch, (7, 9), device) > torch.where(_coin(batch, 0.3, device), 1.2 + _amount(batch, device), 9.0)
    line = _noise(batch, (4, 5), device).abs() < torch.where(_coin(batch, 0.2, device), 0.06, 0.0)
    tears = line & (_noise(batch, (4, 5), device) > 0.5)
    return (~(holes | tears)).float()


def _half_plane(batch: int, low: float, high: float, device: torch.device) -> Tensor:
    """What lies on one side of a random line, that far from the middle in parts of the picture's width."""
    _, along = _turned_axes(2 * math.pi * _amount(batch, device))
    return (along < low + (high - low) * _amount(batch, device)).float()


# --- what is around ---


def _background(tissue: Tensor, left: Tensor, heads: float) -> Tensor:
    """Around a section: dark, bright, or other tissue, as around a brain that lies in its skull, where it is left."""
    batch, device = len(tissue), tissue.device
    around = torch.where(_coin(batch, 0.85, device), 0.0, 0.6 * _amount(batch, device)).repeat(1, 1, *SHAPE)
    shown = _coin(batch, heads, device).flatten()
    if bool(shown.any()):
        around[shown] = _head(tissue[shown]) * left.expand_as(tissue)[shown]
    return around


def _head(tissue: Tensor) -> Tensor:
    """(B, 1, H, W): fluid and bone around the tissue, then organs of any shape and brightness, up to the skin or the
    edge of what was seen."""
    batch, device = len(tissue), tissue.device
    away = _away(tissue) + 0.6 * _noise(batch, (9, 12), device)
    fluid, bone = 1.5 * _amount(batch, device), 3.5 * _amount(batch, device) * _coin(batch, 0.7, device)
    bright = torch.where(_coin(batch, 0.7, device), 0.25, 1.0) * _amount(batch, device)
    shown = torch.where(away < fluid + bone, bright, _organs(batch, device))
    shown = torch.where(away < fluid, 1.1 * _amount(batch, device), shown)
    skin = (
        fluid
        + bone
        + _FARTHEST * _amount(batch, device)
        + (1.5 + 3 * _amount(batch, device)) * _noise(batch, (4, 5), device)
    )
    return shown * (away < torch.where(_coin(batch, 0.2, device), math.inf, skin)) * _field(batch, device)


def _organs(batch: int, device: torch.device) -> Tensor:
    """(B, 1, H, W): shapes, coarse ones or fine ones, each of a brightness of its own, or flesh without borders."""
    half = (SHAPE[0] // 2, SHAPE[1] // 2)
    knots = (5, 6) if bool(torch.rand(()) < 0.5) else (12, 15)
    fields = functional.interpolate(torch.randn(batch, _ORGANS, *knots, device=device), half, mode="bicubic")
    level = torch.rand(batch, _ORGANS, device=device) * torch.where(_coin(batch, 0.5, device), 1.0, 0.5)[:, :, 0, 0]
    shapes = torch.gather(level, 1, fields.argmax(dim=1).flatten(1)).reshape(batch, 1, *half)
    flesh = _amount(batch, device) * (1 + 0.4 * _noise(batch, (4, 5), device))
    shown = torch.where(_coin(batch, 0.4, device), flesh, functional.interpolate(shapes, SHAPE, mode="bilinear"))
    texture = _noise(batch, (SHAPE[0] // 3, SHAPE[1] // 3), device) * 0.12 * _amount(batch, device).square()
    return (shown + texture).clamp(min=0)


def _away(mask: Tensor) -> Tensor:
    """(B, 1, H, W): about how many pixels a pixel is away from the mask, up to a number of them."""
    reached = functional.max_pool2d(mask, 2)
    away = torch.zeros_like(reached)
    for _ in range(_FARTHEST // 2):
        away = away + 2 * (1 - reached)
        reached = functional.max_pool2d(reached, 3, 1, 1)
    return functional.interpolate(away, SHAPE, mode="bilinear") * (1 - mask)


def _field(batch: int, device: torch.device) -> Tensor:
    """(B, 1, H, W) 0 or 1: the field of view, a rectangle whose edges may lie within the picture."""
    across, along = _turned_axes(torch.where(_coin(batch, 0.4, device), 0.0, 2 * math.pi * _amount(batch, device)))
    ends = 0.5 * (0.6 + 0.8 * torch.rand(4, batch, 1, 1, 1, device=device))
    rows = SHAPE[0] / SHAPE[1] * ends[:2]
    return ((across < rows[0]) & (across > -rows[1]) & (along < ends[2]) & (along > -ends[3])).float()


def _turned_axes(angle: Tensor) -> tuple[Tensor, Tensor]:
    """Two coordinates (B, 1, H, W) of the pixels, in parts of a picture's width, at right angles; the second runs along
    ``angle`` (B, 1, 1, 1), rad."""
    rows, columns = ((torch.arange(n, device=angle.device) - (n - 1) / 2) / SHAPE[1] for n in SHAPE)
    along = columns * torch.cos(angle) + rows[:, None] * torch.sin(angle)
    return rows[:, None] * torch.cos(angle) - columns * torch.sin(angle), along


# --- faults ---


def _faulty(pictures: Tensor) -> Tensor:
    """Blurred, tiled, bubbled, peppered, or noisy."""
    batch, device = len(pictures), pictures.device
    pictures = _blurred(pictures.clamp(min=0), 1.2 * torch.rand(batch, device=device))
    pictures = torch.where(_coin(batch, 0.15, device), pictures * _tiles(batch, device), pictures)
    pictures = torch.where(_bubbles(batch, device), 1.2 * _amount(batch, device), pictures)
    pepper = torch.rand_like(pictures) < 0.01 * _amount(batch, device)
    pictures = torch.where(pepper & _coin(batch, 0.2, device), 0.0, pictures)
    return pictures + 0.01 * torch.randn_like(pictures) * _amount(batch, device).square()


def _blurred(pictures: Tensor, widths: Tensor) -> Tensor:
    """Each picture by a Gaussian of its own standard deviation, pixels."""
    offsets = torch.arange(-4, 5, device=pictures.device)
    kernel = torch.exp(-0.5 * (offsets / widths[:, None].clamp(min=1e-3)) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    batch, one = len(pictures), pictures.transpose(0, 1)
    one = functional.conv2d(functional.pad(one, (4, 4, 0, 0), "replicate"), kernel[:, None, None], groups=batch)
    one = functional.conv2d(functional.pad(one, (0, 0, 4, 4), "replicate"), kernel[:, None, :, None], groups=batch)
    return one.transpose(0, 1)


def _tiles(batch: int, device: torch.device) -> Tensor:
    """Fields of view that are brighter in their middle, each at a level of its own."""
    size = int(torch.randint(8, 24, (1,)))
    rows, columns = (torch.arange(n, device=device) for n in SHAPE)
    vignette = torch.sin(math.pi * (rows[:, None] % size + 0.5) / size) * torch.sin(
        math.pi * (columns % size + 0.5) / size
    )
    shape = [batch, 1, *(math.ceil(n / size) for n in SHAPE)]
    level = torch.rand(shape, device=device).repeat_interleave(size, 2).repeat_interleave(size, 3)
    return 0.85 + 0.15 * vignette + 0.1 * level[:, :, : SHAPE[0], : SHAPE[1]]


def _bubbles(batch: int, device: torch.device) -> Tensor:
    """(B, 1, H, W): where an air bubble hides the section, in a few pictures."""
    rows, columns = (torch.arange(n, device=device) for n in SHAPE)
    away = (rows[:, None] - SHAPE[0] * _amount(batch, device)) ** 2 + (columns - SHAPE[1] * _amount(batch, device)) ** 2
    return (away < (3 + 7 * _amount(batch, device)) ** 2) & _coin(batch, 0.12, device)


def _warp(batch: int, device: torch.device) -> Tensor:
    """(B, H, W, 3) pixels: how one brain differs from another, in the plane and, less, across it."""
    amount = _DEFORMED * _amount(batch, device)
    field = torch.cat([_noise(batch, (5, 6), device) * amount * part for part in (1.0, 1.0, 0.6)], dim=1)
    return field.movedim(1, -1)


def _noise(batch: int, knots: tuple[int, int], device: torch.device) -> Tensor:
    """(B, 1, H, W) smooth, about standard normal at its knots."""
    values = torch.randn(batch, 1, *knots, device=device)
    return functional.interpolate(values, SHAPE, mode="bicubic", align_corners=True)


def _amount(batch: int, device: torch.device) -> Tensor:
    """(B, 1, 1, 1) between 0 and 1."""
    return torch.rand(batch, 1, 1, 1, device=device)


def _coin(batch: int, share: float, device: torch.device) -> Tensor:
    """(B, 1, 1, 1): true in that share of the pictures."""
    return _amount(batch, device) < share
