"""Pictures of a registration, drawn with matplotlib, which is imported when one is drawn."""

from regsuite.pictures.draw import Picture, Subject, all_pictures

__all__ = ["Picture", "Subject", "all_pictures"]
