"""What is done to images before they are compared: growth of masks, evenness, alignment, scales."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from regsuite import phantoms
from regsuite.errors import InputError
from regsuite.losses.similarity import squared_difference
from regsuite.progress import Progress
from regsuite.solvers.bias import even_out
from regsuite.solvers.growth import growing_masks
from regsuite.solvers.initial import align
from regsuite.solvers.pair import make_pair, pyramid
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.transforms import Affine, identity, warp_image


class TestGrowingMasks:
    @pytest.mark.parametrize("grid", [Grid.regular((60, 64), 1.0), Grid.regular((24, 26, 28), 2.0)], ids=["2d", "3d"])
    def test_from_a_small_ball_inside_to_the_whole(self, grid: Grid) -> None:
        x = torch.as_tensor(grid.points(torch.float64)) - torch.as_tensor(grid.centre)
        # A ball with a bump, so that the centre is not the only place the growth may take.
        mask = (x.norm(dim=-1) < 14) | ((x[..., 0] > 0) & (x[..., 0] < 22) & (x[..., 1:].norm(dim=-1) < 6))
        masks = growing_masks(mask[None, None].float(), grid, 6, Progress())
        shares = [float(part.sum()) / float(mask.sum()) for part in masks]
        assert masks.shape == (6, 1, *grid.shape)
        assert float(masks.min()) >= 0
        assert float(masks.max()) <= 1
        assert shares == sorted(shares)
        assert shares[0] < 0.5
        assert torch.equal(masks[-1, 0] > 0.5, mask)
        assert float((masks[0, 0] * ~mask).sum()) < 0.02 * float(masks[0].sum())


class TestEvenOut:
    def test_takes_a_known_field_out(self) -> None:
        case = phantoms.small_tumour_3d(bias=0.0, noise=0.0)
        x = case.moving.grid.points(torch.float64)
        field = torch.exp(0.004 * x[..., 0] + 0.003 * x[..., 1]).float()
        spoilt = Image(case.moving.data * field, case.moving.grid)
        inside = case.moving_labels.mask(phantoms.case.WHITE)

        def unevenness(image: Image) -> float:
            values = image.data[0, 0][inside]
            return float(values.std() / values.mean())

        assert unevenness(spoilt) > 0.08
        assert unevenness(even_out(spoilt, None)) < 0.6 * unevenness(spoilt)

    def test_leaves_signed_images_alone(self) -> None:
        grid = Grid.regular((20, 20, 20))
        image = Image(torch.randn(1, 1, 20, 20, 20), grid)
        assert even_out(image, None) is image


class TestAlign:
    def _head(self, dim: int) -> tuple[Image, LabelImage]:
        if dim == 3:
            return phantoms.mni152(4)
        case = phantoms.shapes_2d()
        return case.moving, case.moving_labels

    @pytest.mark.parametrize("kind", ["rigid", "affine"])
    @pytest.mark.parametrize("dim", [2, 3])
    def test_finds_a_known_motion(self, dim: int, kind: str) -> None:
        image, labels = self._head(dim)
        matrix = np.eye(dim + 1)
        angle = np.deg2rad(12)
        matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        if kind == "affine":
            matrix[:2, :2] = matrix[:2, :2] @ np.diag([1.08, 0.94])
        matrix[:2, -1] = (14, -9)
        truth = Affine(matrix)
        moving = warp_image(image, truth.inverse(), image.grid)
        found = align(image, moving, kind, None, Progress())
        x = image.grid.points(torch.float64)[labels.mask()]
        assert float((truth.points(x) - x).norm(dim=-1).mean()) > 12
        assert float((found.points(x) - truth.points(x)).norm(dim=-1).mean()) < 1.0

    def test_none_is_the_identity(self) -> None:
        case = phantoms.shapes_2d()
        assert torch.equal(align(case.fixed, case.moving, "none", case.mask, Progress()).matrix, identity(2).matrix)

    def test_what_cannot_be_aligned_is_said(self) -> None:
        case = phantoms.shapes_2d()
        empty = Image(torch.zeros_like(case.fixed.data), case.fixed.grid)
        with pytest.raises(InputError, match="could not be aligned"):
            align(case.fixed, empty, "rigid", None, Progress())


class TestPair:
    def test_difference_by_hand(self) -> None:
        image, fixed = torch.tensor([[[[1.0, 2.0], [3.0, 5.0]]]]), torch.tensor([[[[1.0, 4.0], [0.0, 0.0]]]])
        weight = torch.tensor([[[[1.0, 1.0], [0.5, 0.0]]]])
        # (0 + 4 + 9 / 2 + 0) voxels of 6 mm².
        assert float(squared_difference(image, fixed, weight, 6.0)) == pytest.approx(51.0)

    def test_covers_what_is_in_the_images_with_a_margin(self) -> None:
        grid = Grid.regular((80, 90), 2.0)
        data = torch.zeros(1, 1, 80, 90)
        data[..., 30:50, 40:70] = 5.0
        pair = make_pair(Image(data, grid), Image(data, grid), identity(2))
        assert pair.size == pytest.approx(np.sqrt(20 * 30) * 2.0)
        low, high = pair.grid.corners().min(axis=0), pair.grid.corners().max(axis=0)
        # World axes are (R, A), array axes (j, i).
        assert (low < [80 - 8, 60 - 8]).all()
        assert (high > [138 + 8, 98 + 8]).all()
        assert pair.grid.voxel_count < grid.voxel_count / 2

    def test_brightness_is_scaled_alike_whatever_the_unit(self) -> None:
        case = phantoms.shapes_2d()
        pairs = [
            make_pair(case.fixed, Image(factor * case.moving.data + shift, case.moving.grid), identity(2), 0, case.mask)
            for factor, shift in ((1.0, 0.0), (37.0, 400.0))
        ]
        assert torch.allclose(pairs[0].moving, pairs[1].moving, atol=1e-3)
        assert pairs[1].unit == pytest.approx(37 * pairs[0].unit, rel=1e-3)

    def test_weight_is_zero_where_an_image_has_no_data(self) -> None:
        case = phantoms.shapes_2d()
        half = case.moving.grid.cropped((0, 0), (case.moving.grid.shape[0] // 2, case.moving.grid.shape[1]))
        moving = Image(case.moving.data[:, :, : half.shape[0]], half)
        pair = make_pair(case.fixed, moving, identity(2))
        points = pair.grid.points(torch.float64)
        unseen = points[..., 1] > half.corners()[:, 1].max() + 2 * half.spacing[0]
        assert bool(unseen.any())
        assert float(pair.weight[0, 0][unseen].max()) == 0
        assert 0.2 < float(pair.weight.mean()) < 0.8

    def test_pyramid_halves_the_fine_axes_first(self) -> None:
        grids = pyramid(Grid.regular((24, 96, 96), (4.0, 1.0, 1.0)), 3)
        assert [grid.shape for grid in grids] == [(24, 24, 24), (24, 48, 48), (24, 96, 96)]
