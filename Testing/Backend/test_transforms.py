"""Every kind of transform: the laws, and what is particular to each."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from backend_samples import (
    GRIDS,
    Swirl,
    Truth,
    affine_matrix,
    affine_truth,
    drawn,
    inside,
    radius_of,
    swirl,
    swirl_of,
    swirl_velocity,
)
from regsuite.spatial import Grid, Image, LabelImage, PointSet
from regsuite.transforms import (
    Affine,
    Chain,
    DisplacementField,
    StationaryVelocity,
    TimeVelocity,
    Transform,
    identity,
    warp_image,
    warp_labels,
    warp_points,
)
from scipy.integrate import solve_ivp
from scipy.ndimage import map_coordinates
from torch import Tensor
from transform_laws import TransformLaws, distance
from transform_laws import grid as grid  # the fixture

ANGLE = 0.8


def swirl_field(grid: Grid, angle: float = ANGLE) -> DisplacementField:
    """The swirl as a displacement."""
    truth = swirl(grid, angle)
    return DisplacementField(grid, drawn(lambda x: truth.points(x) - x, grid))


class TestAffine(TransformLaws):
    """Exact everywhere."""

    def make(self, grid: Grid) -> Transform:
        return Affine(affine_matrix(grid))

    def truth(self, grid: Grid) -> Truth:
        return affine_truth(affine_matrix(grid))


class TestDisplacementField(TransformLaws):
    """Exact at the voxels, linear between them."""

    accuracy = 0.1
    inverse_accuracy = 0.1

    def make(self, grid: Grid) -> Transform:
        return swirl_field(grid)

    def truth(self, grid: Grid) -> Truth:
        return swirl(grid, ANGLE)


class TestStationaryVelocity(TransformLaws):
    """Each squaring interpolates once more."""

    accuracy = 0.2
    inverse_accuracy = 0.1

    def make(self, grid: Grid) -> Transform:
        return StationaryVelocity(grid, drawn(swirl_velocity(grid, ANGLE), grid))

    def truth(self, grid: Grid) -> Truth:
        return swirl(grid, ANGLE)


class TestTimeVelocity(TransformLaws):
    """Two swirls that overlap, one after the other, which is not the same the other way round."""

    accuracy = 0.15
    inverse_accuracy = 0.01
    linear_between_voxels = False

    def make(self, grid: Grid) -> Transform:
        first, second = (drawn(one.velocity, grid) for one in self.halves(grid))
        # Each flows at twice its pace through half of the time.
        return TimeVelocity(grid, 2 * torch.cat([first] * 8 + [second] * 8))

    def truth(self, grid: Grid) -> Truth:
        first, second = (one.truth() for one in self.halves(grid))
        return second.after(first)

    @staticmethod
    def halves(grid: Grid) -> tuple[Swirl, Swirl]:
        return swirl_of(grid, 0.8, aside=0.25), swirl_of(grid, ANGLE)


class TestChain(TransformLaws):
    """Affine first, then a field, then a velocity."""

    accuracy = 0.3
    inverse_accuracy = 0.2

    def make(self, grid: Grid) -> Transform:
        parts = [
            Affine(affine_matrix(grid)),
            swirl_field(grid),
            StationaryVelocity(grid, drawn(swirl_velocity(grid, -ANGLE / 2), grid)),
        ]
        return Chain(parts)

    def truth(self, grid: Grid) -> Truth:
        return swirl(grid, -ANGLE / 2).after(swirl(grid, ANGLE)).after(affine_truth(affine_matrix(grid)))


class TestAffineAlone:
    def test_reflection_has_negative_determinant(self, grid: Grid) -> None:
        matrix = np.diag([-1.0] + [1.0] * grid.dim)
        assert torch.all(Affine(matrix).jacobian_determinant(grid) == -1)

    def test_neighbours_in_a_chain_are_multiplied(self) -> None:
        turn = Affine(affine_matrix(GRIDS["regular-3d"]))
        product = turn @ turn.inverse() @ turn
        assert isinstance(product, Affine)
        assert torch.allclose(product.matrix, turn.matrix)

    def test_refuses_other_sizes(self) -> None:
        with pytest.raises(ValueError, match="3 x 3 or 4 x 4"):
            Affine(np.eye(5))


class TestDisplacementAlone:
    def test_linear_displacement_has_constant_jacobian(self, grid: Grid) -> None:
        """Differences of a linear function are exact, at the border too, whichever way the axes point."""
        gradient = torch.as_tensor(affine_matrix(grid)[:-1, :-1]) - torch.eye(grid.dim)
        field = DisplacementField(grid, drawn(lambda x: x @ gradient.T, grid))
        expected = gradient + torch.eye(grid.dim)
        matrix = field.jacobian_matrix(grid)[0].movedim((0, 1), (-2, -1)).double()
        assert float((matrix - expected).abs().max()) < 2e-4
        assert float((field.jacobian_determinant(grid) - torch.linalg.det(expected)).abs().max()) < 5e-4

    def test_moves_nothing_outside_its_grid(self, grid: Grid) -> None:
        field = DisplacementField(grid, torch.ones(1, grid.dim, *grid.shape))
        low = torch.as_tensor(grid.to_world([-1.5] * grid.dim))
        assert torch.equal(field(low), low)

    @pytest.mark.parametrize("angle", [1.5, 2.5])
    def test_inverse_of_large_turn(self, grid: Grid, angle: float) -> None:
        """Where the fixed point iteration v <- -u(y + v) diverges: a turn by 86 or 143 degrees in the middle."""
        field, y = swirl_field(grid, angle), grid.points(torch.float64)
        assert distance(field(field.inverse()(y)), y) < 1e-3

    def test_inverse_of_strong_compression(self, grid: Grid) -> None:
        """x -> r^2-like: tissue in the middle shrinks to a tenth along every axis; known by monotone inversion in r."""
        centre, radius = torch.as_tensor(grid.centre), radius_of(grid)

        def displacement(x: Tensor) -> Tensor:
            share = ((x - centre).norm(dim=-1, keepdim=True) / radius).clamp(max=1)
            return -0.9 * (1 - share**2) ** 3 * (x - centre)

        field, y = DisplacementField(grid, drawn(displacement, grid)), grid.points(torch.float64)
        assert float(field.jacobian_determinant(grid).min()) > 0
        assert distance(field(field.inverse()(y)), y) < 1e-3

    def test_inverse_of_a_shift_reaches_to_the_border_it_leaves(self) -> None:
        grid = Grid.regular((6, 7, 20))
        field = DisplacementField(grid, torch.tensor([3.0, 0.0, 0.0]).reshape(1, 3, 1, 1, 1).expand(1, 3, 6, 7, 20))
        inverse = field.inverse().data
        assert torch.allclose(inverse[0, 0, :, :, 4:], torch.tensor(-3.0), atol=1e-3)
        assert torch.isfinite(inverse).all()

    def test_inverse_agrees_with_itk(self) -> None:
        grid = GRIDS["regular-3d"]
        field = swirl_field(grid, 0.4)
        vectors = sitk.GetImageFromArray(field.data[0].movedim(0, -1).double().numpy(), isVector=True)
        vectors.SetSpacing((2.0, 2.0, 2.0))
        # Components and axes are both RAS here: ITK does not mind what the axes are called.
        found = sitk.InvertDisplacementField(vectors, 100, 1e-4, 1e-5)
        theirs = torch.as_tensor(sitk.GetArrayFromImage(found)).movedim(-1, 0)
        assert float((field.inverse().data[0] - theirs).norm(dim=0).max()) < 0.05

    def test_refuses_data_of_another_shape(self) -> None:
        with pytest.raises(ValueError, match="does not fit"):
            DisplacementField(GRIDS["regular-2d"], torch.zeros(1, 3, 40, 44))


class TestVelocitiesAlone:
    """Against SciPy's solution of dx/dt = v(x, t) with the analytic v: a bulge that pushes outwards."""

    @staticmethod
    def bulge(grid: Grid, strength: float = 1.0) -> tuple[np.ndarray, float, float]:
        return grid.centre, radius_of(grid), 0.8 * strength

    def velocity(self, grid: Grid, x: np.ndarray) -> np.ndarray:
        centre, radius, strength = self.bulge(grid)
        share = np.minimum(np.linalg.norm(x - centre, axis=-1, keepdims=True) / radius, 1)
        return strength * (1 - share**2) ** 3 * (x - centre)

    def flown(self, grid: Grid, x: Tensor, pace: float = 0.0) -> Tensor:
        """Where x is at time 1 of v(x) (1 + pace (t - 1/2))."""

        def rate(t: float, flat: np.ndarray) -> np.ndarray:
            return (self.velocity(grid, flat.reshape(-1, grid.dim)) * (1 + pace * (t - 0.5))).ravel()

        solution = solve_ivp(rate, (0, 1), x.numpy().ravel(), rtol=1e-9, atol=1e-9)
        return torch.as_tensor(solution.y[:, -1].reshape(-1, grid.dim))

    def drawn(self, grid: Grid, factor: float = 1.0) -> Tensor:
        return drawn(lambda x: torch.as_tensor(factor * self.velocity(grid, x.numpy())), grid)

    def test_stationary(self, grid: Grid) -> None:
        x = inside(grid, 100)
        transform = StationaryVelocity(grid, self.drawn(grid))
        assert distance(transform(x), self.flown(grid, x)) < 0.25 * min(grid.spacing)
        assert float(transform.jacobian_determinant(grid).min()) > 0

    def test_changing_in_time(self, grid: Grid) -> None:
        x = inside(grid, 100)
        middles = (np.arange(10) + 0.5) / 10
        path = torch.cat([self.drawn(grid, 1 + 1.5 * (t - 0.5)) for t in middles])
        assert distance(TimeVelocity(grid, path)(x), self.flown(grid, x, 1.5)) < 0.1 * min(grid.spacing)

    def test_no_velocity_is_the_identity(self, grid: Grid) -> None:
        x = inside(grid, 20)
        for transform in (
            StationaryVelocity(grid, torch.zeros(1, grid.dim, *grid.shape)),
            TimeVelocity(grid, torch.zeros(3, grid.dim, *grid.shape)),
        ):
            assert torch.equal(transform(x), x)


class TestChainAlone:
    def test_refuses_mixed_dimensions(self) -> None:
        with pytest.raises(ValueError, match="one dimension"):
            Chain([identity(2), identity(3)])

    def test_product_of_chains_is_flat(self) -> None:
        field = swirl_field(GRIDS["regular-2d"])
        turn = Affine(affine_matrix(GRIDS["regular-2d"]))
        product = (turn @ field) @ (field @ turn)
        assert isinstance(product, Chain)
        assert [type(part) for part in product.parts] == [Affine, DisplacementField, DisplacementField, Affine]


def sitk_image(array: np.ndarray, grid: Grid) -> sitk.Image:
    """An image placed by hand, with RAS taken for ITK's axes: all that matters is that everything agrees."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing[::-1])
    image.SetOrigin(grid.origin)
    image.SetDirection(np.asarray(grid.direction)[:, ::-1].ravel().tolist())
    return image


class TestWarping:
    def test_shift_brings_the_moving_image_the_other_way(self) -> None:
        """T(x) = x + 3 mm R: what is at 10 mm R in the moving image appears at 7 mm R."""
        grid = Grid.regular((3, 4, 20))
        array = np.zeros(grid.shape)
        array[1, 2, 10] = 1
        shift = np.eye(4)
        shift[0, 3] = 3
        warped = warp_image(Image.from_array(array, grid), Affine(shift), grid)
        assert warped.array()[1, 2, 7] == pytest.approx(1)
        assert warped.array().sum() == pytest.approx(1)
        back = warp_points(PointSet.from_array(np.array([[10.0, 2, 1]])), Affine(shift).inverse())
        assert back.array() == pytest.approx(np.array([[7.0, 2, 1]]))

    def test_image_agrees_with_itk(self, grid: Grid) -> None:
        fixed = grid.resampled([1.3 * h for h in grid.spacing])
        rng = np.random.default_rng(3)
        array = rng.random(grid.shape)
        transform = Affine(affine_matrix(grid)) @ swirl_field(grid)
        ours = warp_image(Image.from_array(array, grid), transform, fixed).array()
        points = transform(fixed.points(torch.float64)).numpy()
        index = np.moveaxis(grid.to_index(points), -1, 0)
        assert np.abs(ours - map_coordinates(array, index, order=1, mode="grid-constant")).max() < 1e-3
        matrix = affine_matrix(grid)
        affine = sitk.AffineTransform(grid.dim)
        affine.SetMatrix(matrix[:-1, :-1].ravel().tolist())
        affine.SetTranslation(matrix[:-1, -1].tolist())
        theirs = sitk.Resample(sitk_image(array, grid), sitk_image(np.zeros(fixed.shape), fixed), affine)
        ours = warp_image(Image.from_array(array, grid), Affine(matrix), fixed).array()
        index = grid.to_index(Affine(matrix)(fixed.points(torch.float64)).numpy())
        whole = ((index > 0) & (index < np.array(grid.shape) - 1)).all(axis=-1)  # ITK repeats half a voxel more
        assert whole.mean() > 0.5
        assert np.abs(ours - sitk.GetArrayFromImage(theirs))[whole].max() < 1e-5

    def test_labels_take_the_largest_share(self, grid: Grid) -> None:
        """Against interpolating one image a label."""
        rng = np.random.default_rng(5)
        coarse = rng.integers(0, 40, [n // 3 + 1 for n in grid.shape])
        values = np.kron(coarse, np.ones([3] * grid.dim, dtype=int))[tuple(slice(n) for n in grid.shape)]
        transform = swirl_field(grid)
        index = np.moveaxis(grid.to_index(transform(grid.points(torch.float64)).numpy()), -1, 0)
        shares = np.stack(
            [map_coordinates((values == v) * 1.0, index, order=1, mode="grid-constant") for v in range(40)]
        )
        shares[0] += 1 - shares.sum(axis=0)
        warped = warp_labels(LabelImage.from_array(values, grid, {3: "three"}), transform, grid)
        second, first = np.sort(shares, axis=0)[-2:]
        clear = first - second > 1e-4
        assert clear.mean() > 0.9
        assert np.array_equal(warped.array()[clear], shares.argmax(axis=0)[clear])
        assert warped.names == {3: "three"}

    def test_labels_by_the_identity_are_unchanged(self, grid: Grid) -> None:
        values = np.random.default_rng(1).integers(0, 5, grid.shape)
        assert np.array_equal(
            warp_labels(LabelImage.from_array(values, grid), identity(grid.dim), grid).array(), values
        )

    def test_labels_are_never_averaged(self) -> None:
        grid = Grid.regular((1, 4, 8))
        values = np.zeros(grid.shape, dtype=int)
        values[..., :4], values[..., 4:] = 10, 30
        half = np.eye(4)
        half[0, 3] = 0.4
        warped = warp_labels(LabelImage.from_array(values, grid), Affine(half), grid)
        assert warped.values() == [10, 30]

    def test_labels_from_outside_are_background(self) -> None:
        grid = Grid.regular((4, 4, 8))
        shift = np.eye(4)
        shift[0, 3] = 5
        warped = warp_labels(LabelImage.from_array(np.ones(grid.shape), grid), Affine(shift), grid)
        assert warped.array()[0, 0].tolist() == [1, 1, 1, 0, 0, 0, 0, 0]

    def test_image_labels_and_points_move_together(self, grid: Grid) -> None:
        """The same blob as image, label and point ends in the same place, where the inverse takes it."""
        transform = swirl_field(grid)
        x = grid.points(torch.float64)
        place = torch.as_tensor(grid.centre + 0.3 * radius_of(grid) * np.eye(grid.dim)[0])
        blob = torch.exp(-((x - place) ** 2).sum(dim=-1) / (2 * 5.0**2)).numpy()
        image, labels = Image.from_array(blob, grid), LabelImage.from_array(blob > 0.5, grid)
        # The swirl keeps volumes, so the middle of what was warped is the middle of its voxels moved as points.
        voxels = PointSet.from_array(x.reshape(-1, grid.dim).numpy())
        moved = warp_points(voxels, transform.inverse())
        for before, after in (
            (image.array(), warp_image(image, transform, grid).array()),
            (labels.array(), warp_labels(labels, transform, grid).array()),
        ):
            expected = np.average(moved.array(), axis=0, weights=before.ravel())
            assert np.linalg.norm(expected - np.average(voxels.array(), axis=0, weights=before.ravel())) > 1.2
            assert np.linalg.norm(expected - np.average(voxels.array(), axis=0, weights=after.ravel())) < 0.15 * max(
                grid.spacing
            )
