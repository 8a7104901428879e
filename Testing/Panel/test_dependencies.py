"""What is said, asked and installed when a Python package is missing, in Slicer Desktop and outside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import slicer
import slicer.util
from conftest import contents
from RegistrationSuiteLib import dependencies, samples
from regsuite.errors import InputError
from Rig import simulation


class Installer:
    """Stands for PyTorchUtils, slicer.packaging and slicer.util: keeps what it is asked, and does as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, missing: set[str]) -> None:
        self.missing = missing
        self.asked: list[Any] = []
        self.agrees = True
        self.fails = False
        self._patch = monkeypatch
        monkeypatch.setattr(dependencies, "is_installed", lambda name: name not in self.missing)

    def add_pytorch_extension(self) -> None:
        module = ModuleType("PyTorchUtils")
        module.PyTorchUtilsLogic = lambda: self  # type: ignore[attr-defined]
        self._patch.setitem(sys.modules, "PyTorchUtils", module)

    def add_packaging(self) -> None:
        module = ModuleType("slicer.packaging")
        module.pip_ensure = self.pip_ensure  # type: ignore[attr-defined]
        self._patch.setitem(sys.modules, "slicer.packaging", module)

    def installTorch(
        self,
        askConfirmation: bool = False,
        forceComputationBackend: str | None = None,
        torchVersionRequirement: str | None = None,
    ) -> ModuleType | None:
        self.asked.append((askConfirmation, torchVersionRequirement))
        self._install("torch")
        return ModuleType("torch") if self.agrees else None

    def pip_ensure(self, requirements: list[str], requester: str | None = None) -> None:
        self.asked.append((requirements, requester))
        if not self.agrees:
            raise RuntimeError("User declined package installation")
        self._install(*requirements)

    def confirm(self, text: str) -> bool:
        self.asked.append(text)
        return self.agrees

    def pip_install(self, requirements: str) -> None:
        self.asked.append(requirements)
        self._install(*requirements.split())

    def _install(self, *names: str) -> None:
        if self.fails:
            raise subprocess.CalledProcessError(1, ["pip"])
        if self.agrees:
            self.missing -= set(names)


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Slicer Desktop's folder, as far as this module looks at it."""
    monkeypatch.setattr(slicer.app, "slicerHome", str(tmp_path), raising=False)
    return tmp_path


def test_nothing_is_asked_where_all_is_there(desktop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installer = Installer(monkeypatch, set())
    dependencies.ensure("Module")
    assert installer.asked == []


def test_plain_python_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    Installer(monkeypatch, {"torch", "scipy"})
    with pytest.raises(InputError, match=r"install them with 'pip install scipy torch'\.$"):
        dependencies.ensure("Module")


def test_torch_without_the_extension(desktop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Installer(monkeypatch, {"torch", "PyTorchUtils"})
    with pytest.raises(InputError, match="install the extension 'PyTorch' in the Extensions Manager"):
        dependencies.ensure("Module")


def test_torch_is_installed_after_the_user_agreed(desktop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installer = Installer(monkeypatch, {"torch"})
    installer.add_pytorch_extension()
    dependencies.ensure("Module")
    assert installer.asked == [(True, dependencies.TORCH)]
    assert installer.missing == set()


def test_torch_declined_or_failed(desktop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installer = Installer(monkeypatch, {"torch"})
    installer.add_pytorch_extension()
    installer.agrees = False
    with pytest.raises(InputError, match="PyTorch was not installed"):
        dependencies.ensure("Module")
    installer.fails = True
    with pytest.raises(InputError, match="PyTorch could not be installed"):
        dependencies.ensure("Module")


def test_packages_come_through_slicer_packaging(desktop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installer = Installer(monkeypatch, {"scipy"})
    installer.add_packaging()
    dependencies.ensure("Module")
    assert installer.asked == [(["scipy"], "Module")]
    installer.missing, installer.agrees = {"scipy"}, False
    with pytest.raises(InputError, match="scipy was not installed"):
        dependencies.ensure("Module")


def test_packages_before_slicer_packaging(desktop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installer = Installer(monkeypatch, {"scipy", "slicer.packaging"})
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", installer.confirm)
    monkeypatch.setattr(slicer.util, "pip_install", installer.pip_install)
    dependencies.ensure("Module")
    assert installer.asked == ["Module needs to install scipy into Slicer's Python. Continue?", "scipy"]
    installer.missing, installer.agrees = {"scipy", "slicer.packaging"}, False
    with pytest.raises(InputError, match="scipy was not installed"):
        dependencies.ensure("Module")
    installer.agrees, installer.fails = True, True
    with pytest.raises(InputError, match="scipy could not be installed"):
        dependencies.ensure("Module")


def test_the_panel_says_it_in_its_status_line(panel: Any, desktop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for role, node in samples.tumour_head_2d().items():
        panel.form.inputs[role].selector.setCurrentNode(node)
    Installer(monkeypatch, {"torch", "PyTorchUtils"})
    before = contents()
    panel.ui.applyButton.click()
    assert "install the extension 'PyTorch'" in panel.ui.statusLabel.text
    assert contents() == before
    assert not panel.runner.running


def test_the_worker_runs_on_slicers_python(desktop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(desktop))
    with pytest.raises(InputError, match="PythonSlicer"):
        dependencies.worker_python()
    (desktop / "bin").mkdir()
    name = "PythonSlicer.exe" if sys.platform == "win32" else "PythonSlicer"
    (desktop / "bin" / name).touch()
    assert dependencies.worker_python() == str(desktop / "bin" / name)


def test_the_worker_runs_on_this_python_outside_slicer() -> None:
    assert dependencies.worker_python() == sys.executable


def test_a_registration_with_labels_needs_no_other_package(
    module: simulation.LoadedModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slicer brings no MONAI, and Apply does not ask for it."""
    for name in ("monai", "monai.metrics"):
        monkeypatch.setitem(sys.modules, name, None)
    nodes = samples.tumour_head_2d()
    made = module.logic().register(**nodes, preset="fast", iterations=1)
    assert {"warped_labels", "overlap"} <= set(made)
