"""Abdomens whose organs move, grow and bend each on its own way, known at every point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from regsuite.phantoms.fields import smooth_noise
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.transforms import Transform

LIVER, SPLEEN, LEFT_KIDNEY, RIGHT_KIDNEY, BLADDER = 1, 2, 3, 4, 5
ORGAN_NAMES = {
    LIVER: "Liver",
    SPLEEN: "Spleen",
    LEFT_KIDNEY: "Left kidney",
    RIGHT_KIDNEY: "Right kidney",
    BLADDER: "Bladder",
}
ORGAN_COLOURS = {
    LIVER: (0.72, 0.38, 0.28),
    SPLEEN: (0.58, 0.30, 0.55),
    LEFT_KIDNEY: (0.85, 0.55, 0.30),
    RIGHT_KIDNEY: (0.90, 0.70, 0.35),
    BLADDER: (0.90, 0.85, 0.45),
}
# Centre, semi-axes and turn (degrees about R, A, S) of each, mm.
_SHAPES = {
    LIVER: ((62.0, 8.0, 62.0), (70.0, 55.0, 48.0), (0.0, -22.0, 0.0)),
    SPLEEN: ((-86.0, -18.0, 66.0), (24.0, 32.0, 44.0), (18.0, 12.0, 0.0)),
    LEFT_KIDNEY: ((-56.0, -36.0, 4.0), (22.0, 20.0, 44.0), (0.0, 14.0, 0.0)),
    RIGHT_KIDNEY: ((54.0, -40.0, -8.0), (22.0, 20.0, 44.0), (0.0, -14.0, 0.0)),
    BLADDER: ((0.0, 20.0, -120.0), (32.0, 27.0, 24.0), (0.0, 0.0, 0.0)),
}
_LEVELS = {LIVER: 110.0, SPLEEN: 125.0, LEFT_KIDNEY: 165.0, RIGHT_KIDNEY: 165.0, BLADDER: 8.0}
"""HU."""
_HALF = (150.0, 100.0, 170.0)
_BODY = (135.0, 88.0, 165.0)
_FAR = 30.0


@dataclass(frozen=True)
class Motions:
    """How far organs go on their own ways, as standard deviations: mm, degrees, share, mm and mm of width."""

    shift: float = 12.0
    turn: float = 8.0
    growth: float = 0.10
    bend: float = 4.0
    width: float = 40.0
    common_shift: float = 15.0
    common_growth: float = 0.06


class Way:
    """Where one organ comes from: x of the patient to A(x + b(x)) of the source, and the other way."""

    def __init__(self, matrix: np.ndarray, grid: Grid, bend: np.ndarray) -> None:
        self.matrix, self.grid, self.bend = matrix, grid, bend

    def back(self, x: np.ndarray) -> np.ndarray:
        """Points (N, 3) of the patient, where they were in the source."""
        return (x + self._bent(x)) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Points (N, 3) of the source, where they are in the patient."""
        inverse = np.linalg.inv(self.matrix)
        straight = y @ inverse[:3, :3].T + inverse[:3, 3]
        x = straight
        for _ in range(60):  # a bend is a contraction: less than half a mm a mm
            x = straight - self._bent(x)
        return x

    def _bent(self, x: np.ndarray) -> np.ndarray:
        index = self.grid.to_index(x).T
        return np.stack([ndimage.map_coordinates(each, index, order=1, mode="nearest") for each in self.bend], axis=-1)


@dataclass(frozen=True)
class OrganCase:
    """Two patients; ways: of every organ from the moving to the fixed one, by label."""

    fixed: Image
    moving: Image
    fixed_labels: LabelImage
    moving_labels: LabelImage
    ways: Mapping[int, Way]

    @property
    def inputs(self) -> Mapping[str, Image | LabelImage]:
        """The inputs of a job, by role."""
        names = ("fixed", "moving", "fixed_labels", "moving_labels")
        return {name: getattr(self, name) for name in names}

    def errors_mm(self, inverse: Transform) -> dict[str, float]:
        """How far every landmark of the moving patient is from where it belongs, where ``inverse`` takes it."""
        errors = {}
        for (value, name), y in landmarks(self.moving_labels).items():
            truth, found = self.ways[value](y[None]), inverse.points(torch.from_numpy(y[None])).numpy()
            errors[name] = float(np.linalg.norm(found - truth))
        return errors


def organ_case(spacing: float = 3.0, seed: int = 0, motions: Motions | None = None) -> OrganCase:
    """The abdomen as the moving image, and another patient as the fixed one."""
    moving = abdomen(spacing)
    fixed, ways = patient(moving, seed, motions)
    return OrganCase(drawn(fixed), drawn(moving), fixed, moving, ways)


def abdomen(spacing: float = 3.0) -> LabelImage:
    """Five organs like those of MO-BCPD (WBIR 2022), in a trunk of 300 x 200 x 340 mm."""
    shape = [int(2 * half / spacing) + 1 for half in _HALF[::-1]]
    affine = np.eye(4)
    affine[:3, :3] = np.fliplr(np.eye(3)) * spacing
    affine[:3, 3] = [-half for half in _HALF]
    grid = Grid.from_affine(shape, affine)
    x = grid.points().numpy().astype(float)
    labels = np.zeros(shape, dtype=np.int32)
    for value, (centre, axes, turn) in _SHAPES.items():
        local = (x - centre) @ Rotation.from_euler("xyz", turn, degrees=True).as_matrix() / axes
        inside = np.linalg.norm(local, axis=-1) < 1
        if value == LIVER:  # a wedge: high on the right, thin on the left
            inside &= local[..., 2] > -0.2 - 0.9 * local[..., 0]
        if value in (LEFT_KIDNEY, RIGHT_KIDNEY):  # the hilum, on the side of the spine
            side = 1 if value == LEFT_KIDNEY else -1
            inside &= np.linalg.norm((local - (side * 1.15, 0, 0)) / (0.6, 1.2, 0.45), axis=-1) > 1
        labels[inside & (labels == 0)] = value
    return LabelImage.from_array(labels, grid, ORGAN_NAMES, ORGAN_COLOURS)


def drawn(labels: LabelImage) -> Image:
    """Organs in a trunk as CT shows them, HU."""
    x = labels.grid.points().numpy()
    body = np.linalg.norm(x[..., :2] / _BODY[:2], axis=-1) < 1
    organs = labels.array()
    levels = np.select([organs == value for value in _LEVELS], list(_LEVELS.values()), default=-60.0)
    image = np.where(body | (organs > 0), levels, -1000.0).astype(np.float32)
    return Image.from_array(ndimage.gaussian_filter(image, 0.5), labels.grid, "Abdomen")


def patient(labels: LabelImage, seed: int, motions: Motions | None = None) -> tuple[LabelImage, dict[int, Way]]:
    """Another patient, each of whose organs has moved, turned, grown and bent on its own way; and the ways by label."""
    motions, rng = motions or Motions(), np.random.default_rng(seed)
    common = _affine(rng, labels.grid.centre, motions.common_shift, 0.0, motions.common_growth)
    x = labels.grid.points().numpy().reshape(-1, 3).astype(float)
    coarse = labels.grid.padded([int(_FAR / h) + 1 for h in labels.grid.spacing]).resampled([0.25 * motions.width] * 3)
    ways, best = {}, np.full(len(x), 0.5)
    found = np.zeros(len(x), dtype=np.int32)
    for value in labels.values():
        inside = labels.mask(value).numpy()
        middle = labels.grid.to_world(np.argwhere(inside).mean(axis=0))
        own = _affine(rng, middle, motions.shift, motions.turn, motions.growth)
        bend = np.stack([motions.bend * smooth_noise(rng, coarse, motions.width) for _ in range(3)])
        way = ways[value] = Way(np.linalg.inv(common @ own), coarse, bend)
        soft = ndimage.gaussian_filter(inside.astype(np.float32), 0.7)
        share = ndimage.map_coordinates(soft, labels.grid.to_index(way.back(x)).T, order=1)
        found = np.where(share > best, value, found)
        best = np.maximum(share, best)
    data = found.reshape(labels.grid.shape)
    return LabelImage.from_array(data, labels.grid, labels.names, labels.colours), ways


def _affine(rng: np.random.Generator, about: np.ndarray, shift: float, turn: float, growth: float) -> np.ndarray:
    """A random similarity (4, 4) about a point."""
    linear = Rotation.from_rotvec(np.deg2rad(turn) * rng.standard_normal(3)).as_matrix()
    linear = linear * np.exp(growth * rng.standard_normal())
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = about - linear @ about + shift * rng.standard_normal(3)
    return matrix


def landmarks(labels: LabelImage) -> dict[tuple[int, str], np.ndarray]:
    """Bottom, centre and top of every organ, as in MO-BCPD's Table 1, (3,) RAS mm, by label and name."""
    found = {}
    for value in labels.values():
        points = labels.grid.to_world(np.argwhere(labels.mask(value).numpy()))
        order = points[:, 2].argsort()
        few = max(1, len(points) // 100)
        name = labels.name_of(value)
        found[value, f"{name} bottom"] = points[order[:few]].mean(axis=0)
        found[value, f"{name} centre"] = points.mean(axis=0)
        found[value, f"{name} top"] = points[order[-few:]].mean(axis=0)
    return found
