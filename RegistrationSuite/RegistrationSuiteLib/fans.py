"""Slices around an axis: their files as nodes of the scene, and where they stand to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import slicer.util
import vtk
from regsuite.errors import InputError

from RegistrationSuiteLib import records, scene
from RegistrationSuiteLib.scene.nodes import into_folder, undone_on_error
from RegistrationSuiteLib.scene.slices import slice_image

if TYPE_CHECKING:
    from regsuite.pictures.fan_subject import Colour, FanSubject, Stand
    from regsuite.spatial import Grid, Image, SliceSet
    from regsuite.spatial.radial import Arrangement
    from regsuite.spatial.slice_sets import Axis
    from torch import Tensor


def load_slices(paths: Sequence[Path | str]) -> tuple[list[Any], tuple[str, ...]]:
    """The volume nodes of a folder of DICOM, or of files, in a folder of the subject hierarchy; and what to know.

    As :func:`regsuite.io.read_slices` reads them. InputError where they are no set of slices; the scene is then as it
    was.
    """
    from regsuite import io

    slices = io.read_slices(paths)
    with undone_on_error():
        nodes = scene.nodes_from_slices(slices)
        place = Path(paths[0]).resolve()
        into_folder(nodes, (place if place.is_dir() else place.parent).name)
    return nodes, slices.notes


@dataclass(frozen=True)
class Fan:
    """K slices where they stand; images: (1, 1, 1, H, W) each, on grids in RAS mm; stands: how each of them does."""

    images: Sequence[Image]
    stands: Sequence[Stand]

    @property
    def order(self) -> list[int]:
        """Numbers of the slices, from 0, by their places."""
        return sorted(range(len(self.stands)), key=lambda number: self.stands[number].place)

    @property
    def colours(self) -> list[Colour]:
        """Of the slices, by their places, as in the picture of the arrangement."""
        from regsuite.pictures.fan_subject import place_colour

        order = self.order
        return [place_colour(order.index(number)) for number in range(len(order))]


def fan_as_told(
    slices: SliceSet, stands: Arrangement | None, one_pose: Literal["slice", "localizer"], moved: np.ndarray
) -> Fan:
    """Where headers, and an arrangement where there is one, say that slices lie: in order where neither does.

    one_pose: see :meth:`regsuite.spatial.SliceSet.axis`; moved: (4, 4), where they are brought from there, RAS mm.
    InputError where the slices have no axis in common.
    """
    import torch
    from regsuite.methods.radial.placing import header_plane, placed
    from regsuite.spatial.radial import in_order

    images, axis = slices.maps[slices.compared], slices.axis(one_pose=one_pose)
    told = stands is None and slices.distinct
    if axis is None and not told:
        raise InputError(
            "The slices have no axis in common: choose slices that stand around one, three or more, in their own order."
        )
    if told or axis is None:
        planes, how = torch.stack([header_plane(grid) for grid in slices.grids]), _stands_about(axis, slices.grids)
    else:
        known = stands or in_order(slices.count)
        planes, how = _frame_about(axis) @ known.planes(), stands_of(known)
    planes = torch.from_numpy(moved) @ planes
    return Fan([placed(image, plane) for image, plane in zip(images, planes, strict=True)], how)


def _frame_about(axis: Axis) -> Tensor:
    import torch
    from regsuite.spatial.radial import frame_of

    return frame_of(torch.as_tensor(axis.centre), torch.as_tensor(axis.normal))


def _stands_about(axis: Axis | None, grids: Sequence[Grid]) -> list[Stand]:
    """By their angles about an axis; as they come where there is none."""
    from regsuite.pictures.fan_subject import Stand, stands_about

    if axis is not None:
        return stands_about(axis, grids)
    return [Stand(number, False, False) for number in range(len(grids))]


def stands_of(arrangement: Arrangement) -> list[Stand]:
    """How each slice of an arrangement stands."""
    from regsuite.pictures.fan_subject import Stand

    flips = zip(arrangement.places, arrangement.mirrored, arrangement.turned, strict=True)
    return [Stand(*each) for each in flips]


def placed_slices(nodes: Mapping[str, Any]) -> list[Any]:
    """The volume nodes of the placed slices among result nodes by output name, in the slices' order."""
    numbers = range(1, 1 + len(nodes))
    names = [f"slices_{number}" for number in numbers]
    return [nodes[name] for name in names if name in nodes]


def fan_of_results(nodes: Mapping[str, Any]) -> Fan | None:
    """Where a run put the slices; None where it placed none. nodes: by output name."""
    from regsuite.pictures.fan_subject import SHARED_AXIS_MM
    from regsuite.spatial.slice_sets import common_line

    images = [slice_image(node) for node in placed_slices(nodes)]
    known = found_arrangement(nodes)
    if not images or (known is not None and known.count != len(images)):
        return None
    if known is not None:
        return Fan(images, stands_of(known))
    grids = [image.grid for image in images]
    return Fan(images, _stands_about(common_line(grids, SHARED_AXIS_MM), grids))


def found_arrangement(nodes: Mapping[str, Any]) -> Arrangement | None:
    """Which slice stands where by a run's record; None where it arranged none. nodes: by output name."""
    from regsuite.spatial.radial import Arrangement

    chosen = records.record_of(nodes).get("chosen", {})
    places = chosen.get("places")
    return Arrangement.of_numbers(places, chosen["turned"], len(places)) if places else None


def brought_by(nodes: Mapping[str, Any]) -> np.ndarray:
    """(4, 4): what brings slices from where their headers put them to where a run did; nodes: by output name."""
    matrix = vtk.vtkMatrix4x4()
    if "transform" in nodes:
        nodes["transform"].GetMatrixTransformToParent(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def subject_of(nodes: Mapping[str, Any], fixed: Any, moving: Any, slices: SliceSet) -> FanSubject | None:
    """What the pictures of a run's slices are of; None where it placed none, or its labels are gone.

    nodes: by output name; fixed, moving: the nodes of the volume, and of the slices or the first of them.
    """
    from regsuite.pictures import FanSubject
    from regsuite.registration import Registration, Table

    fan = fan_of_results(nodes)
    if (
        fan is None
        or len(fan.images) != slices.count
        or not {"transform", "segmented_volume", "segmented_slices"} <= nodes.keys()
    ):
        return None
    volume = scene.image_from_node(fixed)
    columns = ["place", "mirrored", "turned"]
    known = found_arrangement(nodes) is not None
    rows = [[stand.place + 1 if known else "", *map(_yes, stand[1:])] for stand in fan.stands]
    transform = scene.transform_from_node(nodes["transform"])
    found = Registration(
        transform=transform,
        inverse=transform,
        fixed_grid=volume.grid,
        sequences={"slices": list(fan.images)},
        tables={"arrangement": Table("Arrangement", columns, rows)},
        record=records.record_of(nodes),
    )
    labels = scene.labels_from_node(nodes["segmented_volume"], fixed)
    return FanSubject(found, volume, labels, scene.slice_labels_from_nodes([nodes["segmented_slices"]], slices, moving))


def _yes(value: bool) -> str:
    return "yes" if value else "no"
