"""Pictures of a registration, drawn with matplotlib, which is imported when one is drawn."""

from regsuite.pictures.draw import Subject, all_pictures, without_images
from regsuite.pictures.picture import Picture
from regsuite.pictures.truth import error_map

__all__ = ["Picture", "Subject", "all_pictures", "error_map", "without_images"]
