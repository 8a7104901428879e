"""Markups, curves and models both ways."""

from __future__ import annotations

import numpy as np
import pytest
import scene_samples as samples
import slicer
import slicer.util
import vtk
from RegistrationSuiteLib import scene
from regsuite.errors import InputError
from regsuite.spatial import PointSet

pytestmark = pytest.mark.usefixtures("session")

POSITIONS = np.array([[1.5, -2.0, 3.25], [4.0, 5.0, -6.0], [7.0, 8.5, 9.0], [0.0, 1.0, 2.0]])


def markups(class_name: str = "vtkMRMLMarkupsFiducialNode"):
    node = slicer.mrmlScene.AddNewNodeByClass(class_name, "points")
    for index, position in enumerate(POSITIONS):
        node.AddControlPoint(vtk.vtkVector3d(*position), f"P{index}")
    return node


@pytest.mark.parametrize("kind", ["Fiducial", "Curve", "ClosedCurve"])
def test_markups_survive_the_round_trip(kind: str) -> None:
    node = markups(f"vtkMRMLMarkups{kind}Node")
    points = scene.points_from_node(node)
    back = scene.markups_from_points(points, "back", like=node)
    assert back.GetClassName() == node.GetClassName()
    np.testing.assert_allclose(slicer.util.arrayFromMarkupsControlPoints(back), POSITIONS, atol=1e-12)
    assert [back.GetNthControlPointLabel(i) for i in range(4)] == ["P0", "P1", "P2", "P3"]


def test_point_that_was_not_placed_is_left_out() -> None:
    node = markups()
    node.UnsetNthControlPointPosition(1)
    np.testing.assert_allclose(scene.points_from_node(node).array(), POSITIONS[[0, 2, 3]])


def sphere_model():
    sphere = vtk.vtkSphereSource()
    sphere.Update()
    return slicer.modules.models.logic().AddModel(sphere.GetOutput())


def test_model_survives_the_round_trip() -> None:
    node = sphere_model()
    points = scene.points_from_node(node)
    doubled = PointSet.from_array(points.array() * 2)
    back = scene.model_from_points(doubled, "back", like=node)
    np.testing.assert_allclose(slicer.util.arrayFromModelPoints(back), slicer.util.arrayFromModelPoints(node) * 2)
    assert back.GetPolyData().GetNumberOfPolys() == node.GetPolyData().GetNumberOfPolys()


def test_nonlinear_parent_moves_points_as_mrml_does() -> None:
    volume = samples.add_volume(samples.VOLUMES["straight"])
    warp = scene.transform_node(samples.smooth_field(scene.grid_of(volume)), "warp")
    for node in (markups(), sphere_model()):
        before = scene.points_from_node(node).array()
        node.SetAndObserveTransformNodeID(warp.GetID())
        after = scene.points_from_node(node).array()
        expected = np.array([warp.GetTransformToParent().TransformPoint(p) for p in before])
        np.testing.assert_allclose(after, expected, atol=1e-6)
    assert np.abs(after - before).max() > 0.05


def test_points_are_projected_onto_a_slice() -> None:
    matrix, size = samples.SLICES["oblique"]
    volume = samples.add_volume(matrix, size)
    on_slice = (matrix @ [5.0, 7.0, 0.0, 1.0])[:3]
    above = on_slice + 4 * matrix[:3, 2] / np.linalg.norm(matrix[:3, 2])
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    node.AddControlPoint(vtk.vtkVector3d(*above))
    points = scene.points_from_node(node, volume)
    back = scene.markups_from_points(points, "back", scene.plane_of(volume))
    np.testing.assert_allclose(back.GetNthControlPointPosition(0), on_slice, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: None, "No points were chosen"),
        (lambda: slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "none"), "'none' has no points"),
        (lambda: slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "bare"), "'bare' has no points"),
        (lambda: samples.add_volume(np.eye(4), name="image"), "'image' holds no points"),
    ],
)
def test_what_holds_no_points_is_refused(make, words: str) -> None:
    with pytest.raises(InputError, match=words):
        scene.points_from_node(make())
