"""How results are shown: the same calls in Slicer Desktop's views and in those of :mod:`RegistrationSuiteLib.views`.

Every function takes nodes and changes only how they are displayed; ``visible=False`` undoes what the same call did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import slicer.util
import vtk

from RegistrationSuiteLib import colours
from RegistrationSuiteLib.scene.geometry import Plane, grid_of
from RegistrationSuiteLib.scene.transforms import moved_from_parent

if TYPE_CHECKING:
    from regsuite.spatial import Grid

LINES_IN_SLICES = 24
LINES_IN_3D = 7
ROUND_NUMBERS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
STILL_TO_MOVED = ((0.2, 0.6, 1.0), (0.2, 0.85, 0.4), (1.0, 0.75, 0.0), (1.0, 0.1, 0.1))
MAP_OPACITY = 0.5
LINE_PIXELS = 2
FAINTEST_SURFACE = 0.2
TARGET_OPACITY = 0.3
DOT_PIXELS = 4
SCREEN_RIGHT, SCREEN_UP = (-1, -1, 1), (-1, 1, 1)
"""Senses in which R, A and S run on the screen: left is on the right, posterior too, and superior on top."""
PARALLEL = 1e-6
"""How much less than 1 the cosine of an angle is that counts as none."""


def show_overlay(fixed: Any, warped: Any, opacity: float = 0.5) -> None:
    """The warped image, where there is one, over the fixed one in all slice views; :func:`fade` moves between them."""
    for logic in _slice_logics():
        _layers(logic, fixed, warped, opacity)
    _face_slice(fixed)


def fade(opacity: float) -> None:
    """0 shows the fixed image alone, 1 what lies over it."""
    for logic in _slice_logics():
        logic.GetSliceCompositeNode().SetForegroundOpacity(opacity)


def _slice_logics() -> Iterator[Any]:
    logics = slicer.app.applicationLogic().GetSliceLogics()
    for index in range(logics.GetNumberOfItems()):
        yield logics.GetItemAsObject(index)


def _layers(logic: Any, background: Any, foreground: Any, opacity: float) -> None:
    """Set the layers of one slice view; the view is fitted where another image comes into the background."""
    composite = logic.GetSliceCompositeNode()
    if background.IsA("vtkMRMLVolumeNode"):  # without an image there is nothing behind
        new = composite.GetBackgroundVolumeID() != background.GetID()
        composite.SetBackgroundVolumeID(background.GetID())
    else:
        new = composite.GetForegroundVolumeID() != (foreground.GetID() if foreground else None)
        composite.SetBackgroundVolumeID(None)
    composite.SetForegroundVolumeID(foreground.GetID() if foreground else None)
    composite.SetForegroundOpacity(opacity)
    if new:
        (logic.FitSliceToBackground if composite.GetBackgroundVolumeID() else logic.FitSliceToAll)()


def _face_slice(fixed: Any) -> None:
    """Turn the first slice view to the plane of an image that is a single slice, unless it shows that already."""
    logic = next(_slice_logics(), None)
    if logic is None or not fixed.IsA("vtkMRMLVolumeNode") or 1 not in grid_of(fixed).shape:
        return
    if _shows_plane(logic.GetSliceNode(), Plane.of(grid_of(fixed))):
        return
    composite = logic.GetSliceCompositeNode()
    above = composite.GetForegroundVolumeID(), composite.GetLabelVolumeID()
    # What lies over the image may be larger, and the view would be fitted to both.
    composite.SetForegroundVolumeID(None)
    composite.SetLabelVolumeID(None)
    logic.GetSliceNode().RotateToVolumePlane(fixed)
    logic.FitSliceToBackground()
    logic.SnapSliceOffsetToIJK()
    composite.SetForegroundVolumeID(above[0])
    composite.SetLabelVolumeID(above[1])


def look_at_layer(volume: Any, number: int = 0) -> None:
    """Turn the first slice view to a slice of a volume, right or anterior on the left, superior or anterior on top.

    number: from 0, along the axis of single slices, or else the first array axis.
    """
    logic = next(_slice_logics(), None)
    if logic is None:
        return
    grid = grid_of(volume)
    axis = grid.shape.index(1) if 1 in grid.shape else 0
    rows, columns = (np.asarray(grid.direction)[:, each] for each in range(3) if each != axis)
    middle = (np.array(grid.shape) - 1) / 2
    middle[axis] = min(number, grid.shape[axis] - 1)
    right, up, place = _towards(columns, SCREEN_RIGHT), _towards(rows, SCREEN_UP), grid.to_world(middle)
    logic.FitSliceToBackground()
    logic.GetSliceNode().SetSliceToRASByNTP(*np.cross(right, up), *right, *place, 0)


def _towards(line: np.ndarray, senses: tuple[int, int, int]) -> np.ndarray:
    """A direction or its opposite, by the sense of the world's axis that it is nearest to."""
    nearest = int(np.abs(line).argmax())
    return line * np.sign(line[nearest]) * senses[nearest]


def _shows_plane(slice_node: Any, plane: Plane) -> bool:
    """Whether a slice view lies in a plane, to a tenth of its thickness."""
    place = slicer.util.arrayFromVTKMatrix(slice_node.GetSliceToRAS())
    parallel = abs(float(place[:3, 2] @ plane.normal)) > 1 - PARALLEL
    return parallel and abs(float(place[:3, 3] @ plane.normal) - plane.offset) < plane.thickness / 10


# --- the warped grid ---


def show_grid(transform: Any, fixed: Any, visible: bool = True, smallest: float | None = None) -> None:
    """A regular grid of the moving image as the transform bends it, in slices and, coarser, in 3D over the fixed image.

    Lines are blue where nothing moves and red where most does. smallest: size (mm) of the smallest structure that
    matters; the lines are then close enough to cross it twice.
    """
    in_slices, in_space = _grid_display_nodes(transform)
    if not visible:
        in_slices.SetVisibility(False)
        in_space.SetVisibility(False)
        return
    grid = grid_of(fixed)
    largest = _largest_displacement(transform, grid)
    _style_grid(in_slices, fixed, grid_spacing(grid, LINES_IN_SLICES, smallest), largest, in_slices=True)
    _style_grid(in_space, fixed, grid_spacing(grid, LINES_IN_3D), largest, in_space=1 not in grid.shape)


def grid_spacing(grid: Grid, lines: int, smallest: float | None = None) -> float:
    """A round distance (mm) that puts about ``lines`` lines across the longest side, two across ``smallest`` mm.

    Lines never come closer than two voxels.
    """
    sides = [size * step for size, step in zip(grid.shape, grid.spacing, strict=True) if size > 1]
    wanted = min(max(sides) / lines, smallest / 2 if smallest else np.inf)
    finest = min(step for size, step in zip(grid.shape, grid.spacing, strict=True) if size > 1)
    wanted = max(wanted, 2 * finest)
    decade = 10.0 ** np.floor(np.log10(wanted))
    return float(decade * max(number for number in ROUND_NUMBERS if number <= wanted / decade * (1 + 1e-9)))


def _grid_display_nodes(transform: Any) -> tuple[Any, Any]:
    """One display node for slices and one for 3D, because one spacing does not suit both."""
    transform.CreateDefaultDisplayNodes()
    if transform.GetNumberOfDisplayNodes() < 2:
        second = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformDisplayNode")
        transform.AddAndObserveDisplayNodeID(second.GetID())
    return transform.GetNthDisplayNode(0), transform.GetNthDisplayNode(1)


def _style_grid(
    display: Any, fixed: Any, spacing: float, largest: float, in_slices: bool = False, in_space: bool = False
) -> None:
    # Every change redraws what is visible, and the grid for slices, drawn in 3D for a moment, takes minutes.
    with slicer.util.NodeModify(display):
        display.SetVisibility(True)
        display.SetVisibility2D(in_slices)
        display.SetVisibility3D(in_space)
        display.SetVisualizationMode(display.VIS_MODE_GRID)
        display.SetGridSpacingMm(spacing)
        display.SetGridResolutionMm(spacing / 6)
        display.SetGridLineDiameterMm(spacing / 15)
        display.SetSliceIntersectionThickness(LINE_PIXELS)
        display.SetGridScalePercent(100)
        display.SetGridShowNonWarped(False)
        display.SetAndObserveRegionNode(fixed)
        display.SetColorMap(_displacement_colours(largest))


def _displacement_colours(largest: float) -> Any:
    ramp = vtk.vtkColorTransferFunction()
    for share, colour in zip(np.linspace(0, 1, len(STILL_TO_MOVED)), STILL_TO_MOVED, strict=True):
        ramp.AddRGBPoint(share * largest, *colour)
    return ramp


def _largest_displacement(transform: Any, grid: Grid) -> float:
    """mm, on a coarse lattice over the grid; a little above zero where nothing moves."""
    axes = [np.linspace(0, size - 1, min(size, 16)) for size in grid.shape]
    points = grid.to_world(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3))
    moved = moved_from_parent(transform, points)
    return max(float(np.linalg.norm(moved - points, axis=1).max()), 1e-3 * min(grid.spacing))


# --- maps ---


def show_jacobian(jacobian: Any, fixed: Any, visible: bool = True) -> None:
    """The Jacobian determinant over the fixed image: white at 1, blue below, red above, magenta where it folds."""
    if visible:
        colours.colour_jacobian(jacobian)
    _show_map(jacobian, fixed, visible, "Jacobian")


def show_intensity_added(added: Any, fixed: Any, visible: bool = True) -> None:
    """The intensity added over the fixed image: black at 0, blue where it was darkened, red where brightened."""
    if visible:
        colours.colour_signed(added)
    _show_map(added, fixed, visible, "Added")


def _show_map(node: Any, fixed: Any, visible: bool, title: str) -> None:
    for logic in _slice_logics():
        _layers(logic, fixed, node if visible else None, MAP_OPACITY)
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(node)
    legend.SetVisibility(visible)
    legend.SetTitleText(title)
    legend.SetLabelFormat("%.2f" if _window(node)[1] < 10 else "%.0f")
    # Evenly spread: so many that the middle of a symmetric window, and 1 in one from 0 to 3, is among them.
    legend.SetNumberOfLabels(4 if _window(node) == (0.0, 3.0) else 5)
    legend.SetPosition(0.97, 0.5)
    legend.SetSize(0.10, 0.42)


def _window(node: Any) -> tuple[float, float]:
    display = node.GetDisplayNode()
    return display.GetWindowLevelMin(), display.GetWindowLevelMax()


# --- labels ---


def show_labels(node: Any, visible: bool = True, surfaces: bool = True) -> None:
    """Labels as outlines in slices and, for a segmentation, as surfaces in 3D."""
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        _show_label_volume(node, visible)
        return
    display = node.GetDisplayNode()
    display.SetVisibility(visible)
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetSliceIntersectionThickness(LINE_PIXELS)
    display.SetVisibility3D(surfaces)
    if visible and surfaces:
        node.CreateClosedSurfaceRepresentation()
        _see_into(node)


def show_on_moving(moving: Any, labels: Iterable[Any], visible: bool = True, surfaces: bool = True) -> None:
    """The moving image alone in all slice views, with the labels that lie on it, as :func:`show_labels` shows them; not
    ``visible``: without them."""
    for logic in _slice_logics():
        _layers(logic, moving, None, 1.0)
    _face_slice(moving)
    for node in labels:
        show_labels(node, visible, surfaces)


def labels_on(volume: Any, nodes: Iterable[Any]) -> list[Any]:
    """The segmentations among some nodes that were made on the volume's voxels."""
    segmentations = [node for node in nodes if node.IsA("vtkMRMLSegmentationNode")]
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    return [node for node in segmentations if node.GetNodeReference(role) is volume]


def _see_into(segmentation: Any) -> None:
    """The more segments a segment encloses, the more translucent its surface."""
    bounds = {}
    for each in segmentation.GetSegmentation().GetSegmentIDs():
        surface = segmentation.GetClosedSurfaceInternalRepresentation(each)
        if surface is not None and surface.GetNumberOfPoints():
            bounds[each] = np.array(surface.GetBounds()) * np.tile((-1, 1), 3)
    for each, box in bounds.items():
        enclosed = sum(bool(np.all(other <= box)) for key, other in bounds.items() if key != each)
        segmentation.GetDisplayNode().SetSegmentOpacity3D(each, max(FAINTEST_SURFACE, 1 / (1 + 2 * enclosed)))


def _show_label_volume(node: Any, visible: bool) -> None:
    for logic in _slice_logics():
        logic.GetSliceCompositeNode().SetLabelVolumeID(node.GetID() if visible else None)
        logic.GetSliceNode().SetUseLabelOutline(True)


# --- the evolution ---


def show_evolution(sequence: Any, fixed: Any) -> Any:
    """The frames over the fixed image, the first one shown; returns the browser node that plays them."""
    browser = browser_of(sequence)
    for logic in _slice_logics():
        _layers(logic, fixed, browser.GetProxyNode(sequence), 1.0)
    _face_slice(fixed)
    show_frame(sequence, 0)
    return browser


def show_frame(sequence: Any, number: int) -> None:
    """Make a frame (from 0) the one that is shown."""
    browser = browser_of(sequence)
    browser.SetSelectedItemNumber(number)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)


def browser_of(sequence: Any) -> Any:
    """The sequence browser node of a sequence."""
    return slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(sequence)


# --- surfaces ---


def show_organs(shown: Any, target: Any) -> None:
    """A model of organs in their colours, opaque, among those they are to meet, translucent."""
    for node, opacity in ((shown, 1.0), (target, TARGET_OPACITY)):
        display = node.GetDisplayNode()
        display.SetVisibility(True)
        display.SetOpacity(opacity)
        _as_dots_where_bare(node)
        colours.colour_by_organ(node)
    _hide_legend(shown)


def hide_organs(node: Any) -> None:
    """A model of organs, with its legend."""
    node.GetDisplayNode().SetVisibility(False)
    _hide_legend(node)


def show_point_error(shown: Any, target: Any) -> None:
    """Every point's distance from the organ it is to meet as colour, mm, with its legend."""
    show_organs(shown, target)
    target.GetDisplayNode().SetVisibility(False)
    colours.colour_by_distance(shown)
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(shown)
    legend.SetVisibility(True)
    legend.SetTitleText("Off by, mm")
    legend.SetLabelFormat("%.1f")
    legend.SetNumberOfLabels(4)
    legend.SetPosition(0.97, 0.5)
    legend.SetSize(0.10, 0.42)


def _hide_legend(node: Any) -> None:
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(node)
    if legend is not None:
        legend.SetVisibility(False)


def _as_dots_where_bare(node: Any) -> None:
    """Points in no triangle are drawn as dots that can be seen."""
    if node.GetPolyData().GetNumberOfVerts():
        node.GetDisplayNode().SetPointSize(DOT_PIXELS)


# --- plots and tables ---


def show_plot(chart: Any) -> None:
    """A chart in the plot view; Slicer Desktop changes to a layout that has one."""
    selection = slicer.app.applicationLogic().GetSelectionNode()
    selection.SetActivePlotChartID(chart.GetID())
    slicer.app.applicationLogic().PropagatePlotChartSelection()
    _change_layout(slicer.modules.plots.logic().GetLayoutWithPlot)


def show_table(table: Any) -> None:
    """A table in the table view; Slicer Desktop changes to a layout that has one."""
    selection = slicer.app.applicationLogic().GetSelectionNode()
    selection.SetActiveTableID(table.GetID())
    slicer.app.applicationLogic().PropagateTableSelection()
    _change_layout(slicer.modules.tables.logic().GetLayoutWithTable)


def _change_layout(layout_with: Any) -> None:
    manager = slicer.app.layoutManager()
    if manager is not None:
        manager.setLayout(layout_with(manager.layout))
