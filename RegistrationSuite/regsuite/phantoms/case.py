"""What a phantom gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from regsuite.spatial import Image, LabelImage
from regsuite.transforms import Transform

VENTRICLES, GREY, WHITE = 1, 2, 3
LABEL_NAMES = {VENTRICLES: "Ventricles", GREY: "Grey matter", WHITE: "White matter"}
LABEL_COLOURS = {VENTRICLES: (0.25, 0.65, 0.95), GREY: (0.55, 0.55, 0.55), WHITE: (0.95, 0.92, 0.80)}


@dataclass(frozen=True)
class Case:
    """A pair to register: ``mask`` (1 = lesion) and ``fixed_labels`` on the fixed grid."""

    fixed: Image
    moving: Image
    mask: LabelImage
    fixed_labels: LabelImage
    moving_labels: LabelImage

    @property
    def inputs(self) -> Mapping[str, Image | LabelImage]:
        """The inputs of a job, by role."""
        return {
            "fixed": self.fixed,
            "moving": self.moving,
            "mask": self.mask,
            "moving_labels": self.moving_labels,
            "fixed_labels": self.fixed_labels,
        }


@dataclass(frozen=True)
class TumourCase(Case):
    """A pair made by a known transform.

    truth: fixed to moving points, as every transform; valid: 1 in the tissue of the fixed image that the moving image
    has too, which is where ``truth`` means something. In the tumour's core it does not.
    """

    truth: Transform
    valid: LabelImage

    def error_mm(self, transform: Transform) -> torch.Tensor:
        """|transform(x) - truth(x)| in mm at every valid voxel, (N,)."""
        x = self.fixed.grid.points(torch.float64)[self.valid.mask()]
        return (transform.points(x) - self.truth.points(x)).norm(dim=-1)
