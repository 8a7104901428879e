"""Off-screen views show the right voxels in the right place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pictures
import pytest
import scene_samples as samples
import SimpleITK as sitk
import slicer
import slicer.util
import vtk
from RegistrationSuiteLib import views
from RegistrationSuiteLib.scene.nodes import all_nodes

pytestmark = pytest.mark.usefixtures("session")

SIZE = (240, 200)


def marked_volume():
    """60 mm a side, dark, with bright blocks at the right, the anterior and the superior end."""
    array = np.full((30, 30, 30), 20.0, dtype=np.float32)
    array[:, :, 26:] = 100.0
    array[:, 26:, :] = 200.0
    array[26:, :, :] = 250.0
    matrix = samples.ijk_to_ras(np.eye(3), (2, 2, 2), (-29, -29, -29))
    node = samples.add_volume(matrix, (30, 30, 30), "marked", array)
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevelMinMax(0, 255)
    return node


@pytest.mark.parametrize(
    ("orientation", "left", "right", "top"),
    [("Axial", 100, 20, 200), ("Coronal", 100, 20, 250), ("Sagittal", 200, 20, 250)],
)
def test_anatomical_sides_are_where_a_radiologist_expects_them(
    orientation: views.Orientation, left: int, right: int, top: int
) -> None:
    """Right on the picture's left in axial and coronal, anterior on the left in sagittal, superior on top."""
    with views.SliceView(orientation, size=SIZE, letters=False) as view:
        picture = view.show(marked_volume()).render()
    pictures.keep(f"sides {orientation}", [(orientation, picture)])
    rows, columns = SIZE[1], SIZE[0]
    inside = (columns - rows) // 2
    assert picture[rows // 2, inside + 10, 0] == pytest.approx(left, abs=2)
    assert picture[rows // 2, columns - inside - 10, 0] == pytest.approx(right, abs=2)
    assert picture[10, columns // 2, 0] == pytest.approx(top, abs=2)


def test_offset_and_jump_choose_the_slice() -> None:
    array = np.repeat(np.arange(20, dtype=np.float32)[:, None, None] * 10, 20, 1).repeat(20, 2)
    node = samples.add_volume(np.eye(4), (20, 20, 20), "stairs", array)
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevelMinMax(0, 255)
    with views.SliceView(size=SIZE, letters=False) as view:
        view.show(node)
        view.set_offset(7)
        assert view.render()[100, 120, 0] == pytest.approx(70, abs=2)
        view.jump_to((10, 10, 15))
        assert view.render()[100, 120, 0] == pytest.approx(150, abs=2)


def test_oblique_slice_follows_its_matrix() -> None:
    """In the volume's own plane, although that is oblique, the picture is the array's slice."""
    place = samples.VOLUMES["oblique"]
    array = np.zeros((10, 20, 30), dtype=np.float32)
    array[5, :, 15:] = 200
    node = samples.add_volume(place, (30, 20, 10), "half", array)
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevelMinMax(0, 255)
    matrix = place.copy()
    matrix[:3, 3] = (place @ [14.5, 9.5, 5, 1])[:3]
    with views.SliceView(matrix, size=(300, 200), letters=False) as view:
        view.show(node)
        view.node.GetSliceToRAS().DeepCopy(slicer.util.vtkMatrixFromArray(matrix))
        view.node.UpdateMatrices()
        picture = view.render()
    bright = np.flatnonzero(picture[100, :, 0] > 100)
    assert bright.min() == pytest.approx(150, abs=3)


def test_zoom_magnifies() -> None:
    with views.SliceView(size=SIZE, letters=False) as view:
        view.show(marked_volume())
        before = np.count_nonzero(view.render()[100, :, 0] == 20)
        view.zoom(0.5)
        assert np.count_nonzero(view.render()[100, :, 0] == 20) == pytest.approx(before / 2, abs=3)


def test_surface_is_seen_in_3d_from_any_side() -> None:
    """A red ball in front of a green one; from behind the green one hides it."""
    for colour, place in (((1, 0, 0), 20), ((0, 1, 0), -20)):
        sphere = vtk.vtkSphereSource()
        sphere.SetCenter(0, place, 0)
        sphere.SetRadius(8)
        sphere.Update()
        slicer.modules.models.logic().AddModel(sphere.GetOutput()).GetDisplayNode().SetColor(*colour)
    with views.ThreeDView(size=SIZE) as view:
        view.look_from((0, 1, 0))
        front = view.render()
        view.look_from((0, -1, 0))
        back = view.render()
        view.look_from((1, 0, 0))
        side = view.render()
    pictures.keep("balls", [("front", front), ("back", back), ("side", side)])

    def count(picture: np.ndarray, channel: int) -> int:
        other = 1 - channel
        return int(np.count_nonzero(picture[..., channel].astype(int) - picture[..., other] > 80))

    assert count(front, 0) > 200 > count(front, 1)
    assert count(back, 1) > 200 > count(back, 0)
    assert count(side, 0) > 200 < count(side, 1)


def test_two_views_show_different_images() -> None:
    dark, bright = (samples.add_volume(np.eye(4), (9, 9, 9), array=np.full((9, 9, 9), v, "f4")) for v in (10, 200))
    for node in (dark, bright):
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevelMinMax(0, 255)
    with views.SliceView(name="Red", size=SIZE) as first, views.SliceView(name="Green", size=SIZE) as second:
        first.show(dark)
        second.show(bright)
        assert first.render()[100, 120, 0] == pytest.approx(10, abs=2)
        assert second.render()[100, 120, 0] == pytest.approx(200, abs=2)


def test_closed_views_leave_at_most_a_camera_behind() -> None:
    """As in Slicer, where the camera of a 3D view stays with the scene and is found again."""
    volume = marked_volume()
    before = {node.GetID() for node in all_nodes()}
    with views.SliceView() as view, views.ThreeDView() as space:
        view.show(volume).render()
        space.render()
    left = {node.GetClassName() for node in all_nodes() if node.GetID() not in before}
    assert left <= {"vtkMRMLCameraNode"}


def test_view_of_a_loaded_scene_works(tmp_path: Path) -> None:
    with views.SliceView(size=SIZE) as view, views.ThreeDView(size=SIZE):
        expected = view.show(marked_volume()).render()
        slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    with views.SliceView(size=SIZE) as view, views.ThreeDView(size=SIZE) as space:
        space.render()
        picture = view.show(slicer.util.getNode("marked")).render()
    assert pictures.difference(picture, expected).max() <= 2


def test_png_is_what_was_rendered(tmp_path: Path) -> None:
    with views.SliceView(size=SIZE) as view:
        picture = view.show(marked_volume()).render()
    views.save_png(picture, tmp_path / "sub" / "view.png")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "sub" / "view.png"))), picture)


def test_panel_puts_titles_above_pictures() -> None:
    red = np.full((40, 60, 3), (255, 0, 0), dtype=np.uint8)
    blue = np.full((40, 60, 3), (0, 0, 255), dtype=np.uint8)
    sheet = views.panel([[("left", red), ("right", blue)], [("", red)]])
    assert np.count_nonzero((sheet == (255, 0, 0)).all(axis=-1)) == 2 * red.shape[0] * red.shape[1]
    first_row = np.flatnonzero((sheet == (255, 0, 0)).all(axis=-1).any(axis=1))[0]
    assert np.count_nonzero(sheet[:first_row].max(axis=-1) < 128) > 20, "the titles' letters"


def test_machine_without_graphics_is_told_so() -> None:
    """No EGL: OSMesa draws, or one sentence says what is missing; the process never crashes."""
    code = (
        "from RegistrationSuiteLib import views\n"
        "try:\n"
        "    with views.SliceView() as view: view.render()\n"
        "    print('drawn')\n"
        "except RuntimeError as error:\n"
        "    print(error)\n"
    )
    hidden = {**os.environ, "__EGL_VENDOR_LIBRARY_FILENAMES": "/nonexistent"}
    hidden.pop("DISPLAY", None)
    ended = subprocess.run([sys.executable, "-c", code], env=hidden, capture_output=True, text=True, check=False)
    assert ended.returncode == 0
    assert ended.stdout.strip().splitlines()[-1].startswith(("drawn", "Nothing here can draw pictures"))
