"""Slices laid on a surface, emulated, and brought to a volume by what they show."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from regsuite.catalog.radial import SIMILARITIES
from regsuite.errors import Cancelled
from regsuite.losses.alikeness import unlike
from regsuite.losses.mutual_information import mutual_informations
from regsuite.progress import Progress
from regsuite.solvers.contour_fit import Surface, fitted
from regsuite.solvers.emulation import emulator
from regsuite.solvers.slice_fit import Prior, halved, polished, voted
from regsuite.spatial import Grid
from regsuite.spatial.rigid import rigid_moves
from scipy.spatial.transform import Rotation
from sklearn.metrics import mutual_info_score
from torch import Tensor

AXES = (20.0, 14.0, 9.0)
"""Semi-axes of an ellipsoid, mm."""
MIDDLE = np.array([5.0, -8.0, 12.0])


def oblique(shape: tuple[int, int, int] = (50, 60, 70), spacing: tuple[float, float, float] = (1.5, 1.2, 1.0)) -> Grid:
    """A grid around MIDDLE, turned against the world."""
    axes = Rotation.from_euler("xyz", [20, -15, 30], degrees=True).as_matrix() * spacing
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = MIDDLE - axes @ ((np.array(shape) - 1) / 2)
    return Grid.from_affine(shape, affine)


def ellipsoid(points: Tensor) -> Tensor:
    return ((points - torch.from_numpy(MIDDLE)) / torch.tensor(AXES)).norm(dim=-1) < 1


def on_the_ellipsoid(count: int) -> Tensor:
    directions = torch.randn(count, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return directions / directions.norm(dim=1, keepdim=True) * torch.tensor(AXES) + torch.from_numpy(MIDDLE)


def rigid(turn: float, shift: float, seed: int = 0) -> Tensor:
    """About MIDDLE, in directions of the seed; degrees and mm."""
    rng = np.random.default_rng(seed)
    one, other = (each / np.linalg.norm(each) for each in rng.standard_normal((2, 3)))
    frame = torch.eye(4, dtype=torch.float64)
    frame[:3, 3] = torch.from_numpy(MIDDLE)
    return rigid_moves(torch.from_numpy(np.concatenate([math.radians(turn) * one, shift * other])), frame)


@pytest.fixture(scope="module")
def surface() -> Surface:
    grid = oblique()
    return Surface.of(ellipsoid(grid.points(torch.float64)), grid)


class TestSurface:
    def test_distances_are_those_of_a_ball(self) -> None:
        grid = oblique()
        points = grid.points(torch.float64)
        away = (points - torch.from_numpy(MIDDLE)).norm(dim=-1)
        ball = Surface.of(away < 15, grid)
        near = (away > 8) & (away < 25)
        distance, gradient, within = ball.at(points[near].float())
        assert bool(within.all())
        assert float((distance - (away[near] - 15)).abs().max()) < 0.8
        outwards = (points[near] - torch.from_numpy(MIDDLE)) / away[near][:, None]
        assert float((gradient * outwards).sum(dim=1).mean()) == pytest.approx(1, abs=0.05)

    def test_the_images_border_is_no_surface(self) -> None:
        grid = Grid.regular((30, 30, 30), 1.0)
        column = torch.zeros(30, 30, 30, dtype=torch.bool)
        column[:, 10:20, 10:20] = True
        distance, _, _ = Surface.of(column, grid).at(torch.tensor([[14.5, 14.5, 0.0], [14.5, 14.5, 14.0]]))
        assert float(distance[0]) == pytest.approx(float(distance[1]), abs=0.2)
        assert float(distance[0]) < -4

    @pytest.mark.parametrize("spacing", [(3.0, 0.5, 0.5), (0.5, 0.5, 3.0), (1.0, 1.0, 1.0)])
    def test_distances_keep_their_sign_in_thick_voxels(self, spacing: tuple[float, float, float]) -> None:
        """A plane across the rows: its distance changes by a voxel from row to row."""
        inside = torch.zeros(12, 24, 12, dtype=torch.bool)
        inside[:, :10] = True
        found = Surface.of(inside, Grid.regular(inside.shape, spacing)).distance[0, 0]
        away = (torch.arange(24) - 9.5) * spacing[1]
        assert torch.allclose(found[5, 4:16, 5], away[4:16], atol=1e-4)

    def test_outside_of_the_image_is_told(self, surface: Surface) -> None:
        _, _, within = surface.at(torch.tensor([[5.0, -8.0, 12.0], [500.0, 0.0, 0.0]]))
        assert within.tolist() == [True, False]


class TestFitted:
    @pytest.mark.parametrize("seed", range(4))
    def test_points_find_back(self, surface: Surface, seed: int) -> None:
        points = on_the_ellipsoid(300)
        move = rigid(20, 12, seed)
        away = points @ move[:3, :3].T + move[:3, 3]
        poses, costs = fitted(away[None].float(), torch.full((300,), 1 / 300), surface, torch.eye(4)[None])
        again = away.float() @ poses[0, :3, :3].T + poses[0, :3, 3]
        # An ellipsoid lies on itself in four ways: what counts is that it does.
        assert float(surface.at(again)[0].abs().mean()) < 0.4
        assert float(costs[0]) < 0.05

    def test_points_of_something_else_do_not_pull(self, surface: Surface) -> None:
        points = on_the_ellipsoid(300)
        points[:70] += torch.tensor([22.0, 5.0, 0.0])
        move = rigid(8, 5, 1)
        away = (points @ move[:3, :3].T + move[:3, 3]).float()
        poses, _ = fitted(away[None], torch.full((300,), 1 / 300), surface, torch.eye(4)[None])
        again = away[70:] @ poses[0, :3, :3].T + poses[0, :3, 3]
        assert float(surface.at(again)[0].abs().mean()) < 0.6

    def test_each_start_is_its_own(self, surface: Surface) -> None:
        points = on_the_ellipsoid(200).float()
        starts = torch.stack([torch.eye(4), rigid(0, 200, 2).float()])
        poses, costs = fitted(points.expand(2, -1, -1), torch.full((200,), 1 / 200), surface, starts)
        assert float(costs[0]) < 0.05
        assert float(costs[1]) == pytest.approx(1)
        assert bool(torch.isfinite(poses).all())


class TestEmulation:
    def shown(self, values: Callable[[Tensor], Tensor], thickness: float, spread: float = 0.0) -> Tensor:
        """The plane across z at 20 mm of a volume of 1 mm, pixels of 1 mm."""
        grid = Grid.regular((40, 40, 40), 1.0)
        data = values(grid.points())[None, None]
        plane = torch.eye(4)
        plane[:3, 3] = torch.tensor([19.5, 19.5, 20.0])
        picture, within = emulator(data, grid, (21, 21), 1.0, thickness, spread)(plane[None])
        assert bool(within.all())
        return picture[0, 0]

    def test_a_ramp_stays_a_ramp(self) -> None:
        shown = self.shown(lambda x: x[..., 0] + 2 * x[..., 1] + 3 * x[..., 2], 4.0)
        rows, columns = torch.meshgrid(torch.arange(21.0), torch.arange(21.0), indexing="ij")
        assert torch.allclose(shown, (columns + 9.5) + 2 * (rows + 9.5) + 60, atol=1e-3)

    def test_thickness_is_a_box(self) -> None:
        """A layer of 2 mm in a slice of 4 mm shows half."""
        shown = self.shown(lambda x: ((x[..., 2] - 20).abs() < 1.5).float(), 4.0)
        # Linear between voxels: 1 in 2 mm, and down to 0 in 1 mm on either side, so 3 mm of 4.
        assert float(shown.mean()) == pytest.approx(0.75, abs=0.02)
        assert float(self.shown(lambda x: ((x[..., 2] - 20).abs() < 1.5).float(), 0.0).mean()) == pytest.approx(1)

    def test_spread_is_a_gaussian_of_that_width(self) -> None:
        shown = self.shown(lambda x: ((x[..., 0] - 19.5).abs() < 0.6).float(), 0.0, 5.0)
        profile = shown[10]
        half = float(profile.max()) / 2
        wide = float((profile > half).sum())
        assert wide == pytest.approx(5.0, abs=1.1)

    def test_beyond_the_volume_is_told(self) -> None:
        grid = Grid.regular((10, 10, 10), 1.0)
        plane = torch.eye(4)
        plane[:3, 3] = torch.tensor([9.0, 4.5, 5.0])
        _, within = emulator(torch.ones(1, 1, 10, 10, 10), grid, (5, 7), 1.0, 2.0, 1.0)(plane[None])
        assert within[0, 0, 2].tolist() == [1, 1, 1, 1, 0, 0, 0]


class TestMutualInformation:
    def test_is_scikit_learns(self) -> None:
        rng = np.random.default_rng(0)
        fixed = rng.integers(0, 5, (1, 1, 60, 60))
        moving = np.where(rng.random(fixed.shape) < 0.3, rng.integers(0, 5, fixed.shape), 4 - fixed)
        one, other = (torch.from_numpy(each / 4).float() for each in (fixed, moving))
        found = -float(mutual_informations(one, torch.ones_like(one))(other))
        # Five values lie bins apart, so that the splines blur none into another.
        assert found == pytest.approx(mutual_info_score(fixed.ravel(), moving.ravel()), abs=0.02)

    def test_what_is_independent_tells_nothing(self) -> None:
        one, other = torch.rand(2, 1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
        assert abs(float(mutual_informations(one, torch.ones_like(one))(other))) < 0.02

    def test_weights_leave_out(self) -> None:
        one = torch.rand(1, 1, 40, 40, generator=torch.Generator().manual_seed(1))
        other, weight = one.clone(), torch.ones_like(one)
        other[..., :20] = torch.rand(40, 20, generator=torch.Generator().manual_seed(2))
        weight[..., :20] = 0
        half = mutual_informations(one[..., 20:], torch.ones(1, 1, 40, 20))(other[..., 20:])
        assert torch.allclose(mutual_informations(one, weight)(other), half, atol=1e-5)
        assert float(mutual_informations(one, torch.zeros_like(one))(other)) == 0

    def test_pooled_is_one_histogram(self) -> None:
        pictures = torch.rand(3, 1, 20, 20, generator=torch.Generator().manual_seed(3))
        others = pictures.square()
        apart = mutual_informations(pictures, torch.ones_like(pictures))(others)
        together = mutual_informations(pictures, torch.ones_like(pictures), pooled=True)(others)
        assert apart.shape == (3,)
        assert together.shape == (1,)
        long = [each.reshape(1, 1, 60, 20) for each in (pictures, others)]
        assert torch.allclose(together, mutual_informations(long[0], torch.ones_like(long[0]))(long[1]))

    def test_its_gradient_is_that_of_its_values(self) -> None:
        generator = torch.Generator().manual_seed(4)
        fixed = torch.rand(1, 1, 12, 12, generator=generator, dtype=torch.float64)
        moving = torch.rand(1, 1, 12, 12, generator=generator, dtype=torch.float64) * 0.9 + 0.05
        value = mutual_informations(fixed, torch.ones_like(fixed))
        assert torch.autograd.gradcheck(lambda x: value(x), moving.requires_grad_(), eps=1e-6, atol=1e-4)


def textured(points: Tensor) -> Tensor:
    """Blobs of several sizes, in 0..1."""
    rng = np.random.default_rng(5)
    value = torch.zeros(points.shape[:-1])
    for _ in range(25):
        centre, width = torch.from_numpy(rng.uniform(-22, 22, 3)).float(), rng.uniform(3, 8)
        away = (points.float() - torch.from_numpy(MIDDLE).float() - centre).square().sum(dim=-1)
        value += rng.uniform(0.3, 1) * torch.exp(-away / (2 * width**2))
    return value / value.max()


@pytest.fixture(scope="module")
def fan() -> tuple[Grid, Tensor, Tensor]:
    """A volume's grid and data, and the planes of three slices through its middle."""
    grid = oblique()
    planes = torch.eye(4, dtype=torch.float64).repeat(3, 1, 1)
    for number, plane in enumerate(planes):
        turn = Rotation.from_euler("z", 60 * number, degrees=True).as_matrix()
        plane[:3, :3] = torch.from_numpy(turn @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]))
        plane[:3, 3] = torch.from_numpy(MIDDLE)
    return grid, textured(grid.points())[None, None], planes


class TestSearch:
    def compared(
        self, fan: tuple[Grid, Tensor, Tensor], name: str = "mutual information"
    ) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """How unlike slices are that were acquired in the fan's planes, in another contrast: each, and all together."""
        grid, data, truth = fan
        shown = emulator(data, grid, (24, 24), 2.0, 3.0, 2.0)
        # Local measures take one contrast for the other only where it follows it, or its inverse, in proportion.
        power = 1 if name in ("local correlation", "gradient fields") else 2
        acquired = 1 - shown(truth.float())[0] ** power

        def each(planes: Tensor) -> Tensor:
            pictures, within = shown(planes.flatten(0, 1).float())
            many = acquired.repeat(len(planes), 1, 1, 1)
            return unlike(name, many, within, 2.0)(pictures).reshape(-1, 3).double()

        def together(planes: Tensor) -> Tensor:
            pictures, within = shown(planes.float())
            return unlike(name, acquired, within, 2.0, pooled=True)(pictures)[0].double()

        return each, together

    def off(self, planes: Tensor, truth: Tensor) -> float:
        """Mean mm of points of the slices."""
        corners = torch.tensor([[x, y, 0, 1.0] for x in (-15, 0, 15) for y in (-15, 0, 15)], dtype=torch.float64)
        return float(((planes - truth) @ corners.T)[:, :3].norm(dim=1).mean())

    @pytest.mark.parametrize("name", SIMILARITIES)
    def test_slices_vote_their_way_back(self, fan: tuple[Grid, Tensor, Tensor], name: str) -> None:
        each, _ = self.compared(fan, name)
        truth = fan[2]
        start = rigid(9, 5) @ truth
        frame = torch.eye(4, dtype=torch.float64)
        frame[:3, 3] = torch.from_numpy(MIDDLE)
        levels = halved(8, 4, 0.4)
        found = voted(each, start, frame, levels, (0, 1, 2, 3, 4, 5), Progress())
        assert self.off(start, truth) > 4
        assert self.off(found.planes, truth) < 0.6 * self.off(start, truth)
        assert torch.allclose(found.planes, found.move @ start)
        assert found.emulated == 3 + 3 * 2 * 6 * len(levels)
        assert list(found.trace) == sorted(found.trace, reverse=True)

    def test_levels_are_halved_down_to_the_finest(self) -> None:
        assert [(each.turn, each.shift) for each in halved(8, 2, 1)] == [(8, 2), (4, 1), (2, 0.5), (1, 0.25)]
        assert halved(0, 0, 0.5) == []

    @pytest.mark.parametrize("name", SIMILARITIES)
    def test_descent_ends_at_the_truth(self, fan: tuple[Grid, Tensor, Tensor], name: str) -> None:
        _, together = self.compared(fan, name)
        truth = fan[2]
        start = rigid(3, 2, 1) @ truth
        frame = torch.eye(4, dtype=torch.float64)
        frame[:3, 3] = torch.from_numpy(MIDDLE)
        found = polished(together, start, frame, None, 30, Progress())
        assert self.off(start, truth) > 1.5
        assert self.off(found.planes, truth) < 0.15
        assert found.energy < float(together(start))

    def test_slices_move_on_their_own_as_far_as_the_prior_lets_them(self, fan: tuple[Grid, Tensor, Tensor]) -> None:
        _, together = self.compared(fan)
        truth = fan[2]
        start = truth.clone()
        start[1, :3, 3] += torch.tensor([1.5, 0.0, 0.0], dtype=torch.float64)
        frame = torch.eye(4, dtype=torch.float64)
        frame[:3, 3] = torch.from_numpy(MIDDLE)
        free = polished(together, start, frame, Prior(2.0, 2.0, 0.002), 40, Progress())
        held = polished(together, start, frame, Prior(2.0, 2.0, 1e4), 40, Progress())
        assert self.off(free.planes, truth) < 0.3
        assert self.off(held.planes, truth) > self.off(free.planes, truth) + 0.1
        eye = torch.eye(4, dtype=torch.float64)
        assert float((held.own - eye).abs().max()) < 0.02

    def test_a_user_can_end_it(self, fan: tuple[Grid, Tensor, Tensor]) -> None:
        class Ending(Progress):
            def check(self) -> None:
                raise Cancelled

        each, together = self.compared(fan)
        frame = torch.eye(4, dtype=torch.float64)
        with pytest.raises(Cancelled):
            voted(each, fan[2], frame, halved(4, 4, 1), (0,), Ending())
        with pytest.raises(Cancelled):
            polished(together, fan[2], frame, None, 5, Ending())
