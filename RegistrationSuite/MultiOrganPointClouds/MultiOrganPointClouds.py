"""The module Multi-Organ Point Clouds: two persons brought together by the surfaces of their organs."""

from __future__ import annotations

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

TITLE = "Multi-Organ Point Clouds"
METHODS = ("mo-bcpd", "bcpd")
HELP = """
<p>Brings the organs of two images together by points on their surfaces. Organs may move each on its own way, as they do
between two persons; what lies between them follows. Intensities do not count: images may be of any kind, CT and MR for
instance. What moves the image also moves segmentations, models and markups.</p>
<p>Segment the same organs in both images, or choose models or markups of them, give them the same names, choose the
preset that fits, and press Apply. Images are needed only where they are to be carried along.
In the Python console: <code>MultiOrganPointCloudsLogic().register(fixedOrgans, movingOrgans)</code>.</p>
<p><a href="https://github.com/RegistrationSuite/RegistrationSuite/blob/main/Docs/methods/mo-bcpd.md">The method</a>,
<a href="https://github.com/RegistrationSuite/RegistrationSuite/blob/main/Docs/README.md">documentation</a></p>
"""
SAMPLES = {"Abdomens3D": "abdomen_3d"}


class MultiOrganPointClouds(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        modules.describe(parent, TITLE, METHODS, HELP, SAMPLES)


class MultiOrganPointCloudsWidget(modules.PanelWidget):
    """The panel."""

    def make_panel(self) -> Any:
        from RegistrationSuiteLib.panel import MethodPanel

        return MethodPanel(self.moduleName, TITLE, METHODS)


class MultiOrganPointCloudsLogic(ScriptedLoadableModuleLogic):
    """Registers from the console and from scripts."""

    def register(self, fixed_labels: Any = None, moving_labels: Any = None, **options: Any) -> dict[str, Any]:
        """Bring moving organs to fixed ones, in place, and return the new nodes by output name.

        fixed_labels, moving_labels: segmentations or label volumes of the organs; options: ``fixed_surfaces`` and
        ``moving_surfaces``, lists of models or markups, each an organ, instead or besides; ``fixed`` and ``moving``,
        the images; ``method`` (mo-bcpd without one), ``preset``, ``seed``, ``device`` and the method's parameters; see
        :meth:`RegistrationSuiteLib.logic.MethodLogic.register`.
        """
        organs = {"fixed_labels": fixed_labels, "moving_labels": moving_labels}
        return MethodLogic(METHODS).register(**organs, **options)


class MultiOrganPointCloudsTest(ScriptedLoadableModuleTest):
    """Runs in Slicer with ``--testing``: the phantom, from the console."""

    def runTest(self) -> None:
        slicer.mrmlScene.Clear()
        self.delayDisplay("Organs of two abdomens are brought together")
        self.test_console()

    def test_console(self) -> None:
        """The console's call brings the organs together."""
        nodes = samples.abdomen_3d()
        results = MultiOrganPointCloudsLogic().register(
            **{role: nodes[role] for role in ("fixed", "moving", "fixed_labels", "moving_labels")},
            points=150,
            device="cpu",
        )
        overlap = slicer.util.arrayFromTableColumn(results["overlap"], "Dice after")
        assert overlap.min() > 0.85, overlap
