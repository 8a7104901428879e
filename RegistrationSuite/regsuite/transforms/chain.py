"""Transforms one after the other, composed lazily: an image is resampled once, through all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regsuite.transforms.affine import Affine
from regsuite.transforms.base import Transform


class Chain(Transform):
    """``parts`` in the order they are applied: T(x) = parts[-1](... parts[0](x))."""

    def __init__(self, parts: Sequence[Transform]) -> None:
        if not parts or len({part.dim for part in parts}) != 1:
            raise ValueError("a chain holds transforms of one dimension")
        self.parts = tuple(parts)

    @property
    def dim(self) -> int:
        return self.parts[0].dim

    def points(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part.points(x)
        return x

    def inverse(self) -> Transform:
        return Chain([part.inverse() for part in reversed(self.parts)])

    def to(self, device: str | torch.device) -> Chain:
        return Chain([part.to(device) for part in self.parts])


def chain(*transforms: Transform) -> Transform:
    """The transforms in the order they are applied, chains flattened and neighbouring affines multiplied."""
    parts: list[Transform] = []
    for transform in transforms:
        for part in transform.parts if isinstance(transform, Chain) else (transform,):
            last = parts[-1] if parts else None
            if isinstance(part, Affine) and isinstance(last, Affine):
                parts[-1] = Affine(part.matrix.to(last.matrix.device) @ last.matrix)
            else:
                parts.append(part)
    return parts[0] if len(parts) == 1 else Chain(parts)
