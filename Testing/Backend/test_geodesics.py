"""The model of metamorphosis: what its paths and energies must be."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from regsuite.progress import Progress
from regsuite.solvers.flow import border_window, gradient, jacobian_determinant
from regsuite.solvers.geodesics import Energy, Metamorphosis, Relaxation, Shooting, control_grid, upsample
from regsuite.solvers.multiscale import Settings, solve
from regsuite.solvers.pair import Pair
from regsuite.spatial import Grid
from regsuite.transforms import identity
from torch import Tensor

GRID = Grid.regular((40, 48), 2.0)
VOLUME = Grid.regular((20, 22, 24), 2.5)
FORMS: list[type[Metamorphosis]] = [Relaxation, Shooting]


def _blob(grid: Grid, offset: tuple[float, ...], width: float = 12.0) -> Tensor:
    """A Gaussian blob ``offset`` mm (RAS) from the grid's centre, (1, 1, *shape)."""
    x = grid.points(torch.float64) - torch.as_tensor(grid.centre) - torch.tensor(offset, dtype=torch.float64)
    return torch.exp(-(x**2).sum(dim=-1) / (2 * width**2)).float()[None, None]


def _pair(grid: Grid, shift: tuple[float, ...]) -> Pair:
    ones = torch.ones(1, 1, *grid.shape)
    moving = _blob(grid, tuple(0.0 for _ in shift))
    return Pair(_blob(grid, shift), moving, ones, grid, identity(grid.dim), 0.0, 1.0, 60.0, 8.0)


def _settings(formulation: str, penalty: float | None = None, **options: Any) -> Settings:
    energy = Energy(regularity=2e-5, widths=(8.0,), penalty=penalty)
    return Settings(
        energy, **{"steps": 10, "levels": 1, "evaluations": 120, "tolerance": 1e-5, **options}, formulation=formulation
    )


def _random_variables(model: Metamorphosis, size: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [size * torch.randn(variable.shape, generator=generator) for variable in model.start()]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("grid", [GRID, VOLUME], ids=["2d", "3d"])
class TestEveryPath:
    def _model(self, form: type[Metamorphosis], grid: Grid, **options: Any) -> Metamorphosis:
        source = _blob(grid, (3.0,) * grid.dim)
        return form(source, grid, Energy(1e-3, (8.0,), 0.1), steps=4, margin=8.0, **options)

    def test_starts_as_no_change_at_no_cost(self, form: type[Metamorphosis], grid: Grid) -> None:
        model = self._model(form, grid)
        path = model.path(model.start(), keep_frames=True)
        assert torch.allclose(path.image, model.source, atol=1e-6)
        assert float(path.displacement.abs().max()) == 0
        assert float(path.velocity_energy) == float(path.intensity_energy) == 0
        assert len(path.frames) == 5

    def test_moves_nothing_at_the_border(self, form: type[Metamorphosis], grid: Grid) -> None:
        model = self._model(form, grid)
        path = model.path([torch.full_like(part, 10.0) for part in model.start()])
        border = torch.ones(1, 1, *grid.shape, dtype=torch.bool)
        border[(..., *(slice(1, n - 1) for n in grid.shape))] = False
        assert 0.2 < float(path.displacement.abs().max()) < 100
        assert float((path.displacement * border).abs().max()) == 0

    def test_paints_within_the_mask_alone(self, form: type[Metamorphosis], grid: Grid) -> None:
        mask = torch.zeros(1, 1, *grid.shape)
        mask[(..., *(slice(8, 12) for _ in grid.shape))] = 1
        source = torch.zeros(1, 1, *grid.shape)  # without contrast even shooting does not move, for a step
        model = form(source, grid, Energy(1e-3, (8.0,), 0.1), steps=1, masks=mask)
        still = [torch.zeros_like(part) for part in model.start()]
        still[-1] += 1.0
        added = model.path(still).added
        assert float(added[mask > 0].abs().min()) > 0
        assert float(added[mask == 0].abs().max()) == 0

    def test_checkpointing_changes_nothing(self, form: type[Metamorphosis], grid: Grid) -> None:
        gradients = []
        for checkpointing in (False, True):
            model = self._model(form, grid, checkpointing=checkpointing)
            variables = [part.requires_grad_() for part in _random_variables(model, 3.0)]
            path = model.path(variables)
            (path.image.square().sum() + path.velocity_energy + path.intensity_energy).backward()
            gradients.append(torch.cat([part.grad.flatten() for part in variables if part.grad is not None]))
        assert float(gradients[0].abs().max()) > 0
        assert torch.allclose(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("formulation", ["path", "shooting"])
def test_a_shifted_blob_is_brought_back(formulation: str) -> None:
    """u takes fixed to moving points: where the fixed blob's centre is, u is minus the shift."""
    solution = solve(_pair(GRID, (6.0, -4.0)), _settings(formulation), Progress())
    pair = _pair(GRID, (6.0, -4.0))
    before, after = (float(pair.difference(image)) for image in (pair.moving, solution.path.image))
    assert after < 0.02 * before
    # Array axes (j, i) are (A, R) on this grid.
    weights = (pair.fixed > 0.7).float()
    mean = (solution.path.displacement * weights).sum(dim=(0, 2, 3)) / weights.sum()
    assert mean.tolist() == pytest.approx([4.0, -6.0], abs=1.0)
    assert float(jacobian_determinant(solution.path.displacement, GRID.spacing).min()) > 0.2


def test_both_formulations_find_the_same_geodesic() -> None:
    """Minimising over the path or over z_0 ends at the same energy and about the same map (Theorem 1)."""
    found = {name: solve(_pair(GRID, (6.0, -4.0)), _settings(name), Progress()) for name in ("path", "shooting")}
    totals = {name: min(solution.curve.values["total"]) for name, solution in found.items()}
    assert totals["path"] == pytest.approx(totals["shooting"], rel=0.1)
    apart = found["path"].path.displacement - found["shooting"].path.displacement
    visible = (_blob(GRID, (6.0, -4.0)) > 0.3).expand_as(apart)
    assert float(apart[visible].abs().mean()) < 0.5


@pytest.mark.parametrize("formulation", ["path", "shooting"])
def test_speed_is_constant_along_a_geodesic(formulation: str) -> None:
    """||v_t||_V does not change on the geodesics of LDDMM."""
    path = solve(_pair(GRID, (6.0, -4.0)), _settings(formulation, steps=16), Progress()).path
    speeds = torch.stack(path.speeds)
    assert float(speeds.max() / speeds.min()) < 1.25


def test_painting_explains_what_no_deformation_can() -> None:
    """A blob that is absent from a flat image: LDDMM can do nothing, metamorphosis paints all but a κ-th of it."""
    pair = _pair(GRID, (0.0, 0.0))
    pair = Pair(**{**pair.__dict__, "moving": torch.zeros_like(pair.moving)})
    flat = solve(pair, _settings("path"), Progress()).path
    # A regularity at which moving does not pay: painting little and stretching it would be cheaper still.
    stiff = Settings(Energy(regularity=100.0, widths=(8.0,), penalty=0.25), steps=10, levels=1, evaluations=60)
    painted = solve(pair, stiff, Progress()).path
    assert float(flat.image.abs().max()) == 0
    # Of δ² left and κ δ'² paid the best is δ' = δ / (1 + κ).
    assert float(painted.image.max()) == pytest.approx(1 / 1.25, abs=0.02)


class TestPieces:
    def test_gradient_of_a_ramp(self) -> None:
        x = VOLUME.points()[..., 0][None, None]
        slopes = gradient(3 * x, VOLUME.spacing)
        # R runs along the last array axis.
        assert torch.allclose(slopes[0, 2], torch.tensor(3.0), atol=1e-4)
        assert float(slopes[0, :2].abs().max()) < 1e-4

    @pytest.mark.parametrize("grid", [GRID, VOLUME], ids=["2d", "3d"])
    def test_determinant_is_linalgs(self, grid: Grid) -> None:
        u = torch.randn(1, grid.dim, *grid.shape, generator=torch.Generator().manual_seed(1))
        columns = [torch.gradient(u, spacing=h, dim=2 + axis)[0] for axis, h in enumerate(grid.spacing)]
        matrices = torch.stack(columns, dim=2)[0].movedim((0, 1), (-2, -1)) + torch.eye(grid.dim)
        ours = jacobian_determinant(u, grid.spacing)[0, 0]
        assert torch.allclose(ours, torch.linalg.det(matrices), atol=1e-3)

    def test_window_falls_to_zero_over_its_ramp(self) -> None:
        window = border_window(GRID, 8.0, "cpu")[0, 0]
        assert float(window[0].max()) == 0
        assert float(window[20, 24]) == 1
        # Halfway up the ramp of 8 mm, two voxels of 2 mm from the border.
        assert float(window[2, 24]) == pytest.approx(0.5, abs=1e-6)

    def test_control_grid_covers_the_same_box(self) -> None:
        coarse = control_grid(VOLUME, 10.0)
        assert coarse.voxel_count < VOLUME.voxel_count / 2
        assert max(coarse.spacing) <= 0.6 * 10.0 + 1
        for axis in range(3):
            extents = [grid.shape[axis] * grid.spacing[axis] for grid in (coarse, VOLUME)]
            assert extents[0] == pytest.approx(extents[1])
        assert control_grid(VOLUME, 2.0) == VOLUME

    def test_upsampling_puts_a_ramp_where_it_was(self) -> None:
        coarse = control_grid(VOLUME, 10.0)
        inner = (0, 0, slice(4, -4), slice(4, -4), slice(4, -4))
        for axis in range(3):
            ramp = coarse.points()[..., axis][None, None]
            fine = VOLUME.points()[..., axis][None, None]
            assert torch.allclose(upsample(ramp, VOLUME)[inner], fine[inner], atol=1e-3)
