"""A series of sections is placed in order, and what is doubtful of it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from regsuite import jobs
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
