"""One run: a section prepared, identified, posed, fitted, and told of."""

from __future__ import annotations

from dataclasses import replace

import torch

from regsuite.catalog.sections import AtlasSeriesParameters, AtlasSliceParameters
from regsuite.learning.checkpoint import Checkpoint
from regsuite.learning.encoder import TrainedEncoder, encoder_of
from regsuite.methods.sections.extraction import extracted
from regsuite.methods.sections.given import sees_the_back, started_view
from regsuite.methods.sections.identify import Identified, identify, pixel_is_known
from regsuite.methods.sections.locate import located, seen_at
from regsuite.methods.sections.pose import Posed, angles_of, posed
from regsuite.methods.sections.prepared import Prepared, prepared
from regsuite.methods.sections.sureness import WITHIN, evidence, probability
from regsuite.methods.sections.telling import Answer, Inputs, Told, asked_of
from regsuite.progress import Context, Part
from regsuite.registration import Registration
from regsuite.spatial.plates import Plates

DOUBTFUL = 0.5
"""Probability below which a user is warned."""
_SLICED = 0.6
"""Of a pixel of the encoder's pictures: what slicing may well be off, where plates do not lie farther apart."""
_TURNED = 30.0
"""Degrees from which a turned section is told of."""


def taken_out(
    section: Prepared, trained: TrainedEncoder, parameters: AtlasSliceParameters | AtlasSeriesParameters
) -> Prepared:
    """Without what is none of the atlas's tissue, unless the user keeps it."""
    return extracted(section, trained) if parameters.extraction == "automatic" else section


class Run:
    """Of atlas-slice."""

    def __init__(self, inputs: Inputs, parameters: AtlasSliceParameters, context: Context) -> None:
        self.parameters, self.context, self.progress = parameters, context, context.progress
        self.asked = asked_of(inputs, parameters)
        checkpoint = inputs["encoder"]
        assert isinstance(checkpoint, Checkpoint)
        self.notes: list[str] = []
        self.progress.step(0.0, "reading what the encoder knows")
        self.trained, notes = encoder_of(checkpoint, self.asked.template, self.asked.labels, context.device)
        self.notes += notes

    @property
    def plates(self) -> Plates:
        return self.trained.anatomy.plates

    def registration(self) -> Registration:
        """The result."""
        self.progress.step(0.1, "preparing the section")
        section = prepared(self.asked.section, self.parameters.channel, self.parameters.pixel / 1000)
        if self.parameters.side == "back" or sees_the_back(
            self.parameters, section, self.asked.template.grid, self.plates
        ):
            section = section.other_side()
        section, found, identified = self._searched(section)
        told = Told(self.asked, answer_of(self.trained, section, identified, found))
        self._doubt(told)
        self.progress.step(0.4, "fitting the plate")
        result = told.registration(replace(self.context, progress=Part(self.progress, 0.4, 0.9)))
        result.notes = self.notes + result.notes
        return result

    # --- pose ---

    def _searched(self, section: Prepared) -> tuple[Prepared, Posed, Identified]:
        """On both sides where the side is to be found: along other axes than from left to right bodies are symmetric,
        and nothing tells a section from its mirror image."""
        sides = [section]
        if self.parameters.side == "automatic" and self.plates.axis == "sagittal" and not self._is_placed:
            sides.append(section.other_side())
        found, notes = [], self.notes
        for shown in sides:
            self.notes = list(notes)
            self.progress.step(0.12, "telling its tissue from what is around")
            side = taken_out(shown, self.trained, self.parameters)
            self.progress.step(0.15, "looking for its plate")
            parallel = self.parameters.cut == "parallel"
            known = pixel_is_known(side, self.trained)
            identified = identify(side, self.trained, known, parallel, self.parameters.plate)
            self.progress.step(0.25, "slicing the atlas")
            found.append((side, *self.placed(side, identified), self.notes))
        best, posed, identified, self.notes = min(found, key=lambda each: each[1].found.energy)
        return best, posed, identified

    @property
    def _is_placed(self) -> bool:
        """Whether the user said how the section lies in its plane."""
        return any(self.parameters.anchoring) or any(self.parameters.pose)

    def placed(self, section: Prepared, identified: Identified) -> tuple[Posed, Identified]:
        """From the user's start where there is one."""
        chosen, oblique = self.parameters, self.parameters.cut == "oblique"
        given = started_view(chosen, section, self.trained, identified.view, self.asked.template.grid)
        if given is not None:
            identified = replace(identified, view=given.view, starts=given.starts)
        found, placed = self._found(section, identified, oblique, searched=given is None)
        if oblique and max(map(abs, angles_of(found.found.pose))) > chosen.largest_angle:
            flat = identified.starts.clone()
            flat[:, 1:3] = 0
            identified = replace(identified, starts=flat)
            found, placed = self._found(section, identified, False, searched=given is None)
            self.notes.append(
                f"The section seemed to be cut at more than {chosen.largest_angle:g}°: it was taken for parallel to "
                "the plates. Raise the largest angle if it is not."
            )
        return found, placed

    def _found(
        self, section: Prepared, identified: Identified, oblique: bool, searched: bool
    ) -> tuple[Posed, Identified]:
        """searched: whether it may lie far from where it starts."""
        if searched:
            return located(section, identified, self.trained, not oblique, self.progress)
        view, anatomy = identified.view, self.trained.anatomy
        found = posed(section, view, anatomy, identified.starts, oblique, True, self.progress)
        return found, seen_at(found, section, identified, self.trained)

    # --- doubts ---

    def _doubt(self, told: Told) -> None:
        section = told.section
        if abs(told.turned) > _TURNED:
            self.notes.append(
                f"The section is turned by {abs(told.turned):.0f}° against the plates: it was turned back. Where it is "
                "upside down, check that it does not lie on its other side."
            )
        if section.turned_over:
            self.notes.append("The section lies on its other side, mirrored: it was turned over.")
        if section.left_out:
            self.notes.append(
                f"{section.left_out:.0%} of what the section shows does not look like tissue of the atlas and was left "
                "out, as skull and muscle are: check the outlines. Set Extraction to 'none' to keep it."
            )
        if section.inverted:
            self.notes.append("The background is brighter than the tissue: brightness was inverted for the comparison.")
        if not told.answer.view.pixel_known:
            self.notes.append(
                f"The file gives no pixel size that suits this atlas: {told.pixel_um:.3g} µm were estimated from how "
                "the plate fits; give the pixel size if you know it."
            )
        sure = told.answer.confidence
        if sure is not None and sure < DOUBTFUL:
            self.notes.append(
                f"The plate is doubtful: the probability that it is within {WITHIN} plates is {sure:.0%}. "
                "The section may be of another organ, too little of it may be there, or the encoder may need more "
                "training."
            )


def sliced_to(trained: TrainedEncoder) -> float:
    """mm: how far slicing may well end beside the truth."""
    return max(trained.anatomy.plates.spacing, _SLICED * trained.anatomy.pixel)


def answer_of(trained: TrainedEncoder, section: Prepared, identified: Identified, found: Posed) -> Answer:
    """With a belief in each plate, by its embedding and by how far it lies from where slicing arrived."""
    plates = trained.anatomy.plates
    distances = identified.distances / float(trained.card["training"]["margin"])
    depth = float(found.found.pose[0])
    off = (plates.depths() - depth) / sliced_to(trained)
    belief = torch.softmax(-distances.double().square() - 0.5 * off.square(), dim=0)
    told = evidence(distances, plates.number(depth), found.found.energy)
    sure = probability(trained.sureness.cpu(), told)
    return Answer(section, plates, identified.view, found, identified.distances, belief, sure)
