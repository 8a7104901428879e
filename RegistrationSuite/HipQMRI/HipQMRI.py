"""The module Hip qMRI: quantitative slices around an axis, brought to the volume they belong to."""

from __future__ import annotations

from collections.abc import Sequence
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

TITLE = "Hip qMRI"
METHODS = ("hip-qmri",)
HELP = """
<p>Brings slices that stand around one axis, such as six quantitative slices of a hip, to the volume they belong to. It
finds which slice stands where and which way round, from the bone's outlines and from what the slices show, and how far
each of them moved. Maps (T1, T2, T1rho...) are placed in the volume with their values untouched, and measured by
region.</p>
<p>Load the slices, a folder of DICOM or a stack for each map, segment the same bone in the volume and in the slices,
choose both, and press Apply; or run step by step, look at each, and correct the places of the slices. In the Python
console:
<code>HipQMRILogic().register(volume, volumeSegmentation, stacks, slicesSegmentation)</code>.</p>
<p><a href="https://github.com/RegistrationSuite/RegistrationSuite/blob/main/Docs/methods/hip-qmri.md">The method</a>,
<a href="https://github.com/RegistrationSuite/RegistrationSuite/blob/main/Docs/README.md">documentation</a></p>
"""
SAMPLES = {"RadialSlicesHip": "radial_hip"}


class HipQMRI(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        modules.describe(parent, TITLE, METHODS, HELP, SAMPLES)


class HipQMRIWidget(modules.PanelWidget):
    """The panel."""

    def make_panel(self) -> Any:
        from RegistrationSuiteLib.panel import SlicesPanel

        return SlicesPanel(self.moduleName, TITLE, METHODS)


class HipQMRILogic(ScriptedLoadableModuleLogic):
    """Registers from the console and from scripts."""

    def register(
        self, volume: Any, volume_labels: Any, slices: Sequence[Any], slice_labels: Any, **options: Any
    ) -> dict[str, Any]:
        """Bring slices to a volume, in place, and return the new nodes by output name.

        volume, volume_labels: a volume node, and a segmentation or label volume with the bone; slices: volume nodes, a
        stack for each map or a node for each slice; slice_labels: the same bone in the slices; options: ``preset``,
        ``seed``, ``device`` and the method's parameters; see
        :meth:`RegistrationSuiteLib.logic.MethodLogic.register`.
        """
        inputs = {"fixed": volume, "fixed_labels": volume_labels, "slices": slices, "slice_labels": slice_labels}
        return MethodLogic(METHODS).register(**inputs, **options)


class HipQMRITest(ScriptedLoadableModuleTest):
    """Runs in Slicer with ``--testing``: the phantom, from the console."""

    def runTest(self) -> None:
        slicer.mrmlScene.Clear()
        self.delayDisplay("Slices around an axis find their places")
        self.test_console()

    def test_console(self) -> None:
        """The console's call finds where the slices are."""
        nodes = samples.radial_hip()
        stacks = [node for role, node in nodes.items() if role.startswith("slices")]
        results = HipQMRILogic().register(
            nodes["fixed"], nodes["fixed_labels"], stacks, nodes["slice_labels"], device="cpu"
        )
        after = slicer.util.arrayFromTableColumn(results["arrangement"], "mutual information after")
        before = slicer.util.arrayFromTableColumn(results["arrangement"], "mutual information before")
        assert after.mean() > before.mean(), (before, after)
