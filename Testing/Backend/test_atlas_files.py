"""BrainGlobe's atlases in every orientation, names of labels from files beside them, and bad files."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from regsuite import io
from regsuite.errors import InputError
from regsuite.spatial import Grid, LabelImage

SHAPE = (4, 6, 5)
STRUCTURES = [
    {"acronym": "root", "id": 997, "name": "root", "structure_id_path": [997], "rgb_triplet": [255, 255, 255]},
    {"acronym": "CH", "id": 567, "name": "Cerebrum", "structure_id_path": [997, 567], "rgb_triplet": [51, 0, 255]},
]


def atlas(folder: Path, orientation: str = "asr", steps: tuple[float, ...] = (100, 50, 25), **metadata: Any) -> Path:
    """An atlas whose reference counts its voxels and whose annotation is 997 with a corner of 567."""
    folder.mkdir(exist_ok=True)
    described = {"name": "toy_mouse", "orientation": orientation, "resolution": [*steps], "shape": [*SHAPE]} | metadata
    (folder / "metadata.json").write_text(json.dumps(described), encoding="utf-8")
    (folder / "structures.json").write_text(json.dumps(STRUCTURES), encoding="utf-8")
    tifffile.imwrite(
        folder / "reference.tiff", np.arange(120, dtype=np.uint16).reshape(SHAPE), photometric="minisblack"
    )
    annotation = np.full(SHAPE, 997, np.uint32)
    annotation[0, 0, 0] = 567
    tifffile.imwrite(folder / "annotation.tiff", annotation, compression="zlib", photometric="minisblack")
    return folder


ORIENTATIONS = [
    "".join(order) for sides in itertools.product("rl", "ap", "si") for order in itertools.permutations(sides)
]


class TestBrainGlobe:
    def test_as_stored(self, tmp_path: Path) -> None:
        reference, annotation = io.read_atlas(atlas(tmp_path))
        assert np.array_equal(reference.array(), np.arange(120).reshape(SHAPE))
        assert reference.name == "toy_mouse"
        assert reference.grid == annotation.grid
        assert annotation.values() == [567, 997]
        assert annotation.names == {997: "root", 567: "Cerebrum"}
        assert annotation.colours[567] == (0.2, 0.0, 1.0)

    def test_by_hand(self, tmp_path: Path) -> None:
        """'asr': the first voxel is that furthest to the front, above and to the right in a box of 0.4, 0.3, 0.125."""
        grid = io.read_atlas(atlas(tmp_path))[0].grid
        assert np.allclose(grid.to_world((0, 0, 0)), [0.125 - 0.0125, 0.4 - 0.05, 0.3 - 0.025])
        assert np.allclose(grid.to_world((3, 5, 4)), [0.0125, 0.05, 0.025])

    @pytest.mark.parametrize("orientation", ORIENTATIONS)
    def test_every_orientation(self, orientation: str, tmp_path: Path) -> None:
        grid = io.read_atlas(atlas(tmp_path, orientation))[0].grid
        toward = {"r": 0, "l": 0, "a": 1, "p": 1, "s": 2, "i": 2}
        for axis, letter in enumerate(orientation):
            step = np.zeros(3)
            step[toward[letter]] = (-1 if letter in "ras" else 1) * (0.1, 0.05, 0.025)[axis]
            index = np.eye(3)[axis]
            assert np.allclose(grid.to_world(index) - grid.to_world((0, 0, 0)), step)
        half = {toward[letter]: step / 2 for letter, step in zip(orientation, (0.1, 0.05, 0.025), strict=True)}
        assert np.allclose(grid.corners().min(axis=0), [half[0], half[1], half[2]])

    def test_folders_are_images_and_labels(self, tmp_path: Path) -> None:
        reference, annotation = io.read_atlas(atlas(tmp_path))
        assert np.array_equal(io.read_image(tmp_path).array(), reference.array())
        read = io.read_labels(str(tmp_path))
        assert np.array_equal(read.array(), annotation.array())
        assert read.names == annotation.names

    def test_quicknii_counts_from_the_origin(self, tmp_path: Path) -> None:
        grid = io.read_atlas(atlas(tmp_path, steps=(25, 25, 25)))[0].grid
        assert io.resolution_of(grid) == (5, 4, 6)
        matrix = io.matrix_of(io.AnchoredSection("", 1, 5, 6, (5, 2, 6, -5, 0, 0, 0, 0, -6)), (1, 1), grid)
        assert np.allclose(matrix @ [0, 0, 0, 1], [4.5 * 0.025, 0.05, 5.5 * 0.025, 1])


def damage(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (atlas(folder) / name).write_text(content, encoding="utf-8")


def large_label(folder: Path) -> None:
    tifffile.imwrite(atlas(folder) / "annotation.tiff", np.full(SHAPE, 2**31, np.uint32), photometric="minisblack")


def fractions(folder: Path) -> None:
    tifffile.imwrite(atlas(folder) / "annotation.tiff", np.ones(SHAPE, np.float32), photometric="minisblack")


def cut_reference(folder: Path) -> None:
    file = atlas(folder) / "reference.tiff"
    file.write_bytes(file.read_bytes()[:200])


class TestAtlasesThatCannotBeRead:
    @pytest.mark.parametrize(
        ("make", "sentence"),
        [
            (lambda folder: None, "metadata.json' does not exist"),
            (lambda folder: (atlas(folder) / "annotation.tiff").unlink(), "annotation.tiff' does not exist"),
            (lambda folder: (atlas(folder) / "structures.json").unlink(), "structures.json' does not exist"),
            (damage("metadata.json", "{"), "metadata.json' cannot be read"),
            (damage("metadata.json", "[]"), "metadata.json' cannot be read"),
            (damage("structures.json", '[{"id": 1}]'), "structures.json' cannot be read"),
            (damage("structures.json", "{}{"), "structures.json' cannot be read"),
            (damage("annotation.tiff", "hello"), "annotation.tiff' cannot be read"),
            (cut_reference, "reference.tiff' cannot be read"),
            (lambda folder: atlas(folder, "asx"), "lack an orientation"),
            (lambda folder: atlas(folder, "asp"), "lack an orientation"),
            (lambda folder: atlas(folder, "asr", (25, 25)), "lack an orientation"),
            (lambda folder: atlas(folder, "asr", (25, 25, 0)), "lack an orientation"),
            (lambda folder: atlas(folder, resolution="fine"), "lack an orientation"),
            (lambda folder: atlas(folder, shape=[1, 2, 3]), r"its metadata say \(1, 2, 3\)"),
            (lambda folder: tifffile.imwrite(atlas(folder) / "annotation.tiff", np.ones((4, 6), "u4")), "2 dimensions"),
            (fractions, "whole numbers"),
            (large_label, "has a label 2147483648"),
            (damage("manifest.json", "{}"), "brainglobe-atlasapi 3"),
        ],
    )
    def test_says_why(self, make: Callable[[Path], object], sentence: str, tmp_path: Path) -> None:
        make(tmp_path)
        with pytest.raises(InputError, match=sentence) as caught:
            io.read_atlas(tmp_path)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_other_folders_are_dicom(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="holds no DICOM series"):
            io.read_image(tmp_path)


SNAP = """# ITK-SnAP Label Description File
    0     0    0    0        0  0  0    "Clear Label"
    3   255    0   51        1  1  1    "Big, red"
"""

TABLES: dict[str, tuple[str, str, dict[int, str], dict[int, tuple[float, float, float]]]] = {
    "BIDS": (".tsv", "index\tname\tabbreviation\tcolor\n3\tBig, red\tBR\t#ff0033\n", {3: "Big, red"}, {3: (1, 0, 0.2)}),
    "no colours": (".tsv", "index\tname\tcolor\n3\tBig\tn/a\n4.0\tSmall\t\n", {3: "Big", 4: "Small"}, {}),
    "comma": (".csv", 'ID,Structure,R,G,B\n3,"Big, red",255,0,51\n', {3: "Big, red"}, {3: (1, 0, 0.2)}),
    "label is the name": (".csv", "value,label\n3,Big\n", {3: "Big"}, {}),
    "label is the number": (".csv", "label,name,color\n3,Big,FF0033\n", {3: "Big"}, {3: (1, 0, 0.2)}),
    "Slicer's table": (
        ".csv",
        "LabelValue,Name,Color_R,Color_G,Color_B\n3,Big,255,0,51\n",
        {3: "Big"},
        {3: (1, 0, 0.2)},
    ),
    "Slicer": (".ctbl", "# Color table file\n# 1 values\n3 Big_one 255 0 51 255\n", {3: "Big one"}, {3: (1, 0, 0.2)}),
    "ITK-SNAP": (".txt", SNAP, {0: "Clear Label", 3: "Big, red"}, {0: (0, 0, 0), 3: (1, 0, 0.2)}),
    "another table": (".csv", "volume,side\n3,left\n", {}, {}),
    "another text": (".txt", "Made on a Tuesday.\n", {}, {}),
    "nothing": (".tsv", "", {}, {}),
}


class TestNamesOfLabels:
    @pytest.fixture
    def image(self, tmp_path: Path) -> Path:
        labels = LabelImage.from_array(np.full((2, 3, 4), 3), Grid.regular((2, 3, 4)))
        io.write_labels(tmp_path / "atlas.nii.gz", labels)
        return tmp_path / "atlas.nii.gz"

    @pytest.mark.parametrize("name", TABLES)
    def test_are_read(self, name: str, image: Path) -> None:
        suffix, text, names, colours = TABLES[name]
        (image.parent / f"atlas{suffix}").write_text(text, encoding="utf-8")
        (image.parent / "other.tsv").write_text("index\tname\n3\tWrong\n", encoding="utf-8")
        labels = io.read_labels(image)
        assert labels.names == names
        assert labels.colours.keys() == colours.keys()
        assert all(labels.colours[value] == pytest.approx(colours[value]) for value in colours)

    def test_those_of_a_segmentation_come_first(self, tmp_path: Path) -> None:
        labels = LabelImage.from_array(np.full((2, 3, 4), 3), Grid.regular((2, 3, 4)), {3: "Inside"})
        io.write_labels(tmp_path / "a.seg.nrrd", labels)
        (tmp_path / "a.tsv").write_text("index\tname\n3\tBeside\n", encoding="utf-8")
        assert io.read_labels(tmp_path / "a.seg.nrrd").names == {3: "Inside"}

    @pytest.mark.parametrize(
        ("suffix", "text"),
        [
            (".tsv", "index\tname\nthree\tBig\n"),
            (".tsv", "index\tname\n3.5\tBig\n"),
            (".tsv", "index\tname\tcolor\n3\tBig\treddish\n"),
            (".csv", "id,name,r,g,b\n3,Big,256,0,0\n"),
            (".ctbl", "3 Big 255\n"),
            (".ctbl", "3 Big 255 0 none 255\n"),
            (".txt", SNAP + "and so on\n"),
        ],
    )
    def test_says_why(self, suffix: str, text: str, image: Path) -> None:
        (image.parent / f"atlas{suffix}").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="names of labels in") as caught:
            io.read_labels(image)
        assert f"atlas{suffix}" in str(caught.value)
        assert "\n" not in str(caught.value)
