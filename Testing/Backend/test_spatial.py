"""Grids, sampling between voxels, and data that knows where it is, against SciPy, SimpleITK and arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from backend_samples import GRIDS, inside
from regsuite.spatial import Grid, Image, LabelImage, PointSet, sample, sample_index
from regsuite.spatial.sampling import Carrier
from scipy.ndimage import map_coordinates
from transform_laws import grid as grid  # the fixture

SINGLE = {
    "slice": Grid.regular((1, 12, 14), 1.5),
    "column": Grid.regular((9, 1, 8), 2.0),
    "line": Grid.regular((1, 9)),
    "voxel": Grid.regular((1, 1, 1)),
}


class TestGrid:
    def test_regular_runs_along_the_world(self) -> None:
        grid = Grid.regular((3, 4, 5), (3.0, 2.0, 1.0))
        assert grid.affine.tolist() == [[0, 0, 1, 0], [0, 2, 0, 0], [3, 0, 0, 0], [0, 0, 0, 1]]
        assert grid.centre.tolist() == [2.0, 3.0, 3.0]
        assert grid.voxel_volume == 6.0
        assert grid.voxel_count == 60

    def test_points_are_the_affine_of_the_index(self, grid: Grid) -> None:
        index = np.stack(np.indices(grid.shape), axis=-1)
        homogeneous = np.concatenate([index, np.ones((*grid.shape, 1))], axis=-1)
        expected = (homogeneous @ grid.affine.T)[..., :-1]
        assert np.allclose(grid.points(torch.float64).numpy(), expected, atol=1e-9)
        assert np.allclose(grid.to_world(index), expected, atol=1e-9)
        assert np.allclose(grid.to_index(expected), index, atol=1e-9)

    def test_affine_and_back(self, grid: Grid) -> None:
        assert np.allclose(Grid.from_affine(grid.shape, grid.affine).affine, grid.affine, atol=1e-12)

    def test_cropped_voxels_stay_where_they_were(self, grid: Grid) -> None:
        start, shape = [2] * grid.dim, [n - 5 for n in grid.shape]
        part = grid.points(torch.float64)[tuple(slice(2, -3) for _ in range(grid.dim))]
        assert torch.allclose(grid.cropped(start, shape).points(torch.float64), part, atol=1e-9)

    def test_padded_grows_at_both_ends(self, grid: Grid) -> None:
        margin = list(range(1, grid.dim + 1))
        grown = grid.padded(margin)
        assert grown.cropped(margin, grid.shape).same_as(grid, 1e-9)
        assert grown.shape == tuple(n + 2 * m for n, m in zip(grid.shape, margin, strict=True))

    @pytest.mark.parametrize("factor", [0.5, 1.0, 1.7, 3.0, 1000.0])
    def test_resampled_covers_the_same_box(self, grid: Grid, factor: float) -> None:
        other = grid.resampled([factor * h for h in grid.spacing])
        for end in (0, 1):
            faces = [one.to_world([end * n - 0.5 for n in one.shape]) for one in (grid, other)]
            assert np.allclose(faces[0], faces[1], atol=1e-9)
        assert other.direction == grid.direction
        assert all(n == max(1, round(m / factor)) for n, m in zip(other.shape, grid.shape, strict=True))

    def test_same_as_has_a_tolerance(self, grid: Grid) -> None:
        affine = grid.affine
        affine[0, -1] += 5e-4
        assert grid.same_as(Grid.from_affine(grid.shape, affine))
        affine[0, -1] += 1e-3
        assert not grid.same_as(Grid.from_affine(grid.shape, affine))
        assert not grid.same_as(grid.cropped([0] * grid.dim, [n - 1 for n in grid.shape]))

    @pytest.mark.parametrize(
        "affine",
        [
            np.array([[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
            np.diag([1, 0, 1, 1.0]),
            np.full((4, 4), np.nan),
        ],
        ids=["sheared", "flat", "not a number"],
    )
    def test_refuses_what_is_no_grid(self, affine: np.ndarray) -> None:
        with pytest.raises(ValueError, match=r"axes|positive"):
            Grid.from_affine((4, 4, 4), affine)

    def test_refuses_other_dimensions(self) -> None:
        with pytest.raises(ValueError, match="two or three axes"):
            Grid.regular((4, 4, 4, 4))
        with pytest.raises(ValueError, match="positive"):
            Grid.regular((4, 0))


class TestSampling:
    """``grid-constant`` is SciPy's name for fading to zero within a voxel, ``nearest`` for repeating the edge."""

    @pytest.mark.parametrize(("outside", "mode"), [("zeros", "grid-constant"), ("border", "nearest")])
    @pytest.mark.parametrize(("kind", "order"), [("linear", 1), ("nearest", 0)])
    def test_agrees_with_scipy(self, grid: Grid, kind: str, order: int, outside: str, mode: str) -> None:
        data = np.random.default_rng(0).random((2, *grid.shape))
        points = inside(grid, 2000, margin=-3)
        values = sample(torch.as_tensor(data)[None], grid, points, kind, outside)
        index = grid.to_index(points.numpy()).T
        expected = np.stack([map_coordinates(channel, index, order=order, mode=mode) for channel in data])
        assert values.shape == (1, 2, 2000)
        assert np.abs(values[0].numpy() - expected).max() < 1e-9

    @pytest.mark.parametrize(("outside", "mode"), [("zeros", "grid-constant"), ("border", "nearest")])
    @pytest.mark.parametrize("grid", SINGLE.values(), ids=SINGLE.keys())
    def test_axes_of_one_voxel(self, grid: Grid, outside: str, mode: str) -> None:
        data = np.random.default_rng(0).random(grid.shape)
        points = inside(grid, 500, margin=-1.5)
        values = sample(torch.as_tensor(data)[None, None], grid, points, "linear", outside)
        expected = map_coordinates(data, grid.to_index(points.numpy()).T, order=1, mode=mode)
        assert np.abs(values[0, 0].numpy() - expected).max() < 1e-9

    def test_keeps_the_shape_of_the_points(self, grid: Grid) -> None:
        data = torch.rand(1, 3, *grid.shape)
        points = inside(grid, 12).reshape(3, 4, grid.dim)
        assert sample(data, grid, points).shape == (1, 3, 3, 4)
        assert sample(data, grid, points[0, 0]).shape == (1, 3)

    def test_at_the_voxels_gives_the_voxels(self, grid: Grid) -> None:
        data = torch.rand(1, 2, *grid.shape)
        assert torch.allclose(sample(data, grid, grid.points(torch.float64), outside="zeros"), data, atol=1e-4)

    def test_has_a_gradient_in_points_and_data(self) -> None:
        grid = Grid.regular((4, 5), 2.0)
        ramp = (3 * grid.points(torch.float64)[..., 0] - grid.points(torch.float64)[..., 1])[None, None]
        ramp.requires_grad_()
        points = torch.tensor([[3.1, 2.9]], dtype=torch.float64, requires_grad=True)
        sample(ramp, grid, points).sum().backward()
        assert torch.allclose(points.grad, torch.tensor([[3.0, -1.0]], dtype=torch.float64))
        assert float(ramp.grad.sum()) == pytest.approx(1)

    def test_displaced_by_whole_voxels(self) -> None:
        data = torch.arange(12.0).reshape(1, 1, 3, 4)
        index = torch.stack(torch.meshgrid(torch.arange(3.0), torch.arange(4.0), indexing="ij"), dim=-1)[None]
        moved = sample_index(data, index + torch.tensor([1.0, -1.0]).expand_as(index))
        assert moved[0, 0].tolist() == [[4, 4, 5, 6], [8, 8, 9, 10], [8, 8, 9, 10]]


def by_itk(array: np.ndarray, grid: Grid, other: Grid, interpolator: int) -> np.ndarray:
    """Resampled by SimpleITK, with RAS taken for ITK's axes."""

    def placed(values: np.ndarray, where: Grid) -> sitk.Image:
        image = sitk.GetImageFromArray(values)
        image.SetSpacing(where.spacing[::-1])
        image.SetOrigin(where.origin)
        image.SetDirection(np.asarray(where.direction)[:, ::-1].ravel().tolist())
        return image

    reference = placed(np.zeros(other.shape), other)
    return sitk.GetArrayFromImage(sitk.Resample(placed(array, grid), reference, sitk.Transform(), interpolator))


class TestImage:
    @pytest.mark.parametrize(
        ("mode", "interpolator"), [("linear", sitk.sitkLinear), ("nearest", sitk.sitkNearestNeighbor)]
    )
    def test_resampled_agrees_with_itk(self, grid: Grid, mode: str, interpolator: int) -> None:
        array = np.random.default_rng(2).random(grid.shape)
        turned = grid.affine
        turned[:-1, :-1] = turned[:-1, :-1] @ np.roll(np.eye(grid.dim), 1, axis=0)  # axes in another order
        other = Grid.from_affine(np.roll(grid.shape, 1).tolist(), turned).resampled([1.9, 2.3, 1.7][: grid.dim])
        ours = Image.from_array(array, grid).resampled(other, mode).array()
        index = grid.to_index(other.points(torch.float64).numpy())
        whole = ((index >= 0) & (index <= np.array(grid.shape) - 1)).all(axis=-1)
        tie = mode == "nearest" and np.abs(index % 1 - 0.5).min(axis=-1) < 1e-6
        assert whole.mean() > 0.5
        assert np.abs(ours - by_itk(array, grid, other, interpolator))[whole & ~np.array(tie)].max() < 1e-5

    def test_keeps_what_it_is_given(self, grid: Grid) -> None:
        array = np.random.default_rng(0).random(grid.shape)
        image = Image.from_array(array, grid, "t1")
        assert np.array_equal(image.array(), array)
        assert (image.data.shape, image.name) == ((1, 1, *grid.shape), "t1")
        assert Image.from_array(array.astype(np.int16), grid).data.dtype == torch.float32
        assert Image.from_array(np.stack([array, array]), grid).array().shape == (2, *grid.shape)
        assert image.to("cpu").data.dtype == torch.float32

    def test_does_not_share_the_callers_memory(self) -> None:
        array = np.zeros((3, 4), dtype=np.float32)
        image = Image.from_array(array, Grid.regular((3, 4)))
        array[:] = 1
        assert not image.array().any()

    def test_refuses_another_shape(self) -> None:
        with pytest.raises(ValueError, match="does not fit"):
            Image.from_array(np.zeros((4, 3)), Grid.regular((3, 4)))
        with pytest.raises(ValueError, match="does not fit"):
            LabelImage(torch.zeros(1, 2, 3, 4, dtype=torch.int32), Grid.regular((3, 4)))


class TestLabelsAndPoints:
    def test_labels(self) -> None:
        labels = LabelImage.from_array(np.array([[0, 3, 3], [7, 0, 3]]), Grid.regular((2, 3)), {3: "ventricle"})
        assert labels.values() == [3, 7]
        assert (labels.name_of(3), labels.name_of(7)) == ("ventricle", "7")
        assert labels.mask(3).sum() == 3
        assert labels.mask().sum() == 4
        assert labels.array().dtype == np.int32

    def test_points(self) -> None:
        points = PointSet.from_array(np.array([[1, 2, 3], [4, 5, 6]]), ["a", "b"])
        assert (points.dim, points.names) == (3, ("a", "b"))
        assert points.array().dtype == np.float64
        with pytest.raises(ValueError, match="points are"):
            PointSet.from_array(np.zeros(3))


def test_every_kind_of_grid_is_tried() -> None:
    """Both handednesses in both dimensions, or the tests above prove less than they say."""
    signs = {(one.dim, np.sign(np.linalg.det(np.asarray(one.direction)))) for one in GRIDS.values()}
    assert signs == {(2, 1.0), (2, -1.0), (3, 1.0), (3, -1.0)}


class TestCarrier:
    def test_reads_where_the_displacement_points(self, grid: Grid) -> None:
        generator = torch.Generator().manual_seed(4)
        data = torch.randn(1, 2, *grid.shape, generator=generator)
        u = 3 * torch.randn(1, grid.dim, *grid.shape, generator=generator)
        world = torch.einsum("wa,na...->nw...", torch.tensor(grid.direction, dtype=torch.float32), u)
        there = grid.points(torch.float64) + world[0].movedim(0, -1)
        assert torch.allclose(Carrier(grid, "cpu")(data, u), sample(data, grid, there), atol=1e-4)

    @pytest.mark.parametrize("shape", [(151, 157), (29, 31, 37)])
    def test_threads_share_the_points_and_change_nothing(self, shape: tuple[int, ...]) -> None:
        grid, generator, threads = Grid.regular(shape), torch.Generator().manual_seed(5), torch.get_num_threads()
        given = [torch.randn(1, channels, *shape, generator=generator) for channels in (2, grid.dim)]
        found = []
        try:
            for count in (1, 2, 3):
                torch.set_num_threads(count)
                data, u = (each.clone().requires_grad_() for each in given)
                value = Carrier(grid, "cpu")(data, u)
                value.square().sum().backward()
                found.append([value.detach(), data.grad, u.grad])
        finally:
            torch.set_num_threads(threads)
        for other in found[1:]:
            for one, another in zip(found[0], other, strict=True):
                assert one is not None
                assert another is not None
                assert torch.allclose(one, another, rtol=1e-4, atol=1e-4)
