"""Pictures of a registration, drawn with matplotlib, which is imported when one is drawn."""

from regsuite.pictures.choice import all_pictures
from regsuite.pictures.draw import Subject, without_images
from regsuite.pictures.fan_subject import FanSubject
from regsuite.pictures.fans import fan_pictures
from regsuite.pictures.picture import Picture
from regsuite.pictures.sections import is_section
from regsuite.pictures.truth import error_map

__all__ = [
    "FanSubject",
    "Picture",
    "Subject",
    "all_pictures",
    "error_map",
    "fan_pictures",
    "is_section",
    "without_images",
]
