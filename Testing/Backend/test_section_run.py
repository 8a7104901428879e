"""Whole runs on sections of the phantom, with an encoder that sees without having learned, and what users are told."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from regsuite.catalog.sections import AtlasSliceParameters
from regsuite.io.sections import section_grid
from regsuite.methods.sections import run as runs
from regsuite.phantoms.atlas import AtlasCase, section_of
from regsuite.progress import Context
from regsuite.registration import Registration
from regsuite.spatial import Image
from regsuite.spatial.plates import Plates
from section_samples import Seeing, brain, nothing_learned, pose_of, seeing, seeing_along

TRUTH = pose_of(depth=1.3, pitch=0.1, yaw=-0.08, rotation=0.06, scale_x=0.04, scale_y=-0.03, shift_x=0.3)
PIXEL_UM = 80 * np.exp((0.04 - 0.03) / 2)
"""Of a section's pixel in the atlas."""


@pytest.fixture(scope="module")
def case() -> AtlasCase:
    return brain()


@pytest.fixture(scope="module")
def encoder() -> Seeing:
    return seeing()


@pytest.fixture
def run(case: AtlasCase, encoder: Seeing, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run of a section with these values, and without a deformation unless it is asked for."""

    def registration(section: Image, trained: Seeing = encoder, **values: Any) -> Registration:
        monkeypatch.setattr(runs, "encoder_of", lambda *_: (trained, []))
        inputs = {"fixed": section, "moving": case.template, "moving_labels": case.labels, "encoder": nothing_learned()}
        chosen = AtlasSliceParameters(**{"deformation": "none", **values})
        return runs.Run(inputs, chosen, Context()).registration()

    return registration


def section(case: AtlasCase, turns: int = 0, pixel: float = 0.08, **how: Any) -> Image:
    """The true one, turned by right angles against the clock, as a file that gives this pixel size."""
    data = torch.rot90(section_of(case, TRUTH, **how).data, turns, (3, 4))
    return Image(data, section_grid(data.shape[4], data.shape[3], (pixel, pixel)))


def error(case: AtlasCase, found: Registration, turns: int = 0, pixel: float = 0.08) -> float:
    """mm, the largest over places on the section."""
    matrix = case.plates.matrices(torch.from_numpy(TRUTH)[None])[0]
    flat = torch.tensor([[x, y, 0.0, 1.0] for x in (-3.0, 0.0, 3.0) for y in (-2.0, 2.0)], dtype=torch.float64)
    turn = torch.from_numpy(np.linalg.matrix_power(np.array([[0.0, 1.0], [-1.0, 0.0]]), turns))
    here = torch.as_tensor(found.fixed_grid.centre) + torch.zeros(len(flat), 3, dtype=torch.float64)
    here[:, :2] -= flat[:, :2] @ turn.T * (pixel / 0.08)
    return float((found.transform.points(here) - (flat @ matrix.T)[:, :3]).norm(dim=1).max())


class TestFound:
    @pytest.mark.parametrize("turns", [0, 1])
    def test_a_section_is_found_however_it_is_turned(self, case: AtlasCase, run: Any, turns: int) -> None:
        found = run(section(case, turns))
        assert error(case, found, turns) < 0.05
        expected = 90 * turns + np.rad2deg(TRUTH[3])
        assert (found.metrics["turned_deg"] - expected + 180) % 360 == pytest.approx(180, abs=0.5)
        assert ("turned by" in " ".join(found.notes)) == (turns > 0)

    def test_figures_are_the_truth(self, case: AtlasCase, run: Any) -> None:
        result = run(section(case, stain=1.4), plate=17.0)
        assert result.record["chosen"]["markers"] == []
        found = result.metrics
        assert found["depth_mm"] == pytest.approx(TRUTH[0], abs=0.05)
        assert found["plate"] == pytest.approx(case.plates.number(TRUTH[0]) + 1, abs=0.1)
        assert [found["pitch_deg"], found["yaw_deg"]] == pytest.approx(np.rad2deg(TRUTH[1:3]), abs=0.7)
        assert found["pixel_um"] == pytest.approx(PIXEL_UM, rel=0.01)

    def test_regions_are_the_atlass(self, case: AtlasCase, run: Any) -> None:
        found = run(section(case), deformation="smooth", plate=17.0)
        assert error(case, found) < 0.1
        there = found.warped.data[0, 0, 0] - section(case).data[0, 0, 0]
        assert float(there.abs().mean()) < 0.01
        assert found.tables["regions"].rows[0][0] == "Cortex"
        # What is left to deform is little: VisuAlign's markers lie where they are expected.
        markers = np.array(found.record["chosen"]["markers"])
        assert len(markers) > 15
        assert np.abs(markers[:, :2] - markers[:, 2:]).max() < 0.02

    def test_the_nearest_plate_is_the_first_candidate(self, case: AtlasCase, run: Any) -> None:
        found = run(section(case), candidates=4, plate=17.0)
        rows = found.tables["ranking"].rows
        assert len(rows) == len(found.sequences["candidates"]) == 4
        assert abs(rows[0][1] - found.metrics["plate"]) <= 1
        assert [row[4] for row in rows] == sorted((row[4] for row in rows), reverse=True)


class TestGivenBack:
    @pytest.mark.parametrize(("name", "turns"), [("anchoring", 0), ("anchoring", 1), ("pose", 1)])
    def test_what_a_result_says_starts_another_where_it_ended(
        self, case: AtlasCase, run: Any, name: str, turns: int
    ) -> None:
        first = run(section(case, turns), plate=17.0)
        again = run(section(case, turns), **{name: tuple(first.record["chosen"][name])})
        assert error(case, again, turns) < 0.05
        for figure in ("depth_mm", "turned_deg"):
            assert again.metrics[figure] == pytest.approx(first.metrics[figure], abs=0.05)


class TestPixelSize:
    def test_one_that_is_not_known_is_estimated_and_told(self, case: AtlasCase, run: Any) -> None:
        found = run(section(case, pixel=1.0), plate=17.0)
        assert found.metrics["pixel_um"] == pytest.approx(PIXEL_UM, rel=0.03)
        assert "no pixel size" in " ".join(found.notes)
        assert error(case, found, pixel=1.0) < 0.1

    def test_one_that_is_given_stands_for_the_files(self, case: AtlasCase, run: Any) -> None:
        found = run(section(case, pixel=1.0), pixel=80.0, plate=17.0)
        assert found.metrics["pixel_um"] == pytest.approx(PIXEL_UM, rel=0.01)
        assert not found.notes
        assert error(case, found, pixel=1.0) < 0.05

    def test_areas_are_the_atlass_whatever_the_file_says(self, case: AtlasCase, run: Any) -> None:
        rows = [run(section(case, pixel=pixel), pixel=80.0, plate=17.0).tables["regions"].rows for pixel in (1.0, 0.08)]
        assert [row[2] for row in rows[0]] == pytest.approx([row[2] for row in rows[1]], rel=0.02)


class TestNotes:
    def test_an_inverted_section_is_told_of(self, case: AtlasCase, run: Any) -> None:
        found = run(section(case, stain=-0.7), plate=17.0)
        assert "inverted" in " ".join(found.notes)
        assert error(case, found) < 0.15

    def test_a_doubtful_plate_is_told_of(self, case: AtlasCase, encoder: Seeing, run: Any) -> None:
        found = run(section(case), trained=replace(encoder, sureness=-encoder.sureness), plate=17.0)
        assert found.metrics["confidence"] == pytest.approx(1 / (1 + np.exp(3)), abs=1e-3)
        assert "doubtful" in " ".join(found.notes)

    def test_a_sure_plate_is_not(self, case: AtlasCase, run: Any) -> None:
        assert run(section(case), plate=17.0).notes == []

    def test_an_angle_above_the_largest_is_taken_for_parallel(self, case: AtlasCase, run: Any) -> None:
        found = run(section(case), largest_angle=3.0, plate=17.0)
        assert (found.metrics["pitch_deg"], found.metrics["yaw_deg"]) == (0, 0)
        assert "more than 3°" in " ".join(found.notes)


def mirrored(section: Image) -> Image:
    return replace(section, data=section.data.flip(4))


def mirrored_error(case: AtlasCase, found: Registration) -> float:
    """mm, the largest over places on the mirrored section."""
    matrix = case.plates.matrices(torch.from_numpy(TRUTH)[None])[0]
    flat = torch.tensor([[x, y, 0.0, 1.0] for x in (-3.0, 0.0, 3.0) for y in (-2.0, 2.0)], dtype=torch.float64)
    here = torch.as_tensor(found.fixed_grid.centre) + torch.zeros(len(flat), 3, dtype=torch.float64)
    here[:, :2] += flat[:, :2] * torch.tensor([1.0, -1.0])  # columns run to the left
    return float((found.transform.points(here) - (flat @ matrix.T)[:, :3]).norm(dim=1).max())


class TestTurn:
    @pytest.mark.parametrize(("view", "turns"), [(90.0, 0), (0.0, 1), (-90.0, 1)])
    def test_it_is_told_of_the_section_and_not_of_the_view(
        self, case: AtlasCase, run: Any, monkeypatch: pytest.MonkeyPatch, view: float, turns: int
    ) -> None:
        """Looked at in a view that is turned farther by so many degrees."""
        angle = torch.tensor(math.radians(view))
        on = torch.eye(4)
        on[:2, :2] = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()]).reshape(2, 2)
        seen = runs.identify

        def turned(*given: Any) -> Any:
            found = seen(*given)
            planes = case.plates.matrices(found.starts) @ on
            starts = torch.stack([case.plates.pose_of(plane) for plane in planes]).float()
            return replace(found, view=replace(found.view, placed=found.view.placed @ on), starts=starts)

        monkeypatch.setattr(runs, "identify", turned)
        found = run(section(case, turns))
        assert error(case, found, turns) < 0.05
        assert found.metrics["turned_deg"] == pytest.approx(90 * turns + np.rad2deg(TRUTH[3]), abs=0.5)
        assert any("turned by 93°" in note for note in found.notes) is (turns == 1)
        assert any("turned by" in note for note in found.notes) is (turns == 1)


class TestOtherSide:
    def test_what_is_said_to_lie_on_its_other_side_is_turned_over(self, case: AtlasCase, run: Any) -> None:
        shown = mirrored(section(case))
        found = run(shown, side="back", plate=17.0, deformation="smooth")
        assert mirrored_error(case, found) < 0.1
        assert float((found.warped.data - shown.data).abs().mean()) < 0.01
        assert "The section lies on its other side, mirrored: it was turned over." in found.notes
        assert found.record["chosen"]["side"] == "back"
        markers = np.array(found.record["chosen"]["markers"])
        assert np.abs(markers[:, :2] - markers[:, 2:]).max() < 0.02

    @pytest.mark.parametrize("name", ["anchoring", "pose"])
    def test_what_it_says_starts_another_where_it_ended(self, case: AtlasCase, run: Any, name: str) -> None:
        shown = mirrored(section(case))
        chosen = run(shown, side="back", plate=17.0).record["chosen"]
        side = {"side": "back"} if name == "pose" else {}  # an anchoring tells itself
        again = run(shown, **{name: tuple(chosen[name])}, **side)
        assert mirrored_error(case, again) < 0.05
        assert again.record["chosen"]["side"] == "back"

    def test_markers_lie_where_the_file_has_them(self, case: AtlasCase, run: Any) -> None:
        # The right half of the file is left blank.
        shown = mirrored(section(case))
        shown.data[..., 80:] = 0
        markers = np.array(run(shown, side="back", plate=17.0, deformation="smooth").record["chosen"]["markers"])
        assert len(markers) > 5
        assert markers[:, 2].max() < 0.51

    @pytest.mark.parametrize("over", [False, True])
    def test_of_sagittal_plates_the_side_is_found(self, case: AtlasCase, run: Any, over: bool) -> None:
        plates = Plates(case.template.grid, "sagittal", 0.5)
        sagittal = replace(case, plates=plates)
        shown = section_of(sagittal, pose_of(depth=1.5), shape=(120, 200))
        found = run(mirrored(shown) if over else shown, seeing_along(plates), cut="parallel")
        assert found.record["chosen"]["side"] == ("back" if over else "front")
        assert abs(found.metrics["depth_mm"]) == pytest.approx(1.5, abs=0.1)  # left and right are alike
        assert ("turned over" in " ".join(found.notes)) is over
