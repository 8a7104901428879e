"""A tumour that grows in another person's brain, every deformation known.

The patient before the tumour is moving(A(x)), A = affine ∘ exp(v) the anatomical difference. The tumour grows from a
nucleus of radius R - m to an irregular ball of radius R(θ) about its centre c and pushes the tissue outwards by m at
its surface. With s = |x - c| / R(θ) and q = 1 - m/R, the point x of the grown brain came from

    G(x) = c + f(s)/s · (x - c),    f(s) = q s for s < 1,    f(s) = sqrt(s² - (1 - q²)) for s >= 1,

so the push falls off as 1/s; it is scaled to nothing towards the brain's surface. The truth is T = A ∘ G.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from regsuite.phantoms.case import VENTRICLES, WHITE, TumourCase
from regsuite.phantoms.fields import depth, smooth_noise, smooth_vectors
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.windows import border_window, smoothstep
from regsuite.transforms import Affine, DisplacementField, StationaryVelocity, Transform
from regsuite.transforms.chain import chain
from regsuite.transforms.warp import warp_image, warp_labels

_OUTLINE_WAVES = 8
_OUTLINE_ROUGHNESS = 0.18
_RED = (0.90, 0.25, 0.20)


@dataclass(frozen=True)
class Recipe:
    """How a patient is made.

    centre: of the tumour, RAS mm in the fixed image, or None for a place in white matter beside a ventricle;
    radius: of its core, mm; mass_effect: how far the core's surface has pushed, mm, below the radius;
    oedema: how far it reaches beyond the core, mm;
    anatomy: root mean square of the anatomical difference in the brain, mm, smooth over ``anatomy_widths`` mm;
    affine: strength of a rotation, scaling and shift, 1 for about 3 degrees, 3 % and 3 mm;
    bias: relative amplitude of the bias field; noise: of the Rician noise, relative to white matter.
    """

    centre: Sequence[float] | None = None
    radius: float = 16.0
    mass_effect: float = 9.0
    oedema: float = 9.0
    anatomy: float = 3.0
    anatomy_widths: Sequence[float] = (24.0, 12.0)
    affine: float = 0.0
    bias: float = 0.12
    noise: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.mass_effect < self.radius:
            raise ValueError(f"a mass effect is from 0 to below the radius {self.radius} mm, not {self.mass_effect} mm")

    @property
    def nucleus(self) -> float:
        """Radius in mm of the tissue that becomes the core."""
        return self.radius - self.mass_effect


def tumour_case(
    template: Image, labels: LabelImage, recipe: Recipe, *, seed: int = 0, grid: Grid | None = None
) -> TumourCase:
    """A patient made of ``template`` (zero outside the brain) and its ``labels`` (ventricles 1, grey 2, white 3).

    grid: of the patient's image, the template's by default.
    Raises ValueError where the tumour does not fit or its growth would fold the tissue.
    """
    return _Patient(template, labels, recipe, np.random.default_rng(seed), grid or template.grid).case()


class _Patient:
    """One patient in the making; every step draws from the same random numbers."""

    def __init__(
        self, template: Image, labels: LabelImage, recipe: Recipe, rng: np.random.Generator, grid: Grid
    ) -> None:
        self.template, self.labels, self.recipe, self.rng, self.grid = template, labels, recipe, rng, grid
        self.white_level = float(template.resampled(labels.grid).data[0, 0][labels.mask(WHITE)].median())
        self.anatomy = self._anatomy()
        before = warp_image(template, self.anatomy, grid).array()
        self.brain = ndimage.binary_fill_holes(before > 0.02 * self.white_level)
        self.centre = self._place() if recipe.centre is None else np.asarray(recipe.centre, dtype=float)
        self.s = self._radii()

    def _anatomy(self) -> Transform:
        """Another person's anatomy: patient points to template points."""
        grid, recipe = self.template.grid, self.recipe
        inside = self.template.array() > 0
        velocity = recipe.anatomy * smooth_vectors(self.rng, grid, recipe.anatomy_widths, inside)
        flow = StationaryVelocity(grid, torch.from_numpy(velocity.astype(np.float32))[None])
        return chain(flow, _slight_affine(self.rng, grid, recipe.affine)) if recipe.affine else flow

    def _place(self) -> np.ndarray:
        """White matter whose nucleus just clears the ventricles and whose core stays in the brain."""
        labels = warp_labels(self.labels, self.anatomy, self.grid).array()
        clear = depth(labels != VENTRICLES, self.grid) - self.recipe.nucleus
        beside = (clear > 1) & (clear < 1 + max(4.0, 2 * max(self.grid.spacing)))
        deep = depth(self.brain, self.grid) > self.recipe.radius * (1 + _OUTLINE_ROUGHNESS)
        candidates = np.argwhere(beside & deep & (labels == WHITE))
        if not len(candidates):
            raise ValueError(f"a tumour of radius {self.recipe.radius} mm fits nowhere beside the ventricles")
        return self.grid.to_world(candidates[self.rng.integers(len(candidates))])

    def _away(self) -> np.ndarray:
        """(*shape, d) mm from the tumour's centre."""
        return self.grid.points(torch.float64).numpy() - self.centre

    def _radii(self) -> np.ndarray:
        """s = |x - c| / R(θ), (*shape): 1 on the core's irregular surface, which is a sum of waves over directions."""
        away = self._away()
        distance = np.linalg.norm(away, axis=-1)
        direction = away / np.maximum(distance, 1e-6)[..., None]
        waves = self.rng.standard_normal((_OUTLINE_WAVES, self.grid.dim)) * 2
        phases = self.rng.uniform(0, 2 * np.pi, _OUTLINE_WAVES)
        ripple = np.cos(direction @ waves.T + phases).sum(axis=-1) * np.sqrt(2 / _OUTLINE_WAVES)
        return distance / (self.recipe.radius * (1 + _OUTLINE_ROUGHNESS * np.tanh(ripple)))

    def _growth(self) -> DisplacementField:
        """G, smoothed a little and held at the brain's surface."""
        s, recipe, grid = self.s, self.recipe, self.grid
        q = recipe.nucleus / recipe.radius
        ratio = np.where(s < 1, q, np.sqrt(np.maximum(s**2 - (1 - q**2), q**2)) / np.maximum(s, 1))
        skull = smoothstep(depth(self.brain, grid) / (recipe.radius / 2 + recipe.mass_effect))
        push = (ratio - 1) * skull * border_window(grid, recipe.radius / 2) * np.moveaxis(self._away(), -1, 0)
        sigma = [0, *(0.12 * recipe.radius / h for h in grid.spacing)]
        push = ndimage.gaussian_filter(push, sigma) * self.brain
        field = DisplacementField(grid, torch.from_numpy(push.astype(np.float32))[None])
        if float(field.jacobian_determinant(grid).min()) <= 0:
            raise ValueError(
                "this tumour would fold the tissue around it: take a smaller mass effect or another centre"
            )
        return field

    def case(self) -> TumourCase:
        """The patient's image and labels, and the truth."""
        truth = chain(self._growth(), self.anatomy)
        tissue = warp_labels(self.labels, truth, self.grid)
        core = self._core()
        oedema = self._oedema(tissue) * (1 - core)
        image = warp_image(self.template, truth, self.grid).array() * (1 - 0.28 * oedema)
        image = image * (1 - core) + core * self.white_level * self._core_contrast()
        fixed_labels = np.where(core > 0.5, 0, tissue.array())
        return TumourCase(
            fixed=Image.from_array(self._acquired(image).astype(np.float32), self.grid, "Patient with tumour"),
            moving=self.template,
            mask=LabelImage.from_array(self._lesion(core, oedema), self.grid, {1: "Lesion"}, {1: _RED}),
            fixed_labels=LabelImage.from_array(fixed_labels, self.grid, tissue.names, tissue.colours),
            moving_labels=self.labels,
            truth=truth,
            valid=LabelImage.from_array(self.brain & (core == 0), self.grid, {1: "Truth known"}),
        )

    def _core(self) -> np.ndarray:
        """Share of tumour core in every voxel, with a finely irregular edge."""
        fine = smooth_noise(self.rng, self.grid, 0.15 * self.recipe.radius)
        distance = (1 + 0.06 * fine - self.s) * self.recipe.radius
        return smoothstep(distance / max(self.grid.spacing) + 0.5) * self.brain

    def _core_contrast(self) -> np.ndarray:
        """Dark necrosis inside a bright rim of uneven thickness, relative to white matter."""
        voxel = max(self.grid.spacing)
        coarse, fine = smooth_noise(self.rng, self.grid, 4 * voxel), smooth_noise(self.rng, self.grid, voxel)
        rim = smoothstep((self.s - 0.62 - 0.12 * coarse) / 0.16)
        return 0.42 + 0.62 * rim + 0.05 * fine

    def _oedema(self, tissue: LabelImage) -> np.ndarray:
        """Share of oedema in every voxel: fingers of it follow the white matter."""
        white = ndimage.gaussian_filter(tissue.mask(WHITE).numpy().astype(float), 0.7)
        uneven = 1 + 0.35 * smooth_noise(self.rng, self.grid, 0.5 * self.recipe.radius)
        beyond = (self.s - 1) * self.recipe.radius
        return white * smoothstep((self.recipe.oedema * uneven - beyond) / 4 + 0.5) * (tissue.array() != VENTRICLES)

    def _acquired(self, image: np.ndarray) -> np.ndarray:
        """As a scanner sees it: bias field and Rician noise within the brain."""
        extent = min(n * h for n, h in zip(self.grid.shape, self.grid.spacing, strict=True))
        field = np.tanh(smooth_noise(self.rng, self.grid, extent / 4))
        sigma = self.recipe.noise * self.white_level
        real = image * (1 + self.recipe.bias * field) + sigma * self.rng.standard_normal(image.shape)
        imaginary = sigma * self.rng.standard_normal(image.shape)
        return np.where(self.brain, np.hypot(real, imaginary), image)

    def _lesion(self, core: np.ndarray, oedema: np.ndarray) -> np.ndarray:
        """Core and oedema in one piece without holes, as a rater draws it."""
        found = ndimage.binary_opening((core > 0.5) | (oedema > 0.4)) & self.brain
        pieces, _ = ndimage.label(found)
        largest = 1 + np.argmax(np.bincount(pieces.ravel())[1:])
        return ndimage.binary_fill_holes(pieces == largest).astype(np.int32)


def _slight_affine(rng: np.random.Generator, grid: Grid, strength: float) -> Affine:
    """A rotation, scaling and shift about the grid's centre."""
    scaling = np.diag(rng.uniform(-1, 1, grid.dim)) * 0.03 * strength
    turn = rng.uniform(-1, 1, (grid.dim, grid.dim)) * np.radians(3) * strength
    linear = np.eye(grid.dim) + scaling + (turn - turn.T) / 2
    matrix = np.eye(grid.dim + 1)
    matrix[:-1, :-1] = linear
    matrix[:-1, -1] = grid.centre - linear @ grid.centre + rng.uniform(-3, 3, grid.dim) * strength
    return Affine(matrix)
