"""Weights of other programs: read as plain tensors, and nothing else."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from regsuite.errors import InputError
from regsuite.learning.weights import read_weights
from safetensors.torch import save_file


def weights() -> dict[str, torch.Tensor]:
    return {"conv1.weight": torch.arange(6.0).reshape(2, 3), "bn1.bias": torch.ones(2)}


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "old.pt"])
def test_tensors_are_read_by_their_names(tmp_path: Path, name: str) -> None:
    if name == "w.safetensors":
        save_file(weights(), tmp_path / name)
    else:
        torch.save(OrderedDict(weights()), tmp_path / name, _use_new_zipfile_serialization=name == "w.pth")
    read = read_weights(tmp_path / name)
    assert read.card == {"file": name}
    assert read.weights.keys() == weights().keys()
    assert all(torch.equal(read.weights[key], value) for key, value in weights().items())


def test_code_is_not_executed(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Harmful(tmp_path / "harm")}, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", "holds more than plain tensors")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [{}, {"state": weights()}, [1.0], {"a": 1}, {1: torch.ones(1)}])
def test_what_is_no_state_dict_is_told(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", "give a state_dict")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_damaged_files_are_refused(tmp_path: Path, name: str, share: float) -> None:
    (save_file if name == "w.safetensors" else torch.save)(weights(), tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    refused(tmp_path / name, "damaged")


@pytest.mark.parametrize("text", ["", "no weights at all", "<html></html>"])
def test_another_file_of_that_name_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "w.pth").write_text(text)
    refused(tmp_path / "w.pth", "damaged")


def test_another_ending_and_no_file_are_told(tmp_path: Path) -> None:
    (tmp_path / "w.onnx").touch()
    refused(tmp_path / "w.onnx", r"use one of \.safetensors, \.pth, \.pt")
    refused(tmp_path / "none.pth", "does not exist")


def refused(path: Path, text: str) -> None:
    with pytest.raises(InputError, match=text) as told:
        read_weights(path)
    assert str(told.value).endswith(".")
    assert "\n" not in str(told.value)
    assert ". " not in str(told.value)
