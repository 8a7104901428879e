"""Slicer's scene and module logics in plain Python, on the slicer-core wheel.

:func:`boot` gives code written for Slicer's Python console what it expects to find: ``slicer.mrmlScene``,
``slicer.modules.<name>.logic()``, and as much of ``slicer.app`` as ``slicer.util`` needs to load and save nodes.
There is no Qt, no layout and no main window. Inside Slicer Desktop the application's own scene is used and nothing
is replaced.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import slicer
import slicer.util
import vtk

MODULE_LOGICS = {
    "Colors": "vtkSlicerColorLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Volumes": "vtkSlicerVolumesLogic",
}

FILE_TYPES = {
    "SceneFile": (".mrb", ".mrml"),
    "SegmentationFile": (".seg.nrrd", ".seg.nhdr"),
    "SequenceFile": (".seq.nrrd", ".seq.nhdr", ".seq.mrb"),
    "MarkupsFile": (".mrk.json", ".fcsv"),
    "TransformFile": (".h5", ".hdf5", ".tfm", ".mat", ".txt"),
    "VolumeFile": (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd", ".dcm", ".png", ".jpg", ".tif", ".tiff"),
    "ModelFile": (".vtk", ".vtp", ".stl", ".ply", ".obj"),
    "TableFile": (".csv", ".tsv"),
}


@dataclass
class Session:
    """A running scene: its MRML scene, application logic, and the VTK errors reported since it began."""

    scene: Any
    application_logic: Any
    errors: list[str] = field(default_factory=list)


_session: Session | None = None


def boot() -> Session:
    """The session of this process, started on the first call.

    Outside Slicer Desktop this sets ``slicer.mrmlScene``, ``slicer.app`` and ``slicer.modules``.
    """
    global _session
    if _session is None:
        _session = _desktop_session() if getattr(slicer, "mrmlScene", None) else _plain_session()
        _observe_vtk_errors(_session.errors)
    return _session


def running() -> bool:
    """Whether :func:`boot` was called in this process."""
    return _session is not None


@contextmanager
def quiet() -> Iterator[None]:
    """No warning and no error of VTK's is shown or counted inside."""
    vtk.vtkObject.GlobalWarningDisplayOff()
    try:
        yield
    finally:
        vtk.vtkObject.GlobalWarningDisplayOn()


def _desktop_session() -> Session:
    return Session(slicer.mrmlScene, slicer.app.applicationLogic())


def _plain_session() -> Session:
    scene = slicer.mrmlScene = slicer.vtkMRMLScene()
    application_logic = slicer.vtkSlicerApplicationLogic()
    application_logic.SetMRMLScene(scene)
    application_logic.SetSliceLogics(vtk.vtkCollection())
    application_logic.SetViewLogics(vtk.vtkCollection())
    slicer.modules = SimpleNamespace()
    for name in MODULE_LOGICS:
        _add_module(name, application_logic, scene)
    slicer.app = Application(application_logic)
    _add_singletons(scene)
    return Session(scene, application_logic)


def _add_module(name: str, application_logic: Any, scene: Any) -> None:
    logic = getattr(slicer, MODULE_LOGICS[name])()
    if name == "Colors":
        # In place of the one the application made for itself: two in one scene turn volumes to noise.
        application_logic.SetColorLogic(logic)
    logic.SetMRMLApplicationLogic(application_logic)
    # The colour logic asks for Slicer Desktop's files of further colour tables, which the wheel does not carry.
    with quiet() if name == "Colors" else nullcontext():
        logic.SetMRMLScene(scene)
    application_logic.SetModuleLogic(name, logic)
    setattr(slicer.modules, name.lower(), Module(name, logic))


def _add_singletons(scene: Any) -> None:
    """What Slicer Desktop puts into every new scene and views expect to find."""
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    _add_label_colours(scene)
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    scene.AddObserver(scene.NodeRemovedEvent, _remove_from_hierarchy)
    scene.AddObserver(scene.EndCloseEvent, _renew_hierarchy)


def _add_label_colours(scene: Any) -> None:
    """The table of every label volume that is loaded: Slicer Desktop reads it from a file the wheel does not carry."""
    table = slicer.vtkMRMLColorTableNode()
    table.SetTypeToLabels()
    table.SetSingletonTag("FileGenericColors.txt")
    table.SetName("GenericColors")
    table.SetSaveWithScene(False)
    scene.AddNode(table)


def _remove_from_hierarchy(scene: Any, _event: str) -> None:
    """Takes the items of removed nodes out of the subject hierarchy, as Slicer Desktop does; they point at nothing.

    The removed node is not asked for: a hierarchy node that is merged away must not be held on to.
    """
    if scene.IsBatchProcessing():
        return
    hierarchy, items = scene.GetSubjectHierarchyNode(), vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    for item in (items.GetId(index) for index in range(items.GetNumberOfIds())):
        node = hierarchy.GetItemDataNode(item)
        if node is not None and not scene.IsNodePresent(node):
            hierarchy.RemoveItem(item, False, False)


def _renew_hierarchy(scene: Any, _event: str) -> None:
    """A scene that was closed still refers to its hierarchy, which is full of items and no longer among its nodes."""
    hierarchy = scene.GetSubjectHierarchyNode()
    hierarchy.RemoveAllItems(False)
    if not scene.IsNodePresent(hierarchy):
        scene.AddNode(hierarchy)


def _observe_vtk_errors(errors: list[str]) -> None:
    def record(_window: Any, _event: str, text: str) -> None:
        errors.append(text)

    record.CallDataType = vtk.VTK_STRING  # type: ignore[attr-defined]
    vtk.vtkOutputWindow.GetInstance().AddObserver("ErrorEvent", record)


class Module:
    """What ``slicer.modules.<name>`` offers to code that only wants the logic."""

    path = ""

    def __init__(self, name: str, logic: Any) -> None:
        self.name = name
        self._logic = logic

    def logic(self) -> Any:
        return self._logic


class Application:
    """The part of ``slicer.app`` that works without Qt."""

    applicationName = "Slicer"

    def __init__(self, application_logic: Any) -> None:
        self.temporaryPath = tempfile.gettempdir()
        self._application_logic = application_logic
        self._io_manager = IOManager()

    def applicationLogic(self) -> Any:
        return self._application_logic

    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    def coreIOManager(self) -> IOManager:
        return self._io_manager

    def ioManager(self) -> IOManager:
        return self._io_manager

    def layoutManager(self) -> None:
        """No layout: views are made by :mod:`RegistrationSuiteLib.views`."""
        return None

    def testingEnabled(self) -> bool:
        return True

    def processEvents(self) -> None:
        """No event loop, so nothing waits."""

    def pauseRender(self) -> None:
        """Views render only when asked."""

    def resumeRender(self) -> None:
        """Views render only when asked."""


class IOManager:
    """Loads and saves nodes as ``slicer.util`` asks for it, with the module logics that do it in Slicer Desktop."""

    def __init__(self) -> None:
        self._readers: dict[str, Callable[[str, Mapping[str, Any], Any], Any]] = {
            "VolumeFile": _load_volume,
            "TransformFile": _load_transform,
            "SegmentationFile": _load_segmentation,
            "SequenceFile": _load_sequence,
            "MarkupsFile": _load_markups,
            "ModelFile": _load_model,
            "TableFile": _load_table,
        }

    def fileType(self, path: str | Path) -> str:
        """The kind of a file by its extension; ValueError when no kind has it."""
        name = str(path).lower()
        for kind, extensions in FILE_TYPES.items():
            if name.endswith(extensions):
                return kind
        raise ValueError(f"No reader for {path}: known extensions are {', '.join(sum(FILE_TYPES.values(), ()))}.")

    def loadNodes(self, kind: str, properties: Mapping[str, Any], loaded: Any, messages: Any) -> bool:
        path = str(properties["fileName"])
        if kind == "SceneFile":
            return _load_scene(path, messages)
        node = self._readers[kind](path, properties, messages)
        if node is None:
            return False
        if properties.get("name"):
            node.SetName(properties["name"])
        loaded.AddItem(node)
        return True

    def fileWriterFileType(self, node: Any) -> str:
        return node.GetClassName()

    def saveNodes(self, kind: str, properties: Mapping[str, Any], messages: Any) -> bool:
        path = str(properties["fileName"])
        if kind == "SceneFile":
            return _save_scene(path, messages)
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        storage = _storage_node(node, path)
        if storage is None:
            messages.AddMessage(vtk.vtkCommand.ErrorEvent, f"{node.GetName()} cannot be saved as {path}.")
            return False
        storage.SetFileName(path)
        storage.SetUseCompression(int(properties.get("useCompression", storage.GetUseCompression())))
        return bool(storage.WriteData(node))


def _storage_node(node: Any, path: str) -> Any:
    """The node's storage node if it can write this file, else a new one, else None."""
    storage = node.GetStorageNode()
    if storage is None or not storage.SupportedFileType(path):
        node.AddDefaultStorageNode(path)
        storage = node.GetStorageNode()
    return storage


def _load_volume(path: str, properties: Mapping[str, Any], messages: Any) -> Any:
    flags = ("labelmap", "center", "singleFile", "autoWindowLevel", "discardOrientation")
    chosen = {"singleFile": True, "autoWindowLevel": True, **properties}
    options = sum(1 << bit for bit, name in enumerate(flags) if chosen.get(name))
    logic = slicer.modules.volumes.logic()
    return logic.AddArchetypeVolume(path, _base_name(path), options, None, messages)


def _load_transform(path: str, _properties: Mapping[str, Any], messages: Any) -> Any:
    return slicer.modules.transforms.logic().AddTransform(path, slicer.mrmlScene, messages)


def _load_segmentation(path: str, _properties: Mapping[str, Any], messages: Any) -> Any:
    logic = slicer.modules.segmentations.logic()
    return logic.LoadSegmentationFromFile(path, True, _base_name(path), None, messages)


def _load_sequence(path: str, _properties: Mapping[str, Any], messages: Any) -> Any:
    return slicer.modules.sequences.logic().AddSequence(path, messages)


def _load_markups(path: str, _properties: Mapping[str, Any], messages: Any) -> Any:
    node_id = slicer.modules.markups.logic().LoadMarkups(path, _base_name(path), messages)
    return slicer.mrmlScene.GetNodeByID(node_id) if node_id else None


def _load_model(path: str, _properties: Mapping[str, Any], messages: Any) -> Any:
    return slicer.modules.models.logic().AddModel(path, slicer.vtkMRMLStorageNode.CoordinateSystemLPS, messages)


def _load_table(path: str, _properties: Mapping[str, Any], messages: Any) -> Any:
    return slicer.modules.tables.logic().AddTable(path, _base_name(path), True, "", messages)


def _load_scene(path: str, messages: Any) -> bool:
    """Add what a scene file or bundle holds to the scene; all data is in memory afterwards."""
    if not path.lower().endswith(".mrb"):
        return _import_scene(path, messages)
    with tempfile.TemporaryDirectory() as folder:
        slicer.app.applicationLogic().Unzip(path, folder)
        descriptions = sorted(Path(folder).rglob("*.mrml"))
        return bool(descriptions) and _import_scene(str(descriptions[0]), messages)


def _import_scene(path: str, messages: Any) -> bool:
    slicer.mrmlScene.SetURL(path)
    return bool(slicer.mrmlScene.Import(messages))


def _save_scene(path: str, messages: Any) -> bool:
    scene = slicer.mrmlScene
    if path.lower().endswith(".mrb"):
        return bool(scene.WriteToMRB(path, None, messages))
    if path.lower().endswith(".mrml"):
        scene.SetRootDirectory(str(Path(path).resolve().parent))
        return bool(scene.Commit(path, messages))
    Path(path).mkdir(parents=True, exist_ok=True)
    return bool(scene.SaveSceneToSlicerDataBundleDirectory(path, None, messages))


def _base_name(path: str) -> str:
    return Path(path).name.split(".")[0]
