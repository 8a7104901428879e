"""The organs that nodes hold, by what they are called; no voxel is converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import slicer.util
from regsuite.terminology import pairs

from RegistrationSuiteLib.scene.labels import segment_term
from RegistrationSuiteLib.scene.surfaces import names_of


def organ_names(inputs: Mapping[str, Any]) -> list[str]:
    """The fixed side's names of the organs that both sides have; inputs: nodes by role, a list of surfaces."""
    fixed, moving = (_described(inputs, side) for side in ("fixed", "moving"))
    if not fixed or not moving:
        return []
    met = set(pairs(dict(enumerate(moving)), dict(enumerate(fixed))).values())
    return [name for place, (name, _) in enumerate(fixed) if place in met]


def _described(inputs: Mapping[str, Any], side: str) -> list[tuple[str, str]]:
    """Name and term of every organ of a side."""
    labels, surfaces = inputs.get(f"{side}_labels"), inputs.get(f"{side}_surfaces") or []
    return [*(_of_labels(labels) if labels is not None else []), *((name, "") for name in names_of(surfaces))]


def _of_labels(node: Any) -> list[tuple[str, str]]:
    if node.IsA("vtkMRMLSegmentationNode"):
        segmentation = node.GetSegmentation()
        segments = [segmentation.GetSegment(each) for each in segmentation.GetSegmentIDs()]
        return [(segment.GetName(), segment_term(segment)) for segment in segments]
    if node.GetImageData() is None:
        return []
    table = node.GetDisplayNode().GetColorNode() if node.GetDisplayNode() is not None else None
    values = [int(value) for value in np.unique(slicer.util.arrayFromVolume(node)) if value]
    return [(table.GetColorName(value) if table is not None else str(value), "") for value in values]
