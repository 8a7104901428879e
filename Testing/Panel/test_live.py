"""Time left, the curve and the preview, against hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from RegistrationSuiteLib.panel import live
from regsuite.spatial import Grid, Image


@pytest.mark.parametrize(
    ("fraction", "elapsed", "words"),
    [
        (0.01, 60.0, ""),
        (0.5, 0.5, ""),
        (0.9, 45.0, "a few seconds left"),
        (0.5, 38.0, "about 40 s left"),
        (0.25, 60.0, "about 3 min left"),
        (0.1, 1000.0, "about 2.5 h left"),
        (1.0, 100.0, ""),
    ],
)
def test_time_left(fraction: float, elapsed: float, words: str) -> None:
    assert live.time_left(fraction, elapsed) == words


def test_curve_points() -> None:
    points = live.curve_points([4.0, 2.0, 0.0], 0.0, 4.0, 116, 144)
    assert points == [(8, 20), (58, 70), (108, 120)]
    assert live.curve_points([3.0], 3.0, 3.0, 116, 144) == [(8, 20)]


def test_curve_is_drawn_in_blue_from_top_left_to_bottom_right() -> None:
    image = live.draw_curve([2.0, 1.0, 0.0], "energy", 116, 144).toImage()
    blue = [(x, y) for x in range(116) for y in range(144) if image.pixelColor(x, y).getRgb()[:3] == live.BLUE]
    assert (min(blue), max(blue)) == ((8, 20), (108, 120))


def preview(direction: np.ndarray, brightest: tuple[int, int, int]) -> Image:
    affine = np.eye(4)
    affine[:3, :3] = direction * (4.0, 2.0, 1.0)
    data = torch.zeros(1, 1, 3, 5, 7)
    data[0, 0][brightest] = 8.0
    return Image(data, Grid.from_affine((3, 5, 7), affine))


@pytest.mark.parametrize("sign", [1, -1])
def test_preview_has_right_on_the_left_and_anterior_up(sign: int) -> None:
    # Array axes (k, j, i) run along S, A and R, or against A and R.
    direction = np.array([[0, 0, sign], [0, sign, 0], [1, 0, 0]], dtype=float)
    most_anterior_right = (1, 4, 6) if sign > 0 else (1, 0, 0)
    rows, spacing = live.middle_slice(preview(direction, most_anterior_right))
    assert rows.shape == (5, 7)
    assert spacing == (2.0, 1.0)
    assert np.argwhere(rows == 255).tolist() == [[4, 0]]  # rows go upwards: the last is the topmost


def test_preview_keeps_the_image_s_proportions() -> None:
    direction = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=float)
    picture = live.draw_slice(preview(direction, (1, 4, 6)), 120, 120)
    assert (picture.width(), picture.height()) == (84, 120)  # 7 mm by 10 mm
    corner = picture.toImage()
    assert corner.pixelColor(0, 0).red() > 100 > corner.pixelColor(80, 115).red()
