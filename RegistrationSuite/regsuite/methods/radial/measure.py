"""What each map measures in each of the volume's regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from regsuite.registration import Table
from regsuite.spatial import Image, LabelImage

_COLUMNS = ["region", "label", "map", "unit", "pixels", "area mm²", "mean", "SD", "median", "5 %", "95 %", "left out"]


def region_table(maps: Mapping[str, Sequence[Image]], units: Mapping[str, str], regions: Sequence[LabelImage]) -> Table:
    """A row a region and map, over all slices: values as they were acquired.

    maps: K placed slices each; regions: of each slice, on its grid. Left out are pixels without a value: missing ones,
    and zero or less, which no relaxation time is.
    """
    names = {value: regions[0].name_of(value) for value in sorted({v for each in regions for v in each.values()})}
    rows: list[list[Any]] = []
    for value, name in names.items():
        inside = [each.mask(value).cpu().numpy() for each in regions]
        for title, images in maps.items():
            found = np.concatenate([image.array()[mask] for image, mask in zip(images, inside, strict=True)])
            rows.append([name, value, title, units.get(title, ""), *_numbers(found, _pixel(images[0]))])
    return Table("Regions", _COLUMNS, rows)


def _pixel(image: Image) -> float:
    return float(np.prod(image.grid.spacing[1:]))


def _numbers(found: np.ndarray, pixel: float) -> list[Any]:
    good = found[np.isfinite(found) & (found > 0)]
    count = [len(good), len(good) * pixel]
    if not len(good):
        return [*count, None, None, None, None, None, len(found)]
    low, median, high = np.percentile(good, [5, 50, 95])
    return [*count, *(float(each) for each in (good.mean(), good.std(), median, low, high)), len(found) - len(good)]
