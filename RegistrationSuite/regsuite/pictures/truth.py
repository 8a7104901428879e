"""How far a transform is from a known deformation, as a picture."""

from __future__ import annotations

import numpy as np
import torch

from regsuite.pictures.draw import Subject
from regsuite.pictures.picture import Picture, encoded
from regsuite.pictures.planes import quantiles
from regsuite.pictures.sheet import Sheet, draw_image, write_marks
from regsuite.spatial import Image, LabelImage
from regsuite.transforms import Transform, identity

_COLOURS = "magma"


def error_map(subject: Subject, truth: Transform, valid: LabelImage) -> Picture:
    """|T(x) - truth(x)| in mm before (T the identity) and after registration, on one scale, where ``valid`` is set."""
    planes, inside = subject.planes, valid.mask()
    errors = [_error(each, truth, valid) for each in (identity(truth.dim), subject.registration.transform)]
    known = [error.data[0, 0][inside] for error in errors]
    reach = max(quantiles(known[0], 0.99)[0], 1e-6)
    titles = [
        f"{when}, mean {float(each.mean()):.2f} mm" for when, each in zip(("Before", "After"), known, strict=True)
    ]
    if len(planes) > 1:
        sheet = Sheet([planes, planes], [plane.title for plane in planes], titles, bar=True)
    else:
        sheet = Sheet([planes * 2], titles, bar=True)
    for number, (plane, axes) in enumerate(sheet.panels()):
        values = np.ma.array(plane.image(errors[number // len(planes)]), mask=plane.share(valid) < 0.5)
        draw_image(axes, plane, values, (0, reach), cmap=_COLOURS)
        subject.draw_labels(axes, plane, subject.fixed_labels, "white", 0.8)
        write_marks(axes, plane)
    sheet.colour_bar(_COLOURS, (0, reach), "distance from the true deformation (mm)")
    caption = (
        "Distance between where the transform and the true deformation take each point, outside the tumour, "
        "on the same scale before and after. Bright is wrong."
    )
    return Picture("true-error", "Error to the true deformation", caption, encoded(sheet.figure))


def _error(transform: Transform, truth: Transform, valid: LabelImage) -> Image:
    x = valid.grid.points(torch.float64)
    distance = (transform.points(x) - truth.points(x)).norm(dim=-1)
    return Image(distance.float()[None, None], valid.grid)
