"""Labels of a set of single slices: a stack in their order, or a file for each slice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from regsuite.errors import InputError
from regsuite.io.images import read_labels, stem
from regsuite.spatial import Grid, LabelImage


def read_slice_labels(paths: Sequence[Path | str]) -> LabelImage:
    """One file as it is; several, of one slice each, as a stack in their order. InputError where they make none."""
    parts = [read_labels(path) for path in paths]
    return parts[0] if len(parts) == 1 else stacked_labels(parts, [stem(path) for path in paths])


def stacked_labels(parts: Sequence[LabelImage], titles: Sequence[str]) -> LabelImage:
    """Labels of one slice each, 2D or 3D, as a stack (K, H, W); labels of one name get one value.

    titles: what to call each. InputError where one is no single slice, or they differ in size.
    """
    layers = [_layer(part, title) for part, title in zip(parts, titles, strict=True)]
    for layer, title in zip(layers, titles, strict=True):
        if layer.shape != layers[0].shape:
            sizes = [" × ".join(map(str, reversed(each.shape))) for each in (layers[0], layer)]
            raise InputError(
                f"The labels '{titles[0]}' and '{title}' are of {sizes[0]} and {sizes[1]} pixels: give those of the "
                "same slices."
            )
    values: dict[str, int] = {}
    colours: dict[int, tuple[float, float, float]] = {}
    stack = np.zeros((len(layers), *layers[0].shape), np.int32)
    for row, (part, layer) in enumerate(zip(parts, layers, strict=True)):
        for own in part.values():
            taken = values.values()
            value = values.setdefault(part.name_of(own), own if own not in taken else max(taken) + 1)
            stack[row][layer == own] = value
            if own in part.colours:
                colours.setdefault(value, part.colours[own])
    first = parts[0].grid
    in_plane = [step for step, count in zip(first.spacing, first.shape, strict=True) if first.dim == 2 or count > 1]
    names = {value: name for name, value in values.items() if name != str(value)}
    return LabelImage.from_array(stack, Grid.regular(stack.shape, (1.0, *in_plane)), names, colours)


def _layer(part: LabelImage, title: str) -> np.ndarray:
    """(H, W) int32."""
    array = part.array()
    if array.ndim == 2:
        return array
    if 1 not in array.shape:
        sizes = " × ".join(map(str, reversed(array.shape)))
        raise InputError(
            f"The labels '{title}' are of {sizes} voxels, and a single slice is needed where several are given: give "
            "one stack, or a slice each."
        )
    return array.take(0, axis=array.shape.index(1))
