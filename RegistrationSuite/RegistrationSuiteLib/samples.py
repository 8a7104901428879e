"""Phantoms as nodes of the scene: the sample data of the modules. They are made here; nothing is downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import slicer.util
from regsuite.errors import InputError

from RegistrationSuiteLib import dependencies, scene

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regsuite.phantoms import Case
    from regsuite.spatial import Image, LabelImage

    from RegistrationSuiteLib.scene import Plane

TITLES = {
    "fixed": "patient",
    "moving": "healthy",
    "mask": "lesion",
    "fixed_labels": "patient structures",
    "moving_labels": "healthy structures",
}
GROWTH_TITLES = {
    "fixed": "later",
    "moving": "earlier",
    "mask": "later lesion",
    "moving_mask": "earlier lesion",
    "fixed_labels": "later structures",
    "moving_labels": "earlier structures",
}
ORGAN_TITLES = {
    "fixed": "one",
    "moving": "other",
    "fixed_labels": "organs of one",
    "moving_labels": "organs of other",
}
ATLAS_TITLES = {"fixed": "section", "moving": "template", "moving_labels": "regions"}
HIP_TITLES = {"fixed": "volume", "fixed_labels": "regions"}
SECTION_POSE = (0.9, 0.1, -0.07, 0.05, 0.0, 0.0, 0.0, 0.2, -0.1)
"""Where the sample's section was cut: depth, angles and shift as in :mod:`regsuite.spatial.plates`."""
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


def tumour_growth_3d() -> dict[str, Any]:
    """One small head at two visits, between which its tumour has grown out of the same tissue; as nodes by role."""
    from regsuite import phantoms

    later = phantoms.small_tumour_3d()
    earlier = phantoms.small_tumour_3d(radius=8.0, mass_effect=3.0, oedema=4.0)
    images = {"fixed": later.fixed, "moving": earlier.fixed}
    labels = {
        "mask": later.mask,
        "moving_mask": earlier.mask,
        "fixed_labels": later.fixed_labels,
        "moving_labels": earlier.fixed_labels,
    }
    return _nodes(images, labels, "Growth", GROWTH_TITLES)


def abdomen_3d() -> dict[str, Any]:
    """Two abdomens whose organs have moved, grown and bent each on its own way, as nodes by role."""
    from regsuite import phantoms

    case = phantoms.organ_case(4.0)
    images = {"fixed": case.fixed, "moving": case.moving}
    labels = {"fixed_labels": case.fixed_labels, "moving_labels": case.moving_labels}
    return _nodes(images, labels, "Abdomen", ORGAN_TITLES)


def atlas_section() -> dict[str, Any]:
    """A small brain's template with its regions, and a section that was cut obliquely; as nodes by role."""
    from regsuite import phantoms

    case = phantoms.atlas_case()
    section = phantoms.section_of(case, np.array(SECTION_POSE))
    nodes = _nodes({"moving": case.template}, {"moving_labels": case.labels}, "Atlas", ATLAS_TITLES)
    return {"fixed": scene.volume_from_image(section, f"Atlas {ATLAS_TITLES['fixed']}"), **nodes}


def radial_hip() -> dict[str, Any]:
    """A small hip with its regions, and six slices of it that stand around the femoral neck in an order that is not
    told, as nodes by role: ``slices 1``, ``slices 2``... are stacks, a map each."""
    from regsuite import phantoms
    from regsuite.phantoms.hip import FEMUR

    hip = phantoms.hip(spacing=2.0)
    recipe = phantoms.RadialRecipe(shape=(96, 96), pixel=1.6)
    made = phantoms.radial_acquisition(hip.volume, hip.tissues, FEMUR, hip.centre, hip.normal, recipe=recipe)
    nodes = _nodes({"fixed": hip.volume}, {"fixed_labels": hip.tissues}, "Hip", HIP_TITLES)
    stacks = scene.nodes_from_slices(made.slice_set())
    outlines = scene.segmentation_from_labels(made.silhouette_stack(), "Hip slices' bone")
    outlines.GetDisplayNode().SetVisibility(False)  # it lies where the one pose of all slices is
    return {**nodes, **{f"slices {number}": node for number, node in enumerate(stacks, 1)}, "slice_labels": outlines}


def offer(title: str, category: str, makers: Mapping[str, str]) -> None:
    """Offers phantoms in the module Sample Data; they are made here, nothing is downloaded.

    title: of the module that offers them; makers: the function of this module that makes each, by the sample's name.
    """
    import SampleData

    def make(source: Any) -> list[Any]:
        """The nodes of a sample; a pop-up says what is missing, Sample Data has no place of its own for it."""
        try:
            dependencies.ensure(title)
        except InputError as error:
            slicer.util.errorDisplay(str(error))
            return []
        return list(globals()[makers[source.sampleName]]().values())

    for name in makers:
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=category, sampleName=name, uris="", fileNames="", nodeNames=name, customDownloader=make
        )


def case_nodes(case: Case, name: str) -> dict[str, Any]:
    """A phantom's images as volumes and its labels as segmentations, by role; ``name`` begins every node's name."""
    images = {"fixed": case.fixed, "moving": case.moving}
    labels = {"mask": case.mask, "fixed_labels": case.fixed_labels, "moving_labels": case.moving_labels}
    return _nodes(images, labels, name, TITLES, _AXIAL if case.fixed.grid.dim == 2 else None)


def _nodes(
    images: Mapping[str, Image],
    labels: Mapping[str, LabelImage],
    name: str,
    titles: Mapping[str, str],
    plane: Plane | None = None,
) -> dict[str, Any]:
    """Nodes by role. The fixed image's lesion is shown as an outline, other labels are hidden."""
    nodes = {role: scene.volume_from_image(each, f"{name} {titles[role]}", plane) for role, each in images.items()}
    for role, each in labels.items():
        nodes[role] = scene.segmentation_from_labels(each, f"{name} {titles[role]}", plane)
        nodes[role].GetDisplayNode().SetVisibility(role == "mask")
        nodes[role].GetDisplayNode().SetVisibility2DFill(False)
    return nodes
