"""The Python of the tutorial, run on the nodes it speaks of."""

from __future__ import annotations

import re

import slicer
import slicer.util
from conftest import ROOT
from RegistrationSuiteLib import samples
from Rig import simulation

TUTORIAL = ROOT / "Docs" / "tutorial.md"


def test_the_console_of_the_tutorial(module: simulation.LoadedModule) -> None:
    samples.tumour_head_3d()
    code = re.findall(r"^```python\n(.*?)^```$", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(code) == 2
    assert 'preset="fast"' in code[0]
    names = {"slicer": slicer}
    for block in code:
        exec(block.replace('preset="fast"', 'preset="fast", iterations=3'), names)
    nodes = names["nodes"]
    assert nodes["transform"].GetName() == "Head healthy transform"
    assert nodes["inverse"].GetName() == "Head healthy inverse transform"
    assert 0 < slicer.util.arrayFromVolume(nodes["jacobian"]).min() < 1
    assert nodes["transform"].GetDisplayVisibility()
