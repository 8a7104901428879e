"""Rules that the Slicer side's source files keep, so that they run in Slicer as well as in the simulation."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MODULE, ROOT

LIBRARY = ROOT / "RegistrationSuite" / "RegistrationSuiteLib"
PANEL = sorted((LIBRARY / "panel").glob("*.py"))
FORM = LIBRARY / "Resources" / "UI" / "MethodPanel.ui"


def imported(path: Path) -> set[str]:
    """The top-level names of all that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def constructors(path: Path) -> Iterator[ast.Call]:
    """Calls of classes of qt and ctk, and of slicer's widgets."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            home, name = node.func.value.id, node.func.attr
            if home in ("qt", "ctk") or (home == "slicer" and name.startswith("qMRML")):
                yield node


def test_only_the_panel_knows_qt() -> None:
    knowing = {path for path in LIBRARY.rglob("*.py") if imported(path) & {"qt", "ctk"}}
    assert knowing
    assert knowing <= set(PANEL)
    assert imported(MODULE) & {"qt", "ctk", "PySide6"} == set()


def test_the_backend_knows_nothing_of_slicer() -> None:
    backend = ROOT / "RegistrationSuite" / "regsuite"
    for path in backend.rglob("*.py"):
        assert imported(path) & {"slicer", "qt", "ctk", "RegistrationSuiteLib"} == set(), path
    knowing = {path.relative_to(backend).as_posix() for path in backend.rglob("*.py") if "vtk" in imported(path)}
    assert knowing == {"spatial/meshes.py", "io/ply.py", "io/surfaces.py"}


@pytest.mark.parametrize("path", PANEL, ids=lambda path: path.name)
def test_widgets_are_made_without_keyword_arguments(path: Path) -> None:
    """PythonQt's constructors take none."""
    assert [ast.unparse(call) for call in constructors(path) if call.keywords] == []


def test_the_module_is_thin() -> None:
    assert len(MODULE.read_text(encoding="utf-8").splitlines()) <= 150


def test_importing_the_library_and_opening_the_panel_imports_no_torch() -> None:
    code = f"""
import importlib, pkgutil, sys
sys.path.insert(0, {str(ROOT / "Testing")!r})
from Rig import simulation
simulation.start()
import slicer, slicer.util, RegistrationSuiteLib
module = simulation.load_module({str(MODULE)!r})
for each in pkgutil.walk_packages(RegistrationSuiteLib.__path__, "RegistrationSuiteLib."):
    importlib.import_module(each.name)
slicer.util.getModuleWidget("TumourMetamorphosis")
sys.exit("torch" in sys.modules)
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
