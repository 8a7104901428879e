"""Sums over all places of what is worked out from several fields, a slab at a time, so that little memory is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

_PLACES = 1 << 16
"""About how many places are worked on at once: what they need then stays in a processor's cache."""


def slabs(fields: Tensor, beyond: int = 0) -> Iterator[tuple[slice, slice]]:
    """Parts of ``fields`` (C, n, ...) along its second axis: the rows, and the same with those ``beyond`` either end.

    The rows count from the first that is not beyond the end.
    """
    count = fields.shape[1] - 2 * beyond
    thick = max(1, _PLACES * count // fields[0].numel())
    for start in range(0, count, thick):
        stop = min(start + thick, count)
        yield slice(start, stop), slice(start, stop + 2 * beyond)


def slab_sum(fields: Tensor, value: Callable[[Tensor, slice], Tensor], beyond: int = 0) -> Tensor:
    """The sum of ``value(part, rows)`` over the slabs; ``part`` has the rows and those ``beyond`` either end.

    fields: (C, n, ...). The gradient is taken slab by slab on the way, so it can be taken once only.
    """
    total: Tensor = _SlabSum.apply(fields, value, beyond)
    return total


class _SlabSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, fields: Tensor, value: Callable[[Tensor, slice], Tensor], beyond: int) -> Tensor:
        if not ctx.needs_input_grad[0]:
            parts = (value(fields[:, around], rows) for rows, around in slabs(fields, beyond))
            return sum(parts, fields.new_zeros(()))
        total, gradient = fields.new_zeros(()), torch.zeros_like(fields)
        for rows, around in slabs(fields, beyond):
            with torch.enable_grad():
                part = fields[:, around].detach().requires_grad_()
                of_part = value(part, rows)
            gradient[:, around] += torch.autograd.grad(of_part, part)[0]
            total += of_part.detach()
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.saved_tensors[0] * gradients[0], None, None
