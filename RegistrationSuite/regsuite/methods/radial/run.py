"""One run: slices arranged, brought to the volume, and told of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from regsuite.catalog.radial import STEPS, HipQmriParameters
from regsuite.errors import InputError
from regsuite.methods.radial.arrange import Placed, arrange, laid, laid_around, mirrored
from regsuite.methods.radial.placing import header_plane
from regsuite.methods.radial.prepared import Slices, Volume, beyond, prepared_slices, prepared_volume
from regsuite.methods.radial.refine import Refined, Search, information, refine
from regsuite.methods.radial.segmentation import Segmentation
from regsuite.methods.radial.telling import Told
from regsuite.progress import Context, Part, Progress
from regsuite.registration import Registration
from regsuite.spatial import Image
from regsuite.spatial.radial import Arrangement, frame_of, in_order
from regsuite.spatial.slice_sets import SliceSet

Inputs = Mapping[str, Any]

_NEAR = 0.15
"""Of how well the second best arrangement fits, below which a user is told, as a share of the best."""
_OTHER_SIDE = 0.8
"""Of what the fit of slices in known places leaves: where their mirror image leaves less, a user is told."""
_POOR = 0.35
"""What the outlines' fit leaves, from which the bone is doubted."""
_CUT = 0.1
"""Of the outlines, outside the volume, from which a user is told."""


class Run:
    """Of hip-qmri."""

    def __init__(self, inputs: Inputs, parameters: HipQmriParameters, context: Context) -> None:
        self.parameters, self.progress, self.device = parameters, context.progress, context.device
        self.image: Image = inputs["fixed"]
        self.set: SliceSet = inputs["slices"]
        segmentation = Segmentation.by(self.set, self.compared, context, inputs.get("network"))
        self.drawn = segmentation.of_slices(inputs.get("slice_labels"), Part(self.progress, 0.0, 0.02))
        self.labels = segmentation.of_volume(
            self.image, inputs.get("fixed_labels"), parameters.volume_segmentation, Part(self.progress, 0.02, 0.05)
        )
        self.notes: list[str] = [*self.set.notes, *segmentation.notes]

    def registration(self) -> Registration:
        """The result of the steps up to the last that is asked for."""
        told = self._told()
        self.progress.step(0.9, "placing the maps")
        result = told.registration()
        result.labels |= {"segmented_volume": self.labels, "segmented_slices": self.drawn}
        result.notes = self.notes + result.notes
        result.record = {"chosen": self._chosen(told.placed)}
        return result

    def _told(self) -> Told:
        """What these steps find."""
        told = Told(self.image.to(self.device), self.labels, self.set, self.compared, self.thickness)
        if not self._goes_to("arrangement"):
            return told
        slices, volume = self.prepared()
        self.progress.step(0.05, "arranging the slices")
        placed = self.placed(slices, volume)
        self._doubt(placed)
        made = self.parameters.reconstruction if self._goes_to("reconstruction") else None
        told = replace(told, slices=slices, placed=placed, reconstruction=made)
        if not self._goes_to("initialisation"):
            return replace(told, placed=self._where_told(placed))
        self._tell_cut(beyond(slices, volume.grid, placed.planes))
        self.progress.step(0.25, "comparing with what the volume would show")
        if not self._goes_to("refinement"):
            return replace(told, volume=volume, before=information(slices, volume, placed.planes, self.spread))
        refined = self.refined(slices, volume, placed, Part(self.progress, 0.25, 0.9))
        return replace(told, volume=volume, refined=refined)

    def _goes_to(self, step: str) -> bool:
        return STEPS.index(step) <= STEPS.index(self.parameters.until)

    def _where_told(self, placed: Placed) -> Placed:
        """Arranged, where the headers put the axis; with a note where the headers tell all."""
        if placed.arrangement is None:
            self.notes.append(
                "The headers tell where each slice lies: none was arranged, and no solid is made of their outlines."
            )
        return replace(placed, pose=torch.eye(4, dtype=torch.float64))

    # --- inputs ---

    @property
    def compared(self) -> str:
        """The name of the images that are compared with the volume."""
        return self.set.compared

    @property
    def bone(self) -> int:
        """The volume's label: the one of the same name, or number where there are no names, or the largest."""
        if self.parameters.bone:
            return self.parameters.bone
        names = {self.drawn.name_of(value).lower() for value in self.drawn.values()}
        same = [value for value in self.labels.values() if self.labels.name_of(value).lower() in names]
        if same:
            return same[0]
        values, counts = torch.unique(self.labels.data[self.labels.data != 0], return_counts=True)
        if not len(values):
            raise InputError("The volume's segmentation is empty: segment the bone that the slices show.")
        return int(values[counts.argmax()])

    @property
    def drawn_bone(self) -> Tensor:
        """(K, H, W) bool: the same bone in the slices; the only label, or the one of its name."""
        values, name = self.drawn.values(), self.labels.name_of(self.bone).lower()
        same = [value for value in values if self.drawn.name_of(value).lower() == name]
        if not same and len(values) > 1:
            raise InputError(
                f"The slices' segmentation has {len(values)} labels and none is called "
                f"'{self.labels.name_of(self.bone)}': name the bone as in the volume's segmentation."
            )
        return self.drawn.mask(same[0] if same else None)

    @property
    def thickness(self) -> float:
        """mm, of a slice."""
        return self.parameters.thickness or self.set.thickness

    @property
    def spread(self) -> float:
        """mm, of a point in a slice's plane."""
        return self.parameters.spread or min(self.set.maps[self.compared][0].grid.spacing[1:])

    def prepared(self) -> tuple[Slices, Volume]:
        """The inputs as the search takes them."""
        slices = prepared_slices(self.set.maps[self.compared], self.drawn_bone.float(), self.thickness)
        return slices.to(self.device), prepared_volume(self.image.to(self.device), self.labels, self.bone)

    # --- where slices are ---

    def placed(self, slices: Slices, volume: Volume) -> Placed:
        """By the outlines of the bone."""
        chosen = self.parameters
        if chosen.arrangement == "automatic" and self.set.distinct and not any(chosen.places):
            nominal = torch.stack([header_plane(grid) for grid in self.set.grids])
            return self._of_this_side(slices, volume, laid(slices, volume, nominal))
        axis = self.set.axis(one_pose="localizer" if chosen.axis == "localizer" else "slice")
        if axis is None:
            raise InputError(
                "The slices have no axis in common: they cannot be arranged around one; set Arrangement to 'automatic' "
                "where their headers tell where they lie."
            )
        frame = frame_of(torch.as_tensor(axis.centre), torch.as_tensor(axis.normal))
        known = self._known()
        if known is not None:
            return self._of_this_side(slices, volume, laid_around(slices, volume, frame, [known]))
        return arrange(slices, volume, frame, Part(self.progress, 0.05, 0.25))

    def _of_this_side(self, slices: Slices, volume: Volume, placed: Placed) -> Placed:
        """With a note where the mirror image fits better; slices that may be flipped any way have no side."""
        if mirrored(slices, volume, placed) < _OTHER_SIDE * placed.unlike:
            self.notes.append(
                "The mirror image of the slices fits the volume's bone better: they may be of the other side, or the "
                "arrangement may be the wrong way round. Check both."
            )
        return placed

    def _known(self) -> Arrangement | None:
        """What the user said of the arrangement."""
        count = self.set.count
        if not any(self.parameters.places):
            return in_order(count) if self.parameters.arrangement == "as given" else None
        places = self.parameters.places
        try:
            return Arrangement.of_numbers(places, self.parameters.turned, count)
        except ValueError:
            said, turned = (", ".join(f"{number:.0f}" for number in each) for each in (places, self.parameters.turned))
            raise InputError(
                f"Places are {said}: give each of the {count} slices another one from 1 to {count}, negative where it "
                f"is mirrored; turned slices are {turned}: give numbers from 1 to {count}, or 0 for none."
            ) from None

    def _chosen(self, placed: Placed | None) -> dict[str, Any]:
        """What was put for parameters that may be left to the method, as they would be given to it."""
        chosen: dict[str, Any] = {"bone": self.bone, "thickness": self.thickness, "spread": self.spread}
        if placed is not None and placed.arrangement is not None:
            chosen["places"], turned = placed.arrangement.numbers()
            chosen["turned"] = turned or [0]
        return chosen

    def refined(self, slices: Slices, volume: Volume, placed: Placed, progress: Progress) -> Refined:
        """Slices that were placed, by their brightness."""
        chosen = self.parameters
        own = (chosen.motion, chosen.motion) if chosen.motion else None
        search = Search(chosen.turn, chosen.shift, chosen.finest, own, self.spread, chosen.similarity)
        return refine(slices, volume, placed.planes, placed.middle, search, progress)

    def _tell_cut(self, share: float) -> None:
        if share > _CUT:
            self.notes.append(
                f"{100 * share:.0f} % of the bone's outlines lie outside the volume, where nothing tells where they "
                "belong: the volume's field of view cuts the bone; give a larger one if there is any."
            )

    def _doubt(self, placed: Placed) -> None:
        if placed.unlike > _POOR:
            self.notes.append(
                "The bone in the slices hardly fits the bone in the volume: they may be of another joint or side, or a "
                "segmentation is wrong. Check both."
            )
        if placed.next - placed.unlike < _NEAR * placed.unlike:
            self.notes.append(
                "Another arrangement of the slices fits nearly as well: look at the picture of the arrangement, and "
                "give the places where it is wrong."
            )
