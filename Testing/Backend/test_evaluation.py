"""Measures against values worked out by hand, SimpleITK, and slow twins."""

from __future__ import annotations

import itertools
import json
import math
import sys

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from backend_samples import GRIDS, affine_matrix, drawn, swirl
from regsuite import evaluation
from regsuite.errors import InputError
from regsuite.spatial import Grid, LabelImage, PointSet
from regsuite.spatial import grid as spatial_grid
from regsuite.transforms import Affine, Chain, DisplacementField, identity
from transform_laws import grid as grid  # the fixture

ROW = Grid.regular((1, 8))


def labels(values: object, grid: Grid = ROW, names: dict[int, str] | None = None) -> LabelImage:
    """From anything array-like."""
    return LabelImage.from_array(np.asarray(values).reshape(grid.shape), grid, names)


def ball(grid: Grid, centre: np.ndarray, radius: float) -> np.ndarray:
    """(*shape) bool."""
    return np.linalg.norm(grid.points(torch.float64).numpy() - centre, axis=-1) <= radius


def as_itk(array: np.ndarray, grid: Grid) -> sitk.Image:
    """With the spacing, which is all that distances need."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing[::-1])
    return image


class TestDice:
    def test_by_hand(self) -> None:
        fixed = labels([1, 1, 1, 0, 2, 2, 0, 5])
        other = labels([0, 1, 1, 1, 2, 0, 7, 0])
        assert evaluation.dice(fixed, other) == pytest.approx({1: 2 * 2 / 6, 2: 2 * 1 / 3, 5: 0.0, 7: 0.0})

    def test_no_background_and_no_labels(self) -> None:
        assert evaluation.dice(labels([3] * 8), labels([3] * 8)) == {3: 1.0}
        assert evaluation.dice(labels([0] * 8), labels([0] * 8)) == {}

    def test_agrees_with_itk(self, grid: Grid) -> None:
        rng = np.random.default_rng(0)
        arrays = [rng.integers(0, 6, grid.shape).astype(np.uint8) for _ in range(2)]
        measures = sitk.LabelOverlapMeasuresImageFilter()
        measures.Execute(*[as_itk(array, grid) for array in arrays])
        ours = evaluation.dice(*[labels(array, grid) for array in arrays])
        assert ours == pytest.approx({value: measures.GetDiceCoefficient(value) for value in range(1, 6)}, abs=1e-6)

    def test_other_grid(self) -> None:
        with pytest.raises(InputError, match="different grids"):
            evaluation.dice(labels([0] * 8), labels([0] * 8, Grid.regular((1, 8), 2.0)))


class TestSurfaces:
    def test_two_voxels_by_hand(self) -> None:
        """3 voxels of 2 mm one way and 2 of 4 mm another: a distance of 10 mm."""
        grid = Grid.regular((5, 6, 7), (1.0, 2.0, 4.0))
        fixed, other = np.zeros(grid.shape, int), np.zeros(grid.shape, int)
        fixed[2, 1, 2], other[2, 4, 4] = 9, 9
        pair = labels(fixed, grid), labels(other, grid)
        assert evaluation.hausdorff95(*pair) == {9: pytest.approx(10)}
        assert evaluation.mean_surface_distance(*pair) == {9: pytest.approx(10)}

    def test_segments_by_hand(self) -> None:
        """From {0, 1} to {3}: 3 and 2 mm, from {3}: 2 mm. The mean is 7/3, the directed 95th percentiles 2.95 and 2."""
        pair = labels([1, 1, 0, 0, 0, 0, 0, 0]), labels([0, 0, 0, 1, 0, 0, 0, 0])
        assert evaluation.mean_surface_distance(*pair) == {1: pytest.approx(7 / 3)}
        assert evaluation.hausdorff95(*pair) == {1: pytest.approx(2.95)}
        assert evaluation.hausdorff95(*pair[::-1]) == {1: pytest.approx(2.95)}

    @pytest.mark.parametrize("name", ["regular-3d", "anisotropic-3d", "oblique-3d", "oblique-2d"])
    def test_concentric_balls(self, name: str) -> None:
        grid = GRIDS[name]
        pair = [labels(ball(grid, grid.centre, radius), grid) for radius in (12.0, 17.0)]
        assert evaluation.mean_surface_distance(*pair)[1] == pytest.approx(5, abs=0.4 * max(grid.spacing))
        assert evaluation.hausdorff95(*pair)[1] == pytest.approx(5, abs=0.8 * max(grid.spacing))

    def test_shifted_ball(self) -> None:
        """A shift by 8 mm: the poles are 8 mm apart, at an angle a to the shift about 8 |cos a|, which averages 4."""
        grid = Grid.regular((40, 40, 48))
        middle = grid.centre
        pair = [labels(ball(grid, middle + np.array([side, 0, 0]), 14.0), grid) for side in (-4.0, 4.0)]
        assert evaluation.hausdorff95(*pair)[1] == pytest.approx(8 * 0.95, abs=0.6)
        assert evaluation.mean_surface_distance(*pair)[1] == pytest.approx(4, abs=0.4)
        farthest = sitk.HausdorffDistanceImageFilter()
        farthest.Execute(*[as_itk(one.array().astype(np.uint8), grid) for one in pair])
        assert farthest.GetHausdorffDistance() == pytest.approx(8)
        assert evaluation.hausdorff95(*pair)[1] < farthest.GetHausdorffDistance()

    def test_agrees_with_itk(self, grid: Grid) -> None:
        rng = np.random.default_rng(4)
        extent = min(n * h for n, h in zip(grid.shape, grid.spacing, strict=True))
        centres = [grid.centre + rng.normal(0, 0.08 * extent, grid.dim) for _ in range(2)]
        fixed, other = (ball(grid, c, r * extent) for c, r in zip(centres, (0.2, 0.25), strict=True))
        ours = [
            measure(labels(fixed, grid), labels(other, grid))[1]
            for measure in (evaluation.hausdorff95, evaluation.mean_surface_distance)
        ]
        assert ours == pytest.approx(_by_distance_maps(fixed, other, grid), abs=1e-4)

    def test_missing_labels_have_no_distance(self) -> None:
        pair = labels([1, 0, 0, 2, 0, 0, 0, 0]), labels([1, 0, 0, 0, 0, 0, 0, 3])
        for measure in (evaluation.hausdorff95, evaluation.mean_surface_distance):
            distances = measure(*pair)
            assert distances[1] == 0
            assert math.isnan(distances[2])
            assert math.isnan(distances[3])


def _by_distance_maps(fixed: np.ndarray, other: np.ndarray, grid: Grid) -> list[float]:
    """HD95 and mean surface distance from ITK's contours and exact distance maps."""
    contours = [sitk.LabelContour(as_itk(array.astype(np.uint8), grid)) for array in (fixed, other)]
    maps = [sitk.SignedMaurerDistanceMap(one, squaredDistance=False, useImageSpacing=True) for one in contours]
    arrays = [sitk.GetArrayFromImage(one) != 0 for one in contours]
    there = np.abs(sitk.GetArrayFromImage(maps[1]))[arrays[0]]
    back = np.abs(sitk.GetArrayFromImage(maps[0]))[arrays[1]]
    return [max(np.percentile(there, 95), np.percentile(back, 95)), float(np.concatenate([there, back]).mean())]


class TestLandmarks:
    def test_by_hand(self) -> None:
        """T shifts by (3, 4, 0); the first landmark moved so, the second not at all."""
        matrix = np.eye(4)
        matrix[:3, 3] = 3, 4, 0
        fixed = PointSet.from_array(np.array([[0.0, 0, 0], [10, 10, 10]]), ["a", "b"])
        moving = PointSet.from_array(np.array([[3.0, 4, 0], [10, 10, 10]]), ["a", "b"])
        assert evaluation.target_registration_error(Affine(matrix), fixed, moving).tolist() == [0, 5]
        metrics, table = evaluation.landmark_change(Affine(matrix), fixed, moving)
        assert metrics == {"tre_before_mm": 2.5, "tre_after_mm": 2.5, "tre_after_max_mm": 5.0}
        assert table.rows == [["a", 5.0, 0.0], ["b", 0.0, 5.0]]

    def test_other_numbers_of_points(self) -> None:
        points = [PointSet.from_array(np.zeros((count, 3))) for count in (2, 3)]
        with pytest.raises(InputError, match="2 fixed landmarks in 3D and 3 moving ones in 3D"):
            evaluation.target_registration_error(identity(3), *points)


class TestJacobian:
    def test_constant(self, grid: Grid) -> None:
        matrix = affine_matrix(grid)
        determinant = np.linalg.det(matrix[:-1, :-1])
        statistics = evaluation.jacobian_statistics(Affine(matrix), grid)
        assert statistics == pytest.approx(
            {"jacobian_min": determinant, "jacobian_max": determinant, "sdlogj": 0}, abs=1e-6
        )

    def test_wave(self) -> None:
        """T(x) = x + a sin(k x): J = 1 + a k cos(k x), here 1 ± 0.5 over whole waves."""
        grid = Grid.regular((6, 801), 0.1)
        k = 2 * np.pi / 20
        field = DisplacementField(grid, drawn(lambda x: torch.sin(k * x) * torch.tensor([0.5 / k, 0.0]), grid))
        statistics = evaluation.jacobian_statistics(field, grid)
        jacobian = 1 + 0.5 * np.cos(k * np.linspace(0, 20, 100001))
        assert statistics["jacobian_min"] == pytest.approx(0.5, abs=1e-3)
        assert statistics["jacobian_max"] == pytest.approx(1.5, abs=1e-3)
        assert statistics["sdlogj"] == pytest.approx(np.log(jacobian).std(), abs=1e-3)

    def test_mask_limits_what_counts(self) -> None:
        grid = Grid.regular((4, 5, 30))
        stretched = torch.zeros(1, 3, *grid.shape)
        stretched[:, 0, ..., 10:] = torch.arange(20.0)
        field = DisplacementField(grid, stretched)
        mask = torch.zeros(grid.shape, dtype=torch.bool)
        mask[..., 15:25] = True
        assert evaluation.jacobian_statistics(field, grid, mask)["jacobian_min"] == pytest.approx(2)
        assert evaluation.jacobian_statistics(field, grid, ~mask)["jacobian_min"] == pytest.approx(1)
        with pytest.raises(InputError, match="mask for the evaluation is empty"):
            evaluation.jacobian_statistics(field, grid, torch.zeros(grid.shape, dtype=torch.bool))


def moved_voxels(grid: Grid, moves: dict[tuple[int, ...], tuple[float, ...]]) -> DisplacementField:
    """Single voxels displaced by a number of voxels along each array axis."""
    data = torch.zeros(1, grid.dim, *grid.shape)
    for index, move in moves.items():
        data[(0, slice(None), *index)] = torch.as_tensor(grid.affine[:-1, :-1] @ np.array(move), dtype=torch.float32)
    return DisplacementField(grid, data)


def folded_slowly(field: DisplacementField, grid: Grid) -> np.ndarray:
    """Corner by corner and cell by cell, with determinants of index positions: (*shape) bool."""
    positions = grid.to_index(field(grid.points(torch.float64)).numpy())
    folded = np.zeros(grid.shape, dtype=bool)
    for voxel in np.ndindex(*grid.shape):
        for signs in itertools.product((1, -1), repeat=grid.dim):
            neighbours = [tuple(v + s * (a == axis) for a, v in enumerate(voxel)) for axis, s in enumerate(signs)]
            if all(0 <= v < n for one in neighbours for v, n in zip(one, grid.shape, strict=True)):
                edges = [s * (positions[one] - positions[voxel]) for one, s in zip(neighbours, signs, strict=True)]
                folded[voxel] |= np.linalg.det(edges) <= 1e-9
        if grid.dim == 3 and min(voxel) > 0:
            cell = positions[tuple(slice(v - 1, v + 1) for v in voxel)]
            even = np.linalg.det(
                [cell[1, 1, 0] - cell[0, 0, 0], cell[1, 0, 1] - cell[0, 0, 0], cell[0, 1, 1] - cell[0, 0, 0]]
            )
            odd = np.linalg.det(
                [cell[0, 0, 1] - cell[1, 1, 1], cell[0, 1, 0] - cell[1, 1, 1], cell[1, 0, 0] - cell[1, 1, 1]]
            )
            folded[voxel] |= even >= -1e-9 or odd <= 1e-9
    return folded


class TestFolds:
    def test_smooth_maps_have_none(self, grid: Grid) -> None:
        truth = swirl(grid, 1.5)
        field = DisplacementField(grid, drawn(lambda x: truth.points(x) - x, grid))
        for transform in (identity(grid.dim), Affine(affine_matrix(grid)), field):
            assert evaluation.folded_fraction(transform, grid) == 0

    def test_a_mirror_folds_everything(self, grid: Grid) -> None:
        assert evaluation.folded_fraction(Affine(np.diag([-1.0] + [1.0] * grid.dim)), grid) == 1

    @pytest.mark.parametrize("grid", [one for one in GRIDS.values() if one.dim == 2])
    def test_a_fold_that_central_differences_miss(self, grid: Grid) -> None:
        """The example of Liu et al.: one pixel lands on its diagonal neighbour, and no central difference shows it."""
        grid = grid.cropped([0, 0], [5, 5])
        field = moved_voxels(grid, {(2, 2): (-1.0, 1.0)})
        assert float(field.jacobian_determinant(grid).min()) > 0.4
        folded = evaluation.folded_voxels(field, grid).numpy()
        assert folded[2, 2]
        assert np.array_equal(folded, folded_slowly(field, grid))
        assert evaluation.folded_fraction(field, grid) == folded.sum() / 25

    @pytest.mark.parametrize("grid", [one for one in GRIDS.values() if one.dim == 3])
    def test_one_voxel_jumps_in_3d(self, grid: Grid) -> None:
        grid = grid.cropped([0, 0, 0], [5, 5, 5])
        field = moved_voxels(grid, {(2, 2, 2): (1.2, 0.0, 0.0)})
        assert float(field.jacobian_determinant(grid)[0, 0, 2, 2, 2]) == pytest.approx(1, abs=1e-4)
        folded = evaluation.folded_voxels(field, grid).numpy()
        assert folded[2, 2, 2]
        assert folded[3, 2, 2]
        assert not folded[0].any()
        assert np.array_equal(folded, folded_slowly(field, grid))

    def test_a_fold_in_the_middle_of_a_cell_alone(self) -> None:
        """All eight corners of the cell keep their orientation; the tetrahedron between four of them does not."""
        moves = {
            (0, 0, 0): (-1.0, 0.5, 0.1),
            (0, 0, 1): (0.0, 0.7, 0.3),
            (0, 1, 0): (0.3, 0.8, 0.9),
            (0, 1, 1): (0.3, 0.9, 0.0),
            (1, 0, 0): (-0.9, -1.0, -1.0),
            (1, 0, 1): (1.0, -0.8, -1.0),
            (1, 1, 0): (1.0, -0.2, 1.0),
            (1, 1, 1): (0.3, -0.4, 0.0),
        }
        grid = Grid.regular((2, 2, 2))
        field = moved_voxels(grid, moves)
        folded = evaluation.folded_voxels(field, grid)
        assert torch.nonzero(folded).tolist() == [[1, 1, 1]]
        assert np.array_equal(folded.numpy(), folded_slowly(field, grid))

    @pytest.mark.parametrize("strength", [0.4, 0.6, 1.5])
    def test_noise_agrees_with_the_slow_twin(self, strength: float, grid: Grid) -> None:
        part = grid.cropped([0] * grid.dim, [6, 5, 7][: grid.dim])
        rng = np.random.default_rng(11)
        moves = {voxel: tuple(rng.normal(0, strength, grid.dim)) for voxel in np.ndindex(*part.shape)}
        field = moved_voxels(part, moves)
        folded = evaluation.folded_voxels(field, part).numpy()
        assert folded.any()
        assert np.array_equal(folded, folded_slowly(field, part))

    def test_a_slice_folds_as_in_2d(self) -> None:
        flat, slab = Grid.regular((5, 6)), Grid.regular((1, 5, 6))
        moves = {(2, 2): (-1.0, 1.0), (3, 4): (0.0, 1.5)}
        in_2d = evaluation.folded_voxels(moved_voxels(flat, moves), flat)
        in_3d = evaluation.folded_voxels(moved_voxels(slab, {(0, *v): (0, *m) for v, m in moves.items()}), slab)
        assert in_2d.any()
        assert torch.equal(in_3d[0], in_2d)

    def test_mask(self) -> None:
        grid = Grid.regular((5, 5))
        field = moved_voxels(grid, {(2, 2): (-1.0, 1.0)})
        mask = torch.zeros(5, 5, dtype=torch.bool)
        mask[2, 2] = mask[4, 0] = True
        assert evaluation.folded_fraction(field, grid, mask) == 0.5


class TestInverseConsistency:
    def test_by_hand(self, grid: Grid) -> None:
        there, back = np.eye(grid.dim + 1), np.eye(grid.dim + 1)
        there[0, -1], back[0, -1] = 1.0, -1.5
        found = evaluation.inverse_consistency(Affine(there), Affine(back), grid)
        assert found == pytest.approx({"inverse_consistency_mean_mm": 0.5, "inverse_consistency_max_mm": 0.5})

    def test_mask(self) -> None:
        """T leaves x alone and the 'inverse' doubles it, so the error is |x|: 5 at most in the mask."""
        grid = Grid.regular((1, 11))
        mask = torch.zeros(1, 11, dtype=torch.bool)
        mask[0, [1, 5]] = True
        found = evaluation.inverse_consistency(identity(2), Affine(np.diag([2.0, 2.0, 1.0])), grid, mask)
        assert found == pytest.approx({"inverse_consistency_mean_mm": 3.0, "inverse_consistency_max_mm": 5.0})

    def test_of_a_real_inverse(self, grid: Grid) -> None:
        truth = swirl(grid, 0.5)
        chain = Chain(
            [Affine(affine_matrix(grid)), DisplacementField(grid, drawn(lambda x: truth.points(x) - x, grid))]
        )
        found = evaluation.inverse_consistency(chain, chain.inverse(), grid)
        assert found["inverse_consistency_max_mm"] < 0.1 * max(grid.spacing)


def test_blocks_change_nothing(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut into single rows, the grid gives what it gives in one piece."""
    generator = torch.Generator().manual_seed(1)
    noise = 0.5 * min(grid.spacing) * torch.randn(1, grid.dim, *grid.shape, generator=generator)
    field, mask = DisplacementField(grid, noise), torch.rand(grid.shape, generator=generator) > 0.5
    whole = evaluation.field_metrics(field, identity(grid.dim), grid, mask)
    assert 0 < whole["folded_fraction"] < 1
    monkeypatch.setattr(spatial_grid, "BLOCK_VOXELS", 1)
    assert evaluation.field_metrics(field, identity(grid.dim), grid, mask) == pytest.approx(whole, rel=1e-5)


class TestEvaluate:
    @staticmethod
    def shifted(grid: Grid) -> tuple[Affine, LabelImage, LabelImage]:
        """A shift by two voxels along the first array axis; labels that it aligns exactly."""
        matrix = np.eye(4)
        matrix[:3, 3] = 2 * grid.affine[:3, 0]
        fixed, moving = np.zeros(grid.shape, int), np.zeros(grid.shape, int)
        fixed[4:8, 5:9, 5:9], moving[6:10, 5:9, 5:9] = 1, 1
        fixed[12:14, 5:7, 5:7], moving[14:16, 5:7, 5:7] = 4, 4
        names = {1: "Lateral ventricle, left"}
        return Affine(matrix), labels(fixed, grid, names), labels(moving, grid)

    def test_everything_at_once(self) -> None:
        grid = GRIDS["oblique-3d"]
        transform, fixed, moving = self.shifted(grid)
        points = PointSet.from_array(np.array([grid.centre]))
        metrics, tables = evaluation.evaluate(
            transform, grid, transform.inverse(), fixed, moving, points, points, mask=fixed
        )
        assert metrics == pytest.approx(
            {
                "jacobian_min": 1,
                "jacobian_max": 1,
                "sdlogj": 0,
                "folded_fraction": 0,
                "inverse_consistency_mean_mm": 0,
                "inverse_consistency_max_mm": 0,
                "dice_lateral_ventricle_left_before": 0.5,
                "dice_lateral_ventricle_left_after": 1,
                "dice_4_before": 0,
                "dice_4_after": 1,
                "dice_before": 0.25,
                "dice_after": 1,
                "hd95_before_mm": 4,
                "hd95_after_mm": 0,
                "surface_distance_before_mm": metrics["surface_distance_before_mm"],
                "surface_distance_after_mm": 0,
                "tre_before_mm": 0,
                "tre_after_mm": 4,
                "tre_after_max_mm": 4,
            },
            abs=1e-6,
        )
        assert 1 < metrics["surface_distance_before_mm"] < 4
        assert tables["overlap"].rows == [
            ["Lateral ventricle, left", 0.5, 1.0],
            ["4", 0.0, 1.0],
            ["mean", 0.25, 1.0],
        ]
        assert [row[0] for row in tables["surfaces"].rows] == ["Lateral ventricle, left", "4"]
        assert list(tables) == ["overlap", "surfaces", "landmarks"]

    def test_without_monai_labels_are_refused_and_all_else_measured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("monai", "monai.metrics"):
            monkeypatch.setitem(sys.modules, name, None)
        transform, fixed, moving = self.shifted(GRIDS["regular-3d"])
        with pytest.raises(
            InputError, match=r"need the Python package 'monai': install it, or leave the labels out\.$"
        ):
            evaluation.evaluate(transform, fixed.grid, None, fixed, moving)
        metrics, _ = evaluation.evaluate(transform, fixed.grid, mask=fixed)
        assert metrics["folded_fraction"] == 0

    def test_the_field_alone(self) -> None:
        metrics, tables = evaluation.evaluate(identity(2), GRIDS["regular-2d"])
        assert set(metrics) == {"jacobian_min", "jacobian_max", "sdlogj", "folded_fraction"}
        assert tables == {}

    def test_a_label_that_is_lost_is_stored_as_nothing(self) -> None:
        fixed, before = labels([1, 1, 0, 0, 2, 0, 0, 0]), labels([1, 1, 0, 0, 0, 0, 0, 0])
        metrics, table = evaluation.surface_change(before, before, fixed)
        assert table.rows[1] == ["2", None, None, None, None]
        assert metrics["hd95_after_mm"] == 0
        assert "NaN" not in json.dumps([metrics, table.rows])

    def test_labels_on_another_grid(self) -> None:
        grid = GRIDS["regular-3d"]
        _, fixed, moving = self.shifted(grid)
        with pytest.raises(InputError, match="another grid than the fixed image"):
            evaluation.evaluate(identity(3), grid.padded([1, 1, 1]), None, fixed, moving)
