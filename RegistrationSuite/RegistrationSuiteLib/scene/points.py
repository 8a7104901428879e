"""Markups, curves and models as points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import slicer.util
import vtk
from regsuite.errors import InputError
from vtk.util import numpy_support

from RegistrationSuiteLib.scene.geometry import Plane, plane_of
from RegistrationSuiteLib.scene.volumes import new_node

if TYPE_CHECKING:
    from regsuite.spatial import PointSet


def points_from_node(node: Any, fixed: Any = None) -> PointSet:
    """Control points of markups or vertices of a model, in world RAS mm, under any parent transform.

    fixed: the fixed volume node; where it is a single slice the points are projected onto its plane.
    Control points without a position are left out. InputError where no point is left.
    """
    from regsuite.spatial import PointSet

    if node is None:
        raise InputError("No points were chosen: select markups or a model.")
    positions, names = _model_points(node) if node.IsA("vtkMRMLModelNode") else _control_points(node)
    if not len(positions):
        raise InputError(f"'{node.GetName()}' has no points: place or load some first.")
    plane = plane_of(fixed) if fixed is not None else None
    return PointSet.from_array(plane.flatten(positions) if plane else positions, names)


def _control_points(node: Any) -> tuple[np.ndarray, list[str]]:
    if not node.IsA("vtkMRMLMarkupsNode"):
        raise InputError(f"'{node.GetName()}' holds no points: choose markups or a model.")
    placed = slicer.vtkMRMLMarkupsNode.PositionDefined
    indices = [i for i in range(node.GetNumberOfControlPoints()) if node.GetNthControlPointPositionStatus(i) == placed]
    positions = [node.GetNthControlPointPositionWorld(i) for i in indices]
    return np.array(positions).reshape(-1, 3), [node.GetNthControlPointLabel(i) for i in indices]


def _model_points(node: Any) -> tuple[np.ndarray, list[str]]:
    mesh = node.GetMesh()
    if mesh is None or mesh.GetPoints() is None:
        return np.empty((0, 3)), []
    to_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), None, to_world)
    moved = vtk.vtkPoints()
    moved.SetDataTypeToDouble()
    to_world.TransformPoints(mesh.GetPoints(), moved)
    return numpy_support.vtk_to_numpy(moved.GetData()).copy(), []


def markups_from_points(points: PointSet, name: str, plane: Plane | None = None, like: Any = None) -> Any:
    """A markups node with these points: of the kind and look of ``like`` (a curve stays a curve), or fiducials."""
    node = new_node(like.GetClassName() if like else "vtkMRMLMarkupsFiducialNode", name)
    node.CreateDefaultDisplayNodes()
    if like is not None and like.GetDisplayNode() is not None:
        node.GetDisplayNode().CopyContent(like.GetDisplayNode())
    for index, position in enumerate(_in_space(points, plane)):
        label = points.names[index] if points.names else f"{name}-{index + 1}"
        node.AddControlPoint(vtk.vtkVector3d(*position), label)
    return node


def model_from_points(points: PointSet, name: str, like: Any, plane: Plane | None = None) -> Any:
    """A model node with the cells and data of ``like`` and these vertices."""
    mesh = like.GetMesh().NewInstance()
    mesh.DeepCopy(like.GetMesh())
    vertices = vtk.vtkPoints()
    vertices.SetData(numpy_support.numpy_to_vtk(_in_space(points, plane), deep=True))
    mesh.SetPoints(vertices)
    node = new_node("vtkMRMLModelNode", name)
    node.SetAndObserveMesh(mesh)
    node.CreateDefaultDisplayNodes()
    if like.GetDisplayNode() is not None:
        node.GetDisplayNode().SetColor(like.GetDisplayNode().GetColor())
        node.GetDisplayNode().SetOpacity(like.GetDisplayNode().GetOpacity())
    return node


def _in_space(points: PointSet, plane: Plane | None) -> np.ndarray:
    if points.dim == 3:
        return points.array()
    if plane is None:
        raise ValueError("2D points need the plane they lie in")
    return plane.lift(points.array())
