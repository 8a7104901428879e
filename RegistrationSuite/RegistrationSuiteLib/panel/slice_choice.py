"""The slices that are chosen in a panel, and their segmentation, as the backend sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regsuite.errors import InputError

from RegistrationSuiteLib import dependencies, scene

if TYPE_CHECKING:
    import numpy as np
    from regsuite.spatial import SliceSet

    from RegistrationSuiteLib.panel.form import MethodForm

SLICES, LABELS = "slices", "slice_labels"
"""Roles."""


class SliceChoice:
    """What is chosen in a form; read again where it changed."""

    def __init__(self, form: MethodForm) -> None:
        self._slices: Any = form.inputs[SLICES]
        self._labels = form.inputs[LABELS]
        self._read: tuple[Any, SliceSet | None] = (None, None)

    @property
    def version(self) -> object:
        """That differs where anything else was chosen, or changed."""
        nodes = [*(self._slices.node or ()), self._labels.node]
        return tuple((node.GetID(), node.GetMTime()) if node is not None else None for node in nodes)

    @property
    def slices(self) -> SliceSet | None:
        """None where there are none, or none yet."""
        version = self.version
        if version != self._read[0]:
            self._read = version, self._slices_now()
        return self._read[1]

    def _slices_now(self) -> SliceSet | None:
        if not self._slices.node or not dependencies.complete():
            return None
        try:
            return scene.slices_from_nodes(self._slices.node)
        except InputError:  # Apply says what is wrong with them
            return None

    def painted(self) -> np.ndarray | None:
        """(K, H, W) bool: what the segmentation shows; None where there is none, or none that fits."""
        node, slices = self._labels.node, self.slices
        if node is None or slices is None:
            return None
        try:
            labels = scene.slice_labels_from_nodes([node], slices, self._slices.node[0])
        except InputError:  # Apply says what is wrong
            return None
        fits = labels.grid.shape == (slices.count, *slices.grids[0].shape[1:])
        return labels.mask().numpy() if fits else None
