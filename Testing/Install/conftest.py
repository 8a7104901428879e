"""The extension installed once for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from extension import SOURCE, install


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder Slicer puts on ``sys.path``."""
    return install(SOURCE, tmp_path_factory.mktemp("extension"))
