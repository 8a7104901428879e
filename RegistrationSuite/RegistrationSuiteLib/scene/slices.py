"""Sets of single slices: stacks of them whose places are not known, or a volume node for each slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer.util
from regsuite.errors import InputError

from RegistrationSuiteLib.scene.geometry import grid_of
from RegistrationSuiteLib.scene.labels import labels_from_node, segments_on_grid
from RegistrationSuiteLib.scene.volumes import require_scalar_volume, volume_from_image

if TYPE_CHECKING:
    from regsuite.spatial import Grid, Image, LabelImage, SliceSet

UNIT = "RegistrationSuite.unit"
"""Attribute of a volume node: the unit of its values, where a file has told it."""

_MARGIN = 2.0
"""Voxels that a segmentation's grid may reach beyond the stack it was drawn on."""
_ALIGNED = 0.999
"""Cosine between axes that are one."""


def slices_from_nodes(nodes: Sequence[Any]) -> SliceSet:
    """Of volume nodes, by their names: a stack for each map, all at the stack's one pose, or a node for each slice.

    See :func:`regsuite.io.slice_set_of`. InputError where they are no such set.
    """
    from regsuite import io

    units = {node.GetName(): node.GetAttribute(UNIT) for node in nodes if node.GetAttribute(UNIT)}
    return io.slice_set_of([slice_image(node) for node in nodes], units)


def slice_image(node: Any) -> Image:
    """A slice or a stack in world coordinates, in space: 3D."""
    from regsuite.spatial import Image

    require_scalar_volume(node)
    return Image.from_array(slicer.util.arrayFromVolume(node), grid_of(node), node.GetName())


def looked_at(nodes: Sequence[Any]) -> Any:
    """The first of volume nodes that is an image to look at, by its name; the first where all are maps."""
    from regsuite.io.map_names import quantity_called, without_numbers

    images = (node for node in nodes if not quantity_called(without_numbers(node.GetName())))
    return next((node for node in images if not quantity_called(node.GetName())), nodes[0])


def nodes_from_slices(slices: SliceSet) -> list[Any]:
    """Volume nodes that :func:`slices_from_nodes` takes: a stack for each map, or a node for each slice where each has
    a pose of its own."""
    from regsuite.spatial import Image

    nodes = []
    for name, images in slices.maps.items():
        if slices.distinct:
            made = [volume_from_image(image, f"{name} {number}") for number, image in enumerate(images, start=1)]
        else:
            values = np.concatenate([image.array() for image in images])
            grid = images[0].grid.cropped([0, 0, 0], values.shape)
            made = [volume_from_image(Image.from_array(values, grid), name)]
        for node in made:
            node.SetAttribute(UNIT, slices.units[name])
        nodes += made
    return nodes


def slice_labels_from_nodes(
    nodes: Sequence[Any], slices: SliceSet, reference: Any, segments: Sequence[str] | None = None
) -> LabelImage:
    """The labels of a set of slices, a stack in their order.

    nodes: one label volume, which is that stack; or one segmentation on as many voxels, wherever it lies; any other
    segmentation is cut where the slices lie: the slices of the volume node ``reference``, their stack, or each at its
    own pose. Or, in the slices' order, a label volume of one slice or a segmentation for each. InputError where they
    are none of these.
    """
    if len(nodes) > 1:
        return _one_each(nodes, slices, segments)
    node = nodes[0]
    if not node.IsA("vtkMRMLSegmentationNode"):
        return labels_from_node(node)
    shape = (slices.count, *slices.grids[0].shape[1:])
    stack = _own_stack(node, shape)
    if stack is None and not slices.distinct:
        stack = grid_of(reference)
        _check_drawn_on(node, stack, reference.GetName())
    return _cut(node, slices.grids if stack is None else _layers(stack), segments)


def _one_each(nodes: Sequence[Any], slices: SliceSet, segments: Sequence[str] | None) -> LabelImage:
    from regsuite import io

    if len(nodes) != slices.count:
        raise InputError(
            f"{len(nodes)} segmentations were given for {slices.count} slices: give one for each, in their order, or a "
            "single one for all."
        )
    parts = [_of_slice(node, plane, slices.distinct, segments) for node, plane in zip(nodes, slices.grids, strict=True)]
    return io.stacked_labels(parts, [node.GetName() for node in nodes])


def _of_slice(node: Any, plane: Grid, distinct: bool, segments: Sequence[str] | None) -> LabelImage:
    """A label volume's own pixels; of a segmentation those it was drawn on, or where the slice lies."""
    if not node.IsA("vtkMRMLSegmentationNode"):
        return labels_from_node(node)
    own = None if distinct else _own_stack(node, plane.shape)
    return _cut(node, [own or plane], segments)


def _check_drawn_on(node: Any, stack: Grid, name: str) -> None:
    """InputError unless a segmentation lies within a stack, along its axes: where slices have one pose, nothing else
    tells which slice is which."""
    grid = grid_of(node)
    along = np.abs(np.asarray(grid.direction).T @ np.asarray(stack.direction)).max(axis=0)
    index = stack.to_index(grid.corners())
    inside = (index > -_MARGIN).all() and (index < np.asarray(stack.shape) - 1 + _MARGIN).all()
    if along.min() < _ALIGNED or not inside:
        raise InputError(
            f"The segmentation '{node.GetName()}' was not drawn on the stack '{name}', whose slices it is to show: "
            "segment that volume, or give a label volume of as many slices."
        )


def _own_stack(node: Any, shape: tuple[int, ...]) -> Grid | None:
    """The grid a segmentation was drawn on, where that is of this shape; one that was loaded alone tells of it with a
    margin of a voxel."""
    grid = grid_of(node)
    if grid.shape == shape:
        return grid
    bare = grid.cropped([1, 1, 1], [max(1, count - 2) for count in grid.shape])
    return bare if bare.shape == shape else None


def _layers(stack: Grid) -> list[Grid]:
    return [stack.cropped([row, 0, 0], [1, *stack.shape[1:]]) for row in range(stack.shape[0])]


def _cut(node: Any, planes: Sequence[Grid], segments: Sequence[str] | None) -> LabelImage:
    """A segmentation on each of some grids of shape (1, H, W), as a stack."""
    from regsuite.spatial import Grid, LabelImage

    stack = np.zeros((len(planes), *planes[0].shape[1:]), dtype=np.int32)
    names, colours = {}, {}
    for layer, plane in zip(stack, planes, strict=True):
        found = list(segments_on_grid(node, plane, segments))
        for segment in sorted(found, key=lambda segment: -segment.voxel_count):
            layer[segment.full_mask(plane.shape)[0]] = segment.value
            names[segment.value], colours[segment.value] = segment.name, segment.colour
    return LabelImage.from_array(stack, Grid.regular(stack.shape, planes[0].spacing), names, colours)
