"""Label volumes and segmentations as label images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import slicer.util
import vtk
from regsuite.errors import InputError
from regsuite.terminology import TAG, term_of
from vtk.util import numpy_support

from RegistrationSuiteLib.scene.geometry import Plane, grid_of, grid_of_oriented_image, plane_of
from RegistrationSuiteLib.scene.volumes import fill_volume, ijk_to_ras, new_node, require_scalar_volume

if TYPE_CHECKING:
    from regsuite.spatial import Grid, LabelImage

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Segment:
    """One segment on a 3D grid: ``mask`` (bool, array order) is the box of the grid that begins at voxel ``start``."""

    value: int
    name: str
    colour: Colour
    mask: np.ndarray
    start: tuple[int, ...] = (0, 0, 0)
    term: str = ""

    @property
    def voxel_count(self) -> int:
        """Number of voxels."""
        return int(np.count_nonzero(self.mask))

    def box_of(self, array: np.ndarray) -> np.ndarray:
        """The part of an array on the grid that the mask covers, as a view."""
        return array[tuple(slice(a, a + n) for a, n in zip(self.start, self.mask.shape, strict=True))]

    def full_mask(self, shape: tuple[int, ...]) -> np.ndarray:
        """(*shape) bool: the mask on the entire grid."""
        full = np.zeros(shape, dtype=bool)
        self.box_of(full)[...] = self.mask
        return full


def labels_from_node(
    node: Any,
    reference: Any = None,
    fixed: Any = None,
    segments: Sequence[str] | None = None,
    like: LabelImage | None = None,
) -> LabelImage:
    """Labels with their names and colours, from a label volume or a segmentation node.

    reference: the volume node on whose grid a segmentation is taken; without it, the grid it was drawn on.
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


def names_in_volume(node: Any) -> dict[int, str]:
    """By value, the names of the labels in a label volume; empty where its colour table has none."""
    if node.GetImageData() is None:
        return {}
    values = np.unique(np.round(np.unique(slicer.util.arrayFromVolume(node)))).astype(int)
    values = values[values != 0]
    names, _ = _from_colour_table(node, values)
    return {int(value): names.get(int(value), "") for value in values}


def segment_values(node: Any) -> dict[int, Any]:
    """The segments of a segmentation node by the value that each has as a label."""
    segmentation = node.GetSegmentation()
    segments = [segmentation.GetSegment(each) for each in segmentation.GetSegmentIDs()]
    return dict(zip(_values(segments, None), segments, strict=True))


def _from_colour_table(node: Any, values: np.ndarray) -> tuple[dict[int, str], dict[int, Colour]]:
    display = node.GetDisplayNode()
    table = display.GetColorNode() if display else None
    names: dict[int, str] = {}
    colours: dict[int, Colour] = {}
    for value in map(int, values):
        rgba = [0.0] * 4
        if table is None or not table.IsA("vtkMRMLColorTableNode") or not table.GetColor(value, rgba):
            continue
        if str(table.GetColorName(value) or "").strip():  # such as Grey has none
            names[value] = table.GetColorName(value)
        colours[value] = (rgba[0], rgba[1], rgba[2])
    return names, colours


def _labels_from_segmentation(
    node: Any, reference: Any, fixed: Any, segments: Sequence[str] | None, like: LabelImage | None
) -> LabelImage:
    reference = reference or node
    grid = grid_of(reference)
    found = list(segments_on_grid(node, grid, segments, like))
    array = np.zeros(grid.shape, dtype=np.int32)
    for segment in sorted(found, key=lambda segment: -segment.voxel_count):
        segment.box_of(array)[segment.mask] = segment.value
    labels = _flat_labels(
        array,
        grid,
        plane_of(reference, fixed),
        {segment.value: segment.name for segment in found},
        {segment.value: segment.colour for segment in found},
    )
    return replace(labels, terms={segment.value: segment.term for segment in found if segment.term})


def segments_on_grid(
    node: Any, grid: Grid, segments: Sequence[str] | None = None, like: LabelImage | None = None
) -> Iterator[Segment]:
    """The segments of a segmentation node on a 3D grid, each for itself, so that overlaps are kept."""
    segmentation = node.GetSegmentation()
    ids = [each for each in segmentation.GetSegmentIDs() if segments is None or each in segments]
    if not ids:
        raise InputError(f"'{node.GetName()}' has no segments: draw or import some first.")
    layers = _Layers(node, _with_binary_labelmap(segmentation, grid, node))
    values = _values([segmentation.GetSegment(each) for each in ids], like)
    for each, value in zip(ids, values, strict=True):
        segment = segmentation.GetSegment(each)
        mask, start = layers.mask_on(grid, each)
        yield Segment(value, segment.GetName(), tuple(segment.GetColor()), mask, start, segment_term(segment))


def segment_term(segment: Any) -> str:
    """What a segment is in Slicer's terminology; empty where nobody said."""
    entry = vtk.reference("")
    return term_of(str(entry)) if segment.GetTag(TAG, entry) else ""


def copy_terminology(source: Any, target: Any) -> None:
    """What segments are, from one segmentation node's to those of the same name of another's."""
    entry = vtk.reference("")
    for segment_id in target.GetSegmentation().GetSegmentIDs():
        segment = target.GetSegmentation().GetSegment(segment_id)
        same = source.GetSegmentation().GetSegmentIdBySegmentName(segment.GetName())
        if same and source.GetSegmentation().GetSegment(same).GetTag(TAG, entry):
            segment.SetTag(TAG, str(entry))


def overlapping(node: Any, grid: Grid) -> bool:
    """Whether two segments of a segmentation node share a voxel of the grid."""
    count = np.zeros(grid.shape, dtype=np.uint8)
    for segment in segments_on_grid(node, grid):
        box = segment.box_of(count)
        box += segment.mask
        if box.size and box.max() > 1:
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
    kind = _binary_labelmap()
    if segmentation.ContainsRepresentation(kind):
        return segmentation
    copy = slicer.vtkSegmentation()
    copy.DeepCopy(segmentation)
    geometry = slicer.vtkSegmentationConverter.SerializeImageGeometry(_oriented_image(grid))
    copy.SetConversionParameter(slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName(), geometry)
    if not copy.CreateRepresentation(kind):
        raise InputError(f"'{node.GetName()}' cannot be turned into labels: convert it in the module Segmentations.")
    return copy


class _Layers:
    """The binary label maps of a segmentation: images with several segments each, every segment in a box of its own."""

    def __init__(self, node: Any, segmentation: Any) -> None:
        self._node, self._segmentation = node, segmentation
        self._boxes: dict[Any, list[Any]] = {}

    def mask_on(self, grid: Grid, segment_id: str) -> tuple[np.ndarray, tuple[int, ...]]:
        """A segment on the grid, by nearest voxel or by half of the voxel's share: its box and where that begins."""
        segment = self._segmentation.GetSegment(segment_id)
        image, value = segment.GetRepresentation(_binary_labelmap()), segment.GetLabelValue()
        box = self._box(image, value)
        if box is None:
            return np.zeros((0, 0, 0), dtype=bool), (0, 0, 0)
        whole = grid_of_oriented_image(self._node, image)
        part = whole.cropped([side.start for side in box], [side.stop - side.start for side in box])
        mask = _array_of(image)[box] == value
        start = grid.to_index(np.asarray(part.origin))
        if _same_lattice(part, grid, start):
            return _clipped(mask, np.round(start).astype(int), grid.shape)
        return _resampled(mask, part, grid)

    def _box(self, image: Any, value: int) -> Any:
        """The slices of the image that hold the value; None where there are none."""
        from scipy import ndimage

        if image is None or min(image.GetDimensions()) < 1 or image.GetNumberOfPoints() == 0:
            return None
        if image not in self._boxes:
            self._boxes[image] = ndimage.find_objects(_array_of(image).astype(np.int32))
        boxes = self._boxes[image]
        return boxes[value - 1] if 0 < value <= len(boxes) else None


def _binary_labelmap() -> str:
    return str(slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName())


def _array_of(image: Any) -> np.ndarray:
    return numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])


def _clipped(mask: np.ndarray, start: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """The part of a mask at voxel ``start`` that lies in an array of ``shape``, and where that begins."""
    low = np.clip(start, 0, shape)
    high = np.clip(start + np.asarray(mask.shape), low, shape)
    inside = mask[tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))]
    return inside, tuple(map(int, low))


def _resampled(mask: np.ndarray, part: Grid, grid: Grid) -> tuple[np.ndarray, tuple[int, ...]]:
    """A mask on ``part`` taken to the box of the grid around it."""
    from regsuite.spatial import LabelImage
    from regsuite.transforms import identity, warp_labels

    corners = grid.to_index(part.padded((1, 1, 1)).corners())
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, grid.shape)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, low, grid.shape)
    start = tuple(map(int, low))
    if np.any(high <= low):
        return np.zeros((0, 0, 0), dtype=bool), start
    moved = warp_labels(LabelImage.from_array(mask, part), identity(3), grid.cropped(low, high - low))
    return moved.array() != 0, start


def _same_lattice(part: Grid, whole: Grid, start: np.ndarray) -> bool:
    """Whether the voxels of both grids coincide, to a hundredth of a voxel."""
    end = whole.to_index(part.to_world(np.asarray(part.shape) - 1))
    aligned = np.abs(end - start - (np.asarray(part.shape) - 1)).max() < 0.01
    steps = np.allclose(part.affine[:3, :3], whole.affine[:3, :3], atol=0.01 * min(whole.spacing))
    return bool(aligned and steps and np.abs(start - np.round(start)).max() < 0.01)


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
        mask = segment.mask if segment.mask.size else np.zeros((1, 1, 1))
        image = _oriented_image(grid.cropped(segment.start, mask.shape), mask.astype(np.uint8))
        _add_segment(node, segment.name, segment.colour, image, 1)
    return node


def _empty_segmentation(node: Any, name: str, grid: Grid) -> Any:
    node = node or new_node("vtkMRMLSegmentationNode", name)
    node.SetAndObserveTransformNodeID(None)
    segmentation = node.GetSegmentation()
    for each in segmentation.GetSegmentIDs():
        segmentation.RemoveSegment(each)
    converter = slicer.vtkSegmentationConverter
    segmentation.SetSourceRepresentationName(_binary_labelmap())
    geometry = converter.SerializeImageGeometry(_oriented_image(grid))
    segmentation.SetConversionParameter(converter.GetReferenceImageGeometryParameterName(), geometry)
    node.CreateDefaultDisplayNodes()
    return node


def _add_segment(node: Any, name: str, colour: Colour, image: Any, value: int) -> None:
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*colour)
    segment.SetLabelValue(value)
    kind = _binary_labelmap()
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
