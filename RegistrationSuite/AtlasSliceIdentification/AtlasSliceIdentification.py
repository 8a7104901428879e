"""The module Atlas Slice Identification: a microscopy section found in an atlas, and the atlas's regions on it."""

from __future__ import annotations

import os
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

TITLE = "Atlas Slice Identification"
METHODS = ("atlas-slice", "atlas-series", "atlas-slice-mi", "atlas-encoder")
HELP = """
<p>Finds where in an atlas a microscopy section was cut, and at what angle, and draws the atlas's regions on
the section.</p>
<p>Load a section, or a folder of them, and the atlas: its template and, for the regions, its annotation. Train an
encoder of the atlas once, with the method of that name; sections are made of the atlas itself, no other data is needed.
Then choose the encoder's file and press Apply. The candidates, and sliders for the whole pose, let you check and
correct what was found. Atlas series identification finds several sections of one brain together: tick them, or load
their folder.
In the Python console: <code>AtlasSliceIdentificationLogic().identify(section, template, annotation,
encoder="atlas.safetensors")</code>.</p>
<p><a href="https://github.com/RegistrationSuite/RegistrationSuite/blob/main/Docs/methods/atlas-slice.md">The
method</a>, <a href="https://github.com/RegistrationSuite/RegistrationSuite/blob/main/Docs/README.md">documentation</a></p>
"""
SAMPLES = {"AtlasSection": "atlas_section"}


class AtlasSliceIdentification(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        modules.describe(parent, TITLE, METHODS, HELP, SAMPLES)


class AtlasSliceIdentificationWidget(modules.PanelWidget):
    """The panel."""

    def make_panel(self) -> Any:
        from RegistrationSuiteLib.panel import SectionPanel

        return SectionPanel(self.moduleName, TITLE, METHODS)


class AtlasSliceIdentificationLogic(ScriptedLoadableModuleLogic):
    """Identifies sections and trains encoders from the console and from scripts."""

    def identify(
        self,
        section: Any,
        atlas: Any,
        annotation: Any = None,
        encoder: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Find a section in an atlas, in place, and return the new nodes by output name.

        section: a volume node of one slice; atlas: the template's node; annotation: a segmentation or label volume of
        its regions; encoder: the file that :meth:`train` wrote; options: ``fixed_points``, markups on the section;
        ``method`` (atlas-slice without one), ``preset``, ``seed``, ``device`` and the method's parameters; see
        :meth:`RegistrationSuiteLib.logic.MethodLogic.register`.
        """
        inputs = {"moving_labels": annotation, "encoder": encoder}
        return MethodLogic(METHODS).register(section, atlas, **inputs, **options)

    def identify_series(
        self,
        sections: Sequence[Any],
        atlas: Any,
        annotation: Any = None,
        encoder: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Find sections of one brain together, in place; returns the new nodes by "<section> <output>" and output name.

        sections: volume nodes of one slice, numbered by their names; the rest as in :meth:`identify`.
        """
        inputs = {"sections": list(sections), "moving_labels": annotation, "encoder": encoder}
        return MethodLogic(["atlas-series"]).register(moving=atlas, **inputs, **options)

    def train(self, template: Any, annotation: Any, path: str | os.PathLike[str], **options: Any) -> dict[str, Any]:
        """Train an encoder of an atlas, in place, and write it to ``path``; returns the curve and figures as nodes.

        template, annotation: the atlas's nodes, the annotation may be None; path: of a .safetensors file; options:
        ``weights``, the path of what the network starts from, ``preset``, ``seed``, ``device`` and the parameters of
        atlas-encoder, such as ``minutes``.
        """
        outputs = {"checkpoint": path}
        return MethodLogic(["atlas-encoder"]).register(
            moving=template, moving_labels=annotation, outputs=outputs, **options
        )


class AtlasSliceIdentificationTest(ScriptedLoadableModuleTest):
    """Runs in Slicer with ``--testing``: the phantom, from the console."""

    def runTest(self) -> None:
        slicer.mrmlScene.Clear()
        self.delayDisplay("A section is found in its atlas")
        self.test_console()

    def test_console(self) -> None:
        """The console's call finds the plate, with no encoder."""
        nodes = samples.atlas_section()
        results = AtlasSliceIdentificationLogic().identify(
            nodes["fixed"],
            nodes["moving"],
            nodes["moving_labels"],
            method="atlas-slice-mi",
            spacing=0.6,
            iterations=20,
            deformation="none",
            device="cpu",
        )
        bounds = [0.0] * 6
        nodes["fixed"].GetRASBounds(bounds)
        middle = [(low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2], strict=True)]
        front = results["transform"].GetTransformFromParent().TransformPoint(middle)[1]
        depth = samples.SECTION_POSE[0]  # which runs to the back
        assert abs(front + depth) < 0.9, front
