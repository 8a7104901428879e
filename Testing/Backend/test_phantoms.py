"""The phantoms are what they say: their truth explains their images, and nothing in them folds."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from regsuite.phantoms import Case, TumourCase, mni152, shapes_2d, small_tumour_3d, toy_triangle, tumour_brain
from regsuite.phantoms.case import GREY, VENTRICLES, WHITE
from regsuite.spatial import LabelImage
from regsuite.transforms import identity
from regsuite.transforms.warp import warp_image, warp_labels
from scipy import ndimage

CLEAN = {"bias": 0.0, "noise": 0.0, "oedema": -20.0}


@cache
def brain(seed: int = 2, **recipe: float) -> TumourCase:
    return tumour_brain(*_template(), seed=seed, **recipe)


@cache
def _template() -> tuple:
    return mni152(4)


def turned(degrees: float, mirrored: bool = False) -> np.ndarray:
    """A rotation about the vertical axis of an upright (k, j, i) grid; mirrored makes it left-handed."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    upright = np.fliplr(np.eye(3)) * ([1, 1, -1] if mirrored else [1, 1, 1])
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ upright


CASES = {
    "flat": lambda **recipe: shapes_2d(**recipe),
    "small": lambda **recipe: small_tumour_3d(**recipe),
    "oblique": lambda **recipe: small_tumour_3d((28, 44, 48), spacing=(4, 2.5, 2), direction=turned(20), **recipe),
    "left-handed": lambda **recipe: small_tumour_3d(direction=turned(-30, mirrored=True), **recipe),
    "brain": lambda **recipe: brain(**recipe),
}


@pytest.fixture(params=CASES, scope="module")
def make(request: pytest.FixtureRequest):
    return cache(CASES[request.param])


def dice(a: LabelImage, b: LabelImage, value: int) -> float:
    one, other = a.mask(value), b.mask(value)
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def test_truth_takes_the_moving_image_to_the_fixed_one(make) -> None:
    case = make(**CLEAN)
    warped = warp_image(case.moving, case.truth, case.fixed.grid)
    valid = case.valid.mask()
    assert torch.equal(warped.data[0, 0][valid], case.fixed.data[0, 0][valid])
    before = case.moving.resampled(case.fixed.grid).data[0, 0]
    assert float((before - case.fixed.data[0, 0])[valid].abs().mean()) > 0.02


def test_truth_takes_the_moving_labels_to_the_fixed_ones(make) -> None:
    case = make()
    warped = warp_labels(case.moving_labels, case.truth, case.fixed.grid)
    assert dice(warped, case.fixed_labels, VENTRICLES) > 0.97
    assert 0.35 < dice(case.moving_labels, case.fixed_labels, VENTRICLES) < 0.85


def test_truth_folds_nowhere_and_moves_millimetres(make) -> None:
    case = make()
    assert float(case.truth.jacobian_determinant(case.fixed.grid).min()) > 0
    error = case.error_mm(identity(case.fixed.grid.dim))
    assert 1 < float(error.mean()) < 5
    assert float(case.error_mm(case.truth).max()) == 0


def test_truth_has_an_inverse(make) -> None:
    case = make()
    x = case.fixed.grid.points(torch.float64)[case.valid.mask()]
    back = case.truth.inverse().points(case.truth.points(x))
    assert float((back - x).norm(dim=-1).quantile(0.99)) < 0.5


def test_mask_is_one_piece_inside_the_brain(make) -> None:
    case = make()
    mask = case.mask.mask().numpy()
    assert ndimage.label(mask)[1] == 1
    assert np.all(case.fixed.array()[mask] > 0)
    assert case.mask.grid == case.fixed.grid
    assert case.mask.values() == [1]


def test_core_is_in_the_mask_and_neither_in_the_truth_nor_in_the_labels(make) -> None:
    case = make()
    valid = case.valid.mask().numpy()
    core = ndimage.binary_fill_holes(valid) & ~valid
    spacing = case.fixed.grid.spacing
    deep = ndimage.distance_transform_edt(core, sampling=spacing) > 1.5 * max(spacing)
    assert deep.any()
    assert case.mask.array()[deep].all()
    assert not case.fixed_labels.array()[deep].any()


def test_mass_effect_is_the_push_at_the_surface() -> None:
    still = {"centre": (20.0, 0.0), "anatomy": 0.0, "radius": 14.0}
    case = shapes_2d(mass_effect=6.0, **still)
    u = case.truth.displacement(case.fixed.grid)
    assert 4.0 < float(u.norm(dim=1).max()) < 7.5
    inward = -(u[0].movedim(0, -1) * (case.fixed.grid.points() - torch.tensor([20.0, 0.0]))).sum(-1)
    assert float(inward.min()) > -1e-3, "tissue came from nearer the centre"
    still_case = shapes_2d(mass_effect=0.0, **still)
    assert float(still_case.truth.displacement(case.fixed.grid).norm(dim=1).max()) < 1e-3


def test_oedema_darkens_white_matter() -> None:
    recipe = {"bias": 0.0, "noise": 0.0}
    case = brain(**recipe)
    warped = warp_image(case.moving, case.truth, case.fixed.grid)
    oedema = (case.mask.mask() & case.valid.mask() & (case.fixed_labels.mask(WHITE))).numpy()
    drop = 1 - case.fixed.array()[oedema] / warped.array()[oedema]
    assert 0.15 < np.median(drop) <= 0.28


def test_seeds_repeat_and_differ() -> None:
    one, again, other = shapes_2d(seed=1), shapes_2d(seed=1), shapes_2d(seed=2)
    assert torch.equal(one.fixed.data, again.fixed.data)
    assert not torch.equal(one.fixed.data, other.fixed.data)


@pytest.mark.parametrize("seed", range(6))
def test_every_seed_grows_a_tumour_beside_the_ventricles(seed: int) -> None:
    case = brain(seed=seed)
    millilitres = float(case.mask.mask().sum()) * case.mask.grid.voxel_volume / 1000
    assert 15 < millilitres < 90
    ventricles = case.fixed_labels.mask(VENTRICLES).numpy()
    gap = ndimage.distance_transform_edt(~ventricles, sampling=case.mask.grid.spacing)
    assert gap[case.mask.mask().numpy()].min() <= 12


def test_ventricles_of_the_template() -> None:
    """Lateral and third ventricles of the MNI152 average: 10 to 25 ml, as far right as left, dark in T1."""
    template, labels = mni152(2)
    ventricles = labels.mask(VENTRICLES)
    assert 10 < float(ventricles.sum()) * 8e-3 < 25
    x = template.grid.points()[ventricles]
    assert abs(float(x[:, 0].mean())) < 1
    assert 10 < float(x[:, 2].mean()) < 20
    level = {value: float(template.data[0, 0][labels.mask(value)].median()) for value in (VENTRICLES, GREY, WHITE)}
    assert level[VENTRICLES] < 0.6 * level[GREY] < 0.6 * level[WHITE]


def test_a_tumour_that_fits_nowhere_says_so() -> None:
    with pytest.raises(ValueError, match="fits nowhere"):
        brain(radius=70.0)
    with pytest.raises(ValueError, match="mass effect"):
        brain(radius=10.0, mass_effect=10.0)


@pytest.fixture(params=[300, 150])
def toy(request: pytest.FixtureRequest) -> Case:
    return toy_triangle(request.param)


def test_toy_is_the_papers(toy: Case) -> None:
    """A triangle that grows; bottom and left ovals where it will be; border ovals that do not overlap."""
    scale = toy.fixed.grid.shape[0] / 300
    side = 70 * np.sqrt(3) * scale
    assert float(toy.mask.mask().sum()) == pytest.approx(np.sqrt(3) / 4 * side**2, rel=0.02)
    inside = [float((toy.moving_labels.mask(v) & toy.mask.mask()).sum()) for v in (1, 2, 3, 4)]
    assert min(inside[:2]) > 100 * scale**2
    assert max(inside[2:]) == 0
    assert all(dice(toy.moving_labels, toy.fixed_labels, value) == 0 for value in (5, 6, 7, 8))
    assert all(dice(toy.moving_labels, toy.fixed_labels, value) < 0.7 for value in (1, 2, 3, 4))
    assert not (toy.fixed_labels.mask() & toy.mask.mask()).any()
    areas = [float(toy.fixed_labels.mask(v).sum()) for v in range(1, 5)]
    assert areas == pytest.approx([np.pi * 22 * 9 * scale**2] * 4, rel=0.05)


def test_inputs_go_by_role() -> None:
    case = shapes_2d()
    assert set(case.inputs) == {"fixed", "moving", "mask", "moving_labels", "fixed_labels"}
