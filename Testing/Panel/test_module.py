"""The module's console call and its own self-test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
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
