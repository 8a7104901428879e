"""A random forest that segments the slices a user did not paint, from the few that were.

Hip qMRI radial 2D slices to 3D volume registration. WBIR 2022, chapter 23, section 2: random forests on the slices'
maps. Breiman L.: Random forests. Machine Learning 45:5, 2001; here that of scikit-learn. It learns of single pixels
(:mod:`regsuite.learning.pixel_features`); what they say together is made one part a label
(:mod:`regsuite.learning.tidying`).

A forest is of one examination and is not kept: scikit-learn writes pickles only, and painting two slices takes a
minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from regsuite.learning.pixel_features import Layout, pixel_features
from regsuite.learning.tidying import tidied
from regsuite.progress import Progress
from regsuite.spatial.between import distances_between

FEWEST = 2
"""Painted slices."""
_TREES = 50
_LEAF = 3
"""Pixels in a leaf, at least."""
_PIXELS = 6000
"""Of each label, from all slices together; half of them near the outline."""
_NEAR = 5.0
"""mm from the outline."""
_REACH = 25.0
"""mm around what lies between painted slices of a volume, beyond which all is background."""

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Forest:
    """labels: the values that were painted, with background first; painted: which slices of the stack; layout: of the
    stack; box: the part (slices, rows, columns) outside of which all is background; shapes: (L, *box) float32 mm, of
    parallel slices, what :func:`distances_between` says of each label, else (0, *box)."""

    trees: Any
    labels: tuple[int, ...]
    painted: tuple[int, ...]
    layout: Layout
    box: Box
    shapes: np.ndarray

    def segment(
        self, stack: np.ndarray, spacing: Sequence[float], progress: Progress | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Labels (K, H, W) int32 and probabilities (L + 1, K, H, W) float32 in the order of ``labels``.

        Arguments as for :func:`train`; parallel slices have to be those it was trained with. Labels are tidied as
        :func:`regsuite.learning.tidying.tidied` tells, slice by slice where they stand around an axis. Painted slices
        are segmented as well: what was painted is for the caller to keep.
        """
        progress = progress or Progress()
        part = _finite(stack, self.box)
        found = np.empty((len(self.labels), len(part), *part.shape[2:]), np.float32)
        for place, maps in enumerate(part):
            progress.step(place / len(part), "segmenting slices")
            features = _features(maps, spacing, self.layout, self.shapes[:, place])
            found[:, place] = self.trees.predict_proba(_rows(features)).T.reshape(found[:, place].shape)
        if self.layout == "parallel":
            numbers = tidied(found, spacing, middle=False)
        else:
            numbers = np.stack([tidied(each, spacing[1:], middle=True) for each in found.swapaxes(0, 1)])
        shape = (len(stack), *stack.shape[2:])
        labels, probabilities = np.zeros(shape, np.int32), np.zeros((len(self.labels), *shape), np.float32)
        labels[self.box] = np.asarray(self.labels, np.int32)[numbers]
        probabilities[0] = 1
        probabilities[(slice(None), *self.box)] = found
        return labels, probabilities


def train(
    stack: np.ndarray,
    painted: np.ndarray,
    spacing: Sequence[float],
    layout: Layout = "radial",
    seed: int = 0,
    slices: Sequence[int] | None = None,
) -> Forest:
    """A forest of painted slices; the same for the same seed.

    stack: (K, C, H, W), any number of maps, what is not finite counts as 0; painted: (K, H, W) whole numbers, 0 is
    background in painted slices; spacing: mm between slices (of no meaning where they stand around an axis), rows and
    columns; slices: which are painted, by default those with any label. Of each label as many pixels are drawn, half
    of them within 5 mm of its outline. Of parallel slices, each painted one is learned with the shapes that the others
    give, which is what an unpainted one will meet. ValueError for fewer than two painted slices, or no label.
    """
    chosen = painted_slices(painted) if slices is None else sorted(slices)
    values = [int(value) for value in np.unique(painted[chosen]) if value] if chosen else []
    if len(chosen) < FEWEST or not values:
        raise ValueError(f"a forest is trained from {FEWEST} painted slices or more, not {len(chosen)}")
    box: Box = (slice(0, len(stack)), slice(0, stack.shape[2]), slice(0, stack.shape[3]))
    if layout == "parallel":
        box = _box(painted, chosen, spacing)
    part, drawn_on, places = _finite(stack, box), painted[box], [place - box[0].start for place in chosen]
    known_of = _Shapes(drawn_on, values if layout == "parallel" else [], spacing)
    rng = np.random.default_rng(seed)
    known, told = [], []
    for place in places:
        others = [each for each in places if each != place]
        features = _features(part[place], spacing, layout, known_of.between(others)[:, place])
        drawn = _drawn(drawn_on[place], spacing[1:], _PIXELS // len(places), rng)
        known.append(_rows(features)[drawn])
        told.append(drawn_on[place].ravel()[drawn])
    trees = _grown(np.concatenate(known), np.concatenate(told), seed)
    return Forest(trees, (0, *values), tuple(chosen), layout, box, known_of.between(places))


def painted_slices(painted: np.ndarray) -> list[int]:
    """Which slices of (K, H, W) have any label."""
    return [place for place, each in enumerate(painted) if each.any()]


def _grown(known: np.ndarray, values: np.ndarray, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    # One thread: with several, the order of a sum and so its last digit is by chance.
    return RandomForestClassifier(_TREES, min_samples_leaf=_LEAF, random_state=seed, n_jobs=1).fit(known, values)


@dataclass(frozen=True)
class _Shapes:
    """Of the labels ``values`` in slices painted (K, H, W)."""

    painted: np.ndarray
    values: Sequence[int]
    spacing: Sequence[float]

    def between(self, places: Sequence[int]) -> np.ndarray:
        """(L, K, H, W), as if only those slices were painted."""
        masks, count = self.painted[list(places)], len(self.painted)
        found = [distances_between(masks == value, places, count, self.spacing) for value in self.values]
        return np.stack(found) if found else np.zeros((0, *self.painted.shape), np.float32)


def _features(maps: np.ndarray, spacing: Sequence[float], layout: Layout, shapes: np.ndarray) -> np.ndarray:
    return np.concatenate([pixel_features(maps, spacing[1:], layout), shapes])


def _rows(features: np.ndarray) -> np.ndarray:
    """(pixels, F)."""
    return features.reshape(len(features), -1).T


def _finite(stack: np.ndarray, box: Box) -> np.ndarray:
    """(K, C, H, W) float32, of the part."""
    part = stack[box[0], :, box[1], box[2]].astype(np.float32)
    return np.nan_to_num(part, nan=0.0, posinf=0.0, neginf=0.0)


def _box(painted: np.ndarray, places: Sequence[int], spacing: Sequence[float]) -> Box:
    near = distances_between(painted[list(places)] != 0, places, len(painted), spacing) > -_REACH
    return ndimage.find_objects(near.astype(np.int8))[0]


def _drawn(painted: np.ndarray, spacing: Sequence[float], count: int, rng: np.random.Generator) -> np.ndarray:
    """(N,) indices into a slice (H, W)."""
    drawn = []
    for value in np.unique(painted):
        mask = painted == value
        near = mask & (ndimage.distance_transform_edt(mask, spacing) <= _NEAR)
        for pixels in (np.flatnonzero(near), np.flatnonzero(mask)):
            drawn.append(rng.choice(pixels, min(count // 2, len(pixels)), replace=False))
    return np.unique(np.concatenate(drawn))
