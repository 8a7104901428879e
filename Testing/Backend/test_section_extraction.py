"""A section in its head: what is none of the atlas's tissue is left out, and the section is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from regsuite.catalog.sections import AtlasSeriesParameters, AtlasSliceParameters
from regsuite.io.sections import section_grid
from regsuite.learning import training
from regsuite.learning.encoder import TrainedEncoder
from regsuite.methods.sections import locate, pose, series
from regsuite.methods.sections import run as runs
from regsuite.methods.sections.extraction import extracted
from regsuite.methods.sections.identify import Identified
from regsuite.methods.sections.pose import _counted
from regsuite.methods.sections.prepared import Prepared, prepared
from regsuite.methods.sections.views import View
from regsuite.networks.extraction import TissueExtractor
from regsuite.phantoms.atlas import AtlasCase, section_of
from regsuite.progress import Context, Progress
from regsuite.registration import Registration
from regsuite.solvers.slicing import Found
from regsuite.spatial import Image, SectionSet
from regsuite.spatial.plates import cut
from scipy import ndimage
from section_samples import MARGIN, Seeing, brain, nothing_learned, pose_of, seeing
from torch import Tensor

TRUTH = pose_of(depth=1.3, rotation=0.1, shift_x=0.6, shift_y=-0.3)
SKULL = 12
"""Pixels it reaches beyond the brain."""
DARK = 0.3
"""Of the skull, which no part of the brain is as dark as."""


class Peeling(Seeing):
    """Knows skull by its darkness."""

    def extract(self, pictures: Tensor) -> Tensor:
        return (pictures > 0.5 * (DARK + 0.5)).float()


def peeling() -> Peeling:
    return Peeling(**{name: getattr(seeing(), name) for name in TrainedEncoder.__dataclass_fields__})


@pytest.fixture(scope="module")
def case() -> AtlasCase:
    return brain()


def in_a_head(case: AtlasCase, skull: int = SKULL, pixel: float = 0.08, turns: int = 0) -> tuple[Image, np.ndarray]:
    """The section of TRUTH, brightened to .5 to 1, in a skull that wide; and (H, W) bool, where the brain is."""
    shown = section_of(case, TRUTH).data[0, 0, 0].numpy()
    tissue = ndimage.binary_fill_holes(shown > 0.05 * shown.max())
    around = ndimage.binary_dilation(tissue, iterations=skull) if skull else tissue
    values = np.where(tissue, 0.5 + 0.5 * shown / shown.max(), DARK * around).astype(np.float32)
    values, tissue = np.rot90(values, turns).copy(), np.rot90(tissue, turns)
    grid = section_grid(values.shape[1], values.shape[0], (pixel, pixel))
    return Image(torch.from_numpy(values)[None, None, None], grid, "head"), tissue


def overlap(section: Prepared, tissue: np.ndarray) -> float:
    """Dice."""
    found = section.tissue.numpy()
    return float(2 * (found & tissue).sum() / (found.sum() + tissue.sum()))


class TestExtracted:
    @pytest.mark.parametrize("turns", [0, 1])
    def test_only_the_brain_stays(self, case: AtlasCase, turns: int) -> None:
        image, tissue = in_a_head(case, turns=turns)
        before = prepared(image)
        assert overlap(before, tissue) < 0.9
        after = extracted(before, peeling())
        assert overlap(after, tissue) > 0.97
        assert after.left_out == pytest.approx(1 - tissue.sum() / float(before.tissue.sum()), abs=0.02)
        assert torch.equal(after.picture, before.picture * after.tissue)

    def test_a_bare_brain_stays_as_it_is(self, case: AtlasCase) -> None:
        section = prepared(in_a_head(case, skull=0)[0])
        assert extracted(section, peeling()) is section

    def test_a_thin_rim_is_not_believed_to_be_another_tissue(self, case: AtlasCase) -> None:
        image, tissue = in_a_head(case, skull=2)
        section = prepared(image)
        assert 0.02 < 1 - tissue.sum() / float(section.tissue.sum()) < 0.15
        assert extracted(section, peeling()) is section

    def test_a_network_that_learned_little_is_not_believed(self, case: AtlasCase) -> None:
        section = prepared(in_a_head(case)[0])
        poor = replace(peeling(), card={**peeling().card, "validation": {"extraction_dice": 0.6}})
        assert extracted(section, poor) is section

    def test_without_a_pixel_size_that_one_is_taken_at_which_it_is_surest(self, case: AtlasCase) -> None:
        image, tissue = in_a_head(case, pixel=25.4)

        class Unsure(Peeling):
            """Sure only where the head fills about a third of the picture."""

            def extract(self, pictures: Tensor) -> Tensor:
                filled = (pictures > 0.1).float().mean(dim=(1, 2, 3), keepdim=True)
                sure = (filled - 0.35).abs() == (filled - 0.35).abs().amin()
                return torch.where(sure, super().extract(pictures), 0.6 - 0.2 * (pictures > 0.1).float())

        unsure = Unsure(**{name: getattr(seeing(), name) for name in TrainedEncoder.__dataclass_fields__})
        assert overlap(extracted(prepared(image), unsure), tissue) > 0.9

    def test_what_shows_nothing_of_the_atlas_stays_as_it_is(self, case: AtlasCase) -> None:
        section = prepared(in_a_head(case)[0])

        class Blind(Seeing):
            def extract(self, pictures: Tensor) -> Tensor:
                return torch.zeros_like(pictures)

        blind = Blind(**{name: getattr(seeing(), name) for name in TrainedEncoder.__dataclass_fields__})
        assert extracted(section, blind) is section


class TestRun:
    @pytest.fixture
    def run(self, case: AtlasCase, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setattr(runs, "encoder_of", lambda *_: (peeling(), []))

        def registration(image: Image, **values: Any) -> Registration:
            inputs = {"fixed": image, "moving": case.template, "moving_labels": case.labels}
            chosen = AtlasSliceParameters(deformation="none", cut="parallel", plate=17.0, **values)
            return runs.Run({**inputs, "encoder": nothing_learned()}, chosen, Context()).registration()

        return registration

    def test_a_section_is_found_in_its_head_and_that_is_told(self, case: AtlasCase, run: Any) -> None:
        image, _ = in_a_head(case)
        found = run(image)
        assert found.metrics["depth_mm"] == pytest.approx(TRUTH[0], abs=0.15)
        assert found.metrics["turned_deg"] == pytest.approx(np.rad2deg(0.1), abs=1.0)
        assert "left out" in " ".join(found.notes)

    def test_it_can_be_kept(self, case: AtlasCase, run: Any) -> None:
        image, _ = in_a_head(case)
        kept = run(image, extraction="none")
        assert "left out" not in " ".join(kept.notes)
        # With all of the head it fits worse.
        assert kept.metrics["dissimilarity"] > run(image).metrics["dissimilarity"] + 0.1

    def test_a_series_tells_of_which_sections(self, case: AtlasCase, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(series, "encoder_of", lambda *_: (peeling(), []))
        head, bare = in_a_head(case)[0], in_a_head(case, skull=0)[0]
        parts = [Image(each.data, each.grid, name) for each, name in ((head, "head_1"), (bare, "bare_2"))]
        inputs = {"sections": SectionSet(parts, [1, 2]), "moving": case.template, "encoder": nothing_learned()}
        chosen = AtlasSeriesParameters(deformation="none", cut="parallel")
        notes = " ".join(series.series_of(inputs, chosen, Context()).notes)
        assert "left out of head_1:" in notes


def test_what_lies_beyond_the_plate_counts_less_of_a_section_that_was_in_a_head(case: AtlasCase) -> None:
    anatomy = seeing().anatomy
    points = anatomy.points()
    truth = torch.tensor(pose_of(depth=1.3), dtype=torch.float32)[None]
    shown = prepared(section_of(case, pose_of(depth=1.3)))
    tissue = torch.ones(1, 1, *points.shape[:2], dtype=torch.bool)  # far beyond the plate
    bare, taken = (_counted(each, tissue, anatomy, truth, points) for each in (shown, replace(shown, left_out=0.4)))
    assert bool((bare == 1).all())
    plate = cut(anatomy.regions, anatomy.grid, anatomy.plates.matrices(truth), points, "nearest") > 0
    assert bool((taken[plate] == 1).all())
    assert float(taken[..., 0, 0]) == pytest.approx(0.3)


@pytest.mark.parametrize(("left_out", "likelier"), [(0.0, False), (0.4, True)])
def test_more_is_followed_the_way_that_is_likelier(
    case: AtlasCase, monkeypatch: pytest.MonkeyPatch, left_out: float, likelier: bool
) -> None:
    section = replace(prepared(section_of(case, TRUTH)), left_out=left_out)
    search = pose.Search(section, View(torch.eye(4), True), seeing().anatomy, False, True, Progress())
    kept = {}

    def followed(self: pose.Search, rounds: Any, poses: Tensor, cut_away: bool) -> list[Found]:
        kept[cut_away] = rounds[-1][2]
        return [Found(torch.tensor(TRUTH, dtype=torch.float32), 0.5)]

    monkeypatch.setattr(pose.Search, "_followed", followed)
    monkeypatch.setattr(pose.Search, "refined", lambda self, found, *_: found)
    search.candidates(torch.zeros(3, len(TRUTH)))
    assert kept[likelier] > kept[not likelier]


@pytest.mark.parametrize(
    ("away", "expected"), [((10.0, 3.0), 0), ((2.0, 0.5), 1)], ids=["both-say-nothing", "both-count"]
)
def test_an_embedding_that_is_far_from_all_decides_nothing(
    case: AtlasCase, monkeypatch: pytest.MonkeyPatch, away: tuple[float, float], expected: int
) -> None:
    trained, depths = seeing(), (1.3, -2.0)
    found = [
        Found(torch.tensor(pose_of(depth=depth), dtype=torch.float32), energy)
        for depth, energy in zip(depths, (0.4, 0.45), strict=True)
    ]
    monkeypatch.setattr(pose.Search, "candidates", lambda *_: found)
    monkeypatch.setattr(pose.Search, "refined", lambda self, each, *_: each)
    distances = torch.zeros(2, len(trained.plates))
    monkeypatch.setattr(locate, "aligned", lambda *_: (distances, MARGIN * torch.tensor(away)))
    identified = Identified(distances[0], View(torch.eye(4), True), found[0].pose[None])
    placed, _ = locate.located(prepared(section_of(case, TRUTH)), identified, trained, True, Progress())
    assert float(placed.found.pose[0]) == pytest.approx(depths[expected])


def test_the_network_learns_what_is_tissue(case: AtlasCase) -> None:
    anatomy = seeing().anatomy
    torch.manual_seed(0)
    network = TissueExtractor()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        torch.manual_seed(1)  # the same sections
        loss = training._extraction_loss(network, anatomy, 8, 0.2)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-8:]) < 0.7 * np.mean(losses[:4])
