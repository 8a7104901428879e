"""What the display functions put into a picture: read from its pixels, in slices and in 3D."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pictures
import pytest
import scene_results
import scene_samples as samples
import slicer
import slicer.util
from RegistrationSuiteLib import colours, display, results, scene, views
from regsuite.spatial import Grid, Image
from regsuite.transforms import Affine, identity

pytestmark = pytest.mark.usefixtures("session")

SIZE = (300, 300)
BLUE, WHITE, RED = colours.BLUE_TO_RED[0], colours.BLUE_TO_RED[2], colours.BLUE_TO_RED[4]


@pytest.fixture
def view(session: Any) -> Iterator[views.SliceView]:
    with views.SliceView("Axial", size=SIZE, letters=False) as opened:
        yield opened


def shown(place: str = "straight") -> tuple[scene_results.Scene, dict[str, Any]]:
    """A registration in the scene; the moving labels are hidden."""
    made = scene_results.volume_scene(place)
    nodes = results.add_registration(made.registration, made.fixed, made.moving, moving_labels=made.moving_labels)
    for node in (made.moving_labels, nodes["warped_labels"]):
        node.GetDisplayNode().SetVisibility(False)
    return made, nodes


def flat(value: float, name: str = "flat", size: tuple[int, int, int] = (60, 60, 20)) -> Any:
    """A volume of one grey value, 1 mm voxels, its middle at the origin."""
    matrix = samples.ijk_to_ras(np.eye(3), (1, 1, 1), tuple(-(n - 1) / 2 for n in size))
    node = samples.add_volume(matrix, size, name, np.full(tuple(reversed(size)), value, dtype=np.float32))
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevelMinMax(0, 255)
    return node


# --- overlay ---


def test_overlay_fades_from_fixed_to_warped(view: views.SliceView) -> None:
    fixed, warped = flat(40), flat(200)
    display.show_overlay(fixed, warped, 0.0)
    assert view.render()[150, 150, 0] == pytest.approx(40, abs=2)
    display.fade(0.5)
    assert view.render()[150, 150, 0] == pytest.approx(120, abs=2)
    display.fade(1.0)
    assert view.render()[150, 150, 0] == pytest.approx(200, abs=2)


def test_overlay_of_a_good_registration_hides_nothing(view: views.SliceView) -> None:
    made, nodes = shown("oblique")
    display.show_overlay(made.fixed, nodes["warped"], 0.0)
    view.jump_to(made.registration.fixed_grid.centre)
    fixed = view.render()
    display.fade(1.0)
    warped = view.render()
    display.show_overlay(made.fixed, made.moving, 1.0)
    moving = view.render()
    pictures.keep("overlay", [("fixed", fixed), ("warped", warped), ("moving", moving)])
    assert pictures.difference(fixed, warped).mean() < 1
    assert pictures.difference(fixed, moving).mean() > 3


# --- grid ---


def test_grid_of_no_motion_is_regular(view: views.SliceView) -> None:
    """Lines as far apart as the spacing says, in the colour of stillness."""
    fixed = flat(20)
    node = scene.transform_node(identity(3), "still")
    display.show_overlay(fixed, fixed)
    display.show_grid(node, fixed)
    picture = view.render()
    pictures.keep("grid still", [("still", picture)])
    pixels_per_mm = SIZE[0] / view.node.GetFieldOfView()[0]
    spacing = display.grid_spacing(scene.grid_of(fixed), display.LINES_IN_SLICES) * pixels_per_mm
    row = next(row for row in range(120, 180) if not pictures.colourful(picture)[row].all())
    gaps = np.diff(pictures.runs(pictures.colourful(picture)[row]))
    np.testing.assert_allclose(gaps, spacing, atol=1.1)
    assert pictures.near(picture, display.STILL_TO_MOVED[0], 45).sum() > 1000


def test_grid_moves_as_the_moving_image_does(view: views.SliceView) -> None:
    """A transform that takes fixed points 2 mm to the right brings the moving image, and its grid, 2 mm to the left."""
    fixed = flat(20)
    display.show_overlay(fixed, fixed)
    pixels_per_mm = SIZE[0] / view.node.GetFieldOfView()[0]
    columns = []
    for shift in (0.0, 2.0):
        matrix = np.eye(4)
        matrix[0, 3] = shift
        node = scene.transform_node(Affine(matrix), "shift")
        display.show_grid(node, fixed)
        mask = pictures.colourful(view.render())
        columns.append(pictures.runs(mask[:, :].mean(axis=0) > 0.9))
        display.show_grid(node, fixed, visible=False)
    still, moved = columns
    spacing = np.median(np.diff(still))
    # The patient's left is on the picture's right.
    offset = (moved[5] - still[5] + spacing / 2) % spacing - spacing / 2
    expected = (2.0 * pixels_per_mm + spacing / 2) % spacing - spacing / 2
    assert offset == pytest.approx(expected, abs=1.5)


def test_grid_bends_where_the_transform_does_and_goes_again(view: views.SliceView) -> None:
    made, nodes = shown()
    display.show_overlay(made.fixed, nodes["warped"], 0.0)
    view.jump_to(made.registration.fixed_grid.centre)
    before = view.render()
    display.show_grid(nodes["transform"], made.fixed)
    with_grid = view.render()
    display.show_grid(nodes["transform"], made.fixed, visible=False)
    after = view.render()
    pictures.keep("grid", [("without", before), ("with", with_grid)])
    changed = pictures.difference(before, with_grid) > 20
    assert 0.05 < changed.mean() < 0.6
    assert pictures.near(with_grid, display.STILL_TO_MOVED[-1], 60).any(), "the largest displacement is red"
    assert pictures.difference(before, after).max() == 0


@pytest.mark.parametrize("place", samples.SLICES)
def test_grid_of_a_slice(place: str, view: views.SliceView) -> None:
    made = scene_results.slice_scene(place)
    nodes = results.add_registration(made.registration, made.fixed, made.moving)
    display.show_overlay(made.fixed, nodes["warped"], 0.0)
    before = view.render()
    display.show_grid(nodes["transform"], made.fixed)
    with_grid = view.render()
    pictures.keep(f"grid slice {place}", [("without", before), ("with", with_grid)])
    assert before.max() > 80, "the view faces the slice"
    assert 0.03 < (pictures.difference(before, with_grid) > 20).mean() < 0.6


def test_grid_in_3d_fills_the_image_s_box() -> None:
    made, nodes = shown()
    with views.ThreeDView(size=SIZE) as space:
        space.renderer.SetBackground(0, 0, 0)
        space.renderer.SetBackground2(0, 0, 0)
        empty = space.render()
        display.show_grid(nodes["transform"], made.fixed)
        picture = space.render()
        bounds = space.renderer.ComputeVisiblePropBounds()
    pictures.keep("grid 3d", [("grid", picture)])
    assert (pictures.difference(empty, picture) > 40).mean() > 0.05
    box = np.zeros(6)
    made.fixed.GetRASBounds(box)
    np.testing.assert_allclose(bounds, box, atol=6)


@pytest.mark.parametrize(
    ("shape", "spacing", "lines", "smallest", "expected"),
    [
        ((90, 109, 91), 2.0, 24, None, 8.0),  # a head: 218 / 24 = 9.1
        ((90, 109, 91), 2.0, 24, 10.0, 5.0),  # a structure of 10 mm is crossed twice
        ((90, 109, 91), 2.0, 24, 1.0, 4.0),  # never closer than two voxels
        ((114, 160, 228), 0.05, 24, None, 0.4),  # a mouse brain: 11.4 / 24 = 0.475
        ((1, 300, 200), 0.002, 24, None, 0.025),  # a microscope's slice: 0.6 / 24
    ],
)
def test_grid_spacing_suits_the_image(
    shape: tuple[int, ...], spacing: float, lines: int, smallest: float | None, expected: float
) -> None:
    assert display.grid_spacing(Grid.regular(shape, spacing), lines, smallest) == pytest.approx(expected)


# --- maps ---


def halves(low: float, high: float, name: str) -> Any:
    """A volume with ``low`` on the patient's right and ``high`` on the left, 60 mm wide."""
    node = flat(0.0, name)
    array = np.full((20, 60, 60), low, dtype=np.float32)
    array[:, :, :30] = high
    slicer.util.updateVolumeFromArray(node, array)
    return node


def test_jacobian_is_blue_below_one_and_red_above(view: views.SliceView) -> None:
    fixed = flat(0)
    jacobian = halves(0.5, 2.0, "jacobian")
    display.show_jacobian(jacobian, fixed)
    display.fade(1.0)
    picture = view.render()
    pictures.keep("jacobian halves", [("0.5 and 2", picture)])
    assert pictures.near(picture[250:251, 70:71], BLUE, 10).all()
    assert pictures.near(picture[250:251, 170:171], RED, 10).all()
    display.show_jacobian(jacobian, fixed, visible=False)
    assert view.render().max() == 0, "map and legend are gone"


def test_jacobian_of_one_is_white_and_folds_are_magenta(view: views.SliceView) -> None:
    fixed = flat(0)
    display.show_jacobian(halves(1.0, -0.2, "jacobian"), fixed)
    display.fade(1.0)
    picture = view.render()
    pictures.keep("jacobian folds", [("1 and -0.2", picture)])
    assert pictures.near(picture[250:251, 70:71], WHITE, 8).all()
    assert pictures.near(picture[250:251, 170:171], colours.FOLDED, 8).all()


def test_jacobian_has_a_legend_with_every_colour(view: views.SliceView) -> None:
    """On a uniform map, which has one colour, the legend alone shows the others."""
    fixed = flat(0)
    node = flat(1.0, "jacobian")
    slicer.util.arrayFromVolume(node)[0, 0, 0] = 2.0
    slicer.util.arrayFromVolume(node)[0, :, 1:] = 0.6
    display.show_jacobian(node, fixed)
    view.set_offset(5)
    picture = view.render()
    pictures.keep("jacobian legend", [("legend", picture)])
    right = picture[:, 240:]
    for colour in (BLUE, RED, WHITE):
        assert pictures.near(right, colour, 40).sum() > 5
    assert not pictures.near(picture[:, :200], RED, 40).any()


@pytest.mark.parametrize("largest", [1.2, 1.4, 1.9, 2.9, 3.9])
def test_legend_of_the_jacobian_names_one(largest: float) -> None:
    fixed, node = flat(0), halves(1.0, largest, "jacobian")
    display.show_jacobian(node, fixed)
    shown = node.GetDisplayNode()
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(node)
    labels = np.linspace(shown.GetWindowLevelMin(), shown.GetWindowLevelMax(), legend.GetNumberOfLabels())
    assert np.abs(labels - 1).min() < 1e-6


@pytest.mark.parametrize(
    ("values", "expected"),
    [((0.95, 1.05), 1.25), ((0.6, 1.2), 2.0), ((0.9, 1.45), 1.5), ((0.1, 9.0), 4.0), ((0.9, 1.1, -0.1), 2.0)],
)
def test_jacobian_window_is_round_and_symmetric(values: tuple[float, ...], expected: float) -> None:
    assert colours.jacobian_range(np.array(values)) == expected


def test_intensity_added_is_cold_below_zero_and_hot_above(view: views.SliceView) -> None:
    fixed = flat(0)
    added = halves(-30.0, 30.0, "added")
    display.show_intensity_added(added, fixed)
    display.fade(1.0)
    picture = view.render()
    pictures.keep("added halves", [("-30 and 30", picture)])
    assert pictures.near(picture[250:251, 70:71], colours.COLD_TO_HOT[0], 10).all()
    assert pictures.near(picture[250:251, 170:171], colours.COLD_TO_HOT[-1], 10).all()
    low, high = added.GetDisplayNode().GetWindowLevelMin(), added.GetDisplayNode().GetWindowLevelMax()
    assert -low == pytest.approx(high)


def test_traces_do_not_narrow_the_window_of_intensity_added() -> None:
    """100 sizes from 2 to 101 beside many of 1e-9: the window ends at the 99th percentile of the former."""
    values = np.full((1, 20, 50), 1e-9)
    values.flat[:100] = np.arange(2, 102) * np.tile((1, -1), 50)
    values.flat[100:200] = 0
    added = flat(0)
    slicer.util.updateVolumeFromArray(added, values)
    colours.colour_signed(added)
    window = added.GetDisplayNode()
    assert (window.GetWindowLevelMin(), window.GetWindowLevelMax()) == pytest.approx((-100.01, 100.01))


def test_nothing_added_has_a_window() -> None:
    added = flat(0)
    colours.colour_signed(added)
    assert added.GetDisplayNode().GetWindowLevelMax() == 1.0


def test_maps_change_no_value() -> None:
    made, nodes = shown()
    before = {name: slicer.util.arrayFromVolume(nodes[name]).copy() for name in ("jacobian", "intensity_added")}
    display.show_jacobian(nodes["jacobian"], made.fixed)
    display.show_intensity_added(nodes["intensity_added"], made.fixed)
    for name, array in before.items():
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(nodes[name]), array)


def test_map_shown_again_makes_no_new_table() -> None:
    made, nodes = shown()
    scene_nodes = slicer.mrmlScene
    display.show_jacobian(nodes["jacobian"], made.fixed)
    count = scene_nodes.GetNumberOfNodes()
    display.show_jacobian(nodes["jacobian"], made.fixed, visible=False)
    display.show_jacobian(nodes["jacobian"], made.fixed)
    assert scene_nodes.GetNumberOfNodes() == count


# --- labels ---


def test_labels_are_outlined_and_not_filled(view: views.SliceView) -> None:
    made, nodes = shown()
    display.show_overlay(made.fixed, nodes["warped"], 0.0)
    view.jump_to(made.registration.fixed_grid.centre)
    before = view.render()
    display.show_labels(nodes["warped_labels"])
    outlined = view.render()
    pictures.keep("labels", [("without", before), ("outlined", outlined)])
    for colour in scene_results.COLOURS.values():
        line = pictures.near(outlined, colour, 40)
        rows, columns = np.nonzero(line)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert line.sum() > 2 * (height + width) * 0.7, "a closed line"
        assert line.sum() < 0.3 * height * width, "and no area"
    assert pictures.difference(before, outlined)[150, 150] == 0
    display.show_labels(nodes["warped_labels"], visible=False)
    assert pictures.difference(before, view.render()).max() == 0


def test_labels_on_the_moving_image_are_shown_with_it(view: views.SliceView, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outlined about their own middle, over the moving image alone."""
    scene_results.declare(monkeypatch)
    made = scene_results.apart_scene()
    nodes = results.add_registration(made.registration, made.fixed, made.moving)
    on_moving = display.labels_on(made.moving, nodes.values())
    assert on_moving == [nodes["mask_on_moving"]]
    display.show_overlay(made.fixed, nodes["warped"])
    display.show_on_moving(made.moving, on_moving)
    assert view.composite.GetBackgroundVolumeID() == made.moving.GetID()
    assert not view.composite.GetForegroundVolumeID()
    lesion = made.registration.labels["mask_on_moving"]
    view.jump_to(lesion.grid.points()[lesion.mask()].mean(dim=0).tolist(), centre=True)
    picture = view.render()
    pictures.keep("labels-on-moving", [("moving image", picture)])
    line = pictures.near(picture, lesion.colours[4], 40)
    rows, columns = np.nonzero(line)
    assert len(rows) > 50
    assert (rows.min() + rows.max()) / 2 == pytest.approx(150, abs=8)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(150, abs=8)
    display.show_on_moving(made.moving, on_moving, visible=False)
    assert not pictures.near(view.render(), lesion.colours[4], 40).any()


def test_surfaces_show_what_is_inside() -> None:
    """The core within the shell can be seen through it."""
    _, nodes = shown()
    with views.ThreeDView(size=SIZE) as space:
        display.show_labels(nodes["warped_labels"])
        picture = space.render()
    pictures.keep("surfaces", [("surfaces", picture)])
    channels = picture.astype(int)
    green = channels[..., 1] - channels[..., 0]
    assert green[130:170, 130:170].mean() > green[150, 40:60].mean() + 15


def test_label_volume_is_outlined(view: views.SliceView) -> None:
    made, _ = shown()
    labels = made.registration.warped_labels
    node = scene.labelmap_from_labels(labels, "map")
    display.show_overlay(made.fixed, made.fixed)
    view.jump_to(made.registration.fixed_grid.centre)
    before = view.render()
    display.show_labels(node)
    outlined = view.render()
    pictures.keep("label volume", [("outlined", outlined)])
    changed = pictures.difference(before, outlined) > 20
    assert 0.01 < changed.mean() < 0.2
    display.show_labels(node, visible=False)
    assert pictures.difference(before, view.render()).max() == 0


# --- evolution ---


def test_evolution_shows_one_frame_after_the_other(view: views.SliceView) -> None:
    made, nodes = shown()
    display.show_overlay(made.fixed, nodes["warped"], 1.0)
    view.jump_to(made.registration.fixed_grid.centre)
    warped = view.render()
    display.show_overlay(made.fixed, made.moving, 1.0)
    moving = view.render()
    display.show_evolution(nodes["evolution"], made.fixed)
    frames = []
    for number in range(5):
        display.show_frame(nodes["evolution"], number)
        frames.append(view.render())
    pictures.keep("evolution", [(f"{number}", frame) for number, frame in enumerate(frames)])
    assert pictures.difference(frames[0], moving).max() <= 3
    assert pictures.difference(frames[-1], warped).max() <= 3
    distances = [pictures.difference(frame, warped).mean() for frame in frames]
    assert all(later < earlier for earlier, later in itertools.pairwise(distances))


# --- plots and tables ---


def test_plot_and_table_become_the_active_ones() -> None:
    _, nodes = shown()
    display.show_plot(nodes["energy_chart"])
    display.show_table(nodes["overlap"])
    selection = slicer.app.applicationLogic().GetSelectionNode()
    assert selection.GetActivePlotChartID() == nodes["energy_chart"].GetID()
    assert selection.GetActiveTableID() == nodes["overlap"].GetID()


def test_desktop_changes_to_a_layout_with_the_plot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for Slicer Desktop's layout manager is told the layout that Slicer's own logics name."""

    class LayoutManager:
        layout = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView

        def setLayout(self, layout: int) -> None:
            self.layout = layout

    manager = LayoutManager()
    monkeypatch.setattr(slicer.app, "layoutManager", lambda: manager)
    _, nodes = shown()
    display.show_plot(nodes["energy_chart"])
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView
    display.show_table(nodes["overlap"])
    assert manager.layout in (
        slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView,
        slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotTableView,
    )


def test_image_stays_fitted_when_a_map_comes_over_it(view: views.SliceView) -> None:
    """The user's zoom and slice are not touched while the background stays."""
    made, nodes = shown()
    display.show_overlay(made.fixed, nodes["warped"])
    view.zoom(2.0)
    before = view.node.GetFieldOfView()
    display.show_jacobian(nodes["jacobian"], made.fixed)
    display.show_overlay(made.fixed, nodes["warped"])
    assert view.node.GetFieldOfView() == before


def test_image_of_a_slice_is_faced(view: views.SliceView) -> None:
    """Whatever plane a single slice is in, its picture fills the view."""
    for place in samples.SLICES:
        made = scene_results.slice_scene(place)
        warped = made.registration.warped
        assert isinstance(warped, Image)
        node = scene.volume_from_image(warped, "warped", scene.plane_of(made.fixed))
        display.show_overlay(made.fixed, node)
        assert np.count_nonzero(view.render()[..., 0] > 80) > 10000
