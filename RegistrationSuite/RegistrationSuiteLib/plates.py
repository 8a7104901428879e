"""Where in an atlas a section was found, and the atlas held in the section's place while that is changed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import slicer.util
import vtk

from RegistrationSuiteLib import records, tables
from RegistrationSuiteLib.scene.cuts import outer_surface
from RegistrationSuiteLib.scene.volumes import new_node

if TYPE_CHECKING:
    from regsuite.spatial import Grid
    from regsuite.spatial.plates import Plates

DEPTH, PITCH, YAW, ROTATION, SCALE_X, SCALE_Y, SHEAR, SHIFT_X, SHIFT_Y = range(9)
"""Which numbers of a pose are the depth (mm), the angles (rad), and what happens in the plane."""
HELD, BEFORE = "RegistrationSuite.held", "RegistrationSuite.before"
"""Node references of a transform that holds the atlas: what it holds, and the transform that was above that before."""


@dataclass(frozen=True)
class Candidate:
    """A plate that was proposed: its number, from 1, and its distance to the section; texts, as the table has them."""

    plate: str
    distance: str
    probability: str


def candidates_of(ranking: Any) -> list[Candidate]:
    """What a table of candidates says, the best first."""
    rows = tables.rows_of(ranking)
    return [Candidate(row.get("plate", ""), row.get("distance", ""), row.get("probability", "")) for row in rows]


@dataclass(frozen=True)
class Moved:
    """How the atlas that lies over a section is moved in the section's plane, from where it was found.

    turn: degrees, clockwise as it is seen, about the section's middle; scale: its size, and stretch: its width alone,
    as factors; right, down: mm of the atlas.
    """

    turn: float = 0.0
    scale: float = 1.0
    stretch: float = 1.0
    right: float = 0.0
    down: float = 0.0


@dataclass(frozen=True)
class Place:
    """Where a section was found.

    grid: the atlas's, in the world, when it was found; axis, spacing: of its plates; pose: nine numbers;
    section_to_plane: (4, 4) from the section's RAS mm to mm in the plane; side: which one of the section is seen.
    """

    grid: Grid
    axis: Any
    spacing: float
    pose: tuple[float, ...]
    section_to_plane: np.ndarray
    side: str = "front"

    @property
    def plates(self) -> Plates:
        """The atlas's plates."""
        from regsuite.spatial.plates import Plates

        return Plates(self.grid, self.axis, self.spacing)

    @property
    def count(self) -> int:
        """How many plates the atlas has."""
        return self.plates.count

    @property
    def plate(self) -> float:
        """The number of the plate in whose middle the section lies, from 1."""
        return self.plates.number(self.pose[DEPTH]) + 1

    @property
    def angles(self) -> tuple[float, float]:
        """Pitch and yaw, degrees."""
        return float(np.degrees(self.pose[PITCH])), float(np.degrees(self.pose[YAW]))

    def turned(self, plate: float, pitch: float, yaw: float) -> tuple[float, ...]:
        """The pose with another plate, from 1, and other angles, degrees; what it does in the plane stays."""
        plates = self.plates
        depth = (plate - 1 - (plates.count - 1) / 2) * self.spacing
        return (depth, float(np.radians(pitch)), float(np.radians(yaw)), *self.pose[YAW + 1 :])

    def moved(self, pose: Sequence[float], moved: Moved) -> tuple[float, ...]:
        """A pose with the atlas moved in the section's plane; a pose says where the section lies in the atlas, and so
        all is the other way round in it."""
        found = list(pose)
        found[ROTATION] -= float(np.radians(moved.turn))
        found[SCALE_X] -= float(np.log(moved.scale * moved.stretch))
        found[SCALE_Y] -= float(np.log(moved.scale))
        cos, sin = np.cos(found[ROTATION]), np.sin(found[ROTATION])
        found[SHIFT_X] -= float(cos * moved.right - sin * moved.down)
        found[SHIFT_Y] -= float(sin * moved.right + cos * moved.down)
        return tuple(found)

    @property
    def reach(self) -> float:
        """Half the atlas's longest side, mm."""
        return 0.5 * float(self.plates.extent.max())

    def matrix(self, pose: Sequence[float] | None = None) -> np.ndarray:
        """(4, 4) from the section's to the atlas's RAS mm, at a pose, or at the one that was found."""
        import torch

        poses = torch.tensor([list(pose or self.pose)], dtype=torch.float64)
        return self.plates.matrices(poses)[0].numpy() @ self.section_to_plane


def place_of(nodes: Mapping[str, Any]) -> Place | None:
    """Where the result of these nodes by output name puts the section in the atlas; None where it says nothing."""
    record = records.record_of(nodes)
    chosen, atlas = record.get("chosen") or {}, (record.get("inputs") or {}).get("moving")
    if atlas is None or not {"axis", "spacing", "pose", "section_to_plane"} <= set(chosen):
        return None
    pose = tuple(float(value) for value in chosen["pose"])
    section_to_plane, side = np.array(chosen["section_to_plane"]), chosen.get("side", "front")
    return Place(_grid(atlas), chosen["axis"], chosen["spacing"], pose, section_to_plane, side)


def _grid(described: Mapping[str, Any]) -> Grid:
    """Of the record of an input, where that was during the run."""
    from regsuite.spatial import Grid

    direction = tuple(tuple(row) for row in described["direction"])
    return Grid(tuple(described["shape"]), tuple(described["spacing"]), tuple(described["origin"]), direction)


# --- the atlas in the section's place ---


def hold(place: Place, atlas: Any, others: Sequence[Any] = ()) -> Any:
    """Put the atlas under a new linear transform that brings it to the section; returns that transform's node.

    others: nodes that lie on the atlas, such as its annotation; those under another transform than it stay behind.
    """
    holder = new_node("vtkMRMLLinearTransformNode", f"{atlas.GetName()} at the section")
    before = atlas.GetParentTransformNode()
    if before is not None:
        holder.SetNodeReferenceID(BEFORE, before.GetID())
    turn(holder, place, place.pose)
    for node in (atlas, *(each for each in others if each.GetParentTransformNode() is before)):
        holder.AddNodeReferenceID(HELD, node.GetID())
        node.SetAndObserveTransformNodeID(holder.GetID())
    return holder


def turn(holder: Any, place: Place, pose: Sequence[float]) -> None:
    """Show the atlas as the section would cut it at another pose."""
    before = holder.GetNodeReference(BEFORE)
    above = vtk.vtkMatrix4x4()
    if before is not None:
        before.GetMatrixTransformToWorld(above)
    to_section = np.linalg.inv(place.matrix(pose)) @ slicer.util.arrayFromVTKMatrix(above)
    holder.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(to_section))


def release(holder: Any) -> None:
    """Put what a transform holds back to where it was, and remove the transform."""
    before = holder.GetNodeReference(BEFORE)
    for index in range(holder.GetNumberOfNodeReferences(HELD)):
        node = holder.GetNthNodeReference(HELD, index)
        if node is not None and node.GetParentTransformNode() is holder:
            node.SetAndObserveTransformNodeID(before.GetID() if before is not None else None)
    slicer.mrmlScene.RemoveNode(holder)


def own_parent(atlas: Any) -> Any:
    """The transform node an atlas is under when nothing holds it; None where there is none."""
    parent = atlas.GetParentTransformNode()
    held = parent is not None and parent.GetNumberOfNodeReferences(HELD)
    return parent.GetNodeReference(BEFORE) if held else parent


# --- in 3D ---


def atlas_surface(atlas: Any) -> Any:
    """A model node of the atlas's outer surface, where the atlas is when nothing holds it."""
    node, parent = outer_surface(atlas, f"{atlas.GetName()} surface"), own_parent(atlas)
    node.SetAndObserveTransformNodeID(parent.GetID() if parent is not None else None)
    return node


def section_holder(place: Place, pose: Sequence[float], name: str, node: Any = None) -> Any:
    """A linear transform node that takes what lies on the section to the atlas, at a pose; node: one to be changed."""
    node = node or new_node("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(place.matrix(pose)))
    return node
