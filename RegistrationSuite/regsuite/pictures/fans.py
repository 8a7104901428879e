"""The pictures of slices that were placed in a volume: how they stand, and whether the volume shows the same there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from regsuite.pictures.fan_subject import FanSubject, ends_of, extent_of, view_along
from regsuite.pictures.picture import Picture, encoded
from regsuite.pictures.sheet import FIXED_COLOUR, INK, MOVING_COLOUR, write_letters
from regsuite.pictures.solids import solid_picture
from regsuite.spatial import Image, sample
from regsuite.spatial.slice_sets import Axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 6
"""Slices that are drawn beside each other."""
_WINDOW = (0.5, 99.5)
_CHECKS = 8
_WIDTH, _FAN_HEIGHT, _TITLE = 12.0, 5.2, 0.42
_POINTS = 240
_MARGIN = 1.24
"""Times the reach of the slices, so that letters at the rim are clear of the numbers."""


def fan_pictures(subject: FanSubject) -> list[Picture]:
    """Every picture of placed slices that there is material for."""
    solid = subject.registration.labels.get("solid")
    grids = [image.grid for image in subject.slices]
    colours = [subject.colour(number) for number in range(len(grids))]
    drawn = [arrangement(subject), beside_emulated(subject)]
    if "mutual information after" in subject.rows[0]:
        drawn.append(similarity(subject))
    if solid is not None:
        drawn.append(solid_picture(subject.fixed_labels, subject.bone, solid, grids, colours))
    return drawn


def arrangement(subject: FanSubject) -> Picture:
    """The fan from along its axis, and below it every slice as it stands there."""
    from matplotlib.figure import Figure

    order, axis = subject.order, subject.axis
    columns = min(len(order), MOST)
    lines = -(-len(order) // columns)
    heights = [0.0 if axis is None else _FAN_HEIGHT, lines * (_WIDTH / columns * subject.tallness + _TITLE)]
    figure = Figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
    rows = figure.add_gridspec(2, 1, height_ratios=[max(height, 1e-3) for height in heights])
    if axis is not None:
        _draw_fan(figure.add_subplot(rows[0]), subject, axis)
    panels = rows[1].subgridspec(lines, columns).subplots(squeeze=False).ravel()
    for axes, number in zip(panels, order, strict=False):
        _draw(axes, subject, number, subject.slices[number])
        _outline(axes, subject, number, subject.upright(number, subject.drawn_in(number)), MOVING_COLOUR)
        axes.set_title(_told_of(subject, number), color=_ink(subject, number), fontsize=10.5)
    for axes in panels:
        axes.axis("off")
    caption = "Every slice, as it was acquired, with the outline of the bone in its segmentation (yellow)."
    if axis is not None:
        caption = (
            "Above, the volume across the axis of the slices, seen along it, and the place of each slice; its number "
            "stands at the end to which the columns of the upright slice run. Below, the slices by their places, "
            "upright as they stand there, with the bone's outline (yellow). Neighbours, and the last one's mirror "
            "image and the first one, should be alike; along the axis, the middle column, they should agree."
        )
    name, title = ("arrangement", "Arrangement") if subject.arranged else ("segmentation", "Segmented slices")
    return Picture(name, title, caption, encoded(figure))


def seen_along_axis(subject: FanSubject, width: float, height: float) -> bytes | None:
    """The fan alone, small, as PNG; None for slices without an axis. Both in inches."""
    from matplotlib.figure import Figure

    if subject.axis is None:
        return None
    figure = Figure(figsize=(width, height), layout="constrained")
    _draw_fan(figure.add_subplot(), subject, subject.axis)
    return encoded(figure)


def beside_emulated(subject: FanSubject) -> Picture:
    """Each slice, what the volume shows there, and both by turns in a checkerboard."""
    shown = subject.order[:MOST]
    figure, panels = _grid_of_panels(subject, 3, len(shown))
    for number, column in zip(shown, panels.T, strict=True):
        real, emulated = subject.slices[number], subject.emulated[number]
        _draw(column[0], subject, number, real)
        _draw(column[1], subject, number, emulated)
        _draw(column[2], subject, number, Image(_checkered(real, emulated), real.grid))
        for axes in column:
            _outline(axes, subject, number, subject.upright(number, subject.bone_in(number)), FIXED_COLOUR, 0.9)
        column[0].set_title(f"Slice {number + 1}", color=_ink(subject, number), fontsize=10.5)
    for axes, title in zip(panels[:, 0], ("Acquired", "Emulated", "Checkerboard"), strict=True):
        axes.set_ylabel(title, fontsize=10.5, color=INK)
    if subject.laid:
        caption = (
            "Each slice, what the volume shows where it was placed, and both by turns. The contrast differs; borders "
            "should run on from field to field. Blue: the outline of the bone in the volume."
        )
    else:
        caption = (
            "Each slice, what the volume shows where the headers put it, and both by turns; they were not laid in the "
            "volume yet. Blue: the outline of the bone in the volume."
        )
    if len(subject.order) > MOST:
        caption += f" The first {MOST} of {len(subject.order)} slices."
    return Picture("emulated", "Acquired and emulated slices", caption, encoded(figure))


def similarity(subject: FanSubject) -> Picture:
    """Mutual information of every slice before and after the search."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 3.4), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(subject.rows))
    for shift, when, colour in ((-0.2, "before", "#b8c2cc"), (0.2, "after", "#0a7ea4")):
        values = [row[f"mutual information {when}"] for row in subject.rows]
        axes.bar(places + shift, values, 0.38, color=colour, label=when)
    axes.set_xticks(places, [f"slice {number + 1}" for number in places])
    axes.set_ylabel("Mutual information, nats", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    caption = (
        "How much each slice and what the volume shows there tell of each other, as the outlines were laid on the bone "
        "and after the search. No slice should have lost, and none should be far below the others."
    )
    return Picture("similarity", "Similarity of the slices", caption, encoded(figure))


def _told_of(subject: FanSubject, number: int) -> str:
    """Place, number, and how it was turned to stand upright."""
    known, stand = subject.rows[number]["place"], subject.stands[number]
    place = f"place {known}: " if known else ""
    turned = ", ".join(word for word in ("mirrored", "turned") if getattr(stand, word))
    return f"{place}slice {number + 1}\n{turned}"


def _draw_fan(axes: Axes, subject: FanSubject, axis: Axis) -> None:
    """The volume across the axis, a line for each slice and its number."""
    across = view_along(axis.normal)
    reach = max(np.multiply(image.grid.shape, image.grid.spacing)[2] for image in subject.slices) / 2
    steps = np.linspace(-reach, reach, _POINTS)
    points = axis.centre + steps[None, :, None] * across[0] + steps[:, None, None] * across[1]
    data = subject.fixed.data.cpu().float()
    shown = sample(data, subject.fixed.grid, torch.from_numpy(points), outside="zeros")[0, 0].numpy()
    inside = subject.fixed_labels.mask(subject.bone).cpu().float()[None, None]
    bone = sample(inside, subject.fixed_labels.grid, torch.from_numpy(points), outside="zeros")[0, 0].numpy()
    extent = (-reach, reach, -reach, reach)
    low, high = _window(shown)
    axes.imshow(shown, cmap="gray", extent=extent, origin="lower", vmin=low, vmax=1.6 * high)
    if bone.min() < 0.5 <= bone.max():
        axes.contour(bone, levels=[0.5], extent=extent, colors=[FIXED_COLOUR], linewidths=1.2)
    for number in range(len(subject.slices)):
        _draw_blade(axes, subject, number, axis, across)
    write_letters(axes, [letter for line in across for letter in ends_of(line)])
    axes.set(xlim=(-_MARGIN * reach, _MARGIN * reach), ylim=(-_MARGIN * reach, _MARGIN * reach), facecolor="black")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title("Seen along the axis", fontsize=11.5, color=INK)


def _draw_blade(axes: Axes, subject: FanSubject, number: int, axis: Axis, across: np.ndarray) -> None:
    """Where a slice crosses the plane of the view, from the side of its first column to its number."""
    from matplotlib.patheffects import withStroke

    grid = subject.slices[number].grid
    along = np.asarray(grid.direction)[:, 2] * (-1 if subject.stands[number].mirrored else 1)
    half = grid.shape[2] * grid.spacing[2] / 2
    middle = across @ (grid.centre - axis.centre)
    way = across @ along
    start, end = middle - half * way, middle + half * way
    colour = subject.colour(number)
    rim = [withStroke(linewidth=3.4, foreground="black")]
    axes.plot(*np.stack([start, end], axis=1), color=colour, linewidth=1.8, path_effects=rim)
    text = axes.text(end[0], end[1], str(number + 1), color=colour, fontsize=12, ha="center", va="center")
    text.set(fontweight="bold", path_effects=[withStroke(linewidth=3, foreground="black")])


def _grid_of_panels(subject: FanSubject, lines: int, columns: int) -> tuple[Figure, np.ndarray]:
    from matplotlib.figure import Figure

    tall = lines * _WIDTH / columns * subject.tallness + _TITLE
    figure = Figure(figsize=(_WIDTH, tall), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False)
    for axes in panels.ravel():
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    return figure, panels


def _draw(axes: Axes, subject: FanSubject, number: int, image: Image) -> None:
    values = np.nan_to_num(image.array()[0].astype(float))
    low, high = _window(values)
    shown = subject.upright(number, values)
    axes.imshow(shown, cmap="gray", vmin=low, vmax=high, extent=extent_of(image.grid), interpolation="bilinear")


def _outline(
    axes: Axes, subject: FanSubject, number: int, upright: np.ndarray, colour: str, width: float = 1.2
) -> None:
    if upright.min() < 0.5 <= upright.max():
        extent = extent_of(subject.slices[number].grid)
        axes.contour(upright, levels=[0.5], extent=extent, origin="upper", colors=[colour], linewidths=width)


def _window(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, _WINDOW)
    return float(low), float(max(high, low + 1e-6))


def _checkered(one: Image, other: Image) -> torch.Tensor:
    """(1, 1, 1, H, W): fields of both by turns, each in its own window."""
    shown = []
    for image in (one, other):
        values = np.nan_to_num(image.array()[0].astype(float))
        low, high = _window(values)
        shown.append(np.clip((values - low) / (high - low), 0, 1))
    side = max(1, max(one.grid.shape[1:]) // _CHECKS)
    rows, columns = np.indices(one.grid.shape[1:]) // side
    fields = np.where((rows + columns) % 2 == 0, *shown)
    return torch.from_numpy(fields)[None, None, None]


def _ink(subject: FanSubject, number: int) -> Sequence[float]:
    """The slice's colour, dark enough for white ground."""
    return tuple(0.7 * part for part in subject.colour(number))
