"""Which pictures suit a registration."""

from __future__ import annotations

from regsuite.pictures.draw import Subject, volume_pictures, without_images
from regsuite.pictures.picture import Picture
from regsuite.pictures.sections import is_section, section_pictures


def all_pictures(subject: Subject) -> list[Picture]:
    """Every picture this registration has the material for."""
    if is_section(subject.registration.fixed_grid):
        return section_pictures(subject) + without_images(subject.registration)
    return volume_pictures(subject)
