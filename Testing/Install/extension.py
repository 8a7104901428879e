"""Configures and installs the extension against the stand-in for Slicer's macros, and says what should be installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
STAND_IN = Path(__file__).resolve().parent / "Slicer"
MODULES = "lib/Slicer-5.12/qt-scripted-modules"
SHARED = ("regsuite", "RegistrationSuiteLib")
SHIPPED = {".py": "MODULE_PYTHON_SCRIPTS", ".ui": "MODULE_PYTHON_RESOURCES", ".png": "MODULE_PYTHON_RESOURCES"}


def cmake() -> str:
    """The cmake of this environment, else the system's."""
    return shutil.which("cmake", path=str(Path(sys.executable).parent)) or shutil.which("cmake") or "cmake"


def configure(source: Path, build: Path) -> subprocess.CompletedProcess[str]:
    """Runs cmake on the extension. It has nothing to compile, so that no compiler is asked for."""
    settings = (f"={cmake()}", "_FORCED=ON", "_ID_RUN=ON")  # a compiler that is neither asked nor tried
    no_compiler = [f"-DCMAKE_{language}_COMPILER{setting}" for language in ("C", "CXX") for setting in settings]
    command = [cmake(), "-S", str(source), "-B", str(build), f"-DSlicer_DIR={STAND_IN}", *no_compiler]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def install(source: Path, folder: Path) -> Path:
    """Configures ``source`` and installs it below ``folder``; returns the folder Slicer puts on ``sys.path``."""
    configured = configure(source, folder / "build")
    if configured.returncode:
        raise RuntimeError(configured.stderr)
    command = [cmake(), "--install", str(folder / "build"), "--prefix", str(folder / "install")]
    subprocess.run(command, capture_output=True, text=True, check=True)
    return folder / "install" / MODULES


def run_installed(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with the installed tree, the rig and the site packages on ``sys.path``, and never the source tree.

    ``-S`` keeps out the .pth file by which the source tree is installed for development.
    """
    path = [str(installed), str(SOURCE / "Testing"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=installed, timeout=300, check=False
    )


def shipped_files(source: Path) -> dict[Path, Path]:
    """By its path below the installed folder, every file of the source tree that belongs there."""
    suite = source / "RegistrationSuite"
    shared = {path.relative_to(suite): path for name in SHARED for path in (suite / name).rglob("*")}
    shared |= {path.relative_to(suite): path for path in suite.glob("*.py")}
    modules = [folder for folder in suite.iterdir() if (folder / f"{folder.name}.py").is_file()]
    own = {path.relative_to(folder): path for folder in modules for path in folder.rglob("*")}
    return {target: path for target, path in (shared | own).items() if path.suffix in SHIPPED}


def complaints(source: Path, installed: Path) -> list[str]:
    """One sentence for each file that ships and was not installed, naming the list it is missing from."""
    return [
        f"{path.relative_to(source)} is not installed: add {target.as_posix()} to {SHIPPED[path.suffix]} in "
        f"{_list_file(source, path).relative_to(source)}."
        for target, path in sorted(shipped_files(source).items())
        if not (installed / target).is_file()
    ]


def _list_file(source: Path, path: Path) -> Path:
    folder = path.relative_to(source / "RegistrationSuite").parts[0]
    own = source / "RegistrationSuite" / folder / "CMakeLists.txt"
    return own if own.is_file() else source / "RegistrationSuite" / "CMakeLists.txt"
