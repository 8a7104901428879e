"""The stand-in method in the catalog, and a pair of small images whose shift is known."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "stand_in"))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The quick method of stand_in_method.py, in the catalog for one test."""
    import stand_in_method
    from regsuite.catalog import registry

    monkeypatch.setattr(registry, "_METHODS", (*registry._METHODS, stand_in_method.METHOD))
    return stand_in_method


@pytest.fixture
def pair() -> dict[str, Any]:
    """A Gaussian ball on an anisotropic grid, and the same ball SHIFT away."""
    import stand_in_method

    return {"fixed": stand_in_method.ball((0.0, 0.0, 0.0)), "moving": stand_in_method.ball(stand_in_method.SHIFT)}


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all temporary files while the test runs."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder
