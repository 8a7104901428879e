"""The planes of slices that a panel shows in 3D for as long as the user wants to see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer.util

from RegistrationSuiteLib.scene import planes
from RegistrationSuiteLib.scene.nodes import remove_nodes

if TYPE_CHECKING:
    from RegistrationSuiteLib.fans import Fan


class Planes:
    """Frames and numbers, and pictures where the scene has none; nothing of it is saved."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._pictures: Any = None

    def show(self, fan: Fan, pictures: Any = None) -> None:
        """Shows slices where they stand; pictures: the model that shows them there already, which is then used."""
        grids = [image.grid for image in fan.images]
        places = planes.number_places(grids, [stand.mirrored for stand in fan.stands])
        with slicer.util.RenderBlocker():
            self.hide()
            if pictures is None:
                self._nodes.append(planes.pictures_model(fan.images, "Slices' pictures"))
            else:
                self._pictures = pictures
                pictures.GetDisplayNode().SetVisibility(True)
            self._nodes.append(planes.frames_model(grids, fan.colours, "Slices' frames"))
            self._nodes.append(planes.numbers(places, "Slices' numbers"))

    def hide(self) -> None:
        """Takes everything out of the scene again, and hides the model that was used."""
        if self._pictures is not None and self._pictures.GetScene() is not None:
            self._pictures.GetDisplayNode().SetVisibility(False)
        displays = [node.GetDisplayNode() for node in self._nodes]
        remove_nodes([each for each in (*self._nodes, *displays) if each is not None])
        self._nodes, self._pictures = [], None
