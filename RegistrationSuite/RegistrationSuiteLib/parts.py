"""To which section of a series a result node belongs, kept on the node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SECTION = "RegistrationSuite.section"
"""Node reference of a result node of a series: the section it was found for."""
NAME, OUTPUT = "RegistrationSuite.part", "RegistrationSuite.output"
"""Attributes of the same: what the section was called during the run, and which of its outputs the node is."""


def mark(nodes: Mapping[str, Any], name: str, section: Any) -> None:
    """Writes onto nodes by output name that they are of the section of that name."""
    for output, node in nodes.items():
        node.SetAttribute(NAME, name)
        node.SetAttribute(OUTPUT, output)
        node.SetNodeReferenceID(SECTION, section.GetID())


def sections_of(nodes: Mapping[str, Any]) -> dict[str, Any]:
    """The section nodes of a series by what they were called during the run; one that is gone is left out."""
    found = {node.GetAttribute(NAME): node.GetNodeReference(SECTION) for node in nodes.values()}
    return {name: section for name, section in found.items() if name and section is not None}


def seen_from(nodes: Mapping[str, Any], section: Any) -> dict[str, Any]:
    """Of a series' result nodes those of one section, by output name, and those of no section, by their own names.

    Where both have an output, such as the metrics, it is the section's. Nodes that are of no series stay as they are.
    """
    common = {name: node for name, node in nodes.items() if not node.GetAttribute(NAME)}
    own = [node for node in nodes.values() if section is not None and node.GetNodeReference(SECTION) is section]
    return common | {node.GetAttribute(OUTPUT): node for node in own}
