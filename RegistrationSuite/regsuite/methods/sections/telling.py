"""The result of a run: plate, regions and candidates on the section, and how sure to be of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from regsuite import evaluation
from regsuite.catalog.sections import SectionParameters
from regsuite.io.anchoring import anchoring_of
from regsuite.io.sections import stored_pixel
from regsuite.learning.checkpoint import Checkpoint
from regsuite.methods.sections.fit import fitted
from regsuite.methods.sections.markers import markers_of
from regsuite.methods.sections.measure import region_table
from regsuite.methods.sections.pose import Posed, angles_of, plane_of
from regsuite.methods.sections.prepared import Prepared
from regsuite.methods.sections.views import View
from regsuite.progress import Context
from regsuite.registration import Curve, Registration, Table
from regsuite.spatial import Grid, Image, LabelImage, PointSet, SectionSet
from regsuite.spatial.plates import POSE, Plates, cut
from regsuite.transforms import Affine, warp_image, warp_labels

Inputs = Mapping[str, Image | LabelImage | PointSet | SectionSet | Checkpoint]

_THUMBNAIL = 320
"""Pixels of a candidate's picture, on its longer side."""


@dataclass(frozen=True)
class Asked:
    """What a run was given."""

    section: Image
    template: Image
    labels: LabelImage | None
    points: PointSet | None
    parameters: SectionParameters


def asked_of(inputs: Inputs, parameters: SectionParameters) -> Asked:
    """The inputs by what they are."""
    section, template = inputs["fixed"], inputs["moving"]
    labels, points = inputs.get("moving_labels"), inputs.get("fixed_points")
    assert isinstance(section, Image)
    assert isinstance(template, Image)
    assert labels is None or isinstance(labels, LabelImage)
    assert points is None or isinstance(points, PointSet)
    return Asked(section, template, labels, points, parameters)


@dataclass(frozen=True)
class Answer:
    """What was found of a section.

    distances: (N,) to every plate, of whatever they were compared by; belief: (N,) in each, adds up to 1;
    confidence: that the plate is right, where that is known.
    """

    section: Prepared
    plates: Plates
    view: View
    posed: Posed
    distances: Tensor
    belief: Tensor
    confidence: float | None

    @property
    def plate(self) -> float:
        """Where the section lies, in plates from 0 and with a fraction."""
        return self.plates.number(float(self.posed.found.pose[0]))


class Told:
    """Makes a Registration of what was found."""

    def __init__(self, asked: Asked, answer: Answer) -> None:
        self.asked, self.answer = asked, answer
        self.section, self.plates, self.found = answer.section, answer.plates, answer.posed

    @property
    def pose(self) -> Tensor:
        """(9,) float64: of the section as it lies, whatever view it was found in."""
        return self.plates.pose_of(torch.from_numpy(self.found.matrix @ np.linalg.inv(self.section.to_flat)))

    @property
    def turned(self) -> float:
        """Degrees, -180 to 180, by which the section has to be turned clockwise to stand as the plates do."""
        return math.degrees(float(self.pose[POSE.index("rotation")]))

    @property
    def atlas_mm(self) -> float:
        """mm of the atlas to a mm of the section's own geometry."""
        plane = np.linalg.inv(self.section.to_flat)[:3, :2]
        linear = self.found.matrix[:3, :3] @ (plane / np.linalg.norm(plane, axis=0))
        return float(np.sqrt(np.linalg.norm(np.cross(linear[:, 0], linear[:, 1]))))

    @property
    def pixel_um(self) -> float:
        """Size of a pixel of the section as its file has it, µm of the atlas."""
        return 1000 * self.atlas_mm * stored_pixel(self.asked.section.grid)

    def registration(self, context: Context) -> Registration:
        """With the plate fitted to the section."""
        asked, matrix, grid = self.asked, self.found.matrix, self.asked.section.grid
        affine = Affine(matrix)
        result = Registration(transform=affine, inverse=affine.inverse(), fixed_grid=grid)
        if asked.parameters.deformation == "smooth":
            fit = fitted(self.section, asked.template, matrix, context)
            result.transform, result.inverse, result.notes = fit.transform, fit.inverse, fit.notes
            result.metrics["folded_fraction"] = fit.folded
        context.progress.step(1.0, "carrying the atlas to the section")
        result.warped = warp_image(asked.template, result.transform, grid)
        if asked.labels is not None:
            result.warped_labels = warp_labels(asked.labels, result.transform, grid)
            tissue = self._tissue(grid)
            result.tables["regions"] = region_table(
                asked.section, self.section.channel, result.warped_labels, tissue, self.atlas_mm**2, asked.points
            )
        self._candidates(result)
        self._figures(result)
        return result

    def _tissue(self, grid: Grid) -> np.ndarray:
        """(*shape) bool, on the section's own grid."""
        points = torch.from_numpy(grid.points(torch.float64).numpy() @ self.section.to_flat[:2, :3].T)
        points = points + torch.from_numpy(self.section.to_flat[:2, 3])
        flat = Image(self.section.tissue.float()[None, None], self.section.grid)
        from regsuite.spatial.sampling import sample

        return (sample(flat.data, flat.grid, points, "nearest", "zeros")[0, 0] > 0).numpy()

    # --- candidates ---

    def _candidates(self, result: Registration) -> None:
        """The best plates, as they would lie on the section, and their ranking."""
        count = min(self.asked.parameters.candidates, self.plates.count)
        order = torch.argsort(self.answer.distances, stable=True)
        nearest = order[torch.argsort(-self.answer.belief[order], stable=True)][:count]
        grid = _thumbnail(self.asked.section.grid)
        result.sequences["candidates"] = [
            Image(self._plate_on(grid, int(number)), grid, f"plate {int(number) + 1}") for number in nearest
        ]
        rows = [
            [
                rank + 1,
                int(number) + 1,
                float(self.plates.depths()[number]),
                float(self.answer.distances[number]),
                float(self.answer.belief[number]),
            ]
            for rank, number in enumerate(nearest)
        ]
        columns = ["rank", "plate", "depth mm", "distance", "probability"]
        result.tables["ranking"] = Table("Candidates", columns, rows)
        numbers = [float(number) for number in range(1, self.plates.count + 1)]
        distances = [float(each) for each in self.answer.distances]
        result.curves["distances"] = Curve(numbers, {"distance": distances}, "plate", "distance")

    def _plate_on(self, grid: Grid, number: int) -> Tensor:
        """(1, 1, *shape): a plate of the atlas where the section was found to lie in its plane."""
        pose = self.found.found.pose.double().clone()
        pose[0], pose[1:3] = self.plates.depths()[number], 0.0
        matrix = self.plates.matrices(pose[None]) @ torch.from_numpy(plane_of(self.section, self.answer.view))
        template = self.asked.template
        points = grid.points()
        axis = grid.shape.index(1)
        shown = cut(template.data.float(), template.grid, matrix, points.movedim(axis, 0)[0])
        return shown.movedim(1, 1).reshape(1, 1, *grid.shape)

    # --- figures ---

    def _figures(self, result: Registration) -> None:
        pose = self.found.found.pose
        pitch, yaw = angles_of(pose)
        result.metrics |= {
            "plate": self.answer.plate + 1,
            "depth_mm": float(pose[0]),
            "pitch_deg": pitch,
            "yaw_deg": yaw,
            "turned_deg": self.turned,
            "pixel_um": self.pixel_um,
        }
        if math.isfinite(self.found.found.energy):
            result.metrics["dissimilarity"] = self.found.found.energy
        if self.answer.confidence is not None:
            result.metrics["confidence"] = self.answer.confidence
        errors = evaluation.inverse_consistency(result.transform, result.inverse, result.fixed_grid)
        result.metrics |= {name: value * self.atlas_mm for name, value in errors.items()}
        result.record["chosen"] = {
            "axis": self.plates.axis,
            "spacing": self.plates.spacing,
            "plates": self.plates.count,
            "channel": self.section.channel,
            "pixel": self.pixel_um,
            "pose": self.pose.tolist(),
            "pose_names": list(POSE),
            "side": "back" if self.section.turned_over else "front",
            "section_to_plane": self.section.to_flat.tolist(),
            "anchoring": self._anchoring(),
            "markers": markers_of(self.section, self.found.matrix, result.transform),
        }

    def _anchoring(self) -> list[float]:
        """As QuickNII has it, of the affine part, in the atlas's own voxels."""
        section = self.section
        height, width = section.picture.shape[2:]
        matrix = self.found.matrix @ np.linalg.inv(section.to_flat) @ section.file_to_flat
        return list(anchoring_of(matrix, width, height, (section.pixel, section.pixel), self.asked.template.grid))


def _thumbnail(grid: Grid) -> Grid:
    factor = max(1.0, max(grid.shape) / _THUMBNAIL)
    return grid.resampled([h if n == 1 else h * factor for n, h in zip(grid.shape, grid.spacing, strict=True)])
