"""Slices around an axis: how they stand, which arrangements their silhouettes tell, and the solid that they make."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from regsuite.solvers.arranging import arranged
from regsuite.solvers.hull import bounds, radial_solid, visual_hull
from regsuite.spatial import Grid
from regsuite.spatial.radial import Arrangement, frame_of, in_order, pixel_grid
from regsuite.spatial.rigid import cross_matrices, rigid_moves
from scipy.spatial.transform import Rotation
from torch import Tensor

PIXEL = 2.0
SHAPE = (48, 52)


def some(rng: np.random.Generator, count: int = 6) -> Arrangement:
    flips = [tuple(bool(flip) for flip in rng.random(count) < 0.5) for _ in range(2)]
    return Arrangement(tuple(int(place) for place in rng.permutation(count)), *flips)


def radius(z: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """mm, of a body around the axis that is like none of its mirror images."""
    bump = 14 * np.exp(-((z - 15) ** 2) / 200) * np.clip(np.cos(angle - 0.7), 0, None) ** 2
    other = 8 * np.exp(-((z + 20) ** 2) / 150) * np.clip(np.cos(angle - 2.2), 0, None) ** 2
    return np.where(np.abs(z) < 38, 18 + 0.15 * z + bump + other, 0.0)


def body(points: np.ndarray) -> np.ndarray:
    """Whether points (..., 3) of the fan's frame lie in it."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.hypot(x, y) < radius(z, np.arctan2(y, x))


def silhouettes(arrangement: Arrangement, inside=body) -> Tensor:  # type: ignore[no-untyped-def]
    rows, columns = ((np.arange(n) - (n - 1) / 2) * PIXEL for n in SHAPE)
    down, right = np.meshgrid(rows, columns, indexing="ij")
    flat = np.stack([right, down, np.zeros_like(right), np.ones_like(right)], axis=-1)
    shown = [inside((flat @ plane.numpy().T)[..., :3]) for plane in arrangement.planes()]
    return torch.from_numpy(np.stack(shown)).float()


class TestArrangement:
    def test_planes_by_hand(self) -> None:
        planes = Arrangement((0, 2, 1, 3), (False, False, True, False), (False, False, False, True)).planes()
        half = math.sqrt(0.5)
        # Right, then down, of slices at 0°, 90°, 45° mirrored, and 135° turned.
        assert np.allclose(planes[:, :3, 0], [[1, 0, 0], [0, 1, 0], [-half, -half, 0], [-half, half, 0]])
        assert np.allclose(planes[:, :3, 1], [[0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, -1]])
        assert np.allclose(torch.linalg.det(planes[:, :3, :3]), 1)

    def test_is_read_from_planes(self) -> None:
        rng = np.random.default_rng(0)
        for count in (3, 6, 7):
            arrangement = some(rng, count)
            assert Arrangement.of(arrangement.planes()) == arrangement

    def test_in_numbers_as_a_user_gives_it(self) -> None:
        said = Arrangement.of_numbers((4, -3, 1, 2), (2, 4), 4)
        assert said == Arrangement((3, 2, 0, 1), (False, True, False, False), (False, True, False, True))
        assert said.numbers() == ([4, -3, 1, 2], [2, 4])
        assert Arrangement.of_numbers((2, 1, 3), (0,), 3).numbers() == ([2, 1, 3], [])
        for places in ((1, 2, 3), (1, 2, 2, 3), (0, 1, 2, 3), (1, 2, 3, 5)):
            with pytest.raises(ValueError, match="gives each slice a place"):
                Arrangement.of_numbers(places, (), 4)
        for turned in ((5,), (1, -2)):
            with pytest.raises(ValueError, match="turned slices are some of 1 to 4"):
                Arrangement.of_numbers((1, 2, 3, 4), turned, 4)

    def test_turned_as_a_whole_it_is_alike(self) -> None:
        arrangement = some(np.random.default_rng(1))
        about = torch.from_numpy(Rotation.from_euler("z", 90, degrees=True).as_matrix())
        over = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
        for turn in (about, over, over @ about):
            move = torch.eye(4, dtype=torch.float64)
            move[:3, :3] = turn
            other = Arrangement.of(move @ arrangement.planes())
            assert other != arrangement
            assert other.is_like(arrangement)

    def test_its_mirror_image_and_a_swap_are_not_alike(self) -> None:
        arrangement = in_order(6)
        assert not Arrangement((0, 5, 4, 3, 2, 1), (False,) * 6, (False,) * 6).is_like(arrangement)
        assert not Arrangement((1, 0, 2, 3, 4, 5), (False,) * 6, (False,) * 6).is_like(arrangement)
        assert not Arrangement(tuple(range(6)), (True, *(False,) * 5), (False,) * 6).is_like(arrangement)
        assert not in_order(5).is_like(arrangement)

    def test_places_are_given_once(self) -> None:
        with pytest.raises(ValueError, match="place"):
            Arrangement((0, 0, 1), (False,) * 3, (False,) * 3)

    def test_a_frame_stands_on_its_axis(self) -> None:
        frame = frame_of(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 3.0, 4.0]))
        assert np.allclose(frame[:3, 2], [0, 0.6, 0.8])
        assert np.allclose(frame[:3, 3], [1, 2, 3])
        assert np.allclose(frame[:3, :3].T @ frame[:3, :3], np.eye(3))
        assert float(torch.linalg.det(frame[:3, :3])) == pytest.approx(1)

    def test_pixels_lie_right_and_down_of_the_middle(self) -> None:
        grid = pixel_grid((3, 5), 2.0)
        assert np.allclose(grid.to_world([0, 0]), [-4, -2])
        assert np.allclose(grid.to_world([2, 4]), [4, 2])


class TestRigid:
    def test_moves_are_scipys(self) -> None:
        numbers = torch.tensor([[0.3, -0.2, 0.5, 4.0, 5.0, 6.0]], dtype=torch.float64)
        move = rigid_moves(numbers, torch.eye(4))[0]
        assert np.allclose(move[:3, :3], Rotation.from_rotvec(numbers[0, :3].numpy()).as_matrix())
        assert np.allclose(move[:3, 3], [4, 5, 6])

    def test_turns_are_about_the_frames_origin(self) -> None:
        frame = frame_of(torch.tensor([10.0, -5.0, 3.0]), torch.tensor([1.0, 1.0, 0.0]))
        move = rigid_moves(torch.tensor([0.0, 0, 1.0, 0, 0, 0], dtype=torch.float64), frame)
        assert np.allclose(move @ frame[:, 3], frame[:, 3])
        assert np.allclose(move[:3, :3] @ frame[:3, 2], frame[:3, 2])
        assert not np.allclose(move[:3, :3] @ frame[:3, 0], frame[:3, 0])

    def test_cross_matrices(self) -> None:
        one, other = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
        product = (cross_matrices(one) @ other[:, :, None])[:, :, 0]
        assert torch.allclose(product, torch.linalg.cross(one, other), atol=1e-6)


class TestArranged:
    @pytest.mark.parametrize("seed", range(6))
    def test_finds_a_body_and_its_mirror_image(self, seed: int) -> None:
        truth = some(np.random.default_rng(seed))
        found = arranged(silhouettes(truth), (PIXEL, PIXEL), 4)
        alike = [each.arrangement.is_like(truth) for each in found]
        assert sum(alike[:2]) == 1
        assert not any(alike[2:])
        assert found[0].cost == pytest.approx(found[1].cost)
        assert found[1].cost < found[2].cost

    @pytest.mark.parametrize("count", [3, 4, 8])
    def test_of_any_number_of_slices(self, count: int) -> None:
        truth = some(np.random.default_rng(count), count)
        found = arranged(silhouettes(truth), (PIXEL, PIXEL), 8)
        assert any(each.arrangement.is_like(truth) for each in found)

    def test_answers_are_unlike_each_other(self) -> None:
        found = arranged(silhouettes(some(np.random.default_rng(0))), (PIXEL, PIXEL), 10)
        assert len(found) == 10
        for place, each in enumerate(found):
            assert not any(each.arrangement.is_like(other.arrangement) for other in found[:place])

    def test_what_is_round_fits_in_any_order(self) -> None:
        def ball(points: np.ndarray) -> np.ndarray:
            return np.linalg.norm(points, axis=-1) < 30

        found = arranged(silhouettes(in_order(5), ball), (PIXEL, PIXEL), 3)
        assert [each.cost for each in found] == [0.0, 0.0, 0.0]

    def test_cost_by_hand(self) -> None:
        """Two half-planes of widths 1 and 2 pixels: Σ |h - h'| s over Σ (h + h') s, s at the pixels' middles."""
        wide = torch.zeros(3, 2, 8)
        wide[:, :, 3:5] = 1
        wide[0, :, 2:6] = 1
        cost = arranged(wide, (1.0, 1.0), 1)[0].cost
        # Of six pairs of neighbours two, on either side, are of a wide and a narrow one each: 1.5 / (0.5 + 0.5 + 1.5).
        assert cost == pytest.approx(4 * 1.5 / 2.5 / 6)


class TestSolids:
    GRID = Grid.from_affine((44, 48, 48), np.array([[0, 0, 2, -47], [0, 2, 0, -47], [2, 0, 0, -43], [0, 0, 0, 1.0]]))

    def test_a_cylinder_by_its_prisms_is_a_polygon(self) -> None:
        def cylinder(points: np.ndarray) -> np.ndarray:
            return (np.hypot(points[..., 0], points[..., 1]) < 36) & (np.abs(points[..., 2]) < 30)

        arrangement = some(np.random.default_rng(2))
        shown = silhouettes(arrangement, cylinder)
        points = self.GRID.points(torch.float64)
        truth = math.pi * 36**2 * 60
        hull = float(visual_hull(shown, PIXEL, arrangement, points).sum()) * self.GRID.voxel_volume
        # The regular polygon of 12 sides around the circle.
        assert hull / truth == pytest.approx(12 * math.tan(math.pi / 12) / math.pi, abs=0.02)
        solid = float(radial_solid(shown, PIXEL, arrangement, points).sum()) * self.GRID.voxel_volume
        assert solid / truth == pytest.approx(1, abs=0.02)

    def test_a_body_is_made_anew_and_better_than_by_its_hull(self) -> None:
        arrangement = some(np.random.default_rng(3))
        shown, points = silhouettes(arrangement), self.GRID.points(torch.float64)
        truth = torch.from_numpy(body(points.numpy()))

        def dice(made: Tensor) -> float:
            return float(2 * (made & truth).sum() / (made.sum() + truth.sum()))

        solid = dice(radial_solid(shown, PIXEL, arrangement, points))
        assert solid > 0.97
        assert solid > dice(visual_hull(shown, PIXEL, arrangement, points))

    def test_each_slice_shows_its_silhouette_again(self) -> None:
        arrangement = some(np.random.default_rng(4))
        shown = silhouettes(arrangement)
        flat = torch.cat([pixel_grid(SHAPE, PIXEL).points(torch.float64), torch.zeros(*SHAPE, 1)], dim=-1)
        for silhouette, plane in zip(shown, arrangement.planes(), strict=True):
            again = radial_solid(shown, PIXEL, arrangement, flat @ plane[:3, :3].T + plane[:3, 3])
            assert float((again == (silhouette > 0.5)).float().mean()) > 0.985

    @pytest.mark.parametrize("make", [radial_solid, visual_hull])
    def test_a_solid_lies_within_its_bounds(self, make) -> None:  # type: ignore[no-untyped-def]
        """And comes near them: a slab through the axis is drawn out farthest where prisms meet."""
        shown = torch.zeros(3, *SHAPE)
        shown[:, 10:38, 16:36] = 1
        radius, height = bounds(shown, PIXEL)
        assert height == pytest.approx(15 * PIXEL - PIXEL / 2)
        assert radius == pytest.approx(10.5 * PIXEL / math.cos(math.pi / 6))
        points = self.GRID.points(torch.float64)
        inside = points[make(shown, PIXEL, in_order(3), points)]
        assert float(inside[:, 2].abs().max()) <= height
        assert 0.8 * radius < float(torch.hypot(inside[:, 0], inside[:, 1]).max()) <= radius
