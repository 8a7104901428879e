"""Models and markups as surfaces with names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import slicer
import slicer.util
import vtk
from regsuite.errors import InputError
from vtk.util import numpy_support

from RegistrationSuiteLib.scene.points import points_from_node
from RegistrationSuiteLib.scene.volumes import new_node

if TYPE_CHECKING:
    from regsuite.spatial import Surface, Surfaces


def surfaces_from_nodes(nodes: Sequence[Any], fixed: Any = None) -> Surfaces:
    """One surface a node, in world RAS mm, under any parent transform: triangles of models, control points of markups.

    fixed: the node of the fixed side; where it is a single slice, points are projected onto its plane and triangles
    dropped. InputError where a node holds nothing.
    """
    from regsuite.spatial import Surfaces

    return Surfaces([_surface(node, name, fixed) for node, name in zip(nodes, names_of(nodes), strict=True)])


def names_of(nodes: Sequence[Any]) -> list[str]:
    """What organs are called: the nodes' names, without the number that Slicer gives a second node of a name, unless
    two of them were then called the same."""
    bare = [_without_number(node.GetName()) for node in nodes]
    alike = [name.strip().lower() for name in bare]
    return [
        name if alike.count(key) == 1 else node.GetName() for node, name, key in zip(nodes, bare, alike, strict=True)
    ]


def _without_number(name: str) -> str:
    """The name that Slicer numbered, where another organ has it."""
    base = re.sub(r"_\d+$", "", name)
    named = slicer.mrmlScene.GetNodesByName(base)
    others = [named.GetItemAsObject(index) for index in range(named.GetNumberOfItems())]
    numbered = any(node.IsA("vtkMRMLModelNode") or node.IsA("vtkMRMLMarkupsNode") for node in others)
    return base if numbered else name


def _surface(node: Any, name: str, fixed: Any) -> Surface:
    import torch
    from regsuite.spatial import Surface
    from regsuite.spatial.meshes import arrays_of

    points = points_from_node(node, fixed).points
    mesh = node.GetMesh() if node.IsA("vtkMRMLModelNode") else None
    if mesh is None or points.shape[1] == 2:
        return Surface(points, name=name, colour=_colour(node))
    if not mesh.IsA("vtkPolyData"):
        raise InputError(f"'{node.GetName()}' is a volume mesh and no surface: extract its surface first.")
    moved = vtk.vtkPolyData()
    moved.ShallowCopy(mesh)
    vertices = vtk.vtkPoints()
    vertices.SetData(numpy_support.numpy_to_vtk(points.numpy(), deep=True))
    moved.SetPoints(vertices)
    corners, triangles = arrays_of(moved)
    return Surface(torch.from_numpy(corners), torch.from_numpy(triangles), name, colour=_colour(node))


def _colour(node: Any) -> tuple[float, float, float] | None:
    """What it is shown in; markups have another while they are selected."""
    display = node.GetDisplayNode()
    if display is None:
        return None
    red, green, blue = display.GetColor() if node.IsA("vtkMRMLModelNode") else display.GetSelectedColor()
    return red, green, blue


def model_from_surface(surface: Surface, name: str, plane: Any = None) -> Any:
    """A hidden model node with the surface's values as point data; plane: where a 2D one lies."""
    import torch
    from regsuite.spatial.meshes import mesh_of

    if plane is not None:
        surface = replace(surface, points=torch.from_numpy(plane.lift(surface.points.numpy())))
    node = new_node("vtkMRMLModelNode", name)
    node.SetAndObserveMesh(_smooth(mesh_of(surface)))
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetVisibility(False)
    return node


def _smooth(mesh: Any) -> Any:
    """With normals, for shading that does not show the triangles."""
    if not mesh.GetNumberOfPolys():
        return mesh
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(mesh)
    normals.SplittingOff()
    normals.ConsistencyOff()
    normals.Update()
    return normals.GetOutput()
