"""Organs brought together by their surfaces, on phantoms whose every organ's way is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from regsuite import catalog, evaluation, phantoms
from regsuite.errors import InputError
from regsuite.phantoms.organs import LIVER, SPLEEN
from regsuite.progress import Context
from regsuite.registration import Registration
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.spatial.surfaces import surface_points
from regsuite.transforms import identity
from scipy import ndimage

OBLIQUE = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])
QUICK = {"points": 150}


def _run(inputs: Mapping[str, Any], name: str = "mo-bcpd", **values: Any) -> Registration:
    method = catalog.method(name)
    result = method.load()(inputs, method.check_values({**QUICK, **values}), Context())
    assert isinstance(result, Registration)
    return result


@pytest.fixture(scope="module")
def case() -> phantoms.OrganCase:
    return phantoms.organ_case(6.0, seed=3)


@pytest.fixture(scope="module")
def found(case: phantoms.OrganCase) -> Registration:
    return _run(case.inputs)


class TestSurfacePoints:
    @pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (4.0, 1.5, 2.5)])
    def test_lie_on_a_sphere(self, spacing: tuple[float, float, float]) -> None:
        shape = [int(60 / h) for h in spacing]
        affine = np.eye(4)
        affine[:3, :3] = OBLIQUE * spacing
        grid = Grid.from_affine(shape, affine)
        away = np.linalg.norm(grid.points(torch.float64).numpy() - grid.centre, axis=-1)
        labels = LabelImage.from_array((away < 20).astype(int) * 3, grid)
        points = surface_points(labels, 3, 300).numpy()
        assert len(points) == 300
        assert np.abs(np.linalg.norm(points - grid.centre, axis=1) - 20).mean() < 0.2 * max(spacing)
        nearest = np.sort(np.linalg.norm(points[:, None] - points[None], axis=-1), axis=1)[:, 1]
        even = np.sqrt(4 * np.pi * 20**2 / 300)
        assert nearest.min() > 0.5 * even
        assert nearest.max() < 1.5 * even

    def test_none_where_the_image_ends(self) -> None:
        data = np.zeros((12, 12, 12), dtype=int)
        data[4:8, 4:8, :6] = 1
        points = surface_points(LabelImage.from_array(data, Grid.regular((12, 12, 12))), 1)
        # R runs along the last array axis: the box is open at 0 and has an end at 5.5.
        across = (points[:, 1:] - 5.5).abs().amax(dim=1) < 1.0
        assert points[across, 0].tolist() == pytest.approx([5.48] * int(across.sum()), abs=0.03)
        assert int(across.sum()) >= 4

    def test_of_a_single_voxel_and_of_nothing(self) -> None:
        data = np.zeros((6, 6, 6), dtype=int)
        data[2, 3, 4] = 1
        labels = LabelImage.from_array(data, Grid.regular((6, 6, 6), 2.0))
        assert surface_points(labels, 1).mean(dim=0).tolist() == pytest.approx([8.0, 6.0, 4.0], abs=0.01)
        assert surface_points(labels, 2).shape == (0, 3)


class TestPhantom:
    def test_ways_lead_back(self, case: phantoms.OrganCase) -> None:
        rng = np.random.default_rng(0)
        for value, way in case.ways.items():
            y = rng.normal(size=(20, 3)) * 30
            assert np.abs(way.back(way(y)) - y).max() < 1e-3, value

    def test_organs_are_where_their_ways_lead(self, case: phantoms.OrganCase) -> None:
        for value, way in case.ways.items():
            y = surface_points(case.moving_labels, value, 200).numpy()
            x = surface_points(case.fixed_labels, value).numpy()
            apart = np.linalg.norm(way(y)[:, None] - x[None], axis=-1).min(axis=1)
            assert np.median(apart) < 0.6 * 6.0


class TestMoBcpd:
    def test_organs_meet(self, case: phantoms.OrganCase, found: Registration) -> None:
        metrics = found.metrics
        assert metrics["dice_before"] < 0.55
        assert metrics["dice_after"] > 0.9
        assert metrics["surface_distance_after_mm"] < 0.25 * metrics["surface_distance_before_mm"]
        assert metrics["folded_fraction"] < 1e-3
        before = case.errors_mm(identity(3))
        after = case.errors_mm(found.inverse)
        assert np.mean(list(after.values())) < 0.4 * np.mean(list(before.values()))

    def test_transform_and_inverse_are_each_others(self, case: phantoms.OrganCase, found: Registration) -> None:
        y = surface_points(case.moving_labels, LIVER, 100)
        assert float((found.transform.points(found.inverse.points(y)) - y).norm(dim=1).mean()) < 0.15 * 6.0

    def test_labels_go_where_points_go(self, case: phantoms.OrganCase, found: Registration) -> None:
        """What is a voxel deep in the moving spleen comes to lie in the warped one."""
        assert found.warped_labels is not None
        deep = torch.from_numpy(ndimage.binary_erosion(case.moving_labels.mask(SPLEEN).numpy()))
        x = found.inverse.points(case.moving_labels.grid.points(torch.float64)[deep]).numpy()
        index = np.round(found.warped_labels.grid.to_index(x)).astype(int)
        assert (found.warped_labels.array()[tuple(index.T)] == SPLEEN).mean() > 0.97

    def test_outputs_are_those_declared(self, found: Registration) -> None:
        made = {
            "transform",
            "inverse",
            "warped",
            "warped_labels",
            *found.images,
            *found.labels,
            *found.surfaces,
            *found.curves,
            *found.tables,
        }
        assert made == {output.name for output in catalog.method("mo-bcpd").outputs}

    def test_organs_moving_on_their_own_are_met_better_on_their_own(self) -> None:
        """Mean landmark error over two patients whose organs go far: as a whole too, OMC, GMC, BCPD."""
        errors: dict[str, list[float]] = {"ours": [], "omc": [], "gmc": [], "bcpd": []}
        for seed in (0, 1):
            case = phantoms.organ_case(6.0, seed, phantoms.Motions(shift=25.0))
            for key, name, values in (
                ("ours", "mo-bcpd", {}),
                ("omc", "mo-bcpd", dict(catalog.method("mo-bcpd").preset("omc").values)),
                ("gmc", "mo-bcpd", dict(catalog.method("mo-bcpd").preset("gmc").values)),
                ("bcpd", "bcpd", {}),
            ):
                errors[key] += case.errors_mm(_run(case.inputs, name, **values).inverse).values()
        means = {key: float(np.mean(each)) for key, each in errors.items()}
        assert means["omc"] < 0.9 * means["bcpd"]
        assert means["omc"] < means["gmc"]
        assert means["ours"] < 0.9 * means["omc"]

    def test_organs_are_matched_by_name(self, case: phantoms.OrganCase, found: Registration) -> None:
        labels = case.moving_labels
        values = {old: 20 - old for old in labels.values()}
        data = torch.zeros_like(labels.data)
        for old, new in values.items():
            data[labels.data == old] = new
        names = {new: labels.name_of(old).upper() for old, new in values.items()}
        other = _run({**case.inputs, "moving_labels": LabelImage(data, labels.grid, names)})
        assert other.metrics["dice_after"] == pytest.approx(found.metrics["dice_after"], abs=0.01)

    @pytest.mark.parametrize("mirrored", [False, True], ids=["oblique", "left-handed"])
    def test_where_the_images_lie_does_not_matter(
        self, mirrored: bool, case: phantoms.OrganCase, found: Registration
    ) -> None:
        matrix = np.eye(4)
        matrix[:3, :3] = OBLIQUE @ np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
        matrix[:3, 3] = (30, -50, 120)
        turned = {
            role: replace(value, grid=Grid.from_affine(value.grid.shape, matrix @ value.grid.affine))
            for role, value in case.inputs.items()
        }
        other = _run(turned)
        y = surface_points(case.moving_labels, LIVER, 100)
        world = torch.from_numpy(matrix)
        there = y @ world[:3, :3].T + world[:3, 3]
        expected = found.inverse.points(y) @ world[:3, :3].T + world[:3, 3]
        assert float((other.inverse.points(there) - expected).norm(dim=1).mean()) < 1.0

    def test_works_in_2d(self) -> None:
        flat = phantoms.shapes_2d()
        roles = ("fixed", "moving", "fixed_labels", "moving_labels")
        values = {"range": 12.0, "deviation": 5.0}
        result = _run({role: flat.inputs[role] for role in roles}, **values)
        assert result.metrics["dice_ventricles_after"] > result.metrics["dice_ventricles_before"] + 0.1


class TestBadInput:
    def test_no_organ_in_common(self, case: phantoms.OrganCase) -> None:
        other = replace(case.moving_labels, names={value: f"Bone {value}" for value in range(1, 6)})
        with pytest.raises(InputError, match="no organ in common: the fixed one has Liver, Spleen"):
            _run({**case.inputs, "moving_labels": other})

    def test_a_handful_of_points(self, case: phantoms.OrganCase) -> None:
        data = torch.where(case.moving_labels.data == SPLEEN, 0, case.moving_labels.data)
        data[0, 0, 30, 10, 5] = SPLEEN
        with pytest.raises(InputError, match=r"The moving image's Spleen has . points on its surface, too few"):
            _run({**case.inputs, "moving_labels": replace(case.moving_labels, data=data)})

    @pytest.mark.parametrize(("factor", "unit"), [(0.1, "centimetres"), (1 / 25.4, "inches")])
    def test_another_unit_is_doubted(self, factor: float, unit: str, case: phantoms.OrganCase) -> None:
        def shrunk(value: Any) -> Any:
            grid = value.grid
            spacing, origin = (tuple(factor * each for each in part) for part in (grid.spacing, grid.origin))
            return replace(value, grid=Grid(grid.shape, spacing, origin, grid.direction))

        inputs = {**case.inputs, "moving": shrunk(case.moving), "moving_labels": shrunk(case.moving_labels)}
        result = _run(inputs, iterations=2, deviation=10 * factor, range=30 * factor, organ_shift=0)
        assert any(f"may be in {unit}" in note for note in result.notes)

    def test_a_segment_that_only_one_has_stays_and_is_carried(self, case: phantoms.OrganCase) -> None:
        data = torch.where(case.fixed_labels.data == SPLEEN, 0, case.fixed_labels.data)
        result = _run({**case.inputs, "fixed_labels": replace(case.fixed_labels, data=data)})
        assert result.warped_labels is not None
        carried = result.warped_labels
        assert "Spleen" in [carried.name_of(value) for value in carried.values()]
        assert evaluation.dice(case.fixed_labels, result.warped_labels)[LIVER] > 0.85


def test_an_image_that_cannot_be_seen_makes_no_difference(case: phantoms.OrganCase, found: Registration) -> None:
    """Only the organs count, not the intensities."""
    noise = torch.randn(case.moving.data.shape, generator=torch.Generator().manual_seed(0))
    other = _run({**case.inputs, "moving": Image(noise, case.moving.grid)})
    x = surface_points(case.fixed_labels, LIVER, 50)
    assert torch.allclose(other.transform.points(x), found.transform.points(x))
