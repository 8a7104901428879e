"""Weights of networks that were trained elsewhere, as torchvision publishes them; no code in a file is executed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regsuite.errors import InputError
from regsuite.io.files import ending, existing_file
from regsuite.learning.checkpoint import Checkpoint

_SAFE, _PICKLED = ".safetensors", (".pth", ".pt")


def read_weights(path: Path | str) -> Checkpoint:
    """Tensors by their names, of a .safetensors file or of one that ``torch.save`` wrote; the card has the file's name.

    InputError where the file is missing, damaged, or holds something else.
    """
    file = existing_file(path, "file of weights")
    read = _read_safe if ending(path, (_SAFE, *_PICKLED), "weights") == _SAFE else _read_pickled
    weights = read(file)
    if not isinstance(weights, dict) or not weights or not all(map(_is_named_tensor, weights.items())):
        raise InputError(
            f"'{path}' does not hold the weights of a network, tensors by their names: give a state_dict, as "
            "torchvision publishes them."
        )
    return Checkpoint(weights, {"file": file.name})


def _is_named_tensor(item: tuple[Any, Any]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def _read_safe(file: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, ValueError, OSError, RecursionError):
        raise _unreadable(file) from None


def _read_pickled(file: Path) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError):
        raise _unreadable(file) from None


def _unreadable(file: Path) -> InputError:
    return InputError(
        f"The weights '{file}' cannot be read, the file is damaged or holds more than plain tensors: get it again."
    )
