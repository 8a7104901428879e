"""Where nodes are: grids in world coordinates, and the plane of a single slice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import slicer.util
import vtk
from regsuite.errors import InputError

if TYPE_CHECKING:
    from regsuite.spatial import Grid

PARALLEL_DEGREES = 0.1
_ACROSS = 100


@dataclass(frozen=True)
class Plane:
    """The plane of one slice in world space, and a 2D frame in it.

    frame: (3, 2), unit vectors: 2D coordinates (x, y) lie at ``frame @ (x, y) + offset * normal``. They follow the
    world axes closest to the plane: (R, A) in an axial slice, (A, S) in a sagittal, (R, S) in a coronal one.
    normal: (3,) unit vector along the volume's array axis ``axis``, the one with a single voxel of ``thickness`` mm.
    offset: mm from the world's origin along the normal.
    """

    frame: np.ndarray
    normal: np.ndarray
    offset: float
    thickness: float
    axis: int

    @classmethod
    def of(cls, grid: Grid) -> Plane:
        """The plane of a 3D grid with one slice."""
        axis = grid.shape.index(1)
        normal = np.asarray(grid.direction)[:, axis]
        offset = float(normal @ np.asarray(grid.origin))
        return cls(_frame(normal), normal, offset, grid.spacing[axis], axis)

    def angle_to(self, other: Plane) -> float:
        """Degrees between two planes, 0 to 90."""
        cosine = np.clip(abs(self.normal @ other.normal), 0, 1)
        sine = np.linalg.norm(np.cross(self.normal, other.normal))
        return float(np.degrees(np.arctan2(sine, cosine)))

    def in_frame_of(self, other: Plane) -> Plane:
        """This plane with the 2D frame and the normal of a parallel one."""
        sign = float(np.sign(self.normal @ other.normal))
        return replace(self, frame=other.frame, normal=other.normal, offset=sign * self.offset)

    def flatten(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) as 2D coordinates (..., 2), projected onto the plane."""
        return np.asarray(points, dtype=np.float64) @ self.frame

    def lift(self, points: np.ndarray) -> np.ndarray:
        """2D coordinates (..., 2) as world points (..., 3) on the plane."""
        return np.asarray(points, dtype=np.float64) @ self.frame.T + self.offset * self.normal

    def flatten_grid(self, grid: Grid) -> Grid:
        """The 2D grid of a 3D grid with one slice."""
        from regsuite.spatial import Grid

        kept = [axis for axis in range(3) if axis != self.axis]
        affine = np.eye(3)
        affine[:2, :2] = self.flatten((grid.affine[:3, :3])[:, kept].T).T
        affine[:2, 2] = self.flatten(np.asarray(grid.origin))
        return Grid.from_affine([grid.shape[axis] for axis in kept], affine)

    def lift_grid(self, grid: Grid, slices: int = 1) -> Grid:
        """The 3D grid of a 2D one, ``slices`` (odd) thick with the plane in the middle."""
        from regsuite.spatial import Grid

        axes = grid.affine[:2, :2].T @ self.frame.T
        affine = np.eye(4)
        affine[:3, :3] = np.insert(axes, self.axis, self.thickness * self.normal, axis=0).T
        affine[:3, 3] = self.lift(np.asarray(grid.origin)) - slices // 2 * self.thickness * self.normal
        shape = list(grid.shape)
        shape.insert(self.axis, slices)
        return Grid.from_affine(shape, affine)


def _frame(normal: np.ndarray) -> np.ndarray:
    """(3, 2) unit vectors in the plane of ``normal``, closest to two world axes, the same for -normal."""
    first, second = np.delete(np.eye(3), np.argmax(np.round(np.abs(normal), 6)), axis=0)
    x = first - (first @ normal) * normal
    x /= np.linalg.norm(x)
    y = np.cross(normal, x)
    return np.stack([x, y * np.sign(y @ second)], axis=1)


def grid_of(node: Any) -> Grid:
    """The 3D grid of a volume node's voxels in world coordinates; of a segmentation the one it was drawn on, of a model
    or markups one around them. InputError where there is nothing."""
    if node.IsA("vtkMRMLSegmentationNode"):
        return _grid_of_segmentation(node)
    if not node.IsA("vtkMRMLVolumeNode"):
        return _grid_around(node)
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise InputError(f"'{node.GetName()}' has no voxels: load or compute it first.")
    return grid_in_world(node, image.GetDimensions(), slicer.util.arrayFromVTKMatrix(matrix))


def _grid_of_segmentation(node: Any) -> Grid:
    """Of the volume it refers to, where that moves along with it, else as it is kept in the segmentation, else around
    its segments."""
    volume = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    if volume is not None and volume.GetParentTransformNode() is node.GetParentTransformNode():
        return grid_of(volume)
    segmentation, converter = node.GetSegmentation(), slicer.vtkSegmentationConverter
    text = segmentation.GetConversionParameter(converter.GetReferenceImageGeometryParameterName())
    if not text and segmentation.ContainsRepresentation(converter.GetSegmentationBinaryLabelmapRepresentationName()):
        ids = vtk.vtkStringArray()
        for each in segmentation.GetSegmentIDs():
            ids.InsertNextValue(each)
        text = segmentation.DetermineCommonLabelmapGeometry(segmentation.EXTENT_UNION_OF_SEGMENTS_PADDED, ids)
    image = slicer.vtkOrientedImageData()
    if not text or not converter.DeserializeImageGeometry(text, image, False) or min(image.GetDimensions()) < 1:
        return _grid_around(node)
    return grid_of_oriented_image(node, image)


def grid_of_oriented_image(node: Any, image: Any) -> Grid:
    """The grid of a vtkOrientedImageData, whose first voxel is at the lower end of its extent."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    ijk_to_ras = slicer.util.arrayFromVTKMatrix(matrix)
    ijk_to_ras[:3, 3] += ijk_to_ras[:3, :3] @ np.asarray(image.GetExtent()[::2], dtype=np.float64)
    return grid_in_world(node, image.GetDimensions(), ijk_to_ras)


def _grid_around(node: Any) -> Grid:
    """An axis-aligned grid of a hundred voxels along the longest side of all that the node shows."""
    from regsuite.spatial import Grid

    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    low, high = np.array(bounds[::2]), np.array(bounds[1::2])
    if not (high >= low).all() or not np.isfinite(bounds).all():
        raise InputError(f"'{node.GetName()}' is empty: choose another, or draw something in it.")
    voxel = max(float((high - low).max()) / _ACROSS, 1e-3)
    affine = np.eye(4)
    affine[:3, :3] = np.fliplr(np.eye(3)) * voxel
    affine[:3, 3] = low - voxel
    return Grid.from_affine((((high - low) / voxel).astype(int) + 3)[::-1], affine)


def grid_in_world(node: Any, dimensions: tuple[int, ...], ijk_to_ras: np.ndarray) -> Grid:
    """The grid of (i, j, k) ``dimensions`` after the linear transforms the node is under."""
    from regsuite.spatial import Grid

    ijk_to_world = world_matrix(node) @ ijk_to_ras
    affine = ijk_to_world[:, [2, 1, 0, 3]]
    try:
        grid = Grid.from_affine(tuple(reversed(dimensions)), affine)
    except ValueError:
        raise InputError(
            f"The axes of '{node.GetName()}' are not at right angles: resample it first, for instance with the module "
            "Resample Scalar/Vector/DWI Volume."
        ) from None
    return grid


def world_matrix(node: Any) -> np.ndarray:
    """(4, 4) from the node's own coordinates to the world. InputError under a nonlinear transform."""
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise InputError(
            f"'{node.GetName()}' is under the nonlinear transform '{parent.GetName()}': harden that transform, or take "
            "the node out of it."
        )
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def plane_of(node: Any, fixed: Any = None) -> Plane | None:
    """The plane of a one-slice volume node, in the 2D frame of the node ``fixed``; None for a volume.

    InputError unless both are slices in parallel planes, or both are volumes.
    """
    plane = _named_plane(node)
    if fixed is None or fixed is node:
        return plane
    reference = _named_plane(fixed)
    if (plane is None) != (reference is None):
        flat, deep = (node, fixed) if plane else (fixed, node)
        raise InputError(
            f"'{flat.GetName()}' is a single slice and '{deep.GetName()}' a volume: choose two slices or two volumes."
        )
    if plane is None or reference is None:
        return None
    angle = plane.angle_to(reference)
    if angle > PARALLEL_DEGREES:
        raise InputError(
            f"The slices '{fixed.GetName()}' and '{node.GetName()}' are {angle:.1f} degrees from parallel: a 2D "
            "registration needs slices in parallel planes, so rotate one with a linear transform first."
        )
    return plane.in_frame_of(reference)


def _named_plane(node: Any) -> Plane | None:
    grid = grid_of(node)
    if grid.shape.count(1) > 1:
        raise InputError(f"'{node.GetName()}' is a single line of voxels: choose a slice or a volume.")
    return Plane.of(grid) if 1 in grid.shape else None
