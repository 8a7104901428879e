"""Sections: volumes of one slice, grey or colour, that keep their place in space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import slicer.util
from regsuite.errors import InputError

from RegistrationSuiteLib.scene.geometry import grid_of
from RegistrationSuiteLib.scene.volumes import fill_volume, new_node, volume_from_image

if TYPE_CHECKING:
    from regsuite.spatial import Image, SectionSet

COLOUR = 3
"""Values a pixel of a photograph; a fourth one is how opaque it is."""


def section_from_node(node: Any) -> Image:
    """(1, C, 1, H, W) in world coordinates: a volume node of one slice, with all its values a pixel.

    InputError where the node is no volume of one slice.
    """
    from regsuite.spatial import Image
    from regsuite.spatial.slices import across_first

    _require_slice(node)
    array = slicer.util.arrayFromVolume(node)
    channels = array[None] if array.ndim == 3 else np.moveaxis(array, -1, 0)
    if len(channels) == COLOUR + 1:
        channels = channels[:COLOUR]
    return across_first(Image.from_array(channels, grid_of(node), node.GetName()))


def sections_from_nodes(nodes: Sequence[Any]) -> SectionSet:
    """A series, in the order of the numbers in the nodes' names. InputError where two have one name."""
    from regsuite.io.sections import section_numbers
    from regsuite.spatial import SectionSet

    names = [node.GetName() for node in nodes]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"Two sections are called '{repeated[0]}': give each a name of its own.")
    placed = sorted(zip(section_numbers(names), range(len(nodes)), strict=True))
    return SectionSet([section_from_node(nodes[place]) for _, place in placed], [number for number, _ in placed])


def _require_slice(node: Any) -> None:
    """InputError, with what to do, unless the node is a volume of exactly one slice."""
    name = node.GetName()
    if not node.IsA("vtkMRMLScalarVolumeNode"):
        raise InputError(f"'{name}' is no section: choose a volume of one slice.")
    shape = grid_of(node).shape
    if shape.count(1) != 1:
        sizes = " × ".join(str(size) for size in reversed(shape))
        raise InputError(f"'{name}' has {sizes} voxels, and a section is one slice: extract a slice of it first.")


def nodes_from_section(image: Image, name: str, names: tuple[str, ...], whole: bool = False) -> list[Any]:
    """A section (1, C, 1, H, W) as volume nodes: one of a grey or colour picture, else one of each channel.

    names: of its channels; whole: whether its values are whole numbers from 0 to 255. Slicer shows several channels in
    one volume as colours, whatever they are.
    """
    from regsuite.spatial import Image

    if names == ("red", "green", "blue"):
        return [vector_volume(image, name, whole)]
    if len(names) == 1:
        return [volume_from_image(image, name)]
    parts = [Image(image.data[:, each : each + 1], image.grid, image.name) for each in range(len(names))]
    return [volume_from_image(part, f"{name} {channel}") for part, channel in zip(parts, names, strict=True)]


def vector_volume(image: Image, name: str, whole: bool = False) -> Any:
    """A volume node with every channel of a section; whole: as in :func:`nodes_from_section`."""
    array = np.moveaxis(image.data[0].numpy(), 0, -1)
    node = new_node("vtkMRMLVectorVolumeNode", name)
    fill_volume(node, np.round(array).astype(np.uint8) if whole else array, image.grid, None)
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0.0, 255.0 if whole else float(array.max()))
    return node
