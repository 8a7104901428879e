"""A section of a small brain that was found where it was cut, and its nodes, for tests of what shows it."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from RegistrationSuiteLib import samples
from regsuite import phantoms
from regsuite.learning.checkpoint import Checkpoint
from regsuite.phantoms import AtlasCase
from regsuite.registration import Curve, Registration, Table, Training
from regsuite.spatial import Image
from regsuite.transforms import Affine, Chain, DisplacementField, Transform, warp_image, warp_labels

POSE = np.array(samples.SECTION_POSE)
OFFSETS = (0.0, 1.0, -1.0, 3.0)
"""Plates between a candidate and the plate that was cut."""


@dataclass(frozen=True)
class Cut:
    """An atlas and a section of it; matrix: from the section's to the atlas's RAS mm."""

    case: AtlasCase
    section: Image
    section_to_plane: np.ndarray
    matrix: np.ndarray

    def matrix_at(self, pose: np.ndarray) -> np.ndarray:
        """The same at another pose."""
        matrices = self.case.plates.matrices(torch.as_tensor(np.asarray(pose), dtype=torch.float64)[None])
        return matrices[0].numpy() @ self.section_to_plane


@functools.cache
def cut() -> Cut:
    """The sample of the module, and where it was cut."""
    case = phantoms.atlas_case()
    section = phantoms.section_of(case, POSE)
    to_plane = np.diag([-1.0, -1.0, 1.0, 1.0])  # columns run to L and rows to P, the plane's right and bottom
    to_plane[:3, 3] = -to_plane[:3, :3] @ section.grid.centre
    bare = Cut(case, section, to_plane, np.eye(4))
    return Cut(case, section, to_plane, bare.matrix_at(POSE))


def bend(section: Image) -> DisplacementField:
    """A smooth displacement of up to 0.3 mm in the section's plane, three slices thick."""
    grid = section.grid.padded((1, 0, 0))
    rows, columns = (np.sin(np.linspace(0, np.pi, count)) for count in grid.shape[1:])
    amount = 0.3 * np.broadcast_to(np.outer(rows, columns), grid.shape)
    vectors = np.stack([amount, -0.5 * amount, np.zeros_like(amount)])
    return DisplacementField(grid, torch.from_numpy(vectors[None].astype(np.float32)))


@functools.cache
def registration(bent: bool = False) -> Registration:
    """What a method would return that found the section exactly; bent: with a deformation in its plane."""
    made, case = cut(), cut().case
    affine = Affine(made.matrix)
    transform: Transform = affine
    inverse: Transform = Affine(np.linalg.inv(made.matrix))
    if bent:
        field = bend(made.section)
        transform, inverse = Chain([field, affine]), Chain([inverse, field.inverse()])
    coarse = made.section.grid.resampled([made.section.grid.spacing[0], 0.2, 0.2])
    plates = [case.plates.number(POSE[0]) + 1 + offset for offset in OFFSETS]
    frames = [_plate(made, coarse, offset) for offset in OFFSETS]
    rows = [
        [rank + 1, plate, offset, 0.1 + 0.1 * rank, 0.4 / (rank + 1)]
        for rank, (plate, offset) in enumerate(zip(plates, OFFSETS, strict=True))
    ]
    columns = ["rank", "plate", "depth mm", "distance", "probability"]
    numbers = [float(number + 1) for number in range(case.plates.count)]
    return Registration(
        transform=transform,
        inverse=inverse,
        fixed_grid=made.section.grid,
        warped=warp_image(case.template, transform, made.section.grid),
        warped_labels=warp_labels(case.labels, transform, made.section.grid),
        sequences={"candidates": frames},
        curves={"distances": Curve(numbers, {"distance": [abs(x - plates[0]) for x in numbers]}, "plate", "distance")},
        tables={
            "ranking": Table("Ranking", columns, rows),
            "regions": Table(
                "Regions", ["region", "area mm²", "mean"], [["Cortex", 12.5, 0.6], ["Nucleus 1", 3.0, 0.4]]
            ),
        },
        metrics={
            "plate": plates[0],
            "confidence": 0.8,
            "pitch_deg": 5.7,
            "yaw_deg": -4.0,
            "turned_deg": 0.0,
            "depth_mm": float(POSE[0]),
            "pixel_um": 80.0,
        },
        notes=["The plate was found by its looks alone."],
        record=_record(made),
    )


def _plate(made: Cut, grid: Any, offset: float) -> Image:
    pose = POSE.copy()
    pose[0] += offset * made.case.plates.spacing
    return warp_image(made.case.template, Affine(made.matrix_at(pose)), grid)


def _record(made: Cut) -> dict[str, Any]:
    """As a run on JSON's way keeps it."""
    plates = made.case.plates
    chosen = {
        "axis": plates.axis,
        "spacing": plates.spacing,
        "plate": plates.number(POSE[0]) + 1,
        "pose": POSE.tolist(),
        "section_to_plane": made.section_to_plane.tolist(),
    }
    inputs = {"moving": {"name": "Atlas", **asdict(made.case.template.grid)}}
    return {"method": "atlas-slice", "chosen": chosen, "inputs": inputs, "seconds": 1.0, "device": "cpu"}


def training() -> Training:
    """What a training would return."""
    curve = Curve([1.0, 2.0, 3.0], {"training": [3.0, 2.0, 1.5], "validation": [3.2, 2.2, 1.9]}, "iteration", "loss")
    table = Table("Validation", ["measure", "value"], [["plates off", 1.5]])
    return Training(
        checkpoint=Checkpoint({"weight": torch.ones(2, 3)}, {"method": "atlas-encoder"}),
        curves={"training": curve},
        tables={"validation": table},
        metrics={"plates_off": 1.5},
        notes=["It was a short training."],
        record={"method": "atlas-encoder", "seconds": 2.0, "device": "cpu"},
    )
