"""The model of metamorphosis: what its paths and energies must be."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from regsuite.progress import Progress
from regsuite.registration import Curve
from regsuite.solvers import geodesics, multiscale
from regsuite.solvers.flow import gradient, jacobian_determinant
from regsuite.solvers.geodesics import (
    Energy,
    Metamorphosis,
    Path,
    Relaxation,
    Shooting,
    control_grid,
    cubic_upsampling,
    folding_of,
)
from regsuite.solvers.multiscale import Settings, _Descent, solve
from regsuite.solvers.pair import Pair
from regsuite.spatial import Grid, Image
from regsuite.spatial.smoothing import along_axes
from regsuite.transforms import identity
from scipy.integrate import solve_ivp
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
    return Pair(_blob(grid, shift), moving, ones, ones, grid, identity(grid.dim), 0.0, 1.0, 0.0, 1.0, 60.0)


def _settings(formulation: str, penalty: float | None = None, **options: Any) -> Settings:
    energy = Energy(regularity=2e-5, widths=(8.0,), penalty=penalty)
    return Settings(
        energy, **{"steps": 10, "levels": 1, "evaluations": 120, "tolerance": 1e-5, **options}, formulation=formulation
    )


def _double(pair: Pair) -> Pair:
    return replace(pair, **{name: getattr(pair, name).double() for name in ("fixed", "moving", "weight", "content")})


def _random_variables(model: Metamorphosis, size: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [size * torch.randn(variable.shape, generator=generator) for variable in model.start()]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("grid", [GRID, VOLUME], ids=["2d", "3d"])
class TestEveryPath:
    def _model(self, form: type[Metamorphosis], grid: Grid, **options: Any) -> Metamorphosis:
        source = _blob(grid, (3.0,) * grid.dim)
        return form(source, grid, Energy(1e-3, (8.0,), 0.1), steps=4, **options)

    def test_starts_as_no_change_at_no_cost(self, form: type[Metamorphosis], grid: Grid) -> None:
        model = self._model(form, grid)
        path = model.path(model.start(), keep_frames=True)
        assert torch.allclose(path.image, model.source, atol=1e-6)
        assert float(path.displacement.abs().max()) == 0
        assert float(path.velocity_energy) == float(path.intensity_energy) == 0
        assert len(path.frames) == 5

    def test_moves_nothing_at_the_border(self, form: type[Metamorphosis], grid: Grid) -> None:
        """Velocities vanish at the box's faces, half a voxel beyond the outermost centres."""
        model = self._model(form, grid)
        size = model.velocities([30.0 * part for part in _random_variables(model, 1.0)]).abs()
        assert float(size.max()) > 0.01
        for axis, n in enumerate(model.control.shape, start=2):
            for border in (0, n - 1):
                assert float(size.narrow(axis, border, 1).mean()) < 0.7 * float(size.narrow(axis, n // 2, 1).mean())

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


def test_speed_is_constant_on_the_best_path() -> None:
    """||v_t||_V does not change on the geodesics of LDDMM; in double precision, for the path to be the best."""
    path = solve(_double(_pair(GRID, (6.0, -4.0))), _settings("path", steps=8, tolerance=1e-7), Progress()).path
    speeds = torch.stack(path.speeds)
    assert float(speeds.max() / speeds.min()) < 1.01


def test_painting_explains_what_no_deformation_can() -> None:
    """A blob that is absent from a flat image: LDDMM can do nothing, metamorphosis paints all but a κ-th of it."""
    pair = _pair(GRID, (0.0, 0.0))
    pair = replace(pair, moving=torch.zeros_like(pair.moving))
    flat = solve(pair, _settings("path"), Progress()).path
    # A regularity at which moving does not pay: painting little and stretching it would be cheaper still.
    stiff = Settings(Energy(regularity=100.0, widths=(8.0,), penalty=0.25), steps=10, levels=1, evaluations=60)
    painted = solve(pair, stiff, Progress()).path
    assert float(flat.image.abs().max()) == 0
    # Of δ² left and κ δ'² paid the best is δ' = δ / (1 + κ).
    assert float(painted.image.max()) == pytest.approx(1 / 1.25, abs=0.02)


def test_painting_is_sought_again_with_the_deformation_held() -> None:
    """With δ² counted a tenth, δ/(1 + 10 κ) is painted; painted again at full weight, δ/(1 + κ)."""
    pair = _pair(GRID, (0.0, 0.0))
    pair = replace(pair, moving=torch.zeros_like(pair.moving))
    stiff = Settings(Energy(regularity=100.0, widths=(8.0,), penalty=0.25), steps=10, levels=1, evaluations=60)
    half = solve(pair, stiff, Progress(), weight=0.1 * pair.weight)
    full = solve(pair, stiff, Progress(), weight=0.1 * pair.weight, painting_weight=pair.weight)
    assert float(half.path.image.max()) == pytest.approx(1 / 3.5, abs=0.02)
    assert float(full.path.image.max()) == pytest.approx(1 / 1.25, abs=0.02)
    assert torch.equal(half.path.displacement, full.path.displacement)
    assert half.curve == full.curve


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

    def test_control_grid_covers_the_same_box(self) -> None:
        coarse = control_grid(VOLUME, 10.0)
        assert coarse.voxel_count < VOLUME.voxel_count / 2
        assert max(coarse.spacing) <= 0.75 * 10.0 + 1
        for axis in range(3):
            extents = [grid.shape[axis] * grid.spacing[axis] for grid in (coarse, VOLUME)]
            assert extents[0] == pytest.approx(extents[1])
        assert control_grid(VOLUME, 2.0) == VOLUME

    def test_upsampling_puts_a_ramp_where_it_was(self) -> None:
        coarse = control_grid(VOLUME, 10.0)
        inner = (0, 0, slice(7, -7), slice(7, -7), slice(7, -7))
        for axis in range(3):
            ramp = coarse.points()[..., axis][None, None]
            fine = VOLUME.points()[..., axis][None, None]
            assert torch.allclose(
                along_axes(cubic_upsampling(coarse, VOLUME, dtype=torch.float32), ramp)[inner], fine[inner], atol=1e-3
            )


FLAT, SOLID = Grid.regular((22, 26), 3.0), Grid.regular((12, 13, 14), 4.0)


class TestGradient:
    """Of the whole loss, in double precision, against central differences."""

    def _descent(self, form: type[Metamorphosis], grid: Grid, paints: str, kept: bool, name: str) -> _Descent:
        shift = (5.0, -4.0, 3.0)[: grid.dim]
        pair = _double(_pair(grid, shift))
        energy = Energy(2e-4, (6.0, 12.0), None if paints == "nowhere" else 0.2)
        grown = [_blob(grid, shift, 4.0 + 2 * step)[0].double() for step in range(3)]
        masks = torch.stack(grown) if paints == "in a growing mask" else None
        model = form(pair.moving, grid, energy, 3, masks, checkpointing=not kept)
        settings = Settings(energy, steps=3, similarity=name, window=8.0)  # type: ignore[arg-type]
        return _Descent(pair, model, pair.weight, settings, Curve(), Progress())

    @pytest.mark.parametrize("kept", [True, False], ids=["kept", "recomputed"])
    @pytest.mark.parametrize("paints", ["nowhere", "everywhere", "in a growing mask"])
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize(
        ("grid", "name"), [(FLAT, "ssd"), (FLAT, "lncc"), (SOLID, "ssd")], ids=["2d-ssd", "2d-lncc", "3d-ssd"]
    )
    def test_is_that_of_central_differences(
        self, grid: Grid, name: str, form: type[Metamorphosis], paints: str, kept: bool
    ) -> None:
        descent = self._descent(form, grid, paints, kept, name)
        generator = torch.Generator().manual_seed(3)

        def random(like: Tensor) -> Tensor:
            return torch.randn(like.shape, generator=generator, dtype=torch.float64)

        # Moves of some mm, and in 2D some folding.
        sizes = [400.0] if form is Shooting else [25.0, 4.0]
        start = [size * random(part) for size, part in zip(sizes, descent.model.start(), strict=False)]
        given = [part.clone().requires_grad_() for part in start]
        gradients = torch.autograd.grad(descent.loss(given), given)
        for which, (slope, size) in enumerate(zip(gradients, sizes, strict=False)):
            for direction in (random(slope), slope):
                step = direction * (1e-7 * size / float(direction.square().mean().sqrt()))
                with torch.no_grad():
                    ends = [
                        float(
                            descent.loss([part + sign * step if n == which else part for n, part in enumerate(start)])
                        )
                        for sign in (1, -1)
                    ]
                assert (ends[0] - ends[1]) / 2 == pytest.approx(float((slope * step).sum()), rel=1e-4)


FINE = Grid.regular((96, 96), 1.0)


class TestGeodesic:
    """Shot from a z_0 that moves tissue by some 4 mm and halves its volume in places, in steps fine enough."""

    def _shot(self, steps: int, penalty: float | None = None, masks: Tensor | None = None) -> Path:
        source = _blob(FINE, (2.0, -3.0), 10.0).double()
        z0 = 280 * _blob(FINE, (8.0, 2.0)).double()
        path = Shooting(source, FINE, Energy(2e-4, (10.0,), penalty), steps, masks).path([z0])
        assert float(path.displacement.norm(dim=1).max()) > 3
        assert float(jacobian_determinant(path.displacement, FINE.spacing).min()) < 0.6
        return path

    def test_speed_is_constant(self) -> None:
        """||v_t||_V, of LDDMM."""
        speeds = torch.stack(self._shot(32).speeds)
        assert float(speeds.max() / speeds.min()) < 1.01

    @pytest.mark.parametrize("masked", [False, True])
    def test_energy_is_constant(self, masked: bool) -> None:
        """||v||² + γ<z, Mz> is twice the Hamiltonian of (1), (3), of which z_t is the momentum: it is constant where M
        does not change in time, while energy goes from one part to the other."""
        mask = _blob(FINE, (-5.0, 0.0)).double() if masked else None
        path = self._shot(32, penalty=1.0, masks=None if mask is None else mask.expand(32, -1, -1, -1))
        speeds, paintings = torch.stack(path.speeds), torch.stack(path.paintings)
        total = speeds + paintings
        assert float(paintings.min() / total.min()) > 0.05
        assert float(speeds.max() / speeds.min()) > 1.02
        assert float(total.max() / total.min()) < 1.01

    def test_drift_falls_with_the_step(self) -> None:
        drifts = []
        for steps in (8, 32):
            speeds = torch.stack(self._shot(steps).speeds)
            drifts.append(float(speeds.max() / speeds.min()) - 1)
        assert drifts[1] < 0.4 * drifts[0]


class TestConvergence:
    """Of the map as the steps double."""

    STEPS = (8, 16, 32, 64)

    def _falls(self, maps: list[Tensor]) -> None:
        changes = [float((one - other).norm(dim=1).mean()) for one, other in itertools.pairwise(maps)]
        assert float(maps[-1].norm(dim=1).max()) > 3
        for one, other in itertools.pairwise(changes):
            assert other < one / 1.8

    @pytest.mark.parametrize("penalty", [None, 1.0])
    def test_of_shooting_from_the_same_residual(self, penalty: float | None) -> None:
        grid = Grid.regular((48, 48), 2.0)
        source, z0 = _blob(grid, (2.0, -3.0), 10.0).double(), 280 * _blob(grid, (8.0, 2.0)).double()
        energy = Energy(2e-4, (10.0,), penalty)
        self._falls([Shooting(source, grid, energy, steps).path([z0]).displacement for steps in self.STEPS])

    @pytest.mark.parametrize("grid", [Grid.regular((48, 40), 2.0), Grid.regular((24, 26, 28), 2.0)], ids=["2d", "3d"])
    def test_of_a_velocity_constant_in_time(self, grid: Grid) -> None:
        self._falls([_flowed(grid, steps)[1] for steps in self.STEPS])

    def test_to_the_flow_of_the_velocity(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By SciPy, of the velocity's sines; the finer the grid the map is composed on, the nearer."""
        grid, errors = Grid.regular((96, 80), 1.0), []
        for control in (0.3, 0.1):
            monkeypatch.setitem(geodesics._CONTROL, 2, control)
            model, u, a = _flowed(grid, 32)
            index = np.stack(np.meshgrid(*(np.arange(3, n, 7) for n in grid.shape), indexing="ij"), -1).reshape(-1, 2)
            exact = torch.from_numpy(_exact_flow(model, a, index))
            found = u[0][(slice(None), *index.T)].T
            errors.append(float((found - exact).norm(dim=1).mean() / exact.norm(dim=1).mean()))
        assert errors[0] < 0.03
        assert errors[1] < 0.01


def _flowed(grid: Grid, steps: int) -> tuple[Relaxation, Tensor, Tensor]:
    """A model of so many steps, the map of a smooth velocity of 9 mm constant in time, and its coordinates."""
    model = Relaxation(_blob(grid, (0.0,) * grid.dim).double(), grid, Energy(1e-5, (10.0,)), steps)
    a = torch.zeros(1, grid.dim, *model.kernel.modes, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    a[(..., *[slice(4)] * grid.dim)] = torch.randn(1, *(grid.dim, *[4] * grid.dim), generator=generator).double()
    a *= 9 / float(model.kernel.field(a).norm(dim=1).max())
    return model, model.path([a.expand(steps, *a.shape[1:])]).displacement, a


def _exact_flow(model: Relaxation, a: Tensor, index: np.ndarray) -> np.ndarray:
    """u (N, 2) mm along the array axes at voxels (N, 2): where the flow of -v, for unit time, takes them."""
    spacing, shape = np.array(model.grid.spacing), model.control.shape
    lengths = spacing * model.grid.shape
    coordinates = (a[0] * model.kernel.root).numpy()
    start = (index + 0.5) * spacing

    def velocity(x: np.ndarray) -> np.ndarray:
        sines = [
            np.sqrt(2 / n) * np.sin(np.pi * x[:, axis, None] * np.arange(1, modes + 1) / length)
            for axis, (n, modes, length) in enumerate(zip(shape, model.kernel.modes, lengths, strict=True))
        ]
        return np.einsum("pk,pl,ckl->pc", *sines, coordinates, optimize=True)

    way = solve_ivp(
        lambda t, x: -velocity(x.reshape(-1, 2)).ravel(), (0, 1), start.ravel(), rtol=1e-8, atol=1e-8, t_eval=[1]
    )
    return way.y[:, 0].reshape(-1, 2) - start


class TestFolding:
    @pytest.mark.parametrize("grid", [GRID, VOLUME], ids=["2d", "3d"])
    def test_smooth_maps_cost_nothing(self, grid: Grid) -> None:
        x = (grid.points(torch.float64) - torch.as_tensor(grid.centre)).flip(-1).movedim(-1, 0)[None]
        for u in (0 * x, 0 * x + 7, 0.5 * x, -0.2 * x, 4 * torch.sin(x.flip(1) / 10)):
            assert float(folding_of(u, grid)) == 0

    def test_a_crushed_region_by_hand(self) -> None:
        """det = 0.1 in 11 of 39 columns of cells, 4 mm² each, of 47 rows; and once more with anisotropic voxels."""
        for spacing in ((2.0, 2.0), (2.0, 0.5)):
            grid = Grid.regular((48, 40), spacing)
            u = torch.zeros(1, 2, *grid.shape, dtype=torch.float64)
            u[0, 1] = -0.9 * spacing[1] * torch.arange(40, dtype=torch.float64).clamp(min=10, max=21)
            assert float(folding_of(u, grid)) == pytest.approx(47 * 11 * spacing[0] * spacing[1] * 0.1**2)

    def test_sees_what_central_differences_miss(self) -> None:
        """Columns moved to and fro by 0.45 voxels: every second cell is crushed to a tenth."""
        grid = Grid.regular((9, 12), 2.0)
        u = torch.zeros(1, 2, *grid.shape, dtype=torch.float64)
        u[0, 1, :, ::2], u[0, 1, :, 1::2] = 0.9, -0.9
        assert float(jacobian_determinant(u, grid.spacing)[..., 1:-1].min()) == pytest.approx(1)
        assert float(folding_of(u, grid)) == pytest.approx(8 * 6 * 4.0 * 0.1**2)

    @pytest.mark.parametrize("grid", [Grid.regular((5, 6), (2.0, 3.0)), Grid.regular((3, 4, 4), (2.0, 1.0, 3.0))])
    def test_is_that_of_the_corners_of_every_cell(self, grid: Grid) -> None:
        u = torch.randn(1, grid.dim, *grid.shape, generator=torch.Generator().manual_seed(2)).double()
        cost = 0.0
        for cell in itertools.product(*(range(n - 1) for n in grid.shape)):
            for corner in itertools.product((0, 1), repeat=grid.dim):
                determinant = np.linalg.det(np.eye(grid.dim) + _edges(u, grid, np.add(cell, corner), cell))
                cost += max(0.0, 0.2 - determinant) ** 2 * grid.voxel_volume / 2**grid.dim
        assert cost > 0
        assert float(folding_of(u, grid)) == pytest.approx(cost)


def _edges(u: Tensor, grid: Grid, corner: np.ndarray, cell: tuple[int, ...]) -> np.ndarray:
    """∂u_i/∂x_j by the edges of the cell that meet in its corner."""
    columns = []
    for axis, h in enumerate(grid.spacing):
        first, last = corner.copy(), corner.copy()
        first[axis], last[axis] = cell[axis], cell[axis] + 1
        columns.append((u[(0, slice(None), *last)] - u[(0, slice(None), *first)]).numpy() / h)
    return np.stack(columns, axis=1)


class TestScales:
    def test_upsampling_keeps_sines_to_the_faces(self) -> None:
        """sin(π k x / L), which vanishes at the faces of the box, with eight voxels a wave and more."""
        fine, coarse = Grid.regular((96, 60)), Grid.regular((32, 20), 3.0)
        upsampling = cubic_upsampling(coarse, fine, dtype=torch.float64)
        for k in (1, 4, 8):
            sines = [torch.sin(np.pi * k * (torch.arange(n, dtype=torch.float64) + 0.5) / n) for n in (32, 96)]
            found = upsampling[0] @ sines[0]
            assert float((found - sines[1]).abs().max()) < 0.1 * (k / 8) ** 3

    def test_upsampling_keeps_linear_fields(self) -> None:
        """Two voxels from the faces, beyond which the field is taken for its own negative."""
        fine, coarse = Grid.regular((50, 60)), Grid.regular((20, 25), (2.5, 2.4))
        x = [(torch.arange(n, dtype=torch.float64) + 0.5) * (60 / n) for n in (25, 60)]
        matrix = cubic_upsampling(coarse, fine, dtype=torch.float64)[1]
        assert torch.allclose((matrix @ (3 * x[0] + 2))[5:-5], (3 * x[1] + 2)[5:-5], atol=1e-9)
        same = cubic_upsampling(coarse, coarse, dtype=torch.float64)
        assert all(
            torch.allclose(each, torch.eye(n, dtype=torch.float64)) for each, n in zip(same, coarse.shape, strict=True)
        )

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("grid", [GRID, VOLUME], ids=["2d", "3d"])
    def test_a_path_goes_on_at_a_finer_scale(self, form: type[Metamorphosis], grid: Grid) -> None:
        """Refined in space and in time it leads to about the same place, at about the same cost."""
        coarse_grid, centre, aside = grid.resampled([2 * h for h in grid.spacing]), (0.0,) * grid.dim, (6.0, -3.0, 2.0)
        coarse, fine = (
            form(_blob(each, centre), each, Energy(2e-4, (10.0,), 1.0), steps)
            for each, steps in ((coarse_grid, 4), (grid, 6))
        )
        variables = coarse.start()
        if form is Shooting:
            variables[0] += 150 * _blob(coarse_grid, aside[: grid.dim])
        else:
            low = (slice(None), slice(None), *[slice(3)] * grid.dim)
            generator = torch.Generator().manual_seed(1)
            variables[0][low] = 25 * torch.randn(variables[0][:1][low].shape, generator=generator)
            variables[1] += 0.3 * _blob(coarse_grid, aside[: grid.dim])
        before, after = coarse.path(variables), fine.path(fine.refine(variables, coarse))

        def apart(field: Tensor, other: Tensor) -> float:
            parts = [Image(part[None], coarse_grid).resampled(grid).data for part in field.movedim(1, 0)]
            return float((torch.cat(parts, dim=1) - other).abs().mean() / other.abs().mean())

        assert float(after.displacement.abs().max()) > 1
        assert apart(before.displacement, after.displacement) < 0.15
        assert apart(before.added, after.added) < 0.05
        assert float(after.velocity_energy) == pytest.approx(float(before.velocity_energy), rel=0.06)
        assert float(after.intensity_energy) == pytest.approx(float(before.intensity_energy), rel=0.06)


@pytest.mark.parametrize(
    ("asked", "free", "expected"),
    [("on", 1e12, True), ("off", 1e3, False), ("auto", 1e12, False), ("auto", 1e6, True), ("auto", None, False)],
)
def test_steps_are_recomputed_where_memory_is_short(
    asked: str, free: float | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr(multiscale, "available_memory", lambda: free)
    monkeypatch.setitem(multiscale._MODELS, "path", lambda *given: made.append(Relaxation(*given)) or made[-1])
    for penalty in (0.1, None):
        settings = _settings("path", penalty, checkpointing=asked, evaluations=1)
        solve(_pair(GRID, (6.0, -4.0)), settings, Progress())
    # Where nothing is painted there is nothing to recompute: nothing is won by it.
    assert [model.checkpointing for model in made] == [expected, asked == "on"]
