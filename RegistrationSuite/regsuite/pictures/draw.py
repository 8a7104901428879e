"""The pictures of a registration, each with a caption that says how to read it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from regsuite import catalog
from regsuite.catalog import Output
from regsuite.pictures.picture import Picture, encoded
from regsuite.pictures.planes import Plane, background_level, head_box, lesion_centre, planes, quantiles
from regsuite.pictures.sheet import (
    FIXED_COLOUR,
    GRID_COLOUR,
    INK,
    LESION_COLOUR,
    MOVING_COLOUR,
    Colour,
    Sheet,
    draw_image,
    outline,
    write_marks,
)
from regsuite.pictures.surfaces import organs_picture
from regsuite.registration import Curve, Registration
from regsuite.spatial import Image, LabelImage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SMALL_SHARE = 0.2
_FRAMES = 7
_GRID_LINES = 26
_NICE_STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 5.0, 8.0, 10.0, 20.0, 50.0)
_MOST_OCTAVES = 2.0
_LEAST_OF_CURVE = 1e-3
_MOST_NAMES = 5
_LABEL_COLOURS = (MOVING_COLOUR, FIXED_COLOUR, LESION_COLOUR, "#66d19e", "#c792ea", "#ff9f43")
_FRACTIONS = {-2: "¼", -1: "½"}


@dataclass(frozen=True)
class Subject:
    """What the pictures are of; mask and fixed labels lie on the fixed image's grid."""

    registration: Registration
    fixed: Image
    moving: Image
    mask: LabelImage | None = None
    fixed_labels: LabelImage | None = None
    moving_labels: LabelImage | None = None

    @cached_property
    def lesion(self) -> LabelImage | None:
        """Of the fixed image; where that has none, the moving image's as it comes to lie on the fixed one."""
        moved = self.registration.labels.get("mask_on_fixed")
        return self.mask or (moved if moved is not None and moved.values() else None)

    @cached_property
    def planes(self) -> list[Plane]:
        """Through the lesion, or through the middle of the head."""
        box = head_box(self.fixed)
        return planes(self.fixed.grid, lesion_centre(self.lesion, box), box)

    @cached_property
    def warped(self) -> Image:
        """The moving image by deformation alone."""
        from regsuite.transforms.warp import warp_image

        result = self.registration
        return result.warped or warp_image(self.moving, result.transform, self.fixed.grid)

    @cached_property
    def outlined(self) -> list[int]:
        """The labels worth an outline: those of a small share of the volume, or all where none is small."""
        labels = self.fixed_labels or self.moving_labels
        return [] if labels is None else _small_ones(labels) or labels.values()

    def draw_labels(self, axes: Axes, plane: Plane, labels: LabelImage | None, colour: str, width: float = 1.3) -> None:
        """Outlines of the labels worth one."""
        if labels is None:
            return
        for value in self.outlined:
            outline(axes, plane, plane.share(labels, value), colour, width)

    def draw_lesion(self, axes: Axes, plane: Plane, colour: str = LESION_COLOUR) -> None:
        """Outline of the lesion."""
        if self.lesion is not None:
            outline(axes, plane, plane.share(self.lesion), colour, 1.3)


def _small_ones(labels: LabelImage) -> list[int]:
    """The labels of a small share of the volume."""
    sizes = {value: int(labels.mask(value).sum()) for value in labels.values()}
    return [value for value, size in sizes.items() if size < _SMALL_SHARE * sum(sizes.values())]


def volume_pictures(subject: Subject) -> list[Picture]:
    """Every picture there is of images of the same kind, with what :func:`without_images` draws."""
    result, declared = subject.registration, catalog.outputs_of(subject.registration.record)
    drawn = [draw(subject) for draw in (before_after, warped_grid, jacobian_map, intensity_added, evolution)]
    labels = [labels_map(name, each, subject, declared.get(name)) for name, each in result.labels.items()]
    return [picture for picture in drawn if picture is not None] + labels + without_images(result)


def without_images(registration: Registration) -> list[Picture]:
    """Every picture that needs no image."""
    declared, organs = catalog.outputs_of(registration.record), organs_picture(registration)
    curves = [curve_plot(name, curve, declared.get(name)) for name, curve in registration.curves.items()]
    return ([organs] if organs is not None else []) + curves


def grey_window(image: Image) -> tuple[float, float]:
    """The intensities shown as black and white."""
    low, high = quantiles(image.data, 0.005, 0.997)
    return (low, high + 0.08 * (high - low)) if high > low else (low, low + 1)


def before_after(subject: Subject) -> Picture:
    """Fixed, moving, and moving after the deformation, with outlines."""
    result = subject.registration
    contents: list[tuple[str, Image, LabelImage | None, Image]] = [
        ("Fixed", subject.fixed, None, subject.fixed),
        ("Moving, before", subject.moving, subject.moving_labels, subject.moving),
        ("Moving, deformed", subject.warped, result.warped_labels, subject.moving),
    ]
    if "metamorphosed" in result.images:
        contents.append(("Deformed and intensity added", result.images["metamorphosed"], None, subject.moving))
    sheet = Sheet(
        [[plane] * len(contents) for plane in subject.planes],
        [content[0] for content in contents],
        [plane.title for plane in subject.planes],
        legend=True,
    )
    for column, (_, image, labels, shown_like) in enumerate(contents):
        for plane, axes in sheet.column(column):
            draw_image(axes, plane, plane.image(image), grey_window(shown_like))
            subject.draw_labels(axes, plane, labels, MOVING_COLOUR, 2.4)
            subject.draw_labels(axes, plane, subject.fixed_labels, FIXED_COLOUR, 1.0)
            subject.draw_lesion(axes, plane)
    for plane, axes in sheet.column(0):
        write_marks(axes, plane)
    sheet.legend(_legend_entries(subject))
    caption = (
        "Outside the lesion the deformed image should agree with the fixed one by deformation alone: "
        "the yellow outlines should come to lie under the blue ones (green where they do)."
    )
    return Picture("before-after", "Before and after", caption, encoded(sheet.figure))


def _legend_entries(subject: Subject) -> list[tuple[str, Colour]]:
    entries: list[tuple[str, Colour]] = []
    if subject.fixed_labels:
        entries += [(f"{_outlined_names(subject)}, fixed image", FIXED_COLOUR)]
    entries += [(f"{_outlined_names(subject)}, moving image", MOVING_COLOUR)] if subject.moving_labels else []
    return entries + ([("Lesion mask", LESION_COLOUR)] if subject.lesion else [])


def _outlined_names(subject: Subject) -> str:
    labels = subject.fixed_labels or subject.moving_labels
    names = [labels.name_of(value).lower() for value in subject.outlined] if labels else []
    text = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return text[:1].upper() + text[1:]


def warped_grid(subject: Subject) -> Picture:
    """Lines of constant moving coordinate over the deformed image: the moving image's grid, deformed with it."""
    sheet = _row_of_planes(subject)
    step = nice_step(max(max(plane.size) for plane in subject.planes) / _GRID_LINES)
    for plane, axes in sheet.panels():
        draw_image(axes, plane, plane.image(subject.warped), dimmed(grey_window(subject.moving)))
        moved = plane.mapped(subject.registration.transform)
        for component in (moved[..., 0], moved[..., 1]):
            draw_levels(axes, plane, component, step)
        subject.draw_lesion(axes, plane)
    caption = (
        f"A straight grid of {step:g} mm laid on the moving image and deformed with it, over the deformed image. "
        "Lines that crowd show tissue pressed together; lines that cross would show folding."
    )
    return Picture("grid", "Warped grid", caption, encoded(sheet.figure))


def _row_of_planes(subject: Subject, bar: bool = False) -> Sheet:
    sheet = Sheet([subject.planes], [plane.title for plane in subject.planes], bar=bar)
    for plane, axes in sheet.panels():
        write_marks(axes, plane)
    return sheet


def nice_step(step: float) -> float:
    """The nearest spacing a person would choose, in mm."""
    return min(_NICE_STEPS, key=lambda nice: abs(np.log(nice / step)))


def dimmed(window: tuple[float, float]) -> tuple[float, float]:
    """The intensities shown as black and white where something is drawn over the image."""
    return window[0], window[0] + 1.5 * (window[1] - window[0])


def draw_levels(axes: Axes, plane: Plane, component: np.ndarray, step: float) -> None:
    """The lines where a component (h, w) is a multiple of ``step``."""
    first, last = np.ceil(component.min() / step), np.floor(component.max() / step)
    if last >= first:
        levels = np.arange(first, last + 1) * step
        axes.contour(
            component,
            levels,
            extent=plane.extent,
            origin="lower",
            colors=GRID_COLOUR,
            linewidths=0.75,
            linestyles="solid",
        )


def jacobian_map(subject: Subject) -> Picture:
    """The determinant in octaves about 1, folds in magenta, inside the head."""
    result = subject.registration
    known = result.images.get("jacobian")
    determinant = known or Image(result.transform.jacobian_determinant(result.fixed_grid), result.fixed_grid)
    reach = _octaves(determinant, subject.lesion)
    sheet = _row_of_planes(subject, bar=True)
    threshold = background_level(subject.fixed)
    for plane, axes in sheet.panels():
        values = plane.image(determinant)
        outside = plane.image(subject.fixed) <= threshold
        octaves = np.ma.array(np.log2(np.maximum(values, 2.0**-9)), mask=outside)
        draw_image(axes, plane, octaves, (-reach, reach), cmap="RdBu_r")
        folds = np.ma.array(np.ones_like(values), mask=(values > 0) | outside)
        draw_image(axes, plane, folds, (0, 1), cmap="spring_r", interpolation="nearest")
        subject.draw_labels(axes, plane, subject.fixed_labels, INK, 1.0)
        subject.draw_lesion(axes, plane, "#111111")
    ticks = list(range(-int(reach), int(reach) + 1))
    texts = [_FRACTIONS.get(tick, f"{2**tick:g}") for tick in ticks]
    sheet.colour_bar("RdBu_r", (-reach, reach), "← tissue stretched     Jacobian     pressed together →", ticks, texts)
    folded = float((determinant.data <= 0).float().mean())
    caption = (
        "Determinant of the transform's Jacobian: 1 (white) keeps the volume; 2 (red) means that twice "
        "as much moving tissue now fills this place; ½ (blue) half as much. Dark lines: structures and lesion. "
        + ("No voxel is folded." if folded == 0 else f"{folded:.3%} of the voxels are folded (magenta).")
    )
    return Picture("jacobian", "Jacobian map", caption, encoded(sheet.figure))


def _octaves(determinant: Image, mask: LabelImage | None) -> float:
    """Reach of the colour scale in powers of two, from what happens outside the lesion."""
    values = determinant.data[0, 0].detach().cpu()
    low, high = quantiles(values if mask is None else values[~mask.mask().cpu()], 0.002, 0.998)
    reach = max(abs(np.log2(max(low, 1e-3))), abs(np.log2(max(high, 1e-3))))
    return float(np.clip(np.ceil(2 * reach) / 2, 1.0, _MOST_OCTAVES))


def intensity_added(subject: Subject) -> Picture | None:
    """What was painted, signed, over the deformed image."""
    added = subject.registration.images.get("intensity_added")
    if added is None:
        return None
    reach = max(float(added.data.abs().max()) * 0.9, 1e-6)
    sheet = _row_of_planes(subject, bar=True)
    for plane, axes in sheet.panels():
        values = plane.image(added)
        draw_image(axes, plane, plane.image(subject.warped), grey_window(subject.moving))
        opacity = np.clip(np.abs(values) / (0.15 * reach), 0, 1)
        draw_image(axes, plane, values, (-reach, reach), cmap="RdBu_r", alpha=opacity)
        subject.draw_lesion(axes, plane, GRID_COLOUR)
    sheet.colour_bar("RdBu_r", (-reach, reach), "← darker      intensity added      brighter →")
    caption = (
        "Intensity painted onto the deformed image, in the moving image's unit (lesion mask in yellow). "
        "Colour outside the mask, or structures drawn in colour, would mean painting where deformation was due."
    )
    return Picture("intensity-added", "Intensity added", caption, encoded(sheet.figure))


def evolution(subject: Subject) -> Picture | None:
    """The moving image on its way, with the mask as it grows."""
    frames = subject.registration.sequences.get("evolution", [])
    if len(frames) < 2:
        return None
    masks = subject.registration.sequences.get("mask", [])
    chosen = _spread(len(frames))
    times = [f"t = {index / (len(frames) - 1):.2f}" for index in chosen]
    rows = subject.planes[:2]
    cells = [[plane] * (len(chosen) + 1) for plane in rows]
    sheet = Sheet(cells, [*times, "Fixed"], [plane.title for plane in rows])
    for column, index in enumerate(chosen):
        for plane, axes in sheet.column(column):
            draw_image(axes, plane, plane.image(frames[index]), grey_window(subject.moving))
            if masks:
                mask = masks[round(index * (len(masks) - 1) / (len(frames) - 1))]
                outline(axes, plane, plane.image(mask), LESION_COLOUR, 1.0)
    for plane, axes in sheet.column(len(chosen)):
        draw_image(axes, plane, plane.image(subject.fixed), grey_window(subject.fixed))
        subject.draw_lesion(axes, plane)
    caption = "The moving image on its way to the fixed one"
    caption += ", with the outline of where intensity may be added at that time." if masks else "."
    return Picture("evolution", "Evolution", caption, encoded(sheet.figure))


def _spread(count: int) -> list[int]:
    """At most _FRAMES indices from first to last, at equal steps where that is possible."""
    even = [n for n in range(4, _FRAMES + 1) if (count - 1) % (n - 1) == 0]
    indices = np.linspace(0, count - 1, max(even) if even else min(_FRAMES, count))
    return sorted({round(index) for index in indices})


def labels_map(name: str, labels: LabelImage, subject: Subject, declared: Output | None = None) -> Picture:
    """Outlines of labels, small ones strong, over the image in whose frame they are declared to lie.

    On the moving image its own labels are beneath, for comparison.
    """
    on_moving = declared is not None and declared.frame == "moving"
    image = subject.moving if on_moving else subject.fixed
    lesion = subject.registration.labels.get("mask_on_moving") if on_moving else subject.lesion
    box = head_box(image)
    middle = next((each for each in (lesion, labels) if each is not None and each.values()), None)
    cells = planes(image.grid, lesion_centre(middle, box), box)
    sheet = Sheet([cells], [plane.title for plane in cells], legend=True)
    largest_first = sorted(labels.values(), key=lambda value: -int(labels.mask(value).sum()))  # small ones on top
    colours: dict[int, Colour] = dict(zip(largest_first, itertools.cycle(_LABEL_COLOURS), strict=False))
    colours = {value: labels.colours.get(value, colour) for value, colour in colours.items()}
    strong = _small_ones(labels) or labels.values()
    for plane, axes in sheet.panels():
        draw_image(axes, plane, plane.image(image), grey_window(image))
        if on_moving:
            subject.draw_labels(axes, plane, subject.moving_labels, MOVING_COLOUR, 2.4)
        for value, colour in colours.items():
            outline(axes, plane, plane.share(labels, value), colour, 1.3 if value in strong else 0.4)
        write_marks(axes, plane)
    named = [(labels.name_of(value), colour) for value, colour in list(colours.items())[:_MOST_NAMES]]
    if on_moving and subject.moving_labels:
        named.append((f"{_outlined_names(subject)}, moving image", MOVING_COLOUR))
    sheet.legend(named)
    return Picture(name.replace("_", "-"), _title(name, declared), _help(declared, "Outlines."), encoded(sheet.figure))


def _title(name: str, declared: Output | None) -> str:
    return declared.title if declared is not None else name.replace("_", " ").capitalize()


def _help(declared: Output | None, otherwise: str) -> str:
    return declared.help if declared is not None else otherwise


def curve_plot(name: str, curve: Curve, declared: Output | None = None) -> Picture:
    """Lines over a common x; a total that falls far is shown on a logarithmic scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 3.6), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    colours = ("#1d2733", "#0a7ea4", "#d1495b", "#edae49", "#66a182", "#8d6a9f")
    for (line, values), colour in zip(curve.values.items(), colours, strict=False):
        axes.plot(curve.x, values, label=line.replace("_", " "), color=colour, linewidth=2)
    if _falls_far(curve):
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylim(bottom=_LEAST_OF_CURVE * max(curve.values["total"]))
    elif min(map(min, curve.values.values()), default=-1) >= 0:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(curve.x_title, color=INK)
    axes.set_ylabel(curve.y_title, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    caption = _help(declared, "Over the run.")
    if "total" in curve.values:
        caption += " The total should fall and level out on every scale."
    return Picture(name.replace("_", "-"), _title(name, declared), caption, encoded(figure))


def _falls_far(curve: Curve) -> bool:
    """Whether the total would be flat for most of a linear axis."""
    total = np.asarray(curve.values.get("total", [0.0]), dtype=float)
    return bool(total.min() > 0 and total.max() > 4 * total.min())
