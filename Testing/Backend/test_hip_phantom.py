"""The hip of the phantom is a hip: its parts are where anatomy has them, measured on the labels alone."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from regsuite.phantoms import Hip, hip
from regsuite.phantoms.hip import (
    ACETABULAR_CARTILAGE,
    FAT,
    FEMORAL_CARTILAGE,
    FEMUR,
    HIP_NAMES,
    MUSCLE,
    PELVIS,
    VESSEL,
)
from regsuite.spatial import LabelImage
from scipy import ndimage
from scipy.spatial.transform import Rotation

SEEDS = (0, 1, 2)


@cache
def made(seed: int = 0, side: str = "right", spacing: float = 2.0) -> Hip:
    return hip(seed, side, spacing)


@cache
def tall(seed: int) -> Hip:
    """With more of the shaft."""
    return hip(seed, spacing=2.0, extent=(260.0, 160.0, 160.0))


def label_at(labels: LabelImage, points: np.ndarray) -> np.ndarray:
    """(N,) the label of the nearest voxel, -1 outside."""
    index = labels.grid.to_index(points).T
    return ndimage.map_coordinates(labels.array(), index, order=0, mode="constant", cval=-1)


def where(labels: LabelImage, value: int) -> np.ndarray:
    return labels.grid.to_world(np.argwhere(labels.array() == value))


def away_from(labels: LabelImage, value: int) -> np.ndarray:
    """(*shape) mm to the nearest voxel of a label."""
    return ndimage.distance_transform_edt(labels.array() != value, sampling=labels.grid.spacing)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_tissues_are_there_and_named(seed: int) -> None:
    tissues = made(seed).tissues
    assert tissues.values() == sorted(HIP_NAMES)
    assert all(tissues.name_of(value) == name for value, name in HIP_NAMES.items())
    assert set(tissues.colours) == set(HIP_NAMES)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_centre_is_that_of_the_head(seed: int) -> None:
    """A ball but for its dimple; the socket's side of the next shell has none of it."""
    case = made(seed)
    directions = Rotation.random(400, random_state=1).apply([1.0, 0.0, 0.0])
    centre, radius = case.centre.numpy(), case.femur.head
    assert 22 <= radius <= 26
    assert np.mean(label_at(case.tissues, centre + 0.9 * radius * directions) == FEMUR) > 0.96
    up = directions[directions @ case.normal.numpy() < -0.3]
    assert not np.any(label_at(case.tissues, centre + (radius + 1.8) * up) == FEMUR)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_axis_goes_down_the_middle_of_the_neck(seed: int) -> None:
    case = made(seed)
    centre, normal = case.centre.numpy(), case.normal.numpy()
    assert np.linalg.norm(normal) == pytest.approx(1)
    along = np.arange(0, case.femur.neck, 1.0)
    assert np.all(label_at(case.tissues, centre + along[:, None] * normal) == FEMUR)
    assert normal[0] > 0.5, "to the side of the trochanter"
    assert normal[1] < 0, "the head is in front of the shaft"
    assert normal[2] < -0.4, "and above it"
    points = where(case.tissues, FEMUR) - centre
    waist = points[np.abs(points @ normal - 0.62 * case.femur.neck) < 2]
    off = waist - (waist @ normal)[:, None] * normal
    # The greater trochanter reaches up beside the neck.
    neck = off[np.linalg.norm(off, axis=1) < 20]
    assert np.linalg.norm(neck.mean(axis=0)) < 4
    assert len(neck) * 8 / 4 < 0.75 * np.pi * case.femur.head**2, "thinner than the head, mm²"


@pytest.mark.parametrize("seed", SEEDS)
def test_neck_and_shaft_have_the_angles_told(seed: int) -> None:
    """The shaft's axis is found from the middles of the lowest sections."""
    case = tall(seed)
    points = where(case.tissues, FEMUR)
    lowest = points[:, 2].min()
    low, high = (points[np.abs(points[:, 2] - lowest - height) < 1].mean(axis=0) for height in (0.0, 30.0))
    distal = (low - high) / np.linalg.norm(low - high)
    angle = np.degrees(np.arccos(-case.normal.numpy() @ distal))
    assert angle == pytest.approx(case.femur.ccd, abs=4)
    assert 120 <= case.femur.ccd <= 135
    assert 5 <= case.femur.anteversion <= 25
    upward = -case.normal.numpy() + (case.normal.numpy() @ distal) * distal
    assert np.degrees(np.arctan2(upward[1], -upward[0])) == pytest.approx(case.femur.anteversion, abs=5)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_femur_runs_out_below_and_nowhere_else(seed: int) -> None:
    femur = made(seed).tissues.mask(FEMUR).numpy()
    assert femur[0].sum() * 4 > 400, "a whole section of the shaft, mm²"
    assert not any(np.take(femur, end, axis).any() for axis in range(3) for end in (0, -1) if (axis, end) != (0, 0))
    assert ndimage.label(femur)[1] == 1
    assert np.array_equal(ndimage.binary_fill_holes(femur), femur), "no cavity within"


@pytest.mark.parametrize("seed", SEEDS)
def test_trochanters_stand_where_they_should(seed: int) -> None:
    case = tall(seed)
    points = where(case.tissues, FEMUR) - case.centre.numpy()
    lateral = points[points[:, 0] > 25]
    tip = lateral[lateral[:, 2].argmax()]
    assert abs(tip[2]) < 10, "the greater one's tip is as high as the head's centre"
    assert tip[1] < case.normal[1] * case.femur.neck, "and behind the neck"
    root = case.normal.numpy() * case.femur.neck
    # The shaft's inner border far below, continued upwards as a straight line, passes under the lesser one.
    heights = root[2] - np.array([42, 80, 105])
    at_lesser, *below = (points[np.abs(points[:, 2] - each) < 1.1][:, 0].min() for each in heights)
    straight = below[0] + (below[0] - below[1]) / (heights[1] - heights[2]) * (heights[0] - heights[1])
    assert 5 < straight - at_lesser < 16


def test_bones_never_touch_and_cartilage_is_between_them() -> None:
    tissues = made(1, spacing=1.5).tissues
    femur, pelvis = (away_from(tissues, value) for value in (FEMUR, PELVIS))
    assert femur[tissues.mask(PELVIS).numpy()].min() > 2
    assert femur[tissues.mask(FEMORAL_CARTILAGE).numpy()].max() < 3.5
    # Over the floor of the socket, its cartilage has an edge.
    assert np.quantile(pelvis[tissues.mask(ACETABULAR_CARTILAGE).numpy()], 0.9) < 3.5


def test_a_left_hip_is_the_mirror_image_of_the_right() -> None:
    right, left = made(3, "right", 2.5), made(3, "left", 2.5)
    assert torch.equal(left.tissues.data, right.tissues.data.flip(-1))
    assert np.allclose(left.centre.numpy(), right.centre.numpy() * [-1, 1, 1])
    assert np.allclose(left.normal.numpy(), right.normal.numpy() * [-1, 1, 1])
    assert right.centre[0] > 0 > left.centre[0]


@pytest.mark.parametrize(("mirrored", "most"), [(True, 0.93), (False, 0.93)])
def test_no_turn_about_the_neck_brings_the_femur_to_itself_or_to_its_mirror_image(mirrored: bool, most: float) -> None:
    """Of the points within reach of radial slices; by how much they agree after a turn about the axis."""
    case = made(0)
    centre, normal = case.centre.numpy(), case.normal.numpy()
    points = where(case.tissues, FEMUR) - centre
    points = points[np.linalg.norm(points, axis=1) < 70]
    side = np.cross(normal, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    moved = points - 2 * (points @ side)[:, None] * side if mirrored else points
    turns = range(0, 360, 5) if mirrored else range(20, 345, 5)
    shares = [
        np.mean(label_at(case.tissues, centre + Rotation.from_rotvec(np.radians(turn) * normal).apply(moved)) == FEMUR)
        for turn in turns
    ]
    assert 0.5 < max(shares) < most


def test_brightness_is_that_of_the_tissue() -> None:
    case = made(0, spacing=1.5)
    level = {}
    for value in (VESSEL, MUSCLE, FEMORAL_CARTILAGE, FEMUR, FAT):
        inside = ndimage.distance_transform_edt(case.tissues.mask(value).numpy(), sampling=case.tissues.grid.spacing)
        level[value] = float(np.median(case.volume.array()[inside > min(2.5, 0.7 * inside.max())]))
    assert level[VESSEL] < level[MUSCLE] < level[FEMORAL_CARTILAGE] < level[FEMUR] < level[FAT]
    air = case.volume.array()[case.tissues.array() == 0]
    assert np.median(air) < 0.2 * level[MUSCLE]
    shaft = case.tissues.mask(FEMUR).numpy()[:6]
    depth = ndimage.distance_transform_edt(shaft, sampling=case.tissues.grid.spacing)
    cortex = case.volume.array()[:6][(depth > 1) & (depth < 3)]
    assert np.median(cortex) < 0.4 * level[FEMUR], "compact bone is dark"


def test_another_grid_shows_the_same_hip() -> None:
    axes = Rotation.from_euler("xyz", (20, -15, 30), degrees=True).as_matrix() @ np.fliplr(np.eye(3))
    upright, oblique = made(2), hip(2, spacing=(3.0, 2.0, 2.5), extent=(90.0, 80.0, 100.0), direction=axes)
    assert oblique.volume.grid.shape == (30, 40, 40)
    assert np.allclose(oblique.volume.grid.direction, axes)
    assert torch.equal(oblique.centre, upright.centre)
    points = oblique.tissues.grid.points(torch.float64).numpy().reshape(-1, 3)
    there, here = label_at(upright.tissues, points), oblique.tissues.array().ravel()
    seen = there >= 0
    bone = (here == FEMUR)[seen], (there == FEMUR)[seen]
    assert 2 * np.sum(bone[0] & bone[1]) / (bone[0].sum() + bone[1].sum()) > 0.95
    assert np.mean(here[seen] == there[seen]) > 0.85


def test_seeds_repeat_and_differ() -> None:
    one, again, other = hip(5, spacing=4.0), hip(5, spacing=4.0), hip(6, spacing=4.0)
    assert torch.equal(one.volume.data, again.volume.data)
    assert torch.equal(one.tissues.data, again.tissues.data)
    assert one.femur == again.femur != other.femur
    assert not torch.equal(one.tissues.data, other.tissues.data)
