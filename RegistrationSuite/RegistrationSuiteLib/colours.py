"""Colour tables whose middle means "no change", and the window that goes with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk
from regsuite.wording import DISTANCE, ORGAN

from RegistrationSuiteLib.scene.volumes import new_node

BLUE_TO_RED = ((0.02, 0.19, 0.58), (0.40, 0.66, 0.90), (0.97, 0.97, 0.97), (0.96, 0.53, 0.38), (0.62, 0.00, 0.10))
COLD_TO_HOT = ((0.35, 0.95, 1.0), (0.0, 0.3, 1.0), (0.0, 0.0, 0.0), (1.0, 0.15, 0.0), (1.0, 0.9, 0.2))
PALE_TO_RED = ((0.0, 0.0, 0.0),) * 2 + ((0.96, 0.96, 0.90), (0.95, 0.60, 0.30), (0.55, 0.00, 0.10))
"""Of which the upper half is used."""
FOLDED = (1.0, 0.0, 1.0)

OURS = "RegistrationSuite.colours"
"""Attribute of the tables made here: one is changed rather than another made."""

FAINT = 0.01
"""Share of the largest value below which a value counts as none: smoothing leaves traces of 1e-9 far away."""

ENTRIES = 256
JACOBIAN_RANGES = (1.25, 1.5, 2.0, 3.0, 4.0)


def colour_jacobian(node: Any) -> None:
    """Show a volume of Jacobian determinants: white at 1, blue below, red above, r and 1/r equally strong.

    The window ends at r and begins at 2 - r, or at 0, so that 1 is in its middle where r is at most 2; what folds (0
    and below) is magenta.
    """
    determinants = slicer.util.arrayFromVolume(node)
    high = jacobian_range(determinants)
    low = max(0.0, 2.0 - high)
    values = np.linspace(low, high, ENTRIES)
    table = diverging(np.log(np.maximum(values, 1e-6)) / np.log(high))
    if low == 0:
        table[0] = FOLDED
    _show(node, table, low, high)


def jacobian_range(determinants: np.ndarray) -> float:
    """The smallest round r so that [1/r, r] holds 99.5 % of the determinants; at least 2 where something folds."""
    sound = determinants[determinants > 0]
    ratio = np.exp(np.percentile(np.abs(np.log(sound)), 99.5)) if sound.size else 1.0
    least = 2.0 if sound.size < determinants.size else 1.0
    return next((limit for limit in JACOBIAN_RANGES if limit >= max(ratio, least)), JACOBIAN_RANGES[-1])


def colour_signed(node: Any) -> None:
    """Show a volume of signed values: black at 0, blue below, red above, over a symmetric window.

    The window holds 99 % of the values that count (see :data:`FAINT`); black lets what lies below show through best.
    """
    sizes = np.abs(slicer.util.arrayFromVolume(node))
    counting = sizes[sizes > FAINT * sizes.max(initial=0)]
    largest = float(np.percentile(counting, 99)) if counting.size else 1.0
    _show(node, diverging(np.linspace(-1, 1, ENTRIES), COLD_TO_HOT), -largest, largest)


def diverging(positions: np.ndarray, stops: Sequence[Sequence[float]] = BLUE_TO_RED) -> np.ndarray:
    """(n, 3) colours for positions from -1 through 0 to 1, between five stops."""
    return np.stack([np.interp(positions, (-1, -0.5, 0, 0.5, 1), channel) for channel in zip(*stops, strict=True)], 1)


def _show(node: Any, colours: np.ndarray, low: float, high: float) -> None:
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    table = display.GetColorNode()
    if table is None or not table.GetAttribute(OURS):
        table = _new_table(f"{node.GetName()} colours")
    for index, colour in enumerate(colours):
        table.SetColor(index, f"{index}", *map(float, colour), 1.0)
    display.SetAndObserveColorNodeID(table.GetID())
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(low, high)


def colour_by_organ(node: Any) -> None:
    """Show a model in the colours that its points have."""
    display = node.GetDisplayNode()
    display.SetActiveScalar(ORGAN, vtk.vtkAssignAttribute.POINT_DATA)
    display.SetScalarRangeFlag(display.UseDirectMapping)
    display.SetScalarVisibility(True)


def colour_by_distance(node: Any) -> None:
    """Show how far each point of a model is off: pale where it is not, dark red from the 95th percentile on."""
    display = node.GetDisplayNode()
    largest = float(np.percentile(slicer.util.arrayFromModelPointData(node, DISTANCE), 95))
    table = display.GetColorNode()
    if table is None or not table.GetAttribute(OURS):
        table = _new_table(f"{node.GetName()} colours")
    for index, colour in enumerate(diverging(np.linspace(0, 1, ENTRIES), PALE_TO_RED)):
        table.SetColor(index, f"{index}", *map(float, colour), 1.0)
    display.SetAndObserveColorNodeID(table.GetID())
    display.SetActiveScalar(DISTANCE, vtk.vtkAssignAttribute.POINT_DATA)
    display.SetScalarRangeFlag(display.UseManualScalarRange)
    display.SetScalarRange(0.0, round_up(max(largest, 1e-3)))
    display.SetScalarVisibility(True)


def round_up(value: float) -> float:
    """The next round number."""
    decade = 10.0 ** np.floor(np.log10(value))
    return float(decade * min(each for each in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if each * decade >= value * (1 - 1e-9)))


def _new_table(name: str) -> Any:
    table = new_node("vtkMRMLColorTableNode", name)
    table.SetTypeToUser()
    table.SetNumberOfColors(ENTRIES)
    table.SetAttribute(OURS, "map")
    return table
