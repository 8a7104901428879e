"""Radial slices that cannot be used, in a scene: one sentence, and the scene as it was; and labels slice by slice."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from RegistrationSuiteLib import run_headless, scene
from RegistrationSuiteLib.logic import MethodLogic, Request
from RegistrationSuiteLib.scene.nodes import all_nodes
from regsuite import catalog, io
from regsuite.errors import Cancelled, InputError
from regsuite.progress import Progress
from regsuite.spatial import Grid, LabelImage

sys.path.append(str(Path(__file__).resolve().parents[1] / "Backend"))
import radial_samples as samples
from radial_faults import FAULTS, Files, drawn, good

pytestmark = pytest.mark.usefixtures("session")

KINDS = {item.role: item.kind for item in catalog.method("hip-qmri").inputs}


def ids() -> set[str]:
    return {node.GetID() for node in all_nodes()}


def loaded(files: Files) -> dict[str, Any]:
    """Nodes by role, as a headless run loads them."""
    return {
        role: run_headless.load(KINDS[role], role, list(map(str, path)) if isinstance(path, list) else str(path))
        for role, path in files.items()
    }


@pytest.fixture
def nodes(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "good").mkdir()
    return loaded(good(tmp_path / "good"))


@pytest.mark.parametrize("name", FAULTS)
def test_one_sentence_and_the_scene_as_it_was(name: str, nodes: dict[str, Any], tmp_path: Path) -> None:
    """Of files that cannot be loaded nothing is left either."""
    made, sentence = FAULTS[name]
    files = made(tmp_path)
    before = ids()
    with pytest.raises(InputError, match=sentence) as caught:  # noqa: PT012
        given = {**nodes, **loaded(files)}
        before = ids()
        MethodLogic(["hip-qmri"]).register(**given, device="cpu")
    assert "\n" not in str(caught.value)
    assert ids() == before


def test_cancel_leaves_the_scene(nodes: dict[str, Any]) -> None:
    class Ending(Progress):
        def step(self, fraction: float, message: str = "") -> None:
            if message == "arranging the slices":
                raise Cancelled

    before = ids()
    with pytest.raises(Cancelled):
        MethodLogic(["hip-qmri"]).register(**nodes, progress=Ending(), device="cpu")
    assert ids() == before


def test_a_segmentation_that_was_not_drawn_on_the_stack(nodes: dict[str, Any], tmp_path: Path) -> None:
    """Which of its parts were which slice nothing tells; a label volume is taken as it is."""
    labels = io.read_labels(drawn(tmp_path, slice(5)))
    elsewhere = scene.segmentation_from_labels(labels, "elsewhere")
    with pytest.raises(InputError, match="'elsewhere' was not drawn on the stack 'T2', whose slices it is to show"):
        Request("hip-qmri", {**nodes, "slice_labels": elsewhere}).job()
    stack = scene.grid_of(nodes["slices"][0])
    on_it = dataclasses.replace(labels, grid=stack.cropped([0, 0, 0], labels.grid.shape))
    there = scene.segmentation_from_labels(on_it, "there")
    found = Request("hip-qmri", {**nodes, "slice_labels": there}).job().inputs["slice_labels"].array()
    np.testing.assert_array_equal(found[:5] > 0, labels.array() > 0)
    assert not found[5].any()


def test_a_node_of_labels_for_each_slice(nodes: dict[str, Any]) -> None:
    """Label volumes and segmentations, in the slices' order; one name is one label, whatever its value."""
    whole, stack = samples.coarse_case().labels.array(), scene.grid_of(nodes["slices"][0])
    each = []
    for row, layer in enumerate(whole):
        grid = stack.cropped([row, 0, 0], [1, *layer.shape])
        part = LabelImage.from_array(layer[None] * (row + 1), grid, {row + 1: "Femur"})
        make = scene.segmentation_from_labels if row % 2 else scene.labelmap_from_labels
        each.append(make(part, f"part {row}"))
    found = Request("hip-qmri", {**nodes, "slice_labels": each}).job().inputs["slice_labels"]
    np.testing.assert_array_equal(found.array(), whole)
    assert found.names == {1: "Femur"}
    with pytest.raises(InputError, match="4 segmentations were given for 6 slices: give one for each, in their order"):
        Request("hip-qmri", {**nodes, "slice_labels": each[:4]}).job()
    with pytest.raises(InputError, match="'T2' has fractional values and holds no labels"):
        Request("hip-qmri", {**nodes, "slice_labels": [*each[:5], nodes["slices"][0]]}).job()


def test_a_segmentation_for_each_slice_with_a_pose_of_its_own(nodes: dict[str, Any]) -> None:
    """Each is taken where its slice lies."""
    case = samples.coarse_case()
    poses = [Grid.from_affine((1, 36, 40), _turned(angle)) for angle in range(0, 180, 30)]
    maps = {"T2": tuple(dataclasses.replace(a, grid=g) for a, g in zip(case.slices.maps["T2"], poses, strict=True))}
    apart = dataclasses.replace(case.slices, maps=maps, units={"T2": "ms"}, quantities=frozenset(["T2"]), distinct=True)
    parts = [
        scene.segmentation_from_labels(LabelImage.from_array(layer[None], grid, {1: "Femur"}), f"part {row}")
        for row, (layer, grid) in enumerate(zip(case.labels.array(), poses, strict=True))
    ]
    given = {**nodes, "slices": scene.nodes_from_slices(apart), "slice_labels": parts}
    np.testing.assert_array_equal(Request("hip-qmri", given).job().inputs["slice_labels"].array(), case.labels.array())


def _turned(angle: float) -> np.ndarray:
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[-sine * 4, 0, cosine * 3.8], [cosine * 4, 0, sine * 3.8], [0, 3.8, 0]])
    affine[:3, 3] = -affine[:3, 1] * 17.5 - affine[:3, 2] * 19.5
    return affine
