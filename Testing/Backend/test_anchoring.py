"""Anchorings by hand on atlases of every orientation, files of QuickNII, VisuAlign and DeepSlice, and bad files."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backend_samples import GRIDS
from regsuite import io
from regsuite.errors import InputError
from regsuite.io.anchoring import ALLEN_TARGET, ALLEN_VOXEL, target_matrix
from regsuite.spatial import Grid

ALLEN = Grid.from_affine(
    (132, 80, 114), np.array([[0, 0, -0.1, 11.35], [-0.1, 0, 0, 13.15], [0, -0.1, 0, 7.95], [0, 0, 0, 1]])
)
"""The box of the Allen atlas, 11.4 x 13.2 x 8 mm, its lower corner at the origin, stored as 'asr' in 0.1 mm."""

CORONAL = (456.0, 264.0, 320.0, -456.0, 0.0, 0.0, 0.0, 0.0, -320.0)
"""The plane halfway from the back to the front, seen from the front: the picture's left is the animal's right."""

IN_3D = [name for name in GRIDS if name.endswith("3d")]


def section(anchoring: tuple[float, ...] | None = CORONAL, width: int = 912, height: int = 640) -> io.AnchoredSection:
    return io.AnchoredSection("a_s054.png", 54, width, height, anchoring)  # type: ignore[arg-type]


def at(matrix: np.ndarray, column: float, row: float, pixel: tuple[float, float]) -> np.ndarray:
    """RAS mm of the atlas of a point in pixels, whole numbers being their centres."""
    grid = io.section_grid(10, 10, pixel)
    return (matrix @ [*grid.to_world((0, row, column)), 1])[:3]


class TestMatrices:
    def test_by_hand(self) -> None:
        """912 x 640 pixels over 456 x 320 voxels of 25 µm: 12.5 µm a pixel, and corners at faces of the box."""
        pixel = (0.0125, 0.0125)
        matrix = io.matrix_of(section(), pixel, ALLEN, 0.025)
        assert np.allclose(at(matrix, -0.5, -0.5, pixel), [11.4, 6.6, 8.0])
        assert np.allclose(at(matrix, 911.5, -0.5, pixel), [0, 6.6, 8.0])
        assert np.allclose(at(matrix, -0.5, 639.5, pixel), [11.4, 6.6, 0])
        assert np.allclose(at(matrix, 0, 0, pixel), [11.4 - 0.00625, 6.6, 8.0 - 0.00625])
        assert np.allclose(at(matrix, 455.5, 319.5, pixel), [5.7, 6.6, 4.0])
        # R of the section stays R; A of it, which is up in the picture, is S of the atlas; S of it points back.
        assert np.allclose(matrix[:3, :3], [[1, 0, 0], [0, 0, -1], [0, 1, 0]])

    def test_the_size_of_the_pixels_is_taken_into_account(self) -> None:
        small, large = (io.matrix_of(section(), (size, 2 * size), ALLEN, 0.025) for size in (0.01, 0.03))
        assert np.allclose(at(small, 100, 70, (0.01, 0.02)), at(large, 100, 70, (0.03, 0.06)))
        assert np.allclose(np.linalg.norm(small[:3, 2]), 1)

    def test_voxels_are_those_of_the_grid_unless_told(self) -> None:
        quarter = tuple(value / 4 for value in CORONAL)
        fine, own = io.matrix_of(section(), (1, 1), ALLEN, 0.025), io.matrix_of(section(quarter), (1, 1), ALLEN)
        assert np.allclose(fine, own)
        assert io.resolution_of(ALLEN) == (114, 132, 80)
        assert io.resolution_of(ALLEN, ALLEN_VOXEL) == (456, 528, 320)

    @pytest.mark.parametrize("signs", [*itertools.product([1, -1], repeat=3)])
    @pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
    def test_how_the_atlas_is_stored_does_not_matter(self, order: tuple[int, ...], signs: tuple[int, ...]) -> None:
        """The same box of 3 x 4 x 5 mm, its lower corner at (10, 20, 30), in voxels of 0.5 mm."""
        low, lengths = np.array([10.0, 20.0, 30.0]), np.array([3.0, 4.0, 5.0])
        affine = np.eye(4)
        affine[:3, :3] = 0
        for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
            affine[world, axis] = sign * 0.5
            affine[world, 3] = low[world] + (0.25 if sign > 0 else lengths[world] - 0.25)
        grid = Grid.from_affine([round(lengths[world] / 0.5) for world in order], affine)
        expected = np.diag([0.5, 0.5, 0.5, 1.0])
        expected[:3, 3] = low
        assert np.allclose(target_matrix(grid), expected)
        assert io.resolution_of(grid) == (6, 8, 10)

    @pytest.mark.parametrize("name", IN_3D)
    @pytest.mark.parametrize("voxel", [None, 0.4, (0.1, 0.2, 0.3)])
    def test_there_and_back(self, name: str, voxel: Any) -> None:
        grid, pixel = GRIDS[name], (0.02, 0.03)
        anchoring = tuple(np.random.default_rng(0).normal(0, 100, 9).tolist())
        matrix = io.matrix_of(section(anchoring), pixel, grid, voxel)
        assert np.allclose(io.anchoring_of(matrix, 912, 640, pixel, grid, voxel), anchoring)
        assert np.linalg.det(matrix[:3, :3]) > 0
        # A point of the picture is where QuickNII's formula puts it.
        voxels = np.array(anchoring[:3]) + np.array(anchoring[3:6]) * 0.25 + np.array(anchoring[6:]) * 0.75
        expected = target_matrix(grid, voxel) @ [*voxels, 1]
        assert np.allclose(at(matrix, 228 - 0.5, 480 - 0.5, pixel), expected[:3])

    def test_any_size_of_the_picture_gives_the_same_anchoring(self) -> None:
        matrix = io.matrix_of(section(), (0.0125, 0.0125), ALLEN, 0.025)
        half = matrix @ np.array([[1, 0, 0, -0.00625], [0, 1, 0, -0.00625], [0, 0, 1, 0], [0, 0, 0, 1]])
        assert np.allclose(io.anchoring_of(half, 456, 320, (0.025, 0.025), ALLEN, 0.025), CORONAL)

    @pytest.mark.parametrize(
        "bad", [section(None), section((0.0,) * 9), section(CORONAL, width=0), section((*CORONAL[:6], -9.0, 0.0, 0.0))]
    )
    def test_without_an_area_there_is_no_matrix(self, bad: io.AnchoredSection) -> None:
        with pytest.raises(ValueError, match=r"not anchored|no area"):
            io.matrix_of(bad, (1, 1), ALLEN)


SERIES = io.AnchoredSeries(
    name="Mouse & <friends>",
    target=ALLEN_TARGET,
    sections=(
        io.AnchoredSection("a_s001.png", 1, 1000, 700, (0.1, 2 / 3, 1e-9, -4.5, 5.0, 6.0, 7.0, 8.0, -9e5)),
        io.AnchoredSection("b_s002.png", 2, 1001, 701),
    ),
    resolution=(456, 528, 320),
)

MARKED = io.AnchoredSeries(
    "m", "t", (io.AnchoredSection("a.png", 7, 10, 20, CORONAL, ((1.5, 2.0, 3.0, 4.25), (5.0, 6.0, 7.0, 8.0))),)
)  # type: ignore[arg-type]

QUICKNII = """<?xml version='1.0' encoding='UTF-8'?>
<series name='My series' target='ABA_Mouse_CCFv3_2017_25um.cutlas' target-resolution='456 528 320'>
    <slice filename='x_s005.png' nr='5' width='1500' height='1000'
        anchoring='ox=456&amp;oy=264&amp;oz=320&amp;ux=-456.5&amp;uy=0&amp;uz=1e-3&amp;vx=0&amp;vy=0&amp;vz=-320'/>
    <slice filename='x_s007.png' nr='7' width='1500' height='1000'/>
</series>
"""

VISUALIGN = """{"name":"","target":"WHS","target-resolution":[512.0, 1024.0, 512.0],"slices":[
{"filename":"r_s1.png","nr":1,"width":100,"height":50,"anchoring":[1.0, 2, 3, 4, 5, 6, 7, 8, 9],
"markers":[[10.0, 20.5, 11.0, 21.0]]},
{"filename":"r_s2.png","nr":2,"width":100,"height":50,"anchoring":[]}]}
"""

DEEPSLICE = """Filenames,ox,oy,oz,ux,uy,uz,vx,vy,vz,width,height,nr,bad_section,depths
a_s004.png,494.7,454.0,335.4,-518.2,-3.9,-18.2,9.1,-7.8,-375.7,1024,670,4,False,441.2
"""


class TestFiles:
    @pytest.mark.parametrize(("name", "series"), [("x.json", SERIES), ("x.xml", SERIES), ("x.json", MARKED)])
    def test_round_trip(self, name: str, series: io.AnchoredSeries, tmp_path: Path) -> None:
        io.write_series(tmp_path / name, series)
        assert io.read_series(tmp_path / name) == series
        assert [file.name for file in tmp_path.iterdir()] == [name]

    def test_quicknii(self, tmp_path: Path) -> None:
        (tmp_path / "x.xml").write_text(QUICKNII, encoding="utf-8")
        series = io.read_series(tmp_path / "x.xml")
        assert (series.name, series.target, series.resolution) == ("My series", ALLEN_TARGET, (456, 528, 320))
        first, second = series.sections
        assert first == io.AnchoredSection("x_s005.png", 5, 1500, 1000, (456, 264, 320, -456.5, 0, 1e-3, 0, 0, -320))
        assert second.anchoring is None

    def test_visualign(self, tmp_path: Path) -> None:
        (tmp_path / "x.json").write_text(VISUALIGN, encoding="utf-8")
        series = io.read_series(tmp_path / "x.json")
        assert series.resolution == (512, 1024, 512)
        assert series.sections[0].markers == ((10.0, 20.5, 11.0, 21.0),)
        assert series.sections[0].anchoring == (1, 2, 3, 4, 5, 6, 7, 8, 9)
        assert series.sections[1].anchoring is None

    def test_what_visualign_reads(self, tmp_path: Path) -> None:
        io.write_series(tmp_path / "x.json", MARKED)
        content = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
        assert content["slices"] == [
            {"filename": "a.png", "nr": 7, "width": 10, "height": 20, "anchoring": [*CORONAL]}
            | {"markers": [[1.5, 2.0, 3.0, 4.25], [5.0, 6.0, 7.0, 8.0]]}
        ]

    def test_deepslice(self, tmp_path: Path) -> None:
        (tmp_path / "predictions.csv").write_text(DEEPSLICE, encoding="utf-8")
        series = io.read_series(tmp_path / "predictions.csv")
        anchoring = (494.7, 454.0, 335.4, -518.2, -3.9, -18.2, 9.1, -7.8, -375.7)
        assert series == io.AnchoredSeries(
            "predictions", "", (io.AnchoredSection("a_s004.png", 4, 1024, 670, anchoring),)
        )

    def test_deepslice_without_sizes(self, tmp_path: Path) -> None:
        (tmp_path / "x.csv").write_text("Filenames,ox,oy,oz,ux,uy,uz,vx,vy,vz\na.png,1,2,3,4,5,6,7,8,9\n")
        assert io.read_series(tmp_path / "x.csv").sections == (
            io.AnchoredSection("a.png", 1, 0, 0, (1, 2, 3, 4, 5, 6, 7, 8, 9)),
        )

    def test_a_size_that_is_not_said(self, tmp_path: Path) -> None:
        """DeepSlice's first versions wrote -999."""
        text = VISUALIGN.replace('"width":100,"height":50', '"width":-999,"height":-999')
        (tmp_path / "x.json").write_text(text, encoding="utf-8")
        assert {(part.width, part.height) for part in io.read_series(tmp_path / "x.json").sections} == {(0, 0)}

    def test_names_are_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "x.json").write_text(VISUALIGN.replace("r_s1.png", "../../etc/passwd"), encoding="utf-8")
        assert io.read_series(tmp_path / "x.json").sections[0].filename == "../../etc/passwd"


class TestFilesThatCannotBeUsed:
    @pytest.mark.parametrize(
        ("name", "text", "sentence"),
        [
            ("x.json", None, "does not exist"),
            ("x.txt", "", "use one of .json, .xml, .csv"),
            ("x.json", "{", "cannot be read as a series"),
            ("x.json", "[" * 100_000, "cannot be read as a series"),
            ("x.json", "[]", "cannot be read as a series"),
            ("x.json", '{"slices": [{}]}', "cannot be read as a series"),
            ("x.json", '{"slices": []}', "holds no sections"),
            ("x.json", VISUALIGN.replace("8, 9]", "8]"), "cannot be read as a series"),
            ("x.json", VISUALIGN.replace("8, 9]", "8, NaN]"), "cannot be read as a series"),
            ("x.json", VISUALIGN.replace('"nr":1,', '"nr":1e999,'), "cannot be read as a series"),
            ("x.json", VISUALIGN.replace("10.0, 20.5, ", ""), "cannot be read as a series"),
            ("x.xml", QUICKNII[:150], "is complete"),
            ("x.xml", QUICKNII.replace("series", "figures"), "cannot be read as a series"),
            ("x.xml", QUICKNII.replace("oy=264", "oy=here"), "cannot be read as a series"),
            ("x.xml", QUICKNII.replace("oy=264&amp;", ""), "cannot be read as a series"),
            ("x.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><series/>", "not safe to read"),
            ("x.xml", "<series/>", "holds no sections"),
            ("x.csv", "a,b\n1,2\n", "cannot be read as a series"),
            ("x.csv", DEEPSLICE.replace("454.0", ""), "cannot be read as a series"),
            ("x.csv", "", "holds no sections"),
        ],
    )
    def test_says_why(self, name: str, text: str | None, sentence: str, tmp_path: Path) -> None:
        if text is not None:
            (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=sentence) as caught:
            io.read_series(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("write", "sentence"),
        [
            (lambda folder: io.write_series(folder / "x.xml", MARKED), "cannot hold VisuAlign's markers"),
            (lambda folder: io.write_series(folder / "x.csv", SERIES), "use one of .json, .xml"),
            (lambda folder: io.write_series(folder / "nowhere" / "x.json", SERIES), "does not exist"),
        ],
    )
    def test_writing_says_why(self, write: Callable[[Path], None], sentence: str, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=sentence):
            write(tmp_path)
        assert not list(tmp_path.iterdir())
