"""An annotation that lies beside what its template shows is refused, and a right one is not, whatever it leaves out."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from regsuite.errors import InputError
from regsuite.learning.anatomy import Anatomy
from regsuite.methods.sections.annotation import check_place
from regsuite.phantoms.atlas import AtlasCase, atlas_case
from regsuite.spatial import Image, LabelImage
from scipy import ndimage

SPACING = 0.25


@cache
def case() -> AtlasCase:
    """A brain 13 mm long, 10 wide and 8 high."""
    return atlas_case(SPACING)


def regions() -> np.ndarray:
    return case().labels.array().copy()


def checked(values: np.ndarray, template: np.ndarray | None = None) -> None:
    atlas = case().template if template is None else Image.from_array(template, case().template.grid)
    labels = LabelImage.from_array(values, case().labels.grid)
    check_place(Anatomy.of(atlas, labels, case().plates))


def shifted(mm: float, axis: int) -> np.ndarray:
    """The regions, moved along an axis of the array; what leaves it is lost."""
    by = np.zeros(3)
    by[axis] = round(mm / SPACING)
    return ndimage.shift(regions(), by, order=0)


def in_a_skull() -> np.ndarray:
    """The template with a bright shell half a mm away."""
    away = ndimage.distance_transform_edt(regions() == 0) * SPACING
    template = case().template.array().copy()
    template[(away > 0.5) & (away < 1.2)] = template.max()
    return template


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("mm", [1.0, 2.0, -3.0])
def test_one_that_lies_a_tenth_of_the_brain_off_is_refused(mm: float, axis: int) -> None:
    with pytest.raises(InputError, match="does not fit the template, it lies about") as told:
        checked(shifted(mm, axis))
    said = float(str(told.value).split("about ")[1].split()[0])
    assert said == pytest.approx(abs(mm), abs=0.6)  # what left the picture tells nothing


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("mm", [0.0, 0.25, -0.25])
def test_one_in_its_place_is_not(mm: float, axis: int) -> None:
    checked(shifted(mm, axis))


def test_one_in_a_skull_may_not_lie_elsewhere() -> None:
    checked(regions(), in_a_skull())
    with pytest.raises(InputError, match="it lies about"):
        checked(shifted(3.0, 1), in_a_skull())


def test_a_part_of_the_brain_may_lie_anywhere_in_it() -> None:
    one_side = regions()
    one_side[:, :, one_side.shape[2] // 2 :] = 0
    checked(one_side)
    checked(np.where(regions() == regions().max(), 1, 0))


def test_one_with_dark_cavities_is_not_refused() -> None:
    """Cerebrospinal fluid is as dark as the background, and is annotated."""
    template = case().template.array().copy()
    x = case().template.grid.points().numpy()
    inside = np.linalg.norm((x - np.array(case().template.grid.centre)) / (1.5, 2.5, 1.0), axis=-1) < 1
    template[inside] = 0
    checked(regions(), template)


def test_one_that_fits_nowhere_is_left_to_the_user() -> None:
    """Its brain is of another size altogether."""
    larger = ndimage.binary_dilation(regions() > 0, iterations=6)
    checked(larger.astype(np.int32))
