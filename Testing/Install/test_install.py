"""The extension as Slicer would install it: complete, free of torch at import, and able to run from there."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

from extension import SOURCE, complaints, configure, install, run_installed, shipped_files

IMPORT_ALL = """
import importlib, pkgutil, sys
from pathlib import Path
from Rig import simulation

installed = Path(sys.argv[1])
simulation.start()
for path in sorted(installed.glob("*.py")):
    simulation.load_module(str(path))
import RegistrationSuiteLib
import regsuite
for name in ("catalog", "errors", "progress", "jobs"):
    importlib.import_module(f"regsuite.{name}")
for module in pkgutil.walk_packages(RegistrationSuiteLib.__path__, "RegistrationSuiteLib."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert "torch" not in sys.modules, "torch was imported"
for name, module in sys.modules.items():
    if name.partition(".")[0] in ("regsuite", "RegistrationSuiteLib"):
        assert installed in Path(module.__file__).parents, f"{name} came from {module.__file__}"
print("imported", sum(name.startswith("RegistrationSuiteLib.") for name in sys.modules))
"""


def copy_of_source(folder: Path) -> Path:
    """What cmake reads, without the tests and the environment."""
    shutil.copytree(SOURCE / "RegistrationSuite", folder / "RegistrationSuite")
    shutil.copy(SOURCE / "CMakeLists.txt", folder)
    return folder


def test_every_file_is_installed(installed: Path) -> None:
    files = shipped_files(SOURCE)
    assert Path("regsuite/spatial/grid.py") in files
    assert Path("Resources/Icons/TumourMetamorphosis.png") in files
    missing = complaints(SOURCE, installed)
    assert not missing, "\n".join(missing)


def test_a_file_on_no_list_is_named(tmp_path: Path) -> None:
    source = copy_of_source(tmp_path / "source")
    (source / "RegistrationSuite" / "regsuite" / "spatial" / "forgotten.py").touch()
    (source / "RegistrationSuite" / "TumourMetamorphosis" / "Resources" / "forgotten.ui").touch()
    said = complaints(source, install(source, tmp_path))
    for sentence in (
        "RegistrationSuite/TumourMetamorphosis/Resources/forgotten.ui is not installed: add Resources/forgotten.ui to "
        "MODULE_PYTHON_RESOURCES in RegistrationSuite/TumourMetamorphosis/CMakeLists.txt.",
        "RegistrationSuite/regsuite/spatial/forgotten.py is not installed: add regsuite/spatial/forgotten.py to "
        "MODULE_PYTHON_SCRIPTS in RegistrationSuite/CMakeLists.txt.",
    ):
        assert sentence in said


def test_a_listed_file_that_is_gone_stops_the_build(tmp_path: Path) -> None:
    source = copy_of_source(tmp_path / "source")
    (source / "RegistrationSuite" / "regsuite" / "errors.py").unlink()
    configured = configure(source, tmp_path / "build")
    assert configured.returncode != 0
    assert "given nonexistent file 'regsuite/errors.py'" in " ".join(configured.stderr.split())


def test_a_file_listed_twice_stops_the_build(tmp_path: Path) -> None:
    source = copy_of_source(tmp_path / "source")
    listing = source / "RegistrationSuite" / "CMakeLists.txt"
    listing.write_text(listing.read_text().replace("  regsuite/errors.py\n", "  regsuite/errors.py\n" * 2))
    configured = configure(source, tmp_path / "build")
    assert configured.returncode != 0
    assert "'regsuite/errors.py', which already has one" in " ".join(configured.stderr.split())


def test_icon_and_screenshots_are_in_the_repository() -> None:
    """The addresses in the extension's metadata name files of the main branch."""
    text = (SOURCE / "CMakeLists.txt").read_text()
    addresses = re.findall(r"https://raw\.githubusercontent\.com/[\w-]+/[\w-]+/main/([^\s\")]+)", text)
    assert len(addresses) > 1
    assert [name for name in addresses if not (SOURCE / name).is_file()] == []


def test_the_folder_of_modules_holds_modules_alone(installed: Path) -> None:
    """Slicer takes each .py file in this folder for a module, and reports one that has no class of its name."""
    for path in installed.glob("*.py"):
        classes = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
        assert path.stem in classes, path.name
    assert {path.stem for path in installed.glob("*.py")} == {
        "AtlasSliceIdentification",
        "HipQMRI",
        "MultiOrganPointClouds",
        "RegistrationSuite",
        "TumourMetamorphosis",
    }


def test_the_source_folder_holds_modules_alone() -> None:
    """The same where a developer adds the source folders to Slicer's module paths."""
    assert [path.name for path in (SOURCE / "RegistrationSuite").glob("*.py")] == ["RegistrationSuite.py"]


def test_opening_every_module_imports_no_torch(installed: Path) -> None:
    finished = run_installed(installed, "-c", IMPORT_ALL, str(installed))
    assert finished.returncode == 0, finished.stderr
    assert int(finished.stdout.split()[-1]) > 5
