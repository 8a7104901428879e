"""Slices from files that are no DICOM: stacks with a map each, and a file for each slice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from regsuite import io
from regsuite.errors import InputError
from regsuite.io.map_names import quantity_called, without_numbers
from regsuite.spatial import Grid, Image

OBLIQUE = np.array([[0.0, 0.0, 2.0, 5], [0, 1.5, 0, -7], [-4, 0, 0, 11], [0, 0, 0, 1]])
"""Of a stack 4 mm thick, rows of 1.5 mm towards A, columns of 2 mm towards R."""


def stack(name: str, seed: int = 0, shape: tuple[int, ...] = (5, 6, 7)) -> Image:
    values = np.random.default_rng(seed).uniform(10, 90, shape).astype(np.float32)
    return Image.from_array(values, Grid.from_affine(shape, OBLIQUE), name)


def blade(name: str, place: int, seed: int = 0) -> Image:
    """A slice of a fan: turned about A by 36 degrees a place."""
    angle = np.radians(36 * place)
    affine = np.eye(4)
    affine[:3, :3] = np.array(
        [[-np.sin(angle) * 3, 0, np.cos(angle)], [0, 1, 0], [np.cos(angle) * 3, 0, np.sin(angle)]]
    )
    affine[:3, 3] = -affine[:3, 1] * 2.5 - affine[:3, 2] * 3
    grid = Grid.from_affine((1, 6, 7), affine)
    values = np.random.default_rng([seed, place]).uniform(10, 90, (1, 6, 7)).astype(np.float32)
    return Image.from_array(values, grid, name)


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz"])
def test_stacks_are_maps_of_the_same_slices(tmp_path: Path, ending: str) -> None:
    """Called as their files are; the one pose is that of the stack's first slice."""
    images = {name: stack(name, seed) for seed, name in enumerate(("proton", "T2", "knee_T1rho_map"))}
    for name, image in images.items():
        io.write_image(tmp_path / f"{name}{ending}", image)
    found = io.read_slices([tmp_path / f"{name}{ending}" for name in images])
    assert list(found.maps) == ["T2", "T1rho", "proton"]
    assert found.units == {"T2": "ms", "T1rho": "ms", "proton": ""}
    assert found.quantities == {"T2", "T1rho"}
    assert (found.count, found.thickness, found.distinct) == (5, pytest.approx(4.0), False)
    for name, of_file in (("proton", "proton"), ("T2", "T2"), ("T1rho", "knee_T1rho_map")):
        for row, image in enumerate(found.maps[name]):
            np.testing.assert_array_equal(image.array()[0], images[of_file].array()[row])
            assert image.grid.same_as(Grid.from_affine((1, 6, 7), OBLIQUE), 1e-4)
    assert found.notes == (
        "A stack tells the order of its slices and not where each lies; they are taken to be as thick as it is spaced, "
        "4 mm.",
        "The values of T2 and T1rho are taken as milliseconds: the files do not say their unit.",
    )


def test_single_slices_are_paired_by_where_they_lie() -> None:
    """Whatever their order: each at its own pose, in that of the first map."""
    first = [blade(f"T2 map {place + 1}", place) for place in range(5)]
    second = [blade(f"water_s{place + 1}", place, 1) for place in (3, 0, 4, 1, 2)]
    found = io.slice_set_of([*second, *first])
    assert list(found.maps) == ["T2", "water_s"]
    assert found.distinct
    for one, other in zip(found.maps["T2"], found.maps["water_s"], strict=True):
        assert one.grid.same_as(other.grid)
    angles = [np.degrees(np.arctan2(grid.direction[2][2], grid.direction[0][2])) for grid in found.grids]
    assert angles == pytest.approx([0, 36, 72, 108, 144])
    axis = found.axis()
    assert axis is not None
    assert np.abs(axis.normal) == pytest.approx([0, 1, 0], abs=1e-9)


def test_a_slice_that_was_taken_twice_leaves_the_others_at_their_places() -> None:
    first = [blade(f"T2 map {number}", place) for number, place in enumerate((0, 1, 2, 0))]
    second = [blade(f"water_s{number}", place, 1) for number, place in enumerate((1, 0, 2, 0))]
    found = io.slice_set_of([*first, *second])
    for one, other in zip(found.maps["T2"], found.maps["water_s"], strict=True):
        assert one.grid.same_as(other.grid)


def test_a_slice_may_lie_along_any_axis_of_its_file() -> None:
    """A slice (6, 7, 1) is the slice (1, 6, 7) that lies there."""
    whole = blade("T2 1", 1)
    turned = Image(whole.data.movedim(2, 4), _with_last(whole.grid), whole.name)
    others = [blade(f"T2 {place + 1}", place) for place in (2, 3)]
    found = io.slice_set_of([turned, *others])
    np.testing.assert_array_equal(found.maps["T2"][0].array(), whole.array())
    assert found.grids[0].same_as(whole.grid)


def _with_last(grid: Grid) -> Grid:
    return Grid.from_affine(np.roll(grid.shape, -1), grid.affine[:, [1, 2, 0, 3]])


def test_single_slices_at_one_place_stay_in_their_order() -> None:
    images = [dataclasses.replace(blade("x", 2, seed), name=f"slice{seed}") for seed in (3, 1, 2)]
    found = io.slice_set_of(images)
    assert not found.distinct
    assert [image.array().sum() for image in found.maps["slice"]] == [image.array().sum() for image in images]


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        ([stack("a"), stack("b", shape=(5, 6, 8))], "'a' and 'b' are of 7 x 6 x 5 and 8 x 6 x 5 voxels: give maps of"),
        ([stack("T2"), stack("T2_map")], "Two of the stacks are called 'T2': give each map a name of its own"),
        ([stack("a"), blade("b", 1)], "'a' is a stack and 'b' a single slice: give stacks alone"),
        (
            [
                *(blade(f"T2 map {place}", place) for place in range(3)),
                *(blade(f"x{place}", place + 1) for place in range(3)),
            ],
            "No slice of 'x' lies where 'T2 map 0' does: give maps of the same slices",
        ),
        ([blade("T2 1", 0), blade("T2 2", 1), blade("PD", 0)], r"different numbers of slices \(T2: 2, PD: 1\): give"),
    ],
)
def test_what_is_no_set_is_one_sentence(images: list[Image], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        io.slice_set_of(images)


def test_a_folder_comes_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder, and more was given with it: give one folder, or files alone"):
        io.read_slices([tmp_path, tmp_path / "T2.nrrd"])
    with pytest.raises(InputError, match="No slices were given: give a folder of DICOM, or image files"):
        io.read_slices([])
    with pytest.raises(InputError, match="holds no DICOM images: give the folder with the slices"):
        io.read_slices([tmp_path])


def test_missing_and_negative_values_are_told() -> None:
    image = stack("T2")
    image.data[0, 0, 0, 0, :3] = float("nan")
    image.data[0, 0, 1, 0, :2] = -5
    assert io.slice_set_of([image]).notes[-1] == "Of the 210 values of 'T2', 3 are missing and 2 are negative."


@pytest.mark.parametrize(
    ("name", "quantity"),
    [
        ("T2", "T2"), ("t1", "T1"), ("T2star", "T2star"), ("T2*", "T2star"), ("T1-rho", "T1rho"), ("PD", "PD"),
        ("patient7_T2_map", "T2"), ("T1map", "T1"), ("patient7_T2", ""), ("T2 weighted", ""), ("T1 T2 map", ""),
        ("proton density", "PD"), ("water", ""),
    ],
)  # fmt: skip
def test_quantities_by_name(name: str, quantity: str) -> None:
    assert quantity_called(name) == quantity


@pytest.mark.parametrize(
    ("name", "without"),
    [("T2 slice3 60deg", "T2 slice"), ("12: T1rho_05", "T1rho"), ("img 7", "img"), ("T2", "T2"), ("T1map2", "T1map2")],
)
def test_names_without_their_numbers(name: str, without: str) -> None:
    assert without_numbers(name) == without
