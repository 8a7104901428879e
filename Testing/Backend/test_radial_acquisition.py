"""Radial slices of a phantom hip: what the truth says of them is so, computed another way."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from regsuite.phantoms import Hip, RadialAcquisition, RadialRecipe, hip, radial_acquisition
from regsuite.phantoms.hip import ACETABULAR_CARTILAGE, FEMORAL_CARTILAGE, FEMUR, MUSCLE, PELVIS
from regsuite.phantoms.outlines import spoilt
from regsuite.phantoms.quantities import MAPS, TISSUES
from regsuite.spatial import Image, LabelImage
from regsuite.spatial.plates import flat_points
from regsuite.spatial.radial import frame_of, in_order
from scipy import ndimage
from scipy.spatial.transform import Rotation

SMALL = {"shape": (72, 80), "pixel": 1.6}
SHARP = {"thickness": 0.0, "point_spread": 0.0, "noise": 0.0}


@cache
def joint() -> Hip:
    return hip(1, spacing=(3.0, 2.0, 2.5))


@cache
def acquired(seed: int = 0, bone: int | tuple[int, ...] = FEMUR, **recipe: object) -> RadialAcquisition:
    case = joint()
    chosen = RadialRecipe(**{**SMALL, **recipe})
    return radial_acquisition(case.volume, case.tissues, bone, case.centre, case.normal, recipe=chosen, seed=seed)


def in_volume(case: RadialAcquisition, number: int, across: float = 0.0) -> np.ndarray:
    """(H, W, 3) where the pixels of a slice really were, step by step as the scanner had them."""
    along = case.normal.numpy()
    world = np.eye(3)[np.abs(along).argmin()]
    first = np.cross(np.cross(along, world), along)
    first /= np.linalg.norm(first)
    angle = np.pi * case.arrangement.places[number] / len(case.slices)
    right = Rotation.from_rotvec(angle * along).apply(first) * (-1 if case.arrangement.mirrored[number] else 1)
    down = along * (-1 if case.arrangement.turned[number] else 1)
    rows, columns = SMALL["shape"]
    r, c = np.meshgrid(np.arange(rows) - (rows - 1) / 2, np.arange(columns) - (columns - 1) / 2, indexing="ij")
    planned = case.centre.numpy() + SMALL["pixel"] * (c[..., None] * right + r[..., None] * down)
    planned = planned + across * np.cross(right, down)
    return case.truth.inverse().points(case.motions[number].points(torch.from_numpy(planned))).numpy()


def read(image: Image | LabelImage, array: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(H, W) of an array between its voxels, 0 outside."""
    index = np.moveaxis(image.grid.to_index(points), -1, 0)
    return ndimage.map_coordinates(array.astype(np.float64), index, order=1, mode="grid-constant")


def test_true_planes_say_where_every_pixel_was() -> None:
    case = acquired()
    rows, columns = SMALL["shape"]
    for number, plane in enumerate(case.true_planes().numpy()):
        expected = in_volume(case, number, across=1.5)
        right, down = (3 - (columns - 1) / 2) * 1.6, (10 - (rows - 1) / 2) * 1.6
        assert np.allclose(plane @ [right, down, 1.5, 1], [*expected[10, 3], 1], atol=1e-9)
        assert np.linalg.det(plane[:3, :3]) == pytest.approx(1), "no slice is a mirror image in space"


def test_silhouettes_are_the_bone_in_the_true_planes() -> None:
    case = acquired()
    bone = joint().tissues.array() == FEMUR
    for number, silhouette in enumerate(case.true_silhouettes):
        share = read(joint().tissues, bone, in_volume(case, number))
        clear = np.abs(share - 0.5) > 1e-3
        assert np.array_equal(silhouette.array()[0][clear] == 1, share[clear] > 0.5)
        assert (share > 0.5).sum() * 1.6**2 > 2000, "head and neck, mm²"
        assert silhouette.name_of(1) == "Femur"
        assert torch.equal(silhouette.data, case.silhouettes[number].data)
    shared = case.true_silhouettes[0].array(), case.true_silhouettes[1].array()
    assert not np.array_equal(*shared)


@pytest.mark.parametrize("seed", range(4))
def test_a_section_of_the_femur_is_one_piece_without_holes(seed: int) -> None:
    """As radiologists see it; from the labels alone, at 18 turns about the axis."""
    case = hip(seed, spacing=2.0)
    frame = frame_of(case.centre, case.normal)
    flat = flat_points((76, 76), 2.0, torch.float64)
    for plane in (frame @ in_order(18).planes()).numpy():
        points = flat.numpy() @ plane[:3, :3].T + plane[:3, 3]
        bone = read(case.tissues, case.tissues.array() == FEMUR, points) > 0.5
        assert np.array_equal(ndimage.binary_fill_holes(bone), bone)
        sizes = np.bincount(ndimage.label(bone)[0].ravel())[1:]
        assert sizes.max() > 0.95 * sizes.sum()


def test_several_labels_make_one_bone() -> None:
    both, one = acquired(bone=(FEMUR, PELVIS)), acquired()
    mask = np.isin(joint().tissues.array(), (FEMUR, PELVIS))
    share = read(joint().tissues, mask, in_volume(both, 2))
    clear = np.abs(share - 0.5) > 1e-3
    assert np.array_equal(both.true_silhouettes[2].array()[0][clear] == 1, share[clear] > 0.5)
    assert torch.equal(both.slices[2].data, one.slices[2].data)


def test_every_header_gives_the_localizer_alone() -> None:
    case = acquired()
    grids = [each.grid for each in (*case.slices, *case.silhouettes, *(m for name in MAPS for m in case.maps[name]))]
    assert all(grid == grids[0] for grid in grids)
    assert grids[0].shape == (1, *SMALL["shape"])
    assert np.allclose(grids[0].spacing, (4.0, 1.6, 1.6))
    assert np.allclose(grids[0].centre, case.centre.numpy())
    direction = np.asarray(grids[0].direction)
    assert np.allclose(direction[:, 1], case.normal.numpy()), "rows run along the axis"
    assert np.allclose(case.centre.numpy(), case.truth.points(joint().centre).numpy())
    moved = case.truth.points(joint().centre + 30 * joint().normal).numpy()
    assert np.allclose(moved, case.centre.numpy() + 30 * case.normal.numpy())


def test_the_arrangement_can_be_told_from_the_planes() -> None:
    case = acquired(seed=4, motion=(0.0, 0.0))
    axis, centre = joint().normal.numpy(), joint().centre.numpy()
    planes = case.true_planes().numpy()
    assert np.allclose(planes[:, :3, 3], centre)
    turned = planes[:, :3, 1] @ axis < 0
    assert tuple(turned) == case.arrangement.turned
    assert np.allclose(np.abs(planes[:, :3, 1] @ axis), 1)
    unflipped = planes[:, :3, 0] * np.where(case.arrangement.mirrored, -1, 1)[:, None]
    start = unflipped[case.arrangement.places.index(0)]
    angles = np.degrees(np.arctan2(np.cross(start, unflipped) @ axis, unflipped @ start))
    assert np.allclose(angles, 30 * np.asarray(case.arrangement.places), atol=1e-6)


def test_arrangements_differ_from_seed_to_seed() -> None:
    arrangements = [acquired(seed, **SHARP).arrangement for seed in range(4)]
    assert len({each.places for each in arrangements}) > 1
    assert len({each.mirrored for each in arrangements}) > 1
    assert len({each.turned for each in arrangements}) > 1


def test_maps_without_motion_and_noise_are_the_tissue_at_their_points() -> None:
    case = acquired(seed=2, motion=(0.0, 0.0), **SHARP)
    assert all(torch.equal(motion.matrix, torch.eye(4, dtype=torch.float64)) for motion in case.motions)
    for name in MAPS:
        truth = case.quantities[name]
        for number, image in enumerate(case.maps[name]):
            expected = read(truth, truth.array(), in_volume(case, number))
            assert np.allclose(image.array()[0], expected, atol=1e-3 * expected.max())


def test_without_variation_a_tissue_has_its_one_value() -> None:
    case = acquired(seed=2, variation=0.0, texture=0.0, **SHARP)
    labels = joint().tissues
    for value in (FEMUR, MUSCLE):
        tissue = TISSUES[labels.name_of(value)]
        for number in range(6):
            deep = read(labels, labels.array() == value, in_volume(case, number)) > 1 - 1e-6
            assert deep.sum() > 50
            for name, time in zip(MAPS, (tissue.t1, tissue.t2, tissue.t1rho), strict=True):
                assert np.allclose(case.maps[name][number].array()[0][deep], time, rtol=1e-4)
            signal = tissue.density * np.exp(-40 / tissue.t2) * (1 - np.exp(-1500 / tissue.t1))
            assert np.allclose(case.slices[number].array()[0][deep], signal, rtol=1e-3)


def test_a_thick_slice_is_the_mean_across_it() -> None:
    thick = acquired(seed=3, **{**SHARP, "thickness": 6.0})
    truth = thick.quantities["T1"]
    offsets = np.linspace(-3, 3, 61)
    mean = np.mean([read(truth, truth.array(), in_volume(thick, 1, across)) for across in offsets], axis=0)
    thin = read(truth, truth.array(), in_volume(thick, 1))
    found = thick.maps["T1"][1].array()[0]
    assert np.abs(found - mean).mean() < 0.1 * np.abs(found - thin).mean()


def test_the_point_spread_is_a_gaussian() -> None:
    sharp, soft = acquired(seed=3, **SHARP), acquired(seed=3, **{**SHARP, "point_spread": 4.0})
    sigma = 4.0 / (2 * np.sqrt(2 * np.log(2))) / 1.6
    for name in MAPS:
        expected = ndimage.gaussian_filter(sharp.maps[name][0].array()[0], sigma, mode="nearest")
        inner = np.s_[6:-6, 6:-6]
        assert np.abs(soft.maps[name][0].array()[0] - expected)[inner].max() < 0.02 * expected.max()
        assert np.abs(sharp.maps[name][0].array()[0] - expected)[inner].max() > 0.1 * expected.max()


def test_noise_is_as_much_as_told() -> None:
    clean, noisy = acquired(seed=5, noise=0.0), acquired(seed=5, noise=0.05)
    assert torch.equal(clean.true_planes(), noisy.true_planes())
    before, after = (each.maps["T2"][0].array() for each in (clean, noisy))
    ratio = after[before > 10] / before[before > 10]
    assert np.std(ratio) == pytest.approx(0.05, rel=0.1)
    assert np.mean(ratio) == pytest.approx(1, abs=0.005)
    signal = np.concatenate([each.array().ravel() for each in clean.slices])
    shown = np.concatenate([each.array().ravel() for each in noisy.slices])
    dark = signal == 0
    assert dark.sum() > 100
    sigma = shown[dark].mean() / np.sqrt(np.pi / 2)
    assert sigma == pytest.approx(0.05 * np.quantile(signal[signal > 0], 0.97), rel=0.2)
    assert np.std((shown - signal)[signal > 8 * sigma]) == pytest.approx(sigma, rel=0.1)


def test_misalignment_and_motion_stay_within_their_limits_and_use_them() -> None:
    found = []
    for seed in range(12):
        case = acquired(seed, shift=10.0, turn=20.0, motion=(1.0, 2.0), **SHARP)
        pairs = [(case.truth, joint().centre), *((motion, case.centre) for motion in case.motions)]
        sizes = [
            (
                float((map_.points(centre) - centre).norm()),
                float(np.degrees(Rotation.from_matrix(map_.matrix[:3, :3].numpy()).magnitude())),
            )
            for map_, centre in pairs
        ]
        assert len(set(sizes)) == 7
        found.append(sizes)
    whole, slices = np.array(found)[:, 0], np.array(found)[:, 1:].reshape(-1, 2)
    assert np.all(whole <= [10 + 1e-9, 20 + 1e-6])
    assert np.all(slices <= [1 + 1e-9, 2 + 1e-6])
    assert np.all(whole.max(axis=0) > [6, 12])
    assert np.all(slices.max(axis=0) > [0.9, 1.8])


def test_outlines_are_wrong_along_the_share_told_by_millimetres() -> None:
    case = acquired(seed=1, shape=(200, 200), pixel=0.6)
    shares, depths = [], []
    for number, true in enumerate(case.true_silhouettes):
        mask = true.array()[0] > 0
        for seed in range(4):
            wrong = spoilt(mask, 0.1, 0.6, np.random.default_rng([number, seed]))
            edge = mask & ~ndimage.binary_erosion(mask, border_value=1)
            found = wrong & ~ndimage.binary_erosion(wrong, border_value=1)
            far = ndimage.distance_transform_edt(~found)[edge] * 0.6
            shares.append(np.mean(far > 1))
            depths.append(far.max())
    assert np.mean(shares) == pytest.approx(0.1, abs=0.03)
    assert 0.04 < min(shares) <= max(shares) < 0.2
    assert 2 < min(depths) <= max(depths) < 7
    assert np.array_equal(spoilt(mask, 0.0, 0.6, np.random.default_rng(0)), mask)


def test_an_acquisition_has_its_outlines_wrong() -> None:
    case = acquired(seed=1, segmentation_error=0.1)
    pairs = [(a.array() > 0, b.array() > 0) for a, b in zip(case.silhouettes, case.true_silhouettes, strict=True)]
    dice = [2 * np.sum(a & b) / (a.sum() + b.sum()) for a, b in pairs]
    assert 0.9 < min(dice) <= max(dice) < 0.999
    clean = acquired(seed=1)
    assert torch.equal(case.true_planes(), clean.true_planes())
    assert all(torch.equal(a.data, b.data) for a, b in zip(case.true_silhouettes, clean.true_silhouettes, strict=True))


def test_values_are_those_of_tissue_and_another_contrast_than_the_volumes() -> None:
    case, tissues = acquired(), joint().tissues
    labels = tissues.array()
    t1, t2, t1rho = (case.quantities[name].array() for name in MAPS)
    for cartilage in (FEMORAL_CARTILAGE, ACETABULAR_CARTILAGE):
        assert 30 < np.median(t2[labels == cartilage]) < 55
        assert 900 < np.median(t1[labels == cartilage]) < 1500
    assert 30 < np.median(t2[labels == MUSCLE]) < 40
    assert np.all(t1rho[labels > 0] > 0)
    assert np.mean(t1rho[labels > 0] > t2[labels > 0]) > 0.9
    assert np.percentile(t1, 99.9) < 6000
    assert 0.03 < np.std(t2[labels == MUSCLE]) / np.mean(t2[labels == MUSCLE]) < 0.3
    shown = np.array([each.array()[0] for each in case.slices])
    under = np.array([read(joint().volume, joint().volume.array(), in_volume(case, n)) for n in range(6)])
    assert (
        abs(np.corrcoef(np.array([m.array()[0] for m in case.maps["T1"]])[under > 50], under[under > 50])[0, 1]) < 0.9
    )
    assert np.corrcoef(shown[under > 50], under[under > 50])[0, 1] < 0.95


def test_what_has_no_label_follows_its_brightness() -> None:
    """Bone labelled alone: air stays air, and the rest is not one grey."""
    case = joint()
    alone = LabelImage(case.tissues.data * (case.tissues.data == FEMUR), case.tissues.grid)
    found = radial_acquisition(
        case.volume, alone, FEMUR, case.centre, case.normal, recipe=RadialRecipe(**SMALL, **SHARP), seed=0
    )
    labels, t2 = case.tissues.array(), found.quantities["T2"].array()
    assert np.median(t2[labels == 0]) < 8
    flesh = np.isin(labels, (MUSCLE,)), np.isin(labels, (8,))
    one, other = (np.median(t2[inside]) for inside in flesh)
    assert abs(one - other) > 3
    assert min(one, other) > 15


def test_the_seed_repeats_a_case() -> None:
    case = joint()
    recipe = RadialRecipe(**SMALL, segmentation_error=0.1)
    one, again = (
        radial_acquisition(case.volume, case.tissues, FEMUR, case.centre, case.normal, recipe=recipe, seed=9)
        for _ in range(2)
    )
    other = acquired(seed=10, segmentation_error=0.1)
    assert one.arrangement == again.arrangement
    assert torch.equal(one.true_planes(), again.true_planes())
    assert not torch.equal(one.true_planes(), other.true_planes())
    for name in ("slices", "silhouettes"):
        assert all(torch.equal(a.data, b.data) for a, b in zip(getattr(one, name), getattr(again, name), strict=True))
    assert all(torch.equal(a.data, b.data) for a, b in zip(one.maps["T1rho"], again.maps["T1rho"], strict=True))


def test_what_cannot_be_is_refused() -> None:
    case = joint()
    with pytest.raises(ValueError, match="labels \\[77\\]"):
        acquired(bone=77)
    with pytest.raises(ValueError, match="from 0 to 1"):
        RadialRecipe(segmentation_error=1.5)
    other = LabelImage(case.tissues.data[:, :, 1:], case.tissues.grid.cropped((1, 0, 0), (52, 80, 64)))
    with pytest.raises(ValueError, match="different grids"):
        radial_acquisition(case.volume, other, FEMUR, case.centre, case.normal)
