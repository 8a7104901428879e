"""A hip as a magnetic resonance image shows it: half a pelvis, a femur that runs out below, and what is around them.

Bones are smooth unions of simple solids (:mod:`regsuite.phantoms.hip_bones`), cartilage is layers on them. The points
of any grid are asked which tissue they lie in, so that the same hip is there at every spacing and in every direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from regsuite.phantoms.fields import coarse_noise
from regsuite.phantoms.hip_bones import Femur, FemurShape, Pelvis, some_femur
from regsuite.phantoms.hip_flesh import Flesh
from regsuite.phantoms.solids import along, away, ball, length
from regsuite.spatial import Grid, Image, LabelImage

Side = Literal["right", "left"]

FEMUR, PELVIS, FEMORAL_CARTILAGE, ACETABULAR_CARTILAGE, LABRUM = 1, 2, 3, 4, 5
JOINT_FLUID, MUSCLE, FAT, VESSEL, SKIN = 6, 7, 8, 9, 10
HIP_NAMES = {
    FEMUR: "Femur",
    PELVIS: "Pelvis",
    FEMORAL_CARTILAGE: "Femoral cartilage",
    ACETABULAR_CARTILAGE: "Acetabular cartilage",
    LABRUM: "Labrum",
    JOINT_FLUID: "Joint fluid",
    MUSCLE: "Muscle",
    FAT: "Fat",
    VESSEL: "Vessel",
    SKIN: "Skin",
}
HIP_COLOURS = {
    FEMUR: (0.95, 0.88, 0.70),
    PELVIS: (0.80, 0.72, 0.55),
    FEMORAL_CARTILAGE: (0.25, 0.70, 0.85),
    ACETABULAR_CARTILAGE: (0.30, 0.45, 0.85),
    LABRUM: (0.55, 0.35, 0.75),
    JOINT_FLUID: (0.40, 0.85, 0.70),
    MUSCLE: (0.72, 0.30, 0.27),
    FAT: (0.93, 0.80, 0.45),
    VESSEL: (0.85, 0.15, 0.20),
    SKIN: (0.85, 0.65, 0.55),
}
# Brightness, air first, in the order of the labels.
_LEVELS = (15.0, 760.0, 690.0, 560.0, 540.0, 140.0, 300.0, 330.0, 880.0, 160.0, 480.0)
_CORTEX_LEVEL = 70.0
_TEXTURE = (0.0, 0.05, 0.07, 0.02, 0.02, 0.02, 0.0, 0.09, 0.05, 0.03, 0.03)
_CORTEX_MM = (1.0, 5.0)
"""Of the femur's head, and of its shaft 60 mm below the neck; the pelvis has the first."""

_RECESS_MM = 1.2
"""Of fluid around the neck, within the joint's capsule."""

_ABOUT = (88.0, 4.0, 0.0)
_SHIFT = (18.0, -6.0, -18.0)
"""RAS mm of a right femoral head's centre; and where the middle of the image is from there, lateral, anterior, up."""
_BIAS, _NOISE = 0.10, 0.02


@dataclass(frozen=True)
class Hip:
    """volume: brightness without unit; centre: (3,) of the femoral head, RAS mm; normal: (3,) unit vector from there
    down the femoral neck; femur: its sizes."""

    volume: Image
    tissues: LabelImage
    centre: Tensor
    normal: Tensor
    femur: FemurShape
    side: Side


def hip(
    seed: int = 0,
    side: Side = "right",
    spacing: float | Sequence[float] = 1.0,
    extent: float | Sequence[float] = 160.0,
    direction: np.ndarray | None = None,
) -> Hip:
    """One hip, T1- or PD-weighted; a left one is the mirror image of the right one of the same seed.

    spacing: mm, of all or of each array axis (k, j, i); extent: mm in the same way; direction: 3 x 3, columns are the
    array axes' RAS directions, upright by default.
    """
    anatomy = Anatomy(seed, side)
    grid = anatomy.grid(spacing, extent, direction)
    labels, cortex = np.empty(grid.shape, np.int32), np.empty(grid.shape, np.float32)
    for block in grid.blocks():
        tissue, share = anatomy.at(block.grid.points())
        labels[block.rows], cortex[block.rows] = tissue.numpy(), share.numpy()
    volume = _acquired(labels, cortex, grid, np.random.default_rng([seed, 1]))
    return Hip(
        volume=Image.from_array(volume, grid, "Hip"),
        tissues=LabelImage.from_array(labels, grid, HIP_NAMES, HIP_COLOURS),
        centre=torch.from_numpy(anatomy.centre),
        normal=torch.from_numpy(-anatomy.femur.shape.upward * anatomy.sides),
        femur=anatomy.femur.shape,
        side=side,
    )


class Anatomy:
    """Which tissue is where, at any point.

    centre: of the femoral head, (3,) RAS mm; sides: what turns lateral, anterior, superior to RAS.
    """

    def __init__(self, seed: int, side: Side) -> None:
        rng = np.random.default_rng([seed, 0])
        self.sides = np.array([1.0 if side == "right" else -1.0, 1.0, 1.0])
        self.centre = (np.array(_ABOUT) + rng.uniform(-3, 3, 3)) * self.sides
        self.femur = Femur(some_femur(rng), rng)
        self._femoral, self._acetabular, gap = rng.uniform(1.4, 2.2), rng.uniform(1.4, 2.2), rng.uniform(0.5, 1.0)
        self.pelvis = Pelvis(self.femur.shape.head + self._femoral + gap + self._acetabular, rng)
        self.flesh = Flesh(rng)

    def grid(
        self, spacing: float | Sequence[float], extent: float | Sequence[float], direction: np.ndarray | None
    ) -> Grid:
        """An image's around this hip."""
        steps = np.broadcast_to(np.asarray(spacing, dtype=float), 3)
        shape = np.maximum(1, np.round(np.broadcast_to(np.asarray(extent, dtype=float), 3) / steps)).astype(int)
        matrix = np.eye(4)
        matrix[:3, :3] = (np.fliplr(np.eye(3)) if direction is None else np.asarray(direction)) * steps
        matrix[:3, 3] = self.centre + np.array(_SHIFT) * self.sides - matrix[:3, :3] @ ((shape - 1) / 2)
        return Grid.from_affine([int(n) for n in shape], matrix)

    def at(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The label, and the share of compact bone (0 to 1), at RAS mm points (..., 3): (...) each."""
        local = (points - points.new_tensor(self.centre)) * points.new_tensor(self.sides)
        x = local.movedim(-1, 0).contiguous()
        femur = self.femur(x)
        pelvis = self.pelvis(x)
        label = self._soft(x)
        self._joint(x, label, femur)
        label[pelvis < 0] = PELVIS
        label[femur < 0] = FEMUR
        return label, self._cortex(x, femur, pelvis)

    def _soft(self, x: Tensor) -> Tensor:
        muscle, vessels, body = self.flesh(x)
        label = torch.zeros(x.shape[1:], dtype=torch.int32)
        label[body < 0] = SKIN
        label[body < -1.8] = FAT
        label[muscle < 0] = MUSCLE
        label[vessels < 0] = VESSEL
        return label

    def _joint(self, x: Tensor, label: Tensor, femur: Tensor) -> None:
        """Writes the joint's own tissues into ``label``: what stays visible is what no bone covers."""
        head, cup = self.femur.shape.head, self.pelvis.cup
        distance = length(x)
        behind, fossa = self.pelvis.behind(x) < 0, self.pelvis.fossa(x) < 0
        upward = along(x, self.femur.shape.upward)
        label[(femur < _RECESS_MM) & (upward > -0.9 * self.femur.shape.neck) & (distance < 1.6 * head)] = JOINT_FLUID
        label[self.pelvis.labrum(x) < 0] = LABRUM
        label[behind & fossa] = FAT
        label[behind & (distance < cup) & ~fossa] = ACETABULAR_CARTILAGE
        label[behind & (distance < cup - self._acetabular)] = JOINT_FLUID
        label[(distance < head + self._femoral) & (upward > -0.2 * head)] = FEMORAL_CARTILAGE
        fovea = (ball(x, 1.1 * head * self.femur.fovea, 5.5) < 0) & (femur > 0)
        label[fovea] = JOINT_FLUID

    def _cortex(self, x: Tensor, femur: Tensor, pelvis: Tensor) -> Tensor:
        shape = self.femur.shape
        down = along(away(x, shape.root), shape.distal)
        thin, thick = _CORTEX_MM
        thickness = thin + (thick - thin) * (down / 60).clamp(0, 1) ** 0.7
        shell = torch.where(femur < 0, thickness + femur, thin + pelvis)
        return (shell + 0.5).clamp(0, 1) * (torch.minimum(femur, pelvis) < 0)


def _acquired(labels: np.ndarray, cortex: np.ndarray, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """(*shape) float32: tissues with their texture, soft edges, a bias field and Rician noise."""
    texture = coarse_noise(rng, grid, (1.0, 5.0), 2.0)
    image = np.asarray(_LEVELS, np.float32)[labels] * (1 + np.asarray(_TEXTURE, np.float32)[labels] * texture)
    image += cortex * (_CORTEX_LEVEL - image)
    soft = ndimage.gaussian_filter(image, [0.4 * min(grid.spacing) / step for step in grid.spacing], truncate=2.5)
    soft *= 1 + _BIAS * np.tanh(coarse_noise(rng, grid, (40.0,), 8.0))
    sigma = np.float32(_NOISE * max(_LEVELS))
    soft += sigma * rng.standard_normal(grid.shape, dtype=np.float32)
    return np.hypot(soft, sigma * rng.standard_normal(grid.shape, dtype=np.float32))
