"""Sections of every geometry and stain, made grey and upright: what lies where, and what of it is tissue."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from regsuite.errors import InputError
from regsuite.io.sections import section_grid
from regsuite.methods.sections.prepared import Prepared, prepared, shown_at
from regsuite.spatial import Grid, Image
from torch import Tensor

L, P, R, A, S, I = np.array([[-1, 0, 0], [0, -1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]], dtype=float)
_TILT = np.array([0.0, math.cos(0.2), math.sin(0.2)])


def slice_grid(
    rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], spacing: tuple[float, float], place: int = 0
) -> Grid:
    """Of one slice, whose single voxel stands at array axis ``place``; origin far from the world's."""
    across = np.cross(columns, rows)
    axes = [rows * spacing[0], columns * spacing[1]]
    axes.insert(place, across / np.linalg.norm(across) * 0.1)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = np.stack(axes, axis=1), (12.0, -7.0, 3.0)
    size = list(shape)
    size.insert(place, 1)
    return Grid.from_affine(size, affine)


GRIDS = {
    "picture": section_grid(120, 90, (0.05, 0.05)),
    "coronal-rows-up": slice_grid(S, R, (90, 120), (0.05, 0.05), place=1),
    "coronal-transposed": slice_grid(R, S, (120, 90), (0.05, 0.05)),
    "sagittal": slice_grid(S, A, (90, 120), (0.06, 0.06), place=2),
    "oblique": slice_grid(-np.cross(L, _TILT), L, (90, 120), (0.05, 0.05)),
    "high-pixels": slice_grid(P, L, (60, 140), (0.1, 0.05)),
    "wide-pixels": slice_grid(P, L, (140, 60), (0.05, 0.1)),
    "large": section_grid(900, 667, (0.006, 0.006)),
    "large-and-uneven": slice_grid(I, R, (350, 801), (0.016, 0.008)),
}
BLOB = (0.31, 0.62)
"""Where it is, in parts of rows and columns."""


def across(grid: Grid) -> list[int]:
    """Array axes of the rows and the columns."""
    return [axis for axis in range(3) if axis != grid.shape.index(1)]


def scene(grid: Grid, tissue: float = 0.5, blob: float = 1.0) -> tuple[Tensor, np.ndarray]:
    """(*shape): an ellipse with a blob in it, and where the blob is, RAS mm."""
    index = np.zeros(3)
    for axis, share in zip(across(grid), BLOB, strict=True):
        index[axis] = share * (grid.shape[axis] - 1)
    middle = grid.to_world(index)
    away = grid.points(torch.float64) - torch.as_tensor(grid.centre)
    half = 0.5 * max(n * h for n, h in zip(grid.shape, grid.spacing, strict=True))
    sides = [
        (away @ torch.as_tensor(np.asarray(grid.direction)[:, axis])) / (0.38 * grid.shape[axis] * grid.spacing[axis])
        for axis in across(grid)
    ]
    ellipse = (sides[0] ** 2 + sides[1] ** 2 < 1).float()
    near = (grid.points(torch.float64) - torch.as_tensor(middle)).square().sum(-1)
    spot = torch.exp(-near / (2 * (0.06 * half) ** 2)).float()
    return ellipse * (tissue + (blob - tissue) * spot), middle


def found_blob(section: Prepared) -> np.ndarray:
    """(right, bottom) mm of the brightest of the picture, to a part of a pixel."""
    picture = section.picture[0, 0].double()
    weight = (picture - 0.7 * picture.max()).clamp(min=0)[..., None]
    return (weight * section.grid.points(torch.float64)).sum((0, 1)).numpy() / float(weight.sum())


def at(section: Prepared, point: np.ndarray) -> np.ndarray:
    return section.to_flat @ np.append(point, 1.0)


def grey(grid: Grid, values: Tensor | list[Tensor]) -> Image:
    return Image(torch.stack(values if isinstance(values, list) else [values])[None], grid)


class TestGeometry:
    @pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
    def test_a_landmark_is_where_the_section_says(self, grid: Grid) -> None:
        values, middle = scene(grid)
        section = prepared(grey(grid, values))
        expected = at(section, middle)
        assert np.abs(found_blob(section) - expected[:2]).max() < 0.15 * section.pixel
        assert abs(expected[2]) < 1e-6

    @pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
    def test_flat_millimetres_are_the_sections_own(self, grid: Grid) -> None:
        section = prepared(grey(grid, scene(grid)[0]))
        linear = section.to_flat[:3, :3]
        # Whole pixels alone can be put where a side is cut down.
        assert np.allclose(linear.T @ linear, np.eye(3), atol=2 / 640)
        assert np.allclose(at(section, np.asarray(grid.centre))[:2], 0, atol=1e-6)
        assert max(section.picture.shape) <= 640

    @pytest.mark.parametrize(
        ("name", "right", "down"),
        [("picture", L, P), ("coronal-rows-up", L, I), ("coronal-transposed", L, I), ("sagittal", P, I)],
    )
    def test_it_stands_as_slicer_shows_it(self, name: str, right: np.ndarray, down: np.ndarray) -> None:
        section = prepared(grey(GRIDS[name], scene(GRIDS[name])[0]))
        assert np.allclose(section.to_flat[:2, :3], [right, down], atol=1e-6)
        assert np.linalg.det(section.to_flat[:3, :3]) > 0

    def test_points_in_a_turned_view_show_what_lies_there(self) -> None:
        grid = GRIDS["coronal-rows-up"]
        values, middle = scene(grid)
        section = prepared(grey(grid, values))
        place = at(section, middle)
        view = torch.eye(4)
        view[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
        inside = np.linalg.inv(view.numpy()) @ place
        shown = shown_at(section, view[None], torch.tensor(inside[None, None, :3], dtype=torch.float32))
        assert float(shown) > 0.97

    def test_a_given_pixel_size_scales_the_flat_plane_alone(self) -> None:
        grid = GRIDS["high-pixels"]
        values, middle = scene(grid)
        own, given = prepared(grey(grid, values)), prepared(grey(grid, values), pixel=0.01)
        assert given.pixel == pytest.approx(own.pixel / 5)
        assert np.allclose(at(given, middle), at(own, middle) / [5, 5, 5, 1])
        assert np.abs(found_blob(given) - at(given, middle)[:2]).max() < 0.15 * given.pixel


class TestTissue:
    def test_size_and_middle_are_those_of_the_ellipse(self) -> None:
        grid = GRIDS["picture"]
        section = prepared(grey(grid, scene(grid)[0]))
        assert section.size() == pytest.approx((2 * 0.38 * 120 * 0.05, 2 * 0.38 * 90 * 0.05), abs=0.15)
        assert section.middle() == pytest.approx((0, 0), abs=0.05)

    def test_dirt_is_left_out_and_holes_are_filled(self) -> None:
        grid = GRIDS["picture"]
        values, _ = scene(grid)
        values[0, 3:6, 3:6] = 1.0
        values[0, 40:46, 50:56] = 0.0
        section = prepared(grey(grid, values))
        assert not bool(section.tissue[:8, :8].any())
        assert bool(section.tissue[40:46, 50:56].all())

    def test_bright_ground_is_turned_dark(self) -> None:
        grid = GRIDS["picture"]
        values, middle = scene(grid)
        dark, bright = prepared(grey(grid, values)), prepared(grey(grid, 200 - 150 * values))
        assert (dark.inverted, bright.inverted) == (False, True)
        assert np.abs(found_blob(bright) - at(bright, middle)[:2]).max() < 0.15 * bright.pixel
        assert float((dark.tissue ^ bright.tissue).double().mean()) < 0.005

    @pytest.mark.parametrize("values", [0.0, 7.0, math.nan], ids=["black", "plain", "not-a-number"])
    def test_nothing_to_see_is_an_input_error(self, values: float) -> None:
        grid = GRIDS["picture"]
        with pytest.raises(InputError, match="shows nothing"):
            prepared(grey(grid, torch.full(tuple(grid.shape), values)))

    def test_a_few_numbers_that_are_none_are_an_input_error(self) -> None:
        values = scene(GRIDS["picture"])[0]
        values[0, 40, 60] = math.nan
        with pytest.raises(InputError):
            prepared(grey(GRIDS["picture"], values))

    def test_a_speck_alone_is_an_input_error(self) -> None:
        values = torch.zeros(tuple(GRIDS["picture"].shape))
        values[0, 40:43, 60:63] = 100.0
        with pytest.raises(InputError, match="shows nothing"):
            prepared(grey(GRIDS["picture"], values))


class TestChannels:
    def colours(self, tint: Callable[[Tensor, int], Tensor]) -> Image:
        values, _ = scene(GRIDS["picture"])
        return grey(GRIDS["picture"], [tint(values, number) for number in range(3)])

    def test_the_colours_of_a_photograph_are_taken_together(self) -> None:
        section = prepared(self.colours(lambda values, number: 255 - (60.0 + 50 * number) * values))
        assert (section.channel, section.inverted) == (0, True)

    def test_the_channel_with_structure_is_taken(self) -> None:
        noise = torch.rand(tuple(GRIDS["picture"].shape), generator=torch.Generator().manual_seed(0))
        values, middle = scene(GRIDS["picture"])
        section = prepared(grey(GRIDS["picture"], [noise, 900 * values + 20 * noise]))
        assert section.channel == 2
        assert np.abs(found_blob(section) - at(section, middle)[:2]).max() < 0.3 * section.pixel

    def test_a_channel_that_was_asked_for_is_taken(self) -> None:
        values, _ = scene(GRIDS["picture"])
        other = scene(GRIDS["picture"], tissue=1.0, blob=0.2)[0]
        section = prepared(grey(GRIDS["picture"], [values, other]), channel=2)
        assert section.channel == 2
        assert torch.allclose(section.picture, prepared(grey(GRIDS["picture"], other)).picture)

    def test_a_channel_that_is_not_there_is_an_input_error(self) -> None:
        with pytest.raises(InputError, match="no channel 3"):
            prepared(grey(GRIDS["picture"], [scene(GRIDS["picture"])[0]] * 2), channel=3)
