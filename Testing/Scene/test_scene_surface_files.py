"""Surface files that Slicer wrote, read by the backend, and the other way: at the same place in RAS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import slicer.util
import torch
import vtk
from regsuite import io
from regsuite.errors import InputError
from regsuite.spatial import Surface

pytestmark = pytest.mark.usefixtures("session")

CENTRE = np.array([31.0, -22.0, 53.0])


def ball() -> Any:
    source = vtk.vtkSphereSource()
    source.SetCenter(*CENTRE)
    source.SetRadius(9.0)
    source.Update()
    return slicer.modules.models.logic().AddModel(source.GetOutput())


def places(points: np.ndarray) -> np.ndarray:
    """Each once, in order: .stl repeats them."""
    return np.unique(np.round(points, 3) + 0.0, axis=0)


@pytest.mark.parametrize("system", ["LPS", "RAS"])
@pytest.mark.parametrize("ending", [".vtp", ".vtk", ".ply", ".stl", ".obj"])
def test_a_model_slicer_saved(ending: str, system: str, tmp_path: Path) -> None:
    node, path = ball(), tmp_path / f"Ball{ending}"
    node.AddDefaultStorageNode(str(path))
    storage = node.GetStorageNode()
    storage.SetCoordinateSystem(getattr(storage, f"CoordinateSystem{system}"))
    assert slicer.util.saveNode(node, str(path))
    surface = io.read_surface(path)
    assert surface.name == "Ball"
    assert surface.closed
    expected = places(slicer.util.arrayFromModelPoints(node).astype(float))
    found = places(surface.points.numpy())
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_markups_slicer_saved(tmp_path: Path) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    positions = np.random.default_rng(0).normal(size=(7, 3)) * 20 + CENTRE
    for position in positions:
        node.AddControlPoint(vtk.vtkVector3d(*position))
    assert slicer.util.saveNode(node, str(tmp_path / "Spleen.mrk.json"))
    surface = io.read_surface(tmp_path / "Spleen.mrk.json")
    assert surface.name == "Spleen"
    np.testing.assert_allclose(surface.points.numpy(), positions, atol=1e-9)


def test_slicer_opens_ours(tmp_path: Path) -> None:
    points = torch.tensor([[0.0, 0, 0], [4, 0, 0], [0, 5, 0], [0, 0, 6]]).double() + torch.from_numpy(CENTRE)
    triangles = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    values = {"distance, mm": torch.tensor([0.0, 0.5, 1.25, 3.0]).double(), "organ": torch.eye(4, 3).double()}
    io.write_surface(tmp_path / "organs_after.vtp", Surface(points, triangles, "organs_after", values))
    node = slicer.util.loadModel(tmp_path / "organs_after.vtp")
    np.testing.assert_allclose(slicer.util.arrayFromModelPoints(node), points.numpy(), atol=1e-12)
    assert node.GetPolyData().GetNumberOfPolys() == 4
    np.testing.assert_array_equal(slicer.util.arrayFromModelPointData(node, "distance, mm"), [0, 0.5, 1.25, 3])
    np.testing.assert_array_equal(slicer.util.arrayFromModelPointData(node, "organ")[1], [0, 255, 0])


@pytest.mark.parametrize("ending", [".vtp", ".vtk", ".ply", ".stl", ".obj"])
def test_a_damaged_file_is_no_error_of_vtks(ending: str, tmp_path: Path, session: Any) -> None:
    (tmp_path / f"bad{ending}").write_bytes(b"\x89PNG\x00 no surface\n" * 20)
    with pytest.raises(InputError, match="check that it is a complete"):
        io.read_surface(tmp_path / f"bad{ending}")
    assert session.errors == []
    vtk.vtkOutputWindow.GetInstance().DisplayErrorText("audible")
    assert session.errors == ["audible"]
    session.errors.clear()
