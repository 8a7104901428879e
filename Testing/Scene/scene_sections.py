"""A section of a small brain that was found where it was cut, and its nodes, for tests of what shows it."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from RegistrationSuiteLib import samples, scene
from regsuite import phantoms
from regsuite.learning.checkpoint import Checkpoint
from regsuite.phantoms.atlas import AtlasCase, section_of
from regsuite.registration import Curve, Registration, Series, Table, Training
from regsuite.spatial import Image
from regsuite.transforms import Affine, Chain, DisplacementField, Transform, warp_image, warp_labels

POSE = np.array(samples.SECTION_POSE)
OFFSETS = (0.0, 1.0, -1.0, 3.0)
"""Plates between a candidate and the plate that was cut."""
DEPTHS = {"brain_s2": -1.5, "brain_s4": 0.1, "brain_s10": 2.5}
"""mm, of the sections of a series."""


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


def cut(pose: tuple[float, ...] = samples.SECTION_POSE) -> Cut:
    """The sample of the module, and where it was cut; or the same brain cut elsewhere."""
    return _cut(pose)


@functools.cache
def _cut(pose: tuple[float, ...]) -> Cut:
    case = phantoms.atlas_case() if pose == samples.SECTION_POSE else cut().case
    section = section_of(case, np.array(pose))
    to_plane = np.diag([-1.0, -1.0, 1.0, 1.0])  # columns run to L and rows to P, the plane's right and bottom
    to_plane[:3, 3] = -to_plane[:3, :3] @ section.grid.centre
    bare = Cut(case, section, to_plane, np.eye(4))
    return Cut(case, section, to_plane, bare.matrix_at(np.array(pose)))


def bend(section: Image) -> DisplacementField:
    """A smooth displacement of up to 0.3 mm in the section's plane, three slices thick."""
    grid = section.grid.padded((1, 0, 0))
    rows, columns = (np.sin(np.linspace(0, np.pi, count)) for count in grid.shape[1:])
    amount = 0.3 * np.broadcast_to(np.outer(rows, columns), grid.shape)
    vectors = np.stack([amount, -0.5 * amount, np.zeros_like(amount)])
    return DisplacementField(grid, torch.from_numpy(vectors[None].astype(np.float32)))


@functools.cache
def registration(bent: bool = False, pose: tuple[float, ...] = samples.SECTION_POSE) -> Registration:
    """What a method would return that found the section exactly; bent: with a deformation in its plane."""
    made, case = cut(pose), cut(pose).case
    affine = Affine(made.matrix)
    transform: Transform = affine
    inverse: Transform = Affine(np.linalg.inv(made.matrix))
    if bent:
        field = bend(made.section)
        transform, inverse = Chain([field, affine]), Chain([inverse, field.inverse()])
    coarse = made.section.grid.resampled([made.section.grid.spacing[0], 0.2, 0.2])
    plates = [case.plates.number(pose[0]) + 1 + offset for offset in OFFSETS]
    frames = [_plate(made, np.array(pose), coarse, offset) for offset in OFFSETS]
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
            "depth_mm": pose[0],
            "pixel_um": 80.0,
        },
        notes=["The plate was found by its looks alone."],
        record=_record(made, pose),
    )


def _plate(made: Cut, pose: np.ndarray, grid: Any, offset: float) -> Image:
    pose[0] += offset * made.case.plates.spacing
    return warp_image(made.case.template, Affine(made.matrix_at(pose)), grid)


def _record(made: Cut, pose: tuple[float, ...]) -> dict[str, Any]:
    """As a run on JSON's way keeps it."""
    plates = made.case.plates
    chosen = {
        "axis": plates.axis,
        "spacing": plates.spacing,
        "plate": plates.number(pose[0]) + 1,
        "pose": list(pose),
        "section_to_plane": made.section_to_plane.tolist(),
    }
    inputs = {"moving": {"name": "Atlas", **asdict(made.case.template.grid)}}
    return {"method": "atlas-slice", "chosen": chosen, "inputs": inputs, "seconds": 1.0, "device": "cpu"}


def pose_at(depth: float) -> tuple[float, ...]:
    """The sample's, at another depth, mm."""
    return (depth, *samples.SECTION_POSE[1:])


def series() -> Series:
    """What a method would return that found the sections of a brain exactly, and doubts one of them."""
    parts = {name: replace(registration(pose=pose_at(depth))) for name, depth in DEPTHS.items()}
    columns = ["section", "number", "plate", "depth mm", "pitch °", "yaw °", "probability"]
    table, curve = Table("Series", columns, []), Curve(x_title="section", y_title="depth mm")
    for number, (name, depth) in zip((2, 4, 10), DEPTHS.items(), strict=True):
        sure = 0.3 if name == "brain_s4" else 0.95
        parts[name].metrics = {**parts[name].metrics, "confidence": sure}
        table.rows.append([name, number, parts[name].metrics["plate"], depth, 5.7, -4.0, sure])
        curve.add(number, together=depth, alone=depth + 0.2)
    return Series(
        parts=parts,
        tables={"series": table},
        curves={"depths": curve},
        metrics={"pitch_deg": 5.7, "yaw_deg": -4.0},
        notes=["The plates of these sections are doubtful, check them: brain_s4."],
        record={"method": "atlas-series", "seconds": 3.0, "device": "cpu"},
    )


def series_nodes() -> dict[str, Any]:
    """The sections of that brain by name."""
    return {name: scene.volume_from_image(cut(pose_at(depth)).section, name) for name, depth in DEPTHS.items()}


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
