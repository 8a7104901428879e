"""The result of points as the start of a registration of images."""

from __future__ import annotations

from dataclasses import dataclass

from regsuite import catalog
from regsuite.errors import InputError
from regsuite.progress import Context
from regsuite.registration import Registration
from regsuite.spatial import Image
from regsuite.transforms import Transform, warp_image
from regsuite.transforms.chain import chain

_SETTINGS = {"initial": "none"}
"""The images are together already."""


@dataclass(frozen=True)
class Refined:
    """Both ways, and what to know of the refinement."""

    transform: Transform
    inverse: Transform
    notes: list[str]


def check_images(fixed: Image | None, moving: Image | None) -> None:
    """InputError where an image is missing."""
    if fixed is None or moving is None:
        raise InputError(
            "A refinement compares intensities, and an image is missing: give both images, or set 'refinement' to none."
        )


def refined(
    fixed: Image, moving: Image, transform: Transform, inverse: Transform, method: str, context: Context
) -> Refined:
    """Transform and inverse, with what that method of the catalog finds between fixed and warped image."""
    declared = catalog.method(method)
    warped = warp_image(moving, transform, fixed.grid)
    found = declared.load()({"fixed": fixed, "moving": warped}, declared.check_values(_SETTINGS), context)
    assert isinstance(found, Registration)
    return Refined(chain(found.transform, transform), chain(inverse, found.inverse), found.notes)
