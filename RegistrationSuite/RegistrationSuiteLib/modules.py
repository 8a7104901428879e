"""What all modules have in common: what Slicer shows of them before they are opened, and a panel in their widget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import slicer
from regsuite import catalog
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget

from RegistrationSuiteLib import samples

CATEGORY = "Registration Suite"


def describe(parent: Any, title: str, methods: Sequence[str], help: str, makers: Mapping[str, str]) -> None:
    """Tells Slicer of a module, and offers its phantoms in the module Sample Data once Slicer has started.

    parent: Slicer's module; methods: of the catalog, which are to be cited; help: HTML; makers: see
    :func:`RegistrationSuiteLib.samples.offer`.
    """
    parent.title = title
    parent.categories = [CATEGORY]
    parent.dependencies = ["RegistrationSuite"]
    parent.contributors = ["The RegistrationSuite contributors"]
    parent.helpText = help
    citations = dict.fromkeys(catalog.method(name).citation for name in methods)
    parent.acknowledgementText = "".join(
        f'<p>The method is published: please cite {each.text}. <a href="https://doi.org/{each.doi}">doi:{each.doi}</a></p>'
        for each in citations
    )
    slicer.app.connect("startupCompleted()", lambda: samples.offer(title, CATEGORY, makers))


class PanelWidget(ScriptedLoadableModuleWidget):
    """A module's widget that holds a panel."""

    def make_panel(self) -> Any:
        """The module's panel; what it needs is imported when it is first shown."""
        raise NotImplementedError

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        self.panel = self.make_panel()
        self.layout.addWidget(self.panel.widget)

    def enter(self) -> None:
        self.panel.warm_up()

    def cleanup(self) -> None:
        self.panel.close()
