"""From MRML nodes to a job and back: the same for panel, console and headless runs. No Qt."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import slicer
from regsuite import catalog
from regsuite.errors import InputError
from regsuite.progress import Progress

if TYPE_CHECKING:
    from regsuite.catalog import Input, Output
    from regsuite.jobs import Job
    from regsuite.registration import Result

Side = Literal["fixed", "moving"]
SIDES: tuple[Side, Side] = ("fixed", "moving")


@dataclass(frozen=True)
class Request:
    """One registration, or training, as a user asks for it.

    inputs: MRML nodes by role, of surfaces, sections, slices and labels of slices one or a list, of a checkpoint or
    weights the path;
    segments: by role, the ID of the one segment that counts in a segmentation (all of them where none is named);
    parameters: values or texts by name; outputs: by name, nodes to be filled, of a checkpoint the path of its file;
    the other nodes are made.
    """

    method: str
    inputs: Mapping[str, Any]
    segments: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    outputs: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """InputError unless method, roles and parameter values are good; reads no voxel."""
        method = catalog.method(self.method)
        declared = {item.role: item for item in method.inputs}
        for role in self.inputs:
            if role not in declared:
                raise InputError(f"{method.title} takes no input '{role}': its inputs are {', '.join(declared)}.")
        for role, item in declared.items():
            if item.required and self.inputs.get(role) is None:
                what = "file" if item.is_file else "node"
                raise InputError(f"{method.title} needs the input '{item.title}': choose a {what} for it.")
            _check_kind(item, self.inputs.get(role), tuple(declared))
        for side in SIDES:
            titles = [item.title.lower() for item in method.inputs if item.role.startswith(side)]
            if titles and self.anchor(side) is None:
                raise InputError(f"{method.title} has nothing on the {side} side: choose one of {', '.join(titles)}.")
        method.check_values(self.parameters)
        for output in method.outputs:
            if output.kind == "checkpoint":
                _check_target(output, self.outputs.get(output.name))

    def job(self) -> Job:
        """The job with the nodes' contents as they are now. InputError where a node cannot be used."""
        from regsuite.jobs import Job

        self.check()
        method = catalog.method(self.method)
        inputs: dict[str, Any] = {}
        for item in sorted(method.inputs, key=lambda item: item.role == "fixed_labels"):
            if self._nodes(item.role):
                inputs[item.role] = self._convert(item, inputs)
        return Job(self.method, inputs, dict(self.parameters), self.seed, self.device)

    def anchor(self, side: Side) -> Any:
        """The node that says where a side lies: its image, its labels, or the first of what it has several of."""
        return next(iter(self._nodes(self._anchor_role(side))), None)

    def _anchor_role(self, side: Side) -> str:
        roles = (side, f"{side}_labels", f"{side}_surfaces", "sections" if side == "fixed" else "slices")
        return next((role for role in roles if self._nodes(role)), side)

    def _nodes(self, role: str) -> list[Any]:
        """What was given for an input, one node or several."""
        given = self.inputs.get(role)
        return list(given) if isinstance(given, (list, tuple)) else [given] if given is not None else []

    def _convert(self, item: Input, converted: Mapping[str, Any]) -> Any:
        """The content of one input node; fixed labels get the values of the moving labels of the same name."""
        from RegistrationSuiteLib import scene

        node, fixed = self.inputs[item.role], self._flat_reference()
        if item.is_file:
            return os.fspath(node)
        if item.kind == "section":
            return scene.section_from_node(node)
        if item.kind == "sections":
            return scene.sections_from_nodes(self._nodes(item.role))
        if item.kind == "slices":
            return scene.slices_from_nodes(self._nodes(item.role))
        if item.kind == "surfaces":
            return scene.surfaces_from_nodes(self._nodes(item.role), fixed)
        if item.kind == "image":
            return scene.image_from_node(node, fixed)
        if item.kind == "points":
            return scene.points_from_node(node, fixed)
        segments = [self.segments[item.role]] if self.segments.get(item.role) else None
        if item.frame == "slices":
            nodes = self._nodes(item.role)
            return scene.slice_labels_from_nodes(nodes, converted["slices"], self.anchor("moving"), segments)
        reference = self.inputs.get(item.frame)
        like = converted.get("moving_labels") if item.role == "fixed_labels" else None
        return scene.labels_from_node(node, reference, fixed, segments, like)

    def _flat_reference(self) -> Any:
        """The node in whose plane 2D things lie; None where single slices are registered in space."""
        kinds = {item.kind for item in catalog.method(self.method).inputs}
        return None if kinds & {"section", "sections", "slices"} else self.anchor("fixed")

    def add(self, result: Result) -> dict[str, Any]:
        """The result as nodes of the scene, by output name, and a checkpoint as its file.

        InputError where a node it needs is gone, or the file cannot be written.
        """
        from regsuite.registration import Registration, Series, Training

        from RegistrationSuiteLib import results

        self._check_presence()
        fixed, moving = (self.anchor(side) for side in SIDES)
        if isinstance(result, Training):
            return results.add_training(result, moving, os.fspath(self.outputs["checkpoint"]))
        if isinstance(result, Series):
            return results.add_series(result, self._nodes("sections"), moving, self.inputs.get("moving_labels"))
        assert isinstance(result, Registration)
        return results.add_registration(result, fixed, moving, self.outputs, self.inputs.get("moving_labels"))

    def _check_presence(self) -> None:
        """InputError where a node that says where a side lies was removed."""
        titles = {item.role: item.title.lower() for item in catalog.method(self.method).inputs}
        for side in SIDES:
            role = self._anchor_role(side)
            if not all(slicer.mrmlScene.IsNodePresent(node) for node in self._nodes(role)):
                was, it = ("were", "them") if titles[role].endswith("s") else ("was", "it")
                raise InputError(
                    f"The {titles[role]} {was} removed from the scene while the registration ran: load {it} and run "
                    "again."
                )


def _check_kind(item: Input, given: Any, roles: Sequence[str]) -> None:
    """InputError where several nodes were given for what is one, surfaces for labels, or no file for one."""
    if item.is_file:
        _check_file(item, given)
        return
    listed = isinstance(given, (list, tuple))
    if listed and not (item.several or item.by_slice):
        raise InputError(f"The input '{item.title}' takes one node, and a list was given: give one of its nodes.")
    if item.kind not in ("labels", "mask") or given is None:
        return
    for node in given if listed else [given]:
        if node.IsA("vtkMRMLSegmentationNode") or node.IsA("vtkMRMLVolumeNode"):
            continue
        surfaces = item.role.replace("labels", "surfaces")
        other = f", or give it as one of '{surfaces}'" if surfaces in roles and surfaces != item.role else ""
        raise InputError(
            f"'{node.GetName()}' is no segmentation, and the input '{item.title}' takes one: choose a segmentation or "
            f"a label volume{other}."
        )


def _check_file(item: Input, given: Any) -> None:
    """InputError unless the path of a file that is there was given, or nothing."""
    if given is None:
        return
    if not isinstance(given, (str, os.PathLike)):
        raise InputError(f"The input '{item.title}' is a file: give its path.")
    if not os.path.isfile(given):
        raise InputError(f"The {item.title.lower()} file '{os.fspath(given)}' is not there: check its path.")


def _check_target(output: Output, given: Any) -> None:
    """InputError unless a file can be written there, with no look into one that is there already."""
    from regsuite.io.files import ending
    from regsuite.learning.checkpoint import ENDING

    if not given:
        raise InputError(f"There is no file for the output '{output.title}': name one to be written, {ENDING}.")
    path = os.path.abspath(os.fspath(given))
    ending(path, (ENDING,), "a checkpoint")
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise InputError(f"The folder '{folder}' does not exist: make it first, or choose another.")
    if os.path.isdir(path) or not os.access(folder, os.W_OK):
        raise InputError(f"'{path}' cannot be written: choose another folder.")


def found_node(given: Any, use: str) -> Any:
    """The node that was given, itself or by its ID or exact name.

    use: what it is to be, for the sentence of the InputError that says that no node, or more than one, is meant.
    """
    if isinstance(given, slicer.vtkMRMLNode):
        return given
    if not isinstance(given, str):
        kind = type(given).__name__
        raise InputError(f"The {use} is of type {kind}: give a node of the scene, its name or its ID.")
    found = _nodes_called(given)
    if not found:
        raise InputError(f"The scene has no node with the name or ID '{given}' for the {use}: load it, or correct it.")
    if len(found) > 1:
        known = ", ".join(node.GetID() for node in found)
        raise InputError(f"{len(found)} nodes are called '{given}': give one of the IDs {known} for the {use}.")
    return found[0]


def _nodes_called(text: str) -> list[Any]:
    """The node with that ID, or every node with that name; many nodes of MRML have the empty one."""
    by_id = slicer.mrmlScene.GetNodeByID(text)
    if by_id is not None:
        return [by_id]
    named = slicer.mrmlScene.GetNodesByName(text)
    return [named.GetItemAsObject(index) for index in range(named.GetNumberOfItems())] if text else []


class ConsoleLog(Progress):
    """Shows what a run logs, and nothing else, on standard output."""

    def log(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")


class MethodLogic:
    """Runs methods of the catalog on nodes of the scene, in place: for the console, scripts and tests."""

    def __init__(self, method_names: Iterable[str]) -> None:
        self.method_names = tuple(method_names)

    def register(
        self,
        fixed: Any = None,
        moving: Any = None,
        mask: Any = None,
        *,
        method: str | None = None,
        preset: str | None = None,
        seed: int = 0,
        device: str = "auto",
        segments: Mapping[str, str] | None = None,
        outputs: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Register ``moving`` to ``fixed``, or learn of it, here and now; returns the new nodes by output name.

        fixed, moving: scalar volume nodes, which some methods can do without; mask: a segmentation or label volume
        node, where the method takes one.
        options: the method's other inputs by role, such as ``moving_labels``, and its parameters by name.
        Every node may be given by its name or ID; surfaces are one node or a list; a checkpoint, among the outputs
        too, and weights are the path of a file.
        method: the first of this logic's without a name; preset: parameters start from its values.
        segments: by role, the ID of the segment that counts; outputs: by name, nodes to be filled.
        progress: is told of the run; without one, what the run logs is written to the console. What a user should know
        of the result is logged last.
        Raises InputError or JobFailed, one sentence each; the scene is then as it was.
        """
        from regsuite import jobs

        name, roles = self._known(method), self._roles()
        given = {"fixed": fixed, "moving": moving, "mask": mask}
        given |= {role: node for role, node in options.items() if role in roles}
        parameters = {key: value for key, value in options.items() if key not in roles}
        values = dict(catalog.method(name).preset(preset).values) if preset else {}
        request = Request(
            method=name,
            inputs=self._found(given, "input"),
            segments=segments or {},
            parameters=values | parameters,
            seed=seed,
            device=device,
            outputs=self._found(outputs or {}, "output"),
        )
        progress = progress or ConsoleLog()
        result = jobs.execute(request.job(), progress)
        nodes = request.add(result)
        for note in result.notes:
            progress.log(note)
        return nodes

    def _found(self, given: Mapping[str, Any], use: str) -> dict[str, Any]:
        """The nodes that were given, and paths as they are."""
        methods = [catalog.method(name) for name in self.method_names]
        files = {item.role for method in methods for item in method.inputs if item.is_file}
        files |= {item.name for method in methods for item in method.outputs if item.kind == "checkpoint"}
        nodes = {name: node for name, node in given.items() if node is not None}
        return {name: node if name in files else _found(node, f"{use} '{name}'") for name, node in nodes.items()}

    def _roles(self) -> set[str]:
        """Of every input of this logic's methods."""
        return {item.role for name in self.method_names for item in catalog.method(name).inputs}

    def _known(self, method: str | None) -> str:
        name = method or self.method_names[0]
        if name not in self.method_names:
            raise InputError(f"There is no method '{name}' here: choose one of {', '.join(self.method_names)}.")
        return name


def _found(given: Any, use: str) -> Any:
    """A node, or every node of a list."""
    return [found_node(each, use) for each in given] if isinstance(given, (list, tuple)) else found_node(given, use)
