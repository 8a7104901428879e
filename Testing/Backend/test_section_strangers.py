"""Pictures that are none of the atlas's sections are not believed, whatever they show; some plate is always nearest.

How sure to be is learned here of clean sections and of shuffled ones, in a moment, as a training learns it of many that
are stained and damaged. The pictures that are tried are of kinds that were not among them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from regsuite.io.sections import section_grid
from regsuite.methods.sections.identify import identify
from regsuite.methods.sections.locate import located
from regsuite.methods.sections.prepared import prepared
from regsuite.methods.sections.run import DOUBTFUL, answer_of
from regsuite.methods.sections.sureness import WITHIN, evidence, fitted
from regsuite.methods.sections.teaching import _shuffled
from regsuite.methods.sections.telling import Answer
from regsuite.phantoms.atlas import section_of
from regsuite.phantoms.organs import abdomen, drawn
from regsuite.progress import Progress
from regsuite.spatial import Image
from scipy import ndimage
from section_samples import MARGIN, Seeing, brain, hurried, pose_of, seeing

PIXEL, WIDTH = 0.08, 10.0


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        hurried(patch, 4)
        yield


def placed(picture: np.ndarray, pixel: float = PIXEL) -> Image:
    grid = section_grid(picture.shape[1], picture.shape[0], (pixel, pixel))
    return Image(torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32))[None, None, None], grid)


def answered(picture: Image, knows: Seeing) -> Answer:
    section = prepared(picture)
    seen = identify(section, knows, pixel_known=True)
    found, seen = located(section, seen, knows, False, Progress())
    return answer_of(knows, section, seen, found)


def section(depth: float) -> Image:
    return section_of(brain(), pose_of(depth=depth, pitch=0.05, yaw=-0.05, rotation=0.1))


def shuffled(depth: float) -> Image:
    torch.manual_seed(round(10 * depth))
    return replace(section(depth), data=_shuffled(section(depth).data[:, :, 0])[:, :, None])


@pytest.fixture(scope="module")
def taught() -> Seeing:
    """It has seen four sections, and as many that were shuffled."""
    knows, facts, right = seeing(), [], []
    for depth in (-3.0, -1.0, 1.0, 3.0):
        for picture, truth in ((section(depth), brain().plates.number(depth)), (shuffled(depth), math.inf)):
            found = answered(picture, knows)
            facts.append(evidence(found.distances / MARGIN, found.plate, found.posed.found.energy))
            right.append(abs(found.plate - truth) <= WITHIN)
    return replace(knows, sureness=fitted(np.stack(facts), np.array(right)))


def blobs(seed: int) -> Image:
    """Smooth lumps, as of some gland."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((120, 160)), 8)
    noise = np.where(noise > np.quantile(noise, 0.6), noise - noise.min(), 0)
    return placed(np.pad(noise[10:-10, 10:-10], 10))


def organs(axis: int) -> Image:
    """A cut through the middle of an abdomen that is as large as the brain."""
    volume = drawn(abdomen(4.0)).array()
    shown = np.take(volume, volume.shape[axis] // 2, axis=axis)
    return placed(shown - shown.min(), WIDTH / max(shown.shape))


def sure(picture: Image, knows: Seeing) -> float:
    found = answered(picture, knows).confidence
    assert found is not None
    return found


@pytest.fixture(scope="module")
def least(taught: Seeing) -> float:
    """Of sections it has not seen, how sure it is of the one it is least sure of."""
    return min(sure(section(depth), taught) for depth in (-2.0, 0.3))


def test_sections_are_believed(least: float) -> None:
    assert least > 0.8


@pytest.mark.parametrize("seed", [0, 1])
def test_blobs_are_not(taught: Seeing, seed: int) -> None:
    assert sure(blobs(seed), taught) < DOUBTFUL


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_another_organ_is_believed_less_than_any_section(taught: Seeing, least: float, axis: int) -> None:
    """Not always little: the phantom's brain is ellipses in an ellipse, and so is a trunk that is cut across."""
    assert sure(organs(axis), taught) < least
