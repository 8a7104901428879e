"""A registration in Slicer's own views, drawn with no display: what a user sees who opens the scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer.util

from RegistrationSuiteLib import display, views

if TYPE_CHECKING:
    from regsuite.pictures import Picture

# Slicer's own names for these views, so that a scene that is saved while they are open finds them again.
SLICES = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}
SIZE = (400, 400)
LOOK_FROM = (0.9, 1.0, 0.55)
LARGE = 0.2
"""Labels with a larger share of all labelled volume hide the others."""
VEIL = 0.12


class Gallery:
    """Three slice views and a 3D view of inputs and results; use as a context manager.

    given: input nodes by role; made: result nodes by output name; centre: RAS mm, where the slices cross.
    """

    def __init__(self, given: Mapping[str, Any], made: Mapping[str, Any], centre: Sequence[float]) -> None:
        self.given, self.made, self.centre = given, made, centre
        self._stack = ExitStack()

    def __enter__(self) -> Gallery:
        self.slices = [self._stack.enter_context(views.SliceView(SLICES[name], name, SIZE)) for name in SLICES]  # type: ignore[arg-type]
        self.space = self._stack.enter_context(views.ThreeDView("1", SIZE))
        self.space.look_from(LOOK_FROM)
        self.show_result()
        for view in self.slices:
            view.jump_to(self.centre)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def show_result(self) -> None:
        """The warped image half over the fixed one, outlines and surfaces of lesion and warped labels."""
        for role in ("fixed_labels", "moving_labels"):
            if role in self.given:
                display.show_labels(self.given[role], visible=False)
        for node in (self.given.get("mask"), self.made.get("warped_labels")):
            if node is not None:
                display.show_labels(node)
                veil_large_segments(node, self.given["fixed"])
        display.show_overlay(self.given["fixed"], self.made["warped"])

    def picture(self) -> Picture:
        """Rows: the overlay; the warped grid; the Jacobian map. Afterwards the views show the overlay again."""
        from regsuite.pictures import Picture

        fixed, transform, jacobian = self.given["fixed"], self.made["transform"], self.made["jacobian"]
        rows = [self._row("Warped over fixed")]
        display.fade(1.0)
        display.show_grid(transform, fixed)
        rows.append(self._row("Warped grid"))
        display.show_grid(transform, fixed, visible=False)
        display.show_jacobian(jacobian, fixed)
        rows.append(self._row("Jacobian")[:-1])
        display.show_jacobian(jacobian, fixed, visible=False)
        self.show_result()
        caption = (
            "The scene as Slicer's viewers show it: the warped image half over the fixed one, the warped grid coloured "
            "by how far tissue moved, and the Jacobian map; outlines and surfaces of the lesion and the warped labels."
        )
        return Picture("slicer-views", "In Slicer's views", caption, views.png(views.panel(rows)))

    def _row(self, title: str) -> list[tuple[str, np.ndarray]]:
        slices = [(f"{title}: {SLICES[name]}", view.render()) for name, view in zip(SLICES, self.slices, strict=True)]
        return [*slices, ("3D", self.space.render())]


def veil_large_segments(node: Any, volume: Any) -> None:
    """Leave of the segments that would hide others a veil in 3D; sizes are taken on the volume's grid."""
    if not node.IsA("vtkMRMLSegmentationNode"):
        return
    ids = list(node.GetSegmentation().GetSegmentIDs())
    sizes = {each: int((slicer.util.arrayFromSegmentBinaryLabelmap(node, each, volume) > 0).sum()) for each in ids}
    small = [each for each, size in sizes.items() if size < LARGE * sum(sizes.values())]
    for each in ids if small else ():
        node.GetDisplayNode().SetSegmentVisibility2DOutline(each, each in small)
        node.GetDisplayNode().SetSegmentOpacity3D(each, 1.0 if each in small else VEIL)
