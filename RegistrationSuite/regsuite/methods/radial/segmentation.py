"""The bone in slices and volume: as a user drew it, and where they did not, by a random forest or a network of theirs.

The paper (section 2) has a random forest on the slices and a network on the volume.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from regsuite.errors import InputError
from regsuite.learning.bone_network import BoneNetwork, bone_network
from regsuite.learning.checkpoint import Checkpoint
from regsuite.learning.forest import FEWEST, Layout, painted_slices, train
from regsuite.progress import Context, Progress
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.slice_sets import SliceSet


@dataclass
class Segmentation:
    """compared: the name of the images that a network of one channel looks at; notes: who segmented what."""

    set: SliceSet
    compared: str
    context: Context
    network: BoneNetwork | None
    notes: list[str] = field(default_factory=list)

    @classmethod
    def by(cls, set: SliceSet, compared: str, context: Context, weights: Checkpoint | None) -> Segmentation:
        """weights: of a network, where a user brings one; InputError where they are none."""
        return cls(set, compared, context, None if weights is None else bone_network(weights))

    def of_slices(self, drawn: LabelImage | None, progress: Progress) -> LabelImage:
        """(K, H, W), all slices: what was drawn stays; a network does the others, or a forest that learns of these.

        InputError where there is nothing to go by.
        """
        grid = drawn.grid if drawn else self._stack_grid()
        self._check_shape(grid)
        painted = drawn.array() if drawn else np.zeros(grid.shape, np.int32)
        done = painted_slices(painted)
        left = [number for number in range(self.set.count) if number not in done]
        if not left:
            return drawn if drawn is not None else LabelImage.from_array(painted, grid)
        if self.network is not None and self.network.dimensions == 2:
            found, by = self._slices_by_network(progress), "the network"
        else:
            self._check_painted(done)
            found, by = self._grown(self._stack(), painted, grid.spacing, "radial", progress), "a random forest"
        told = f"Slices {_listed(done)} are as they were painted and slices" if done else "Slices"
        self.notes.append(f"{told} {_listed(left)} were segmented by {by}: look at them.")
        found[done] = painted[done]
        return _like(drawn, found, grid)

    def of_volume(self, image: Image, labels: LabelImage | None, how: str, progress: Progress) -> LabelImage:
        """On the volume's grid; how: 'given' or 'forest', as the parameter says. InputError as above."""
        if self.network is not None and self.network.dimensions == 3:
            self._check_channels(1)
            self.notes.append("The volume was segmented by the network: look at it.")
            return _like(labels, self.network.segment(image, self.context.device), image.grid)
        if labels is None:
            raise InputError(
                "The volume has no segmentation: give one, painted on two slices or more, or a network for volumes."
            )
        axis, done = _painted_along(labels.array())
        gaps = len(done) < done[-1] - done[0] + 1
        if how == "given":
            if gaps:
                self.notes.append(
                    f"The volume's segmentation is painted on {len(done)} slices and empty between them: choose "
                    "'forest' for it, or complete it."
                )
            return labels
        if not labels.grid.same_as(image.grid) or not gaps:
            raise InputError(
                f"A forest needs the volume's segmentation painted on {FEWEST} of the volume's own slices or more, and "
                "slices without paint between them: paint it so, or take it as it is given."
            )
        stack = np.moveaxis(image.array(), axis, 0)[:, None]
        painted = np.moveaxis(labels.array(), axis, 0)
        spacing = [image.grid.spacing[each] for each in (axis, *(other for other in range(3) if other != axis))]
        found = self._grown(stack, painted, spacing, "parallel", progress)
        found[done] = painted[done]
        self.notes.append(
            f"{len(done)} slices of the volume are as they were painted and the other {len(found) - len(done)} were "
            "segmented by a random forest: look at them."
        )
        return _like(labels, np.moveaxis(found, 0, axis), image.grid)

    def _grown(
        self, stack: np.ndarray, painted: np.ndarray, spacing: Iterable[float], layout: Layout, progress: Progress
    ) -> np.ndarray:
        steps = tuple(spacing)
        return train(stack, painted, steps, layout, self.context.seed).segment(stack, steps, progress)[0]

    def _slices_by_network(self, progress: Progress) -> np.ndarray:
        assert self.network is not None
        names = [self.compared] if self.network.channels == 1 else list(self.set.maps)
        self._check_channels(len(names))
        found = []
        for number in range(self.set.count):
            progress.step(number / self.set.count, "segmenting slices")
            images = [self.set.maps[name][number] for name in names]
            joined = replace(images[0], data=torch.cat([each.data for each in images], dim=1))
            found.append(self.network.segment(joined, self.context.device, around_axis=True)[0])
        return np.stack(found)

    def _stack(self) -> np.ndarray:
        """(K, C, H, W)."""
        return np.stack(
            [np.concatenate([each.array() for each in images]) for images in self.set.maps.values()], axis=1
        )

    def _stack_grid(self) -> Grid:
        first = self.set.grids[0]
        return Grid.regular((self.set.count, *first.shape[1:]), (self.set.thickness, *first.spacing[1:]))

    def _check_shape(self, grid: Grid) -> None:
        shape = (self.set.count, *self.set.grids[0].shape[1:])
        if tuple(grid.shape) != shape:
            told, wanted = (" x ".join(map(str, each)) for each in (grid.shape, shape))
            raise InputError(
                f"The slices' segmentation is of {told} voxels and the slices of {wanted}: segment the slices in their "
                "order."
            )
        shapes = {image.grid.shape for images in self.set.maps.values() for image in images}
        if len(shapes) > 1:
            raise InputError("The slices' maps differ in their matrix: take them from one examination.")

    def _check_painted(self, done: list[int]) -> None:
        if len(done) < FEWEST:
            what = f"only slice {done[0] + 1}" if done else "no slice"
            raise InputError(
                f"The slices' segmentation shows the bone in {what}: paint it in two slices or more, best in some that "
                "look different, and a random forest does the others."
            )

    def _check_channels(self, count: int) -> None:
        assert self.network is not None
        if self.network.channels != count:
            raise InputError(
                f"The network takes {self.network.channels} images at a time, and there are {count}: give one that was "
                "trained with these, or with a single one."
            )


def _like(given: LabelImage | None, array: np.ndarray, grid: Grid) -> LabelImage:
    names: Mapping[int, str] = given.names if given else {}
    return LabelImage.from_array(array, grid, names, given.colours if given else {}, given.terms if given else {})


def _listed(places: list[int]) -> str:
    """Counted from 1."""
    return ", ".join(str(place + 1) for place in places)


def _painted_along(labels: np.ndarray) -> tuple[int, list[int]]:
    """Across which array axis slices are painted, and which: that with the fewest slices of any label."""
    found = [painted_slices(np.moveaxis(labels, axis, 0)) for axis in range(labels.ndim)]
    axis = min(range(labels.ndim), key=lambda each: len(found[each]))
    if not found[axis]:
        raise InputError("The volume's segmentation is empty: segment the bone that the slices show.")
    return axis, found[axis]
