"""A simulation of the qMRML widgets the suite's panels use; members as in Slicer's headers.

They follow the real scene through its events. What they cannot show is the qMRML widgets' own item models: nesting,
icons, renaming dialogs, and the moment at which a node becomes current while a scene is being imported.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import slicer
import vtk
from PySide6.QtCore import Property, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QWidget
from vtkmodules.util.numpy_support import vtk_to_numpy

from Rig import pythonqt


class qMRMLWidget(QWidget):
    """A widget that passes its scene on to the widgets it holds."""

    _simulates = "qMRMLWidget"
    mrmlSceneChanged = Signal(object)
    _signals: ClassVar = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> Any:
        return self._scene


_FLAGS = {
    "addEnabled": True,
    "removeEnabled": True,
    "editEnabled": False,
    "renameEnabled": False,
    "noneEnabled": False,
    "showChildNodeTypes": True,
    "showHidden": False,
    "selectNodeUponCreation": True,
}
_TEXTS = {"noneDisplay": "None", "baseName": ""}
_NODE_EVENTS = ("NodeAddedEvent", "NodeRemovedEvent")
_SCENE_EVENTS = ("EndBatchProcessEvent", "EndCloseEvent", "EndImportEvent", "EndRestoreEvent")


def _remove_observers(observed: list[tuple[Any, int]], _destroyed: Any = None) -> None:
    while observed:
        scene, tag = observed.pop()
        scene.RemoveObserver(tag)


class qMRMLNodeComboBox(QWidget):
    """The nodes of the scene that have one of ``nodeTypes``, one of them current."""

    _simulates = "qMRMLNodeComboBox"
    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAddedByUser = Signal(object)
    _signals: ClassVar = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
    }

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._observed: list[tuple[Any, int]] = []
        self._values: dict[str, Any] = {**_FLAGS, **_TEXTS}
        self._types: list[str] = []
        self._ids: list[str] = []
        self._current = ""
        self._box = QComboBox()
        self._box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._box.activated.connect(self._on_activated)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box)
        self.destroyed.connect(partial(_remove_observers, self._observed))

    # --- the scene ---

    def setMRMLScene(self, scene: Any) -> None:
        _remove_observers(self._observed)
        self._scene = scene
        if scene is not None:
            for event in _NODE_EVENTS:
                self._observe(event, self._on_node)
            for event in _SCENE_EVENTS:
                self._observe(event, self._on_scene)
        self._fill()

    def mrmlScene(self) -> Any:
        return self._scene

    def _observe(self, event: str, call: Callable[[Any], None]) -> None:
        @vtk.calldata_type(vtk.VTK_OBJECT)
        def called(_scene: Any, _event: str, node: Any) -> None:
            call(node)

        observer = called if event in _NODE_EVENTS else lambda *_: call(None)
        self._observed.append((self._scene, self._scene.AddObserver(getattr(slicer.vtkMRMLScene, event), observer)))

    def _on_node(self, node: Any) -> None:
        """While the scene does much at once, as Slicer's own widget, waits for the end of it."""
        if not self._scene.IsBatchProcessing() and self._shows(node):
            self._fill()

    def _on_scene(self, _: Any) -> None:
        self._fill()

    def _shows(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self._values["showHidden"]:
            return False
        children = self._values["showChildNodeTypes"]
        return any(node.IsA(each) if children else node.GetClassName() == each for each in self._types)

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        nodes = (self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes()))
        return [node for node in nodes if self._shows(node)]

    def _fill(self) -> None:
        nodes = self._nodes()
        self._ids = [""] * self._values["noneEnabled"] + [node.GetID() for node in nodes]
        self._box.blockSignals(True)
        self._box.clear()
        self._box.addItems([self._values["noneDisplay"]] * self._values["noneEnabled"])
        self._box.addItems([node.GetName() or "" for node in nodes])
        self._box.addItems([title for title, _ in self._actions()])
        self._box.blockSignals(False)
        fallback = self._ids[0] if self._ids else ""
        self._make_current(self._current if self._current in self._ids else fallback)

    def _actions(self) -> list[tuple[str, Callable[[], Any]]]:
        kind = self._types[0].removeprefix("vtkMRML").removesuffix("Node") if self._types else "node"
        actions = {
            "addEnabled": (f"Create new {kind}", self.addNode),
            "removeEnabled": ("Delete current node", self.removeCurrentNode),
        }
        return [action for flag, action in actions.items() if self._values[flag]]

    # --- the current node ---

    def _make_current(self, node_id: str) -> None:
        self._box.currentIndex = self._ids.index(node_id) if node_id in self._ids else -1
        if node_id != self._current:
            self._current = node_id
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(node_id)

    def _on_activated(self, index: int) -> None:
        if index < len(self._ids):
            self._make_current(self._ids[index])
            self.nodeActivated.emit(self.currentNode())
        else:
            self._actions()[index - len(self._ids)][1]()

    def currentNode(self) -> Any:
        return self._scene.GetNodeByID(self._current) if self._scene is not None and self._current else None

    def setCurrentNode(self, node: Any) -> None:
        """Takes a node, its ID, or None. A node that is not shown leaves no current node, as in Slicer."""
        node_id = node if isinstance(node, str) else node.GetID() if node is not None else ""
        self._make_current(node_id if node_id in self._ids else "")

    def setCurrentNodeID(self, node_id: str) -> None:
        self.setCurrentNode(node_id)

    def setCurrentNodeIndex(self, index: int) -> None:
        self.setCurrentNode([each for each in self._ids if each][index])

    def nodeCount(self) -> int:
        return sum(1 for each in self._ids if each)

    def nodeFromIndex(self, index: int) -> Any:
        return self._scene.GetNodeByID([each for each in self._ids if each][index])

    def addNode(self) -> Any:
        node = self._scene.AddNewNodeByClass(self._types[0], self._values["baseName"])
        if self._values["selectNodeUponCreation"]:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        if self.currentNode() is not None:
            self._scene.RemoveNode(self.currentNode())

    # --- properties ---

    def _get_types(self) -> list[str]:
        return self._types

    def setNodeTypes(self, types: list[str]) -> None:
        self._types = list(types)
        self._fill()

    def _get_current_id(self) -> str:
        return self._current

    def _value(name: str) -> Any:  # type: ignore[misc]
        def change(self: Any, value: Any) -> None:
            self._values[name] = value
            self._fill()

        return (lambda self: self._values[name]), change

    nodeTypes = Property("QStringList", _get_types, setNodeTypes)
    currentNodeID = Property(str, _get_current_id, setCurrentNodeID, notify=currentNodeIDChanged)
    for _flag in _FLAGS:
        vars()[_flag] = Property(bool, *_value(_flag))
    for _text in _TEXTS:
        vars()[_text] = Property(str, *_value(_text))
    del _value, _flag, _text


class qMRMLCheckableNodeComboBox(qMRMLNodeComboBox):
    """A chooser of several nodes, with a box to tick for each."""

    _simulates = "qMRMLCheckableNodeComboBox"
    checkedNodesChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        self._checked: list[str] = []
        super().__init__(parent)

    def checkedNodes(self) -> list[Any]:
        return [self._scene.GetNodeByID(each) for each in self._ids if each in self._checked]

    def check(self, node: Any) -> None:
        if node.GetID() in self._ids and node.GetID() not in self._checked:
            self._checked.append(node.GetID())
            self._tell()

    def uncheck(self, node: Any) -> None:
        if node.GetID() in self._checked:
            self._checked.remove(node.GetID())
            self._tell()

    def _tell(self) -> None:
        self._show_checked()
        self.checkedNodesChanged.emit()

    def _show_checked(self) -> None:
        """As ctkCheckableComboBox paints it."""
        names = [node.GetName() for node in self.checkedNodes()]
        self._box.setEditable(True)
        self._box.lineEdit().text = "None" if not names else "All" if len(names) == len(self._ids) else ", ".join(names)

    def _fill(self) -> None:
        super()._fill()
        self._show_checked()
        gone = [each for each in self._checked if each not in self._ids]
        for each in gone:
            self._checked.remove(each)
        if gone:
            self._tell()


class qMRMLUtils:
    """Helpers of the qMRML library."""

    def vtkImageDataToQImage(self, source: vtk.vtkImageData, image: QImage) -> bool:
        """Copies a 2D image of 3 or 4 unsigned char components into ``image``; rows run upwards in VTK."""
        width, height, _ = source.GetDimensions()
        scalars = source.GetPointData().GetScalars()
        channels = scalars.GetNumberOfComponents()
        if channels not in (3, 4) or scalars.GetDataType() != vtk.VTK_UNSIGNED_CHAR:
            return False
        rows = vtk_to_numpy(scalars).reshape(height, width, channels)[::-1].copy()
        layout = QImage.Format.Format_RGB888 if channels == 3 else QImage.Format.Format_RGBA8888
        image.swap(QImage(rows.tobytes(), width, height, width * channels, layout).copy())
        return True


for _widget in (qMRMLWidget, qMRMLNodeComboBox, qMRMLCheckableNodeComboBox):
    pythonqt.QUiLoader.stand_ins[_widget.__name__] = _widget
