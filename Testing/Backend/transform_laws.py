"""What holds for every transform. A test class inherits it and says how to make one, and what it should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from backend_samples import GRIDS, Truth, affine_matrix, drawn, inside, swirl
from regsuite import io, registration
from regsuite.registration import Registration
from regsuite.spatial import Grid
from regsuite.transforms import Affine, DisplacementField, Transform, identity
from torch import Tensor

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(params=GRIDS.values(), ids=GRIDS.keys())
def grid(request: pytest.FixtureRequest) -> Grid:
    """One grid of each kind."""
    return request.param


def distance(a: Tensor, b: Tensor) -> float:
    """The largest distance between corresponding points, mm."""
    return float((a - b).norm(dim=-1).max())


class TransformLaws:
    """The laws. ``accuracy``, ``inverse_accuracy``: of a map drawn on a grid, as shares of the largest voxel size."""

    accuracy = 0.0
    inverse_accuracy = 0.0
    # Whether the values between voxels are interpolated, as ITK does, and not computed.
    linear_between_voxels = True

    def make(self, grid: Grid) -> Transform:
        """A transform that moves the inside of ``grid`` and leaves what is far from it."""
        raise NotImplementedError

    def truth(self, grid: Grid) -> Truth:
        """What :meth:`make` should be."""
        raise NotImplementedError

    def test_maps_points_as_defined(self, grid: Grid) -> None:
        x = inside(grid)
        assert distance(self.make(grid)(x), self.truth(grid).points(x)) <= self.accuracy * max(grid.spacing) + 1e-9

    def test_moves_something(self, grid: Grid) -> None:
        x = inside(grid)
        assert distance(self.make(grid)(x), x) > min(grid.spacing)

    def test_keeps_shape_and_precision_of_points(self, grid: Grid) -> None:
        transform = self.make(grid)
        assert transform.dim == grid.dim
        x = inside(grid, 6)
        moved = transform(x.float().reshape(2, 3, grid.dim))
        assert moved.dtype == torch.float32
        assert distance(moved.reshape(6, grid.dim).double(), transform(x)) < 1e-3
        assert transform(x[0]).shape == (grid.dim,)

    def test_identity_changes_nothing(self, grid: Grid) -> None:
        transform, x = self.make(grid), inside(grid)
        for same in (transform @ identity(grid.dim), identity(grid.dim) @ transform):
            assert distance(same(x), transform(x)) < 1e-9

    def test_product_applies_the_right_one_first(self, grid: Grid) -> None:
        transform, other, x = self.make(grid), Affine(affine_matrix(grid)), inside(grid)
        assert distance((transform @ other)(x), transform(other(x))) < 1e-9
        assert distance((other @ transform)(x), other(transform(x))) < 1e-9

    def test_product_is_associative(self, grid: Grid) -> None:
        affine = Affine(affine_matrix(grid))
        swirled = swirl(grid, 0.3)
        field = DisplacementField(grid, drawn(lambda x: swirled.points(x) - x, grid))
        transform, x = self.make(grid), inside(grid)
        for a, b, c in ((transform, affine, field), (affine, field, transform), (affine, transform, affine)):
            assert distance(((a @ b) @ c)(x), (a @ (b @ c))(x)) < 1e-9

    def test_inverse_undoes_both_ways(self, grid: Grid) -> None:
        transform = self.make(grid)
        inverse, x = transform.inverse(), inside(grid, margin=2)
        limit = self.inverse_accuracy * max(grid.spacing) + 1e-9
        assert distance(inverse(transform(x)), x) <= limit
        assert distance(transform(inverse(x)), x) <= limit
        assert distance(inverse(x), self.truth(grid).inverse(x)) <= limit + self.accuracy * max(grid.spacing)

    def test_inverse_of_inverse_is_the_transform(self, grid: Grid) -> None:
        transform, x = self.make(grid), inside(grid, margin=2)
        again = transform.inverse().inverse()
        assert distance(again(x), transform(x)) <= 2 * self.inverse_accuracy * max(grid.spacing) + 1e-9

    def test_displacement_is_where_points_go(self, grid: Grid) -> None:
        transform = self.make(grid)
        for other in (grid, grid.resampled([1.7 * h for h in grid.spacing])):
            x = other.points(torch.float64)
            displacement = transform.displacement(other)
            assert displacement.shape == (1, grid.dim, *other.shape)
            assert distance(x + displacement[0].movedim(0, -1), transform(x)) < 1e-3

    def test_jacobian_is_the_difference_of_positions(self, grid: Grid) -> None:
        """Against differences by index, taken to world axes by the inverse of the affine."""
        transform = self.make(grid)
        positions = transform(grid.points(torch.float64)).numpy()
        by_index = np.stack(np.gradient(positions, axis=tuple(range(grid.dim))), axis=-1)
        expected = by_index @ np.linalg.inv(grid.affine[:-1, :-1])
        matrix = transform.jacobian_matrix(grid)[0].movedim((0, 1), (-2, -1)).numpy()
        assert np.abs(matrix - expected).max() < 1e-3

    def test_jacobian_approaches_the_true_one(self, grid: Grid) -> None:
        transform = self.make(grid)
        matrix = transform.jacobian_matrix(grid)[0].movedim((0, 1), (-2, -1)).double()
        expected = self.truth(grid).matrix(grid.points(torch.float64))
        assert float((matrix - expected).abs().max()) < 0.07 * max(grid.spacing)

    def test_determinant_approaches_the_true_one(self, grid: Grid) -> None:
        transform = self.make(grid)
        determinant = transform.jacobian_determinant(grid)
        assert determinant.shape == (1, 1, *grid.shape)
        expected = torch.linalg.det(self.truth(grid).matrix(grid.points(torch.float64)))
        assert float((determinant[0, 0] - expected).abs().max()) < 0.05 * max(grid.spacing)
        matrix = transform.jacobian_matrix(grid)[0].movedim((0, 1), (-2, -1))
        assert torch.allclose(determinant[0, 0], torch.linalg.det(matrix), atol=1e-4)

    @pytest.mark.parametrize("device", DEVICES)
    def test_works_on_another_device(self, grid: Grid, device: str) -> None:
        transform, x = self.make(grid), inside(grid, 50)
        there = transform.to(device)
        assert there.points(x.to(device)).device.type == device
        assert distance(there.points(x.to(device)).cpu(), transform(x)) < 1e-3
        assert distance(there.inverse()(x.to(device)).cpu(), transform.inverse()(x)) < 2e-3
        assert torch.allclose(there.displacement(grid, device).cpu(), transform.displacement(grid), atol=1e-3)

    def test_survives_storage(self, grid: Grid, tmp_path: Path) -> None:
        transform, x = self.make(grid), inside(grid)
        registration.save(Registration(transform, transform.inverse(), grid), tmp_path)
        loaded = registration.load(tmp_path)
        assert type(loaded.transform) is type(transform)
        assert loaded.fixed_grid == grid
        assert distance(loaded.transform(x), transform(x)) < 1e-9
        assert distance(loaded.inverse(x), transform.inverse()(x)) < 1e-9

    def test_itk_moves_the_same_points_to_the_same_place(self, grid: Grid, tmp_path: Path) -> None:
        transform = self.make(grid)
        x = inside(grid) if self.linear_between_voxels else grid.points(torch.float64).reshape(-1, grid.dim)[::37]
        for name, one in (("forward", transform), ("backward", transform.inverse())):
            file = tmp_path / f"{name}.h5"
            io.write_transform(file, one)
            assert distance(_through_itk(file, x), one(x)) < 0.01
            assert distance(io.read_transform(file)(x), one(x)) < 0.01


def _through_itk(file: Path, x: Tensor) -> Tensor:
    """Where SimpleITK's reading of a transform file takes RAS points."""
    transform = sitk.ReadTransform(str(file))
    flip = np.array([-1.0, -1.0, 1.0])[: x.shape[1]]
    return torch.as_tensor(np.array([transform.TransformPoint((row * flip).tolist()) for row in x.numpy()]) * flip)
