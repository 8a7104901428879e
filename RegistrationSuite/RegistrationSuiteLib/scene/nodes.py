"""Which nodes the scene holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import slicer


@contextmanager
def new_nodes() -> Iterator[list[Any]]:
    """A list that holds, at the end of the block, the nodes that were added to the scene within it."""
    made: list[Any] = []
    before = {node.GetID() for node in all_nodes()}
    yield made
    made += [node for node in all_nodes() if node.GetID() not in before]


def all_nodes() -> list[Any]:
    """Every node of the scene."""
    scene = slicer.mrmlScene
    return [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
