"""Where the user says a section lies: a plate, a pose or an anchoring, and what cannot be one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from regsuite import io
from regsuite.catalog.sections import AtlasSliceParameters
from regsuite.errors import InputError
from regsuite.learning.encoder import TrainedEncoder
from regsuite.methods.sections.given import Given, sees_the_back, started_view
from regsuite.methods.sections.pose import matrix_to_atlas
from regsuite.methods.sections.prepared import Prepared, prepared
from regsuite.methods.sections.views import View
from regsuite.phantoms.atlas import AtlasCase, section_of
from section_samples import brain, pose_of, seeing

TRUTH = pose_of(depth=1.3, pitch=0.1, yaw=-0.2, rotation=2.9, scale_x=0.3, scale_y=0.22, shear=0.05, shift_x=0.4)


@pytest.fixture(scope="module")
def case() -> AtlasCase:
    return brain()


@pytest.fixture(scope="module")
def encoder() -> TrainedEncoder:
    return seeing()


@pytest.fixture(scope="module")
def section(case: AtlasCase) -> Prepared:
    return prepared(section_of(case, pose_of(depth=1.0), shape=(100, 150)))


def started(encoder: TrainedEncoder, section: Prepared, case: AtlasCase, **chosen: object) -> Given | None:
    parameters = AtlasSliceParameters(**chosen)  # type: ignore[arg-type]
    return started_view(parameters, section, encoder, View(torch.eye(4), True), case.template.grid)


def placed(given: Given | None, section: Prepared, case: AtlasCase) -> np.ndarray:
    """(4, 4) from the section's RAS mm to the atlas's."""
    assert given is not None
    return matrix_to_atlas(section, given.view, case.plates, given.starts[0])


def true_matrix(section: Prepared, case: AtlasCase) -> np.ndarray:
    return matrix_to_atlas(section, View(torch.eye(4), True), case.plates, torch.from_numpy(TRUTH))


class TestStarts:
    def test_nothing_given_is_left_to_the_encoder(
        self, encoder: TrainedEncoder, section: Prepared, case: AtlasCase
    ) -> None:
        assert started(encoder, section, case) is None

    @pytest.mark.parametrize("plate", [1, 7.5, 27])
    def test_a_plate_is_counted_from_one(
        self, encoder: TrainedEncoder, section: Prepared, case: AtlasCase, plate: float
    ) -> None:
        given = started(encoder, section, case, plate=float(plate))
        assert given is not None
        assert case.plates.number(float(given.starts[0, 0])) == pytest.approx(plate - 1)
        assert not given.starts[0, 1:].any()

    def test_a_pose_is_where_its_numbers_say(self, encoder: TrainedEncoder, section: Prepared, case: AtlasCase) -> None:
        given = started(encoder, section, case, pose=tuple(TRUTH.tolist()))
        matrix = true_matrix(section, case)
        assert np.allclose(placed(given, section, case)[:, [0, 1, 3]], matrix[:, [0, 1, 3]], atol=2e-5)

    def test_an_anchoring_is_where_quicknii_puts_the_section(
        self, encoder: TrainedEncoder, section: Prepared, case: AtlasCase
    ) -> None:
        matrix = true_matrix(section, case)
        # A picture begins at its first pixel, as the phantom's section does.
        anchoring = io.anchoring_of(matrix, 150, 100, (0.08, 0.08), case.template.grid)
        given = started(encoder, section, case, anchoring=anchoring)
        assert np.allclose(placed(given, section, case)[:, [0, 1, 3]], matrix[:, [0, 1, 3]], atol=2e-5)

    def test_a_start_leaves_little_to_be_turned_and_scaled(
        self, encoder: TrainedEncoder, section: Prepared, case: AtlasCase
    ) -> None:
        given = started(encoder, section, case, pose=tuple(TRUTH.tolist()))
        assert given is not None
        assert given.starts[0, 3:].abs().max() < 0.1
        assert given.starts[0, :3].numpy() == pytest.approx(TRUTH[:3], abs=1e-5)
        # The picture stands turned against the clock by as much as its pose turns it back.
        assert given.view.turn == pytest.approx(np.rad2deg(TRUTH[3]), abs=3)


class TestRefused:
    @pytest.mark.parametrize(
        ("chosen", "words"),
        [
            ({"plate": 28.0}, "no plate 28"),
            ({"plate": 0.5}, "no plate 0.5"),
            ({"pose": (1.0, 2.0)}, "9 numbers"),
            ({"pose": (1.0,)}, "9 numbers"),
            ({"anchoring": (1.0,) * 8}, "nine numbers"),
            ({"anchoring": (3.0,)}, "nine numbers"),
            ({"anchoring": (0.0,) * 9}, "without an area"),
            ({"anchoring": (20.0, 0, 40, 0, 40, 0, 0, 0, -30)}, "across"),
        ],
        ids=str,
    )
    def test_what_cannot_be_is_an_input_error(
        self, encoder: TrainedEncoder, section: Prepared, case: AtlasCase, chosen: dict[str, object], words: str
    ) -> None:
        with pytest.raises(InputError, match=words):
            started(encoder, section, case, **chosen)


@pytest.mark.parametrize(
    ("anchoring", "back"),
    [
        ((40.0, 20, 30, -40, 0, 0, 0, 0, -30), False),
        ((0.0, 20, 30, 40, 0, 0, 0, 0, -30), True),
        ((0.0,) * 9, False),
        ((0.0,), False),
    ],
)
def test_an_anchoring_tells_the_side(
    encoder: TrainedEncoder, section: Prepared, case: AtlasCase, anchoring: tuple[float, ...], back: bool
) -> None:
    chosen = AtlasSliceParameters(anchoring=anchoring)
    assert sees_the_back(chosen, section, case.template.grid, encoder.anatomy.plates) is back
