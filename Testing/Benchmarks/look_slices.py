"""Pictures for people: the outlines of regions on a section."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from regsuite.pictures.picture import encoded
from regsuite.spatial import Image, LabelImage

_COLOUR = (0.0, 0.9, 0.2)
_BRIGHT = 99.7


def outlined(section: Image, regions: Mapping[str, LabelImage], file: str) -> None:
    """The section as it is, and with the borders of each of ``regions``, by their titles."""
    picture = _picture(section)
    figure = Figure((6.0 * (1 + len(regions)), 6.0 * picture.shape[0] / picture.shape[1] + 0.4), layout="constrained")
    pictures = [(section.name, picture)] + [
        (title, _with_borders(picture, labels.array()[0])) for title, labels in regions.items()
    ]
    for axes, (title, shown) in zip(figure.subplots(1, len(pictures), squeeze=False)[0], pictures, strict=True):
        axes.imshow(shown)
        axes.set_title(title)
        axes.axis("off")
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_bytes(encoded(figure))


def _picture(section: Image) -> np.ndarray:
    """(H, W, 3), 0 to 1: colours, or the first channel in grey."""
    values = section.data[0, :, 0].movedim(0, -1).float().numpy()
    values = values if values.shape[-1] == 3 else values[..., :1].repeat(3, axis=-1)
    return np.clip(values / np.percentile(values, _BRIGHT), 0, 1)


def _with_borders(picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
    border = np.zeros(labels.shape, dtype=bool)
    border[1:] |= labels[1:] != labels[:-1]
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    drawn = picture.copy()
    drawn[border] = _COLOUR
    return drawn
