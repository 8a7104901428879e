"""Sections of a brain that was deformed by a known field in the plane: what is left of it once the plate is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from regsuite import evaluation
from regsuite.io.sections import section_grid
from regsuite.methods.sections.fit import Fitted, fitted
from regsuite.methods.sections.pose import matrix_to_atlas
from regsuite.methods.sections.prepared import prepared
from regsuite.methods.sections.views import View
from regsuite.phantoms.atlas import AtlasCase, atlas_case
from regsuite.progress import Context
from regsuite.spatial import Image
from regsuite.spatial.plates import cut
from section_samples import pose_of
from torch import Tensor

HEIGHT, WIDTH, PIXEL, AMPLITUDE = 120, 160, 0.08, 0.4
POSE = torch.from_numpy(pose_of(depth=1.0, pitch=0.1, yaw=-0.08))


@cache
def case() -> AtlasCase:
    return atlas_case(spacing=0.2, plate_spacing=0.4)


def displaced(flat: Tensor) -> Tensor:
    """Points (..., 3) mm in the plane, each moved by up to AMPLITUDE in either direction."""
    x, y = flat[..., 0], flat[..., 1]
    right = torch.sin(x / 1.9 + 0.4) * torch.cos(y / 1.7)
    bottom = torch.cos(x / 2.1) * torch.sin(y / 1.6 + 1.0)
    return flat + AMPLITUDE * torch.stack([right, bottom, torch.zeros_like(x)], dim=-1)


@dataclass(frozen=True)
class Fit:
    """error, before: (H, W) mm; inside: (H, W), where the whole section has tissue; moved: (H, W) mm, by the fit."""

    result: Fitted
    section: Image
    error: Tensor
    before: Tensor
    inside: Tensor
    moved: Tensor


@cache
def fit(kept: float = 1.0, stain: float = 1.0) -> Fit:
    """Of a section whose left share ``kept`` is there."""
    grid = section_grid(WIDTH, HEIGHT, (PIXEL, PIXEL))
    points = grid.points(torch.float64)[0]
    flat = (points - torch.as_tensor(grid.centre)) * torch.tensor([-1.0, -1.0, 0.0])
    matrix = case().plates.matrices(POSE[None])
    lands = displaced(flat)
    atlas = case()
    shown = cut(atlas.template.data, atlas.template.grid, matrix, lands.float())[0, 0].clamp(min=0) ** abs(stain)
    shown = shown if stain > 0 else shown.max() - shown
    shown[:, round(kept * WIDTH) :] = 0.0 if stain > 0 else shown.max()
    inside = cut(atlas.labels.data.float(), atlas.labels.grid, matrix, lands.float(), "nearest")[0, 0] > 0
    truth = lands @ matrix[0, :3, :3].T + matrix[0, :3, 3]
    section = Image(shown[None, None, None], grid)
    ready = prepared(section)
    affine = matrix_to_atlas(ready, View(torch.eye(4), True), atlas.plates, POSE)
    start = points @ torch.from_numpy(affine)[:3, :3].T + torch.from_numpy(affine)[:3, 3]
    result = fitted(ready, atlas.template, affine, Context())
    arrived = result.transform.points(points)
    away = [(one - other).norm(dim=-1) for one, other in ((arrived, truth), (start, truth), (arrived, start))]
    return Fit(result, section, away[0], away[1], inside, away[2])


def half(inside: Tensor, short: int = 0) -> Tensor:
    """Of the tissue, the left half of the picture, less so many columns."""
    return inside & (torch.arange(WIDTH) < WIDTH // 2 - short)


@pytest.mark.parametrize("stain", [1.0, 1.5, -0.7], ids=["same", "darker", "inverted"])
class TestWhole:
    def test_the_error_is_less_than_a_quarter_of_what_it_was(self, stain: float) -> None:
        found = fit(stain=stain)
        assert float(found.error[found.inside].mean()) < 0.25 * float(found.before[found.inside].mean())

    def test_nothing_folds(self, stain: float) -> None:
        found = fit(stain=stain)
        assert found.result.folded == 0
        assert evaluation.folded_fraction(found.result.transform, found.section.grid) == 0
        assert not found.result.notes


class TestField:
    def test_the_inverse_leads_back(self) -> None:
        found = fit()
        points = found.section.grid.points(torch.float64)[0][found.inside]
        again = found.result.inverse.points(found.result.transform.points(points))
        assert float((again - points).norm(dim=-1).max()) < 0.02

    def test_it_fades_towards_the_pictures_border(self) -> None:
        found = fit()
        border = torch.cat([found.moved[0], found.moved[-1], found.moved[:, 0], found.moved[:, -1]])
        assert float(border.max()) < 0.2 * float(found.moved.max())

    def test_what_lies_a_little_off_the_plane_moves_as_the_plane_does(self) -> None:
        found = fit()
        points = found.section.grid.points(torch.float64)[0][found.inside]
        off = torch.tensor([0.0, 0.0, 0.5 * PIXEL], dtype=torch.float64)
        gap = found.result.transform.points(points + off) - found.result.transform.points(points)
        assert float((gap.norm(dim=-1) - 0.5 * PIXEL).abs().max()) < 1e-4


class TestPartial:
    def test_what_is_missing_stays_where_it_was(self) -> None:
        found = fit(kept=0.5, stain=1.5)
        gone = found.inside & ~half(found.inside)
        assert float(found.moved[gone].mean()) < 0.1
        # Next to what is there, it goes along.
        assert float(found.moved[gone].max()) < AMPLITUDE

    def test_what_is_there_is_fitted_as_well_as_on_a_whole_section(self) -> None:
        whole, part = fit(stain=1.5), fit(kept=0.5, stain=1.5)
        there = half(whole.inside, short=8)  # at the cut nothing pulls from the other side
        assert float(part.error[there].mean()) < 1.2 * float(whole.error[there].mean())
        assert part.result.folded == 0

    def test_the_user_is_told(self) -> None:
        assert "lacks a part" in fit(kept=0.5, stain=1.5).result.notes[0]

    def test_a_plate_that_shows_nothing_is_not_fitted(self) -> None:
        section = prepared(fit().section)
        nowhere = np.eye(4)
        nowhere[:3, 3] = 100.0
        result = fitted(section, case().template, nowhere, Context())
        assert "nothing to fit" in result.notes[0]
        assert np.allclose(result.transform.points(torch.zeros(1, 3, dtype=torch.float64)), 100.0)
