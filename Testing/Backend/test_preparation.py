"""What is done to images before they are compared: growth of masks, evenness, alignment, scales."""

from __future__ import annotations

from dataclasses import replace

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
from regsuite.solvers.pair import Pair, correlation_of, make_pair, matched, noise_of, pyramid
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

    @pytest.mark.parametrize("kind", ["rigid", "affine"])
    def test_intensities_around_zero_do_not_matter(self, kind: str) -> None:
        """Standardised images, whose mean is 0, have a centre of mass too."""
        image, labels = self._head(2)
        matrix = np.eye(3)
        matrix[:2, 2] = (14, -9)
        truth = Affine(matrix)
        moving = warp_image(image, truth.inverse(), image.grid)
        first, second = (
            replace(each, data=(each.data - each.data.mean()) / each.data.std()) for each in (image, moving)
        )
        found = align(first, second, kind, None, Progress())
        x = image.grid.points(torch.float64)[labels.mask()]
        assert float((found.points(x) - truth.points(x)).norm(dim=-1).mean()) < 0.3

    def test_a_seed_gives_the_same_again(self) -> None:
        case = phantoms.shapes_2d()
        found = [align(case.fixed, case.moving, "affine", case.mask, Progress(), seed=3).matrix for _ in range(3)]
        assert torch.equal(found[0], found[1])
        assert torch.equal(found[0], found[2])

    @pytest.mark.parametrize("places", [((22.0, 12.0), (-24.0, -14.0)), ((22.0, 12.0), (22.0, -14.0))])
    def test_lesions_of_both_images_are_not_compared(
        self, places: tuple[tuple[float, float], tuple[float, float]]
    ) -> None:
        """Bright blobs at two places, which have a say neither in where a head's middle is nor in how it is turned."""
        image, labels = self._head(2)
        matrix = np.eye(3)
        angle = np.deg2rad(8)
        matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        matrix[:2, 2] = (4, -6)
        truth = Affine(matrix)
        moving = warp_image(image, truth.inverse(), image.grid)
        (fixed, mask), (moving, moving_mask) = (_with_blob(*each) for each in zip((image, moving), places, strict=True))
        found = [align(fixed, moving, "rigid", mask, Progress(), 0, moving_mask) for _ in range(2)]
        assert torch.equal(found[0].matrix, found[1].matrix)
        x = image.grid.points(torch.float64)[labels.mask()]
        assert float((found[0].points(x) - truth.points(x)).norm(dim=-1).mean()) < 0.3

    def test_none_is_the_identity(self) -> None:
        case = phantoms.shapes_2d()
        assert torch.equal(align(case.fixed, case.moving, "none", case.mask, Progress()).matrix, identity(2).matrix)

    def test_what_cannot_be_aligned_is_said(self) -> None:
        case = phantoms.shapes_2d()
        empty = Image(torch.zeros_like(case.fixed.data), case.fixed.grid)
        with pytest.raises(InputError, match="could not be aligned"):
            align(case.fixed, empty, "rigid", None, Progress())


def _with_blob(image: Image, centre: tuple[float, float]) -> tuple[Image, LabelImage]:
    """An image with a bright lesion of 11 mm radius, and the lesion."""
    away = image.grid.points(torch.float64) - torch.tensor(centre, dtype=torch.float64)
    inside = (away.norm(dim=-1) < 11)[None, None]
    return replace(image, data=torch.where(inside, 2.0, image.data)), LabelImage(inside.int(), image.grid)


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


def _gamma(image: Image, power: float) -> Image:
    """A monotone curve, and another unit."""
    bright = float(image.data.max())
    return replace(image, data=300 * (image.data / bright).clamp(min=0) ** power - 40)


class TestMatched:
    @pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
    def test_undoes_a_monotone_curve(self, power: float) -> None:
        image, _ = phantoms.mni152(4)
        found = matched(_gamma(image, power), image, identity(3), None)
        inner = (image.data > 0.15) & (image.data < 0.9)  # between the landmarks
        off = (found.data - image.data)[inner].abs()
        assert float(off.mean()) < 0.01
        assert float((found.data - image.data)[image.data == 0].abs().max()) < 0.01

    @pytest.mark.parametrize("power", [0.5, 2.0])
    def test_of_a_patient_the_healthy_part_tells(self, power: float) -> None:
        """Flat tissue, where intensities are few and most percentiles the same; the noise is the fixed image's own."""
        case = phantoms.shapes_2d(bias=0.0, anatomy=0.0, mass_effect=0.0)
        curved = _gamma(case.moving, power)
        found = matched(curved, case.fixed, identity(2), case.mask)
        for label in (phantoms.case.VENTRICLES, phantoms.case.GREY, phantoms.case.WHITE):
            here = case.moving_labels.mask(label) & ~case.mask.mask()
            assert float(found.data[0, 0][here].median()) == pytest.approx(
                float(case.fixed.data[0, 0][here].median()), abs=0.03
            )

    def test_reads_the_moving_image_where_the_initial_transform_has_it(self) -> None:
        """One half of the head is as bright again as the other, so that part of it is not enough."""
        image, _ = phantoms.mni152(4)
        brighter = image.grid.points()[..., 0] > 0
        uneven = replace(image, data=image.data * (1 + brighter))
        shift = np.eye(4)
        shift[:3, 3] = (60, 0, 10)
        away = Grid.from_affine(image.grid.shape, shift @ image.grid.affine)
        found = matched(replace(_gamma(uneven, 1.0), grid=away), uneven, Affine(shift), None)
        assert float((found.data - uneven.data).abs().mean()) < 0.005

    def test_leaves_equal_images_alone(self) -> None:
        case = phantoms.shapes_2d()
        found = matched(case.fixed, case.fixed, identity(2), case.mask)
        assert torch.allclose(found.data, case.fixed.data, atol=1e-5)

    @pytest.mark.parametrize("constant", ["fixed", "moving"])
    def test_flat_images_are_left_alone(self, constant: str) -> None:
        case = phantoms.shapes_2d()
        flat = replace(case.fixed, data=torch.full_like(case.fixed.data, 7.0))
        fixed, moving = (flat, case.moving) if constant == "fixed" else (case.fixed, flat)
        assert torch.equal(matched(moving, fixed, identity(2), None).data, moving.data)


class TestNoise:
    @pytest.mark.parametrize("shape", [(90, 80), (24, 26, 28)])
    @pytest.mark.parametrize("sigma", [0.01, 0.05])
    def test_of_a_flat_image(self, shape: tuple[int, ...], sigma: float) -> None:
        image = 0.7 + sigma * torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(1))
        assert noise_of(image, torch.ones_like(image)) == pytest.approx(sigma, rel=0.1)

    @pytest.mark.parametrize("sigma", [0.03, 0.06])
    def test_of_a_head(self, sigma: float) -> None:
        """Sulci of a template at 2 mm are as fine as noise in part."""
        image, _ = phantoms.mni152(2)
        noisy = image.data + sigma * torch.randn(image.data.shape, generator=torch.Generator().manual_seed(1))
        assert noise_of(noisy, (image.data > 0.1).float()) == pytest.approx(sigma, rel=0.3)

    def test_counts_only_where_it_is_asked_for(self) -> None:
        image = torch.randn(1, 1, 60, 60, generator=torch.Generator().manual_seed(1))
        image[..., :30] *= 0.02
        where = torch.zeros_like(image)
        where[..., :28] = 1
        assert noise_of(image, where) == pytest.approx(0.02, rel=0.1)
        assert noise_of(image, torch.zeros_like(image)) == 0


class TestCorrelation:
    def _pair(self, fixed: torch.Tensor, moving: torch.Tensor) -> Pair:
        ones, grid = torch.ones_like(fixed), Grid.regular(fixed.shape[2:], 1.0)
        # Of so small an image nothing is detail.
        return Pair(fixed, moving, ones, ones, grid, identity(2), 0.0, 1.0, 0.0, 1.0, size=1.0)

    def test_is_pearsons_where_it_is_asked_for(self) -> None:
        generator = torch.Generator().manual_seed(0)
        fixed, other = (torch.rand(1, 1, 12, 14, generator=generator) for _ in range(2))
        moving = fixed + other
        where = torch.zeros_like(fixed)
        where[..., 2:9, 3:11] = 1
        inside = where.bool()
        expected = np.corrcoef(fixed[inside].numpy(), moving[inside].numpy())[0, 1]
        assert correlation_of(self._pair(fixed, moving), where) == pytest.approx(expected, abs=1e-5)
        assert correlation_of(self._pair(fixed, 1 - 2 * fixed), where) == pytest.approx(-1, abs=1e-5)

    def test_weighted_by_hand(self) -> None:
        fixed = torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]])
        moving = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])
        where = torch.tensor([[[[1.0, 1.0], [0.0, 2.0]]]])
        # Weights 1/4, 1/4, 0, 1/2: means 1/4 and 3/4, covariance 1/16, variances 3/16.
        assert correlation_of(self._pair(fixed, moving), where) == pytest.approx(1 / 3, abs=1e-5)

    def test_a_flat_image_disagrees_with_nothing(self) -> None:
        image = torch.rand(1, 1, 12, 14, generator=torch.Generator().manual_seed(0))
        assert correlation_of(self._pair(image, torch.full_like(image, 0.4)), torch.ones_like(image)) == 1
