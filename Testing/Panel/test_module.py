"""The module's console call and its own self-test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import slicer
import slicer.util
from conftest import contents
from RegistrationSuiteLib import samples, scene
from regsuite.errors import InputError
from Rig import simulation


def test_the_self_test_passes(module: simulation.LoadedModule) -> None:
    module.instance.runTest(msec=0)


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
    console = module.logic().register(*inputs, iterations=3, seed=5)
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
        ({"mask": None}, "needs the input 'Lesion mask': choose a node for it"),
        ({"method": "lddmm"}, "LDDMM takes no input 'mask'"),
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
    assert capsys.readouterr().out == f"{stand_in.LOGGED}\n"
