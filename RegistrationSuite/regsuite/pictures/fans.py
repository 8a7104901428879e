"""The pictures of slices that were placed in a volume: how they stand, and whether the volume shows the same there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from regsuite.pictures.picture import Picture, encoded
from regsuite.pictures.sheet import FIXED_COLOUR, INK, MOVING_COLOUR, write_letters
from regsuite.pictures.solids import solid_picture
from regsuite.registration import Registration
from regsuite.spatial import Grid, Image, LabelImage, sample
from regsuite.spatial.slice_sets import Axis, common_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 6
"""Slices that are drawn beside each other."""
_WINDOW = (0.5, 99.5)
_CHECKS = 8
_WIDTH, _FAN_HEIGHT, _TITLE = 12.0, 5.2, 0.42
_POINTS = 240
_SHARED_AXIS_MM = 8.0
"""How far a slice that has moved on its own may leave the axis."""
_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
_LEAST_LETTER = 0.35
"""Cosine of the angle to an axis that is named."""


class Stand(NamedTuple):
    """How a slice stands in its fan; place: what orders them."""

    place: float
    mirrored: bool
    turned: bool


@dataclass(frozen=True)
class FanSubject:
    """What the pictures are of; fixed_labels lie in the fixed image's space, slice_labels are a stack in the slices'
    order."""

    registration: Registration
    fixed: Image
    fixed_labels: LabelImage
    slice_labels: LabelImage

    @property
    def slices(self) -> list[Image]:
        """The placed slices that were compared."""
        return self.registration.sequences["slices"]

    @property
    def emulated(self) -> list[Image]:
        """What the volume shows there."""
        return self.registration.sequences["emulated"]

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """Of the arrangement's table, in the order of the slices."""
        table = self.registration.tables["arrangement"]
        return [dict(zip(table.columns, row, strict=True)) for row in table.rows]

    @cached_property
    def stands(self) -> list[Stand]:
        """Of every slice: as it was arranged or, of slices whose headers told of their planes, as these lie about their
        axis; as it is without one."""
        if self.axis is not None and not all(row["place"] for row in self.rows):
            return [_stand(image.grid, self.axis) for image in self.slices]
        return [
            Stand(row["place"] or number, row["mirrored"] == "yes", row["turned"] == "yes")
            for number, row in enumerate(self.rows)
        ]

    @cached_property
    def order(self) -> list[int]:
        """Numbers of the slices, from 0, by their places."""
        return sorted(range(len(self.stands)), key=lambda number: self.stands[number].place)

    @cached_property
    def axis(self) -> Axis | None:
        """The line around which they were placed."""
        return common_line([image.grid for image in self.slices], _SHARED_AXIS_MM)

    @property
    def bone(self) -> int | None:
        """The volume's label; None for all."""
        return self.registration.record.get("chosen", {}).get("bone")

    @property
    def tallness(self) -> float:
        """Height of a slice as a share of its width."""
        left, right, bottom, top = _extent(self.slices[0].grid)
        return (top - bottom) / (right - left)

    def upright(self, number: int, array: np.ndarray) -> np.ndarray:
        """(H, W) of a slice as it stands among the others: rows along the axis, columns towards its place."""
        stand = self.stands[number]
        turned = array[::-1] if stand.turned else array
        return turned[:, ::-1] if stand.mirrored else turned

    def bone_in(self, number: int) -> np.ndarray:
        """(H, W) float: the volume's bone where a slice was placed."""
        grid, labels = self.slices[number].grid, self.fixed_labels
        inside = labels.mask(self.bone).cpu().float()[None, None]
        return sample(inside, labels.grid, grid.points(torch.float64), outside="zeros")[0, 0, 0].numpy()

    def colour(self, number: int) -> Any:
        """That of a slice, by its place."""
        from matplotlib import colormaps

        return colormaps["hsv"](self.order.index(number) / len(self.order))


def fan_pictures(subject: FanSubject) -> list[Picture]:
    """Every picture of placed slices that there is material for."""
    solid = subject.registration.labels.get("solid")
    grids = [image.grid for image in subject.slices]
    colours = [subject.colour(number) for number in range(len(grids))]
    drawn = [arrangement(subject), beside_emulated(subject), similarity(subject)]
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
        drawn = subject.upright(number, subject.slice_labels.mask().cpu().numpy()[number].astype(float))
        _outline(axes, subject, number, drawn, MOVING_COLOUR)
        axes.set_title(_told_of(subject, number), color=_ink(subject, number), fontsize=10.5)
    for axes in panels:
        axes.axis("off")
    caption = "Every slice, upright as it was arranged, with the outline of the bone that was drawn in it (yellow)."
    if axis is not None:
        caption = (
            "Above, the volume across the axis of the slices, seen along it, and the place of each slice; its number "
            "stands at the end to which the columns of the upright slice run. Below, the slices by their places, "
            "upright as they were arranged, with the bone's outline (yellow). Neighbours, and the last one's mirror "
            "image and the first one, should be alike; along the axis, the middle column, they should agree."
        )
    return Picture("arrangement", "Arrangement", caption, encoded(figure))


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
    caption = (
        "Each slice, what the volume shows where it was placed, and both by turns. The contrast differs; borders "
        "should run on from field to field. Blue: the outline of the bone in the volume."
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
    across = _view(axis.normal)
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
    write_letters(axes, [letter for line in across for letter in _ends(line)])
    axes.set(xlim=(-1.12 * reach, 1.12 * reach), ylim=(-1.12 * reach, 1.12 * reach), facecolor="black")
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
    axes.plot(*np.stack([start, end], axis=1), color=colour, linewidth=1.6)
    text = axes.text(end[0], end[1], str(number + 1), color=colour, fontsize=12, ha="center", va="center")
    text.set(fontweight="bold", path_effects=[withStroke(linewidth=3, foreground="black")])


def _stand(grid: Grid, axis: Axis) -> Stand:
    """By the angle of its columns about the axis, mirrored so that it is within half a turn, and its rows along it."""
    down, right = np.asarray(grid.direction)[:, 1], np.asarray(grid.direction)[:, 2]
    first, second = _view(axis.normal)
    angle = np.degrees(np.arctan2(right @ second, right @ first)) % 360
    return Stand(float(angle % 180), bool(angle >= 180), bool(down @ axis.normal < 0))


def _view(normal: np.ndarray) -> np.ndarray:
    """(2, 3): right and up of the view along an axis; the patient's head up, and the right on the left, if they can."""
    ups = np.eye(3)[[2, 1]]
    up = next(each for each in ups if abs(each @ normal) < 0.9)
    up = up - (up @ normal) * normal
    up = up / np.linalg.norm(up)
    right = np.cross(up, normal)
    strongest = int(np.abs(right).argmax())
    return np.stack([right * (-np.sign(right[strongest]) if strongest < 2 else 1.0), up])


def _ends(line: np.ndarray) -> tuple[str, str]:
    """Letters of the two ends of a direction in space, the strongest first: 'SR' is up, and to the right."""
    strong = [int(axis) for axis in np.argsort(-np.abs(line)) if abs(line[axis]) > _LEAST_LETTER]
    ends = [_LETTERS[axis] if line[axis] > 0 else _LETTERS[axis][::-1] for axis in strong]
    return "".join(low for low, _ in ends), "".join(high for _, high in ends)


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
    axes.imshow(shown, cmap="gray", vmin=low, vmax=high, extent=_extent(image.grid), interpolation="bilinear")


def _outline(
    axes: Axes, subject: FanSubject, number: int, upright: np.ndarray, colour: str, width: float = 1.2
) -> None:
    if upright.min() < 0.5 <= upright.max():
        extent = _extent(subject.slices[number].grid)
        axes.contour(upright, levels=[0.5], extent=extent, origin="upper", colors=[colour], linewidths=width)


def _extent(grid: Grid) -> tuple[float, float, float, float]:
    """mm."""
    _, down, right = np.multiply(grid.shape, grid.spacing)
    return (0.0, float(right), 0.0, float(down))


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
    return tuple(0.7 * part for part in subject.colour(number)[:3])
