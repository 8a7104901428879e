"""A random forest does the slices that a user did not paint."""

from __future__ import annotations

import numpy as np
import pytest
from regsuite.learning.forest import painted_slices, train
from regsuite.learning.pixel_features import pixel_features
from regsuite.learning.tidying import tidied
from regsuite.phantoms.hip import FEMUR, hip
from regsuite.phantoms.radial import RadialAcquisition, RadialRecipe, radial_acquisition
from regsuite.spatial.between import distances_between

_PAINTED = (0, 3)


@pytest.fixture(scope="module")
def acquired() -> RadialAcquisition:
    case = hip(2, "right", 2.0)
    recipe = RadialRecipe(shape=(96, 96), pixel=1.5)
    return radial_acquisition(case.volume, case.tissues, FEMUR, case.centre, case.normal, recipe=recipe, seed=2)


def stack_of(acquired: RadialAcquisition) -> np.ndarray:
    every = [acquired.slices, *acquired.maps.values()]
    return np.stack([[each[k].array()[0] for each in every] for k in range(6)])


def truth_of(acquired: RadialAcquisition) -> np.ndarray:
    return np.stack([each.array()[0] for each in acquired.true_silhouettes])


def painted_of(truth: np.ndarray) -> np.ndarray:
    painted = np.zeros_like(truth)
    painted[list(_PAINTED)] = truth[list(_PAINTED)]
    return painted


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


class TestSlicesAroundAnAxis:
    spacing = (4.0, 1.5, 1.5)

    def test_four_slices_follow_from_two(self, acquired: RadialAcquisition) -> None:
        truth = truth_of(acquired)
        labels, probabilities = train(stack_of(acquired), painted_of(truth), self.spacing).segment(
            stack_of(acquired), self.spacing
        )
        rest = [k for k in range(6) if k not in _PAINTED]
        assert min(dice(labels[k] > 0, truth[k] > 0) for k in rest) > 0.93
        assert probabilities.shape == (2, 6, 96, 96)
        np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)

    def test_it_is_repeatable_and_another_seed_is_another_forest(self, acquired: RadialAcquisition) -> None:
        stack, painted = stack_of(acquired)[:, :1], painted_of(truth_of(acquired))
        forests = [train(stack, painted, self.spacing, seed=seed) for seed in (4, 4, 5)]
        one, same, other = (forest.segment(stack[1:3], self.spacing)[1] for forest in forests)
        np.testing.assert_array_equal(one, same)
        assert (one != other).any()

    def test_several_labels_keep_their_values(self) -> None:
        rows, columns = np.mgrid[:64, :64] - 31.5
        truth = np.zeros((3, 64, 64), np.int32)
        truth[:, np.hypot(rows, columns) < 20] = 7
        truth[:, np.hypot(rows, columns) < 10] = 3
        noise = np.random.default_rng(0).normal(0, 3, truth.shape)
        stack = (np.choose(truth // 3, [0.0, 50.0, 100.0]) + noise)[:, None]
        painted = truth.copy()
        painted[1] = 0
        labels, _ = train(stack, painted, (4.0, 1.0, 1.0)).segment(stack, (4.0, 1.0, 1.0))
        assert all(dice(labels[1] == value, truth[1] == value) > 0.95 for value in (3, 7))

    def test_values_that_are_missing_do_not_stop_it(self, acquired: RadialAcquisition) -> None:
        stack, painted = stack_of(acquired)[:, :2], painted_of(truth_of(acquired))
        stack[:, 1, :5] = np.nan
        assert np.isfinite(train(stack, painted, self.spacing).segment(stack, self.spacing)[1]).all()

    def test_one_painted_slice_is_too_few(self, acquired: RadialAcquisition) -> None:
        painted = painted_of(truth_of(acquired))
        painted[0] = 0
        with pytest.raises(ValueError, match="2 painted slices"):
            train(stack_of(acquired), painted, self.spacing)


class TestParallelSlices:
    def test_a_bone_between_painted_slices(self) -> None:
        case = hip(0, "right", 2.0)
        truth = (case.tissues.array() == FEMUR).astype(np.int32)
        painted = np.zeros_like(truth)
        painted[[8, 23, 37, 52]] = truth[[8, 23, 37, 52]]
        stack, spacing = case.volume.array()[:, None], (2.0, 2.0, 2.0)
        labels, _ = train(stack, painted, spacing, "parallel").segment(stack, spacing)
        alone = distances_between(painted[[8, 23, 37, 52]] > 0, [8, 23, 37, 52], len(truth), spacing) > 0
        assert dice(labels > 0, truth > 0) > 0.9 > dice(alone, truth > 0)


class TestBetween:
    def test_a_disc_grows_evenly_into_a_larger_one(self) -> None:
        rows, columns = np.mgrid[:61, :61] - 30
        radius = np.hypot(rows, columns)
        found = distances_between(np.stack([radius <= 10, radius <= 20]), [2, 6], 9, (3.0, 1.0, 1.0))
        middle = np.sqrt((found[4] > 0).sum() / np.pi)
        assert middle == pytest.approx(15.4, abs=0.5)
        np.testing.assert_allclose(found[8], found[6] - 6.0)

    def test_painted_slices_are_those_with_a_label(self) -> None:
        painted = np.zeros((4, 3, 3), int)
        painted[[1, 3], 1, 1] = 5
        assert painted_slices(painted) == [1, 3]


class TestPixelFeatures:
    def test_no_flip_changes_them(self) -> None:
        maps = np.random.default_rng(0).random((2, 40, 33))
        features = pixel_features(maps, (1.0, 1.5), "radial")
        for axis in (1, 2):
            flipped = pixel_features(np.flip(maps, axis), (1.0, 1.5), "radial")
            np.testing.assert_allclose(np.flip(flipped, axis), features, atol=2e-5)

    def test_a_dark_line_hides_what_is_behind_it(self) -> None:
        image = np.ones((1, 21, 81), np.float32)
        image[:, :, 58:63] = 0.0
        beside = np.ones((1, 21, 81), np.float32)
        told, clear = (pixel_features(each, (1.0, 1.0), "radial")[:, 10, 75] for each in (image, beside))
        least, _, change = (told - clear)[-4:-1]
        assert least == pytest.approx(-1, abs=0.05)
        assert change == pytest.approx(2, abs=0.05)  # down to it and up again

    def test_a_ramp_has_its_slope_and_no_curvature(self) -> None:
        ramp = 3.0 * np.arange(80, dtype=np.float32) * 0.5 * np.ones((80, 1), np.float32)
        features = pixel_features(ramp[None], (0.5, 0.5), "parallel")[:, 40, 40]
        assert features[3] == pytest.approx(3.0, rel=1e-3)
        assert features[4:6] == pytest.approx([0, 0], abs=1e-3)


class TestTidying:
    def test_the_part_at_the_middle_stays_without_what_hangs_on_a_thread(self) -> None:
        probabilities = np.zeros((2, 60, 100), np.float32)
        bone = np.zeros((60, 100), bool)
        bone[20:40, 40:60] = True
        probabilities[1][bone] = 1
        probabilities[1, 28:30, 45:47] = 0  # a hole
        probabilities[1, 30, 60:75] = 1  # a thread
        probabilities[1, 18:40, 75:97] = 1  # larger, but aside
        probabilities[0] = 1 - probabilities[1]
        labels = tidied(probabilities, (1.0, 1.0), middle=True)
        assert dice(labels > 0, bone) > 0.97
        assert labels[29, 46] == 1
        assert not labels[:, 70:].any()

    def test_nothing_found_is_nothing(self) -> None:
        probabilities = np.stack([np.ones((8, 8), np.float32), np.zeros((8, 8), np.float32)])
        assert not tidied(probabilities, (1.0, 1.0), middle=True).any()
