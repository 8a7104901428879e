"""The pictures show what is there, on the side where it is; the page needs nothing beside it."""

from __future__ import annotations

import base64
import html
import io
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from regsuite import catalog, wording
from regsuite.phantoms import TumourCase, shapes_2d, small_tumour_3d
from regsuite.pictures import Picture, Subject, all_pictures, draw, error_map
from regsuite.pictures.draw import before_after, evolution, jacobian_map, warped_grid
from regsuite.pictures.planes import head_box, planes
from regsuite.registration import Curve, Registration, Table
from regsuite.report import write_report
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.transforms import Affine, Transform, identity
from regsuite.transforms.warp import warp_image, warp_labels

NAMES = {"before-after", "grid", "jacobian", "intensity-added", "evolution", "energy", "spending", "mask-on-moving"}
NOTES = ["Folds lie at <3 % of the voxels.", "The iterations ended early."]


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
        labels={"mask_on_moving": warp_labels(case.mask, transform.inverse(), case.moving.grid)},
        curves={
            "energy": Curve([0, 1, 2], {"total": [3.0, 2.0, 1.5]}, "evaluation", "energy"),
            "spending": Curve([0, 1], {"deformation": [9.0, 1.0], "intensity": [0.0, 3.0]}, "time", "share"),
        },
        tables={"overlap": Table("Overlap", ["label", "Dice before", "Dice after"], [["<Ventricles>", 0.5, 0.875]])},
        metrics={
            "dice_ventricles_before": 0.5,
            "dice_ventricles_after": 0.875,
            "folded_fraction": 0.0,
            "explained_by_shape": 0.834,
            "explained_by_shape_outside": 0.971,
        },
        notes=NOTES,
        record={
            "method": "lddmm",
            "title": "LDDMM",
            "parameters": {"levels": 5, "steps": 0, "optimiser": "lbfgs", "kernel_widths": [0.0]},
            "chosen": {"kernel_widths": [8.1254, 21.0]},
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


def test_what_was_left_to_the_method_is_called_automatic(page: tuple[Path, str]) -> None:
    assert "<tr><td>Time steps</td><td>automatic</td>" in page[1]


def test_what_the_method_chose_stands_beside_it(page: tuple[Path, str]) -> None:
    assert "<tr><td>Smoothness widths</td><td>automatic: 8.13, 21</td><td>mm</td>" in page[1]


def test_page_begins_with_what_to_know(page: tuple[Path, str]) -> None:
    text = page[1]
    places = [text.index(html.escape(note)) for note in NOTES]
    assert text.index("<h1>") < places[0] < places[1] < text.index("class='cards'")
    assert "<3 %" not in text, "notes are escaped"


def test_page_tells_what_shape_explains(page: tuple[Path, str]) -> None:
    text = page[1]
    assert "<b>83 %</b><span>explained by shape, 97 % outside the lesion</span>" in text
    assert wording.SHAPE_HELP in text
    assert re.search(r"<td>Explained by shape, outside the lesion</td><td class=number>0.971</td>", text)


@pytest.mark.parametrize(
    ("metrics", "line"),
    [
        ({"explained_by_shape": 0.834, "explained_by_shape_outside": 0.971}, "83 % (outside the lesion 97 %)"),
        ({"explained_by_shape": 1.0}, "100 %"),
        ({"explained_by_shape": 0.0}, "0 %"),
    ],
)
def test_what_shape_explains_in_a_line(metrics: dict[str, float], line: str) -> None:
    assert wording.shape_line(metrics) == f"Explained by shape: {line}"


def test_no_word_of_shape_where_it_is_not_known(tmp_path: Path) -> None:
    shown = blank(Grid.regular((20, 20)), identity(2))
    assert wording.shape_line(shown.registration.metrics) == ""
    page = write_report(shown.registration, shown.fixed, shown.moving, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "xplained by shape" not in text
    assert "class='notes'" not in text


def test_a_curve_has_its_own_axes_and_only_a_total_falls_logarithmically(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, str, str, float]] = []

    def keep(figure: Figure) -> bytes:
        axes = figure.axes[0]
        drawn.append((axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale(), axes.get_ylim()[0]))
        return b""

    monkeypatch.setattr(draw, "encoded", keep)
    falling = [9.0, 1.0]
    energy = draw.curve_plot("energy", Curve([0, 1], {"total": falling}, "evaluation", "energy"))
    spending = draw.curve_plot("spending", Curve([0, 1], {"deformation": falling}, "time", "share of the energy"))
    assert drawn[0][:3] == ("evaluation", "energy", "log")
    assert drawn[1] == ("time", "share of the energy", "linear", 0.0)
    assert "total should fall" in energy.caption
    assert "total should fall" not in spending.caption


def test_labels_are_outlined_on_the_image_they_lie_on(stand_in: Any) -> None:
    """A mask on the moving image's grid, far from the fixed image's, is drawn in its own colour on that image."""
    fixed, moving = Grid.regular((40, 40)), Grid.regular((60, 50), 2.0)
    image = blank(fixed, identity(2)).fixed
    far = Image.from_array(np.random.default_rng(0).uniform(0.2, 1, moving.shape), moving)
    inside = np.zeros(moving.shape, dtype=int)
    inside[45:55, 30:40] = 7
    mask = LabelImage.from_array(inside, moving, {7: "tumour"}, {7: (1.0, 0.0, 0.0)})
    result = Registration(identity(2), identity(2), fixed, labels={"mask_on_moving": mask})
    result.record = {"method": stand_in.NAME}
    picture = next(each for each in all_pictures(Subject(result, image, far)) if each.name == "mask-on-moving")
    assert (picture.title, picture.caption) == ("Mask on the moving image", "The lesion mask, moved.")
    shown = pixels(picture)
    red = (shown[..., 0] > 0.7) & (shown[..., 1:].max(axis=-1) < 0.3)
    rows, columns = np.nonzero(red[: int(0.9 * len(red))])
    height, width = shown.shape[:2]
    assert len(rows) > 50
    assert columns.max() < width / 2, "the patient's right is on the left"
    assert rows.max() < height / 2, "anterior is at the top"


def test_a_registration_without_extras_has_a_page(tmp_path: Path) -> None:
    shown = blank(Grid.regular((20, 20, 20)), identity(3))
    assert write_report(shown.registration, shown.fixed, shown.moving, tmp_path).stat().st_size > 10_000


def test_a_lesion_of_the_moving_image_is_shown_where_it_comes_to_lie() -> None:
    """Patient to template: the planes go through it, and it has an outline and a line of the legend."""
    case = shapes_2d()
    result = registered(case, case.truth)
    result.labels = {"mask_on_fixed": case.mask}
    moved = Subject(result, case.fixed, case.moving, fixed_labels=case.fixed_labels)
    given = Subject(result, case.fixed, case.moving, case.mask, fixed_labels=case.fixed_labels)
    assert pixels(before_after(moved)).shape == pixels(before_after(given)).shape
    assert np.array_equal(pixels(before_after(moved)), pixels(before_after(given)))
    result.labels = {"mask_on_fixed": LabelImage.from_array(np.zeros(case.fixed.grid.shape), case.fixed.grid)}
    assert Subject(result, case.fixed, case.moving).lesion is None


def test_the_moving_images_own_labels_lie_beneath_those_carried_to_it() -> None:
    """Seen where nothing covers them: with a structure's place known in both, yellow goes when they coincide."""
    shown = subject(2)
    ours, theirs = shown.moving_labels, shown.fixed_labels
    assert ours is not None
    assert theirs is not None
    declared = catalog.method("lddmm").outputs[-1]
    assert declared.name == "fixed_labels_on_moving"
    yellow = []
    for labels in (theirs, ours):
        image = pixels(draw.labels_map(declared.name, labels, shown, declared))[:-60]  # without the legend
        yellow.append(int(((image[..., 0] > 0.9) & (image[..., 1] > 0.7) & (image[..., 2] < 0.5)).sum()))
    assert yellow[0] > 1.3 * yellow[1] > 0


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
