"""The organs that nodes hold, by what they are called; no voxel is converted."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from regsuite.terminology import pairs

from RegistrationSuiteLib.scene.labels import names_in_volume, segment_term, segment_values
from RegistrationSuiteLib.scene.surfaces import names_of

Organs = dict[int, tuple[str, str]]
"""Name, empty where there is none, and term of every organ of a side, by its value as a label."""


def organ_names(inputs: Mapping[str, Any]) -> list[str]:
    """The fixed side's names of the organs that both sides have; inputs: nodes by role, a list of surfaces.

    Where one side's organs, of which it has several, have no names, they are matched by value, as in a run.
    """
    fixed, moving = (_organs(inputs, side) for side in ("fixed", "moving"))
    named = all(any(name for name, _ in organs.values()) for organs in (fixed, moving))
    if named or max(len(fixed), len(moving)) <= 1:
        met = set(pairs(_called(moving), _called(fixed)).values())
    else:
        met = set(fixed) & set(moving)
    return [name for value, (name, _) in _called(fixed).items() if value in met]


def _called(organs: Organs) -> Organs:
    """What has no name is called by its value."""
    return {value: (name or str(value), term) for value, (name, term) in organs.items()}


def _organs(inputs: Mapping[str, Any], side: str) -> Organs:
    """Surfaces have the values that labels leave free."""
    labels, surfaces = inputs.get(f"{side}_labels"), inputs.get(f"{side}_surfaces") or []
    organs = _of_labels(labels) if labels is not None else {}
    free = (value for value in itertools.count(1) if value not in organs)
    return organs | {next(free): (name, "") for name in names_of(surfaces)}


def _of_labels(node: Any) -> Organs:
    if node.IsA("vtkMRMLSegmentationNode"):
        return {value: (each.GetName(), segment_term(each)) for value, each in segment_values(node).items()}
    return {value: (name, "") for value, name in names_in_volume(node).items()}
