"""Transform nodes and transforms.

A transform from fixed to moving points is what a node's "from parent" direction holds: the moving image put under the
node appears where the fixed image is.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import slicer.util
import vtk
from regsuite.errors import InputError
from vtk.util import numpy_support

from RegistrationSuiteLib.scene.geometry import Plane, grid_of, plane_of
from RegistrationSuiteLib.scene.volumes import new_node

if TYPE_CHECKING:
    from regsuite.spatial import Grid
    from regsuite.transforms import DisplacementField, Transform

SLICES_OF_LIFTED_FIELD = 3


def transform_node(
    transform: Transform, name: str, plane: Plane | None = None, shift: float = 0.0, node: Any = None
) -> Any:
    """A transform node whose "from parent" direction is ``transform``.

    An affine gives a linear node, a displacement (or a velocity, integrated on its own grid) a grid node, a chain a
    composite of these. plane: the slice from which a 2D transform takes points; shift: mm along its normal to the slice
    it takes them to. node: an existing transform node to be filled.

    Grids are interpolated linearly and end in zeros, so that Slicer, which repeats a grid's edge outside it, ITK, which
    takes zero, and the backend all move every point alike.
    """
    parts = [_on_grid(part) for part in _parts(transform)]
    if transform.dim == 2:
        if plane is None:
            raise ValueError("a 2D transform needs the plane it acts in")
        parts = _lifted(parts, plane, shift)
    node = node or new_node(_node_class(parts), name)
    node.SetAndObserveTransformNodeID(None)
    node.SetAndObserveTransformFromParent(_composite([_vtk_transform(part) for part in parts]))
    return node


def _parts(transform: Transform) -> list[Transform]:
    """A chain's parts in the order they are applied, however chains are nested."""
    from regsuite.transforms import Chain

    if isinstance(transform, Chain):
        return [part for each in transform.parts for part in _parts(each)]
    return [transform]


def _on_grid(part: Transform) -> Transform:
    """Affines as they are, all else as a displacement that ends in zeros."""
    from regsuite.transforms import Affine, DisplacementField, StationaryVelocity, TimeVelocity

    if isinstance(part, Affine):
        return part
    if isinstance(part, (StationaryVelocity, TimeVelocity)):
        return _ending_in_zeros(part.field())
    if isinstance(part, DisplacementField):
        return _ending_in_zeros(part)
    raise TypeError(f"a {type(part).__name__} cannot be put on a transform node")


def _ending_in_zeros(field: DisplacementField) -> DisplacementField:
    """The same transform, with a margin of one voxel where the displacement at the border is not zero."""
    import torch
    from regsuite.transforms import DisplacementField

    size = field.data.shape[2:]
    border = torch.ones(size, dtype=torch.bool, device=field.data.device)
    border[tuple(slice(1, -1) if n > 2 else slice(0, 0) for n in size)] = False
    if not torch.any(field.data[0, :, border] != 0):
        return field
    padded = torch.nn.functional.pad(field.data, (1, 1) * field.dim)
    return DisplacementField(field.grid.padded((1,) * field.dim), padded)


def _lifted(parts: list[Transform], plane: Plane, shift: float) -> list[Transform]:
    """2D transforms as 3D ones that act alike in every plane parallel to ``plane`` and move it by ``shift``."""
    from regsuite.transforms import Affine, DisplacementField

    lifted: list[Transform] = []
    for part in parts:
        if isinstance(part, DisplacementField):
            lifted.append(_lifted_field(part, plane))
        elif isinstance(part, Affine):
            lifted.append(Affine(_lifted_matrix(part.matrix.cpu().numpy(), plane)))
    if shift:
        matrix = np.eye(4)
        matrix[:3, 3] = shift * plane.normal
        lifted.append(Affine(matrix))
    return lifted


def _lifted_field(field: DisplacementField, plane: Plane) -> DisplacementField:
    import torch
    from regsuite.transforms import DisplacementField

    frame = torch.as_tensor(plane.frame, dtype=field.data.dtype, device=field.data.device)
    in_space = torch.einsum("wp,npji->nwji", frame, field.data)
    slices = [in_space] * SLICES_OF_LIFTED_FIELD
    return DisplacementField(
        plane.lift_grid(field.grid, SLICES_OF_LIFTED_FIELD), torch.stack(slices, dim=2 + plane.axis)
    )


def _lifted_matrix(matrix: np.ndarray, plane: Plane) -> np.ndarray:
    lifted = np.eye(4)
    lifted[:3, :3] = plane.frame @ matrix[:2, :2] @ plane.frame.T + np.outer(plane.normal, plane.normal)
    lifted[:3, 3] = plane.frame @ matrix[:2, 2]
    return lifted


def _node_class(parts: list[Transform]) -> str:
    from regsuite.transforms import Affine

    if len(parts) > 1:
        return "vtkMRMLTransformNode"
    return "vtkMRMLLinearTransformNode" if isinstance(parts[0], Affine) else "vtkMRMLGridTransformNode"


def _composite(parts: list[Any]) -> Any:
    """One VTK transform that applies the parts in their order."""
    if len(parts) == 1:
        return parts[0]
    composite = vtk.vtkGeneralTransform()
    composite.PostMultiply()
    for part in parts:
        composite.Concatenate(part)
    return composite


def _vtk_transform(part: Transform) -> Any:
    from regsuite.transforms import Affine, DisplacementField

    if isinstance(part, Affine):
        linear = vtk.vtkTransform()
        linear.SetMatrix(slicer.util.vtkMatrixFromArray(part.matrix.cpu().numpy()))
        return linear
    assert isinstance(part, DisplacementField)
    return _vtk_grid_transform(part)


def _vtk_grid_transform(field: DisplacementField) -> Any:
    grid = field.grid
    vectors = field.data[0].movedim(0, -1).detach().cpu().numpy().astype(np.float64)
    image = vtk.vtkImageData()
    image.SetDimensions(*reversed(grid.shape))
    image.SetSpacing(*reversed(grid.spacing))
    image.SetOrigin(*grid.origin)
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(vectors.reshape(-1, 3), deep=True))
    direction = np.eye(4)
    direction[:3, :3] = np.asarray(grid.direction)[:, ::-1]
    result = slicer.vtkOrientedGridTransform()
    result.SetDisplacementGridData(image)
    result.SetGridDirectionMatrix(slicer.util.vtkMatrixFromArray(direction))
    _evaluate_exactly(result)
    return result


def _evaluate_exactly(grid_transform: Any) -> None:
    """Linear interpolation, and an inverse to a thousandth of a voxel; Slicer's own is good to a hundredth of a mm."""
    grid_transform.SetInterpolationModeToLinear()
    grid_transform.SetInverseTolerance(1e-3 * min(grid_transform.GetDisplacementGrid().GetSpacing()))


def linear_interpolation(node: Any) -> None:
    """Make the grids of a transform node interpolate linearly, as ITK and the backend do, and invert precisely.

    Slicer interpolates cubically what it loads from a file.
    """
    for part in _flat_parts(node.GetTransformFromParent()):
        if part.IsA("vtkOrientedGridTransform"):
            part.Update()
            _evaluate_exactly(part)


def transform_from_node(node: Any, reference: Any = None) -> Transform:
    """The transform from world to moving points that a transform node and those above it stand for.

    reference: a volume node; where it is a single slice the result is 2D, and nonlinear transforms without a grid of
    their own (B-splines, thin-plate splines, inverses) are taken on its grid. InputError where one is needed.
    """
    if node is None:
        raise InputError("No transform was chosen: select a transform node.")
    if not node.IsA("vtkMRMLTransformNode"):
        raise InputError(f"'{node.GetName()}' is no transform: choose a transform node.")
    from_world = vtk.vtkGeneralTransform()
    node.GetTransformFromWorld(from_world)
    plane = plane_of(reference) if reference is not None else None
    if plane is not None:
        return _flattened(from_world, grid_of(reference), plane)
    return _chained([_part_from_vtk(part, node, reference) for part in _flat_parts(from_world)])


def _flat_parts(transform: Any) -> list[Any]:
    """The transforms a composite consists of, in the order they are applied."""
    collection = vtk.vtkCollection()
    slicer.vtkMRMLTransformNode.FlattenGeneralTransform(collection, transform)
    return [collection.GetItemAsObject(i) for i in range(collection.GetNumberOfItems())]


def _chained(parts: list[Transform]) -> Transform:
    from regsuite.transforms import identity

    return functools.reduce(lambda before, part: part @ before, parts) if parts else identity(3)


def _part_from_vtk(part: Any, node: Any, reference: Any) -> Transform:
    from regsuite.transforms import Affine

    linear = vtk.vtkTransform()
    if slicer.vtkMRMLTransformNode.IsGeneralTransformLinear(part, linear):
        return Affine(slicer.util.arrayFromVTKMatrix(linear.GetMatrix()))
    part.Update()
    if part.IsA("vtkOrientedGridTransform") and not part.GetInverseFlag():
        return _field_from_vtk(part)
    if reference is None:
        raise InputError(
            f"The transform '{node.GetName()}' is no displacement field: choose a volume on whose grid to take it."
        )
    return _sampled(part, grid_of(reference))


def _field_from_vtk(part: Any) -> DisplacementField:
    import torch
    from regsuite.spatial import Grid
    from regsuite.transforms import DisplacementField

    image = part.GetDisplacementGrid()
    shape = tuple(reversed(image.GetDimensions()))
    vectors = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(*shape, 3)
    ijk = np.eye(4)
    ijk[:3, :3] = np.diag(image.GetSpacing())
    if part.GetGridDirectionMatrix() is not None:
        ijk = slicer.util.arrayFromVTKMatrix(part.GetGridDirectionMatrix()) @ ijk
    ijk[:3, 3] = image.GetOrigin()
    grid = Grid.from_affine(shape, ijk[:, [2, 1, 0, 3]])
    data = vectors * part.GetDisplacementScale() + part.GetDisplacementShift()
    return DisplacementField(grid, torch.from_numpy(np.moveaxis(data, -1, 0)[None].astype(np.float32)))


def _sampled(transform: Any, grid: Grid) -> DisplacementField:
    """Any VTK transform as a displacement on a 3D grid."""
    import torch
    from regsuite.transforms import DisplacementField

    points = grid.points(torch.float64).reshape(-1, 3).numpy()
    displacement = (_moved(transform, points) - points).reshape(*grid.shape, 3)
    return DisplacementField(grid, torch.from_numpy(np.moveaxis(displacement, -1, 0)[None].astype(np.float32)))


def moved_from_parent(node: Any, points: np.ndarray) -> np.ndarray:
    """Where a transform node's "from parent" direction takes points (n, 3)."""
    return _moved(node.GetTransformFromParent(), points)


def _moved(transform: Any, points: np.ndarray) -> np.ndarray:
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    source.SetData(numpy_support.numpy_to_vtk(np.ascontiguousarray(points, dtype=np.float64)))
    target.SetDataTypeToDouble()
    transform.TransformPoints(source, target)
    return numpy_support.vtk_to_numpy(target.GetData()).copy()


def _flattened(transform: Any, grid: Grid, plane: Plane) -> Transform:
    """What a 3D transform does within a plane; what it does along the normal is left out."""
    import torch
    from regsuite.transforms import Affine, DisplacementField

    linear = vtk.vtkTransform()
    if slicer.vtkMRMLTransformNode.IsGeneralTransformLinear(transform, linear):
        matrix, flat = slicer.util.arrayFromVTKMatrix(linear.GetMatrix()), np.eye(3)
        flat[:2, :2] = plane.frame.T @ matrix[:3, :3] @ plane.frame
        flat[:2, 2] = plane.flatten(matrix[:3, :3] @ (plane.offset * plane.normal) + matrix[:3, 3])
        return Affine(flat)
    flat_grid = plane.flatten_grid(grid)
    points = plane.lift(flat_grid.points(torch.float64).numpy()).reshape(-1, 3)
    displacement = plane.flatten(_moved(transform, points) - points).reshape(*flat_grid.shape, 2)
    return DisplacementField(flat_grid, torch.from_numpy(np.moveaxis(displacement, -1, 0)[None].astype(np.float32)))
