"""The baseline: a section is registered affinely with every plate, and the one that tells most of it is taken.

Source: Antanavicius et al., WBIR 2022, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regsuite.catalog.sections import MutualInformationParameters
from regsuite.methods.sections.pose import Posed, matrix_to_atlas
from regsuite.methods.sections.prepared import prepared
from regsuite.methods.sections.telling import Answer, Inputs, Told, asked_of
from regsuite.methods.sections.views import View
from regsuite.progress import Context, Part, Progress
from regsuite.registration import Registration
from regsuite.solvers.plate_search import search
from regsuite.solvers.slicing import Found
from regsuite.spatial import Image
from regsuite.spatial.plates import Plates, plates_of


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


def by_information(inputs: Inputs, parameters: MutualInformationParameters, context: Context) -> Registration:
    """Of atlas-slice-mi: the section on the plate with most mutual information, and the others ranked by theirs."""
    asked = asked_of(inputs, parameters)
    plates = plates_of(asked.template.grid, parameters.axis, parameters.spacing)  # type: ignore[arg-type]
    section = prepared(asked.section, parameters.channel, parameters.pixel / 1000)
    part = Part(context.progress, 0.0, 0.9)
    found = ranked(section.picture, section.pixel, asked.template, plates, parameters.iterations, part)
    information = torch.empty(plates.count, dtype=torch.float64)
    for each in found:
        information[each.plate] = each.mutual_information
    view = View(torch.eye(4), pixel_known=False)
    best = Found(found[0].pose, float("nan"))
    posed = Posed(best, matrix_to_atlas(section, view, plates, found[0].pose))
    belief = (information == information.max()).double()
    answer = Answer(section, plates, view, posed, -information, belief, None)
    return Told(asked, answer).registration(replace(context, progress=Part(context.progress, 0.9, 1.0)))
