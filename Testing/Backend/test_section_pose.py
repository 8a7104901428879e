"""Sections of the phantom, whose pose is known, brought back to it by slicing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from regsuite.io.sections import section_grid
from regsuite.learning.anatomy import Anatomy
from regsuite.methods.sections.pose import Posed, Search, angles_of, posed
from regsuite.methods.sections.prepared import Prepared, prepared
from regsuite.methods.sections.views import View
from regsuite.phantoms.atlas import AtlasCase, atlas_case, section_of
from regsuite.progress import Progress
from regsuite.solvers.slicing import Found, Problem, slice_all, slice_to
from regsuite.spatial import Image
from regsuite.spatial.plates import POSE, cut, flat_points
from section_samples import pose_of
from torch import Tensor

TRUTHS = (
    np.array([1.3, 0.10, -0.08, 0.06, 0.04, -0.03, 0.03, 0.2, -0.15]),
    np.array([-2.1, -0.12, 0.05, -0.08, -0.05, 0.06, -0.02, -0.25, 0.1]),
)
OFF = np.array([0.5, *np.deg2rad([5.0, -5.0]), 0.06, 0.05, -0.05, 0.03, 0.2, -0.2])
"""How far from the truth the search starts."""


@pytest.fixture(scope="module")
def case() -> AtlasCase:
    return atlas_case(spacing=0.25, plate_spacing=0.5)


@pytest.fixture(scope="module")
def anatomy(case: AtlasCase) -> Anatomy:
    return Anatomy.of(case.template, case.labels, case.plates)


def upright() -> View:
    return View(torch.eye(4), pixel_known=True)


def brought_back(section: Prepared, anatomy: Anatomy, truth: np.ndarray, view: View | None = None) -> Posed:
    start = torch.tensor(truth + OFF, dtype=torch.float32)[None]
    return posed(section, view or upright(), anatomy, start, True, True, Progress())


def true_points(case: AtlasCase, truth: np.ndarray, section: Image) -> tuple[np.ndarray, np.ndarray]:
    """Points of the section on tissue, (N, 3) RAS mm, and where in the atlas they were cut."""
    points = section.grid.points(torch.float64)[0]
    flat = (points - torch.as_tensor(section.grid.centre)) * torch.tensor([-1.0, -1.0, 0.0])
    matrix = case.plates.matrices(torch.as_tensor(truth)[None])[0]
    there = flat @ matrix[:3, :3].T + matrix[:3, 3]
    labels = cut(case.labels.data.float(), case.labels.grid, matrix[None].float(), flat.float(), "nearest")
    inside = labels[0, 0] > 0
    return points[inside].numpy(), there[inside].numpy()


def errors(case: AtlasCase, truth: np.ndarray, section: Image, matrix: np.ndarray) -> np.ndarray:
    """mm, of each point."""
    here, there = true_points(case, truth, section)
    return np.linalg.norm(here @ matrix[:3, :3].T + matrix[:3, 3] - there, axis=1)


class TestBroughtBack:
    @pytest.mark.parametrize("truth", TRUTHS, ids=["front", "back"])
    @pytest.mark.parametrize("stain", [1.0, 1.8, -0.7], ids=["same", "darker", "inverted"])
    def test_a_section_is_brought_back_to_where_it_was_cut(
        self, case: AtlasCase, anatomy: Anatomy, truth: np.ndarray, stain: float
    ) -> None:
        section = section_of(case, truth, stain=stain)
        found = brought_back(prepared(section), anatomy, truth)
        assert abs(float(found.found.pose[0]) - truth[0]) < 0.1
        assert np.abs(np.subtract(angles_of(found.found.pose), np.rad2deg(truth[1:3]))).max() < 1.5
        assert np.mean(errors(case, truth, section, found.matrix)) < 0.12

    @pytest.mark.parametrize("truth", TRUTHS, ids=["front", "back"])
    def test_half_a_section_is_enough(self, case: AtlasCase, anatomy: Anatomy, truth: np.ndarray) -> None:
        section = section_of(case, truth, stain=1.5, kept=0.5)
        found = brought_back(prepared(section), anatomy, truth)
        assert abs(float(found.found.pose[0]) - truth[0]) < 0.1
        here, _ = true_points(case, truth, section)
        left = here[:, 0] > section.grid.centre[0]  # columns run to L
        assert np.mean(errors(case, truth, section, found.matrix)[left]) < 0.12

    @pytest.mark.parametrize("turn", [90, 180])
    def test_a_view_that_turns_the_section_changes_nothing(self, case: AtlasCase, anatomy: Anatomy, turn: int) -> None:
        truth = TRUTHS[0]
        section = section_of(case, truth)
        height, width = (120, 160) if turn == 180 else (160, 120)
        turned = Image(torch.rot90(section.data, turn // 90, (3, 4)), section_grid(width, height, (0.08, 0.08)))
        # Against the clock on the screen, where rows run down.
        angle = -math.radians(turn)
        view = torch.eye(4)
        view[:2, :2] = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        seen = View(view, True)
        found = brought_back(prepared(turned), anatomy, truth, seen)
        assert np.abs(found.found.pose.numpy() - truth)[[0, 7, 8]].max() < 0.1
        assert abs((seen.turn - turn + 180) % 360 - 180) < 1e-3

    @pytest.mark.parametrize("scale", [-0.12, 0.12])
    def test_a_size_that_is_an_eighth_off_is_found(self, case: AtlasCase, anatomy: Anatomy, scale: float) -> None:
        truth = TRUTHS[0]
        start = torch.tensor(truth + pose_of(depth=0.2, scale_x=scale, scale_y=scale), dtype=torch.float32)[None]
        found = posed(prepared(section_of(case, truth)), upright(), anatomy, start, True, True, Progress())
        assert found.found.pose[4:6].numpy() == pytest.approx(truth[4:6], abs=0.01)

    def test_what_is_fixed_stays(self, case: AtlasCase, anatomy: Anatomy) -> None:
        section = prepared(section_of(case, TRUTHS[0]))
        start = torch.zeros(1, 9)
        start[0, 0] = 1.0
        found = posed(section, upright(), anatomy, start, False, False, Progress())
        assert torch.equal(found.found.pose[[1, 2, 4, 5, 6]], torch.zeros(5))
        assert float(found.found.pose[3]) != 0

    def test_the_best_of_several_starts_is_taken(self, case: AtlasCase, anatomy: Anatomy) -> None:
        truth = TRUTHS[0]
        section = prepared(section_of(case, truth))
        starts = torch.zeros(4, 9)
        starts[:, 0] = torch.tensor([-4.0, -1.5, 1.5, 4.0])
        found = posed(section, upright(), anatomy, starts, True, True, Progress())
        assert abs(float(found.found.pose[0]) - truth[0]) < 0.1


def problem(anatomy: Anatomy, pose: Tensor) -> Problem:
    """The atlas against itself, cut at a pose (9,); in float64."""
    points = flat_points((36, 48), 2 * anatomy.pixel, torch.float64)
    template = anatomy.template.double()
    picture = cut(template, anatomy.grid, anatomy.plates.matrices(pose[None]), points)
    weight = torch.ones_like(picture)
    pixel, odd = 2 * anatomy.pixel, 0.02
    return Problem(template, anatomy.grid, anatomy.plates, picture, weight, points, pixel, 1.5 * pixel, odd)


class TestEnergy:
    @pytest.mark.parametrize("truth", TRUTHS)
    def test_where_pictures_are_alike_it_is_what_is_odd_of_the_pose(self, anatomy: Anatomy, truth: np.ndarray) -> None:
        pose = torch.from_numpy(truth)
        spread = np.array([0.17, 0.17, 0.1, 0.1, 0.06])
        odd = 0.01 * np.sum((truth[[1, 2, 4, 5, 6]] / spread) ** 2)
        assert float(problem(anatomy, pose).energy(pose[None])[0]) == pytest.approx(odd, abs=1e-9)

    def test_it_grows_with_the_distance_and_stays_below_one(self, anatomy: Anatomy) -> None:
        pose = torch.from_numpy(TRUTHS[0])
        steps = torch.stack([pose + k * torch.from_numpy(OFF) for k in (0.2, 0.5, 1.0)])
        energies = problem(anatomy, pose).energy(steps)
        assert bool((energies.diff() > 0).all())
        assert float(energies[-1]) < 1

    @pytest.mark.parametrize("number", range(9), ids=POSE)
    def test_its_slope_is_that_of_finite_differences(self, anatomy: Anatomy, number: int) -> None:
        truth = torch.from_numpy(TRUTHS[1])
        compared = problem(anatomy, truth)
        pose = (truth + 0.37 * torch.from_numpy(OFF)).requires_grad_()
        (slope,) = torch.autograd.grad(compared.energy(pose[None])[0], pose)
        step = torch.zeros(9, dtype=torch.float64)
        step[number] = 1e-6
        with torch.no_grad():
            ends = compared.energy(torch.stack([pose + step, pose - step]))
        # Linear interpolation has kinks at voxels, which a step of finite size may meet.
        assert float(slope[number]) == pytest.approx(float(ends[0] - ends[1]) / 2e-6, rel=2e-3, abs=1e-5)

    def test_a_start_that_shows_nothing_is_given_back(self, anatomy: Anatomy) -> None:
        compared = problem(anatomy, torch.from_numpy(TRUTHS[0]))
        nowhere = torch.full((9,), math.nan, dtype=torch.float64)
        found = slice_to(compared, nowhere, [True] * 9, 2, Progress(), 0.5)
        assert found.energy == math.inf


class TestManyStarts:
    def test_the_best_comes_first(self, anatomy: Anatomy) -> None:
        truth = torch.from_numpy(TRUTHS[0])
        compared = problem(anatomy, truth)
        starts = torch.stack([truth + k * torch.from_numpy(OFF) for k in (2.5, -2.0, 0.6, 1.5, -1.5)])
        found = slice_all(compared, starts, [True] * 9, 20, 0.15, Progress(), 0.5)
        energies = [each.energy for each in found]
        assert energies == sorted(energies)
        assert energies == pytest.approx([float(compared.energy(each.pose[None])[0]) for each in found])
        assert float((found[0].pose - truth)[0].abs()) < 0.2  # mm, of 0.3 at the nearest start
        assert energies[0] < float(compared.energy(starts).min())

    def test_without_iterations_they_are_ranked_as_they_are(self, anatomy: Anatomy) -> None:
        truth = torch.from_numpy(TRUTHS[0])
        starts = torch.stack([truth + k * torch.from_numpy(OFF) for k in (1.0, 0.1, 0.5)])
        found = slice_all(problem(anatomy, truth), starts, [True] * 9, 0, 0.2, Progress(), 0.5)
        assert [each.pose.tolist() for each in found] == starts[[1, 2, 0]].tolist()

    def test_each_goes_its_own_way_however_many_there_are(self, anatomy: Anatomy) -> None:
        truth = torch.from_numpy(TRUTHS[0])
        compared, start = problem(anatomy, truth), truth + torch.from_numpy(OFF)
        starts = torch.cat([start[None], start + 0.3 * torch.randn(300, 9, dtype=torch.float64)])
        (alone,) = slice_all(compared, starts[:1], [True] * 9, 2, 0.2, Progress(), 0.5)
        found = slice_all(compared, starts, [True] * 9, 2, 0.2, Progress(), 0.5)
        assert len(found) == 301
        assert min(float((each.pose - alone.pose).abs().max()) for each in found) < 1e-9

    def test_each_keeps_the_weight_that_is_its_own(self, anatomy: Anatomy) -> None:
        truth = torch.from_numpy(TRUTHS[0])
        compared, start = problem(anatomy, truth), truth + 0.5 * torch.from_numpy(OFF)
        left, right = compared.weight.clone(), compared.weight.clone()
        left[..., 24:], right[..., :24] = 0, 0
        weights = torch.cat([left.expand(299, 1, 36, 48), right])
        found = slice_all(replace(compared, weight=weights), start.expand(300, 9), [True] * 9, 2, 0.2, Progress(), 0.5)
        for weight, times in ((left, 299), (right, 1)):
            (alone,) = slice_all(replace(compared, weight=weight), start[None], [True] * 9, 2, 0.2, Progress(), 0.5)
            same = [each for each in found if float((each.pose - alone.pose).abs().max()) < 1e-9]
            assert len(same) == times
            assert same[0].energy == pytest.approx(alone.energy)

    def test_what_is_not_free_stays(self, anatomy: Anatomy) -> None:
        truth = torch.from_numpy(TRUTHS[0])
        start = (truth + torch.from_numpy(OFF))[None]
        free = [True, False, False, True, False, False, False, True, True]
        (found,) = slice_all(problem(anatomy, truth), start, free, 5, 0.2, Progress(), 0.5)
        assert (found.pose != start[0]).tolist() == free

    def test_a_start_that_shows_nothing_spoils_no_other(self, anatomy: Anatomy) -> None:
        truth = torch.from_numpy(TRUTHS[0])
        near = truth + 0.5 * torch.from_numpy(OFF)
        starts = torch.stack([torch.full_like(near, math.nan), near])
        found = slice_all(problem(anatomy, truth), starts, [True] * 9, 5, 0.2, Progress(), 0.5)
        (alone,) = slice_all(problem(anatomy, truth), near[None], [True] * 9, 5, 0.2, Progress(), 0.5)
        assert found[0].pose.tolist() == pytest.approx(alone.pose.tolist())
        assert found[1].energy == math.inf

    def test_candidates_lie_in_different_places(self, case: AtlasCase, anatomy: Anatomy) -> None:
        # Six starts about the truth lead to one place, and one far off to another.
        truth = TRUTHS[0]
        section = prepared(section_of(case, truth))
        near = [torch.from_numpy(truth + k * OFF).float() for k in (-0.4, -0.2, 0.1, 0.3, 0.5, 0.6)]
        far = torch.from_numpy(truth).float() - torch.tensor([4.0, *[0.0] * 8])
        search = Search(section, upright(), anatomy, True, True, Progress())
        found = search.candidates(torch.stack([*near, far]))
        assert len(found) >= 2
        assert float(found[0].pose[0]) == pytest.approx(truth[0], abs=0.1)
        apart = [abs(float(each.pose[0] - found[0].pose[0])) for each in found[1:]]
        turned = [abs(float(each.pose[3] - found[0].pose[3])) for each in found[1:]]
        assert all(off > 2 * anatomy.pixel or turn > 0.2 for off, turn in zip(apart, turned, strict=True))

    @pytest.mark.parametrize("truth", TRUTHS, ids=["front", "back"])
    def test_half_a_section_is_found_among_starts_all_over(
        self, case: AtlasCase, anatomy: Anatomy, truth: np.ndarray
    ) -> None:
        section = prepared(section_of(case, truth, stain=1.5, kept=0.5))
        starts = torch.zeros(18, 9)
        starts[:, 0] = torch.linspace(-4.0, 4.0, 9).repeat(2)
        starts[9:, POSE.index("rotation")] = math.pi
        found = posed(section, upright(), anatomy, starts, True, True, Progress())
        assert float(found.found.pose[0]) == pytest.approx(truth[0], abs=0.25)  # half a plate

    @pytest.mark.parametrize("view", [0.0, 40.0, 180.0])
    def test_what_is_turned_has_its_price(self, case: AtlasCase, anatomy: Anatomy, view: float) -> None:
        # A plane's picture in a view that is turned by so much, and poses that turn it on.
        angle = math.radians(view)
        placed = torch.eye(4)
        placed[:2, :2] = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        section = prepared(section_of(case, TRUTHS[0]))
        search = Search(section, View(placed, True), anatomy, True, True, Progress())
        for turn, price in ((0.0, 0.0), (45.0, 0.0), (-45.0, 0.0), (55.0, 0.08), (-90.0, 0.08), (180.0, 0.08)):
            pose = torch.from_numpy(pose_of(rotation=math.radians(turn - view))).float()
            in_space = anatomy.plates.matrices(pose[None])[0] @ torch.linalg.inv(placed)
            whole = float(anatomy.plates.pose_of(in_space)[3])
            assert math.cos(whole) == pytest.approx(math.cos(math.radians(turn)), abs=1e-5)
            assert search.cost(Found(pose, 0.3)) == pytest.approx(0.3 + price)
