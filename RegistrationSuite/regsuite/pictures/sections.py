"""The pictures of a section that was found in an atlas: as a viewer shows its file, and where it was cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from regsuite.pictures.draw import Subject, dimmed, draw_levels, grey_window, nice_step
from regsuite.pictures.picture import Picture, encoded
from regsuite.pictures.planes import Plane, planes
from regsuite.pictures.sheet import FIXED_COLOUR, MOVING_COLOUR, Sheet, draw_image, write_marks
from regsuite.registration import Registration
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.slices import upright
from regsuite.transforms import Affine

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST = 800
"""Pixels of a section that is drawn, on its longer side."""
_MOST_CANDIDATES = 5
_GRID_LINES = 26
_STRIP_WIDTH, _STRIP_TITLE, _STRIP_HEIGHTS = 12.0, 0.5, (1.5, 6.0)
"""Inches."""
_LINE, _HALO = 0.9, 2.2
"""Points that an outline is wide, and the shade around it."""
_SHADE = "#101418"


def is_section(grid: Grid) -> bool:
    """Whether it is one slice in space."""
    return grid.dim == 3 and 1 in grid.shape


def section_pictures(subject: Subject) -> list[Picture]:
    """Every picture of a section that this registration has the material for."""
    drawn = [draw(subject) for draw in (section_and_plate, regions, candidates, cut, plate_grid)]
    return [picture for picture in drawn if picture is not None]


def section_and_plate(subject: Subject) -> Picture:
    """The section beside the atlas where it was found."""
    plane = slice_plane(subject.fixed)
    sheet = Sheet([[plane, plane]], ["Section", "Atlas"])
    section, plate = sheet.axes[0]
    _draw_section(section, plane, subject)
    draw_image(plate, plane, plane.image(subject.warped), grey_window(subject.warped))
    caption = "The section as its file shows it, and the atlas's template where it was found: the same place on both."
    return Picture("section", "Section and plate", caption, encoded(sheet.figure))


def regions(subject: Subject) -> Picture | None:
    """Outlines of the atlas's regions over the section."""
    labels = subject.registration.warped_labels
    if labels is None:
        return None
    plane = slice_plane(subject.fixed)
    sheet = Sheet([[plane]], [""])
    _draw_section(sheet.axes[0][0], plane, subject)
    _draw_borders(sheet.axes[0][0], plane, labels)
    caption = (
        "Borders of the atlas's regions over the section. They should follow what the section shows: its rim first, "
        "then what stands out inside."
    )
    return Picture("regions", "Regions", caption, encoded(sheet.figure))


def candidates(subject: Subject) -> Picture | None:
    """The plates that fit best, in their order, each where it would lie on the section."""
    frames, table = (getattr(subject.registration, each) for each in ("sequences", "tables"))
    if "candidates" not in frames or "ranking" not in table:
        return None
    from matplotlib.figure import Figure

    chosen = list(zip(frames["candidates"], table["ranking"].rows, strict=True))[:_MOST_CANDIDATES]
    plane = slice_plane(subject.fixed)
    columns = 1 + _MOST_CANDIDATES
    tall = _STRIP_WIDTH / columns * plane.size[1] / plane.size[0] + _STRIP_TITLE
    figure = Figure(figsize=(_STRIP_WIDTH, float(np.clip(tall, *_STRIP_HEIGHTS))), layout="constrained")
    section, *others = figure.subplots(1, columns)
    _draw_section(section, plane, subject)
    section.set_title("Section", fontsize=10)
    for axes, (frame, (_, number, _, distance, probability)) in zip(others, chosen, strict=False):
        shown = slice_plane(frame)
        draw_image(axes, shown, shown.image(frame), grey_window(frame))
        axes.set_title(f"Plate {number}\n{distance:.3g}, {probability:.0%}", fontsize=10)
    for axes in (section, *others):
        axes.set_aspect("equal")
        axes.axis("off")
    caption = (
        "The plates that fit best, the best first, where they would lie on the section; under each plate's number its "
        "distance to the section and its probability."
    )
    return Picture("candidates", "Candidates", caption, encoded(figure))


def cut(subject: Subject) -> Picture | None:
    """Where the section was cut: a line in the two views of the atlas that it stands across most."""
    if is_section(subject.moving.grid):
        return None
    corners = _corners_in_atlas(subject)
    centre = corners.mean(axis=0)
    outer = subject.moving.grid.corners()
    views = planes(subject.moving.grid, centre, (outer.min(axis=0), outer.max(axis=0)))
    across = np.abs(np.cross(corners[1] - corners[0], corners[3] - corners[0]))
    views = sorted(views, key=lambda view: across[_through(view)])[:2]
    sheet = Sheet([views], [view.title for view in views], legend=True)
    for view, axes in sheet.panels():
        draw_image(axes, view, view.image(subject.moving), grey_window(subject.moving))
        ends = _crossing(corners, _through(view), centre)
        screen = ends[:, view.axes] * view.signs
        axes.plot(*screen.T, color=FIXED_COLOUR, linewidth=2.0)
        write_marks(axes, view)
    sheet.legend([("Where the section was cut", FIXED_COLOUR)])
    caption = (
        "The plane of the section through the atlas, in two views through its middle. The line is as long as the "
        "section's picture is wide or high."
    )
    return Picture("cut", "Where the section was cut", caption, encoded(sheet.figure))


def plate_grid(subject: Subject) -> Picture | None:
    """Lines of the atlas's plane over the section, bent as the plate was."""
    if isinstance(subject.registration.transform, Affine):
        return None
    plane = slice_plane(subject.fixed)
    sheet = Sheet([[plane]], [""])
    axes = sheet.axes[0][0]
    _draw_section(axes, plane, subject, dim=True)
    moved = _in_atlas_plane(plane, subject.registration)
    step = nice_step(float(np.ptp(moved, axis=(0, 1)).max()) / _GRID_LINES)
    for component in (moved[..., 0], moved[..., 1]):
        draw_levels(axes, plane, component, step)
    caption = (
        f"A straight grid of {step:g} mm laid on the atlas in the section's plane and deformed with it, over the "
        "section. Lines that crowd show the plate pressed together; lines that cross would show folding."
    )
    return Picture("grid", "Warped grid", caption, encoded(sheet.figure))


def slice_plane(image: Image) -> Plane:
    """All of an image of one slice, as a viewer shows it; the extent counts in its own mm."""
    data, affine = upright(image)
    height, width = data.shape[1:]
    step = max(1.0, max(height, width) / _LONGEST)
    rows, columns = (max(1, round(n / step)) for n in (height, width))
    y, x = ((np.arange(count) + 0.5) * n / count - 0.5 for count, n in ((rows, height), (columns, width)))
    index = np.zeros((rows, columns, 4))
    index[..., 0], index[..., 1], index[..., 3] = x, y[::-1, None], 1
    points = torch.from_numpy(index @ affine[:3].T)
    across, down = np.linalg.norm(affine[:3, :2], axis=0)
    extent = (0.0, float(width * across), 0.0, float(height * down))
    return Plane("", points, extent, "", axes=(0, 1), signs=(1, 1))


def _draw_section(axes: Axes, plane: Plane, subject: Subject, dim: bool = False) -> None:
    """In colour, or the channel that was compared in grey."""
    section = subject.fixed
    channel = int(subject.registration.record.get("chosen", {}).get("channel", 1))
    if channel == 0 and section.data.shape[1] == 3:
        low, high = grey_window(section)
        colours = np.stack([plane.image(section, each) for each in range(3)], axis=-1)
        draw_image(axes, plane, np.clip((colours - low) / (high - low), 0, 1), (0, 1))
        return
    one = Image(section.data[:, max(0, channel - 1) :][:, :1].float(), section.grid)
    window = grey_window(one)
    draw_image(axes, plane, plane.image(one), dimmed(window) if dim else window)


def _draw_borders(axes: Axes, plane: Plane, labels: LabelImage) -> None:
    """A line wherever two labels meet, in the colour of the region left of it or above it."""
    from matplotlib.collections import LineCollection

    numbers = _numbers(labels, plane)[::-1]
    left, right, bottom, top = plane.extent
    height, width = numbers.shape
    scale = np.array([(right - left) / width, (top - bottom) / height])
    lines, values = [], []
    for axis, along in ((1, (0, 1)), (0, (1, 0))):
        ahead = np.roll(numbers, -1, axis=axis)
        meeting = np.argwhere(np.delete(numbers != ahead, -1, axis=axis))
        start = meeting[:, ::-1] + (1 - np.array(along))
        ends = np.stack([start, start + along], axis=1) * scale
        ends[..., 1] = top - ends[..., 1]
        own = numbers[tuple(meeting.T)]
        lines.append(ends)
        values.append(np.where(own == 0, ahead[tuple(meeting.T)], own))
    colours = [labels.colours.get(int(value), MOVING_COLOUR) for value in np.concatenate(values)]
    segments = list(np.concatenate(lines))
    for shade, width in ((_SHADE, _HALO), (colours, _LINE)):
        drawn = LineCollection(segments, colors=shade, linewidths=width, capstyle="projecting")
        axes.add_collection(drawn, autolim=False)


def _numbers(labels: LabelImage, plane: Plane) -> np.ndarray:
    """(h, w): the label nearest to every point, 0 outside."""
    index = np.round(labels.grid.to_index(plane.points.numpy())).astype(int)
    inside = ((index >= 0) & (index < np.array(labels.grid.shape))).all(axis=-1)
    numbers = np.zeros(index.shape[:2], dtype=np.int64)
    numbers[inside] = labels.array()[tuple(index[inside].T)]
    return numbers


def _corners_in_atlas(subject: Subject) -> np.ndarray:
    """(4, 3) RAS mm of the atlas, around the section."""
    data, affine = upright(subject.fixed)
    height, width = data.shape[1:]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
    points = np.column_stack([corners, np.zeros(4), np.ones(4)]) @ affine[:3].T
    return subject.registration.transform.points(torch.from_numpy(points)).cpu().numpy()


def _through(view: Plane) -> int:
    """The world axis a view stands across."""
    return 3 - sum(view.axes)


def _crossing(corners: np.ndarray, axis: int, centre: np.ndarray) -> np.ndarray:
    """(2, 3): where the rim of a quadrangle (4, 3) passes the plane through its middle across a world axis."""
    found = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        before, after = start[axis] - centre[axis], end[axis] - centre[axis]
        if before * after < 0:
            found.append(start + (end - start) * before / (before - after))
    return np.array(found[:2]) if len(found) > 1 else np.array([centre, centre])


def _in_atlas_plane(plane: Plane, registration: Registration) -> np.ndarray:
    """(h, w, 2) where the points go, in mm of the atlas along two lines of the plane that they lie nearest to."""
    moved = registration.transform.points(plane.points.to(torch.float64)).cpu().numpy()
    height, width = moved.shape[:2]
    y, x = np.mgrid[:height, :width]
    places = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
    steps, *_ = np.linalg.lstsq(places, moved.reshape(-1, 3), rcond=None)
    axes, _ = np.linalg.qr(steps[:2].T)
    return (moved - moved.mean(axis=(0, 1))) @ axes
