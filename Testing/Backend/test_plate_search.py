"""Sections of the phantom, whose place is known, found by mutual information with every plate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from backend_samples import GRIDS
from regsuite.errors import Cancelled, InputError
from regsuite.methods.sections.baseline import RankedPlate, ranked
from regsuite.phantoms.atlas import AtlasCase, atlas_case, section_of
from regsuite.progress import Progress
from regsuite.solvers import plate_search
from regsuite.solvers.plate_search import PlateFit, search
from regsuite.spatial import Image
from regsuite.spatial.plates import POSE, Axis, Plates, cut, flat_points
from torch import Tensor

PIXEL = 0.16
TRUE = 6
"""The plate most sections are cut at, of 11."""
CORNERS = torch.tensor([[x, y, 0.0, 1.0] for x in (-3.0, 3.0) for y in (-2.0, 2.0)], dtype=torch.float64)
"""mm in a section."""


@pytest.fixture(scope="module")
def case() -> AtlasCase:
    return atlas_case(spacing=0.3, plate_spacing=1.2)


def pose_at(case: AtlasCase, plate: float = TRUE, **numbers: float) -> np.ndarray:
    depth = (plate - (case.plates.count - 1) / 2) * case.plates.spacing
    return np.array([{"depth": depth, **numbers}.get(name, 0.0) for name in POSE])


def section(case: AtlasCase, pose: np.ndarray, **how: Any) -> Tensor:
    return section_of(case, pose, shape=(60, 80), pixel=PIXEL, **how).data[:, :, 0]


def found(case: AtlasCase, picture: Tensor, progress: Progress | None = None) -> list[PlateFit]:
    return search(picture, PIXEL, case.template, case.plates, 50, progress or Progress())


def best(case: AtlasCase, picture: Tensor) -> RankedPlate:
    return ranked(picture, PIXEL, case.template, case.plates, 50, Progress())[0]


def error(plates: Plates, pose: Tensor, truth: np.ndarray) -> float:
    """mm, the mean over the corners."""
    there = [CORNERS @ matrix.T for matrix in plates.matrices(torch.stack([pose, torch.from_numpy(truth)]))]
    return float((there[0] - there[1]).norm(dim=1).mean())


class TestFound:
    @pytest.mark.parametrize("stain", [1.6, -0.8], ids=["darker", "inverted"])
    def test_a_section_in_a_plate_is_found_where_it_is(self, case: AtlasCase, stain: float) -> None:
        numbers = {"rotation": 0.28, "scale_x": 0.1, "scale_y": -0.08, "shear": 0.05, "shift_x": 0.5, "shift_y": -0.4}
        truth = pose_at(case, **numbers)
        first = best(case, section(case, truth, stain=stain))
        assert first.plate == TRUE
        assert error(case.plates, first.pose, truth) < 0.06

    def test_a_tilted_section_between_plates_is_found_near_by(self) -> None:
        case = atlas_case(spacing=0.4, plate_spacing=0.8)
        truth = pose_at(case, 7.2, pitch=0.04, yaw=-0.03, rotation=-0.2, scale_x=0.05, shift_x=-0.4)
        first = best(case, section(case, truth))
        assert abs(first.plate - 7.2) < 1
        assert error(case.plates, first.pose, truth) < 0.5

    @pytest.mark.parametrize("axis", ["sagittal", "horizontal"])
    def test_plates_may_be_cut_along_any_axis_of_any_grid(self, axis: Axis) -> None:
        grid = GRIDS["oblique-3d"]
        index = grid.points(torch.float64) - torch.as_tensor(grid.centre)
        plates = Plates(grid, axis, 8.0)
        blobs = [((9, 4, 2), 5, 1.0), ((-8, -5, 3), 6, 0.7), ((2, 8, -7), 5, 0.5), ((-3, -9, -9), 4, 0.9)]
        data = sum(
            level * torch.exp(-0.5 * (index - torch.tensor(at)).square().sum(dim=-1) / width**2)
            for at, width, level in blobs
        )
        template = Image(torch.as_tensor(data)[None, None].float(), grid)
        truth = plates.poses()[plates.count // 2].clone()
        truth[3:] = torch.tensor([0.15, 0.05, -0.05, 0.0, 2.0, -1.0])
        picture = cut(template.data, grid, plates.matrices(truth[None]), flat_points((60, 70), 1.0))
        fit = search(picture, 1.0, template, plates, 50, Progress())[plates.count // 2]
        there = [flat_points((3, 3), 8.0, torch.float64).reshape(-1, 3)] * 2
        matrices = plates.matrices(torch.stack([fit.pose, truth]))
        ends = [x @ m[:3, :3].T + m[:3, 3] for x, m in zip(there, matrices, strict=True)]
        assert float((ends[0] - ends[1]).norm(dim=1).mean()) < 0.5 * min(grid.spacing)

    def test_poses_lie_in_their_plates(self, case: AtlasCase) -> None:
        plates = Plates(case.plates.grid, "coronal", 4.0)
        fits = search(section(case, pose_at(case)), PIXEL, case.template, plates, 5, Progress())
        poses = torch.stack([fit.pose for fit in fits])
        assert poses.dtype == torch.float64
        assert poses[:, 0].numpy() == pytest.approx(plates.depths().numpy())
        assert not poses[:, 1:3].any()

    def test_the_size_of_a_pixel_only_scales_the_pose(self, case: AtlasCase) -> None:
        picture = section(case, pose_at(case, rotation=0.1, shift_x=0.5))
        plates = Plates(case.plates.grid, "coronal", 5.0)
        right, double = (search(picture, size, case.template, plates, 30, Progress()) for size in (PIXEL, 2 * PIXEL))
        for one, other in zip(right, double, strict=True):
            assert other.mutual_information == pytest.approx(one.mutual_information, rel=1e-3)
            expected = one.pose.clone()
            expected[4:6] -= math.log(2)
            assert other.pose.numpy() == pytest.approx(expected.numpy(), abs=1e-3)

    def test_runs_repeat_to_the_last_digit(self, case: AtlasCase) -> None:
        picture, plates = section(case, pose_at(case)), Plates(case.plates.grid, "coronal", 5.0)
        runs = [search(picture, PIXEL, case.template, plates, 10, Progress()) for _ in range(2)]
        for one, other in zip(*runs, strict=True):
            assert one.mutual_information == other.mutual_information
            assert torch.equal(one.pose, other.pose)


class TestFailures:
    def test_plates_without_tissue_come_last(self, case: AtlasCase) -> None:
        grid = case.template.grid.padded((0, 12, 0))
        template = case.template.resampled(grid, outside="zeros")
        plates = Plates(grid, "coronal", 1.2)
        ranking = ranked(section(case, pose_at(case)), PIXEL, template, plates, 20, Progress())
        assert sorted(each.plate for each in ranking) == list(range(plates.count))
        information = [each.mutual_information for each in ranking]
        assert information == sorted(information, reverse=True)
        empty = [number for number, depth in enumerate(plates.depths().tolist()) if abs(depth) > 6.5]
        assert len(empty) == 6
        assert [each.plate for each in ranking if math.isinf(each.mutual_information)] == empty

    @pytest.mark.parametrize("problem", ["nothing overlaps", "mirrored", "not finite"])
    def test_one_that_fails_comes_last(self, case: AtlasCase, monkeypatch: pytest.MonkeyPatch, problem: str) -> None:
        first_of(monkeypatch, problem, failing=1)
        fits = found(case, section(case, pose_at(case)))
        assert math.isinf(fits[0].mutual_information)
        assert torch.equal(fits[0].pose, case.plates.poses()[0])
        assert all(math.isfinite(fit.mutual_information) for fit in fits[1:])

    def test_where_all_fail_it_says_so(self, case: AtlasCase, monkeypatch: pytest.MonkeyPatch) -> None:
        first_of(monkeypatch, "nothing overlaps", failing=1000)
        with pytest.raises(InputError, match="any plate"):
            found(case, section(case, pose_at(case)))

    @pytest.mark.parametrize("level", [0.0, 0.7])
    def test_an_empty_section_is_told(self, case: AtlasCase, level: float) -> None:
        with pytest.raises(InputError, match="shows nothing"):
            found(case, torch.full((1, 1, 60, 80), level))

    @pytest.mark.parametrize("shape", [(1, 1), (3, 200), (1, 50)])
    def test_slivers_end_in_a_sentence(self, case: AtlasCase, shape: tuple[int, int]) -> None:
        picture = torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(0))
        with pytest.raises(InputError):
            found(case, picture)


class TestProgress:
    def test_tells_every_plate_and_can_be_cancelled(self, case: AtlasCase, monkeypatch: pytest.MonkeyPatch) -> None:
        first_of(monkeypatch, "at once", failing=1000)
        steps: list[tuple[float, str]] = []

        class Heard(Progress):
            def step(self, fraction: float, message: str = "") -> None:
                steps.append((fraction, message))
                if cancelled and len(steps) == 4:
                    raise Cancelled

        cancelled = False
        found(case, section(case, pose_at(case)), Heard())
        assert steps[:2] == [(0.0, "Plate 1 of 11"), (1 / 11, "Plate 2 of 11")]
        assert len(steps) == 12
        assert steps[-1][0] == 1
        steps.clear()
        cancelled, threads = True, sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
        with pytest.raises(Cancelled):
            found(case, section(case, pose_at(case)), Heard())
        assert len(steps) == 4
        assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == threads


def first_of(monkeypatch: pytest.MonkeyPatch, problem: str, failing: int) -> None:
    """The first registrations, that many, end like this and the others well, all at once."""
    left = [failing]

    def raised() -> Any:
        raise RuntimeError("All samples map outside moving image buffer.")

    ends: dict[str, Callable[[], Any]] = {
        "nothing overlaps": raised,
        "mirrored": lambda: (0.5, np.diag([1.0, -1.0]), np.zeros(2)),
        "not finite": lambda: (math.nan, np.eye(2), np.zeros(2)),
        "at once": lambda: (0.5, np.eye(2), np.zeros(2)),
    }

    def registered(*_: Any) -> Any:
        left[0] -= 1
        return ends[problem if left[0] >= 0 else "at once"]()

    monkeypatch.setattr(plate_search, "_registered", registered)
