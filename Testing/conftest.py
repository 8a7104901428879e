"""Shared by every test: a clean scene for those that ask, and a failure for any error VTK reports."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def no_vtk_error() -> Iterator[None]:
    """Fails a test during which VTK reported an error; one that provokes an error clears ``session.errors``."""
    _reported_errors().clear()
    yield
    errors = list(_reported_errors())
    assert not errors, "VTK reported errors:\n" + "\n".join(errors)


def _reported_errors() -> list[str]:
    standalone = sys.modules.get("RegistrationSuiteLib.standalone")
    running = standalone is not None and standalone.running()
    return standalone.boot().errors if running else []


@pytest.fixture
def session() -> Iterator[Any]:
    """The booted session with an empty scene, emptied again afterwards."""
    from RegistrationSuiteLib import standalone

    booted = standalone.boot()
    booted.scene.Clear(0)
    yield booted
    booted.scene.Clear(0)
