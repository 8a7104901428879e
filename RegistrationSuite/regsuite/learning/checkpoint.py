"""What was learned, in a file that holds no code: tensors, and a card that says what they are.

The file is a safetensors file (https://github.com/huggingface/safetensors), the card JSON in its metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from regsuite.errors import InputError
from regsuite.io.files import ending, existing_file, replacing

ENDING = ".safetensors"
_CARD = "regsuite"


@dataclass(frozen=True)
class Checkpoint:
    """weights: tensors by name; card: plain values, with the method that was trained under ``method``."""

    weights: Mapping[str, Tensor]
    card: Mapping[str, Any]


def write_checkpoint(path: Path | str, checkpoint: Checkpoint) -> None:
    """One .safetensors file, whole or not at all. InputError where it cannot be written."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    ending(path, (ENDING,), "a checkpoint")
    # Copies, since the format refuses tensors that share their memory.
    weights = {name: value.detach().cpu().clone().contiguous() for name, value in checkpoint.weights.items()}
    metadata = {_CARD: json.dumps(dict(checkpoint.card))}
    with replacing(path) as draft:
        try:
            save_file(weights, draft, metadata=metadata)
        except SafetensorError as error:
            raise RuntimeError("the file could not be written") from error  # replacing() tells the user


def read_checkpoint(path: Path | str) -> Checkpoint:
    """What :func:`write_checkpoint` wrote; nothing in the file is executed. InputError where it is something else."""
    from safetensors import SafetensorError, safe_open

    file = existing_file(path, "checkpoint")
    try:
        with safe_open(file, framework="pt") as opened:
            card = json.loads((opened.metadata() or {}).get(_CARD, "null"))
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  not a mapping
    except (SafetensorError, ValueError, OSError, RecursionError):
        raise InputError(
            f"The checkpoint '{path}' cannot be read, it is damaged or no safetensors file: train or get it again."
        ) from None
    if not isinstance(card, dict) or "method" not in card:
        raise InputError(f"'{path}' holds weights of another program: give a checkpoint that was trained here.")
    return Checkpoint(weights, card)
