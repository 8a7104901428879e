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
from regsuite.phantoms.fields import border_window, depth, smooth_noise, smooth_vectors, smoothstep
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.transforms import Affine, DisplacementField, StationaryVelocity, Transform
from regsuite.transforms.chain import chain
from regsuite.transforms.warp import warp_image, warp_labels

_OUTLINE_WAVES = 8
_OUTLINE_ROUGHNESS = 0.12
_SKULL_MARGIN = 0.5
_SMOOTH_PUSH = 0.12


@dataclass(frozen=True)
class Growth:
    """How a tumour grows.

    centre: RAS mm in the fixed image, or None for a place in white matter beside a ventricle drawn from the seed;
    radius: of the core, mm; mass_effect: how far the core's surface has pushed, mm, below the radius;
    oedema: how far it reaches beyond the core, mm.
    """

    centre: Sequence[float] | None = None
    radius: float = 16.0
    mass_effect: float = 9.0
    oedema: float = 9.0

    def __post_init__(self) -> None:
        if not 0 <= self.mass_effect < self.radius:
            raise ValueError(f"a mass effect is from 0 to below the radius {self.radius} mm, not {self.mass_effect} mm")

    @property
    def nucleus(self) -> float:
        """Radius in mm of the tissue that becomes the core."""
        return self.radius - self.mass_effect


def tumour_case(
    template: Image,
    labels: LabelImage,
    growth: Growth,
    *,
    seed: int = 0,
    grid: Grid | None = None,
    anatomy: float = 3.0,
    anatomy_widths: Sequence[float] = (24.0, 12.0),
    affine: float = 0.0,
    bias: float = 0.12,
    noise: float = 0.02,
) -> TumourCase:
    """A patient made of ``template`` (zero outside the brain) and its ``labels`` (ventricles 1, grey 2, white 3).

    grid: of the patient's image, the template's by default; anatomy: root mean square of the anatomical difference in
    the brain, mm, smooth over ``anatomy_widths`` mm; affine: strength of a rotation, scaling and shift, 1 for about
    3 degrees, 3 % and 3 mm; bias: relative amplitude of the bias field; noise: of the Rician noise, relative to white
    matter.

    Raises ValueError where the tumour does not fit or the growth would fold the tissue.
    """
    grid = grid or template.grid
    rng = np.random.default_rng(seed)
    difference = _anatomy(rng, template, anatomy, anatomy_widths, affine)
    healthy = warp_labels(labels, difference, grid).array()
    brain = warp_image(template, difference, grid).array() > 0.02 * _white_level(template, labels)
    brain = ndimage.binary_fill_holes(brain)
    centre = _place(rng, growth, healthy, brain, grid) if growth.centre is None else np.asarray(growth.centre, float)
    s = _radii(rng, grid, centre, growth)
    truth = chain(_push(s, centre, growth, brain, grid), difference)
    return _painted(rng, template, labels, truth, s, growth, brain, grid, bias, noise)


def _white_level(template: Image, labels: LabelImage) -> float:
    return float(template.resampled(labels.grid).data[0, 0][labels.mask(WHITE)].median())


def _anatomy(
    rng: np.random.Generator, template: Image, size: float, widths: Sequence[float], affine: float
) -> Transform:
    """Another person's anatomy: patient points to template points."""
    grid = template.grid
    velocity = size * smooth_vectors(rng, grid, widths, template.array() > 0)
    flow = StationaryVelocity(grid, torch.from_numpy(velocity.astype(np.float32))[None])
    return chain(flow, _slight_affine(rng, grid, affine)) if affine else flow


def _slight_affine(rng: np.random.Generator, grid: Grid, strength: float) -> Affine:
    generator = rng.uniform(-1, 1, (grid.dim, grid.dim)) * 0.03 * strength
    turn = rng.uniform(-1, 1, (grid.dim, grid.dim)) * np.radians(3) * strength
    linear = np.eye(grid.dim) + np.diag(np.diag(generator)) + (turn - turn.T) / 2
    matrix = np.eye(grid.dim + 1)
    matrix[:-1, :-1] = linear
    matrix[:-1, -1] = grid.centre - linear @ grid.centre + rng.uniform(-3, 3, grid.dim) * strength
    return Affine(matrix)


def _place(rng: np.random.Generator, growth: Growth, labels: np.ndarray, brain: np.ndarray, grid: Grid) -> np.ndarray:
    """White matter whose nucleus just clears the ventricles and whose core stays in the brain."""
    from_ventricles = depth(labels != VENTRICLES, grid) - growth.nucleus
    beside = (from_ventricles > 1) & (from_ventricles < 1 + max(4.0, 2 * max(grid.spacing)))
    deep = depth(brain, grid) > growth.radius * (1 + _OUTLINE_ROUGHNESS)
    candidates = np.argwhere(beside & deep & (labels == WHITE))
    if not len(candidates):
        raise ValueError(f"a tumour of radius {growth.radius} mm fits nowhere beside the ventricles")
    return grid.to_world(candidates[rng.integers(len(candidates))])


def _radii(rng: np.random.Generator, grid: Grid, centre: np.ndarray, growth: Growth) -> np.ndarray:
    """s = |x - c| / R(θ), (*shape): 1 on the core's irregular surface, which is a sum of waves over the directions."""
    away = grid.points(torch.float64).numpy() - centre
    distance = np.linalg.norm(away, axis=-1)
    direction = away / np.maximum(distance, 1e-6)[..., None]
    waves = rng.standard_normal((_OUTLINE_WAVES, grid.dim)) * 2
    phases = rng.uniform(0, 2 * np.pi, _OUTLINE_WAVES)
    ripple = np.cos(direction @ waves.T + phases).sum(axis=-1) * np.sqrt(2 / _OUTLINE_WAVES)
    return distance / (growth.radius * (1 + _OUTLINE_ROUGHNESS * np.tanh(ripple)))


def _push(s: np.ndarray, centre: np.ndarray, growth: Growth, brain: np.ndarray, grid: Grid) -> DisplacementField:
    """G as a displacement, zero outside the brain."""
    q = growth.nucleus / growth.radius
    ratio = np.where(s < 1, q, np.sqrt(np.maximum(s**2 - (1 - q**2), q**2)) / np.maximum(s, 1))
    away = grid.points(torch.float64).numpy() - centre
    skull = smoothstep(depth(brain, grid) / (_SKULL_MARGIN * growth.radius + growth.mass_effect))
    push = np.moveaxis((ratio - 1)[..., None] * away, -1, 0) * skull * border_window(grid, growth.radius / 2)
    sigma = [_SMOOTH_PUSH * growth.radius / h for h in grid.spacing]
    push = np.stack([ndimage.gaussian_filter(component, sigma) for component in push]) * brain
    field = DisplacementField(grid, torch.from_numpy(push.astype(np.float32))[None])
    if float(field.jacobian_determinant(grid).min()) <= 0:
        raise ValueError("this tumour would fold the tissue around it: take a smaller mass effect or another centre")
    return field


def _painted(
    rng: np.random.Generator,
    template: Image,
    labels: LabelImage,
    truth: Transform,
    s: np.ndarray,
    growth: Growth,
    brain: np.ndarray,
    grid: Grid,
    bias: float,
    noise: float,
) -> TumourCase:
    """The patient's image and labels, once the deformation is known."""
    level = _white_level(template, labels)
    tissue = warp_labels(labels, truth, grid)
    core = _core(rng, s, growth, grid)
    oedema = _oedema(rng, s, growth, tissue, grid) * (1 - core)
    healthy = warp_image(template, truth, grid).array()
    image = healthy * (1 - 0.28 * oedema)
    image = image * (1 - core) + core * level * _core_contrast(rng, s, grid)
    inside = brain | (core > 0.5)
    image = _acquired(rng, image, inside, grid, bias, noise * level)
    lesion = _lesion((core > 0.5) | (oedema > 0.4), inside)
    solid = core > 0.05
    named = {"names": labels.names, "colours": labels.colours}
    return TumourCase(
        fixed=Image.from_array(image.astype(np.float32), grid, "Patient with tumour"),
        moving=template,
        mask=LabelImage.from_array(lesion, grid, {1: "Lesion"}, {1: (0.90, 0.25, 0.20)}),
        fixed_labels=LabelImage.from_array(np.where(core > 0.5, 0, tissue.array()), grid, **named),
        moving_labels=labels,
        truth=truth,
        valid=LabelImage.from_array(brain & ~solid, grid, {1: "Truth known"}),
    )


def _core(rng: np.random.Generator, s: np.ndarray, growth: Growth, grid: Grid) -> np.ndarray:
    """Share of tumour core in every voxel, with a finely irregular edge."""
    fine = smooth_noise(rng, grid, 0.15 * growth.radius)
    edge = max(grid.spacing)
    return smoothstep((1 + 0.05 * fine - s) * growth.radius / edge + 0.5)


def _core_contrast(rng: np.random.Generator, s: np.ndarray, grid: Grid) -> np.ndarray:
    """Dark necrosis inside a bright rim of uneven thickness, relative to white matter."""
    coarse, fine = smooth_noise(rng, grid, 4 * max(grid.spacing)), smooth_noise(rng, grid, max(grid.spacing))
    rim = smoothstep((s - 0.62 - 0.10 * coarse) / 0.16)
    return 0.42 + 0.62 * rim + 0.05 * fine


def _oedema(rng: np.random.Generator, s: np.ndarray, growth: Growth, tissue: LabelImage, grid: Grid) -> np.ndarray:
    """Share of oedema in every voxel: fingers of it follow the white matter."""
    white = ndimage.gaussian_filter(tissue.mask(WHITE).numpy().astype(float), 0.7)
    reach = growth.oedema * (1 + 0.35 * smooth_noise(rng, grid, 0.5 * growth.radius))
    beyond = (s - 1) * growth.radius
    return white * smoothstep((reach - beyond) / 4 + 0.5) * (tissue.array() != VENTRICLES)


def _acquired(
    rng: np.random.Generator, image: np.ndarray, inside: np.ndarray, grid: Grid, bias: float, noise: float
) -> np.ndarray:
    """As a scanner sees it: bias field and Rician noise within the brain."""
    extent = min(n * h for n, h in zip(grid.shape, grid.spacing, strict=True))
    field = np.tanh(smooth_noise(rng, grid, extent / 4))
    real = image * (1 + bias * field) + noise * rng.standard_normal(grid.shape)
    imaginary = noise * rng.standard_normal(grid.shape)
    return np.where(inside, np.hypot(real, imaginary), image)


def _lesion(found: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """The largest piece, without holes, smooth as a rater draws it."""
    found = ndimage.binary_opening(found) & brain
    pieces, count = ndimage.label(found)
    if count > 1:
        found = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return ndimage.binary_fill_holes(found).astype(np.int32)
