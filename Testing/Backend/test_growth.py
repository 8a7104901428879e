"""Growth of masks: fronts whose arrival is known, and what every growth must keep to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from backend_samples import GRIDS
from regsuite.errors import InputError
from regsuite.progress import Progress
from regsuite.solvers.growth import Model, arrival_times, growing_masks, soft_mask, tissue_speed
from regsuite.spatial import Grid
from scipy import optimize
from torch import Tensor

MODELS: tuple[Model, ...] = ("ball", "tissue")
FLAT = Grid.regular((60, 64), 1.0)
SOLID = Grid.regular((26, 28, 30), 2.0)
STEPS = 6


def _away(grid: Grid, *offset: float) -> Tensor:
    """(*shape, d) mm from the grid's middle plus an offset along the world's axes."""
    centre = grid.centre + np.array([*offset, 0, 0, 0])[: grid.dim]
    return grid.points(torch.float64) - torch.as_tensor(centre)


def _ball(grid: Grid, radius: float, *offset: float) -> Tensor:
    """Binary (1, 1, *shape)."""
    return (_away(grid, *offset).norm(dim=-1) < radius)[None, None].float()


def _grow(mask: Tensor, grid: Grid, **options: object) -> Tensor:
    return growing_masks(mask, grid, STEPS, Progress(), **options)  # type: ignore[arg-type]


def _seed(grid: Grid, *index: int) -> np.ndarray:
    seeds = np.zeros(grid.shape, dtype=bool)
    seeds[index] = True
    return seeds


class TestArrivalTimes:
    @pytest.mark.parametrize(
        ("shape", "spacing"), [((61, 61), (1.0, 1.0)), ((25, 41, 41), (2.5, 1.0, 1.0)), ((41, 41, 41), (1.0, 1.0, 1.0))]
    )
    def test_distance_over_speed_from_a_point(self, shape: tuple[int, ...], spacing: tuple[float, ...]) -> None:
        grid = Grid.regular(shape, spacing)
        distance = _away(grid).norm(dim=-1).numpy()
        times = arrival_times(np.full(shape, 0.8), _seed(grid, *(n // 2 for n in shape)), spacing)
        assert np.abs(times - distance / 0.8).max() < 0.5 * max(spacing)

    def test_a_slow_slab_takes_its_width_over_its_speed(self) -> None:
        speed = np.ones((20, 60))
        speed[:, 20:32] = 0.25
        seeds = np.zeros((20, 60), dtype=bool)
        seeds[:, 0] = True
        times = arrival_times(speed, seeds, (0.5, 0.5))
        # 12 voxels of 0.5 mm at a quarter of the speed; the scheme takes each step at the speed of where it ends.
        assert times[:, 59] == pytest.approx(59 * 0.5 + 6.0 * 3)

    def test_refracts_by_the_path_of_least_time(self) -> None:
        """Fermat: from a point in one tissue to points in a slower one, over the best crossing of their border."""
        grid, slow = Grid.regular((121, 121), 1.0), 0.5
        speed = np.ones(grid.shape)
        speed[61:] = slow
        times = arrival_times(speed, _seed(grid, 30, 60), grid.spacing)

        def fermat(row: int, column: int) -> float:
            depth, across = row - 60.5, abs(column - 60)
            return float(
                optimize.minimize_scalar(
                    lambda x: np.hypot(30.5, x) + np.hypot(depth, across - x) / slow, bounds=(0, across + 1e-9)
                ).fun
            )

        for row, column in [(90, 60), (80, 80), (100, 90), (70, 110), (115, 30)]:
            assert times[row, column] == pytest.approx(fermat(row, column), rel=0.02)

    def test_goes_round_a_wall(self) -> None:
        speed = np.ones((60, 60))
        speed[10:, 30] = 0
        times = arrival_times(speed, _seed(FLAT, 40, 20)[:60, :60], (1.0, 1.0))
        # By the last open voxel above the wall.
        assert times[40, 40] == pytest.approx(2 * np.hypot(31, 10), rel=0.05)
        assert np.isinf(times[20, 30])

    def test_never_gets_where_there_is_no_way(self) -> None:
        speed = np.ones((30, 30))
        speed[:, 15] = 0
        times = arrival_times(speed, _seed(Grid.regular((30, 30)), 5, 5), (1.0, 1.0))
        assert np.isinf(times[:, 15:]).all()
        assert np.isfinite(times[:, :15]).all()


class TestTissueSpeed:
    @pytest.mark.parametrize("grid", [FLAT, SOLID, GRIDS["oblique-3d"]], ids=["2d", "3d", "oblique"])
    def test_one_in_even_tissue(self, grid: Grid) -> None:
        assert tissue_speed(torch.full((1, 1, *grid.shape), 0.7), grid, 30.0) == pytest.approx(1.0)

    @pytest.mark.parametrize("blur", [0.5, 2.0, 6.0])
    @pytest.mark.parametrize("spacing", [0.5, 1.0, 2.0])
    def test_an_edge_delays_by_its_contrast_however_sharp(self, blur: float, spacing: float) -> None:
        grid = Grid.regular((8, int(80 / spacing)), spacing)
        tissue = 0.2 + 0.6 * torch.sigmoid(_away(grid)[..., 0] / blur)[None, None].float()
        speed = tissue_speed(tissue, grid, 10.0)
        assert float((1 / speed[4] - 1).sum()) * spacing == pytest.approx(0.6 * 10.0, rel=0.02)

    def test_of_a_single_slice(self) -> None:
        grid = Grid.regular((1, 20, 20), (5.0, 1.0, 1.0))
        ramp = _away(grid)[..., 0][None, None].float() / 10
        assert tissue_speed(ramp, grid, 10.0)[0, 10, 10] == pytest.approx(0.5, rel=1e-3)


class TestFront:
    @pytest.mark.parametrize("name", GRIDS)
    def test_a_ball_whose_radius_grows_evenly(self, name: str) -> None:
        grid = GRIDS[name]
        mask = _ball(grid, 17.0)
        masks = _grow(mask, grid, model="tissue")
        voxel = max(grid.spacing)
        distance = _away(grid).norm(dim=-1)
        for step in range(STEPS - 1):
            radius = 17.0 * (0.4 + 0.6 * step / STEPS)
            volume = float(masks[step].sum()) * grid.voxel_volume
            grown = {2: np.sqrt(volume / np.pi), 3: np.cbrt(0.75 * volume / np.pi)}[grid.dim]
            assert grown == pytest.approx(radius, abs=0.5 * voxel)
            assert (masks[step, 0][distance < radius - 1.5 * voxel] > 0.5).all()
            assert (masks[step, 0][distance > radius + 1.5 * voxel] < 0.5).all()

    @pytest.mark.parametrize("grid", [FLAT, SOLID], ids=["2d", "3d"])
    def test_radius_grows_evenly_in_any_tissue(self, grid: Grid) -> None:
        tissue = torch.rand(1, 1, *grid.shape, generator=torch.Generator().manual_seed(3))
        masks = _grow(_ball(grid, 20.0), grid, model="tissue", tissue=tissue)
        radii = [float(part.sum()) ** (1 / grid.dim) for part in masks]
        growth = np.diff(radii[:-1])
        assert growth == pytest.approx((radii[-1] - radii[0]) / STEPS, rel=0.05)

    def test_fills_its_own_tissue_before_it_crosses_an_edge(self) -> None:
        """An edge of full contrast delays by 2 R, more than any way on this side of it."""
        mask = _ball(FLAT, 20.0)
        beyond = _away(FLAT)[..., 0] > 4
        seeds = _ball(FLAT, 2.0, -6.0)
        masks = _grow(mask, FLAT, model="tissue", seeds=seeds, tissue=beyond[None, None].float())
        plain = _grow(mask, FLAT, model="tissue", seeds=seeds)
        far = (_away(FLAT)[..., 0] > 7)[None, None]
        size = mask.sum()
        for step in range(STEPS - 1):
            near_is_full = float((masks[step] * ~beyond).sum()) > 0.97 * float((masks[-1] * ~beyond).sum())
            assert near_is_full or float((masks[step] * far).sum()) < 1e-3 * size
        assert float((plain[4] * far).sum()) > 0.02 * size

    @pytest.mark.parametrize("grid", [FLAT, SOLID], ids=["2d", "3d"])
    def test_holds_a_seed_on_an_edge(self, grid: Grid) -> None:
        mask, seeds = _ball(grid, 18.0), torch.zeros(1, 1, *grid.shape)
        middle = tuple(n // 2 for n in grid.shape)
        seeds[(0, 0, *middle)] = 1
        bright = (_away(grid)[..., 0] > 0) & (_away(grid)[..., 1] > 0)
        masks = _grow(mask, grid, model="tissue", seeds=seeds, tissue=10.0 * bright[None, None].float())
        assert float(masks[(0, 0, *middle)]) > 0.5

    def test_contrast_may_be_either_way(self) -> None:
        mask, tissue = _ball(FLAT, 20.0), torch.rand(1, 1, *FLAT.shape, generator=torch.Generator().manual_seed(5))
        one, other = (_grow(mask, FLAT, model="tissue", tissue=image) for image in (tissue, 1 - tissue))
        assert float((one - other).abs().mean()) < 1e-3


@pytest.mark.parametrize("model", MODELS)
class TestEveryGrowth:
    @pytest.mark.parametrize("name", GRIDS)
    def test_never_shrinks_and_ends_as_the_whole_mask(self, model: Model, name: str) -> None:
        grid = GRIDS[name]
        mask = _ball(grid, 16.0, 3.0)
        tissue = torch.rand(1, 1, *grid.shape, generator=torch.Generator().manual_seed(1))
        masks = _grow(mask, grid, model=model, tissue=tissue)
        assert masks.shape == (STEPS, 1, *grid.shape)
        assert float(masks.diff(dim=0).min()) >= 0
        assert torch.allclose(masks[-1:], soft_mask(mask, grid), atol=1e-6)
        assert 0.03 < float(masks[0].sum() / mask.sum()) < 0.3
        # At 4/6 of the growth of the radius from 0.4 it is 0.8 of the whole; the speed of a path is not quite even.
        assert float(masks[-2].sum() / mask.sum()) > 0.7**grid.dim

    @pytest.mark.parametrize("grid", [FLAT, SOLID], ids=["2d", "3d"])
    def test_starts_at_the_seeds(self, model: Model, grid: Grid) -> None:
        mask = _ball(grid, 18.0)
        seeds = _ball(grid, 2.5, 9.0)
        masks = _grow(mask, grid, model=model, seeds=seeds)
        assert float(masks[0][seeds[0] > 0].min()) > 0.5
        middle = (_away(grid, 9.0) * masks[0, 0][..., None]).sum(dim=tuple(range(grid.dim))) / masks[0].sum()
        assert float(middle.norm()) < 2.0
        assert float((masks[0] * (_away(grid, 9.0).norm(dim=-1) > 12)).max()) < 0.01

    def test_holds_seeds_of_any_shape(self, model: Model) -> None:
        mask = _ball(FLAT, 22.0)
        seeds = torch.zeros_like(mask)
        seeds[0, 0, 20:42, 24] = seeds[0, 0, 41, 24:36] = seeds[0, 0, 22, 40] = 1
        masks = _grow(mask, FLAT, model=model, seeds=seeds)
        assert float(masks[0][seeds[0] > 0].min()) > 0.5
        assert float(masks[0].sum() / mask.sum()) < 0.25

    def test_holds_more_seeds_than_the_first_ball_has_voxels(self, model: Model) -> None:
        mask = _ball(FLAT, 22.0)
        comb = torch.arange(64) % 5 == 0
        seeds = _ball(FLAT, 18.0) * comb
        masks = _grow(mask, FLAT, model=model, seeds=seeds)
        assert float(masks[0][seeds[0] > 0].min()) > 0.5

    def test_seeds_outside_the_mask_do_not_count(self, model: Model) -> None:
        mask, inside = _ball(FLAT, 15.0), _ball(FLAT, 3.0, 6.0)
        both = inside + _ball(FLAT, 4.0, -24.0)
        assert torch.equal(_grow(mask, FLAT, model=model, seeds=inside), _grow(mask, FLAT, model=model, seeds=both))

    def test_says_when_no_seed_is_in_the_mask(self, model: Model) -> None:
        with pytest.raises(InputError, match=r"^The growth seeds do not touch the lesion mask: draw them inside it\.$"):
            _grow(_ball(FLAT, 10.0, -12.0), FLAT, model=model, seeds=_ball(FLAT, 3.0, 12.0))

    @pytest.mark.parametrize("grid", [FLAT, SOLID], ids=["2d", "3d"])
    def test_every_piece_grows(self, model: Model, grid: Grid) -> None:
        """A large piece, a smaller one and a voxel; seeds in the large one alone."""
        large, small = _ball(grid, 12.0, -10.0), _ball(grid, 8.0, 16.0)
        speck = torch.zeros_like(large)
        speck[(0, 0, *(3 for _ in grid.shape))] = 1
        masks = _grow(large + small + speck, grid, model=model, seeds=_ball(grid, 2.5, -10.0))
        for piece in (large, small):
            shares = [float((part * piece).sum() / piece.sum()) for part in masks]
            assert 0.02 < shares[0] < 0.35
            assert min(np.diff(shares)) > 0.01
        assert torch.allclose(masks[:, speck[0] > 0], masks[-1, speck[0] > 0])
        assert torch.allclose(masks[-1:], soft_mask(large + small + speck, grid), atol=1e-6)

    @pytest.mark.parametrize("grid", [FLAT, SOLID], ids=["2d", "3d"])
    def test_cut_by_the_field_of_view(self, model: Model, grid: Grid) -> None:
        """Half a ball at the border goes on beyond it, so that it grows from its middle on the border."""
        at_border = float(grid.to_world([0] * grid.dim)[0] - grid.centre[0])
        masks = _grow(_ball(grid, 16.0, at_border), grid, model=model)
        distance = _away(grid, at_border).norm(dim=-1)
        voxel = max(grid.spacing)
        for step in range(STEPS - 1):
            grown = masks[step, 0] > 0.5
            radius = 16.0 * (0.4 + 0.6 * step / STEPS)
            assert float(distance[grown].max()) == pytest.approx(radius, abs=2 * voxel)
            assert grown[distance < radius - 2 * voxel].all()

    @pytest.mark.parametrize("shape", [(12, 14), (8, 9, 10), (1, 20, 20)])
    def test_a_mask_that_fills_the_grid(self, model: Model, shape: tuple[int, ...]) -> None:
        grid = Grid.regular(shape, 2.0)
        masks = _grow(torch.ones(1, 1, *shape), grid, model=model)
        assert float(masks[-1].min()) == pytest.approx(1, abs=1e-6)
        assert float(masks[0].mean()) < 0.5

    def test_a_single_step_is_the_whole_mask(self, model: Model) -> None:
        mask = _ball(FLAT, 10.0)
        assert torch.allclose(growing_masks(mask, FLAT, 1, Progress(), model), soft_mask(mask, FLAT), atol=1e-6)

    def test_of_no_mask_is_nothing(self, model: Model) -> None:
        assert not _grow(torch.zeros(1, 1, *FLAT.shape), FLAT, model=model).any()


def test_a_path_reaches_all_edges_at_once_and_a_front_the_nearest_first() -> None:
    mask, seeds = _ball(FLAT, 20.0), _ball(FLAT, 2.5, 6.0)
    near = _away(FLAT, 17.0).norm(dim=-1) < 2
    path, front = (_grow(mask, FLAT, model=model, seeds=seeds) for model in MODELS)
    assert float(path[2, 0][near].mean()) < 0.5
    assert float(front[2, 0][near].mean()) > 0.7


def test_never_shrinks_where_the_path_moves_on_from_its_seeds() -> None:
    scale = torch.tensor([14.0, 26.0])
    mask = ((_away(FLAT) / scale).norm(dim=-1) < 1)[None, None].float()
    assert float(_grow(mask, FLAT, seeds=_ball(FLAT, 2.5, 8.4)).diff(dim=0).min()) >= 0


def test_a_sheet_grows_to_its_ends() -> None:
    """No LDDMM path gets from a ball as thick as the sheet to its ends: the even front does."""
    grid = Grid.regular((14, 44, 44), 2.0)
    scale = torch.tensor([36.0, 36.0, 5.0])
    mask = ((_away(grid) / scale).norm(dim=-1) < 1)[None, None].float()
    shares = [float(part.sum() / mask.sum()) for part in _grow(mask, grid)]
    assert shares[0] < 0.05
    assert shares[-2] == pytest.approx((4 / 6 + 2 / 6 * shares[0] ** (1 / 3)) ** 3, abs=0.02)


def test_starts_in_the_middle_of_places_as_deep() -> None:
    """A rod is as deep at its ends as in its middle."""
    mask = torch.zeros(1, 1, *FLAT.shape)
    mask[0, 0, 25:34, 4:60] = 1
    first = _grow(mask, FLAT)[0, 0]
    columns = torch.arange(64.0)
    assert float((first.sum(dim=0) * columns).sum() / first.sum()) == pytest.approx(31.5, abs=1.0)
