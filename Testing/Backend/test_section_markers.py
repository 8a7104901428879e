"""VisuAlign's markers: the atlas at (x, y) of the anchoring is what the section shows at (nx, ny)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from regsuite import io
from regsuite.io.anchoring import target_matrix
from regsuite.io.sections import section_grid
from regsuite.methods.sections.markers import markers_of
from regsuite.methods.sections.prepared import Prepared, prepared
from regsuite.registration import Registration
from regsuite.section_files import write_section_files
from regsuite.spatial import Image
from regsuite.transforms import Affine, DisplacementField, Transform
from regsuite.transforms.chain import chain
from scipy.spatial import Delaunay
from section_samples import brain

WIDTH, HEIGHT, PIXEL = 160, 120, 0.08
TURNED = np.array([[0.98, 0.1, 0.0, 0.4], [0.0, 0.1, 1.0, -0.3], [-0.1, 1.02, 0.1, 0.2], [0, 0, 0, 1.0]])
"""From the section to the atlas: turned up, scaled a little, and sheared."""


def ellipse() -> Image:
    """Tissue 96 pixels wide and 72 high, about the column 64 and the row 60."""
    grid = section_grid(WIDTH, HEIGHT, (PIXEL, PIXEL))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    shown = ((x - 64) / 48) ** 2 + ((y - 60) / 36) ** 2 < 1
    return Image(torch.from_numpy(shown.astype(np.float32))[None, None, None], grid, "ellipse")


def field(grid_of: Image, ras: tuple[float, float] | None) -> DisplacementField:
    """The same displacement everywhere, mm to R and A, or without one a wave of 0.3 mm to A along R."""
    coarse = grid_of.grid.resampled([PIXEL, 0.2, 0.2]).padded((1, 0, 0))
    u = torch.zeros(1, 3, *coarse.shape)
    if ras is None:
        u[0, 1] = 0.3 * torch.sin(coarse.points()[..., 0] / 1.5)
    else:
        u[0, 0], u[0, 1] = ras
    return DisplacementField(coarse, u)


def written(folder: Path, section: Image, transform: Transform) -> io.AnchoredSection:
    """The section of the anchoring.json of a result."""
    ready, atlas = prepared(section), brain().template
    anchoring = io.anchoring_of(TURNED, WIDTH, HEIGHT, (PIXEL, PIXEL), atlas.grid)
    chosen = {"anchoring": list(anchoring), "markers": markers_of(ready, TURNED, transform)}
    result = Registration(transform, Affine(np.eye(4)), section.grid, record={"chosen": chosen})
    write_section_files(result, folder, {"fixed": section, "moving": atlas})
    (found,) = io.read_series(folder / "anchoring.json").sections
    return found


@pytest.mark.parametrize(
    ("ras", "pixels"),
    [
        # Columns run to L and rows to P: what lies 0.4 mm farther to R stands 5 pixels farther to the left.
        ((0.4, 0.0), (-5.0, 0.0)),
        ((0.0, -0.24), (0.0, 3.0)),
    ],
)
def test_a_shift_is_that_of_every_marker(tmp_path: Path, ras: tuple[float, float], pixels: tuple[float, float]) -> None:
    """The section shows at n what the affine part alone expects at n + shift."""
    section = ellipse()
    markers = np.array(written(tmp_path, section, chain(field(section, ras), Affine(TURNED))).markers)
    assert 20 <= len(markers) <= 36
    moved = markers[:, :2] - markers[:, 2:]
    assert np.abs(moved - pixels).max() < 0.01


def test_visualign_finds_in_the_atlas_what_the_transform_finds(tmp_path: Path) -> None:
    """At a marker's place on the section, and as VisuAlign looks there: at the marker's own place of the anchoring."""
    section = ellipse()
    transform = chain(field(section, None), Affine(TURNED))
    found = written(tmp_path, section, transform)
    x, y, nx, ny = np.array(found.markers).T
    assert np.ptp(y - ny) > 5
    assert found.anchoring is not None
    o, u, v = np.reshape(found.anchoring, (3, 3))
    voxels = o + np.outer(x / found.width, u) + np.outer(y / found.height, v)
    to_world = target_matrix(brain().template.grid)
    looked_at = voxels @ to_world[:3, :3].T + to_world[:3, 3]
    place = np.stack([-(nx - 0.5) * PIXEL, -(ny - 0.5) * PIXEL, 0 * nx], axis=1)
    assert np.abs(looked_at - transform.points(torch.from_numpy(place)).numpy()).max() < 1e-3


def test_they_lie_in_the_tissue_and_all_over_it(tmp_path: Path) -> None:
    section = ellipse()
    _, _, nx, ny = np.array(written(tmp_path, section, chain(field(section, None), Affine(TURNED))).markers).T
    assert (((nx - 64) / 48) ** 2 + ((ny - 60) / 36) ** 2).max() < 1.1
    assert np.ptp(nx) > 70
    assert np.ptp(ny) > 50


def test_no_four_are_joined_in_two_ways() -> None:
    """No marker lies on the circle of a triangle of others, or nearly so."""
    section = ellipse()
    markers = np.array(markers_of(prepared(section), TURNED, chain(field(section, None), Affine(TURNED))))
    places = markers[:, 2:] * (WIDTH, HEIGHT)
    for triangle in Delaunay(places).simplices:
        a, b, c = places[triangle]
        sides = 2 * np.array([b - a, c - a])
        centre = np.linalg.solve(sides, [b @ b - a @ a, c @ c - a @ a])
        others = np.delete(places, triangle, axis=0)
        gaps = np.linalg.norm(others - centre, axis=1) - np.linalg.norm(a - centre)
        assert gaps.min() > 0.2


def test_those_that_are_expected_beyond_the_edge_are_left_out() -> None:
    """The tissue begins at the column 16, and everything is expected 50 pixels farther to the left."""
    section = ellipse()
    markers = np.array(markers_of(prepared(section), TURNED, chain(field(section, (4.0, 0.0)), Affine(TURNED))))
    assert 10 < len(markers) < 30
    assert markers[:, 0].min() >= 0
    assert markers[:, 2].min() * WIDTH >= 50


def test_without_a_deformation_there_are_none(tmp_path: Path) -> None:
    assert written(tmp_path, ellipse(), Affine(TURNED)).markers == ()
    assert "markers" not in (tmp_path / "anchoring.json").read_text(encoding="utf-8")


def test_a_larger_pixel_than_the_files_changes_nothing() -> None:
    """Markers are shares of the picture, whatever its pixels are said to be."""
    section = ellipse()
    transform = chain(field(section, (0.4, 0.0)), Affine(TURNED))
    ready: list[Prepared] = [prepared(section), prepared(section, pixel=0.02)]
    one, other = (np.array(markers_of(each, TURNED, transform)) for each in ready)
    assert one == pytest.approx(other, abs=1e-5)
