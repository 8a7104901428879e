"""Radial slices of a small hip, through the whole chain."""

from __future__ import annotations

import dataclasses
import math
import re
from functools import cache

import numpy as np
import pytest
import radial_samples as samples
import torch
from regsuite.catalog import method
from regsuite.errors import InputError
from regsuite.methods.radial import run_hip_qmri
from regsuite.methods.radial.placing import header_plane, painted, placed_grid
from regsuite.methods.radial.prepared import Slices, beyond
from regsuite.methods.radial.run import Run
from regsuite.methods.radial.telling import Told
from regsuite.phantoms import RadialAcquisition, RadialRecipe, hip, radial_acquisition
from regsuite.phantoms.hip import FEMUR, Hip
from regsuite.progress import Context
from regsuite.registration import Registration
from regsuite.spatial import Grid, Image, LabelImage, SliceSet
from regsuite.spatial.radial import Arrangement, frame_of, in_order
from scipy import ndimage
from scipy.spatial.transform import Rotation

RECIPE = RadialRecipe(shape=(96, 96), pixel=1.6, shift=12.0, turn=25.0, motion=(0.8, 0.8), segmentation_error=0.1)


@cache
def case(seed: int = 1) -> tuple[Hip, RadialAcquisition]:
    made = hip(seed, "left", 2.0)
    return made, radial_acquisition(
        made.volume, made.tissues, FEMUR, made.centre, made.normal, recipe=RECIPE, seed=seed
    )


def inputs_of(made: Hip, acquired: RadialAcquisition) -> dict[str, object]:
    return {
        "fixed": made.volume,
        "fixed_labels": made.tissues,
        "slices": acquired.slice_set(),
        "slice_labels": acquired.silhouette_stack(),
    }


def run(inputs: dict[str, object], **values: object) -> Registration:
    return run_hip_qmri(inputs, method("hip-qmri").check_values(values), Context())


@cache
def result() -> Registration:
    return run(inputs_of(*case()))


@cache
def given_result() -> Registration:
    """Of the small case, its arrangement given, with no search and no motions of single slices."""
    return run(samples.coarse_case().inputs, **samples.coarse_case().given, motion=0)


def arrangement_of(found: Registration) -> Arrangement:
    rows = found.tables["arrangement"].rows
    flips = [tuple(row[column] == "yes" for row in rows) for column in (2, 3)]
    return Arrangement(tuple(row[1] - 1 for row in rows), *flips)


def as_said(arrangement: Arrangement) -> dict[str, list[int]]:
    """As a user says it."""
    both = zip(arrangement.places, arrangement.mirrored, strict=True)
    turned = [number for number, flip in enumerate(arrangement.turned, start=1) if flip]
    return {"places": [-place - 1 if flip else place + 1 for place, flip in both], "turned": turned or [0]}


def off(found: torch.Tensor, truth: torch.Tensor, at: torch.Tensor) -> tuple[float, float]:
    """mm at a point, and degrees, between two rigid maps (4, 4)."""
    between = torch.linalg.inv(truth) @ found
    turn = math.degrees(math.acos(min(1.0, (float(between[:3, :3].trace()) - 1) / 2)))
    return float((between[:3, :3] @ at + between[:3, 3] - at).norm()), turn


class TestChain:
    def test_slices_are_arranged_and_laid_in_the_volume(self) -> None:
        made, acquired = case()
        found = result()
        arrangement = arrangement_of(found)
        assert arrangement.is_like(acquired.arrangement)
        # Arrangements that are alike differ by a turn of them all, and so do their transforms.
        frame = frame_of(acquired.centre, acquired.normal)
        there = found.inverse.matrix @ frame @ arrangement.planes()[0]
        truth = torch.linalg.inv(acquired.truth.matrix) @ frame @ acquired.arrangement.planes()[0]
        shift, turn = off(there @ torch.linalg.inv(truth), torch.eye(4, dtype=torch.float64), made.centre.double())
        assert shift < 1.0
        assert turn < 1.0

    def test_each_slice_lies_where_it_was(self) -> None:
        _, acquired = case()
        corner = torch.tensor([40.0, -35.0, 0.0, 1.0], dtype=torch.float64)
        for image, plane in zip(result().sequences["slices"], acquired.true_planes(), strict=True):
            # Pixel (row, column) of (down, right) -35, 40 mm from the middle.
            row, column = -35.0 / 1.6 + 95 / 2, 40.0 / 1.6 + 95 / 2
            there = torch.from_numpy(image.grid.to_world([0, row, column]))
            assert float((there - (plane @ corner)[:3]).norm()) < 1.5

    def test_values_are_as_they_were_acquired(self) -> None:
        _, acquired = case()
        found = result()
        for name, images in acquired.maps.items():
            for before, after in zip(images, found.sequences[name], strict=True):
                assert torch.equal(before.data, after.data)

    def test_what_is_told_of_each_slice(self) -> None:
        found = result()
        assert [row[0] for row in found.tables["arrangement"].rows] == [1, 2, 3, 4, 5, 6]
        before, after = (np.array([row[column] for row in found.tables["arrangement"].rows]) for column in (6, 7))
        assert after.mean() > before.mean()
        assert found.metrics["mutual_information_after"] == pytest.approx(after.mean())
        assert found.metrics["solid_dice"] > 0.9
        assert found.surfaces["surface"].closed

    def test_the_visual_hull_is_worse(self) -> None:
        hull = run(samples.coarse_case().inputs, **samples.coarse_case().given, reconstruction="visual hull", motion=0)
        assert 0.5 < hull.metrics["solid_dice"] < given_result().metrics["solid_dice"]

    def test_regions_are_measured_in_the_maps_units(self) -> None:
        _, acquired = case()
        table = result().tables["regions"]
        rows = {(row[0], row[2]): row for row in table.rows}
        bone, units = rows["Femur", "T2"], {row[2]: row[3] for row in table.rows}
        assert units == {"T1": "ms", "T2": "ms", "T1rho": "ms", "Slices": ""}
        inside = [each.mask(1) for each in acquired.true_silhouettes]
        true = torch.cat([image.data[0, 0][mask] for image, mask in zip(acquired.maps["T2"], inside, strict=True)])
        assert bone[6] == pytest.approx(float(true.mean()), rel=0.05)
        assert bone[4] * 1.6**2 == pytest.approx(bone[5])
        assert bone[4] == pytest.approx(len(true), rel=0.1)

    def test_what_a_user_says_of_the_arrangement_is_believed(self) -> None:
        found = given_result()
        assert arrangement_of(found).is_like(samples.case().acquired.arrangement)
        assert all(row[4] == pytest.approx(0, abs=1e-6) for row in found.tables["arrangement"].rows)


class TestBadInput:
    def test_places_given_twice(self) -> None:
        with pytest.raises(InputError, match="give each of the 6 slices another one"):
            run(inputs_of(*case()), places=[1, 2, 2, 4, 5, 6])

    def test_a_slice_with_hardly_any_bone(self) -> None:
        made, acquired = case()
        drawn = acquired.silhouette_stack()
        empty = drawn.data.clone()
        empty[0, 0, 2] = 0
        empty[0, 0, 2, 40, 40:44] = 1
        with pytest.raises(InputError, match="Slice 3 shows no bone"):
            run({**inputs_of(made, acquired), "slice_labels": dataclasses.replace(drawn, data=empty)})

    def test_a_bone_that_the_volume_has_not(self) -> None:
        with pytest.raises(InputError, match="choose another bone"):
            run(inputs_of(*case()), bone=77)

    def test_the_other_side_does_not_fit_where_slices_are_known(self) -> None:
        """Of slices that may be flipped any way nothing tells a left hip from a right one."""
        made, acquired = case()
        other = hip(1, "right", 2.0)
        grid = _beside(other.volume.grid, made, other)
        moved = {
            "fixed": dataclasses.replace(other.volume, grid=grid),
            "fixed_labels": dataclasses.replace(other.tissues, grid=grid),
        }
        said = method("hip-qmri").check_values(as_said(acquired.arrangement))
        wrong, right = (Run({**inputs_of(made, acquired), **each}, said, Context()) for each in (moved, {}))
        unlike = [each.placed(*each.prepared()).unlike for each in (wrong, right)]
        assert unlike[0] > 1.4 * unlike[1]
        assert "of the other side" in " ".join(wrong.notes)
        assert "of the other side" not in " ".join(right.notes)

    def test_a_volume_whose_field_of_view_cuts_the_bone(self) -> None:
        """A little more than half of the femur's height is gone."""
        case = samples.coarse_case()
        volume, tissues = case.hip.volume, case.hip.tissues
        rows = np.flatnonzero((tissues.array() == FEMUR).any(axis=(1, 2)))
        lost = int(rows[0] + 0.6 * np.ptp(rows))
        grid = volume.grid.cropped([lost, 0, 0], [volume.grid.shape[0] - lost, *volume.grid.shape[1:]])
        kept = [dataclasses.replace(each, data=each.data[:, :, lost:], grid=grid) for each in (volume, tissues)]
        found = run({**case.inputs, "fixed": kept[0], "fixed_labels": kept[1]}, **case.given, motion=0)
        told = [note for note in found.notes if "the volume's field of view cuts the bone" in note]
        share = re.match(r"(\d+) % of the bone's outlines lie outside the volume", told[0])
        assert share
        assert float(share[1]) == pytest.approx(100 * _above(case, grid), abs=6)


@pytest.mark.parametrize(
    ("drawn", "value", "names", "bone"),
    [
        ({1: "Femur"}, 1, {1: "femur", 7: "muscle"}, 1),
        ({2: "Femur"}, 2, {1: "femur", 2: "skin"}, 1),
        ({}, 1, {}, 1),
        ({}, 3, {}, 7),
        ({1: "Femur"}, 1, {}, 7),
    ],
)
def test_the_bone_is_that_of_the_name_or_number_or_else_the_largest(
    drawn: dict[int, str], value: int, names: dict[int, str], bone: int
) -> None:
    made = samples.case()
    array = np.zeros(made.hip.volume.grid.shape, dtype=np.int32)
    array[:20], array[20:22] = 7, 1
    labels = LabelImage.from_array(array, made.hip.volume.grid, names)
    stack = LabelImage.from_array(value * made.labels.mask().numpy(), made.labels.grid, drawn)
    inputs = {**made.inputs, "fixed_labels": labels, "slice_labels": stack}
    assert Run(inputs, method("hip-qmri").check_values({}), Context()).bone == bone


def _above(case: samples.Case, grid: Grid) -> float:
    """The share of true outlines' pixels that lie outside, mean over the slices."""
    shares = []
    for labels, plane in zip(case.labels.array(), case.acquired.true_planes().numpy(), strict=True):
        edge = (labels > 0) & ~ndimage.binary_erosion(labels > 0, border_value=1)
        down, right = (np.argwhere(edge) * 2 - [71 / 2, 79 / 2]).T * 1.9
        index = grid.to_index(np.stack([right, down, 0 * down], axis=1) @ plane[:3, :3].T + plane[:3, 3])
        shares.append(((index < -0.5) | (index > np.array(grid.shape) - 0.5)).any(axis=1).mean())
    return float(np.mean(shares))


def test_outlines_beyond_a_volume() -> None:
    """Of a disc in the middle of one slice half lies right of a volume's border, and all of it left of another's."""
    rows, columns = np.mgrid[:41, :41]
    disc = torch.from_numpy(np.hypot(rows - 20, columns - 20) < 12)
    slices = Slices(torch.zeros(1, 1, 41, 41), disc[None].float(), 1.0, 4.0)
    plane = torch.eye(4, dtype=torch.float64)[None]
    grid = Grid.regular((80, 80, 80), 1.0)
    assert beyond(slices, dataclasses.replace(grid, origin=(0.5, -40.0, -40.0)), plane) == pytest.approx(0.5, abs=0.03)
    assert beyond(slices, dataclasses.replace(grid, origin=(20.0, -40.0, -40.0)), plane) == pytest.approx(1)
    assert beyond(slices, dataclasses.replace(grid, origin=(-40.0, -40.0, -40.0)), plane) == 0


@pytest.mark.parametrize(("count", "times"), [(80, 3), (82, 5), (256, 3), (257, 2)])
def test_coarser_slices_keep_their_middle(count: int, times: int) -> None:
    """The mean place of a disc's pixels, mm from the middle, however many pixels are left over."""
    away = torch.arange(count) - (count - 1) / 2
    disc = (torch.hypot(away[:, None], away) < count / 4).float()
    small = Slices(disc[None, None], disc[None], 0.6, 4.0).coarser(0.6 * times)
    assert small.pixel == pytest.approx(0.6 * times)
    for shown in (small.pictures[0, 0], small.silhouettes[0]):
        row, column = (
            float((shown.sum(dim=axis) * (torch.arange(len(shown)) - (len(shown) - 1) / 2)).sum() / shown.sum())
            for axis in (1, 0)
        )
        assert (row * small.pixel, column * small.pixel) == pytest.approx((0, 0), abs=1e-4)
    assert float(small.pictures.sum()) * small.pixel**2 == pytest.approx(float(disc.sum()) * 0.36, rel=1e-3)


def test_emulated_slices_show_the_volume_at_their_own_pixels() -> None:
    """A ramp, in slices whose pixels are longer down than across: each pixel has the ramp's value at its place."""
    grid = Grid.regular((40, 40, 40), 1.0)
    volume = Image((grid.points(torch.float64) @ torch.tensor([2.0, -3, 1]).double())[None, None].float(), grid)
    middle = frame_of(torch.tensor(grid.centre), torch.tensor([0.3, 0.2, 1.0]))
    flat = Grid.regular((1, 8, 20), (3.0, 2.5, 1.0))
    images = tuple(
        Image(torch.rand(1, 1, 1, 8, 20), placed_grid(flat, middle @ plane)) for plane in in_order(3).planes()
    )
    slices = SliceSet({"shown": images}, {"shown": ""}, frozenset(), 3.0, True)
    told = Told(volume, LabelImage(torch.zeros(1, 1, *grid.shape).int(), grid), slices, "shown", 3.0)
    for image in told.registration().sequences["emulated"]:
        ramp = image.grid.points(torch.float64) @ torch.tensor([2.0, -3, 1]).double()
        assert torch.allclose(image.data[0, 0, :, 1:-1, 3:-3].double(), ramp[:, 1:-1, 3:-3], atol=0.02)


def _beside(grid: Grid, one: Hip, other: Hip) -> Grid:
    """The grid moved so that the other hip's head lies where the one's does."""
    shift = (one.centre - other.centre).numpy()
    return dataclasses.replace(grid, origin=tuple(float(x) for x in np.array(grid.origin) + shift))


def test_painted_voxels_take_the_nearest_slices_pixels() -> None:
    grid = Grid.regular((6, 6, 6), 1.0)
    flat = Grid.from_affine((1, 6, 6), np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 2.2], [0, 0, 0, 1.0]]))
    values = np.arange(36, dtype=np.float32).reshape(1, 6, 6)
    into = painted([Image.from_array(values, flat)], grid, 1.5, -1.0).array()
    assert np.array_equal(into[2], values[0])
    assert (into[[0, 1, 4, 5]] == -1).all()


def test_a_slices_header_plane_puts_its_grid_where_it_lies() -> None:
    turn = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn[:, [2, 1, 0]] @ np.diag([4.0, 0.8, 0.6]), [5, -7, 11]
    affine[:3, 0] = np.cross(affine[:3, 2], affine[:3, 1]) / (0.8 * 0.6) * 4.0
    grid = Grid.from_affine((1, 30, 40), affine)
    plane = header_plane(grid)
    # Pixel (row 3, column 10), by hand, from the middle of the slice.
    there = plane.numpy() @ [(10 - 39 / 2) * 0.6, (3 - 29 / 2) * 0.8, 0, 1]
    assert np.allclose(there[:3], grid.to_world([0, 3, 10]))
    assert placed_grid(grid, plane).same_as(grid)
