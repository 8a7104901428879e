"""The hidden module that ships what the suite's modules share: ``regsuite`` and ``RegistrationSuiteLib``.

Every module of the suite names it in ``parent.dependencies``.
"""

from __future__ import annotations

from typing import Any

from slicer.ScriptedLoadableModule import ScriptedLoadableModule


class RegistrationSuite(ScriptedLoadableModule):
    """No panel, no logic: Slicer only has to put this folder on ``sys.path``."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "Registration Suite"
        parent.categories = ["Registration Suite"]
        parent.dependencies = []
        parent.contributors = ["The RegistrationSuite contributors"]
        parent.helpText = "The library that the modules of the Registration Suite share."
        parent.acknowledgementText = ""
        parent.hidden = True
