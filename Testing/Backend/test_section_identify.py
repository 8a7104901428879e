"""A section looked at from all sides by an encoder whose answers are known: view, size, plate and starts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from regsuite.io.sections import section_grid
from regsuite.learning.encoder import TrainedEncoder
from regsuite.methods.sections.identify import aligned, identify, pixel_is_known
from regsuite.methods.sections.locate import located
from regsuite.methods.sections.prepared import Prepared, prepared
from regsuite.methods.sections.starts import everywhere
from regsuite.methods.sections.views import View
from regsuite.phantoms.atlas import AtlasCase, section_of
from regsuite.progress import Progress
from regsuite.spatial import Image
from section_samples import Seeing, brain, pose_of, seeing
from torch import Tensor

TRUE = 16
"""The plate that is looked for, from 0."""
SIZED = 9
"""One whose tissue is about 0.8 of the atlas's width, which is among the sizes that are tried."""


@pytest.fixture(scope="module")
def case() -> AtlasCase:
    return brain()


@pytest.fixture(scope="module")
def encoder() -> TrainedEncoder:
    return seeing()


def section(case: AtlasCase, turns: int = 0, size: float = 1.0, plate: int = TRUE) -> Prepared:
    """Of a plate, turned by so many right angles against the clock; size: its mm to a mm."""
    image = section_of(case, pose_of(depth=float(case.plates.depths()[plate])))
    data = torch.rot90(image.data, turns, (3, 4))
    return prepared(Image(data, section_grid(data.shape[4], data.shape[3], (0.08 * size, 0.08 * size))))


class TestPlate:
    @pytest.mark.parametrize("turns", [0, 1, 2, 3])
    def test_a_turned_section_comes_back_upright(self, case: AtlasCase, encoder: TrainedEncoder, turns: int) -> None:
        found = identify(section(case, turns), encoder, pixel_known=True, parallel=True)
        assert int(found.order[0]) == TRUE
        # What was turned against the clock has to be turned with it.
        assert abs((found.view.turn - 90 * turns + 180) % 360 - 180) < 1e-3

    def test_the_starts_hold_the_truth_and_lie_apart(self, case: AtlasCase, encoder: TrainedEncoder) -> None:
        found = identify(section(case), encoder, pixel_known=True)
        assert float((found.starts[:, 0] - case.plates.depths()[TRUE]).abs().min()) < 0.3
        # In depth (pixels), turn and size, so that none is sliced from twice.
        markers = found.starts[:, [0, 3, 4]] / torch.tensor([1.5 * encoder.anatomy.pixel, 0.2, 0.15])
        apart = (markers[:, None] - markers[None]).abs().amax(dim=2)
        assert float(apart[~torch.eye(len(markers), dtype=torch.bool)].min()) > 1

    def test_other_views_are_started_from_too(self, case: AtlasCase, encoder: TrainedEncoder) -> None:
        # Where each other turn than the best puts the middle of the brain, which is in the middle of the tissue.
        found = identify(section(case), encoder, pixel_known=True, parallel=True)
        turned = found.starts[found.starts[:, 3].abs() > 0.4]
        assert len(turned) > 3
        assert float(turned[:, 7:9].abs().max()) < 0.5  # mm

    def test_parallel_starts_are_not_tilted(self, case: AtlasCase, encoder: TrainedEncoder) -> None:
        starts = identify(section(case), encoder, pixel_known=True, parallel=True).starts
        assert float(starts[:, 1:3].abs().max()) < 1e-6


class TestSize:
    @pytest.mark.parametrize("size", [13.0, 0.01])
    def test_a_size_that_is_not_known_is_found(self, case: AtlasCase, encoder: TrainedEncoder, size: float) -> None:
        shown = section(case, size=size, plate=SIZED)
        assert not pixel_is_known(shown, encoder)
        found = identify(shown, encoder, pixel_known=False, parallel=True)
        assert abs(int(found.order[0]) - SIZED) <= 1
        assert found.view.scale == pytest.approx(size, rel=0.03)

    @pytest.mark.parametrize("size", [0.8, 1.0, 1.25])
    def test_a_size_that_can_be_is_believed(self, case: AtlasCase, encoder: TrainedEncoder, size: float) -> None:
        shown = section(case, size=size)
        assert pixel_is_known(shown, encoder)
        assert identify(shown, encoder, pixel_known=True).view.scale == pytest.approx(1, abs=1e-5)


class Telling(Seeing):
    """Says of each picture how much it is turned and shifted, as far as the tissue on it tells."""

    def look(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        embeddings, said = super().look(pictures)
        points = self.anatomy.points()[..., :2]
        mass = pictures[:, 0, :, :, None] / pictures.sum((1, 2, 3))[:, None, None, None].clamp(min=1e-6)
        # A plate at pose (shift) shows its middle where shift + x = 0.
        said[:, 5:7] = -(mass * points).sum((1, 2))
        return embeddings, said


def test_what_the_encoder_says_of_a_shift_is_undone(case: AtlasCase, encoder: TrainedEncoder) -> None:
    telling = Telling(**{name: getattr(encoder, name) for name in encoder.__dataclass_fields__})
    whole = section(case)
    cut_off = replace(whole, tissue=whole.tissue & (torch.arange(160) < 70))  # its box's middle is off the brain's
    off = abs(cut_off.middle()[0])
    placed = identify(cut_off, telling, pixel_known=True, parallel=True).view.placed.numpy()
    assert off > 1.5
    # Where the brain's middle stands in the view.
    assert np.abs(np.linalg.inv(placed)[:2, 3]).max() < 0.4


class TestEverywhere:
    def starts(self, case: AtlasCase, encoder: TrainedEncoder, parallel: bool) -> Tensor:
        shown = section(case)
        view = identify(shown, encoder, pixel_known=True, parallel=True).view
        return everywhere(shown, encoder, view, parallel)

    def test_all_of_the_atlas_at_all_turns(self, case: AtlasCase, encoder: TrainedEncoder) -> None:
        starts = self.starts(case, encoder, parallel=True)
        half = float(case.plates.extent[2]) / 2
        depths = (starts[:, 0] * 1e4).round().unique() / 1e4
        apart = depths.diff()
        assert float(apart.max()) < 6 * encoder.anatomy.pixel
        assert float(depths[0] + half) == pytest.approx(float(apart[0]), abs=1e-3)
        assert float(half - depths[-1]) == pytest.approx(float(apart[0]), abs=1e-3)
        turns = torch.rad2deg(starts[:, 3]).round().remainder(360).unique()
        assert turns.tolist() == [30.0 * k for k in range(12)]
        assert float(starts[:, 1:3].abs().max()) < 1e-6
        assert float(starts[:, 4:7].abs().max()) < 1e-5  # of the size that the section has

    def test_also_beside_the_middle(self, case: AtlasCase, encoder: TrainedEncoder) -> None:
        starts = self.starts(case, encoder, parallel=True)
        far = starts[:, 7:9].norm(dim=1)
        side = 0.15 * float(max(case.plates.extent[:2]))
        # Twelve turns, in the middle twice (the encoder says nothing of a shift) and on four sides.
        assert float((far < 1e-3).double().mean()) == pytest.approx(2 / 6)
        assert float(((far - side).abs() < 1e-3).double().mean()) == pytest.approx(4 / 6)

    def test_tilted_where_sections_are_not_parallel(self, case: AtlasCase, encoder: TrainedEncoder) -> None:
        tilts = torch.rad2deg(self.starts(case, encoder, parallel=False)[:, 1:3]).round().unique(dim=0)
        assert sorted(tilts.tolist()) == [[-10, 0], [0, -10], [0, 0], [0, 10], [10, 0]]


class TestAligned:
    @pytest.mark.parametrize("turn", [0.0, 0.6, -2.0])
    def test_a_section_is_seen_as_it_lies(self, case: AtlasCase, encoder: TrainedEncoder, turn: float) -> None:
        shown = section(case)
        angle = torch.tensor(turn)
        placed = torch.eye(4)
        placed[:2, :2] = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).reshape(2, 2)
        true = torch.from_numpy(pose_of(depth=float(case.plates.depths()[TRUE]), rotation=turn)).float()
        wrong = torch.from_numpy(pose_of(depth=float(case.plates.depths()[TRUE - 6]), rotation=turn + 1)).float()
        distances, away = aligned(shown, encoder, View(placed, True), torch.stack([wrong, true]))
        assert distances.shape == (2, case.plates.count)
        assert int(distances[1].argmin()) == TRUE
        # The atlas where it is cut is the plate itself.
        assert float(away[1]) == pytest.approx(float(distances[1, TRUE]), abs=1e-5)
        assert float(away[0]) > 2 * float(away[1])


class TestLocated:
    def test_a_section_is_found_where_the_encoder_was_wrong(self, case: AtlasCase, encoder: TrainedEncoder) -> None:
        shown, depth = section(case), float(case.plates.depths()[TRUE])
        seen = identify(shown, encoder, pixel_known=True, parallel=True)
        astray = replace(seen, starts=seen.starts[:1] * 0 + seen.starts.new_tensor(pose_of(depth=-depth)))
        found, again = located(shown, astray, encoder, parallel=True, progress=Progress())
        assert float(found.found.pose[0]) == pytest.approx(depth, abs=0.05)
        assert int(again.order[0]) == TRUE
