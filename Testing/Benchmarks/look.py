"""Pictures for people: what every way made of a pair, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from regsuite.pictures.draw import grey_window
from regsuite.pictures.picture import encoded
from regsuite.pictures.planes import head_box, lesion_centre, planes
from regsuite.pictures.sheet import LESION_COLOUR, Sheet, draw_image, outline
from regsuite.spatial import Image

from Benchmarks.cases import kept

_SHORT = {
    "weighted metamorphosis, ": "",
    "cost-function ": "",
    "SimpleITK diffeomorphic ": "",
    ", lesion left out": "",
    "initial alignment alone": "aligned",
}


def overview(case: str, images: dict[str, str], file: str) -> None:
    """The fixed image and every deformed one, by title from an array in a file, with the lesion's outline."""
    given = kept(case).case
    grid, box = given.fixed.grid, head_box(given.fixed)
    rows = planes(grid, lesion_centre(given.mask, box), box)
    shown = {"fixed": given.fixed, "moving": given.moving.resampled(grid, outside="zeros")}
    shown |= {_short(title): Image.from_array(np.load(path), grid) for title, path in images.items()}
    if "aligned" in shown:
        del shown["moving"]  # it lies elsewhere
    sheet = Sheet([[plane] * len(shown) for plane in rows], list(shown))
    for column, (title, image) in enumerate(shown.items()):
        window = grey_window(given.fixed if title == "fixed" else given.moving)
        for plane, axes in sheet.column(column):
            draw_image(axes, plane, plane.image(image), window)
            if given.mask is not None:
                outline(axes, plane, plane.share(given.mask), LESION_COLOUR, 0.8)
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_bytes(encoded(sheet.figure))


def _short(title: str) -> str:
    """A title that fits above a narrow picture."""
    for long, short in _SHORT.items():
        title = title.replace(long, short)
    return title
