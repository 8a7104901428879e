"""The result of a registration as nodes of the scene, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import slicer.util
from regsuite import catalog
from regsuite.errors import InputError

from RegistrationSuiteLib import colours, display, parts, records, scene, tables
from RegistrationSuiteLib.scene.cuts import slices_model
from RegistrationSuiteLib.scene.geometry import grid_of, plane_of
from RegistrationSuiteLib.scene.labels import (
    Segment,
    colour_of,
    copy_terminology,
    overlapping,
    segmentation_from_segments,
    segments_on_grid,
)
from RegistrationSuiteLib.scene.nodes import into_folder, remove_nodes, undone_on_error
from RegistrationSuiteLib.scene.volumes import new_node

if TYPE_CHECKING:
    from regsuite.registration import Registration, Series, Training
    from regsuite.spatial import Image, LabelImage

    from RegistrationSuiteLib.scene import Plane

TITLES = {
    "transform": "transform",
    "inverse": "inverse transform",
    "warped": "warped",
    "warped_labels": "warped labels",
    "jacobian": "Jacobian",
    "intensity_added": "intensity added",
    "metrics": "metrics",
}
SECTION_TITLES = {"warped": "plate", "warped_labels": "regions", "regions": "region table"}
"""Of what lies on a section, instead."""
FRAMES_PER_SECOND = 5
SLICE_WINDOW = (0.5, 99.5)
"""Percentiles that are black and white in placed slices."""
CANDIDATES = "candidates"
"""The sequence whose frames are no time but a choice, the best first."""


def add_registration(
    registration: Registration,
    fixed: Any,
    moving: Any,
    outputs: Mapping[str, Any] | None = None,
    moving_labels: Any = None,
) -> dict[str, Any]:
    """Add what a registration gave to the scene and return the nodes by output name.

    fixed, moving: the volume nodes that were registered, or what else says where the two sides lie;
    moving_labels: the segmentation or label volume node that was carried along, whose kind, and whose overlaps, the
    warped labels keep.
    outputs: existing nodes to be filled, by output name; all others are made.
    Labels that lie in the moving image's frame are hidden: the views show the fixed one's.
    Beside the declared outputs there are "metrics" (a table), "<sequence>_browser" and "<curve>_chart". Placed slices
    come as a volume each, "<sequence>_1" and so on, in a folder of their own, and "planes" shows them in 3D.

    The new nodes lie in one folder of the subject hierarchy. If anything fails, the scene is as it was.
    InputError where an output node cannot hold what it is to be filled with.
    """
    chosen = {name: node for name, node in (outputs or {}).items() if node is not None}
    _check_outputs(chosen, (fixed, moving, moving_labels))
    with undone_on_error():
        writer = _Writer(registration, fixed, moving, moving_labels, chosen)
        made = writer.nodes()
        _check_kinds(made, chosen)
        for name, node in chosen.items():
            made[name] = _delivered(made[name], node)
        made |= writer.players(made)
        folder = into_folder(made.values(), f"{moving.GetName()} registered to {fixed.GetName()}")
        for name in writer.placed:
            into_folder([node for key, node in made.items() if is_slice_of(key, name)], name, folder)
    return made


def is_slice_of(output: str, sequence: str) -> bool:
    """Whether a node by that output name is a placed slice of a sequence."""
    name, _, number = output.rpartition("_")
    return name == sequence and number.isdigit()


def _add_told(result: Training | Series, moving: Any, folder: str) -> dict[str, Any]:
    """What it says in figures: nodes by output name, named after ``moving``, in a folder of that name."""

    def name_of(output: str) -> str:
        return f"{moving.GetName()} {TITLES.get(output, output.replace('_', ' '))}"

    made = tables.add_tables(result, name_of)
    records.keep(result, made["metrics"])
    made |= tables.add_charts(result, made, name_of)
    into_folder(made.values(), f"{folder} {moving.GetName()}")
    return made


def add_training(training: Training, moving: Any, path: str) -> dict[str, Any]:
    """Write what was learned to a file, and add its curves, tables and figures to the scene; the nodes by output name.

    moving: the node that was learned of. If anything fails the scene is as it was, and so is a file that was there
    before. InputError where the file cannot be written.
    """
    from regsuite.learning.checkpoint import write_checkpoint

    with undone_on_error():
        made = _add_told(training, moving, "What was learned of")
        write_checkpoint(path, training.checkpoint)
    return made


def add_series(series: Series, sections: Sequence[Any], moving: Any, moving_labels: Any = None) -> dict[str, Any]:
    """Add what was found of every section, and of all, to the scene; the nodes by "<section> <output>" and output name.

    sections: the nodes, by whose names the parts go; see :func:`add_registration`. Sections lie in one plane, so that
    the labels of all but the first are hidden. If anything fails, the scene is as it was.
    """
    named = {node.GetName(): node for node in sections}

    with undone_on_error():
        made = _add_told(series, moving, "Series in")
        for place, (name, part) in enumerate(series.parts.items()):
            part.record = {**series.record, **part.record}
            nodes = add_registration(part, named[name], moving, None, moving_labels)
            parts.mark(nodes, place, named[name])
            if place and "warped_labels" in nodes:
                display.show_labels(nodes["warped_labels"], False)
            made |= {f"{name} {output}": node for output, node in nodes.items()}
    return made


def remove(nodes: Sequence[Any]) -> None:
    """Take result nodes out of the scene again, with the folders they leave empty."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folders = {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in nodes}
    remove_nodes(nodes)
    kept = {0, hierarchy.GetSceneItemID()}
    while folders := {each for each in folders - kept if not hierarchy.GetNumberOfItemChildren(each)}:
        above = {hierarchy.GetItemParent(each) for each in folders}
        for folder in folders:
            hierarchy.RemoveItem(folder)
        folders = above


def _check_outputs(chosen: Mapping[str, Any], inputs: Sequence[Any]) -> None:
    for name, node in chosen.items():
        if any(node is each for each in inputs):
            raise InputError(f"'{node.GetName()}' is an input and cannot be the output '{name}': choose another node.")


def _check_kinds(made: Mapping[str, Any], chosen: Mapping[str, Any]) -> None:
    for name, node in chosen.items():
        if name not in made:
            raise InputError(f"This registration gives no output '{name}': it gives {', '.join(made)}.")
        transforms = node.IsA("vtkMRMLTransformNode") and made[name].IsA("vtkMRMLTransformNode")
        if not transforms and node.GetClassName() != made[name].GetClassName():
            raise InputError(f"'{node.GetName()}' cannot hold the output '{name}': choose a node of the right kind.")


def _delivered(made: Any, chosen: Any) -> Any:
    """The chosen node with the content and the look of the one that was made, which is removed."""
    if made.IsA("vtkMRMLTransformNode"):
        chosen.SetAndObserveTransformFromParent(made.GetTransformFromParent())
    elif made.IsA("vtkMRMLSequenceNode"):
        _copy_frames(made, chosen)
    else:
        chosen.CopyContent(made)
    if made.IsA("vtkMRMLTransformableNode"):
        chosen.SetAndObserveTransformNodeID(None)
    for key in made.GetAttributeNames():
        if key.startswith(records.ATTRIBUTES):
            chosen.SetAttribute(key, made.GetAttribute(key))
    if made.IsA("vtkMRMLVolumeNode"):
        _copy_look(made, chosen)
    _discard(made)
    return chosen


def _copy_frames(source: Any, target: Any) -> None:
    target.RemoveAllDataNodes()
    target.SetIndexName(source.GetIndexName())
    target.SetIndexUnit(source.GetIndexUnit())
    for index in range(source.GetNumberOfDataNodes()):
        target.SetDataNodeAtValue(source.GetNthDataNode(index), source.GetNthIndexValue(index))


def _copy_look(source: Any, target: Any) -> None:
    target.CreateDefaultDisplayNodes()
    target.GetDisplayNode().CopyContent(source.GetDisplayNode())
    target.GetDisplayNode().SetAndObserveColorNodeID(source.GetDisplayNode().GetColorNodeID())


def _discard(node: Any) -> None:
    """Remove a node that was only needed for a while, with its display nodes."""
    count = node.GetNumberOfDisplayNodes() if node.IsA("vtkMRMLDisplayableNode") else 0
    for each in [*(node.GetNthDisplayNode(index) for index in range(count)), node]:
        slicer.mrmlScene.RemoveNode(each)


@dataclass
class _Writer:
    """Makes the nodes of one registration."""

    registration: Registration
    fixed: Any
    moving: Any
    moving_labels: Any
    chosen: Mapping[str, Any]

    def __post_init__(self) -> None:
        from regsuite.registration import lie_apart

        self.declared = catalog.outputs_of(self.registration.record)
        # A slice that was registered in space, such as a section to an atlas, stays there.
        self.plane = plane_of(self.fixed) if self.registration.fixed_grid.dim == 2 else None
        self.moving_plane = self._plane_of_moving() if self.plane else None
        sequences, grid = self.registration.sequences, self.registration.fixed_grid
        self.placed = [name for name, frames in sequences.items() if lie_apart(frames, grid)]

    def _plane_of_moving(self) -> Plane | None:
        """Models and markups lie in no plane of their own: they were projected onto the fixed one."""
        flat = self.moving.IsA("vtkMRMLVolumeNode") or _is_segmentation(self.moving)
        return plane_of(self.moving, self.fixed) if flat else self.plane

    def nodes(self) -> dict[str, Any]:
        registration = self.registration
        made = {"transform": self._transform("transform"), "inverse": self._transform("inverse")}
        if registration.warped is not None:
            made["warped"] = self._image("warped", registration.warped)
        if registration.warped_labels is not None:
            made["warped_labels"] = self._warped_labels(registration.warped_labels)
        for name, labels in registration.labels.items():
            made[name] = self._labels(name, labels)
        for name, image in registration.images.items():
            made[name] = self._image(name, image)
        for name, surface in registration.surfaces.items():
            made[name] = scene.model_from_surface(surface, self._name(name), self._plane_of(name))
        for name, frames in registration.sequences.items():
            made |= self._slices(name, frames) if name in self.placed else {name: self._sequence(name, frames)}
        if "slices" in self.placed:
            shown = [made[f"slices_{number}"] for number in range(1, 1 + len(registration.sequences["slices"]))]
            made["planes"] = slices_model(shown, self._name("planes"))
        return made | tables.add_tables(registration, self._name)

    def players(self, made: Mapping[str, Any]) -> dict[str, Any]:
        """What plays or plots the nodes: a browser for each sequence, a chart for each curve."""
        played = (name for name in self.registration.sequences if name not in self.placed)
        players = {f"{name}_browser": self._browser(name, made[name]) for name in played}
        return players | tables.add_charts(self.registration, made, self._name)

    def _on_moving(self, output: str) -> bool:
        return output in self.declared and self.declared[output].frame == "moving"

    def _plane_of(self, output: str) -> Plane | None:
        """That of the side in whose frame an output is declared."""
        return self.moving_plane if self._on_moving(output) else self.plane

    def _name(self, output: str) -> str:
        title = TITLES.get(output, output.replace("_", " "))
        if self._is_section():
            return f"{self.fixed.GetName()} {SECTION_TITLES.get(output, title)}"
        return f"{self.moving.GetName()} {title}"

    def _is_section(self) -> bool:
        grid = self.registration.fixed_grid
        return grid.dim == 3 and 1 in grid.shape

    def _transform(self, which: str) -> Any:
        back = which == "inverse"
        transform = self.registration.inverse if back else self.registration.transform
        start, end = (self.moving_plane, self.plane) if back else (self.plane, self.moving_plane)
        shift = end.offset - start.offset if start and end else 0.0
        node = scene.transform_node(transform, self._name(which), start, shift)
        records.keep(self.registration, node)
        return node

    def _image(self, name: str, image: Image) -> Any:
        node = scene.volume_from_image(image, self._name(name), self.plane)
        colour = {"jacobian": colours.colour_jacobian, "intensity_added": colours.colour_signed}.get(name)
        if colour is not None:
            colour(node)
        else:
            self._look_like_moving(node)
        return node

    def _look_like_moving(self, node: Any) -> None:
        """The moving image's window and colours, so that brightness can be compared; slices have none in common."""
        source, target = self.moving.GetDisplayNode(), node.GetDisplayNode()
        if self.placed or source is None or not source.IsA("vtkMRMLVolumeDisplayNode"):
            return
        target.SetAutoWindowLevel(False)
        target.SetWindowLevel(source.GetWindow(), source.GetLevel())
        target.SetAndObserveColorNodeID(source.GetColorNodeID())

    # --- labels ---

    def _warped_labels(self, labels: LabelImage) -> Any:
        """Of the moving labels' kind; their segments may overlap."""
        name = self._name("warped_labels")
        kinds = [node for node in (self.chosen.get("warped_labels"), self.moving_labels) if node is not None]
        if kinds and not _is_segmentation(kinds[0]):
            return scene.labelmap_from_labels(labels, name, self.plane)
        if self._overlapping():
            grid = self.registration.fixed_grid
            solid = self.plane.lift_grid(grid) if self.plane else grid
            segments = list(self._warped_segments())
            node = segmentation_from_segments([*segments, *self._others(labels, segments)], solid, name)
        else:
            node = scene.segmentation_from_labels(labels, name, self.plane)
        if self.moving_labels is not None and _is_segmentation(self.moving_labels):
            copy_terminology(self.moving_labels, node)
        return _outlined(node, self.fixed)

    def _others(self, labels: LabelImage, segments: Sequence[Segment]) -> Iterator[Segment]:
        """The labels that are no segments: of organs that were given as surfaces beside them."""
        names = {segment.name for segment in segments}
        for value in labels.values():
            if labels.name_of(value) not in names:
                mask = labels.array() == value
                solid = np.expand_dims(mask, self.plane.axis) if self.plane else mask
                yield Segment(value, labels.name_of(value), colour_of(labels, value), solid)

    def _labels(self, output: str, labels: LabelImage) -> Any:
        """A segmentation, unless a label volume was chosen."""
        plane, name = self._plane_of(output), self._name(output)
        labels, moving = self._on_stack(output, labels), self._on_moving(output) or self._on_slices(output)
        if output in self.chosen and not _is_segmentation(self.chosen[output]):
            return scene.labelmap_from_labels(labels, name, plane)
        volume = self.moving if moving else self.fixed
        node = _outlined(
            scene.segmentation_from_labels(labels, name, plane), volume, not self._is_apart(output, labels)
        )
        node.GetDisplayNode().SetVisibility(not moving)
        return node

    def _on_slices(self, output: str) -> bool:
        return output in self.declared and self.declared[output].frame == "slices"

    def _on_stack(self, output: str, labels: LabelImage) -> LabelImage:
        """Labels of slices, which lie nowhere of their own, on the stack of these."""
        apart = not self._on_slices(output) or self._is_apart(output, labels)
        return labels if apart else replace(labels, grid=grid_of(self.moving))

    def _is_apart(self, output: str, labels: LabelImage) -> bool:
        """Whether labels are a stack of slices that are no stack themselves: then they lie on none of them."""
        return self._on_slices(output) and labels.grid.shape != grid_of(self.moving).shape

    def _overlapping(self) -> bool:
        node = self.moving_labels
        return node is not None and _is_segmentation(node) and overlapping(node, grid_of(self.moving))

    def _warped_segments(self) -> Iterator[Segment]:
        """Every segment warped for itself: a label image holds one label a voxel and cannot overlap."""
        from regsuite.spatial import LabelImage
        from regsuite.transforms import warp_labels

        grid, plane = grid_of(self.moving), self.moving_plane
        flat = plane.flatten_grid(grid) if plane else grid
        for segment in segments_on_grid(self.moving_labels, grid):
            mask = segment.full_mask(grid.shape)
            mask = mask.squeeze(plane.axis) if plane else mask
            warped = warp_labels(
                LabelImage.from_array(mask, flat), self.registration.transform, self.registration.fixed_grid
            ).array()
            solid = np.expand_dims(warped, self.plane.axis) if self.plane else warped
            yield Segment(segment.value, segment.name, segment.colour, solid != 0)

    # --- sequences ---

    def _slices(self, name: str, frames: Sequence[Image]) -> dict[str, Any]:
        """A volume each, where it was placed; all in one window."""
        values = np.concatenate([frame.array().ravel() for frame in frames])
        low, high = np.nanpercentile(values, SLICE_WINDOW)
        made = {}
        for number, frame in enumerate(frames, start=1):
            node = scene.volume_from_image(frame, f"{self._name(name)} {number}")
            node.GetDisplayNode().SetAutoWindowLevel(False)
            node.GetDisplayNode().SetWindowLevelMinMax(float(low), float(max(high, low + 1e-6)))
            made[f"{name}_{number}"] = node
        return made

    def _sequence(self, name: str, frames: Sequence[Image]) -> Any:
        """The frames over a time from 0 to 1, or candidates by their rank."""
        sequence = new_node("vtkMRMLSequenceNode", self._name(name))
        ranked, count = name == CANDIDATES, len(frames)
        sequence.SetIndexName("rank" if ranked else "time")
        sequence.SetIndexUnit("")
        for value, frame in zip(np.linspace(*((1, count) if ranked else (0, 1)), count), frames, strict=True):
            node = scene.volume_from_image(frame, sequence.GetName(), self.plane)
            sequence.SetDataNodeAtValue(node, f"{value:.6g}")
            _discard(node)
        return sequence

    def _browser(self, name: str, sequence: Any) -> Any:
        """Plays a sequence; the volume it plays into shows the last frame, or the best candidate."""
        browser = new_node("vtkMRMLSequenceBrowserNode", f"{self._name(name)} browser")
        browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
        browser.SetPlaybackRateFps(FRAMES_PER_SECOND)
        browser.SetIndexDisplayFormat("%.0f" if name == CANDIDATES else "%.2f")
        browser.SetSelectedItemNumber(0 if name == CANDIDATES else sequence.GetNumberOfDataNodes() - 1)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        self._look_of_frames(name, browser.GetProxyNode(sequence))
        return browser

    def _look_of_frames(self, name: str, proxy: Any) -> None:
        proxy.CreateDefaultDisplayNodes()
        if name == "mask":
            proxy.GetDisplayNode().SetAutoWindowLevel(False)
            proxy.GetDisplayNode().SetWindowLevelMinMax(0.0, 1.0)
        else:
            self._look_like_moving(proxy)


def _is_segmentation(node: Any) -> bool:
    return bool(node.IsA("vtkMRMLSegmentationNode"))


def _outlined(node: Any, volume: Any, on_it: bool = True) -> Any:
    """The segmentation shown as outlines, on the voxels of the volume, where it is one and they lie ``on_it``."""
    if on_it and volume.IsA("vtkMRMLVolumeNode"):
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.GetDisplayNode().SetVisibility2DFill(False)
    return node
