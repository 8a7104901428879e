"""Surfaces: triangles, or points alone; to and from regions of voxels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor

from regsuite.spatial.grid import Grid
from regsuite.spatial.image import LabelImage
from regsuite.spatial.surfaces import farthest_first, smooth_region, surface_points

_NONE = torch.zeros(0, 3, dtype=torch.long)
_DENSE = 3.0
"""How much closer than those that are chosen the points lie that are chosen from."""
_HALVINGS = 24


@dataclass(frozen=True)
class Surface:
    """Points (N, d) float64 RAS mm, and triangles (T, 3) of them: none where it is a mere cloud.

    values: by name, a number (N,) or a colour (N, 3) in 0..1 of every point; colour: (r, g, b) in 0..1, if it has one.
    """

    points: Tensor
    triangles: Tensor = _NONE
    name: str = ""
    values: Mapping[str, Tensor] = field(default_factory=dict)
    colour: tuple[float, float, float] | None = None

    @property
    def dim(self) -> int:
        """2 or 3."""
        return int(self.points.shape[1])

    @property
    def area(self) -> float:
        """Of its triangles, mm²."""
        a, b, c = self.points[self.triangles].unbind(dim=1)
        return float(0.5 * torch.linalg.cross(b - a, c - a).norm(dim=1).sum()) if len(self.triangles) else 0.0

    @property
    def closed(self) -> bool:
        """Whether every edge is shared by two triangles, so that there is an inside."""
        if not len(self.triangles):
            return False
        _, welded = torch.unique(self.points, dim=0, return_inverse=True)
        corners = welded[self.triangles]
        edges = torch.cat([corners[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]).sort(dim=1).values
        edges = edges[edges[:, 0] != edges[:, 1]]
        return bool((torch.unique(edges, dim=0, return_counts=True)[1] % 2 == 0).all())


@dataclass(frozen=True)
class Surfaces:
    """Several surfaces, each with a name."""

    parts: Sequence[Surface]

    @property
    def dim(self) -> int:
        """2 or 3."""
        return self.parts[0].dim


def joined(parts: Iterable[Surface], name: str) -> Surface:
    """Surfaces as one, with the values that all have."""
    parts = list(parts)
    starts = np.cumsum([0, *(len(part.points) for part in parts)])
    triangles = [part.triangles + int(start) for part, start in zip(parts, starts, strict=False)]
    common = [key for key in parts[0].values if all(key in part.values for part in parts)]
    return Surface(
        torch.cat([part.points for part in parts]),
        torch.cat(triangles),
        name,
        {key: torch.cat([part.values[key] for part in parts]) for key in common},
    )


def dense_points(surface: Surface, spacing: float) -> Tensor:
    """Points (N, d) all over a surface, about ``spacing`` mm apart or closer; of a cloud its own, each once."""
    corners = surface.points[surface.triangles]
    if not len(corners):
        return torch.unique(surface.points, dim=0)
    for _ in range(_HALVINGS):
        sides = (corners - corners.roll(1, dims=1)).norm(dim=2)
        length, longest = sides.max(dim=1)
        long = length > 1.5 * spacing
        if not long.any():
            break
        order = (longest[long, None] + torch.arange(3)) % 3
        b, c, a = corners[long].gather(1, order[..., None].expand(-1, -1, corners.shape[2])).unbind(dim=1)
        middle = (a + b) / 2
        corners = torch.cat([corners[~long], *(torch.stack(each, dim=1) for each in ((a, middle, c), (middle, b, c)))])
    return corners.mean(dim=1)


def spread_points(surface: Surface, count: int) -> Tensor:
    """At most ``count`` points (N, d), spread evenly over a surface, or those of a cloud that are."""
    extent = float((surface.points.amax(dim=0) - surface.points.amin(dim=0)).norm())  # of a mesh without area
    points = dense_points(surface, max(float(np.sqrt(surface.area / count)), extent / count) / _DENSE)
    return points if len(points) <= count else points[farthest_first(points, count)]


def surface_of(labels: LabelImage, value: int) -> Surface:
    """The surface of one label, as triangles in 3D and as points in 2D; of a region that the image cuts off, closed.

    It is where the region, smoothed by 0.7 voxels, is one half.
    """
    name = labels.name_of(value)
    if labels.grid.dim == 2:
        return Surface(surface_points(labels, value), name=name)
    import vtk
    from vtk.util import numpy_support

    smooth, start = smooth_region(labels, value)
    level = np.pad(smooth, 1)
    image = vtk.vtkImageData()
    image.SetDimensions(*level.shape[::-1])
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(level.ravel(), deep=True))
    edges = vtk.vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.5)
    edges.ComputeNormalsOff()
    edges.Update()
    index, triangles = arrays_of(edges.GetOutput())
    if not len(index):  # smaller than the smoothing leaves anything of
        return Surface(surface_points(labels, value), name=name)
    world = labels.grid.to_world(index[:, ::-1] - 1 + np.asarray(start))
    return Surface(torch.from_numpy(world), torch.from_numpy(triangles), name)


def distances(points: Tensor, surface: Surface) -> Tensor:
    """(N,) mm of points (N, d) from the nearest place on a surface, or from the nearest point of a cloud."""
    if not len(surface.triangles):
        return torch.from_numpy(cKDTree(surface.points.numpy()).query(points.numpy())[0])
    import vtk

    mesh = mesh_of(dataclasses.replace(surface, values={}))
    mesh.SetVerts(vtk.vtkCellArray())  # points in no triangle are no part of it
    locator = vtk.vtkStaticCellLocator()
    locator.SetDataSet(mesh)
    locator.BuildLocator()
    place, cell, part, square = [0.0] * 3, vtk.reference(0), vtk.reference(0), vtk.reference(0.0)
    found = np.empty(len(points))
    for index, point in enumerate(points.tolist()):
        locator.FindClosestPoint(point, place, cell, part, square)
        found[index] = square.get()
    return torch.from_numpy(np.sqrt(found))


def region_of(surface: Surface, grid: Grid) -> np.ndarray:
    """(*shape) bool: the voxels whose centres are inside a closed surface; of another one those its points fill.

    Points fill what is as close to them as they are to each other, and so do those of what is smaller than a voxel.
    """
    if surface.dim == 3 and surface.closed:
        inside = _inside(surface, grid)
        if inside.any():
            return inside
    points = dense_points(surface, min(grid.spacing)).numpy()
    near = max(max(grid.spacing), _spacing(points)) if len(surface.triangles) == 0 else max(grid.spacing)
    index = np.round(grid.to_index(points)).astype(int)
    index = index[((index >= 0) & (index < grid.shape)).all(axis=1)]
    if not len(index):
        return np.zeros(grid.shape, dtype=bool)
    empty = np.ones(grid.shape, dtype=bool)
    empty[tuple(index.T)] = False
    return ndimage.distance_transform_edt(empty, sampling=grid.spacing) < near


def _inside(surface: Surface, grid: Grid) -> np.ndarray:
    import vtk
    from vtk.util import numpy_support

    index = dataclasses.replace(surface, points=torch.from_numpy(grid.to_index(surface.points.numpy())[:, ::-1].copy()))
    stencil = vtk.vtkPolyDataToImageStencil()
    stencil.SetInputData(mesh_of(index))
    stencil.SetOutputWholeExtent(*(n for size in grid.shape[::-1] for n in (0, size - 1)))
    stencil.SetTolerance(0)
    painted = vtk.vtkImageStencilToImage()
    painted.SetInputConnection(stencil.GetOutputPort())
    painted.SetOutputScalarTypeToUnsignedChar()
    painted.SetInsideValue(1)
    painted.SetOutsideValue(0)
    painted.Update()
    scalars = painted.GetOutput().GetPointData().GetScalars()
    return numpy_support.vtk_to_numpy(scalars).reshape(grid.shape).astype(bool)


def _spacing(points: np.ndarray) -> float:
    """Mean distance of points to their second nearest neighbour: about that at which they fill what they lie in."""
    return float(cKDTree(points).query(points, k=[min(3, len(points))])[0].mean())


def mesh_of(surface: Surface) -> Any:
    """A vtkPolyData with the surface's points, triangles, vertices of points that are in none, and values."""
    import vtk
    from vtk.util import numpy_support

    points = vtk.vtkPoints()
    three = np.zeros((len(surface.points), 3))
    three[:, : surface.dim] = surface.points.numpy()
    points.SetData(numpy_support.numpy_to_vtk(three, deep=True))
    mesh = vtk.vtkPolyData()
    mesh.SetPoints(points)
    mesh.SetPolys(_cells(surface.triangles.numpy()))
    mesh.SetVerts(_cells(bare_points(surface)[:, None]))
    for name, value in surface.values.items():
        array = value.numpy()
        coloured = array.ndim == 2
        column = numpy_support.numpy_to_vtk(np.round(255 * array).astype(np.uint8) if coloured else array, deep=True)
        column.SetName(name)
        mesh.GetPointData().AddArray(column)
    return mesh


def bare_points(surface: Surface) -> np.ndarray:
    """(K,) which points are in no triangle."""
    bare = np.ones(len(surface.points), dtype=bool)
    bare[surface.triangles.numpy()] = False
    return np.flatnonzero(bare)


def _cells(corners: np.ndarray) -> Any:
    """A vtkCellArray of cells (C, n), each of n points."""
    import vtk
    from vtk.util import numpy_support

    cells = vtk.vtkCellArray()
    offsets = np.arange(0, corners.size + 1, corners.shape[1], dtype=np.int64)
    flat = np.ascontiguousarray(corners, dtype=np.int64).ravel()
    cells.SetData(*(numpy_support.numpy_to_vtkIdTypeArray(part, deep=True) for part in (offsets, flat)))
    return cells


def arrays_of(mesh: Any) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) float64 and triangles (T, 3) of a vtkPolyData whose faces may be of any kind."""
    import vtk
    from vtk.util import numpy_support

    if mesh.GetPoints() is None:
        return np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
    cut = vtk.vtkTriangleFilter()
    cut.SetInputData(mesh)
    cut.PassVertsOff()
    cut.PassLinesOff()
    cut.Update()
    out = cut.GetOutput()
    points = numpy_support.vtk_to_numpy(mesh.GetPoints().GetData()).astype(np.float64)
    if not out.GetNumberOfPolys():
        return points, np.zeros((0, 3), dtype=np.int64)
    ids = numpy_support.vtk_to_numpy(out.GetPolys().GetConnectivityArray()).astype(np.int64)
    return numpy_support.vtk_to_numpy(out.GetPoints().GetData()).astype(np.float64), ids.reshape(-1, 3)
