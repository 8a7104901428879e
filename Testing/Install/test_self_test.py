"""The module's own self-test, run on the simulated Slicer from the installed tree."""

from __future__ import annotations

from pathlib import Path

import pytest
from extension import run_installed


@pytest.mark.parametrize(
    "module", ["TumourMetamorphosis", "MultiOrganPointClouds", "AtlasSliceIdentification", "HipQMRI"]
)
def test_the_self_test_passes_where_it_was_installed(module: str, installed: Path) -> None:
    finished = run_installed(installed, "-m", "Rig", str(installed / f"{module}.py"))
    assert finished.returncode == 0, finished.stderr
