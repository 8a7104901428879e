"""Phantoms as nodes of the scene: the sample data of the modules. They are made here; nothing is downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from RegistrationSuiteLib import scene

if TYPE_CHECKING:
    from regsuite.phantoms import Case

TITLES = {
    "fixed": "patient",
    "moving": "healthy",
    "mask": "lesion",
    "fixed_labels": "patient structures",
    "moving_labels": "healthy structures",
}
# Where a flat phantom is laid: the axial plane through the world's origin.
_AXIAL = scene.Plane(frame=np.eye(3)[:, :2], normal=np.eye(3)[2], offset=0.0, thickness=1.0, axis=0)


def tumour_head_2d() -> dict[str, Any]:
    """A flat head with a tumour, and a healthy one, as nodes by role."""
    from regsuite import phantoms

    return case_nodes(phantoms.shapes_2d(), "Flat head")


def tumour_head_3d() -> dict[str, Any]:
    """A small head with a tumour, and a healthy one, as nodes by role."""
    from regsuite import phantoms

    return case_nodes(phantoms.small_tumour_3d(), "Head")


def case_nodes(case: Case, name: str) -> dict[str, Any]:
    """A phantom's images as volumes and its labels as segmentations, by role; ``name`` begins every node's name.

    The lesion is shown as an outline, the other labels are hidden.
    """
    plane = _AXIAL if case.fixed.grid.dim == 2 else None
    images = {"fixed": case.fixed, "moving": case.moving}
    labels = {"mask": case.mask, "fixed_labels": case.fixed_labels, "moving_labels": case.moving_labels}
    nodes = {role: scene.volume_from_image(each, f"{name} {TITLES[role]}", plane) for role, each in images.items()}
    for role, each in labels.items():
        nodes[role] = scene.segmentation_from_labels(each, f"{name} {TITLES[role]}", plane)
        nodes[role].GetDisplayNode().SetVisibility(role == "mask")
        nodes[role].GetDisplayNode().SetVisibility2DFill(False)
    return nodes
