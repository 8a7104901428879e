"""Rigid motions by their six numbers."""

from __future__ import annotations

import torch
from torch import Tensor


def rigid_moves(numbers: Tensor, frame: Tensor) -> Tensor:
    """(*any, 4, 4) of numbers (*any, 6): a turn (rad, a vector along its axis), then a shift (mm), about the origin and
    along the directions of ``frame`` (4, 4). Differentiable in the numbers.
    """
    moves = torch.zeros(*numbers.shape[:-1], 4, 4, dtype=numbers.dtype, device=numbers.device)
    moves[..., :3, :3] = torch.linalg.matrix_exp(cross_matrices(numbers[..., :3]))
    moves[..., :3, 3] = numbers[..., 3:]
    moves[..., 3, 3] = 1
    frame = frame.to(numbers)
    return frame @ moves @ torch.linalg.inv(frame)


def cross_matrices(vectors: Tensor) -> Tensor:
    """(*any, 3, 3): whose product with a vector is the cross product of ``vectors`` (*any, 3) with it."""
    x, y, z = vectors.unbind(dim=-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*vectors.shape[:-1], 3, 3)
