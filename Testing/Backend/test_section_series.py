"""A series of sections is placed in order, and what is doubtful of it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from regsuite import io, jobs, results
from regsuite.io import sections
from regsuite.io.anchoring import matrix_of
from regsuite.jobs import Job
from regsuite.methods.sections import series
from regsuite.phantoms.atlas import section_of
from regsuite.registration import Series
from regsuite.spatial import SectionSet
from section_samples import Seeing, brain, nothing_learned, pose_of, seeing

DEPTHS = {2: -2.0, 5: -0.5, 10: 2.0}


def placed(monkeypatch: pytest.MonkeyPatch, knows: Seeing, **values: Any) -> Series:
    case = brain()
    monkeypatch.setattr(series, "encoder_of", lambda *_: (knows, []))
    parts = [replace(section_of(case, pose_of(depth=depth)), name=f"s{number}") for number, depth in DEPTHS.items()]
    inputs: Mapping[str, Any] = {
        "sections": SectionSet(parts, list(DEPTHS)),
        "moving": case.template,
        "moving_labels": case.labels,
        "encoder": nothing_learned(),
    }
    return jobs.run_series(Job("atlas-series", inputs, {"deformation": "none", **values}, device="cpu"))


def test_one_file_holds_all_that_are_anchored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As QuickNII opens it: every picture by its file's name, at its full size and with its number, in their order."""
    case, knows = brain(), seeing()
    monkeypatch.setattr(series, "encoder_of", lambda *_: (knows, []))
    monkeypatch.setattr(sections, "LONGEST", 320)  # so that it does not take long
    (tmp_path / "slides").mkdir()
    for number, depth in DEPTHS.items():
        shown = section_of(case, pose_of(depth=depth)).array()[0]
        fine = np.kron((255 * shown / shown.max()).astype(np.uint8), np.ones((13, 13), np.uint8))
        sitk.WriteImage(sitk.GetImageFromArray(fine), tmp_path / "slides" / f"m_s{number}.png")
    inputs = {
        "sections": str(tmp_path / "slides"),
        "moving": case.template,
        "moving_labels": case.labels,
        "encoder": nothing_learned(),
    }
    job = Job("atlas-series", inputs, {"deformation": "none", "cut": "parallel", "pixel": 80 / 13}, device="cpu")
    found = jobs.run_series(job)
    assert found.record["inputs"]["sections"]["sections"]["m_s5"]["path"] == str(tmp_path / "slides" / "m_s5.png")
    monkeypatch.setattr(results, "_write_page", lambda *_: {})
    out = tmp_path / "out"
    out.mkdir()
    files = results.write(found, out, jobs.read_inputs(job))
    assert files["anchoring"] == "anchoring.json"
    whole = io.read_series(out / "anchoring.json")
    assert [(each.filename, each.number) for each in whole.sections] == [(f"m_s{n}.png", n) for n in DEPTHS]
    assert {(each.width, each.height) for each in whole.sections} == {(160 * 13, 120 * 13)}
    alone = [io.read_series(out / f"m_s{number}" / "anchoring.json") for number in DEPTHS]
    assert [each.sections[0] for each in alone] == list(whole.sections)
    assert (whole.target, whole.resolution) == (alone[0].target, alone[0].resolution)
    for each, depth in zip(whole.sections, DEPTHS.values(), strict=True):
        matrix = matrix_of(each, (1.0, 1.0), case.template.grid)
        assert matrix[1, 3] == pytest.approx(-depth, abs=0.1)  # plates follow each other to the back
    assert not list(out.rglob("regions.ome.tif"))


@pytest.mark.parametrize("order", ["names", "unknown"])
def test_every_section_lies_where_it_was_cut(monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    found = placed(monkeypatch, seeing(), order=order, cut="parallel")
    assert list(found.parts) == ["s2", "s5", "s10"]
    for part, depth in zip(found.parts.values(), DEPTHS.values(), strict=True):
        assert part.metrics["depth_mm"] == pytest.approx(depth, abs=0.1)
    assert [row[0] for row in found.tables["series"].rows] == ["s2", "s5", "s10"]
    assert not found.notes


def test_what_is_doubtful_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    unsure = replace(seeing(), sureness=torch.tensor([-3.0, *[0.0] * 6, *[1.0] * 3]))
    found = placed(monkeypatch, unsure, cut="parallel")
    assert found.notes == ["The plates of these sections are doubtful, check them: s2, s5, s10."]
