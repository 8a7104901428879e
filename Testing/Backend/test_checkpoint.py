"""Checkpoints: written whole or not at all, and read without executing anything."""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from regsuite.errors import InputError
from regsuite.learning.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from regsuite.networks.siamese import SliceEncoder
from safetensors.torch import save_file

CARD = {"method": "atlas-encoder", "axis": "coronal", "spacing": 0.1, "names": {"1": "Cortex"}, "loss": [0.5, None]}


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "a.weight": torch.randn(4, 3, generator=generator),
        "a.count": torch.tensor(7),
        "half": torch.randn(5, generator=generator).bfloat16(),
        "empty": torch.zeros(0, 2),
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "encoder.safetensors"
    write_checkpoint(path, Checkpoint(weights(), CARD))
    return path


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(value, other[name]) and value.dtype == other[name].dtype for name, value in one.items()
    )


class TestRoundTrip:
    def test_weights_and_card_are_kept(self, file: Path) -> None:
        read = read_checkpoint(file)
        assert same(dict(read.weights), weights())
        assert dict(read.card) == CARD

    def test_an_encoder_says_the_same_again(self, tmp_path: Path) -> None:
        torch.manual_seed(0)
        encoder, other = SliceEncoder().eval(), SliceEncoder().eval()
        write_checkpoint(tmp_path / "e.safetensors", Checkpoint(encoder.state_dict(), CARD))
        other.load_state_dict(dict(read_checkpoint(str(tmp_path / "e.safetensors")).weights))
        picture = torch.rand(1, 1, 72, 96)
        with torch.no_grad():
            assert all(torch.equal(*pair) for pair in zip(encoder(picture), other(picture), strict=True))

    def test_weights_may_be_views_need_gradients_or_share_memory(self, tmp_path: Path) -> None:
        whole = torch.randn(4, 3, requires_grad=True)
        views = {"turned": whole.T, "first": whole[:2], "whole": whole, "again": whole}
        write_checkpoint(tmp_path / "views.safetensors", Checkpoint(views, CARD))
        assert same(dict(read_checkpoint(tmp_path / "views.safetensors").weights), views)


class TestWriting:
    def test_replaces_what_was_there_and_leaves_nothing_else(self, file: Path) -> None:
        write_checkpoint(file, Checkpoint({"b": torch.ones(2)}, {**CARD, "axis": "sagittal"}))
        assert list(read_checkpoint(file).weights) == ["b"]
        assert os.listdir(file.parent) == [file.name]

    def test_what_fails_leaves_the_old_file(self, file: Path) -> None:
        old = file.read_bytes()
        with file_size(1000), pytest.raises(InputError, match="cannot be written") as told:
            write_checkpoint(file, Checkpoint({"large": torch.zeros(100_000)}, CARD))
        assert one_sentence(told.value)
        assert file.read_bytes() == old
        assert os.listdir(file.parent) == [file.name]

    def test_a_missing_folder_and_another_ending_are_told(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"folder .* does not exist"):
            write_checkpoint(tmp_path / "none" / "e.safetensors", Checkpoint(weights(), CARD))
        with pytest.raises(InputError, match=r"\.safetensors"):
            write_checkpoint(tmp_path / "e.pt", Checkpoint(weights(), CARD))
        assert not os.listdir(tmp_path)


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


class TestReading:
    def test_pickles_are_refused_unexecuted(self, tmp_path: Path) -> None:
        harm, plain, archive = (tmp_path / name for name in ("harm", "plain.safetensors", "torch.safetensors"))
        plain.write_bytes(pickle.dumps(Harmful(harm)))
        torch.save({"weights": Harmful(harm)}, archive)
        for path in (plain, archive):
            refused(path, "damaged or no safetensors file")
        assert not harm.exists()

    @pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
    def test_truncated_files_are_refused(self, file: Path, share: float) -> None:
        file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
        refused(file, "damaged or no safetensors file")

    @pytest.mark.parametrize("length", [2**63, 10**9, 3])
    def test_false_headers_are_refused(self, file: Path, length: int) -> None:
        file.write_bytes(struct.pack("<Q", length) + file.read_bytes()[8:])
        refused(file, "damaged or no safetensors file")

    @pytest.mark.parametrize(
        "metadata",
        [None, {"format": "pt"}, {"regsuite": "null"}, {"regsuite": "[1]"}, {"regsuite": json.dumps({"axis": "x"})}],
    )
    def test_weights_of_another_program_are_refused(self, tmp_path: Path, metadata: dict[str, str] | None) -> None:
        save_file(weights(), tmp_path / "other.safetensors", metadata=metadata)
        refused(tmp_path / "other.safetensors", "another program")

    @pytest.mark.parametrize("card", ["{not", "[" * 100_000])
    def test_damaged_cards_are_refused(self, tmp_path: Path, card: str) -> None:
        save_file(weights(), tmp_path / "card.safetensors", metadata={"regsuite": card})
        refused(tmp_path / "card.safetensors", "damaged")

    def test_missing_files_and_folders_are_told(self, tmp_path: Path) -> None:
        refused(tmp_path / "none.safetensors", "does not exist")
        refused(tmp_path, "is a folder")


def refused(path: Path, text: str) -> None:
    with pytest.raises(InputError, match=text) as told:
        read_checkpoint(path)
    assert one_sentence(told.value)


def one_sentence(error: InputError) -> bool:
    text = str(error)
    return text.endswith(".") and "\n" not in text and ". " not in text


@contextmanager
def file_size(limit: int) -> Iterator[None]:
    """As if the disk were full after that many bytes of a file."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
