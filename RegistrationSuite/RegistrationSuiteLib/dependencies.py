"""The Python packages a registration needs, asked for when the user presses Apply and never at import.

In Slicer, torch comes through the PyTorch extension and the rest through Slicer's own installer, each after the user
agreed. In plain Python nothing is installed: the sentence says what to type.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import slicer
import slicer.util
from regsuite.errors import InputError

TORCH = ">=2.2"
PACKAGES = {"numpy": "numpy", "scipy": "scipy", "SimpleITK": "SimpleITK"}
"""Module name and requirement of what registrations need beside torch. Slicer brings these.

MONAI is not among them: only surface distances need it, which no registration measures, and they ask for it themselves.
"""

NONE: Mapping[str, str] = MappingProxyType({})
FOR_NETWORKS = {"safetensors": "safetensors>=0.5", "monai": "monai>=1.5"}
"""What a network that a user brings needs beside that."""
FOR_SECTIONS = {
    "tifffile": "tifffile>=2024.1",
    "imagecodecs": "imagecodecs>=2024.6",
    **FOR_NETWORKS,
    "kornia": "kornia>=0.8",
}
"""What reading sections, checkpoints and encoders need beside that."""
FOR_SLICE_SETS = {"pydicom": "pydicom>=3,<4", "sklearn": "scikit-learn>=1.5,<2"}
"""What reading single slices from DICOM and segmenting them needs beside that. Slicer brings the first."""


def in_slicer() -> bool:
    """Whether this is Slicer Desktop, which has its own Python and installer."""
    return hasattr(getattr(slicer, "app", None), "slicerHome")


def ensure(requester: str, further: Mapping[str, str] = NONE) -> None:
    """Makes sure that registrations can run; InputError says in one sentence what is missing and what to do.

    requester: the module's title, shown where Slicer asks the user; further: what it needs beside the suite's packages.
    """
    wanted = {**PACKAGES, **further}
    packages = [requirement for name, requirement in wanted.items() if not is_installed(name)]
    if not in_slicer():
        missing = packages + ["torch"] * (not is_installed("torch"))
        if missing:
            raise InputError(f"Python packages are missing: install them with 'pip install {' '.join(missing)}'.")
        return
    if not is_installed("torch"):
        _install_torch()
    if packages:
        _install(packages, requester)


def complete(further: Mapping[str, str] = NONE) -> bool:
    """Whether nothing is missing; asks and installs nothing."""
    return all(is_installed(name) for name in ("torch", *PACKAGES, *further))


def is_installed(name: str) -> bool:
    """Whether a module can be found; it is not imported."""
    return importlib.util.find_spec(name) is not None


def _install_torch() -> None:
    """Through the PyTorch extension, which picks the build for the machine's graphics card and asks the user."""
    if not is_installed("PyTorchUtils"):
        raise InputError(
            "PyTorch is not installed in Slicer: install the extension 'PyTorch' in the Extensions Manager, restart "
            "Slicer and press Apply again."
        )
    logic = importlib.import_module("PyTorchUtils").PyTorchUtilsLogic()
    try:
        torch = logic.installTorch(askConfirmation=True, torchVersionRequirement=TORCH)
    except (subprocess.CalledProcessError, ImportError, OSError, RuntimeError, ValueError) as error:
        raise InputError(f"PyTorch could not be installed ({error}): see the Python console and try again.") from error
    if torch is None:
        raise InputError("PyTorch was not installed, and registration needs it: press Apply again and agree to it.")


def _install(packages: list[str], requester: str) -> None:
    """Through slicer.packaging (Slicer 5.12), or slicer.util before it."""
    try:
        agreed = _install_and_ask(packages, requester)
    except subprocess.CalledProcessError as error:
        raise InputError(
            f"{', '.join(packages)} could not be installed ({error}): see the Python console and try again."
        ) from error
    if not agreed:
        raise InputError(
            f"{', '.join(packages)} was not installed, and registration needs it: press Apply again and agree to it."
        )


def _install_and_ask(packages: list[str], requester: str) -> bool:
    packaging = _slicer_packaging()
    if packaging is None:
        text = f"{requester} needs to install {', '.join(packages)} into Slicer's Python. Continue?"
        if not slicer.util.confirmOkCancelDisplay(text):
            return False
        slicer.util.pip_install(" ".join(packages))
        return True
    try:
        packaging.pip_ensure(packages, requester=requester)
    except RuntimeError:  # how pip_ensure says that the user declined
        return False
    return True


def _slicer_packaging() -> Any:
    return importlib.import_module("slicer.packaging") if is_installed("slicer.packaging") else None


def worker_python() -> str:
    """The interpreter of worker processes: PythonSlicer in Slicer Desktop, else the one that runs this."""
    if not in_slicer():
        return sys.executable
    suffix = ".exe" if sys.platform == "win32" else ""
    beside = [Path(sys.executable).parent, Path(slicer.app.slicerHome) / "bin"]
    found = [folder / f"PythonSlicer{suffix}" for folder in beside if (folder / f"PythonSlicer{suffix}").is_file()]
    python = shutil.which("PythonSlicer") or (str(found[0]) if found else None)
    if python is None:
        raise InputError("Slicer's Python (PythonSlicer) was not found beside Slicer: reinstall Slicer.")
    return python
