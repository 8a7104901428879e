"""A section looked at from all sides by an encoder whose answers are known: view, size, plate and starts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from regsuite.io.sections import section_grid
from regsuite.learning.encoder import TrainedEncoder
from regsuite.methods.sections.identify import identify, pixel_is_known
from regsuite.methods.sections.prepared import Prepared, prepared
from regsuite.phantoms.atlas import AtlasCase, section_of
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
        depths = found.starts[:, 0]
        assert float((depths - case.plates.depths()[TRUE]).abs().min()) < 0.3
        gaps = (depths[1:, None] - depths[None, 1:]).abs()
        assert float(gaps[~torch.eye(len(gaps), dtype=torch.bool)].min()) > 2 * encoder.anatomy.pixel

    def test_parallel_starts_are_not_tilted(self, case: AtlasCase, encoder: TrainedEncoder) -> None:
        assert not identify(section(case), encoder, pixel_known=True, parallel=True).starts[:, 1:].any()


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
