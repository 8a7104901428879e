"""Organs' surfaces from two sides: before, after, and how far each point is from the organ it is to meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regsuite.pictures.picture import Picture, encoded
from regsuite.registration import Registration
from regsuite.spatial import Surface
from regsuite.spatial.meshes import bare_points
from regsuite.wording import DISTANCE, ORGAN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDES = {"from the front": (0, 2, 1), "from the left": (1, 2, 0)}
"""World axes to the right and up in the picture, and towards the viewer, whose signs are below."""
_SIGNS = {"from the front": (-1, 1, 1), "from the left": (-1, 1, -1)}
_LIGHT = np.array([0.3, 0.5, 0.8]) / np.linalg.norm([0.3, 0.5, 0.8])
_TARGET_ALPHA, _DOT = 0.12, 2.0
_GREY = np.array([0.35, 0.4, 0.45])
_COLUMNS = ("Before", "After", "After: distance, mm")


def organs_picture(registration: Registration) -> Picture | None:
    """Nothing where the registration has no surfaces in 3D."""
    surfaces = registration.surfaces
    if not {"organs_before", "organs_after", "organs_target"} <= surfaces.keys() or surfaces["organs_after"].dim != 3:
        return None
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    distance = surfaces["organs_after"].values[DISTANCE].numpy()
    scale = Normalize(0.0, max(float(np.percentile(distance, 95)), 1e-3))
    shown = [surfaces["organs_before"], surfaces["organs_after"], surfaces["organs_after"]]
    colours = [each.values[ORGAN].numpy() for each in shown[:2]]
    colours.append(colormaps["OrRd"](scale(distance))[:, :3])
    figure = Figure(figsize=(10.5, 7.2), layout="constrained")
    axes = figure.subplots(len(SIDES), len(shown), sharex="row", sharey="row", squeeze=False)
    for row, side in zip(axes, SIDES, strict=True):
        for axis, surface, colour, title in zip(row, shown, colours, _COLUMNS, strict=True):
            draw_surface(axis, surfaces["organs_target"], side, None)
            draw_surface(axis, surface, side, colour)
            axis.set_aspect("equal")
            axis.axis("off")
            axis.set_title(f"{title}, {side}" if axis is row[0] else title, fontsize=10)
    figure.colorbar(ScalarMappable(scale, "OrRd"), ax=axes[:, -1], shrink=0.6)
    caption = (
        "The moving organs in their colours, and in grey those they are to meet; on the right how far each point is "
        "from them, dark from the 95th percentile on. Points without a surface lie over the others. "
        "From the front the patient's right is on the left."
    )
    return Picture("organs", "Organs before and after", caption, encoded(figure))


def seen_from(points: np.ndarray, side: str) -> np.ndarray:
    """(..., 3): right, up and towards the viewer, of points (..., 3) RAS mm."""
    return points[..., list(SIDES[side])] * _SIGNS[side]


def draw_surface(axes: Axes, surface: Surface, side: str, colours: np.ndarray | None) -> None:
    """Triangles, far ones first, and dots over them; of the target, which has no colours, a shade."""
    from matplotlib.collections import PolyCollection

    x = seen_from(surface.points.numpy(), side)
    dots = bare_points(surface)
    if len(dots):
        dots = dots[np.argsort(x[dots, 2])]
        shade: Any = [*_GREY, 0.4] if colours is None else colours[dots]
        axes.scatter(x[dots, 0], x[dots, 1], s=_DOT, color=shade, linewidths=0, zorder=2)
    corners = x[surface.triangles.numpy()]
    order = np.argsort(corners[..., 2].mean(axis=1))
    corners = corners[order]
    if colours is None:
        faces = np.tile([*_GREY, _TARGET_ALPHA], (len(corners), 1))
    else:
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)
        faces = (
            colours[surface.triangles.numpy()].mean(axis=1)[order] * (0.55 + 0.45 * np.abs(normals @ _LIGHT))[:, None]
        )
    axes.add_collection(PolyCollection(list(corners[..., :2]), facecolors=faces, edgecolors="none"))
    axes.autoscale_view()
