"""The pictures show what is there, on the side where it is; the page needs nothing beside it."""

from __future__ import annotations

import base64
import io
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from regsuite.phantoms import TumourCase, shapes_2d, small_tumour_3d
from regsuite.pictures import Picture, Subject, all_pictures, error_map
from regsuite.pictures.draw import before_after, evolution, jacobian_map, warped_grid
from regsuite.pictures.planes import head_box, planes
from regsuite.registration import Curve, Registration, Table
from regsuite.report import write_report
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.transforms import Affine, Transform, identity
from regsuite.transforms.warp import warp_image, warp_labels

NAMES = {"before-after", "grid", "jacobian", "intensity-added", "evolution", "energy"}


def registered(case: TumourCase, transform: Transform) -> Registration:
    """As a method would leave it that found this transform."""
    grid = case.fixed.grid
    warped = warp_image(case.moving, transform, grid)
    added = (case.fixed.data - warped.data) * case.mask.data
    frames = [Image(warped.data + t * added, grid) for t in (0.0, 0.5, 1.0)]
    return Registration(
        transform=transform,
        inverse=transform.inverse(),
        fixed_grid=grid,
        warped=warped,
        warped_labels=warp_labels(case.moving_labels, transform, grid),
        images={"intensity_added": Image(added, grid), "metamorphosed": frames[-1]},
        sequences={"evolution": frames, "mask": [Image(case.mask.data.float(), grid)] * 2},
        curves={"energy": Curve([0, 1, 2], {"total": [3.0, 2.0, 1.5]}, "evaluation", "energy")},
        tables={"overlap": Table("Overlap", ["label", "Dice before", "Dice after"], [["<Ventricles>", 0.5, 0.875]])},
        metrics={"dice_ventricles_before": 0.5, "dice_ventricles_after": 0.875, "folded_fraction": 0.0},
        record={
            "method": "lddmm",
            "title": "LDDMM",
            "parameters": {"levels": 5, "optimiser": "lbfgs"},
            "seconds": 61.0,
        },
    )


@cache
def subject(dim: int) -> Subject:
    case = shapes_2d() if dim == 2 else small_tumour_3d()
    result = registered(case, case.truth)
    return Subject(result, case.fixed, case.moving, case.mask, case.fixed_labels, case.moving_labels)


def pixels(picture: Picture) -> np.ndarray:
    return imread(io.BytesIO(picture.png))[..., :3]


def blank(grid: Grid, transform: Transform) -> Subject:
    """A bright block moved by a transform."""
    data = torch.zeros((1, 1, *grid.shape))
    data[(slice(None), slice(None), *(slice(n // 4, 3 * n // 4) for n in grid.shape))] = 1
    image = Image(data, grid)
    return Subject(Registration(transform, transform.inverse(), grid), image, image)


@pytest.mark.parametrize("dim", [2, 3])
def test_every_picture_is_drawn(dim: int) -> None:
    pictures = all_pictures(subject(dim))
    assert {picture.name for picture in pictures} == NAMES
    for picture in pictures:
        assert pixels(picture).std() > 0.05
        assert picture.title
        assert picture.caption.endswith(".")


def turned(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.fliplr(np.eye(3))


@pytest.mark.parametrize("degrees", [0, 25, 180])
@pytest.mark.parametrize(("view", "right", "top"), [("Axial", "R", "A"), ("Coronal", "R", "S"), ("Sagittal", "A", "S")])
def test_planes_are_radiological_on_any_grid(degrees: float, view: str, right: str, top: str) -> None:
    """A spot at the patient's right, front and top is on the left (or front) and in the upper half of the picture."""
    matrix = np.eye(4)
    matrix[:3, :3] = turned(degrees) * [3, 2, 2]
    matrix[:3, 3] = -matrix[:3, :3] @ [9.5, 14.5, 14.5]
    grid = Grid.from_affine((20, 30, 30), matrix)
    spot = np.array([10.0, 10.0, 10.0])
    image = Image(
        torch.exp(-((grid.points(torch.float64) - torch.tensor(spot)) ** 2).sum(-1) / 30).float()[None, None], grid
    )
    box = grid.corners().min(axis=0), grid.corners().max(axis=0)
    plane = next(plane for plane in planes(grid, spot, box) if plane.title == view)
    row, column = np.unravel_index(plane.image(image).argmax(), plane.points.shape[:2])
    assert plane.marks[0] == right
    assert plane.marks[3] == top
    assert column < plane.points.shape[1] / 2
    assert row > plane.points.shape[0] / 2
    assert np.allclose(plane.points[row, column], spot, atol=1.5)
    left, _, bottom, _ = plane.extent
    assert left + column == pytest.approx(-10, abs=1.6)
    assert bottom + row == pytest.approx(10, abs=1.6)


def test_box_is_around_the_head() -> None:
    case = small_tumour_3d((40, 70, 40), noise=0.0)
    low, high = head_box(case.fixed)
    head = case.fixed.grid.points()[case.fixed.data[0, 0] > 0.1].numpy()
    assert np.all(low <= head.min(axis=0))
    assert np.all(high >= head.max(axis=0))
    assert np.all(high - low < np.ptp(head, axis=0) + 16)


def test_deformed_outlines_lie_on_the_fixed_ones_only_where_they_match() -> None:
    """By the truth less yellow shows beside the blue, in the deformed column, than by the identity."""
    case = shapes_2d()

    def yellow(transform: Transform) -> int:
        drawn = pixels(
            before_after(
                Subject(
                    registered(case, transform),
                    case.fixed,
                    case.moving,
                    case.mask,
                    case.fixed_labels,
                    case.moving_labels,
                )
            )
        )
        width = drawn.shape[1]
        deformed = drawn[40:-60, width // 2 : 3 * width // 4]
        return int(((deformed[..., 0] > 0.9) & (deformed[..., 1] > 0.7) & (deformed[..., 2] < 0.4)).sum())

    assert yellow(identity(2)) > 2 * yellow(case.truth)


def test_jacobian_is_white_at_one_and_red_where_tissue_is_pressed_together() -> None:
    grid = Grid.regular((40, 40))

    def middle(scale: float) -> np.ndarray:
        drawn = pixels(jacobian_map(blank(grid, Affine(np.diag([scale, scale, 1.0])))))
        return drawn[drawn.shape[0] // 2, (drawn.shape[1] - 115) // 2]

    assert middle(1.0).min() > 0.93
    red, blue = middle(1.4), middle(0.7)
    assert red[0] > 2 * red[2]
    assert blue[2] > 2 * blue[0]


def test_folds_are_named_in_the_caption() -> None:
    grid = Grid.regular((40, 40))
    mirrored = blank(grid, Affine(np.diag([-1.0, 1.0, 1.0])))
    assert "100.000% of the voxels are folded" in jacobian_map(mirrored).caption
    assert "No voxel is folded" in jacobian_map(blank(grid, identity(2))).caption


def test_grid_lines_are_as_far_apart_as_the_transform_says() -> None:
    """Moving coordinates that run twice as fast give twice as many lines."""
    grid = Grid.regular((120, 120))

    def lines(scale: float) -> int:
        drawn = pixels(warped_grid(blank(grid, Affine(np.diag([scale, scale, 1.0])))))
        band = drawn[drawn.shape[0] // 6 : drawn.shape[0] // 5]
        yellow = (band[..., 0] - band[..., 2]).min(axis=0) > 0.05
        return int((np.diff(yellow.astype(int)) == 1).sum())

    assert 1.7 < lines(2.0) / lines(1.0) < 2.3


def test_no_evolution_without_frames() -> None:
    assert evolution(blank(Grid.regular((20, 20)), identity(2))) is None


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    shown = subject(2)
    folder = tmp_path_factory.mktemp("report")
    extra = Picture("scene", "The scene", "As a viewer shows it.", jacobian_map(shown).png)
    path = write_report(
        shown.registration,
        shown.fixed,
        shown.moving,
        folder,
        shown.mask,
        shown.fixed_labels,
        shown.moving_labels,
        [extra],
    )
    return path, path.read_text(encoding="utf-8")


def test_page_needs_nothing_beside_it(page: tuple[Path, str]) -> None:
    sources = re.findall(r"(?:src|href)=['\"]([^'\"]{0,30})", page[1])
    assert sources
    assert all(source.startswith(("data:image/png;base64,", "https://doi.org/")) for source in sources)
    assert "<script" not in page[1]
    assert "url(" not in page[1]


def test_page_holds_every_picture(page: tuple[Path, str]) -> None:
    embedded = re.findall(r"data:image/png;base64,([^'\"]+)", page[1])
    beside = {path.stem: path.read_bytes() for path in (page[0].parent / "pictures").iterdir()}
    assert set(beside) == NAMES | {"scene"}
    assert {base64.b64decode(text) for text in embedded} == set(beside.values())


def test_page_tells_the_figures(page: tuple[Path, str]) -> None:
    text = page[1]
    assert "0.50 → 0.88" in text
    assert "&lt;Ventricles&gt;" in text, "names are escaped"
    assert "<Ventricles>" not in text
    assert "61 s" in text
    assert re.search(r"<tr class=changed><td>Scales</td><td>5</td>", text)
    assert re.search(r"<tr><td>Optimiser</td><td>lbfgs</td>", text)


def test_a_registration_without_extras_has_a_page(tmp_path: Path) -> None:
    shown = blank(Grid.regular((20, 20, 20)), identity(3))
    assert write_report(shown.registration, shown.fixed, shown.moving, tmp_path).stat().st_size > 10_000


def test_labels_without_small_ones_are_all_outlined() -> None:
    shown = subject(2)
    assert [shown.fixed_labels.name_of(value) for value in shown.outlined] == ["Ventricles"]
    halves = LabelImage.from_array(np.repeat([[1, 2]], 20, axis=0), Grid.regular((20, 2)))
    assert Subject(shown.registration, shown.fixed, shown.moving, fixed_labels=halves).outlined == [1, 2]


@pytest.mark.parametrize("case", [shapes_2d, small_tumour_3d])
def test_error_map_goes_dark_where_the_truth_is_found(case) -> None:
    case = case()
    result = registered(case, case.truth)
    drawn = pixels(error_map(Subject(result, case.fixed, case.moving), case.truth, case.valid))
    half = drawn.shape[1] // 2 if case.fixed.grid.dim == 2 else drawn.shape[0] // 2
    before, after = (drawn[:, :half], drawn[:, half:]) if case.fixed.grid.dim == 2 else (drawn[:half], drawn[half:])
    assert hot(before) > 1000
    assert hot(after[:, :-130]) < 0.02 * hot(before)


def hot(drawn: np.ndarray) -> int:
    """Pixels of the upper half of the colours."""
    return int(((drawn[..., 0] > 0.75) & (drawn[..., 1] < 0.7) & (drawn[..., 2] < 0.5)).sum())
