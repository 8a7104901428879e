"""Planes of slices in 3D, framed in colours and numbered, that stand in the scene for a while and are not saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from RegistrationSuiteLib.scene.cuts import coloured, grey_colours, joined, sheet, show_own_colours

if TYPE_CHECKING:
    from regsuite.spatial import Grid, Image

WINDOW = (0.5, 99.5)
"""Percentiles that are black and white."""
FRAME_PIXELS = 3
BEYOND = 1.06
"""Where a number stands, as a share of half a slice's width."""
NUMBER_SIZE = 4.5


def pictures_model(images: Sequence[Image], name: str) -> Any:
    """What slices (1, 1, 1, H, W) show, as flat meshes where they lie; all in one window."""
    values = [np.nan_to_num(image.array()[0]) for image in images]
    low, high = (float(each) for each in np.percentile(np.stack(values), WINDOW))
    pairs = zip(images, values, strict=True)
    return _model(joined(sheet(image.grid, grey_colours(each, low, high)) for image, each in pairs), name)


def frames_model(grids: Sequence[Grid], colours: Sequence[Sequence[float]], name: str) -> Any:
    """The borders of slices, a colour each, 0 to 1."""
    return _model(joined(_frame(*each) for each in zip(grids, colours, strict=True)), name)


def numbers(points: np.ndarray, name: str) -> Any:
    """Numbers from 1 at points (K, 3) RAS mm; points that the user places next go where they would have gone."""
    selection = slicer.app.applicationLogic().GetSelectionNode()
    active = selection.GetActivePlaceNodeID()
    node = _passing("vtkMRMLMarkupsFiducialNode", name)
    selection.SetActivePlaceNodeID(active)
    for number, point in enumerate(points, start=1):
        node.AddControlPoint(vtk.vtkVector3d(*point), str(number))
    node.SetLocked(True)
    display = _display_of(node)
    display.SetPropertiesLabelVisibility(False)
    display.SetPointLabelsVisibility(True)
    display.SetUseGlyphScale(False)
    display.SetGlyphSize(0.1)
    display.SetTextScale(NUMBER_SIZE)
    display.SetSelectedColor(1, 1, 1)
    display.SetVisibility2D(False)
    display.SetOccludedVisibility(True)  # in front of the slices, whichever way they are seen
    display.SetOccludedOpacity(1.0)
    return node


def number_places(grids: Sequence[Grid], mirrored: Sequence[bool]) -> np.ndarray:
    """(K, 3): beside each slice, at the end to which the columns of the upright slice run."""
    places = []
    for grid, flipped in zip(grids, mirrored, strict=True):
        along = np.asarray(grid.direction)[:, 2] * grid.shape[2] * grid.spacing[2] / 2
        places.append(grid.centre + BEYOND * (-along if flipped else along))
    return np.array(places)


def _frame(grid: Grid, colour: Sequence[float]) -> vtk.vtkPolyData:
    """A closed line around the pixels."""
    _, rows, columns = grid.shape
    low, right, down = -0.5, columns - 0.5, rows - 0.5
    corners = np.array([[0, low, low], [0, low, right], [0, down, right], [0, down, low]])
    vertices, lines = vtk.vtkPoints(), vtk.vtkCellArray()
    vertices.SetData(numpy_support.numpy_to_vtk(grid.to_world(corners), deep=True))
    lines.InsertNextCell(5)
    for corner in (0, 1, 2, 3, 0):
        lines.InsertCellPoint(corner)
    mesh = vtk.vtkPolyData()
    mesh.SetPoints(vertices)
    mesh.SetLines(lines)
    return coloured(mesh, np.tile(np.round(255 * np.array(colour)).astype(np.uint8), (4, 1)))


def _model(mesh: vtk.vtkPolyData, name: str) -> Any:
    node = _passing("vtkMRMLModelNode", name)
    node.SetAndObserveMesh(mesh)
    display = _display_of(node)
    show_own_colours(display)
    display.SetLineWidth(FRAME_PIXELS)
    return node


def _passing(class_name: str, name: str) -> Any:
    """A node that no chooser offers and no file keeps."""
    node = slicer.mrmlScene.CreateNodeByClass(class_name)
    node.UnRegister(None)
    node.SetName(name)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    return slicer.mrmlScene.AddNode(node)


def _display_of(node: Any) -> Any:
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSaveWithScene(False)
    return display
