"""Sections and atlases as surfaces in 3D: a slice in its colours, and what is around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer.util
import vtk
from scipy import ndimage
from vtk.util import numpy_support

from RegistrationSuiteLib.scene.geometry import grid_of
from RegistrationSuiteLib.scene.sections import COLOUR
from RegistrationSuiteLib.scene.volumes import new_node

if TYPE_CHECKING:
    from regsuite.spatial import Grid

LONGEST = 240
"""Points along the longer side of a slice in 3D."""
COARSEST = 100
"""Voxels along the longest side of an atlas whose surface is taken."""
BRIGHT = 99.5
"""Percentile of the atlas's values that counts as bright."""
TISSUE = 0.12
"""Share of the way from dark to bright where tissue begins."""
GROUND = 12
"""Steps of 255 by which the ground's colour may vary."""
ROUNDS, PASS_BAND = 15, 0.1
SURFACE, SURFACE_OPACITY = (0.86, 0.78, 0.70), 0.25
PIXELS = "colours"


def slice_model(section: Any, name: str) -> Any:
    """A model node of a volume of one slice, in world coordinates: a flat mesh with the slice's own colours, without
    the empty ground around what it shows."""
    return slices_model([section], name)


def slices_model(sections: Sequence[Any], name: str) -> Any:
    """The same of several slices, in one model node."""
    node = new_node("vtkMRMLModelNode", name)
    node.SetAndObserveMesh(joined(sheet(grid_of(section), slice_colours(section)) for section in sections))
    node.CreateDefaultDisplayNodes()
    show_own_colours(node.GetDisplayNode())
    return node


def joined(meshes: Iterable[vtk.vtkPolyData]) -> vtk.vtkPolyData:
    """Meshes as one."""
    together = vtk.vtkAppendPolyData()
    for mesh in meshes:
        together.AddInputData(mesh)
    together.Update()
    return together.GetOutput()


def show_own_colours(display: Any) -> None:
    """A model's display node shows the colours that its points have, as they are, in 3D alone."""
    display.SetActiveScalar(PIXELS, vtk.vtkAssignAttribute.POINT_DATA)
    display.SetScalarRangeFlag(display.UseDirectMapping)
    display.SetScalarVisibility(True)
    display.SetLighting(False)
    display.SetBackfaceCulling(False)
    display.SetVisibility2D(False)


def sheet(grid: Grid, pixels: np.ndarray) -> vtk.vtkPolyData:
    """One slice with its colours, (rows, columns, 3) uint8."""
    axis = grid.shape.index(1)
    rows, columns = (each for each in range(3) if each != axis)
    taken = [_places(grid.shape[each]) for each in (rows, columns)]
    index = np.zeros((len(taken[0]), len(taken[1]), 3))
    index[..., rows], index[..., columns] = np.meshgrid(*taken, indexing="ij")
    shown = pixels[np.ix_(*taken)]
    mesh = _sheet(grid.to_world(index), ~_ground(shown))
    return coloured(mesh, shown.reshape(-1, COLOUR))


def coloured(mesh: vtk.vtkPolyData, colours: np.ndarray) -> vtk.vtkPolyData:
    """The mesh, its points in colours (N, 3) uint8."""
    scalars = numpy_support.numpy_to_vtk(np.ascontiguousarray(colours), deep=True)
    scalars.SetName(PIXELS)
    mesh.GetPointData().SetScalars(scalars)
    return mesh


def _places(count: int) -> np.ndarray:
    return np.unique(np.round(np.linspace(0, count - 1, min(count, LONGEST))).astype(int))


def _ground(colours: np.ndarray) -> np.ndarray:
    """(rows, columns) bool: what has about the border's colour and is connected to it; nothing where that is all."""
    rim = np.concatenate([colours[0], colours[-1], colours[:, 0], colours[:, -1]]).astype(float)
    alike = np.abs(colours - np.median(rim, axis=0)).max(axis=-1) <= GROUND
    parts, _ = ndimage.label(alike)
    outer = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    ground = np.isin(parts, outer[outer > 0])
    return ground & ~ground.all()


def _sheet(points: np.ndarray, kept: np.ndarray) -> vtk.vtkPolyData:
    """Squares between points (rows, columns, 3) of which at least one corner is ``kept`` (rows, columns)."""
    rows, columns = points.shape[:2]
    numbers = np.arange(rows * columns).reshape(rows, columns)
    corners = [numbers[:-1, :-1], numbers[1:, :-1], numbers[1:, 1:], numbers[:-1, 1:]]
    quads = np.stack([each.ravel() for each in corners], axis=1)
    quads = quads[kept.ravel()[quads].any(axis=1)]
    cells = vtk.vtkCellArray()
    cells.SetData(4, numpy_support.numpy_to_vtkIdTypeArray(np.ascontiguousarray(quads, dtype=np.int64).ravel(), True))
    vertices = vtk.vtkPoints()
    vertices.SetData(numpy_support.numpy_to_vtk(points.reshape(-1, 3), deep=True))
    mesh = vtk.vtkPolyData()
    mesh.SetPoints(vertices)
    mesh.SetPolys(cells)
    return mesh


def slice_colours(section: Any) -> np.ndarray:
    """(rows, columns, 3) uint8: a volume of one slice as its window shows it."""
    values = np.take(slicer.util.arrayFromVolume(section), 0, axis=grid_of(section).shape.index(1))
    display = section.GetDisplayNode()
    low, high = float(values.min()), float(values.max())
    if display is not None and display.GetWindow() > 0:
        low, high = display.GetWindowLevelMin(), display.GetWindowLevelMax()
    return grey_colours(values, low, high)


def grey_colours(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """(rows, columns, 3) uint8: ``low`` black, ``high`` white; of several values a pixel the first three, each so."""
    grey = np.clip((values.astype(np.float64) - low) * (255.0 / ((high - low) or 1.0)), 0, 255).astype(np.uint8)
    return grey[..., :COLOUR] if values.ndim > 2 else np.repeat(grey[..., None], COLOUR, axis=-1)


def outer_surface(volume: Any, name: str) -> Any:
    """A translucent model node of the surface of what is bright in a volume, in the volume's own coordinates."""
    array = slicer.util.arrayFromVolume(volume)
    steps = [max(1, -(-size // COARSEST)) for size in array.shape]
    coarse = np.pad(array[tuple(slice(None, None, step) for step in steps)].astype(np.float32), 1)
    low, high = float(coarse.min()), float(np.percentile(coarse, BRIGHT))
    mesh = _placed(_contour(coarse, low + TISSUE * (high - low)), volume, steps)
    node = new_node("vtkMRMLModelNode", name)
    node.SetAndObserveMesh(mesh)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetColor(*SURFACE)
    node.GetDisplayNode().SetOpacity(SURFACE_OPACITY)
    node.GetDisplayNode().SetBackfaceCulling(False)
    return node


def _contour(array: np.ndarray, level: float) -> vtk.vtkPolyData:
    """The largest surface where an array passes through a level, smoothed, in (i, j, k)."""
    contour = vtk.vtkFlyingEdges3D()
    contour.SetInputData(_image(array))
    contour.SetValue(0, level)
    contour.ComputeNormalsOff()
    contour.ComputeScalarsOff()
    largest = vtk.vtkPolyDataConnectivityFilter()
    largest.SetInputConnection(contour.GetOutputPort())
    largest.SetExtractionModeToLargestRegion()
    smooth = vtk.vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(largest.GetOutputPort())
    smooth.SetNumberOfIterations(ROUNDS)
    smooth.SetPassBand(PASS_BAND)
    smooth.Update()
    return smooth.GetOutput()


def _image(array: np.ndarray) -> vtk.vtkImageData:
    image = vtk.vtkImageData()
    image.SetDimensions(*reversed(array.shape))
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=True))
    return image


def _placed(mesh: vtk.vtkPolyData, volume: Any, steps: list[int]) -> vtk.vtkPolyData:
    """Every few voxels, padded by one, as the volume's own coordinates, with normals."""
    to_ras = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(to_ras)
    coarse = np.diag([*(float(step) for step in reversed(steps)), 1.0])
    coarse[:3, 3] = [-step for step in reversed(steps)]
    transform = vtk.vtkTransform()
    transform.SetMatrix(slicer.util.vtkMatrixFromArray(slicer.util.arrayFromVTKMatrix(to_ras) @ coarse))
    placed = vtk.vtkTransformPolyDataFilter()
    placed.SetTransform(transform)
    placed.SetInputData(mesh)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(placed.GetOutputPort())
    normals.SplittingOff()
    normals.Update()
    return normals.GetOutput()
