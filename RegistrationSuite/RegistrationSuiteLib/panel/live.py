"""What a panel shows while a job runs: progress with time left, the energy so far, a preview, the log."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import qt
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from RegistrationSuiteLib.scene.cuts import slice_colours
from RegistrationSuiteLib.scene.geometry import grid_of

if TYPE_CHECKING:
    from regsuite.spatial import Image

WHITE, GREY, BLUE = (255, 255, 255), (120, 120, 120), (31, 95, 180)
MARGIN = 8


class LiveView:
    """The progress bar, status line, curve, preview and log of a panel's form."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._started = 0.0
        self._curve: list[float] = []

    def begin(self) -> None:
        """A job has been handed over."""
        self._started = time.monotonic()
        self._curve = []
        self._ui.logEdit.plainText = ""
        self._ui.curveLabel.clear()
        self._ui.previewLabel.clear()
        self._ui.liveFrame.visible = False
        self._ui.energyLabel.text = ""
        self._ui.progressBar.value = 0
        self._ui.progressBar.format = "%p%"
        self._ui.progressBar.visible = True
        self.status("Starting the registration.")
        self._ui.statusLabel.repaint()

    def end(self, sentence: str) -> None:
        """The job is over; the sentence says how."""
        self._ui.progressBar.visible = False
        self.status(sentence)
        self.log(sentence)

    def status(self, sentence: str) -> None:
        self._ui.statusLabel.text = sentence

    def step(self, fraction: float, message: str) -> None:
        bar = self._ui.progressBar
        bar.value = round(fraction * bar.maximum)
        left = time_left(fraction, time.monotonic() - self._started)
        bar.format = f"%p% – {left}" if left else "%p%"
        if message:
            self.status(message)

    def log(self, text: str) -> None:
        self._ui.logEdit.appendPlainText(text)

    def curve(self, name: str, x: float, values: Mapping[str, float]) -> None:
        """One more point of a curve; its first line (the total) is drawn."""
        line, value = next(iter(values.items()))
        self._curve.append(value)
        parts = ", ".join(f"{each} {number:.4g}" for each, number in values.items())
        self._ui.energyLabel.text = f"{name.capitalize()} at {x:g}: {parts}"
        size = self._ui.curveLabel.minimumSize
        self._ui.liveFrame.visible = True
        self._ui.curveLabel.setPixmap(draw_curve(self._curve, f"{name}, {line}", size.width(), size.height()))

    def preview(self, image: Image) -> None:
        """The middle slice of an intermediate warped image."""
        size = self._ui.previewLabel.minimumSize
        self._ui.liveFrame.visible = True
        self._ui.previewLabel.setPixmap(draw_slice(image, size.width(), size.height()))


def time_left(fraction: float, elapsed: float) -> str:
    """The time a run will still take, in words, judged from its pace; empty while that is too early to say."""
    if fraction < 0.02 or elapsed < 1.0 or fraction >= 1.0:
        return ""
    seconds = elapsed * (1.0 - fraction) / fraction
    if seconds < 10:
        return "a few seconds left"
    if seconds < 90:
        return f"about {round(seconds / 10) * 10} s left"
    return f"about {round(seconds / 60)} min left" if seconds < 5400 else f"about {seconds / 3600:.1f} h left"


def draw_curve(values: Sequence[float], title: str, width: int, height: int) -> Any:
    """A QPixmap with a line through the values, its largest and smallest value written beside it."""
    pixmap = qt.QPixmap(width, height)
    pixmap.fill(qt.QColor(*WHITE))
    low, high = min(values), max(values)
    painter = qt.QPainter()
    painter.begin(pixmap)
    painter.setPen(qt.QColor(*GREY))
    painter.drawText(MARGIN, 14, f"{title}  {high:.4g}")
    painter.drawText(MARGIN, height - 6, f"{low:.4g}")
    painter.setPen(qt.QColor(*BLUE))
    points = curve_points(values, low, high, width, height)
    for (x0, y0), (x1, y1) in pairwise(points):
        painter.drawLine(x0, y0, x1, y1)
    painter.end()
    return pixmap


def curve_points(values: Sequence[float], low: float, high: float, width: int, height: int) -> list[tuple[int, int]]:
    """Pixel positions of a curve, left to right, larger values higher up, clear of the two written numbers."""
    across = (width - 2 * MARGIN) / max(1, len(values) - 1)
    down = (height - 44) / ((high - low) or 1.0)
    return [(round(MARGIN + index * across), round(20 + (high - value) * down)) for index, value in enumerate(values)]


def draw_slice(image: Image, width: int, height: int) -> Any:
    """A QPixmap of an image's middle slice, to the scale of its spacing, right on the left as radiologists look."""
    rows, spacing = middle_slice(image)
    return draw_pixels(np.repeat(rows[..., None], 3, axis=-1), spacing, width, height)


def draw_pixels(pixels: np.ndarray, spacing: tuple[float, float], width: int, height: int) -> Any:
    """A QPixmap of colours (rows, columns, 3), rows upwards as in VTK, to the scale of their spacing."""
    picture = qt.QImage()
    slicer.qMRMLUtils().vtkImageDataToQImage(to_vtk(pixels), picture)
    tall, wide = pixels.shape[0] * spacing[0], pixels.shape[1] * spacing[1]
    scale = min(width / wide, height / tall)
    size = max(1, round(wide * scale)), max(1, round(tall * scale))
    return qt.QPixmap.fromImage(picture).scaled(*size, qt.Qt.IgnoreAspectRatio, qt.Qt.SmoothTransformation)


def draw_section(node: Any, width: int, height: int) -> Any:
    """A QPixmap of a volume node of one slice, in its colours, right on the left as radiologists look."""
    grid = grid_of(node)
    rows, columns = (axis for axis in range(3) if axis != grid.shape.index(1))
    coarse = [max(1, grid.shape[axis] // most) for axis, most in ((rows, 2 * height), (columns, 2 * width))]
    pixels = slice_colours(node)[:: coarse[0], :: coarse[1]]
    pixels = _upright(pixels, np.array(grid.direction)[:, [rows, columns]])
    spacing = grid.spacing[rows] * coarse[0], grid.spacing[columns] * coarse[1]
    return draw_pixels(pixels, spacing, width, height)


def middle_slice(image: Image) -> tuple[np.ndarray, tuple[float, float]]:
    """Grey values 0 to 255 (rows, columns), rows upwards as in VTK, and the spacing of rows and columns in mm."""
    data = image.data[0, 0].detach().cpu().numpy()
    plane = data[data.shape[0] // 2] if data.ndim == 3 else data
    plane = _upright(plane, np.array(image.grid.direction)[:, -2:])
    low, high = float(plane.min()), float(plane.max())
    rows, columns = image.grid.spacing[-2:]
    return ((plane - low) * (255.0 / ((high - low) or 1.0))).astype(np.uint8), (rows, columns)


def _upright(pixels: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Rows upwards, right on the left; direction: (d, 2), that of rows and of columns."""
    pixels = pixels[:: 1 if _runs_up(direction[:, 0]) else -1]
    return pixels[:, :: -1 if _runs_up(direction[:, 1]) else 1]


def _runs_up(axis: np.ndarray) -> bool:
    """Whether an array axis runs towards right, anterior or superior, whichever is nearest."""
    return bool(axis[np.argmax(np.abs(axis))] > 0)


def to_vtk(pixels: np.ndarray) -> vtk.vtkImageData:
    """Colours (rows, columns, 3) as an RGB image."""
    image = vtk.vtkImageData()
    image.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
    scalars = numpy_to_vtk(np.ascontiguousarray(pixels).reshape(-1, 3), deep=True, array_type=vtk.VTK_UNSIGNED_CHAR)
    image.GetPointData().SetScalars(scalars)
    return image
