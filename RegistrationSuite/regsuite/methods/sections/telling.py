"""The result of a run: plate, regions and candidates on the section, and how sure to be of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from regsuite import evaluation
from regsuite.io.anchoring import anchoring_of
from regsuite.methods.sections.fit import fitted
from regsuite.methods.sections.identify import Identified
from regsuite.methods.sections.measure import region_table
from regsuite.methods.sections.pose import Posed, angles_of, plane_of
from regsuite.methods.sections.prepared import Prepared
from regsuite.methods.sections.sureness import evidence, probability
from regsuite.progress import Context
from regsuite.registration import Curve, Registration, Table
from regsuite.spatial import Grid, Image
from regsuite.spatial.plates import POSE, cut
from regsuite.transforms import Affine, warp_image, warp_labels

if TYPE_CHECKING:
    from regsuite.methods.sections.run import Run

_THUMBNAIL = 320
"""Pixels of a candidate's picture, on its longer side."""


class Told:
    """Makes a Registration of what was found."""

    def __init__(self, run: Run, section: Prepared, identified: Identified, found: Posed) -> None:
        self.run, self.section, self.identified, self.found = run, section, identified, found
        self.plates = run.plates
        pose = found.found.pose
        self.plate = self.plates.number(float(pose[0]))
        margin = float(run.trained.card["training"]["margin"])
        told = evidence(identified.distances, margin, self.plate, found.found.energy)
        self.confidence = probability(run.trained.sureness.cpu(), told)
        self.belief = _belief(identified.distances / margin, self.plates.depths() - float(pose[0]), self._nearby())

    def _nearby(self) -> float:
        """mm: how far off a depth found by slicing may well be."""
        return max(self.plates.spacing, self.run.trained.anatomy.pixel)

    @property
    def atlas_mm(self) -> float:
        """mm of the atlas to a mm of the section's own geometry."""
        linear = self.found.matrix[:3, :3] @ np.linalg.inv(self.section.to_flat)[:3, :2]
        return float(np.sqrt(np.linalg.norm(np.cross(linear[:, 0], linear[:, 1]))))

    @property
    def pixel_um(self) -> float:
        """Size of a pixel of the section as it was read, µm of the atlas."""
        axis = self.run.section.grid.shape.index(1)
        spacing = [h for place, h in enumerate(self.run.section.grid.spacing) if place != axis]
        return 1000 * self.atlas_mm * spacing[1]

    def registration(self, context: Context) -> Registration:
        """With the plate fitted to the section."""
        run, matrix, grid = self.run, self.found.matrix, self.run.section.grid
        affine = Affine(matrix)
        result = Registration(transform=affine, inverse=affine.inverse(), fixed_grid=grid)
        if run.parameters.deformation == "smooth":
            fit = fitted(self.section, run.template, matrix, context)
            result.transform, result.inverse, result.notes = fit.transform, fit.inverse, fit.notes
            result.metrics["folded_fraction"] = fit.folded
        context.progress.step(1.0, "carrying the atlas to the section")
        result.warped = warp_image(run.template, result.transform, grid)
        if run.labels is not None:
            result.warped_labels = warp_labels(run.labels, result.transform, grid)
            tissue = self._tissue(grid)
            result.tables["regions"] = region_table(
                run.section, self.section.channel, result.warped_labels, tissue, self.atlas_mm**2, run.points
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
        count = min(self.run.parameters.candidates, self.plates.count)
        nearest = torch.argsort(-self.belief, stable=True)[:count]
        grid = _thumbnail(self.run.section.grid)
        result.sequences["candidates"] = [
            Image(self._plate_on(grid, int(number)), grid, f"plate {int(number) + 1}") for number in nearest
        ]
        rows = [
            [
                rank + 1,
                int(number) + 1,
                float(self.plates.depths()[number]),
                float(self.identified.distances[number]),
                float(self.belief[number]),
            ]
            for rank, number in enumerate(nearest)
        ]
        columns = ["rank", "plate", "depth mm", "distance", "probability"]
        result.tables["ranking"] = Table("Candidates", columns, rows)
        numbers = [float(number) for number in range(1, self.plates.count + 1)]
        distances = [float(each) for each in self.identified.distances]
        result.curves["distances"] = Curve(numbers, {"distance": distances}, "plate", "distance")

    def _plate_on(self, grid: Grid, number: int) -> Tensor:
        """(1, 1, *shape): a plate of the atlas where the section was found to lie in its plane."""
        pose = self.found.found.pose.double().clone()
        pose[0], pose[1:3] = self.plates.depths()[number], 0.0
        matrix = self.plates.matrices(pose[None]) @ torch.from_numpy(plane_of(self.section, self.identified.view))
        template = self.run.template
        points = grid.points()
        axis = grid.shape.index(1)
        shown = cut(template.data.float(), template.grid, matrix, points.movedim(axis, 0)[0])
        return shown.movedim(1, 1).reshape(1, 1, *grid.shape)

    # --- figures ---

    def _figures(self, result: Registration) -> None:
        pose = self.found.found.pose
        pitch, yaw = angles_of(pose)
        result.metrics |= {
            "plate": self.plate + 1,
            "depth_mm": float(pose[0]),
            "pitch_deg": pitch,
            "yaw_deg": yaw,
            "turned_deg": _wrapped(self.identified.view.turn + math.degrees(float(pose[3]))),
            "pixel_um": self.pixel_um,
            "confidence": self.confidence,
            "dissimilarity": self.found.found.energy,
        }
        result.metrics |= evaluation.inverse_consistency(result.transform, result.inverse, result.fixed_grid)
        zero = [[float(value) for value in row] for row in plane_of(self.section, self.identified.view)]
        result.record["chosen"] = {
            "axis": self.plates.axis,
            "spacing": self.plates.spacing,
            "plates": self.plates.count,
            "channel": self.section.channel,
            "pixel": self.pixel_um,
            "pose": [float(value) for value in pose],
            "pose_names": list(POSE),
            "section_to_plane": zero,
            "anchoring": self._anchoring(),
        }

    def _anchoring(self) -> list[float]:
        """As QuickNII has it, of the affine part, in the atlas's own voxels."""
        section = self.section
        height, width = section.picture.shape[2:]
        corner = np.eye(4)
        corner[:2, 3] = -(width - 1) / 2 * section.pixel, -(height - 1) / 2 * section.pixel
        file_to_flat = corner @ np.diag([-1.0, -1.0, 1.0, 1.0])
        matrix = self.found.matrix @ np.linalg.inv(section.to_flat) @ file_to_flat
        return list(anchoring_of(matrix, width, height, (section.pixel, section.pixel), self.run.template.grid))


def _belief(distances: Tensor, off: Tensor, nearby: float) -> Tensor:
    """(N,), adds up to 1: in each plate, by its embedding and by how far it lies from where slicing arrived."""
    return torch.softmax(-distances.double().square() - 0.5 * (off / nearby).square(), dim=0)


def _thumbnail(grid: Grid) -> Grid:
    factor = max(1.0, max(grid.shape) / _THUMBNAIL)
    return grid.resampled([h if n == 1 else h * factor for n, h in zip(grid.shape, grid.spacing, strict=True)])


def _wrapped(angle: float) -> float:
    return (angle + 180) % 360 - 180
