"""Which nodes the scene holds, and what is done with several of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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


@contextmanager
def undone_on_error() -> Iterator[None]:
    """Whatever was added to the scene inside is removed when an exception leaves the block."""
    before = {node.GetID() for node in all_nodes()}
    try:
        yield
    except BaseException:
        remove_nodes([node for node in all_nodes() if node.GetID() not in before])
        raise


def remove_nodes(nodes: Iterable[Any]) -> None:
    """Browsers first: one that is still there makes its frame's volume anew. A node may take others along."""
    for node in sorted(nodes, key=lambda node: not node.IsA("vtkMRMLSequenceBrowserNode")):
        if slicer.mrmlScene.IsNodePresent(node):
            slicer.mrmlScene.RemoveNode(node)


def into_folder(nodes: Iterable[Any], name: str, parent: int | None = None) -> int:
    """Put nodes into one new folder of the subject hierarchy, in that of the item ``parent``; returns its item."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    within = hierarchy.GetSceneItemID() if parent is None else parent
    folder = hierarchy.CreateFolderItem(within, hierarchy.GenerateUniqueItemName(name))
    for node in nodes:
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.SetItemParent(item, folder)
        else:
            hierarchy.CreateItem(folder, node)
    return folder


def all_nodes() -> list[Any]:
    """Every node of the scene."""
    scene = slicer.mrmlScene
    return [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
