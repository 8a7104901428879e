"""The module Tumour Metamorphosis: a healthy brain registered to a brain with a tumour."""

from __future__ import annotations

import time
from typing import Any

import slicer
import slicer.util
from RegistrationSuiteLib import modules, samples
from RegistrationSuiteLib.logic import MethodLogic
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)

TITLE = "Tumour Metamorphosis"
METHODS = ("weighted-metamorphosis", "metamorphosis", "lddmm", "cost-function-masking")
HELP = """
<p>Registers a healthy brain to a brain with a tumour, the other way round, or two visits of one patient. Tissue that
both images share is matched by a smooth deformation; intensity is added only inside the lesion mask, where the tumour
has no counterpart. What moves the image also moves segmentations, models and markups.</p>
<p>Choose the preset that fits, select the two images and the mask that it asks for, and press Apply. The registration
runs beside Slicer and can be cancelled.
In the Python console: <code>TumourMetamorphosisLogic().register(fixed, moving, mask)</code>.</p>
<p><a href="https://github.com/RegistrationSuite/RegistrationSuite/blob/main/Docs/tutorial.md">Tutorial</a>,
<a href="https://github.com/RegistrationSuite/RegistrationSuite/blob/main/Docs/README.md">documentation</a></p>
"""
SAMPLES = {
    "TumourHead2D": "tumour_head_2d",
    "TumourHead3D": "tumour_head_3d",
    "TumourGrowth3D": "tumour_growth_3d",
}


class TumourMetamorphosis(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        modules.describe(parent, TITLE, METHODS, HELP, SAMPLES)


class TumourMetamorphosisWidget(modules.PanelWidget):
    """The panel."""

    def make_panel(self) -> Any:
        from RegistrationSuiteLib.panel import MethodPanel

        return MethodPanel(self.moduleName, TITLE, METHODS)


class TumourMetamorphosisLogic(ScriptedLoadableModuleLogic):
    """Registers from the console and from scripts."""

    def register(self, fixed: Any, moving: Any, mask: Any = None, **options: Any) -> dict[str, Any]:
        """Register ``moving`` to ``fixed`` in place and return the new nodes by output name.

        options: ``method`` (weighted-metamorphosis without one), ``preset``, ``seed``, ``device`` and the method's
        parameters; see :meth:`RegistrationSuiteLib.logic.MethodLogic.register`.
        """
        return MethodLogic(METHODS).register(fixed, moving, mask, **options)


class TumourMetamorphosisTest(ScriptedLoadableModuleTest):
    """Runs in Slicer with ``--testing``: the flat phantom, from the console and from the panel."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()
        self.nodes = samples.tumour_head_2d()

    def runTest(self) -> None:
        for test in (self.test_console, self.test_panel):
            self.setUp()
            self.delayDisplay(test.__doc__)
            test()

    def test_console(self) -> None:
        """The console's call brings the healthy head nearer to the patient's."""
        fixed, moving, mask = (self.nodes[role] for role in ("fixed", "moving", "mask"))
        results = TumourMetamorphosisLogic().register(fixed, moving, mask, preset="fast", device="cpu")
        assert self.difference(results["warped"]) < 0.8 * self.difference(moving)

    def test_panel(self) -> None:
        """The panel gives what the console gives."""
        panel = slicer.util.getModuleWidget("TumourMetamorphosis").panel
        for role in ("fixed", "moving", "mask"):
            panel.form.inputs[role].selector.setCurrentNode(self.nodes[role])
        panel.ui.applyButton.click()
        deadline = time.monotonic() + 300
        while panel.runner.running and time.monotonic() < deadline:
            slicer.app.processEvents()
            time.sleep(0.02)
        assert "warped" in panel.runner.nodes, panel.ui.statusLabel.text
        assert self.difference(panel.runner.nodes["warped"]) < 0.8 * self.difference(self.nodes["moving"])

    def difference(self, node: Any) -> float:
        """Mean absolute difference to the patient outside the lesion."""
        arrays = [slicer.util.arrayFromVolume(each) for each in (node, self.nodes["fixed"])]
        segment = self.nodes["mask"].GetSegmentation().GetNthSegmentID(0)
        lesion = slicer.util.arrayFromSegmentBinaryLabelmap(self.nodes["mask"], segment, self.nodes["fixed"]) > 0
        return float(abs(arrays[0] - arrays[1])[~lesion].mean())
