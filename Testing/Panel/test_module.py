"""The module's console call and its own self-test."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import slicer.util
from conftest import contents
from RegistrationSuiteLib import samples, scene
from regsuite.errors import InputError
from Rig import simulation


def test_console_and_panel_give_the_same_transform(module: simulation.LoadedModule, panel: Any) -> None:
    from conftest import wait

    nodes = samples.tumour_head_2d()
    for role in ("fixed", "moving", "mask"):
        panel.form.inputs[role].selector.setCurrentNode(nodes[role])
    iterations = next(each for each in panel.form.forms.fields if each.parameter.name == "iterations")
    iterations.widget.value = 3
    panel.ui.seedSpinBox.value = 5
    panel.ui.applyButton.click()
    wait(lambda: not panel.runner.running, 300)
    inputs = (nodes["fixed"], nodes["moving"], nodes["mask"])
    first = panel.form.method.presets[0].name  # which the panel opens with
    console = module.logic().register(*inputs, preset=first, iterations=3, seed=5)
    grid = scene.grid_of(nodes["fixed"])
    points = grid.to_world(np.argwhere(np.ones(grid.shape)))
    moved = [
        scene.transform_from_node(each, nodes["fixed"])(_flat(points)).numpy()
        for each in (console["transform"], panel.state.results()["transform"])
    ]
    assert np.abs(moved[0] - _flat(points).numpy()).max() > 1
    assert np.abs(moved[0] - moved[1]).max() < 1e-3
    warped = [slicer.util.arrayFromVolume(each) for each in (console["warped"], panel.state.results()["warped"])]
    assert np.allclose(*warped, atol=1e-4)


def _flat(points: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(points[:, :2].copy())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "magic"}, "There is no method 'magic' here: choose one of weighted-metamorphosis"),
        ({"preset": "magic"}, "has no preset 'magic'"),
        ({"regularity": -1.0}, "'regularity' is -1.0, outside its range"),
        ({"speed": 3}, "has no parameter 'speed'"),
        ({"moving": None}, "needs the input 'Moving image': choose a node for it"),
        ({"method": "lddmm"}, "LDDMM takes no input 'mask'"),
        ({"mask": None}, "This method needs a lesion mask, the input 'mask' on the fixed image or 'moving_mask'"),
    ],
)
def test_the_console_refuses_in_one_sentence(
    module: simulation.LoadedModule, options: dict[str, Any], sentence: str
) -> None:
    nodes = samples.tumour_head_2d()
    inputs = {role: nodes[role] for role in ("fixed", "moving", "mask")} | options
    before = contents()
    with pytest.raises(InputError, match=sentence):
        module.logic().register(**inputs)
    assert contents() == before


# --- nodes by name ---


def test_nodes_are_given_by_name_or_id(module: simulation.LoadedModule, stand_in: Any) -> None:
    from RegistrationSuiteLib.logic import MethodLogic

    nodes = samples.tumour_head_3d()
    mine = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "mine")
    logic = MethodLogic([stand_in.NAME])
    made = logic.register(nodes["fixed"].GetName(), nodes["moving"].GetID(), outputs={"transform": "mine"})
    assert made["transform"] is mine
    same = logic.register(nodes["fixed"], nodes["moving"])["transform"]
    moved = [each.GetTransformFromParent().TransformPoint((1.0, 2.0, 3.0)) for each in (mine, same)]
    assert moved[0] == moved[1] != (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("fixed", "sentence"),
    [
        ("nobody", "no node with the name or ID 'nobody' for the input 'fixed': load it"),
        ("", "no node with the name or ID '' for"),
        ("twin", r"^2 nodes are called 'twin': give one of the IDs vtkMRML\w+1, vtkMRML\w+ for the input 'fixed'\.$"),
        (np.zeros((3, 3)), "The input 'fixed' is of type ndarray: give a node of the scene, its name or its ID"),
        (7, "is of type int: give a node"),
    ],
    ids=["nobody", "nothing", "twins", "array", "number"],
)
def test_what_is_no_node_is_refused(module: simulation.LoadedModule, fixed: Any, sentence: str) -> None:
    for kind in ("vtkMRMLModelNode", "vtkMRMLTransformNode"):
        slicer.mrmlScene.AddNewNodeByClass(kind, "twin")
    nodes = samples.tumour_head_2d()
    before = contents()
    with pytest.raises(InputError, match=sentence):
        module.logic().register(fixed, nodes["moving"], nodes["mask"])
    assert contents() == before


def test_the_console_shows_what_a_run_logs(
    module: simulation.LoadedModule, stand_in: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from RegistrationSuiteLib.logic import MethodLogic

    nodes = samples.tumour_head_3d()
    MethodLogic([stand_in.NAME]).register(nodes["fixed"], nodes["moving"])
    assert capsys.readouterr().out == f"{stand_in.LOGGED}\n{stand_in.NOTE}\n"


def test_the_headless_script_writes_and_tells_the_same(
    module: simulation.LoadedModule, stand_in: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from RegistrationSuiteLib import run_headless
    from regsuite import io, phantoms

    case, words = phantoms.small_tumour_3d((24, 26, 24), spacing=4.0), ["stand-in", "--out", str(tmp_path / "out")]
    for role, value in case.inputs.items():
        path = tmp_path / (f"{role}.nii.gz" if role in ("fixed", "moving") else f"{role}.seg.nrrd")
        (io.write_image if role in ("fixed", "moving") else io.write_labels)(path, value)
        words += ["--" + role.replace("_", "-"), str(path)]
    assert run_headless.main(words) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"Note: {stand_in.NOTE}"
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["notes"] == [stand_in.NOTE]
    carried = io.read_labels(tmp_path / "out" / report["files"]["mask_on_moving"])
    assert carried.names == {1: "Lesion"}
    assert carried.grid.same_as(case.moving.grid)
    assert html.escape(stand_in.NOTE) in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_console_takes_every_declared_input(module: simulation.LoadedModule, stand_in: Any) -> None:
    from RegistrationSuiteLib.logic import MethodLogic

    nodes = samples.tumour_head_3d()
    others = {"moving_mask": nodes["mask"], "moving_labels": "Head healthy structures"}
    logic = MethodLogic([stand_in.NAME, "lddmm"])
    made = logic.register(nodes["fixed"], nodes["moving"], nodes["mask"], **others, seconds=0.0)
    assert {"mask_on_moving", "warped_labels"} <= set(made)
    with pytest.raises(InputError, match="LDDMM takes no input 'moving_mask': its inputs are fixed, moving"):
        logic.register(nodes["fixed"], nodes["moving"], **others, method="lddmm")
