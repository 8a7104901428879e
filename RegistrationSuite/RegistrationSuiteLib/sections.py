"""Files of sections as nodes of the scene: one, or a folder of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regsuite.errors import InputError

from RegistrationSuiteLib import scene
from RegistrationSuiteLib.scene.nodes import into_folder, undone_on_error

if TYPE_CHECKING:
    from regsuite.io import SectionFile

ATTRIBUTES = "RegistrationSuite.section."
PATH, SIZE, PIXEL, CHANNEL = (ATTRIBUTES + name for name in ("path", "size", "pixel", "channel"))
"""Attributes of a section's node: its file, that one's width and height in pixels, the width of a pixel in µm, or
"unknown", and the channel where a node holds one of several."""
UNKNOWN = "unknown"


@dataclass(frozen=True)
class LoadedSections:
    """nodes: in the order of their files; left_out: what each file that was not loaded is called, and why."""

    nodes: list[Any] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def load_section(path: Path | str) -> list[Any]:
    """The nodes of a section's file: a scalar volume, a vector volume of a photograph, or one scalar volume a channel.

    Large ones are read at a resolution that can be worked with, 2048 pixels on the longer side. A section lies in the
    axial plane S = 0; where the file does not know its pixels they are 1 mm wide. InputError where it cannot be read.
    """
    from regsuite import io

    file = io.open_section(path)
    with undone_on_error():
        return _nodes_of(file)


def _nodes_of(file: SectionFile) -> list[Any]:
    from regsuite.io.sections import LONGEST

    nodes = scene.nodes_from_section(file.read(LONGEST), file.name, file.channels, file.dtype == "uint8")
    for node, channel in zip(nodes, file.channels, strict=False):
        node.SetAttribute(PATH, str(file.path))
        node.SetAttribute(SIZE, f"{file.width} {file.height}")
        node.SetAttribute(PIXEL, f"{1000 * file.pixel[0]:g}" if file.pixel else UNKNOWN)
        if len(nodes) > 1:
            node.SetAttribute(CHANNEL, channel)
    return nodes


def load_sections(folder: Path | str) -> LoadedSections:
    """The sections of a folder in the order of their numbers, in a folder of the subject hierarchy.

    InputError where there is none, or none that can be read.
    """
    from regsuite import io

    found = io.find_sections(folder)
    loaded = LoadedSections(left_out={file.name: "it is no picture" for file in found.others})
    for file in found.files:
        try:
            loaded.nodes.extend(load_section(file))
        except InputError as error:
            loaded.left_out[file.name] = str(error)
    if not loaded.nodes:
        raise InputError(f"None of the {len(found.files)} sections of '{folder}' can be read: {_first(loaded)}")
    into_folder(loaded.nodes, Path(folder).resolve().name)
    return loaded


def _first(loaded: LoadedSections) -> str:
    return next(iter(loaded.left_out.values()))


def described(nodes: list[Any]) -> str:
    """What was loaded, in one sentence: name, size and pixel size of one section; of several how many."""
    node = nodes[0]
    if len({each.GetAttribute(PATH) for each in nodes}) > 1:
        return f"{len(nodes)} volumes were loaded."
    width, height = node.GetAttribute(SIZE).split()
    pixel = node.GetAttribute(PIXEL)
    size = "the size of its pixels is unknown" if pixel == UNKNOWN else f"{pixel} µm a pixel"
    channels = f", {len(nodes)} channels, each a volume" if len(nodes) > 1 else ""
    return f"'{node.GetName()}' was loaded: {width} × {height} pixels, {size}{channels}."
