"""A registration with a known transform, and its nodes, for the tests of results and display."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scene_samples as samples
import torch
from RegistrationSuiteLib import scene
from regsuite import catalog
from regsuite.catalog import Output
from regsuite.registration import Curve, Registration, Table
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.transforms import DisplacementField, warp_image, warp_labels

NAMES = {1: "ventricle", 2: "shell"}
OVERLAP = [["ventricle", 0.5, 0.9], ["shell", 0.7, 0.8]]
NOTES = ["The <deformation> is smooth.", "It was known before."]
SPENT = {"deformation": [0.5, 0.25], "intensity": [0.0, 0.125]}
ON_MOVING = Output("mask_on_moving", "labels", "Mask on moving", "Where the core is.", frame="moving")
COLOURS = {1: (0.0, 0.8, 0.2), 2: (1.0, 0.6, 0.0)}


@dataclass
class Scene:
    """A fixed and a moving node, the moving labels' node, and what registered them."""

    fixed: Any
    moving: Any
    moving_labels: Any
    registration: Registration


def ball(grid: Grid, centre: np.ndarray, radius: float) -> np.ndarray:
    """(*shape) bool."""
    distance = np.linalg.norm(grid.points(torch.float64).numpy() - centre, axis=-1)
    return np.asarray(distance <= radius)


def head(grid: Grid) -> tuple[Image, LabelImage]:
    """A bright ball with a dark core, and both as labels."""
    extent = min(n * h for n, h in zip(grid.shape, grid.spacing, strict=True) if n > 1)
    shell, core = ball(grid, grid.centre, 0.42 * extent), ball(grid, grid.centre, 0.2 * extent)
    image = Image.from_array((100.0 * shell - 60.0 * core).astype(np.float32), grid)
    return image, LabelImage.from_array(2 * shell.astype(int) - core, grid, NAMES, COLOURS)


def _core(labels: LabelImage) -> LabelImage:
    return LabelImage.from_array(4 * (labels.array() == 1), labels.grid, {4: "lesion"}, {4: (0.2, 0.4, 1.0)})


@functools.cache
def registration_on(grid: Grid, moving_grid: Grid, size_mm: float) -> Registration:
    """What a method would return that found a smooth transform for the head on ``moving_grid``."""
    image, labels = head(moving_grid)
    transform = samples.smooth_field(grid, size_mm)
    field = DisplacementField(grid, transform.displacement(grid))
    steps = [DisplacementField(grid, field.data * share) for share in np.linspace(0, 1, 5)]
    warped = warp_image(image, field, grid)
    added = Image.from_array(np.where(ball(grid, grid.centre, 5.0), 30.0, 0.0), grid)
    return Registration(
        transform=transform,
        inverse=field.inverse(),
        fixed_grid=grid,
        warped=warped,
        warped_labels=warp_labels(labels, field, grid),
        labels={"mask_on_moving": _core(labels)},
        images={
            "jacobian": Image(field.jacobian_determinant(grid), grid),
            "intensity_added": added,
            "metamorphosed": Image(warped.data + added.data, grid),
        },
        sequences={"evolution": [warp_image(image, step, grid) for step in steps]},
        curves={
            "energy": Curve([0, 1, 2], {"total": [9.0, 4.0, 2.5], "data": [8.0, 3.0, 1.0]}, "iteration", "energy"),
            "spending": Curve([0.0, 1.0], SPENT, "time", "share of the energy"),
        },
        tables={"overlap": Table("Overlap", ["label", "before", "after"], OVERLAP)},
        metrics={"dice": 0.85, "folded_fraction": 0.0},
        notes=NOTES,
        record={"method": "known", "seed": 3},
    )


def declare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the catalog know, for one test, where the labels of these registrations lie."""
    monkeypatch.setattr(catalog, "outputs_of", lambda _record: {ON_MOVING.name: ON_MOVING})


def volume_scene(place: str = "oblique", size: tuple[int, int, int] = (36, 32, 28)) -> Scene:
    """In 3D, on an awkward grid."""
    fixed = samples.add_volume(samples.VOLUMES[place], size, "patient")
    return _scene(fixed, fixed, 3.0)


def apart_scene() -> Scene:
    """In 3D, the moving image on a grid of its own."""
    fixed = samples.add_volume(samples.VOLUMES["oblique"], (36, 32, 28), "patient")
    return _scene(fixed, samples.add_volume(samples.VOLUMES["anisotropic"], (30, 28, 14), "other"), 3.0)


def slice_scene(place: str = "oblique", height: float = 0.0) -> Scene:
    """A single slice, the moving one ``height`` mm above the fixed one."""
    matrix, size = samples.SLICES[place]
    fixed = samples.add_volume(matrix, size, "patient")
    above = matrix.copy()
    above[:3, 3] += height * scene.plane_of(fixed).normal
    return _scene(fixed, samples.add_volume(above, size, "other"), 1.5)


def _scene(fixed: Any, moving_place: Any, size_mm: float) -> Scene:
    """The moving head is drawn where ``moving_place`` is; the fixed one is the moving one warped."""
    moving_grid = scene.image_from_node(moving_place, fixed).grid
    image, labels = head(moving_grid)
    registration = registration_on(scene.image_from_node(fixed).grid, moving_grid, size_mm)
    plane = scene.plane_of(moving_place, fixed)
    moving = scene.volume_from_image(image, "template", plane)
    moving_labels = scene.segmentation_from_labels(labels, "template labels", plane)
    assert registration.warped is not None
    scene.volume_from_image(registration.warped, "patient", scene.plane_of(fixed), node=fixed)
    for node in (fixed, moving):
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevelMinMax(0, 120)
    return Scene(fixed, moving, moving_labels, registration)
