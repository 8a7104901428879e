"""The parts of the benchmark of sections in an atlas that could be wrong quietly, on volumes made by hand."""

from __future__ import annotations

import re
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from regsuite.spatial import Grid, Image
from regsuite.spatial.plates import Plates, plates_of

TESTING = Path(__file__).resolve().parents[1]
PAGE = TESTING.parent / "Docs" / "methods" / "figures-atlas-slice.md"
sys.path.insert(0, str(TESTING))

from Benchmarks import atlas_slice, run, slice_files, slice_identification, slice_sections  # noqa: E402
from Benchmarks.slice_encoder import Encoder  # noqa: E402
from Benchmarks.slice_identification import MICROSCOPY, Identification, Oblique  # noqa: E402
from Benchmarks.slice_volumes import Brains, cuts  # noqa: E402
from Benchmarks.workshop import Missing, Workshop  # noqa: E402

TABLES = {"training", "identification", "confidence", "oblique", "anchored sections", "series"}


class MadeBrains(Brains):
    """An ellipsoid in empty space, brighter towards the front; plates as far apart as those of the mouse."""

    @cached_property
    def grid(self) -> Grid:
        return Grid.from_affine((114, 132, 80), np.diag([0.1, 0.1, 0.1, 1.0]))

    @cached_property
    def plates(self) -> Plates:
        return plates_of(self.grid, "coronal")

    def volume(self, name: str) -> Image:
        shown = self.brain().array() + 0.1 * self.grid.points().numpy()[..., 1] + 1
        return Image.from_array(shown.astype(np.float32), self.grid)

    def brain(self) -> Image:
        away = (self.grid.points().numpy() - self.grid.centre) / np.array([4.5, 7.5, 3.0])
        return Image.from_array((np.linalg.norm(away, axis=-1) < 1).astype(np.float32), self.grid)


class Answers(Workshop):
    """Gives figures of sections that are set here."""

    def run(self, function: str, **arguments: Any) -> Any:
        if function == "slice_trials:card":
            return {"training": {"made": 300}}
        if function == "slice_trials:by_information":
            given = {"plates_off": 4, "seconds": 30.0, "memory_mb": 90.0}
            return [given | {"plate": n, "partial": n % 2 == 0, "information": 3 * n} for n in range(4)]
        seconds = {f"seconds_{step}": 0.5 for step in ("preparing", "identifying", "slicing")}
        common = {"angles_off": [1.0, 3.0], "embedding": 2, "memory_mb": 60.0, **seconds}
        return [
            {"plate": n, "partial": n % 2 == 0, "belief": n, "plates_off": float(n), "confidence": 0.3 * n, **common}
            for n in range(4)
        ]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Data and an encoder, as far as anybody looks."""
    for name in ("mouse_atlas_allen_labels", "mouse_brain3d_brainreg", "mouse_brain_ccf_dsurqe_200um"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("REGSUITE_DATA", str(tmp_path))
    monkeypatch.setenv("REGSUITE_ENCODER", str(tmp_path / "encoder.safetensors"))


@pytest.mark.parametrize("full", [False, True])
def test_groups_are_well_formed(full: bool) -> None:
    with Workshop() as workshop:
        groups = atlas_slice.groups(workshop, full)
    names = [f"{claim}, {data}" for claim, data, _ in groups]
    assert len(set(names)) == len(names)
    assert {claim for claim, _, _ in groups} == {
        "training", "identification", "confidence", "oblique", "histology", "large file",
    }  # fmt: skip
    assert all(callable(measure) for _, _, measure in groups)


def test_missing_data_are_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REGSUITE_DATA", str(tmp_path))
    monkeypatch.delenv("REGSUITE_ENCODER", raising=False)
    with Workshop() as workshop:
        rows = run.collected(atlas_slice.groups(workshop, False))
    assert all("There is no data set" in row["skipped"] for row in rows)


@pytest.mark.usefixtures("given")
def test_a_given_encoder_is_said_to_be_given() -> None:
    with Answers() as workshop:
        encoder = Encoder(workshop, full=False)
        assert encoder.title == "given encoder of 300 iterations"
        with pytest.raises(Missing, match="REGSUITE_ENCODER"):
            encoder.training()


@pytest.mark.usefixtures("given")
def test_rows_of_identification() -> None:
    with Answers() as workshop:
        part = Identification(Encoder(workshop, full=False))
        rows = {row["claim"]: row for row in [*part.ours(MICROSCOPY), *part.confidence()]}
        beside = {row["claim"]: row for row in part.beside_information(MICROSCOPY)}
        tables = workshop.tables
    assert rows["MAE, embeddings alone"]["ours"] == 2
    assert rows["Top-3, embeddings alone"]["met"] is True
    assert rows["MAE, the whole method, any cut"]["ours"] == 1.5
    assert rows["Top-3, the whole method, cut parallel"]["ours"] == 0.75
    assert rows["mean confidence"]["ours"] == pytest.approx(0.45)
    assert rows["mean confidence"]["peer_value"] == 0.75
    assert (beside["MAE, the whole method"]["peer_value"], beside["MAE, the whole method"]["met"]) == (4.5, True)
    assert beside["how much faster a section is identified"]["ours"] == 60
    assert [line[1:3] for line in tables["identification"]["rows"][:3]] == [["all", 4], ["whole", 2], ["partial", 2]]
    assert [line[1] for line in tables["confidence"]["rows"]] == [3, 3, 0, 3, 3]


@pytest.mark.usefixtures("given")
def test_rows_of_oblique_sections() -> None:
    with Answers() as workshop:
        rows = Oblique(Encoder(workshop, full=False)).measured(MICROSCOPY)
    assert [row["ours"] for row in rows] == [2.0, 1.5, 0.75]


def test_sections_are_what_they_are_said_to_be() -> None:
    """At their plates, where half of them lack as much tissue as they should, and the same every time."""
    brains = MadeBrains({})
    made = list(cuts(brains, "microscopy", False, False, 20, 1))
    again = list(cuts(brains, "microscopy", False, False, 20, 1))
    assert [each.plate for each in made] == [19, 39, 59, 79, 99, 119]
    assert [each.partial for each in made] == [True, False] * 3
    for one, other in zip(made, again, strict=True):
        assert torch.equal(one.image.data, other.image.data)
        assert brains.plates.number(float(one.pose[0])) == pytest.approx(one.plate, abs=1e-4)
        assert one.pose[1:3].tolist() == [0, 0]
    wholes = [float((each.image.data > 0).sum()) for each in made]
    for partial, whole in ((wholes[2], wholes[3]), (wholes[4], wholes[3])):
        assert partial < whole
    tilted = list(cuts(brains, "microscopy", True, True, 40, 1))
    assert all(0 < float(each.pose[1:3].abs().max()) <= np.deg2rad(15) for each in tilted)


def test_order_of_depths() -> None:
    even = slice_sections._order([4, 6, 8], [3.0, 2.0, 1.0])
    assert even["in_order"] == 1
    assert even["uneven_mm"] == pytest.approx(0, abs=1e-9)
    assert slice_sections._order([1, 2, 3, 4], [0.0, 1.0, 0.5, 2.0])["in_order"] == pytest.approx(2 / 3)


def test_tiles_make_the_whole_section() -> None:
    made = MadeBrains({})
    made.__dict__["template"] = made.volume("microscopy")
    tiles = slice_files._tiles(made)
    first = next(tiles)
    assert (first.shape, first.dtype) == ((512, 512), np.uint8)
    assert sum(1 for _ in tiles) + 1 == 50 * 40


def test_every_table_has_its_place_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- table: ([\w ]+) -->", text)) == TABLES
    assert "<!-- figures -->" in text
    assert slice_identification.KINDS[0] == MICROSCOPY
