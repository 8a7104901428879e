"""Who segments what: the user, a forest, or a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.networks.nets import UNet
from regsuite.errors import InputError
from regsuite.learning.checkpoint import Checkpoint
from regsuite.methods.radial.segmentation import Segmentation
from regsuite.progress import Context, Progress
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.slice_sets import SliceSet

_GRID = Grid.regular((1, 40, 48), (4.0, 1.0, 1.0))
_STACK = Grid.regular((4, 40, 48), (4.0, 1.0, 1.0))


def disc(radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:40, :48]
    return (np.hypot(rows - 19.5, columns - 23.5) < radius).astype(np.int32)


_TRUTH = np.stack([disc(radius) for radius in (10, 12, 11, 13)])


def slices() -> SliceSet:
    rng = np.random.default_rng(0)
    images = tuple(Image.from_array(100.0 * each[None] + rng.normal(0, 5, (1, 40, 48)), _GRID) for each in _TRUTH)
    return SliceSet({"PD": images, "T2": images}, {"PD": "", "T2": "ms"}, frozenset({"T2"}), 4.0, False)


def labels_of(places: list[int]) -> LabelImage:
    painted = np.zeros_like(_TRUTH)
    painted[places] = _TRUTH[places]
    return LabelImage.from_array(painted, _STACK, {1: "Femur"})


def segmentation(weights: Checkpoint | None = None) -> Segmentation:
    return Segmentation.by(slices(), "PD", Context(), weights)


def network(dimensions: int, channels: int) -> Checkpoint:
    net = UNet(dimensions, channels, 2, (4, 8), (2,))
    return Checkpoint(net.state_dict(), {"file": "net.pt"})


class TestSlices:
    def test_what_was_painted_stays_and_a_forest_does_the_rest(self) -> None:
        made, drawn = segmentation(), labels_of([1, 2])
        drawn.data[0, 0, 1, 0, 0] = 1  # no forest would paint that
        found = made.of_slices(drawn, Progress())
        np.testing.assert_array_equal(found.array()[1:3], drawn.array()[1:3])
        for place in (0, 3):
            assert (
                2 * (found.array()[place] & _TRUTH[place]).sum() > 0.95 * (found.array()[place] + _TRUTH[place]).sum()
            )
        assert found.names == {1: "Femur"}
        assert made.notes == [
            "Slices 2, 3 are as they were painted and slices 1, 4 were segmented by a random forest: look at them."
        ]

    def test_a_whole_segmentation_is_taken_as_it_is(self) -> None:
        made, drawn = segmentation(), labels_of([0, 1, 2, 3])
        assert made.of_slices(drawn, Progress()) is drawn
        assert not made.notes

    @pytest.mark.parametrize(("places", "what"), [([2], "only slice 3"), ([], "no slice")])
    def test_two_slices_have_to_be_painted(self, places: list[int], what: str) -> None:
        with pytest.raises(InputError, match=f"bone in {what}: paint it in two slices or more"):
            segmentation().of_slices(labels_of(places), Progress())

    def test_a_stack_of_another_shape(self) -> None:
        other = LabelImage.from_array(np.zeros((3, 40, 48), np.int32), Grid.regular((3, 40, 48), 1.0))
        with pytest.raises(InputError, match="3 x 40 x 48 voxels and the slices of 4 x 40 x 48"):
            segmentation().of_slices(other, Progress())

    def test_a_network_needs_nothing_painted(self) -> None:
        for channels in (1, 2):
            made = segmentation(network(2, channels))
            assert made.of_slices(None, Progress()).grid.shape == (4, 40, 48)
            assert made.notes == ["Slices 1, 2, 3, 4 were segmented by the network: look at them."]

    def test_a_network_for_other_images(self) -> None:
        with pytest.raises(InputError, match="takes 3 images at a time, and there are 2"):
            segmentation(network(2, 3)).of_slices(None, Progress())


class TestVolume:
    grid = Grid.regular((24, 40, 48), 1.0)
    truth = np.stack([disc(10)] * 24)
    image = Image.from_array(100.0 * truth + np.random.default_rng(1).normal(0, 5, truth.shape), grid)

    def painted(self, axis: int, places: list[int]) -> LabelImage:
        labels = np.zeros_like(self.truth)
        np.moveaxis(labels, axis, 0)[places] = np.moveaxis(self.truth, axis, 0)[places]
        return LabelImage.from_array(labels, self.grid, {1: "Femur"})

    @pytest.mark.parametrize(("axis", "places"), [(0, [3, 20]), (2, [16, 23, 30])])
    def test_painted_across_any_axis(self, axis: int, places: list[int]) -> None:
        made = segmentation()
        found = made.of_volume(self.image, self.painted(axis, places), "forest", Progress()).array()
        assert 2 * (found & self.truth).sum() / (found.sum() + self.truth.sum()) > 0.93
        assert made.notes[0].startswith(f"{len(places)} slices of the volume are as they were painted and the other")

    def test_as_given_it_stays_and_gaps_are_told_of(self) -> None:
        made, some = segmentation(), self.painted(0, [3, 20])
        assert made.of_volume(self.image, some, "given", Progress()) is some
        assert "painted on 2 slices and empty between them" in made.notes[0]

    def test_what_a_forest_cannot_learn_of(self) -> None:
        for places in ([5], list(range(24))):
            with pytest.raises(InputError, match="slices without paint between them: paint it so"):
                segmentation().of_volume(self.image, self.painted(0, places), "forest", Progress())
        with pytest.raises(InputError, match="is empty: segment the bone"):
            segmentation().of_volume(self.image, self.painted(0, []), "forest", Progress())

    def test_nothing_given(self) -> None:
        with pytest.raises(InputError, match="The volume has no segmentation: give one"):
            segmentation(network(2, 1)).of_volume(self.image, None, "given", Progress())
        found = segmentation(network(3, 1)).of_volume(self.image, None, "given", Progress())
        assert found.data.dtype == torch.int32
        assert found.grid.shape == (24, 40, 48)
