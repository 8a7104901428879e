"""What a panel shows, kept in the scene: a scripted-module node with texts by key and node references by role.

A scene that is saved and opened again brings the panel's choices back, and the results it may show or undo.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, unquote

import slicer

from RegistrationSuiteLib import results
from RegistrationSuiteLib.scene.nodes import new_nodes

MADE = "made"
"""Role of every node that the last run, and showing it, added to the scene."""

BEFORE = "made.before"
"""The same of runs before it whose results the last one was added to."""

RESULT = "result."
"""Roles of the last run's results begin with this and end with the output's name, its characters that a scene's file
would not bring back, as a section's name may have them, written as in an address."""

FIXED, MOVING = "run.fixed", "run.moving"
"""Roles of the image that the last run registered to, and of the one that it moved."""


class PanelState:
    """The parameter node of one module; made in the scene when it is first written to or asked for."""

    def __init__(self, module_name: str) -> None:
        self._module_name = module_name

    @property
    def node(self) -> Any:
        """The module's vtkMRMLScriptedModuleNode, the same that the module's own logic would find."""
        found = slicer.mrmlScene.GetSingletonNode(self._module_name, "vtkMRMLScriptedModuleNode")
        return found if found is not None else self._make()

    def _make(self) -> Any:
        node = slicer.vtkMRMLScriptedModuleNode()
        node.SetSingletonTag(self._module_name)
        node.SetAttribute("ModuleName", self._module_name)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self._module_name))
        return slicer.mrmlScene.AddNode(node)

    def text(self, key: str, default: str = "") -> str:
        """The text kept under a key, or the default where nothing is kept."""
        return self.node.GetParameter(key) or default

    def set_text(self, key: str, text: str) -> None:
        self.node.SetParameter(key, text)

    def reference(self, role: str) -> Any:
        """The node in that role, or None."""
        return self.node.GetNodeReference(role)

    def set_reference(self, role: str, node: Any) -> None:
        self.node.SetNodeReferenceID(role, node.GetID() if node is not None else None)

    def references(self, role: str) -> list[Any]:
        """Every node in that role that is still in the scene."""
        count = self.node.GetNumberOfNodeReferences(role)
        nodes = [self.node.GetNthNodeReference(role, index) for index in range(count)]
        return [node for node in nodes if node is not None]

    def set_references(self, role: str, nodes: Iterable[Any]) -> None:
        self.node.RemoveNodeReferenceIDs(role)
        for node in nodes:
            self.node.AddNodeReferenceID(role, node.GetID())

    # --- the last run ---

    def results(self) -> dict[str, Any]:
        """The last run's nodes by output name, as far as they are still in the scene."""
        roles: list[str] = []
        self.node.GetNodeReferenceRoles(roles)
        found = {unquote(role[len(RESULT) :]): self.reference(role) for role in roles if role.startswith(RESULT)}
        return {name: node for name, node in found.items() if node is not None}

    def set_results(self, results: Mapping[str, Any], made: Iterable[Any], fixed: Any, moving: Any) -> None:
        """Keeps a run's nodes by output name, all the nodes it added to the scene, and its two images."""
        self.set_reference(FIXED, fixed)
        self.set_reference(MOVING, moving)
        for name in self.results():
            self.set_reference(RESULT + quote(name), None)
        for name, node in results.items():
            self.set_reference(RESULT + quote(name), node)
        self.set_references(MADE, made)
        self.set_references(BEFORE, [])

    def add_results(self, results: Mapping[str, Any], made: Iterable[Any], fixed: Any) -> None:
        """Keeps a run's nodes, by names of their own, beside the results that are kept already."""
        self.set_reference(FIXED, fixed)
        for name, node in results.items():
            self.set_reference(RESULT + quote(name), node)
        self.set_references(BEFORE, [*self.references(BEFORE), *self.references(MADE)])
        self.set_references(MADE, made)

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Counts the nodes that appear inside as made by the last run, so that :meth:`undo` removes them."""
        with new_nodes() as made:
            yield
        self.set_references(MADE, [*self.references(MADE), *made])

    def undo(self) -> None:
        """Removes what the last run, and showing it, added; what it was added to is the last run again.

        Nodes that were chosen to be filled stay.
        """
        made = self.references(MADE)
        results.remove([node for node in self.results().values() if node in made])
        for node in made:
            if slicer.mrmlScene.IsNodePresent(node):  # removing one node may take others along
                slicer.mrmlScene.RemoveNode(node)
        before = self.references(BEFORE)
        if before:
            self.set_references(MADE, before)
            self.set_references(BEFORE, [])
        else:
            self.set_results({}, [], None, None)
