"""slicer.util loads and saves in plain Python as it does in Slicer's console."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scene_samples as samples
import slicer
import slicer.util
import vtk
from RegistrationSuiteLib import scene, standalone

pytestmark = pytest.mark.usefixtures("session")


def test_boot_gives_the_same_session_again() -> None:
    assert standalone.boot() is standalone.boot()
    assert standalone.boot().scene is slicer.mrmlScene is slicer.app.mrmlScene()


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".mha"])
def test_volume(ending: str, tmp_path: Path) -> None:
    node = samples.add_volume(samples.VOLUMES["oblique"])
    path = tmp_path / f"volume{ending}"
    assert slicer.util.saveNode(node, str(path))
    loaded = slicer.util.loadVolume(path, {"name": "again"})
    assert loaded.GetName() == "again"
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded), slicer.util.arrayFromVolume(node))
    matrix = vtk.vtkMatrix4x4()
    loaded.GetIJKToRASMatrix(matrix)
    np.testing.assert_allclose(slicer.util.arrayFromVTKMatrix(matrix), samples.VOLUMES["oblique"], atol=1e-5)


def test_label_volume(tmp_path: Path) -> None:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    node = samples.add_volume(np.eye(4), (5, 4, 3), array=array, class_name="vtkMRMLLabelMapVolumeNode")
    slicer.util.saveNode(node, str(tmp_path / "labels.nrrd"))
    loaded = slicer.util.loadLabelVolume(tmp_path / "labels.nrrd")
    assert loaded.IsA("vtkMRMLLabelMapVolumeNode")
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded), array)


def test_segmentation(tmp_path: Path) -> None:
    reference = samples.add_volume(samples.VOLUMES["oblique"])
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    segment = node.GetSegmentation().AddEmptySegment("", "organ")
    array = np.zeros(tuple(reversed(samples.SIZE)), dtype=np.uint8)
    array[3:6, 4:9, 2:7] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, segment, reference)
    slicer.util.saveNode(node, str(tmp_path / "drawn.seg.nrrd"))
    loaded = slicer.util.loadSegmentation(tmp_path / "drawn.seg.nrrd")
    found = loaded.GetSegmentation().GetSegmentIdBySegmentName("organ")
    np.testing.assert_array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(loaded, found, reference), array)


def test_markups_model_table_and_transform(tmp_path: Path) -> None:
    markups = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    markups.AddControlPoint(1.5, -2, 3)
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(4, 5, 6)
    sphere.Update()
    model = slicer.modules.models.logic().AddModel(sphere.GetOutput())
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    slicer.util.updateTableFromArray(table, np.arange(6.0).reshape(3, 2), ["a", "b"])
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = samples.ijk_to_ras(samples.rotation(10, 20, 30), (1, 1, 1), (1, 2, 3))
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))

    saved = {"points.mrk.json": markups, "ball.vtp": model, "numbers.csv": table, "turn.h5": transform}
    for name, node in saved.items():
        assert slicer.util.saveNode(node, str(tmp_path / name))
    points = slicer.util.loadMarkups(tmp_path / "points.mrk.json")
    assert points.GetNthControlPointPosition(0) == (1.5, -2, 3)
    ball = slicer.util.loadModel(tmp_path / "ball.vtp")
    np.testing.assert_allclose(slicer.util.arrayFromModelPoints(ball), slicer.util.arrayFromModelPoints(model))
    numbers = slicer.util.loadTable(tmp_path / "numbers.csv")
    np.testing.assert_array_equal(slicer.util.arrayFromTableColumn(numbers, "b"), [1, 3, 5])
    turn = slicer.util.loadTransform(tmp_path / "turn.h5")
    np.testing.assert_allclose(slicer.util.arrayFromTransformMatrix(turn), matrix, atol=1e-12)


@pytest.mark.parametrize("form", ["scene.mrb", "scene.mrml", "folder"])
def test_scene(form: str, tmp_path: Path) -> None:
    node = samples.add_volume(samples.VOLUMES["oblique"], name="kept")
    expected = slicer.util.arrayFromVolume(node).copy()
    if form == "scene.mrml":
        slicer.util.saveNode(node, str(tmp_path / "kept.nrrd"))
    assert slicer.util.saveScene(str(tmp_path / form))
    slicer.mrmlScene.Clear(0)
    path = next((tmp_path / form).glob("*.mrml")) if form == "folder" else tmp_path / form
    slicer.util.loadScene(str(path))
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(slicer.util.getNode("kept")), expected)


def test_left_handed_volume_is_turned_but_stays_in_place(tmp_path: Path) -> None:
    """Slicer makes it right-handed on loading; every voxel keeps its value and its place in the world."""
    node = samples.add_volume(samples.VOLUMES["left-handed"], name="kept")
    image = scene.image_from_node(node)
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    loaded = scene.image_from_node(slicer.util.getNode("kept"))
    assert not loaded.grid.same_as(image.grid)
    np.testing.assert_allclose(loaded.resampled(image.grid).array(), image.array(), atol=1e-2)


def test_scenes_are_joined(tmp_path: Path) -> None:
    samples.add_volume(np.eye(4), name="first")
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    samples.add_volume(np.eye(4), name="second")
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert {node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")} == {"first", "second"}


def test_missing_file_raises_and_is_counted(session) -> None:
    with pytest.raises(RuntimeError, match="Failed to load"):
        slicer.util.loadVolume("/nonexistent/volume.nrrd")
    assert session.errors
    session.errors.clear()


def test_unknown_ending_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\.xyz: known extensions are"):
        slicer.util.loadNodeFromFile("file.xyz")


def test_quiet_hides_and_counts_nothing(session) -> None:
    with standalone.quiet():
        vtk.vtkPolyDataMapper().Update()
    assert not session.errors


def test_nothing_imports_torch() -> None:
    """A panel opens before torch is installed."""
    code = (
        "import sys\n"
        "from RegistrationSuiteLib import colours, display, results, scene, standalone, views\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
