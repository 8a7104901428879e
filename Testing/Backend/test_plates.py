"""Plates and cuts against matrices by hand, an analytic field and SimpleITK's resampling."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from backend_samples import GRIDS
from regsuite.spatial import Grid
from regsuite.spatial.plates import POSE, Axis, Plates, cut, flat_points
from torch import Tensor

VOLUMES = {name: grid for name, grid in GRIDS.items() if grid.dim == 3}
AXES: tuple[Axis, ...] = ("coronal", "sagittal", "horizontal")
every_grid = pytest.mark.parametrize("grid", VOLUMES.values(), ids=VOLUMES)
every_axis = pytest.mark.parametrize("axis", AXES)


def pose(**numbers: float) -> Tensor:
    """(1, 9), what is not named 0."""
    return torch.tensor([[numbers.get(name, 0.0) for name in POSE]], dtype=torch.float64)


def random_poses(count: int = 6, seed: int = 0) -> Tensor:
    spread = torch.tensor([9.0, 0.5, 0.5, 1.5, 0.3, 0.3, 0.3, 5.0, 5.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, len(POSE), generator=generator, dtype=torch.float64) * 2 - 1) * spread


def local(matrix: Tensor, plates: Plates) -> np.ndarray:
    """(4, 4), to (right, bottom, next) mm from the middle of the volume in place of RAS mm."""
    world = np.eye(4)
    world[:3, :3], world[:3, 3] = plates.frame, plates.grid.centre
    return np.linalg.inv(world) @ matrix.numpy()


class TestPlates:
    # Slicer's views: coronal and horizontal ones have the patient's left on their right, sagittal ones look from the
    # left, so that posterior is on their right.
    @pytest.mark.parametrize(
        ("axis", "right", "bottom", "further"),
        [
            ("coronal", (-1, 0, 0), (0, 0, -1), (0, -1, 0)),
            ("sagittal", (0, -1, 0), (0, 0, -1), (1, 0, 0)),
            ("horizontal", (-1, 0, 0), (0, -1, 0), (0, 0, 1)),
        ],
    )
    def test_frames_by_hand(
        self, axis: Axis, right: tuple[int, ...], bottom: tuple[int, ...], further: tuple[int, ...]
    ) -> None:
        plates = Plates(Grid.regular((9, 11, 21), 2.0), axis, 2.0)  # its middle at R 20, A 10, S 8
        matrix = plates.matrices(pose(depth=3.0))[0].numpy()
        expected = np.eye(4)
        expected[:3, :3] = np.transpose([right, bottom, further])
        expected[:3, 3] = np.array([20, 10, 8]) + 3 * np.array(further)
        assert np.array_equal(matrix, expected)
        assert [plates.count, *plates.extent[:2]] == {
            "coronal": [11, 42, 18],
            "sagittal": [21, 22, 18],
            "horizontal": [9, 42, 22],
        }[axis]

    @every_grid
    @every_axis
    def test_plates_fill_the_box_of_voxels(self, grid: Grid, axis: Axis) -> None:
        plates = Plates(grid, axis, 1.7)
        outer = grid.to_world(np.array(list(itertools.product(*[(-0.5, n - 0.5) for n in grid.shape]))))
        assert plates.extent == pytest.approx(np.ptp(outer @ plates.frame, axis=0))
        length = plates.extent[2]
        assert plates.count * 1.7 <= length < (plates.count + 1) * 1.7
        depths = plates.depths()
        assert float(depths.sum()) == pytest.approx(0, abs=1e-9)
        assert float(depths[-1]) + 0.5 * 1.7 <= length / 2 + 1e-9
        assert [plates.number(float(depth)) for depth in depths] == pytest.approx(range(plates.count))
        assert torch.equal(plates.poses()[:, 0], depths)
        assert not plates.poses()[:, 1:].any()

    def test_rounding_costs_no_plate(self) -> None:
        # 528 * 0.025 is a little less than 132 * 0.1 in floating point.
        assert Plates(Grid.regular((20, 528, 20), 0.025), "coronal", 0.1).count == 132

    def test_a_volume_thinner_than_a_plate_has_one(self) -> None:
        plates = Plates(Grid.regular((4, 5, 6), 1.0), "coronal", 12.0)
        assert plates.count == 1
        assert plates.depths().tolist() == [0.0]


class TestPoses:
    plates = Plates(VOLUMES["anisotropic-3d"], "coronal", 2.0)

    def test_turns_by_hand(self) -> None:
        half, tall = 0.5, math.sqrt(0.75)
        pitched = local(self.plates.matrices(pose(pitch=math.pi / 6))[0], self.plates)
        assert pitched[:3, :3] == pytest.approx(np.array([[1, 0, 0], [0, tall, -half], [0, half, tall]]))
        yawed = local(self.plates.matrices(pose(yaw=math.pi / 6))[0], self.plates)
        assert yawed[:3, :3] == pytest.approx(np.array([[tall, 0, half], [0, 1, 0], [-half, 0, tall]]))
        both = local(self.plates.matrices(pose(pitch=0.3, yaw=0.4))[0], self.plates)[:3, :3]
        pitched, yawed = (
            local(self.plates.matrices(each)[0], self.plates)[:3, :3] for each in (pose(pitch=0.3), pose(yaw=0.4))
        )
        assert both == pytest.approx(yawed @ pitched)

    def test_what_happens_in_the_plane_by_hand(self) -> None:
        numbers = {"scale_x": math.log(2), "scale_y": math.log(3), "shear": 0.5, "shift_x": 7.0, "shift_y": -4.0}
        flat = local(self.plates.matrices(pose(**numbers))[0], self.plates)
        assert flat == pytest.approx(np.array([[2, 1.5, 0, 7], [0, 3, 0, -4], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
        turned = local(self.plates.matrices(pose(rotation=math.pi / 2, **numbers))[0], self.plates)
        # Right goes to the bottom and the bottom to the left; the shift stays.
        assert turned == pytest.approx(np.array([[0, -3, 0, 7], [2, 1.5, 0, -4], [0, 0, 1, 0], [0, 0, 0, 1.0]]))

    def test_shifts_are_along_the_tilted_plane_and_depth_along_the_axis(self) -> None:
        moved = local(self.plates.matrices(pose(depth=3.0, yaw=math.pi / 6, shift_x=2.0))[0], self.plates)
        assert moved[:3, 3] == pytest.approx([2 * math.sqrt(0.75), 0, 3 - 2 * 0.5])

    @every_grid
    @every_axis
    def test_a_matrix_gives_its_pose_back(self, grid: Grid, axis: Axis) -> None:
        plates, poses = Plates(grid, axis, 1.0), random_poses()
        found = torch.stack([plates.pose_of(matrix) for matrix in plates.matrices(poses)])
        assert found == pytest.approx(poses, abs=1e-10)

    def test_the_pose_of_a_matrix_knows_only_its_plane(self) -> None:
        matrix = self.plates.matrices(random_poses(1, 3))[0]
        thicker = matrix.clone()
        thicker[:3, 2] *= 5
        assert self.plates.pose_of(thicker) == pytest.approx(self.plates.pose_of(matrix))

    @pytest.mark.parametrize("column", [0, 1])
    def test_mirrored_planes_have_no_pose(self, column: int) -> None:
        matrix = self.plates.matrices(pose())[0]
        matrix[:3, column] *= -1
        with pytest.raises(ValueError, match="from behind"):
            self.plates.pose_of(matrix)

    def test_a_plane_across_the_plates_has_no_pose(self) -> None:
        matrix = self.plates.matrices(pose())[0]
        matrix[:3, :3] = matrix[:3, [2, 1, 0]]
        with pytest.raises(ValueError, match="across the plates"):
            self.plates.pose_of(matrix)

    def test_matrices_have_the_gradient_of_their_poses(self) -> None:
        poses = random_poses(3, 1).requires_grad_()
        assert torch.autograd.gradcheck(self.plates.matrices, (poses,))


class TestCut:
    def test_pixels_lie_about_the_middle(self) -> None:
        points = flat_points((2, 3), 0.5, torch.float64)
        assert points[..., 0].tolist() == [[-0.5, 0, 0.5]] * 2
        assert points[..., 1].tolist() == [[-0.25] * 3, [0.25] * 3]
        assert not points[..., 2].any()

    @every_grid
    @every_axis
    def test_a_linear_field_is_cut_exactly(self, grid: Grid, axis: Axis) -> None:
        slope, level = torch.tensor([0.3, -0.7, 0.2], dtype=torch.float64), 5.0
        field = (grid.points(torch.float64) @ slope + level)[None, None]
        plates = Plates(grid, axis, 1.0)
        # A few mm about the middle, so that all of it lies within the volume.
        poses = 0.3 * random_poses(4, 2)
        points = flat_points((6, 8), 0.8, torch.float64)
        matrices = plates.matrices(poses)
        shown = cut(field, grid, matrices, points)
        there = torch.einsum("bij,hwj->bhwi", matrices[:, :3, :3], points) + matrices[:, None, None, :3, 3]
        assert shown.shape == (4, 1, 6, 8)
        assert shown[:, 0] == pytest.approx(there @ slope + level)

    @every_grid
    def test_cuts_are_simpleitks(self, grid: Grid) -> None:
        data = torch.rand(grid.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        matrix = Plates(grid, "coronal", 1.0).matrices(pose(depth=2.0, pitch=0.2, yaw=-0.3, rotation=0.4, shift_x=3.0))
        inner = cut(data[None, None], grid, matrix, flat_points((20, 24), 1.1, torch.float64))[0, 0]
        assert inner.numpy() == pytest.approx(resampled(data, grid, matrix[0].numpy(), (20, 24), 1.1), abs=1e-9)

    def test_regions_are_cut_to_the_nearest(self) -> None:
        grid = Grid.regular((5, 5, 5), 1.0)
        labels = torch.arange(125, dtype=torch.float64).reshape(1, 1, 5, 5, 5)
        matrices = Plates(grid, "horizontal", 1.0).matrices(pose(shift_x=0.3, shift_y=-0.3, depth=0.4))
        shown = cut(labels, grid, matrices, flat_points((3, 3), 1.0, torch.float64), "nearest")
        assert torch.equal(shown[0, 0], labels[0, 0, 2, 1:4, 1:4].flip(0, 1))

    def test_nothing_is_beyond_the_border(self) -> None:
        grid = VOLUMES["regular-3d"]
        data = torch.ones(1, 2, *grid.shape, dtype=torch.float64)
        matrices = Plates(grid, "coronal", 1.0).matrices(torch.cat([pose(), pose(depth=1000.0)]))
        shown = cut(data, grid, matrices, flat_points((3, 400), 1.0, torch.float64))
        assert shown.shape == (2, 2, 3, 400)
        assert shown[0, :, 1, 200] == pytest.approx(1)
        assert not shown[0, :, :, [0, -1]].any()
        assert not shown[1].any()

    def test_every_plane_may_have_points_of_its_own(self) -> None:
        grid = VOLUMES["oblique-3d"]
        data = torch.rand(1, 1, *grid.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        matrices = Plates(grid, "sagittal", 1.0).matrices(0.3 * random_poses(2, 4))
        points = torch.stack([flat_points((4, 5), spacing, torch.float64) for spacing in (1.0, 1.5)])
        together = cut(data, grid, matrices, points)
        for number in range(2):
            alone = cut(data, grid, matrices[number : number + 1], points[number])
            assert together[number] == pytest.approx(alone[0])

    def test_cuts_have_the_gradient_of_their_poses_and_points(self) -> None:
        grid = VOLUMES["anisotropic-3d"]
        plates = Plates(grid, "coronal", 1.0)
        data = torch.rand(1, 1, *grid.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        poses = (0.2 * random_poses(2, 5)).requires_grad_()
        points = flat_points((3, 4), 0.9, torch.float64).requires_grad_()
        assert torch.autograd.gradcheck(lambda p, x: cut(data, grid, plates.matrices(p), x), (poses, points))


def resampled(data: Tensor, grid: Grid, matrix: np.ndarray, shape: tuple[int, int], spacing: float) -> np.ndarray:
    """(H, W): SimpleITK's linear interpolation on the plane, everything in RAS."""
    volume = sitk.GetImageFromArray(data.numpy())
    volume.SetSpacing(grid.spacing[::-1])
    volume.SetOrigin(grid.origin)
    volume.SetDirection(np.asarray(grid.direction)[:, ::-1].ravel().tolist())
    corner = np.array([-(shape[1] - 1) / 2 * spacing, -(shape[0] - 1) / 2 * spacing, 0, 1])
    plane = sitk.Image(shape[1], shape[0], 1, sitk.sitkFloat64)
    plane.SetSpacing([spacing] * 3)
    plane.SetOrigin((matrix @ corner)[:3].tolist())
    plane.SetDirection(matrix[:3, :3].ravel().tolist())
    return sitk.GetArrayFromImage(sitk.Resample(volume, plane, sitk.Transform(), sitk.sitkLinear))[0]
