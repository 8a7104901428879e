"""To which section of a series a result node belongs, kept on the node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SECTION = "RegistrationSuite.section"
"""Node reference of a result node of a series: the section it was found for."""
PLACE, OUTPUT = "RegistrationSuite.place", "RegistrationSuite.output"
"""Attributes of the same: that section's place in the series, from 0, and which of its outputs the node is."""
RUN = "RegistrationSuite.run"
"""Another one: 0 of the run of the series, and more where the section was found again alone."""


def mark(nodes: Mapping[str, Any], place: int, section: Any, run: int = 0) -> None:
    """Writes onto nodes by output name that they are of the section at that place, and of which run."""
    for output, node in nodes.items():
        node.SetAttribute(PLACE, str(place))
        node.SetAttribute(RUN, str(run))
        node.SetAttribute(OUTPUT, output)
        node.SetNodeReferenceID(SECTION, section.GetID())


def sections_of(nodes: Mapping[str, Any]) -> dict[int, Any]:
    """The section nodes of a series by their places; one that is gone is left out."""
    found = {node.GetAttribute(PLACE): node.GetNodeReference(SECTION) for node in nodes.values()}
    return {int(place): section for place, section in found.items() if place and section is not None}


def seen_from(nodes: Mapping[str, Any], section: Any) -> dict[str, Any]:
    """Of a series' result nodes the latest of one section, by output name, and those of no section, by their own names.

    Where both have an output, such as the metrics, it is the section's. Nodes that are of no series stay as they are.
    """
    common = {name: node for name, node in nodes.items() if not node.GetAttribute(PLACE)}
    latest = last_run(nodes, section)
    own = [node for node in nodes.values() if _is_of(node, section) and int(node.GetAttribute(RUN)) == latest]
    return common | {node.GetAttribute(OUTPUT): node for node in own}


def last_run(nodes: Mapping[str, Any], section: Any) -> int:
    """The number of the latest run of a section of a series."""
    return max((int(node.GetAttribute(RUN)) for node in nodes.values() if _is_of(node, section)), default=0)


def _is_of(node: Any, section: Any) -> bool:
    return section is not None and node.GetNodeReference(SECTION) is section
