"""Surfaces: from regions and back, their measures and distances, against shapes whose geometry is known."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
import vtk
from backend_samples import GRIDS, radius_of
from regsuite.spatial import Grid, LabelImage, Surface
from regsuite.spatial.meshes import (
    arrays_of,
    dense_points,
    distances,
    joined,
    mesh_of,
    region_of,
    spread_points,
    surface_of,
)
from torch import Tensor

SOLID = [name for name, grid in GRIDS.items() if grid.dim == 3]
FLAT = [name for name, grid in GRIDS.items() if grid.dim == 2]
RADIUS = 20.0
MIDDLE = np.array([30.0, -20.0, 50.0])


def ball_on(grid: Grid, centre: np.ndarray, radius: float) -> np.ndarray:
    """(*shape) bool."""
    return np.linalg.norm(grid.points(torch.float64).numpy() - centre, axis=-1) < radius


def ball_labels(grid: Grid) -> tuple[LabelImage, float]:
    """A ball in the middle as label 3, and its radius."""
    radius = 0.7 * radius_of(grid)
    return LabelImage.from_array(3 * ball_on(grid, grid.centre, radius), grid, {3: "Ball"}), radius


def fine_sphere(resolution: int = 60, start: float = 0.0) -> Surface:
    """RADIUS about MIDDLE; start: degrees from the pole at which it begins."""
    source = vtk.vtkSphereSource()
    source.SetRadius(RADIUS)
    source.SetCenter(*MIDDLE)
    source.SetThetaResolution(resolution)
    source.SetPhiResolution(resolution)
    source.SetStartPhi(start)
    source.SetOutputPointsPrecision(vtk.vtkAlgorithm.DOUBLE_PRECISION)
    source.Update()
    points, triangles = arrays_of(source.GetOutput())
    return Surface(torch.from_numpy(points), torch.from_numpy(triangles), "Sphere")


def cube(half: float = 10.0) -> Surface:
    """About the world's origin, two triangles a face."""
    corners = torch.tensor([[r, a, s] for r in (-half, half) for a in (-half, half) for s in (-half, half)]).double()
    faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    triangles = [each for a, b, c, d in faces for each in ([a, b, c], [a, c, d])]
    return Surface(corners, torch.tensor(triangles), "Cube")


def random_points(count: int, size: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return size * (2 * torch.rand(count, 3, generator=generator, dtype=torch.float64) - 1)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


class TestSurfaceOfARegion:
    @pytest.mark.parametrize("name", SOLID)
    def test_is_the_balls(self, name: str) -> None:
        grid = GRIDS[name]
        labels, radius = ball_labels(grid)
        surface = surface_of(labels, 3)
        assert surface.name == "Ball"
        assert surface.closed
        away = np.linalg.norm(surface.points.numpy() - grid.centre, axis=1) - radius
        assert np.abs(away).mean() < 0.15 * max(grid.spacing)
        assert np.abs(away).max() < 0.6 * max(grid.spacing)
        assert surface.area == pytest.approx(4 * np.pi * radius**2, rel=0.05)

    @pytest.mark.parametrize("other", ["oblique-3d", "other-handed-3d"])
    @pytest.mark.parametrize("name", ["regular-3d", "mirrored-3d", "other-handed-3d"])
    def test_gives_the_ball_back_on_any_grid(self, name: str, other: str) -> None:
        labels, radius = ball_labels(GRIDS[name])
        there = GRIDS[other]
        shift = there.centre - GRIDS[name].centre
        surface = surface_of(labels, 3)
        moved = Surface(surface.points + torch.from_numpy(shift), surface.triangles)
        found = region_of(moved, there)
        assert found.shape == there.shape
        assert dice(found, ball_on(there, there.centre, radius)) > 0.97

    def test_a_region_that_the_image_cuts_off_is_closed(self) -> None:
        grid = Grid.regular((20, 20, 20), 2.0)
        labels = LabelImage.from_array(ball_on(grid, np.array([0.0, 19.0, 19.0]), 14.0), grid)
        surface = surface_of(labels, 1)
        assert surface.closed
        # R = 0 is the middle of the first voxels, half a voxel inside their border.
        assert -2.0 <= float(surface.points[:, 0].min()) < 0
        assert dice(region_of(surface, grid), labels.mask(1).numpy()) > 0.97

    def test_two_parts_are_one_surface(self) -> None:
        grid = Grid.regular((24, 24, 48))
        both = ball_on(grid, np.array([12.0, 12, 12]), 8.0) | ball_on(grid, np.array([35.0, 12, 12]), 8.0)
        surface = surface_of(LabelImage.from_array(both, grid), 1)
        assert surface.closed
        assert surface.area == pytest.approx(2 * 4 * np.pi * 8**2, rel=0.05)

    def test_a_single_voxel_is_a_point_and_nothing_is_nothing(self) -> None:
        data = np.zeros((6, 6, 6), dtype=int)
        data[2, 3, 4] = 1
        labels = LabelImage.from_array(data, Grid.regular((6, 6, 6), 2.0))
        voxel = surface_of(labels, 1)
        assert voxel.points.mean(dim=0).tolist() == pytest.approx([8.0, 6.0, 4.0], abs=0.01)
        assert not voxel.closed
        assert surface_of(labels, 2).points.shape == (0, 3)

    @pytest.mark.parametrize("name", FLAT)
    def test_in_2d_it_is_points_on_the_circle(self, name: str) -> None:
        grid = GRIDS[name]
        labels, radius = ball_labels(grid)
        surface = surface_of(labels, 3)
        assert (surface.dim, len(surface.triangles), surface.closed, surface.area) == (2, 0, False, 0.0)
        away = np.linalg.norm(surface.points.numpy() - grid.centre, axis=1) - radius
        assert np.abs(away).mean() < 0.2 * max(grid.spacing)


class TestRegionOfASurface:
    GRID = Grid.from_affine(
        (40, 45, 50), np.array([[0, 0, 1.1, 3.0], [0, -1.2, 0, 6.0], [1.3, 0, 0, 24.0], [0, 0, 0, 1]])
    )
    """Left-handed, around the sphere."""

    def test_of_an_open_mesh_is_a_shell(self) -> None:
        surface = fine_sphere(start=60.0)
        assert not surface.closed
        assert surface.area < 0.8 * 4 * np.pi * RADIUS**2
        region = region_of(surface, self.GRID)
        away = np.linalg.norm(self.GRID.points(torch.float64).numpy() - MIDDLE, axis=-1) - RADIUS
        assert np.abs(away[region]).max() < 2.5 * max(self.GRID.spacing)
        open_side = self.GRID.points(torch.float64).numpy()[region][:, 2] - MIDDLE[2]
        assert open_side.max() < RADIUS * np.cos(np.deg2rad(60)) + 3 * max(self.GRID.spacing)
        # It is thick enough that nothing shows through.
        lower = (self.GRID.points(torch.float64).numpy()[..., 2] - MIDDLE[2]) < 0
        assert region[lower & (np.abs(away) < 0.3)].mean() > 0.95

    def test_of_a_cloud_is_filled_as_far_as_its_points_are_apart(self) -> None:
        """Points 3 mm apart all over a box of 24 x 24 x 24 mm fill it, and little around it."""
        step = np.arange(-12, 12.1, 3.0)
        points = np.stack(np.meshgrid(step, step, step), axis=-1).reshape(-1, 3) + MIDDLE
        region = region_of(Surface(torch.from_numpy(points)), self.GRID)
        off = np.abs(self.GRID.points(torch.float64).numpy() - MIDDLE).max(axis=-1)
        assert region[off < 12].all()
        assert not region[off > 12 + 3.0 + max(self.GRID.spacing)].any()

    def test_of_a_cloud_in_2d(self) -> None:
        grid = GRIDS["oblique-2d"]
        angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        ring = grid.centre + 15 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        region = region_of(Surface(torch.from_numpy(ring)), grid)
        away = np.linalg.norm(grid.points(torch.float64).numpy() - grid.centre, axis=-1)
        assert region[np.abs(away - 15) < 0.3].all()
        assert not region[np.abs(away - 15) > 3 * max(grid.spacing)].any()

    @pytest.mark.parametrize("kind", ["closed", "open", "cloud"])
    def test_outside_the_grid_is_empty(self, kind: str) -> None:
        surface = fine_sphere(8, start=60.0 if kind == "open" else 0.0)
        away = Surface(surface.points) if kind == "cloud" else surface
        assert not region_of(away, Grid.regular((10, 10, 10))).any()

    def test_of_a_point_is_a_few_voxels(self) -> None:
        region = region_of(Surface(torch.from_numpy(MIDDLE[None])), self.GRID)
        assert 1 <= region.sum() <= 7
        where = self.GRID.to_world(np.argwhere(region))
        assert np.linalg.norm(where - MIDDLE, axis=1).max() < 2 * max(self.GRID.spacing)

    def test_of_what_is_smaller_than_a_voxel_is_not_nothing(self) -> None:
        sphere = fine_sphere()
        at = torch.from_numpy(self.GRID.to_world([20.2, 20.2, 20.2]))
        tiny = Surface(0.01 * (sphere.points - torch.from_numpy(MIDDLE)) + at, sphere.triangles)
        assert tiny.closed
        region = region_of(tiny, self.GRID)
        assert region[20, 20, 20]
        assert region.sum() <= 7


class TestClosed:
    def test_holds_where_triangles_do_not_share_their_points(self) -> None:
        """As .stl files have it."""
        whole = cube()
        soup = Surface(whole.points[whole.triangles].reshape(-1, 3), torch.arange(36).reshape(12, 3))
        assert whole.closed
        assert soup.closed
        assert not Surface(soup.points, soup.triangles[:-1]).closed

    def test_a_cap_off_opens(self) -> None:
        assert fine_sphere().closed
        assert not fine_sphere(start=30.0).closed

    def test_a_cloud_is_open(self) -> None:
        assert not Surface(cube().points).closed


class TestPoints:
    def test_area_of_a_cube(self) -> None:
        assert cube(10.0).area == pytest.approx(6 * 20**2)

    @pytest.mark.parametrize("spacing", [8.0, 3.0, 1.0])
    def test_dense_points_are_as_close_as_asked(self, spacing: float) -> None:
        """Wherever on the cube one stands, one is near."""
        found = dense_points(cube(), spacing)
        assert float(found.abs().amax(dim=1).sub(10).abs().max()) < 1e-9
        on = random_points(500, 10.0)
        on[torch.arange(500), torch.arange(500) % 3] = 10.0
        assert float(torch.cdist(on, found).amin(dim=1).max()) < 1.2 * spacing
        assert len(found) < 20 * cube().area / spacing**2

    def test_dense_points_of_a_cloud_are_its_own_each_once(self) -> None:
        cloud = random_points(20, 10.0)
        twice = Surface(torch.cat([cloud, cloud.flip(0)]))
        found = dense_points(twice, 0.1)
        assert len(found) == 20
        assert float(torch.cdist(found, cloud).amin(dim=1).max()) == 0

    def test_points_of_a_needle_are_not_without_end(self) -> None:
        """Of triangles without area, or nearly so."""
        for width in (0.0, 1e-6):
            points = torch.tensor([[0.0, 0, 0], [100, 0, 0], [200, width, 0]]).double()
            start = time.perf_counter()
            found = spread_points(Surface(points, torch.tensor([[0, 1, 2]])), 50)
            assert time.perf_counter() - start < 2
            assert 12 <= len(found) <= 50
            assert float(found[:, 0].max() - found[:, 0].min()) > 150

    @pytest.mark.parametrize("count", [50, 300])
    def test_spread_points_lie_evenly(self, count: int) -> None:
        """However finely one half of the mesh is cut and how coarsely the other."""
        source = fine_sphere()
        fine = source.points[source.triangles].mean(dim=1)[:, 0] > MIDDLE[0]
        cut = Surface(source.points, source.triangles[~fine])
        half = Surface(source.points, source.triangles[fine])
        corners = half.points[half.triangles]
        middle = corners.mean(dim=1, keepdim=True)
        pieces = [torch.cat([corners[:, [i, (i + 1) % 3]], middle], dim=1) for i in range(3)]
        finer = Surface(torch.cat(pieces).reshape(-1, 3), torch.arange(9 * len(corners)).reshape(-1, 3))
        points = spread_points(joined([cut, finer], "both"), count)
        assert points.shape == (count, 3)
        assert float(((points - torch.from_numpy(MIDDLE)).norm(dim=1) - RADIUS).abs().max()) < 0.1
        nearest = np.sort(np.linalg.norm(points[:, None] - points[None], axis=-1), axis=1)[:, 1]
        even = np.sqrt(4 * np.pi * RADIUS**2 / count)
        assert nearest.min() > 0.5 * even
        assert nearest.max() < 1.5 * even

    def test_spread_points_of_few_are_all(self) -> None:
        cloud = random_points(20, 10.0)
        assert len(spread_points(Surface(cloud), 100)) == 20
        assert len(spread_points(Surface(cloud), 7)) == 7


class TestDistances:
    def test_to_a_cube(self) -> None:
        """Of a box: |max(|x| - h, 0)| outside it, h - max |x| inside."""
        x = random_points(2000, 25.0)
        outside = (x.abs() - 10).clamp(min=0).norm(dim=1)
        expected = torch.where(outside > 0, outside, 10 - x.abs().amax(dim=1))
        assert float((distances(x, cube()) - expected).abs().max()) < 1e-9

    def test_to_a_sphere(self) -> None:
        x = random_points(500, 60.0) + torch.from_numpy(MIDDLE)
        expected = ((x - torch.from_numpy(MIDDLE)).norm(dim=1) - RADIUS).abs()
        sagitta = RADIUS * (1 - np.cos(np.pi / 60)) + RADIUS * (1 - np.cos(np.pi / 120))
        assert float((distances(x, fine_sphere()) - expected).abs().max()) < sagitta

    def test_to_a_cloud(self) -> None:
        cloud, x = random_points(200, 30.0), random_points(300, 40.0, seed=1)
        expected = torch.cdist(x, cloud).amin(dim=1)
        assert float((distances(x, Surface(cloud)) - expected).abs().max()) < 1e-9

    def test_to_a_curve_in_2d(self) -> None:
        labels, radius = ball_labels(GRIDS["regular-2d"])
        surface = surface_of(labels, 3)
        middle = torch.from_numpy(GRIDS["regular-2d"].centre)[None]
        assert float(distances(middle, surface)[0]) == pytest.approx(radius, abs=1.0)

    def test_on_the_surface_is_nothing(self) -> None:
        sphere = fine_sphere()
        assert float(distances(sphere.points, sphere).max()) < 1e-6


class TestJoined:
    def test_keeps_every_part_and_the_common_values(self) -> None:
        one, other = cube(), cube(2.0)
        number, colour = torch.arange(8.0).double(), torch.full((8, 3), 0.5).double()
        one = Surface(one.points, one.triangles, "a", {"mm": number, "colour": colour, "own": number})
        other = Surface(other.points + 50, other.triangles, "b", {"colour": 0 * colour, "mm": number + 8})
        both = joined([one, other], "both")
        assert both.name == "both"
        assert both.area == pytest.approx(one.area + other.area)
        assert both.closed
        assert set(both.values) == {"mm", "colour"}
        assert both.values["mm"].tolist() == list(range(16))
        assert both.values["colour"][[0, 15]].tolist() == [[0.5] * 3, [0.0] * 3]

    def test_a_cloud_and_a_mesh(self) -> None:
        both = joined([Surface(random_points(5, 1.0)), cube()], "both")
        assert (len(both.points), both.triangles.min()) == (13, 5)
        assert both.area == pytest.approx(cube().area)


class TestVtk:
    def test_there_and_back(self) -> None:
        whole = cube()
        points, triangles = arrays_of(mesh_of(whole))
        assert np.array_equal(points, whole.points.numpy())
        assert np.array_equal(triangles, whole.triangles.numpy())

    def test_a_cloud_there_and_back(self) -> None:
        cloud = random_points(9, 5.0)
        mesh = mesh_of(Surface(cloud))
        assert (mesh.GetNumberOfVerts(), mesh.GetNumberOfPolys()) == (9, 0)
        points, triangles = arrays_of(mesh)
        assert np.array_equal(points, cloud.numpy())
        assert triangles.shape == (0, 3)

    def test_flat_points_lie_at_0(self) -> None:
        mesh = mesh_of(Surface(torch.tensor([[1.0, 2.0], [3.0, 4.0]]).double()))
        assert mesh.GetPoint(1) == (3.0, 4.0, 0.0)

    def test_values_go_along(self) -> None:
        values = {"mm": torch.arange(8.0).double() / 4, "organ": torch.tensor([[1.0, 0.5, 0.0]] * 8).double()}
        data = mesh_of(Surface(cube().points, cube().triangles, "", values)).GetPointData()
        assert data.GetArray("mm").GetValue(7) == 1.75
        assert data.GetArray("organ").GetTuple(3) == (255, 128, 0)

    def test_quads_become_triangles(self) -> None:
        source = vtk.vtkCubeSource()
        source.SetBounds(-3, 3, -4, 4, -5, 5)
        source.Update()
        points, triangles = arrays_of(source.GetOutput())
        surface = Surface(torch.from_numpy(points), torch.from_numpy(triangles))
        assert triangles.shape == (12, 3)
        assert surface.area == pytest.approx(2 * (6 * 8 + 8 * 10 + 6 * 10))
        assert surface.closed

    def test_strips_become_triangles(self) -> None:
        """A ribbon of two squares as one strip of six points."""
        corners = vtk.vtkPoints()
        for r in (0, 1, 2):
            for a in (0, 1):
                corners.InsertNextPoint(r, a, 0)
        strip = vtk.vtkCellArray()
        strip.InsertNextCell(6, range(6))
        mesh = vtk.vtkPolyData()
        mesh.SetPoints(corners)
        mesh.SetStrips(strip)
        points, triangles = arrays_of(mesh)
        assert triangles.shape == (4, 3)
        assert Surface(torch.from_numpy(points), torch.from_numpy(triangles)).area == pytest.approx(2.0)

    def test_lines_and_loose_vertices_are_no_triangles(self) -> None:
        source = vtk.vtkLineSource()
        source.SetResolution(7)
        source.Update()
        points, triangles = arrays_of(source.GetOutput())
        assert (points.shape, triangles.shape) == ((8, 3), (0, 3))

    def test_nothing(self) -> None:
        points, triangles = arrays_of(vtk.vtkPolyData())
        assert (points.shape, triangles.shape) == ((0, 3), (0, 3))


def test_points_beside_triangles_are_vertices() -> None:
    """A model and markups, joined, are both seen; the distance from a mesh knows its triangles alone."""
    corner = torch.tensor([[0.0, 0, 0], [4, 0, 0], [0, 4, 0]], dtype=torch.float64)
    both = joined([Surface(corner, torch.tensor([[0, 1, 2]])), Surface(corner + 10)], "both")
    mesh = mesh_of(both)
    assert (mesh.GetNumberOfPolys(), mesh.GetNumberOfVerts()) == (1, 3)
    assert distances(torch.tensor([[1.0, 1, 10]], dtype=torch.float64), both).tolist() == [10]
