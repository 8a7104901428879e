"""Organs' surfaces in the report: where they are in the picture, in which colour, and without an image at all."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from regsuite.pictures.surfaces import organs_picture
from regsuite.registration import Curve, Registration
from regsuite.report import write_report
from regsuite.spatial import Grid, Surface
from regsuite.spatial.meshes import joined
from regsuite.transforms import identity
from regsuite.wording import DISTANCE, ORGAN

RED, BLUE = (0.9, 0.1, 0.1), (0.1, 0.1, 0.9)
CORNERS = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=float)
FACES = torch.tensor([[a, b, c] for a in (0, 1) for b in (2, 3) for c in (4, 5)])


def octahedron(middle: tuple[float, float, float], colour: tuple[float, float, float], mesh: bool = True) -> Surface:
    """Of 20 mm; without triangles its corners are mere points."""
    points = torch.from_numpy(20 * CORNERS + middle)
    values = {ORGAN: torch.tensor([colour] * 6, dtype=torch.float64), DISTANCE: torch.arange(6, dtype=torch.float64)}
    return Surface(points, FACES if mesh else FACES[:0], values=values)


def registration(*organs: Surface) -> Registration:
    """Whose organs have not moved."""
    whole = joined(organs, "organs")
    surfaces = dict.fromkeys(("organs_before", "organs_after", "organs_target"), whole)
    result = Registration(identity(whole.dim), identity(whole.dim), Grid.regular((4,) * whole.dim), surfaces=surfaces)
    result.curves["energy"] = Curve([1, 2], {"sigma": [3, 2]}, "iteration", "σ, mm")
    return result


def where(picture: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    """Rows and columns (N, 2) of what is of that hue."""
    hue = np.argmax(colour)
    others = np.delete(picture, hue, axis=-1).max(axis=-1)
    return np.argwhere((picture[..., hue] > 0.35) & (others < 0.5 * picture[..., hue]))


def parts(result: Registration) -> tuple[np.ndarray, np.ndarray]:
    """The picture from the front and from the left, before."""
    picture = organs_picture(result)
    assert picture is not None
    pixels = imread(io.BytesIO(picture.png))[..., :3]
    height, third = pixels.shape[0] // 2, int(pixels.shape[1] * 0.29)
    return pixels[:height, :third], pixels[height:, :third]


@pytest.mark.parametrize("mesh", [True, False])
def test_right_is_on_the_left_and_up_is_up(mesh: bool) -> None:
    """Red lies to the patient's right, in front and above; blue to the left, behind and below."""
    front, left = parts(registration(octahedron((60, 50, 40), RED, mesh), octahedron((-60, -50, -40), BLUE, mesh)))
    for view in (front, left):  # from the left, too, what is in front lies on the picture's left
        red, blue = (where(view, colour).mean(axis=0) for colour in (RED, BLUE))
        assert red[0] < blue[0] - 20
        assert red[1] < blue[1] - 20


def test_the_nearer_organ_hides_the_farther_one() -> None:
    """Blue is in front of red: from the front nothing of red is left."""
    front, _ = parts(registration(octahedron((0, -60, 0), RED), octahedron((0, 60, 0), BLUE)))
    assert len(where(front, RED)) == 0
    assert len(where(front, BLUE)) > 100


def test_flat_organs_have_no_such_picture() -> None:
    flat = Surface(torch.rand(9, 2, dtype=torch.float64), values={ORGAN: torch.rand(9, 3), DISTANCE: torch.rand(9)})
    assert organs_picture(registration(flat)) is None


def test_a_report_without_images(tmp_path: Path) -> None:
    """Organs and curve are shown, and nothing that would need an image."""
    page = write_report(registration(octahedron((0, 0, 0), RED)), None, None, tmp_path)
    assert "Organs before and after" in page.read_text(encoding="utf-8")
    assert {file.name for file in (tmp_path / "pictures").iterdir()} == {"organs.png", "energy.png"}
