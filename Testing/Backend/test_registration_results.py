"""What a training gives, kept on disk; and that nobody registers by a training, or the other way round."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from regsuite import catalog, jobs, registration
from regsuite.errors import InputError
from regsuite.jobs import Job
from regsuite.learning.checkpoint import Checkpoint
from regsuite.registration import Curve, Table, Training
from regsuite.spatial import Grid, Image


def training() -> Training:
    weights = {"a.weight": torch.randn(3, 4), "a.steps": torch.tensor(12), "none": torch.zeros(0)}
    return Training(
        checkpoint=Checkpoint(weights, {"method": "atlas-encoder", "spacing": 0.1}),
        curves={"training": Curve([1.0, 2.0], {"embedding": [0.7, 0.4]}, "iteration", "loss")},
        tables={"validation": Table("Validation", ["figure", "value"], [["Top-5", 0.9], ["MAE", None]])},
        metrics={"mae": 1.5},
        notes=["Stopped early."],
        record={"seed": 3},
    )


class TestKept:
    def test_a_training_comes_back_as_it_was(self, tmp_path: Path) -> None:
        made = training()
        registration.save(made, tmp_path)
        read = registration.load(tmp_path)
        assert isinstance(read, Training)
        assert read.checkpoint.card == made.checkpoint.card
        assert list(read.checkpoint.weights) == list(made.checkpoint.weights)
        for name, value in made.checkpoint.weights.items():
            assert torch.equal(read.checkpoint.weights[name], value)
            assert read.checkpoint.weights[name].dtype == value.dtype
        assert (read.curves, read.tables, read.metrics) == (made.curves, made.tables, made.metrics)
        assert (read.notes, read.record) == (made.notes, made.record)


class TestRefused:
    def _inputs(self) -> dict[str, Image]:
        return {"moving": Image(torch.rand(1, 1, 4, 4, 4), Grid.regular((4, 4, 4), 1.0))}

    def test_a_training_is_not_run_as_a_registration(self) -> None:
        with pytest.raises(InputError, match="no registration") as told:
            jobs.run(Job("atlas-encoder", self._inputs()))
        assert catalog.method("atlas-encoder").title in str(told.value)

    @pytest.mark.parametrize("name", ["atlas-slice", "atlas-slice-mi", "lddmm"])
    def test_a_registration_is_not_run_as_a_training(self, name: str) -> None:
        with pytest.raises(InputError, match="no checkpoint") as told:
            jobs.train(Job(name, self._inputs()))
        assert catalog.method(name).title in str(told.value)
