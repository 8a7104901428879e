"""The encoder that every group of the atlas benchmark takes, and what its training costs."""

from __future__ import annotations

import os
from statistics import fmean
from typing import Any

from Benchmarks.common import Figures, Group, Measured
from Benchmarks.rows import Row, row, table
from Benchmarks.slice_volumes import AVERAGES, BRAIN, LABELS
from Benchmarks.workshop import Missing, Workshop, data_folder

GIVEN, MINUTES = "REGSUITE_ENCODER", "REGSUITE_TRAIN_MINUTES"
_QUICK, _ALL, _ON_GPU = 300, 1_000_000, 6000
"""Iterations: of the quick form, no limit of them, and on a GPU."""
_DEFAULT_MINUTES = 45.0
SEED = 7
"""Of the sections that are cut from brains."""


class Encoder:
    """Trained once, when it is first asked for, or given."""

    def __init__(self, workshop: Workshop, full: bool) -> None:
        self.workshop, self.full = workshop, full

    @property
    def folders(self) -> dict[str, str]:
        """Of the brains; Missing where one is not there."""
        return {name: str(data_folder(name)) for name in (LABELS, BRAIN, AVERAGES)}

    @property
    def file(self) -> str:
        """Where it lies; trains it where none was given."""
        given = os.environ.get(GIVEN)
        return os.path.abspath(given) if given else self.training()["file"]

    @property
    def title(self) -> str:
        """For people, with how much it was trained."""
        made = self.workshop.run("slice_trials:card", file=self.file)["training"]["made"]
        return f"{'given ' if os.environ.get(GIVEN) else ''}encoder of {made} iterations"

    def training(self) -> Figures:
        """What it took here; Missing where it was given."""
        if os.environ.get(GIVEN):
            raise Missing(f"The encoder was given by {GIVEN}: leave it away to train one.")
        return self._trained("encoder", self.parameters(), "cpu")

    def on_a_gpu(self) -> Figures:
        """The training on the first GPU; Missing where there is none."""
        parameters = {"iterations": _ON_GPU if self.full else _QUICK}
        return self._trained("encoder-gpu", parameters, "cuda")

    def parameters(self) -> dict[str, Any]:
        """Of the training."""
        if not self.full:
            return {"iterations": _QUICK}
        return {"iterations": _ALL, "minutes": float(os.environ.get(MINUTES) or _DEFAULT_MINUTES)}

    def _trained(self, name: str, parameters: dict[str, Any], device: str) -> Figures:
        file = str(self.workshop.folder / f"{name}.safetensors")
        given: dict[str, Any] = {"folders": self.folders, "parameters": parameters, "file": file, "device": device}
        return {**self.workshop.run("slice_trials:trained", **given), "file": file}


class Training(Measured):
    """Seconds, iterations, and how the encoder does on sections made of the atlas."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder.workshop, encoder.full)
        self.encoder = encoder
        self.lines: list[list[Any]] = []

    def groups(self) -> list[Group]:
        """On processors of any computer, and on a GPU where there is one."""
        return [
            ("training", "on the processor", lambda: self._rows(self.encoder.training())),
            ("training", "on a GPU", lambda: self._rows(self.encoder.on_a_gpu())),
            ("training", "unseen brains, by that training", lambda: self._unseen(self.encoder.training())),
        ]

    def _rows(self, found: Figures) -> list[Row]:
        data = f"on the {found['device']}, tried on sections made of the atlas"
        self.lines += [[found["device"], *line] for line in found["validation"]]
        columns = ["device", "sections", "count", "MAE", "Top-1", "Top-3", "Top-5", "depth error, mm"]
        self.workshop.tables["training"] = table(columns, self.lines)
        return [
            row("time of training, with trying the encoder", data, "s", found["seconds"]),
            row("iterations", data, "iterations", found["iterations"]),
            row("memory of training", data, "MiB", found["memory_mb"]),
            row("MAE by embeddings alone", data, "plates", found["mean_absolute_error"]),
            row("Top-3 by embeddings alone", data, "share", found["top_3"]),
            row("Top-5 by embeddings alone", data, "share", found["top_5"]),
            row("error of the depth the encoder says, median", data, "mm", found["depth_error_mm"]),
            row("Dice of the tissue taken out of what is around", data, "share", found["extraction_dice"]),
        ]

    def _unseen(self, found: Figures) -> list[Row]:
        """What the training came to on every sixth section of the brains it has not seen."""
        rows = []
        for kind in ("microscopy", "MRI"):
            given = {"folders": self.encoder.folders, "encoder": found["file"], "volume": kind, "skull": False}
            given |= {"oblique": False, "cut": "parallel", "every": 6, "seed": SEED}
            each = self.workshop.run("slice_trials:identified", **given)
            ranks = [one["belief"] for one in each]
            data = f"{kind}, {len(each)} sections, after {found['seconds'] / 60:.0f} minutes on the {found['device']}"
            rows += [
                row("Top-3 of the whole method", data, "share", fmean(rank < 3 for rank in ranks)),
                row("Top-5 of the whole method", data, "share", fmean(rank < 5 for rank in ranks)),
                row("MAE of the whole method", data, "plates", fmean(ranks)),
            ]
        return rows
