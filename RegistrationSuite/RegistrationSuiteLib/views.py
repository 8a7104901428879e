"""Pictures of the scene with no display: slice and 3D views on Slicer's own displayable managers.

Views draw the nodes as Slicer Desktop does, off screen, through EGL or OSMesa. They are for plain Python; Slicer
Desktop has views of its own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util import numpy_support

from RegistrationSuiteLib import standalone

SLICE_MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLColorLegendDisplayableManager",
)
THREE_D_MANAGERS = (
    "vtkMRMLVolumeRenderingDisplayableManager",
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLThreeDReformatDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager3D",
    "vtkMRMLColorLegendDisplayableManager",
)
OSMESA_LIBRARIES = ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so")
DIRECTION_LETTERS = ("RL", "AP", "SI")
Orientation = Literal["Axial", "Sagittal", "Coronal"]


class View:
    """An off-screen render window with one MRML view in it; use as a context manager or call :meth:`close`."""

    node: Any

    def __init__(self, size: Sequence[int]) -> None:
        self._session = standalone.boot()
        self.window = _render_window()
        # With multisampling, depth peeling makes translucent surfaces vanish.
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.renderer = vtk.vtkRenderer()
        self.window.AddRenderer(self.renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self.window)
        self._interactor.Initialize()
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()

    def _connect(self, factory: Any, managers: Sequence[str]) -> None:
        factory.SetMRMLApplicationLogic(self._session.application_logic)
        for name in managers:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self._managers.SetRenderer(self.renderer)
        self._managers.Initialize(factory, self.renderer)
        self.node.SetMappedInLayout(1)
        self._managers.SetMRMLDisplayableNode(self.node)

    def _remove_stale(self, name: str, class_name: str) -> None:
        """Take out the view node that a loaded scene brought, or the logic would work on one outside the scene."""
        stale = self._session.scene.GetSingletonNode(name, class_name)
        if stale is not None:
            self._session.scene.RemoveNode(stale)

    def render(self) -> np.ndarray:
        """The picture, (height, width, 3) uint8, first row on top."""
        self.window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.ReadFrontBufferOff()
        grabber.ShouldRerenderOff()
        grabber.Update()
        image = grabber.GetOutput()
        width, height, _ = image.GetDimensions()
        pixels = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
        return np.flipud(pixels.reshape(height, width, -1)[..., :3]).copy()

    def save(self, path: Path | str) -> None:
        """Render to a PNG file."""
        save_png(self.render(), path)

    def close(self) -> None:
        """Take the view out of the scene and free its window."""
        self._managers.SetMRMLDisplayableNode(None)
        self.window.Finalize()

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SliceView(View):
    """A slice through volumes, with segment outlines, markups, models and transforms drawn over it."""

    def __init__(
        self,
        orientation: Orientation | np.ndarray = "Axial",
        name: str = "Red",
        size: Sequence[int] = (500, 500),
        letters: bool = True,
    ) -> None:
        """orientation: a preset's name, or a (4, 4) slice-to-RAS matrix; letters: R, L, A, P, S, I at the edges."""
        super().__init__(size)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self._add_overlay_renderer()
        self._actor = _image_actor()
        self._letters = [_text_actor(16) for _ in range(4)] if letters else []
        self.logic = slicer.vtkMRMLSliceLogic()
        self._add_logic(name)
        self.set_orientation(orientation)
        self._connect(slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), SLICE_MANAGERS)

    def _add_overlay_renderer(self) -> None:
        overlay = vtk.vtkRenderer()
        overlay.SetLayer(1)
        self.window.SetNumberOfLayers(2)
        self.window.AddRenderer(overlay)
        self._overlay = overlay

    def _add_logic(self, name: str) -> None:
        application_logic = self._session.application_logic
        self.logic.SetMRMLApplicationLogic(application_logic)
        application_logic.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(self._session.scene)
        self._remove_stale(name, "vtkMRMLSliceNode")
        self.node = self.logic.AddSliceNode(name)
        self.logic.ResizeSliceNode(*self.window.GetSize())

    @property
    def composite(self) -> Any:
        """The node that says which volumes the slice shows."""
        return self.logic.GetSliceCompositeNode()

    def set_orientation(self, orientation: Orientation | np.ndarray) -> None:
        """Turn the slice to a preset, or to a (4, 4) slice-to-RAS matrix (its last column is the centre)."""
        if isinstance(orientation, str):
            self.node.SetOrientation(orientation)
        else:
            self.node.GetSliceToRAS().DeepCopy(slicer.util.vtkMatrixFromArray(orientation))
            self.node.UpdateMatrices()

    def show(
        self, background: Any = None, foreground: Any = None, opacity: float = 0.5, label: Any = None
    ) -> SliceView:
        """Show volumes (None: nothing in that layer) and fit the view to the background."""
        composite = self.composite
        composite.SetBackgroundVolumeID(background.GetID() if background else None)
        composite.SetForegroundVolumeID(foreground.GetID() if foreground else None)
        composite.SetLabelVolumeID(label.GetID() if label else None)
        composite.SetForegroundOpacity(opacity)
        self.fit()
        return self

    def fit(self) -> None:
        """Zoom so that the background volume fills the view."""
        self.logic.ResizeSliceNode(*self.window.GetSize())
        self.logic.FitSliceToBackground()

    def zoom(self, factor: float) -> None:
        """Magnify by ``factor`` about the centre of the view."""
        x, y, z = self.node.GetFieldOfView()
        self.node.SetFieldOfView(x / factor, y / factor, z)

    def jump_to(self, point: Sequence[float], centre: bool = False) -> None:
        """Move the slice through an RAS point; with ``centre`` the point comes to the middle of the view."""
        jump = self.node.JumpSliceByCentering if centre else self.node.JumpSlice
        jump(*map(float, point))

    def set_offset(self, offset: float) -> None:
        """Distance (mm) of the slice from the world's origin along its normal."""
        self.logic.SetSliceOffset(float(offset))

    def render(self) -> np.ndarray:
        connection = self.logic.GetImageDataConnection()
        self._actor.SetVisibility(connection is not None)
        if connection is not None:
            self._actor.GetMapper().SetInputConnection(connection)
            if not self.renderer.HasViewProp(self._actor):
                self.renderer.AddViewProp(self._actor)
        self._place_letters()
        return super().render()

    def _place_letters(self) -> None:
        """Anatomical directions at the left, right, bottom and top edge."""
        axes = slicer.util.arrayFromVTKMatrix(self.node.GetSliceToRAS())
        width, height = self.window.GetSize()
        places = ((10, height / 2), (width - 22, height / 2), (width / 2 - 6, 6), (width / 2 - 6, height - 26))
        directions = (-axes[:3, 0], axes[:3, 0], -axes[:3, 1], axes[:3, 1])
        for actor, axis, place in zip(self._letters, directions, places, strict=False):
            actor.SetInput(_direction_letter(axis))
            actor.SetPosition(*place)
            if not self._overlay.HasViewProp(actor):
                self._overlay.AddViewProp(actor)

    def close(self) -> None:
        super().close()
        self._session.application_logic.GetSliceLogics().RemoveItem(self.logic)
        logic = self.logic
        model = (logic.GetSliceModelNode(), logic.GetSliceModelDisplayNode(), logic.GetSliceModelTransformNode())
        nodes = (*model, self.composite, self.node)
        logic.SetMRMLScene(None)
        for node in nodes:
            self._session.scene.RemoveNode(node)


class ThreeDView(View):
    """A perspective view of surfaces, markups, transforms and slices."""

    def __init__(self, name: str = "1", size: Sequence[int] = (500, 500)) -> None:
        super().__init__(size)
        self.renderer.SetUseDepthPeeling(1)
        self.logic = slicer.vtkMRMLViewLogic()
        application_logic = self._session.application_logic
        self.logic.SetMRMLApplicationLogic(application_logic)
        application_logic.GetViewLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(self._session.scene)
        self._remove_stale(name, "vtkMRMLViewNode")
        self.node = self.logic.AddViewNode(name)
        self.node.SetBoxVisible(False)
        self.node.SetAxisLabelsVisible(False)
        self._connect(slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), THREE_D_MANAGERS)
        self.look_from((0.5, 1.0, 0.5))

    def look_from(self, direction: Sequence[float], up: Sequence[float] = (0, 0, 1)) -> None:
        """Look at the middle of all that is visible from an RAS direction; (0, 1, 0) is from the front."""
        camera = self.renderer.GetActiveCamera()
        camera.SetFocalPoint(0, 0, 0)
        camera.SetPosition(*direction)
        camera.SetViewUp(*up)

    def render(self) -> np.ndarray:
        self.window.Render()
        self.renderer.ResetCamera()
        self.renderer.GetActiveCamera().Zoom(1.2)
        picture = super().render()
        self.renderer.GetActiveCamera().Zoom(1 / 1.2)
        return picture

    def close(self) -> None:
        super().close()
        self._session.application_logic.GetViewLogics().RemoveItem(self.logic)
        node = self.node
        self.logic.SetMRMLScene(None)
        self._session.scene.RemoveNode(node)


def save_png(picture: np.ndarray, path: Path | str) -> None:
    """Write a picture (height, width, 3) uint8; OSError when the file cannot be written."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(png(picture))


def png(picture: np.ndarray) -> bytes:
    """A picture (height, width, 3) uint8 as a PNG file's content."""
    writer = vtk.vtkPNGWriter()
    writer.WriteToMemoryOn()
    writer.SetInputData(_image_data(picture))
    writer.Write()
    return numpy_support.vtk_to_numpy(writer.GetResult()).tobytes()


def panel(rows: Sequence[Sequence[tuple[str, np.ndarray]]], gap: int = 6, title_height: int = 28) -> np.ndarray:
    """One picture of several: rows of (title, picture), each title above its picture, on white."""
    framed = [[_titled(title, picture, title_height) for title, picture in row] for row in rows]
    widths = [sum(p.shape[1] + gap for p in row) + gap for row in framed]
    heights = [max(p.shape[0] for p in row) + gap for row in framed]
    sheet = np.full((sum(heights) + gap, max(widths), 3), 255, dtype=np.uint8)
    y = gap
    for row, height in zip(framed, heights, strict=True):
        x = gap
        for picture in row:
            sheet[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
            x += picture.shape[1] + gap
        y += height
    return sheet


def _titled(title: str, picture: np.ndarray, height: int) -> np.ndarray:
    band = np.full((height, picture.shape[1], 3), 255, dtype=np.uint8)
    if title:
        text = _text_picture(title, min(16, height - 10))[:height, : picture.shape[1]]
        top = (height - text.shape[0]) // 2
        band[top : top + text.shape[0], : text.shape[1]] = text
    return np.concatenate([band, picture])


def _text_picture(text: str, size: int) -> np.ndarray:
    """Black text on white, cropped to its ink."""
    image, style = vtk.vtkImageData(), vtk.vtkTextProperty()
    style.SetFontSize(size)
    style.SetColor(0, 0, 0)
    vtk.vtkTextRenderer.GetInstance().RenderString(style, text, image, [0, 0], 72)
    width, height, _ = image.GetDimensions()
    pixels = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 4)
    ink = np.flipud(pixels[..., 3])
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return 255 - np.repeat(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, None], 3, axis=2)


def _render_window() -> Any:
    """An off-screen window on what this machine offers; RuntimeError where that is nothing."""
    # VTK tries a display, EGL and OSMesa in turn and warns of each it does not find, although the next may do.
    with standalone.quiet():
        window = vtk.vtkRenderWindow()
    if window.GetClassName() == "vtkOSOpenGLRenderWindow" and not _has_osmesa():
        raise RuntimeError(
            "Nothing here can draw pictures: install Mesa's EGL (libegl1 and libgl1-mesa-dri on Debian)."
        )
    window.SetOffScreenRendering(1)
    return window


def _has_osmesa() -> bool:
    """Whether VTK will find OSMesa's library; without it, its window crashes the process."""
    for name in OSMESA_LIBRARIES:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


def _image_data(picture: np.ndarray) -> Any:
    image = vtk.vtkImageData()
    image.SetDimensions(picture.shape[1], picture.shape[0], 1)
    pixels = np.ascontiguousarray(np.flipud(picture)).reshape(-1, 3)
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(pixels, deep=True))
    return image


def _image_actor() -> Any:
    mapper = vtk.vtkImageMapper()
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    actor = vtk.vtkActor2D()
    actor.SetMapper(mapper)
    actor.GetProperty().SetDisplayLocationToBackground()
    return actor


def _text_actor(size: int) -> Any:
    actor = vtk.vtkTextActor()
    style = actor.GetTextProperty()
    style.SetFontSize(size)
    style.SetColor(1, 1, 1)
    style.ShadowOn()
    return actor


def _direction_letter(axis: np.ndarray) -> str:
    """The anatomical direction an RAS vector points to most."""
    world = int(np.argmax(np.abs(axis)))
    return DIRECTION_LETTERS[world][0 if axis[world] > 0 else 1]
