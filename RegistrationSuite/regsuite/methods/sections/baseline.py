"""The baseline: a section is registered affinely with every plate, and the one that tells most of it is taken.

Source: Antanavicius et al., WBIR 2022, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from regsuite.progress import Progress
from regsuite.solvers.plate_search import search
from regsuite.spatial import Image
from regsuite.spatial.plates import Plates


@dataclass(frozen=True)
class RankedPlate:
    """plate: its number from 0; mutual_information: nats, minus infinity where it could not be registered;
    pose: (9,) float64, of the section on it."""

    plate: int
    mutual_information: float
    pose: Tensor


def ranked(
    picture: Tensor, pixel: float, template: Image, plates: Plates, iterations: int, progress: Progress
) -> list[RankedPlate]:
    """Every plate, the best first; equal ones in their order. See :func:`regsuite.solvers.plate_search.search`."""
    fits = search(picture, pixel, template, plates, iterations, progress)
    all_plates = [RankedPlate(number, fit.mutual_information, fit.pose) for number, fit in enumerate(fits)]
    return sorted(all_plates, key=lambda each: -each.mutual_information)
