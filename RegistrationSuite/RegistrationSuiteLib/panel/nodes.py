"""The rows of a method panel that choose inputs by role, and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt
import slicer
import slicer.util
import vtk
from regsuite.catalog import Input, Output

from RegistrationSuiteLib.panel.fields import Changed, tooltip
from RegistrationSuiteLib.panel.paths import PathField, PathOutput
from RegistrationSuiteLib.state import PanelState

NODE_TYPES = {
    "image": ["vtkMRMLScalarVolumeNode"],
    "section": ["vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode"],
    "sections": ["vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode"],
    "slices": ["vtkMRMLScalarVolumeNode"],
    "mask": ["vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode"],
    "labels": ["vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode"],
    "points": ["vtkMRMLMarkupsFiducialNode", "vtkMRMLModelNode"],
    "surfaces": ["vtkMRMLModelNode", "vtkMRMLMarkupsFiducialNode", "vtkMRMLMarkupsCurveNode"],
}

SEGMENT_EVENTS = (
    slicer.vtkSegmentation.SegmentAdded,
    slicer.vtkSegmentation.SegmentRemoved,
    slicer.vtkSegmentation.SegmentModified,
)


def node_selector(types: list[str], empty: str, help: str, several: bool = False) -> Any:
    """A chooser of existing nodes that starts empty; several: with a box to tick for each."""
    selector = (slicer.qMRMLCheckableNodeComboBox if several else slicer.qMRMLNodeComboBox)()
    selector.nodeTypes = types
    selector.addEnabled = False
    selector.removeEnabled = False
    selector.renameEnabled = True
    selector.noneEnabled = not several
    selector.noneDisplay = empty
    # Vector volumes and label maps derive from the scalar volume; grid and linear transforms from the transform.
    selector.showChildNodeTypes = "vtkMRMLScalarVolumeNode" not in types
    selector.toolTip = tooltip(help)
    return selector


class InputField(slicer.util.VTKObservationMixin):
    """The choice of one input: a node, and one of its segments where it is a segmentation with several."""

    def __init__(self, declared: Input, changed: Changed) -> None:
        super().__init__()
        self.declared = declared
        self._changed = changed
        self._setting = False
        empty = f"Select {declared.title.lower()}" if declared.required else "None"
        self.selector = node_selector(NODE_TYPES[declared.kind], empty, declared.help)
        self.selector.name = f"{declared.role}Selector"
        self.segments = qt.QComboBox()
        self.segments.name = f"{declared.role}Segment"
        self.segments.toolTip = tooltip(f"Which segment is the {declared.title.lower()}.")
        self.segments.visible = False
        self.widget = qt.QWidget()
        column = qt.QVBoxLayout(self.widget)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.selector)
        column.addWidget(self.segments)
        self.selector.setMRMLScene(slicer.mrmlScene)
        self.selector.connect("currentNodeChanged(vtkMRMLNode*)", self.onNode)
        self.segments.connect("currentIndexChanged(int)", self.onSegment)

    @property
    def node(self) -> Any:
        return self.selector.currentNode()

    @property
    def segment(self) -> str:
        """The chosen segment's ID; empty for all of them."""
        return str(self.segments.currentData or "") if self._has_choice() else ""

    def keep(self, state: PanelState) -> None:
        """Writes the choice into the panel's state."""
        state.set_reference(f"input.{self.declared.role}", self.node)
        state.set_text(f"segment.{self.declared.role}", self.segment)

    def recall(self, state: PanelState) -> None:
        """Shows the choice that the panel's state keeps."""
        role = self.declared.role
        self.set(state.reference(f"input.{role}"), state.text(f"segment.{role}"))

    def set(self, node: Any, segment: str) -> None:
        """Shows a choice without telling anyone."""
        self._setting = True
        self.selector.setCurrentNode(node)
        self._follow_segments()
        self._fill_segments()
        self._setting = False
        self._choose_segment(segment)

    def onNode(self, _node: Any) -> None:
        if not self._setting:
            self._follow_segments()
            self._fill_segments()
            self._changed()

    def onSegmentsChanged(self, _caller: Any, _event: Any) -> None:
        """Segments were drawn, renamed or removed; the chosen one stays chosen."""
        segment = self.segment
        self._fill_segments()
        self._choose_segment(segment)
        self._changed()

    def onSegment(self, _index: int) -> None:
        if not self._setting:
            self._changed()

    def _follow_segments(self) -> None:
        """Of labels too: their names are shown elsewhere in the panel."""
        self.removeObservers()
        labels = self.declared.kind in ("mask", "labels")
        if labels and self.node is not None and self.node.IsA("vtkMRMLSegmentationNode"):
            for event in SEGMENT_EVENTS:
                self.addObserver(self.node, event, self.onSegmentsChanged)

    def _choose_segment(self, segment: str) -> None:
        was, self._setting = self._setting, True
        self.segments.currentIndex = max(0, self.segments.findData(segment)) if segment else 0
        self._setting = was

    def _fill_segments(self) -> None:
        was, self._setting = self._setting, True
        self.segments.clear()
        self.segments.addItem("All segments", "")
        for segment_id, name in self._segments():
            self.segments.addItem(name, segment_id)
        self.segments.visible = self._has_choice()
        self._setting = was

    def _has_choice(self) -> bool:
        return len(self._segments()) > 1

    def _is_choice_of_segments(self) -> bool:
        return self.declared.kind == "mask" and self.node is not None and self.node.IsA("vtkMRMLSegmentationNode")

    def _segments(self) -> list[tuple[str, str]]:
        if not self._is_choice_of_segments():
            return []
        segmentation = self.node.GetSegmentation()
        ids = [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]
        return [(each, segmentation.GetSegment(each).GetName()) for each in ids]


class NodesField(slicer.util.VTKObservationMixin):
    """The choice of an input of several nodes: organs, sections or slices."""

    segment = ""

    def __init__(self, declared: Input, changed: Changed) -> None:
        super().__init__()
        self.declared = declared
        self._names: list[str] = []
        self._changed = changed
        self._setting = False
        self.widget = self.selector = node_selector(NODE_TYPES[declared.kind], "None", declared.help, several=True)
        self.selector.name = f"{declared.role}Selector"
        self.selector.setMRMLScene(slicer.mrmlScene)
        self.selector.connect("checkedNodesChanged()", self.onNodes)

    @property
    def node(self) -> Any:
        """The nodes that are ticked; None where none is."""
        return [node for node in self.selector.checkedNodes() if node is not None] or None  # while a scene closes

    def keep(self, state: PanelState) -> None:
        """Writes the choice into the panel's state."""
        state.set_references(f"input.{self.declared.role}", self.node or ())

    def recall(self, state: PanelState) -> None:
        """Shows the choice that the panel's state keeps."""
        self.set(state.references(f"input.{self.declared.role}"))

    def set(self, nodes: Sequence[Any] | None, _segment: str = "") -> None:
        """Shows a choice without telling anyone."""
        self._setting = True
        for node in self.selector.checkedNodes():
            self.selector.uncheck(node)
        for node in nodes or ():
            self.selector.check(node)
        self._setting = False
        self._follow_names()

    def onNodes(self) -> None:
        if not self._setting:
            self._follow_names()
            self._changed()

    def onModified(self, _caller: Any, _event: Any) -> None:
        """Of all that may change in a node its name alone is shown elsewhere in the panel."""
        names = [node.GetName() for node in self.node or ()]
        if names != self._names:
            self._names = names
            self._changed()

    def _follow_names(self) -> None:
        self.removeObservers()
        self._names = [node.GetName() for node in self.node or ()]
        for node in self.node or ():
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.onModified)


AnyInput = InputField | NodesField | PathField


def input_field(declared: Input, changed: Changed) -> AnyInput:
    """The field that suits an input's kind."""
    if declared.is_file:
        return PathField(declared, changed)
    return (NodesField if declared.several else InputField)(declared, changed)


OUTPUT_TYPES = {
    "transform": ["vtkMRMLTransformNode"],
    "image": ["vtkMRMLScalarVolumeNode"],
    "labels": ["vtkMRMLSegmentationNode"],
    "checkpoint": [],
}
"""Kinds of outputs that a user may choose, and the nodes they fill; a checkpoint is a file."""


class OutputField:
    """Where one output goes: a new node, unless the user chooses one to be filled."""

    def __init__(self, declared: Output, changed: Changed) -> None:
        self.declared = declared
        self._changed = changed
        self._setting = False
        self.widget = node_selector(OUTPUT_TYPES[declared.kind], "Create new", declared.help)
        self.widget.name = f"{declared.name}Output"
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.widget.connect("currentNodeChanged(vtkMRMLNode*)", self.onNode)

    @property
    def node(self) -> Any:
        return self.widget.currentNode()

    def keep(self, state: PanelState) -> None:
        """Writes the choice into the panel's state."""
        state.set_reference(f"output.{self.declared.name}", self.node)

    def recall(self, state: PanelState) -> None:
        """Shows the choice that the panel's state keeps."""
        self.set(state.reference(f"output.{self.declared.name}"))

    def set(self, node: Any) -> None:
        """Shows a choice without telling anyone."""
        self._setting = True
        self.widget.setCurrentNode(node)
        self._setting = False

    def onNode(self, _node: Any) -> None:
        if not self._setting:
            self._changed()


AnyOutput = OutputField | PathOutput


def output_field(declared: Output, changed: Changed) -> AnyOutput:
    """The field that suits an output's kind."""
    return (PathOutput if declared.kind == "checkpoint" else OutputField)(declared, changed)
