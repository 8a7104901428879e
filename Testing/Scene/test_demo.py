"""The demonstration on a small head: everything it promises is there, fits together and opens as a scene."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import slicer.util
import torch
from RegistrationSuiteLib import demo, scene, standalone
from regsuite.phantoms import TumourCase, small_tumour_3d

PROMISED = {
    "transform.h5",
    "inverse.h5",
    "truth.h5",
    "warped.nii.gz",
    "warped_labels.seg.nrrd",
    "jacobian.nii.gz",
    "intensity_added.nii.gz",
    "evolution.seq.nrrd",
    "scene.mrb",
    "report.json",
    "report.html",
}
METRICS = {
    "dice_ventricles_before",
    "dice_ventricles_deformation",
    "folded_fraction",
    "true_deformation_error_before_mm",
    "true_deformation_error_mm",
    "seconds",
    "peak_memory_mb",
    "device",
}
QUICK = {"levels": 2, "iterations": 20, "steps": 4}


@pytest.fixture(scope="module")
def case() -> TumourCase:
    return small_tumour_3d((26, 30, 26), spacing=3.5)


@pytest.fixture(scope="module")
def folder(case: TumourCase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    standalone.boot().scene.Clear(0)
    folder = tmp_path_factory.mktemp("demo") / "out"
    demo.demonstrate(case, folder, "cpu", **QUICK)
    return folder


def test_everything_promised_is_there(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} >= PROMISED
    assert {path.name for path in (folder / "pictures").iterdir()} >= {"slicer-views.png", "true-error.png", "grid.png"}
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["metrics"].keys() >= METRICS
    assert PROMISED - {"report.json"} <= set(report["files"].values())
    assert not [path for path in folder.parent.iterdir() if path != folder], "nothing else is left"


def test_figures_say_what_the_files_hold(folder: Path, case: TumourCase) -> None:
    metrics = json.loads((folder / "report.json").read_text(encoding="utf-8"))["metrics"]
    assert metrics["dice_ventricles_deformation"] > metrics["dice_ventricles_before"]
    assert metrics["folded_fraction"] == 0
    transform, truth = (sitk.ReadTransform(str(folder / name)) for name in ("transform.h5", "truth.h5"))
    points = case.fixed.grid.points(torch.float64)[case.valid.mask()].numpy()[::7]
    lps = [(-r, -a, s) for r, a, s in points]
    apart = [np.subtract(transform.TransformPoint(x), truth.TransformPoint(x)) for x in lps]
    error = np.linalg.norm(apart, axis=1).mean()
    assert error == pytest.approx(metrics["true_deformation_error_mm"], rel=0.05)
    assert error < metrics["true_deformation_error_before_mm"]


def test_scene_opens_as_it_was_left(folder: Path, session: Any, case: TumourCase) -> None:
    slicer.util.loadScene(str(folder / "scene.mrb"))
    composite = next(
        node for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode") if node.GetLayoutName() == "Red"
    )
    fixed = slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID())
    warped = slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID())
    assert fixed.GetName() == "Brain patient"
    assert "warped" in warped.GetName()
    assert scene.grid_of(fixed).same_as(case.fixed.grid)
    saved = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "warped.nii.gz")))
    assert np.allclose(slicer.util.arrayFromVolume(warped), saved, atol=1e-5)
    assert slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")
    transform = next(
        node for node in slicer.util.getNodesByClass("vtkMRMLTransformNode") if node.GetName().endswith(" transform")
    )
    assert not transform.GetDisplayNode().GetVisibility(), "the grid is hidden until asked for"


def test_a_second_run_replaces_the_first(folder: Path, case: TumourCase) -> None:
    before = (folder / "report.html").stat().st_mtime_ns
    standalone.boot().scene.Clear(0)
    demo.demonstrate(case, folder, "cpu", levels=1, iterations=1, steps=2)
    assert (folder / "report.html").stat().st_mtime_ns > before
    assert {path.name for path in folder.iterdir()} >= PROMISED
