"""Label volumes and segmentations as label images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import slicer.util
import vtk
from regsuite.errors import InputError
from vtk.util import numpy_support

from RegistrationSuiteLib.scene.geometry import Plane, grid_in_world, grid_of, plane_of
from RegistrationSuiteLib.scene.volumes import fill_volume, ijk_to_ras, new_node, require_scalar_volume

if TYPE_CHECKING:
    from regsuite.spatial import Grid, LabelImage

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Segment:
    """One segment on the lattice of the image it belongs to: ``mask`` is (*shape) bool, in array order (k, j, i)."""

    value: int
    name: str
    colour: Colour
    mask: np.ndarray


def labels_from_node(
    node: Any,
    reference: Any = None,
    fixed: Any = None,
    segments: Sequence[str] | None = None,
    like: LabelImage | None = None,
) -> LabelImage:
    """Labels with their names and colours, from a label volume or a segmentation node.

    reference: the volume node on whose grid a segmentation is taken; without it, the volume it was drawn on.
    fixed: the fixed volume node, whose 2D frame counts for slices.
    segments: IDs of the segments that count, all without it.
    like: labels whose values are to be used for segments of the same name, so that both can be compared.

    Where segments overlap the smaller one is on top. InputError where there is nothing to take.
    """
    if node is None:
        raise InputError("No labels were chosen: select a segmentation or a label volume.")
    if node.IsA("vtkMRMLSegmentationNode"):
        return _labels_from_segmentation(node, reference, fixed, segments, like)
    return _labels_from_volume(node, fixed)


def _labels_from_volume(node: Any, fixed: Any) -> LabelImage:
    require_scalar_volume(node)
    array = slicer.util.arrayFromVolume(node)
    whole = array if np.issubdtype(array.dtype, np.integer) else np.round(array)
    if not np.array_equal(whole, array):
        raise InputError(f"'{node.GetName()}' has fractional values and holds no labels: choose a label volume.")
    names, colours = _from_colour_table(node, np.unique(whole[whole != 0]).astype(int))
    return _flat_labels(whole, grid_of(node), plane_of(node, fixed), names, colours)


def _flat_labels(
    array: np.ndarray, grid: Grid, plane: Plane | None, names: Mapping[int, str], colours: Mapping[int, Colour]
) -> LabelImage:
    from regsuite.spatial import LabelImage

    if plane is not None:
        grid, array = plane.flatten_grid(grid), array.squeeze(plane.axis)
    return LabelImage.from_array(array, grid, names, colours)


def _from_colour_table(node: Any, values: np.ndarray) -> tuple[dict[int, str], dict[int, Colour]]:
    display = node.GetDisplayNode()
    table = display.GetColorNode() if display else None
    names: dict[int, str] = {}
    colours: dict[int, Colour] = {}
    for value in map(int, values):
        rgba = [0.0] * 4
        if table is None or not table.IsA("vtkMRMLColorTableNode") or not table.GetColor(value, rgba):
            continue
        names[value] = table.GetColorName(value)
        colours[value] = (rgba[0], rgba[1], rgba[2])
    return names, colours


def _labels_from_segmentation(
    node: Any, reference: Any, fixed: Any, segments: Sequence[str] | None, like: LabelImage | None
) -> LabelImage:
    reference = reference or node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    if reference is None:
        raise InputError(f"'{node.GetName()}' needs a volume to take its voxels from: choose one.")
    grid = grid_of(reference)
    found = list(segments_on_grid(node, grid, segments, like))
    array = np.zeros(grid.shape, dtype=np.int32)
    for segment in sorted(found, key=lambda segment: -np.count_nonzero(segment.mask)):
        array[segment.mask] = segment.value
    names = {segment.value: segment.name for segment in found}
    colours = {segment.value: segment.colour for segment in found}
    return _flat_labels(array, grid, plane_of(reference, fixed), names, colours)


def segments_on_grid(
    node: Any, grid: Grid, segments: Sequence[str] | None = None, like: LabelImage | None = None
) -> Iterator[Segment]:
    """The segments of a segmentation node on a 3D grid, each for itself, so that overlaps are kept."""
    segmentation = node.GetSegmentation()
    ids = [each for each in segmentation.GetSegmentIDs() if segments is None or each in segments]
    if not ids:
        raise InputError(f"'{node.GetName()}' has no segments: draw or import some first.")
    binary = _with_binary_labelmap(segmentation, grid, node)
    values = _values([segmentation.GetSegment(each) for each in ids], like)
    for each, value in zip(ids, values, strict=True):
        segment = segmentation.GetSegment(each)
        mask = _mask_on_grid(node, binary.GetSegment(each), grid)
        yield Segment(value, segment.GetName(), tuple(segment.GetColor()), mask)


def overlapping(node: Any, grid: Grid) -> bool:
    """Whether two segments of a segmentation node share a voxel of the grid."""
    count = np.zeros(grid.shape, dtype=np.uint8)
    for segment in segments_on_grid(node, grid):
        count += segment.mask
        if count.max() > 1:
            return True
    return False


def _values(segments: Sequence[Any], like: LabelImage | None) -> list[int]:
    """A label value for each segment: by name as in ``like``, else its own where these are distinct, else by order."""
    known = {name: value for value, name in like.names.items()} if like else {}
    own = [segment.GetLabelValue() for segment in segments]
    first = max(known.values(), default=0) + 1
    free = own if not known and len(set(own)) == len(own) else list(range(first, first + len(segments)))
    return [known.get(segment.GetName(), value) for segment, value in zip(segments, free, strict=True)]


def _with_binary_labelmap(segmentation: Any, grid: Grid, node: Any) -> Any:
    """The segmentation itself, or a copy whose surfaces were turned into labels on the grid."""
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    if segmentation.ContainsRepresentation(kind):
        return segmentation
    copy = slicer.vtkSegmentation()
    copy.DeepCopy(segmentation)
    geometry = slicer.vtkSegmentationConverter.SerializeImageGeometry(_oriented_image(grid))
    copy.SetConversionParameter(slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName(), geometry)
    if not copy.CreateRepresentation(kind):
        raise InputError(f"'{node.GetName()}' cannot be turned into labels: convert it in the module Segmentations.")
    return copy


def _mask_on_grid(node: Any, segment: Any, grid: Grid) -> np.ndarray:
    """(*shape) bool: where on the grid the segment is, by nearest voxel or by half of the voxel's share."""
    from regsuite.spatial import LabelImage
    from regsuite.transforms import identity, warp_labels

    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    image = segment.GetRepresentation(kind)
    if image is None or min(image.GetDimensions()) < 1 or image.GetNumberOfPoints() == 0:
        return np.zeros(grid.shape, dtype=bool)
    own_grid = _grid_of_oriented_image(node, image)
    scalars = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    mask = scalars.reshape(own_grid.shape) == segment.GetLabelValue()
    start = grid.to_index(np.asarray(own_grid.origin))
    if _same_lattice(own_grid, grid, start):
        return _pasted(mask, np.round(start).astype(int), grid.shape)
    moved = warp_labels(LabelImage.from_array(mask, own_grid), identity(3), grid)
    return np.asarray(moved.array() != 0)


def _grid_of_oriented_image(node: Any, image: Any) -> Grid:
    """The grid of a vtkOrientedImageData, whose first voxel is at the lower end of its extent."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    ijk_to_ras = slicer.util.arrayFromVTKMatrix(matrix)
    ijk_to_ras[:3, 3] += ijk_to_ras[:3, :3] @ np.asarray(image.GetExtent()[::2], dtype=np.float64)
    return grid_in_world(node, image.GetDimensions(), ijk_to_ras)


def _same_lattice(part: Grid, whole: Grid, start: np.ndarray) -> bool:
    """Whether the voxels of both grids coincide, to a hundredth of a voxel."""
    end = whole.to_index(part.to_world(np.asarray(part.shape) - 1))
    aligned = np.abs(end - start - (np.asarray(part.shape) - 1)).max() < 0.01
    steps = np.allclose(part.affine[:3, :3], whole.affine[:3, :3], atol=0.01 * min(whole.spacing))
    return bool(aligned and steps and np.abs(start - np.round(start)).max() < 0.01)


def _pasted(mask: np.ndarray, start: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """``mask`` at voxel ``start`` of an array of ``shape``, what falls outside cut off."""
    whole = np.zeros(shape, dtype=bool)
    low = np.maximum(start, 0)
    high = np.minimum(start + np.asarray(mask.shape), shape)
    if np.all(high > low):
        target = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        whole[target] = mask[tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))]
    return whole


def labelmap_from_labels(labels: LabelImage, name: str, plane: Plane | None = None, node: Any = None) -> Any:
    """A label volume node; names and colours go into a colour table of its own."""
    node = node or new_node("vtkMRMLLabelMapVolumeNode", name)
    fill_volume(node, labels.array(), labels.grid, plane)
    if labels.names or labels.colours:
        node.GetDisplayNode().SetAndObserveColorNodeID(_colour_table(labels, name).GetID())
    return node


def _colour_table(labels: LabelImage, name: str) -> Any:
    values = sorted({*labels.values(), *labels.names, *labels.colours})
    table = new_node("vtkMRMLColorTableNode", f"{name} colours")
    table.SetTypeToUser()
    table.SetNumberOfColors(values[-1] + 1)
    table.SetColor(0, "background", 0.0, 0.0, 0.0, 0.0)
    for value in values:
        table.SetColor(value, labels.name_of(value), *colour_of(labels, value), 1.0)
    return table


def colour_of(labels: LabelImage, value: int) -> Colour:
    """The label's colour, or one of Slicer's for its number."""
    rgba = [0.0] * 4
    slicer.mrmlScene.GetNodeByID("vtkMRMLColorTableNodeLabels").GetColor(value, rgba)
    return labels.colours.get(value, (rgba[0], rgba[1], rgba[2]))


def segmentation_from_labels(labels: LabelImage, name: str, plane: Plane | None = None, node: Any = None) -> Any:
    """A segmentation node with one segment a label, named and coloured; a named label without voxels stays empty."""
    grid, array = labels.grid, labels.array()
    if plane is not None:
        grid, array = plane.lift_grid(grid), np.expand_dims(array, plane.axis)
    node = _empty_segmentation(node, name, grid)
    shared = _oriented_image(grid, array.astype(np.uint8 if array.max(initial=0) < 256 else np.int16))
    for value in sorted({*labels.values(), *labels.names}):
        _add_segment(node, labels.name_of(value), colour_of(labels, value), shared, value)
    return node


def segmentation_from_segments(segments: Sequence[Segment], grid: Grid, name: str, node: Any = None) -> Any:
    """A segmentation node whose segments may overlap; grid: 3D."""
    node = _empty_segmentation(node, name, grid)
    for segment in segments:
        _add_segment(node, segment.name, segment.colour, _oriented_image(grid, segment.mask.astype(np.uint8)), 1)
    return node


def _empty_segmentation(node: Any, name: str, grid: Grid) -> Any:
    node = node or new_node("vtkMRMLSegmentationNode", name)
    node.SetAndObserveTransformNodeID(None)
    segmentation = node.GetSegmentation()
    for each in segmentation.GetSegmentIDs():
        segmentation.RemoveSegment(each)
    converter = slicer.vtkSegmentationConverter
    segmentation.SetSourceRepresentationName(converter.GetSegmentationBinaryLabelmapRepresentationName())
    geometry = converter.SerializeImageGeometry(_oriented_image(grid))
    segmentation.SetConversionParameter(converter.GetReferenceImageGeometryParameterName(), geometry)
    node.CreateDefaultDisplayNodes()
    return node


def _add_segment(node: Any, name: str, colour: Colour, image: Any, value: int) -> None:
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*colour)
    segment.SetLabelValue(value)
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segment.AddRepresentation(kind, image)
    node.GetSegmentation().AddSegment(segment)


def _oriented_image(grid: Grid, array: np.ndarray | None = None) -> Any:
    """A vtkOrientedImageData on the 3D grid; only its geometry where there is no array."""
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*reversed(grid.shape))
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras(grid)))
    if array is not None:
        image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(array.reshape(-1), deep=True))
    return image
