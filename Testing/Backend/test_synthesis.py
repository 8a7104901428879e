"""Sections made of an atlas: what each step claims to do, and that a seed repeats it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from regsuite.errors import InputError
from regsuite.learning import synthesis
from regsuite.learning.anatomy import Anatomy
from regsuite.learning.pictures import SHAPE, evened, stretched
from regsuite.learning.synthesis import laid, random_poses, random_sections
from regsuite.phantoms.atlas import AtlasCase, atlas_case
from regsuite.spatial import Image, LabelImage
from regsuite.spatial.plates import POSE
from scipy import ndimage
from torch import Tensor

CPU = torch.device("cpu")
NOWHERE = -9.0
"""A background no tissue has."""


@pytest.fixture(scope="module")
def case() -> AtlasCase:
    return atlas_case(spacing=0.3)


@pytest.fixture(scope="module")
def anatomy(case: AtlasCase) -> Anatomy:
    return Anatomy.of(case.template, case.labels, case.plates)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections that are neither warped nor faulty, in even light, on a background that tells them apart."""
    monkeypatch.setattr(synthesis, "_DEFORMED", 0.0)
    monkeypatch.setattr(synthesis, "_faulty", lambda pictures: pictures)
    monkeypatch.setattr(synthesis, "_shading", lambda batch, device: torch.ones(batch, 1, *SHAPE))
    monkeypatch.setattr(synthesis, "_background", lambda tissue, *_: torch.full_like(tissue, NOWHERE))


def seeded(seed: int, function: Callable[[], Tensor]) -> Tensor:
    torch.manual_seed(seed)
    return function()


def only(monkeypatch: pytest.MonkeyPatch, wanted: float) -> None:
    """Of all chances, what happens in that share of the pictures happens in all and the rest in none."""

    def coin(batch: int, share: float, device: torch.device) -> Tensor:
        return torch.full((batch, 1, 1, 1), share == wanted, device=device)

    monkeypatch.setattr(synthesis, "_coin", coin)


class TestAnatomy:
    def test_regions_are_numbered_without_gaps_and_know_their_brightness(self, case: AtlasCase) -> None:
        sparse = LabelImage(case.labels.data * 1000, case.labels.grid)
        one, other = (Anatomy.of(case.template, each, case.plates) for each in (case.labels, sparse))
        assert torch.equal(one.regions, other.regions)
        assert one.count == other.count == len(case.labels.values()) + 1
        for number in (0, 1, 7):
            inside = one.regions == number
            assert float(one.means[number]) == pytest.approx(float(one.template[inside].mean()), abs=1e-5)

    def test_without_an_annotation_the_tissue_is_one_region(self, case: AtlasCase, anatomy: Anatomy) -> None:
        found = Anatomy.of(case.template, None, case.plates)
        assert found.count == 2
        inside, truth = found.regions > 0, anatomy.regions > 0
        assert 2 * float((inside & truth).sum()) / float(inside.sum() + truth.sum()) > 0.93

    def test_the_atlas_fits_into_a_picture(self, anatomy: Anatomy) -> None:
        width, height = anatomy.plates.extent[:2]
        assert min(anatomy.pixel * SHAPE[1] / width, anatomy.pixel * SHAPE[0] / height) == pytest.approx(1.25)
        assert anatomy.plate_pictures(anatomy.plates.poses()[:3]).shape == (3, 1, *SHAPE)

    def test_an_empty_atlas_is_told(self, case: AtlasCase) -> None:
        empty = Image(torch.ones_like(case.template.data), case.template.grid)
        with pytest.raises(InputError, match="shows nothing"):
            Anatomy.of(empty, None, case.plates)


class TestPoses:
    def test_lie_in_their_ranges_and_fill_them(self, anatomy: Anatomy) -> None:
        torch.manual_seed(0)
        poses = random_poses(anatomy, 2000).double()
        half, width = float(anatomy.plates.extent[2]) / 2, anatomy.pixel * SHAPE[1] / 2
        tilt = math.radians(20)
        most = torch.tensor([half, tilt, tilt, 0.33, 0.18, 0.26, 0.1, 0.2 * width, 0.16 * width]).double()
        largest = poses.abs().amax(dim=0)
        assert (largest <= most + 1e-6).all()
        assert (largest > 0.9 * most).all()
        assert float((poses[:, 5] - poses[:, 4]).abs().max()) <= 0.08 + 1e-6
        assert 0.2 < float((poses[:, 1:3] == 0).double().mean()) < 0.4

    def test_come_in_bunches_that_are_easily_confused(self, anatomy: Anatomy) -> None:
        torch.manual_seed(1)
        depths = random_poses(anatomy, 40)[:, 0]
        apart = (depths[:, None] - depths).abs().sort(dim=1)[0]
        assert float(apart[:, 3].median()) < 8 * anatomy.pixel
        assert float(depths.std()) > 0.15 * anatomy.plates.extent[2]

    def test_without_hardness_are_the_plates(self, anatomy: Anatomy) -> None:
        assert not random_poses(anatomy, 50, hardness=0.0)[:, 1:].any()

    def test_any_count_may_be_asked_for(self, anatomy: Anatomy) -> None:
        for count in (1, 4, 7):
            assert random_poses(anatomy, count).shape == (count, len(POSE))

    def test_a_seed_repeats_them(self, anatomy: Anatomy) -> None:
        first, again, other = (seeded(seed, lambda: random_poses(anatomy, 9)) for seed in (3, 3, 4))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


class TestSections:
    def test_differ_in_contrast_but_agree_in_outline(self, anatomy: Anatomy, plain: None) -> None:
        poses = torch.zeros(1, len(POSE)).repeat(30, 1)
        torch.manual_seed(0)
        pictures = random_sections(anatomy, poses, hardness=0.0).pictures
        outlines = pictures != NOWHERE
        assert torch.equal(outlines, outlines[:1].expand_as(outlines))
        assert 0.2 < float(outlines.double().mean()) < 0.8
        shown = np.corrcoef(pictures[outlines].reshape(30, -1).numpy())
        apart = shown[np.triu_indices(30, 1)]
        assert apart.max() < 0.999
        assert np.median(apart) < 0.8

    def test_lack_a_part_where_they_are_hard(self, anatomy: Anatomy, plain: None) -> None:
        torch.manual_seed(1)
        poses = random_poses(anatomy, 200, hardness=0.0)
        poses[:, 0] *= 0.6
        tissue = (anatomy.shown(anatomy.plates.matrices(poses), anatomy.points())[1] > 0)[:, None]
        whole, hard = (random_sections(anatomy, poses, hardness).pictures != NOWHERE for hardness in (0.0, 1.0))
        assert torch.equal(whole, tissue)
        assert not (hard & ~tissue).any()
        lacking = 1 - hard.sum((1, 2, 3)) / tissue.sum((1, 2, 3))
        assert 0.5 < float((lacking > 0).double().mean()) < 0.9
        assert float((lacking > 0.25).double().mean()) > 0.15

    def test_are_warped_by_little(self, anatomy: Anatomy, monkeypatch: pytest.MonkeyPatch) -> None:
        torch.manual_seed(2)
        field = synthesis._warp(300, CPU)
        assert field.shape == (300, *SHAPE, 3)
        spread = field.flatten(1, 2).std(dim=1)
        assert float(spread.max()) < 3 * 1.3
        assert float(spread[:, 2].mean()) < 0.8 * float(spread[:, 0].mean())

    def test_a_seed_repeats_them(self, anatomy: Anatomy) -> None:
        poses = torch.zeros(6, len(POSE))
        first, again, other = (seeded(seed, lambda: random_sections(anatomy, poses).pictures) for seed in (5, 5, 6))
        assert first.shape == (6, 1, *SHAPE)
        assert torch.isfinite(first).all()
        assert torch.equal(first, again)
        assert not torch.equal(first, other)

    def test_poses_are_given_back(self, anatomy: Anatomy) -> None:
        poses = random_poses(anatomy, 3)
        assert torch.equal(random_sections(anatomy, poses).poses, poses)


class TestStain:
    def test_curves_rise_in_most_pictures(self) -> None:
        torch.manual_seed(0)
        ramp = torch.linspace(0, 1, 96).expand(300, 1, 72, 96)
        shown = synthesis._under_curve(ramp)
        assert float(shown.min()) >= 0
        assert float(shown.max()) <= 1
        rising = (shown.diff(dim=3) >= -1e-6).all(dim=3).all(dim=2)
        assert 0.5 < float(rising.double().mean()) < 0.7

    def test_shading_is_smooth_and_positive(self) -> None:
        torch.manual_seed(0)
        light = synthesis._shading(100, CPU)
        assert float(light.min()) > 0
        assert float(light.log().diff(dim=3).abs().max()) < 0.2


class TestFaults:
    def test_half_planes_are_cut_along_a_line_that_far_from_the_middle(self) -> None:
        torch.manual_seed(0)
        kept = synthesis._half_plane(200, 0.1, 0.3, CPU)[:, 0] > 0
        rows, columns = ((torch.arange(n) - (n - 1) / 2) / SHAPE[1] for n in SHAPE)
        away = torch.hypot(rows[:, None], columns)
        assert kept[:, away < 0.1].all()
        # Opposite to what is lost all is kept, and so of two opposite pixels never both are lost.
        assert (kept | kept.flip(1, 2)).all()
        lost = (~kept).flatten(1)
        points = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).reshape(-1, 2)
        for each in lost[lost.sum(dim=1) > 20]:
            across = torch.nn.functional.normalize(points[each].mean(dim=0) - points[~each].mean(dim=0), dim=0)
            assert float((points[~each] @ across).quantile(0.95)) < float((points[each] @ across).median())
            nearest = float(away.flatten()[each].min())
            assert 0.1 <= nearest <= 0.3 + 1 / SHAPE[1]

    def test_tiles_are_brighter_in_their_middle_each_at_its_own_level(self) -> None:
        torch.manual_seed(3)
        size = int(torch.randint(8, 24, (1,)))
        light = seeded(3, lambda: synthesis._tiles(5, CPU))
        assert light.shape == (5, 1, *SHAPE)
        assert 0.85 <= float(light.min()) < float(light.max()) <= 1.1
        tile = light[..., :size, :size]
        assert (tile[..., size // 2, size // 2] > tile[..., 0, 0] + 0.1).all()
        # Two tiles differ by their level alone.
        level = light[..., :size, size : 2 * size] - tile
        assert (level.amax((2, 3)) - level.amin((2, 3))).max() < 1e-5
        assert float(level.mean((2, 3)).std()) > 0.01

    def test_bubbles_are_discs_in_a_few_pictures(self) -> None:
        torch.manual_seed(0)
        hidden = synthesis._bubbles(600, CPU)
        seen = hidden.flatten(1).any(dim=1)
        assert 0.08 < float(seen.double().mean()) < 0.17
        for each in hidden[seen, 0].numpy():
            rows, columns = np.nonzero(each)
            assert max(np.ptp(rows), np.ptp(columns)) <= 20
            if min(rows.min(), columns.min()) > 0 and rows.max() < SHAPE[0] - 1 and columns.max() < SHAPE[1] - 1:
                radius = (np.ptp(rows) + np.ptp(columns) + 2) / 4
                assert each.sum() == pytest.approx(math.pi * radius**2, rel=0.2)

    def test_pepper_is_a_few_black_pixels(self, monkeypatch: pytest.MonkeyPatch) -> None:
        only(monkeypatch, 0.2)
        torch.manual_seed(0)
        black = synthesis._faulty(torch.ones(100, 1, *SHAPE)) < 0.5
        share = black.double().mean((1, 2, 3))
        assert float(share.max()) < 0.013
        assert float(share.mean()) == pytest.approx(0.005, abs=0.001)
        # Whole pixels, not blurred ones: nearly all stand alone.
        assert ndimage.label(black[int(share.argmax()), 0].numpy())[1] > 0.9 * float(black[int(share.argmax())].sum())

    def test_every_picture_is_blurred_by_its_own_width(self) -> None:
        spike = torch.zeros(3, 1, 41, 51)
        spike[:, :, 20, 25] = 1
        widths = torch.tensor([0.0, 0.7, 1.2])
        shown = synthesis._blurred(spike, widths)
        assert torch.equal(shown[0], spike[0])
        for each, width in zip(shown[1:, 0].numpy(), (0.7, 1.2), strict=True):
            expected = ndimage.gaussian_filter(spike[0, 0].numpy(), width, radius=4)
            assert each == pytest.approx(expected, abs=1e-6)


class TestPictures:
    def test_stretching_by_hand(self) -> None:
        values = torch.arange(1001.0).reshape(1, 1, 7, 143)
        shown = stretched(values)
        assert torch.equal(shown, ((values - 10) / (995 - 10)).clamp(0, 1))

    def test_lamp_and_camera_count_little(self, anatomy: Anatomy) -> None:
        pictures = anatomy.plate_pictures(anatomy.plates.poses()[20:23])
        assert evened(37 * pictures + 400).numpy() == pytest.approx(evened(pictures).numpy(), abs=2e-3)

    def test_an_empty_picture_stays_finite(self) -> None:
        assert torch.isfinite(evened(torch.zeros(2, 1, *SHAPE))).all()


def test_laid_anew_a_section_stays_in_its_plane(anatomy: Anatomy) -> None:
    torch.manual_seed(0)
    poses = random_poses(anatomy, 30)
    other = laid(poses, anatomy)
    assert torch.equal(other[:, :3], poses[:, :3])
    assert bool((other[:, 3:] != poses[:, 3:]).all())
    assert not laid(poses, anatomy, hardness=0.0)[:, 3:].any()


def test_a_field_of_view_is_a_rectangle_around_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    assert bool(synthesis._field(40, CPU)[..., 26:-26, 38:-38].all())
    only(monkeypatch, 0.4)  # none is turned
    fields = synthesis._field(40, CPU)
    for field in fields[:, 0]:
        box = field.amax(dim=1)[:, None] * field.amax(dim=0)
        assert torch.equal(field, box)
        assert bool(field[16:-16, 21:-21].all())
    assert bool((fields.flatten(1).mean(dim=1) < 0.9).any())


class TestHeads:
    def test_show_more_than_the_tissue_and_say_which_is_which(self, anatomy: Anatomy) -> None:
        torch.manual_seed(4)
        poses = torch.zeros(60, len(POSE))
        plain, heads = (random_sections(anatomy, poses, 0.0, share) for share in (0.0, 1.0))
        unwarped = anatomy.shown(anatomy.plates.matrices(poses[:1]), anatomy.points())[1] > 0
        for sections in (plain, heads):
            overlap = ((sections.tissue[:, 0] > 0) & unwarped).flatten(1).sum(dim=1) / unwarped.sum()
            assert float(overlap.min()) > 0.8
        beside = [float(each.pictures[each.tissue == 0].std()) for each in (plain, heads)]
        assert beside[1] > 1.5 * beside[0]

    def test_a_cut_goes_through_what_is_around_in_most_of_them(
        self, anatomy: Anatomy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        half = torch.ones(1, 1, *SHAPE)
        half[..., SHAPE[1] // 2 :] = 0
        monkeypatch.setattr(synthesis, "_uncut", lambda batch, device: half.expand(batch, 1, *SHAPE))
        monkeypatch.setattr(synthesis, "_faulty", lambda pictures: pictures)
        torch.manual_seed(0)
        sections = random_sections(anatomy, torch.zeros(200, len(POSE)), 1.0, heads=1.0)
        assert not sections.tissue[..., SHAPE[1] // 2 :].any()
        empty = (sections.pictures[..., SHAPE[1] // 2 :] == 0).flatten(1).all(dim=1)
        assert 0.6 < float(empty.double().mean()) < 0.85

    def test_pixels_are_so_far_away(self) -> None:
        mask = torch.zeros(1, 1, *SHAPE)
        mask[..., 30:40, 40:50] = 1
        away = synthesis._away(mask)
        assert not away[mask > 0].any()
        rows, columns = (torch.arange(n, dtype=torch.float32) for n in SHAPE)
        steps = torch.maximum(
            torch.maximum(30 - rows, rows - 39)[:, None].expand(SHAPE), torch.maximum(40 - columns, columns - 49)
        )
        near = (steps > 0) & (steps < 18)
        assert float((away[0, 0][near] - steps[near]).abs().max()) <= 2
        assert float(away.max()) == 20

    def test_organs_are_not_negative_and_differ(self) -> None:
        torch.manual_seed(0)
        organs = synthesis._organs(50, CPU)
        assert organs.shape == (50, 1, *SHAPE)
        assert float(organs.min()) >= 0
        assert float(organs.flatten(1).std(dim=1).median()) > 0.1
