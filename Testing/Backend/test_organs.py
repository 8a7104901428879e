"""Organs brought together by their surfaces, on phantoms whose every organ's way is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from regsuite import catalog, evaluation, phantoms
from regsuite.errors import Cancelled, InputError
from regsuite.methods.organs import run as organ_run
from regsuite.methods.organs import sides
from regsuite.methods.organs.choices import Choices
from regsuite.phantoms.organs import LIVER, SPLEEN
from regsuite.progress import Context, Progress
from regsuite.registration import Registration
from regsuite.spatial import Grid, Image, LabelImage, Surface, Surfaces
from regsuite.spatial.meshes import distances, surface_of
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
        """Mean landmark error of a patient whose organs go far: as a whole too, OMC, GMC, BCPD."""
        case = phantoms.organ_case(6.0, 0, phantoms.Motions(shift=25.0))
        ways: dict[str, tuple[str, dict[str, Any]]] = {
            "ours": ("mo-bcpd", {}),
            "omc": ("mo-bcpd", dict(catalog.method("mo-bcpd").preset("omc").values)),
            "gmc": ("mo-bcpd", dict(catalog.method("mo-bcpd").preset("gmc").values)),
            "bcpd": ("bcpd", {}),
        }
        found = {key: _run(case.inputs, name, **values).inverse for key, (name, values) in ways.items()}
        means = {key: float(np.mean(list(case.errors_mm(each).values()))) for key, each in found.items()}
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
        with pytest.raises(InputError, match=r"The moving Spleen has . points on its surface, too few"):
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


FEW = {"points": 60, "iterations": 60}


@pytest.fixture(scope="module")
def coarse() -> phantoms.OrganCase:
    return phantoms.organ_case(9.0, seed=3)


@pytest.fixture(scope="module", autouse=True)
def coarse_grids() -> Iterator[None]:
    """Of what is made for surfaces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sides, "_ACROSS", 40)
        yield


def _labels(case: phantoms.OrganCase, *values: int) -> dict[str, LabelImage]:
    """The organs alone, all or some."""
    both = {"fixed_labels": case.fixed_labels, "moving_labels": case.moving_labels}
    kept = torch.tensor(values or case.fixed_labels.values())
    return {role: replace(each, data=each.data * torch.isin(each.data, kept)) for role, each in both.items()}


def _meshes(labels: Mapping[str, LabelImage]) -> dict[str, Surfaces]:
    return {
        role.replace("labels", "surfaces"): Surfaces([surface_of(each, value) for value in each.values()])
        for role, each in labels.items()
    }


def _clouds(labels: Mapping[str, LabelImage]) -> dict[str, Surfaces]:
    return {
        role: Surfaces([Surface(part.points, name=part.name) for part in each.parts])
        for role, each in _meshes(labels).items()
    }


@pytest.fixture(scope="module")
def by_labels(coarse: phantoms.OrganCase) -> Registration:
    return _run(_labels(coarse), **FEW)


@pytest.fixture(scope="module")
def by_surfaces(coarse: phantoms.OrganCase) -> Registration:
    return _run(_meshes(_labels(coarse)), **FEW)


def _error(case: phantoms.OrganCase, result: Registration) -> float:
    return float(np.mean(list(case.errors_mm(result.inverse).values())))


class TestWithoutImages:
    def test_from_labels(self, coarse: phantoms.OrganCase, by_labels: Registration) -> None:
        before = float(np.mean(list(coarse.errors_mm(identity(3)).values())))
        assert _error(coarse, by_labels) < 0.35 * before
        assert by_labels.warped is None
        assert by_labels.fixed_grid.same_as(coarse.fixed_labels.grid)
        assert by_labels.metrics["dice_after"] > 0.85

    def test_images_change_nothing(self, coarse: phantoms.OrganCase, by_labels: Registration) -> None:
        result = _run(coarse.inputs, **FEW)
        x = surface_points(coarse.fixed_labels, LIVER, 50)
        assert torch.allclose(result.transform.points(x), by_labels.transform.points(x))

    def test_from_surfaces_as_well(
        self, coarse: phantoms.OrganCase, by_labels: Registration, by_surfaces: Registration
    ) -> None:
        assert _error(coarse, by_surfaces) < 1.25 * _error(coarse, by_labels)
        assert (
            by_surfaces.metrics["surface_distance_after_mm"] < 0.25 * by_surfaces.metrics["surface_distance_before_mm"]
        )
        assert by_surfaces.metrics["dice_after"] > 0.85
        assert by_surfaces.warped is None
        low = min(float(part.points.min()) for part in _meshes(_labels(coarse))["fixed_surfaces"].parts)
        assert float(by_surfaces.fixed_grid.corners().min()) < low
        assert by_surfaces.warped_labels is not None
        assert by_surfaces.warped_labels.grid.same_as(by_surfaces.fixed_grid)
        assert {*by_surfaces.warped_labels.names.values()} == {*coarse.fixed_labels.names.values()}

    def test_order_of_surfaces_does_not_matter(self, coarse: phantoms.OrganCase, by_surfaces: Registration) -> None:
        given = _meshes(_labels(coarse))
        given["moving_surfaces"] = Surfaces(list(given["moving_surfaces"].parts)[::-1])
        other = _run(given, **FEW)
        y = surface_points(coarse.moving_labels, LIVER, 50)
        assert float((other.inverse.points(y) - by_surfaces.inverse.points(y)).norm(dim=1).max()) < 0.05

    def test_from_clouds(self, coarse: phantoms.OrganCase, by_labels: Registration) -> None:
        """They have no inside, and so no overlap and no volume."""
        result = _run(_clouds(_labels(coarse)), **FEW)
        assert _error(coarse, result) < 1.5 * _error(coarse, by_labels)
        assert "overlap" not in result.tables
        assert not any(name.startswith("dice") for name in result.metrics)
        assert all(np.isnan(row[-1]) for row in result.tables["organs"].rows)
        assert len(result.surfaces["organs_after"].triangles) == 0

    def test_a_surface_meets_a_segment(self, coarse: phantoms.OrganCase) -> None:
        """Each side as it is at hand, the liver of one a mesh and the spleen a cloud."""
        labels = _labels(coarse, LIVER, SPLEEN)
        mesh = surface_of(coarse.moving_labels, LIVER)
        cloud = Surface(surface_of(coarse.moving_labels, SPLEEN).points, name="spleen")
        result = _run({"fixed_labels": labels["fixed_labels"], "moving_surfaces": Surfaces([cloud, mesh])}, **FEW)
        assert [row[0] for row in result.tables["organs"].rows] == ["Liver", "Spleen", "mean"]
        assert result.metrics["dice_liver_after"] > 0.85
        assert result.metrics["surface_distance_spleen_mm"] < 6.0

    def test_in_2d_from_points(self) -> None:
        flat = phantoms.shapes_2d()
        both = {role: flat.inputs[role] for role in ("fixed_labels", "moving_labels")}
        result = _run(_meshes(both), range=12.0, deviation=5.0)
        assert result.transform.dim == 2
        assert result.metrics["surface_distance_after_mm"] < 0.5 * result.metrics["surface_distance_before_mm"]

    def test_bcpd_takes_them_too(self, coarse: phantoms.OrganCase) -> None:
        result = _run(_meshes(_labels(coarse, LIVER)), "bcpd", **FEW)
        assert result.metrics["dice_after"] > result.metrics["dice_before"] + 0.2

    def test_one_side_is_missing(self, coarse: phantoms.OrganCase) -> None:
        labels = _labels(coarse)
        with pytest.raises(InputError, match="The moving organs are missing"):
            _run({"fixed_labels": labels["fixed_labels"], "fixed": coarse.fixed, "moving": coarse.moving})


class TestSurfacesOfTheResult:
    def test_arrive_where_the_transform_takes_them(self, by_labels: Registration) -> None:
        before, after = by_labels.surfaces["organs_before"], by_labels.surfaces["organs_after"]
        assert torch.allclose(by_labels.inverse.points(before.points), after.points)
        assert torch.equal(before.triangles, after.triangles)

    def test_know_their_distances(self, coarse: phantoms.OrganCase, by_labels: Registration) -> None:
        start = 0
        for name, place in (("organs_before", 2), ("organs_after", 3)):
            start, surface = 0, by_labels.surfaces[name]
            for row, value in zip(by_labels.tables["organs"].rows, coarse.fixed_labels.values(), strict=False):
                goal, count = (
                    surface_of(coarse.fixed_labels, value),
                    len(surface_of(coarse.moving_labels, value).points),
                )
                own = slice(start, start := start + count)
                expected = distances(surface.points[own], goal)
                assert torch.allclose(surface.values["distance, mm"][own], expected, atol=1e-6)
                moved = Surface(surface.points[own], surface_of(coarse.moving_labels, value).triangles)
                both = 0.5 * (expected.mean() + distances(goal.points, moved).mean())
                assert row[place] == pytest.approx(float(both), abs=1e-6)
            assert start == len(surface.points)

    def test_have_the_organs_colours(self, coarse: phantoms.OrganCase, by_labels: Registration) -> None:
        for name in ("organs_before", "organs_after", "organs_target"):
            colours = {tuple(row) for row in by_labels.surfaces[name].values["organ"].unique(dim=0).tolist()}
            assert colours == {*coarse.fixed_labels.colours.values()}, name


class TestOrgansOfTheirOwn:
    def test_have_their_own_numbers(self, coarse: phantoms.OrganCase, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the drift is given, organ by organ."""
        seen: list[Any] = []

        def drift(*given: Any) -> Any:
            seen.extend(given)
            raise Cancelled

        monkeypatch.setattr(organ_run, "drift", drift)
        own = {
            "spleen": {"points": 33, "deviation": 2.5, "outlier_rate": 0.2},
            "Liver": {"range": 70, "organ_shift": 5, "organ_strain": 0.5},
        }
        with pytest.raises(Cancelled):
            _run(_labels(coarse, LIVER, SPLEEN), organs=own, points=45, outlier_rate=0.1)
        source, target, kernel, _, settings, _ = seen
        assert source.organs.bincount().tolist() == target.organs.bincount().tolist() == [45, 33]
        assert kernel.deviations.tolist() == [4.0, 2.5]
        assert kernel.ranges.tolist() == [70.0, 40.0]
        assert kernel.whole.shifts.tolist() == [5.0, 20.0]
        assert kernel.whole.strains.tolist() == pytest.approx([0.5, 0.2])
        assert settings.outlier_rates == [0.1, 0.2]

    @pytest.mark.parametrize("pose", ["none", "rigid"])
    def test_a_stiff_organ_goes_with_the_pose_alone(self, pose: str, coarse: phantoms.OrganCase) -> None:
        still = {"Spleen": {"deviation": 0.01, "organ_shift": 0, "organ_strain": 0}}
        labels = _labels(coarse, LIVER, SPLEEN)
        deep = torch.from_numpy(ndimage.binary_erosion(coarse.moving_labels.mask(SPLEEN).numpy()))
        y = coarse.moving_labels.grid.points(torch.float64)[deep]
        x, free = (_run(labels, pose=pose, organs=own, **FEW).inverse.points(y) for own in (still, {}))
        assert float((torch.pdist(x) - torch.pdist(y)).abs().max()) < 0.3
        assert float((torch.pdist(free) - torch.pdist(y)).abs().max()) > 1.0
        moved = float((x - y).norm(dim=1).mean())
        assert moved < 0.1 if pose == "none" else moved > 2.0

    def test_one_that_is_not_there(self, coarse: phantoms.OrganCase) -> None:
        sentence = (
            "The table of organs names 'Heart', and the organs that both sides have are Liver and Spleen: correct"
        )
        with pytest.raises(InputError, match=sentence):
            _run(_labels(coarse, LIVER, SPLEEN), organs={"Heart": {"points": 50}})

    def test_in_the_types_that_parameters_have(self) -> None:
        parameters = catalog.method("mo-bcpd").check_values({"organs": {"B": {"points": "50", "range": 9}}})
        chosen = Choices(parameters, ["A", "B"])
        assert [(value, type(value)) for value in chosen.each("points")] == [(600, int), (50, int)]
        assert chosen.each("range") == [40.0, 9.0]

    def test_bcpd_has_none(self) -> None:
        chosen = Choices(catalog.method("bcpd").check_values({}), ["A", "B"])
        assert chosen.each("points") == [600, 600]
        assert (chosen.coherence.tolist(), chosen.transitions.tolist()) == ([[1.0]], [[1.0]])


class TestMatrices:
    """Of two organs, where one number says the same as a matrix."""

    @pytest.mark.parametrize(
        ("number", "matrix"),
        [
            ({"coherence": 0.6}, {"coherence_matrix": {"Spleen": {"Liver": 0.6}}}),
            ({"label_errors": 0.4}, {"transition_matrix": {"Liver": {"Spleen": 0.4}, "Spleen": {"Liver": 0.4}}}),
        ],
        ids=["coherence", "transitions"],
    )
    def test_do_what_the_number_does(
        self, number: dict[str, Any], matrix: dict[str, Any], coarse: phantoms.OrganCase
    ) -> None:
        labels = _labels(coarse, LIVER, SPLEEN)
        y = torch.cat([surface_points(coarse.moving_labels, value, 50) for value in (LIVER, SPLEEN)])
        one, other, none = (_run(labels, **FEW, **values).inverse.points(y) for values in (number, matrix, {}))
        assert torch.allclose(one, other, atol=1e-5)
        assert float((one - none).norm(dim=1).max()) > 0.01

    def test_that_cannot_be_are_refused_before_the_run(self, coarse: phantoms.OrganCase) -> None:
        together = {"Liver": {"Spleen": 1.0, "Bladder": 1.0}}
        with pytest.raises(InputError, match=r"not positive semi-definite: Liver, .* cannot move together as it says"):
            _run(_labels(coarse), coherence_matrix=together)


@pytest.fixture(scope="module")
def flat() -> dict[str, Any]:
    case = phantoms.shapes_2d((56, 48), spacing=2.0)
    return {role: case.inputs[role] for role in ("fixed", "moving", "fixed_labels", "moving_labels")}


class TestRefinement:
    def test_follows_intensities(self, flat: dict[str, Any]) -> None:
        values = {"points": 60, "range": 12.0, "deviation": 5.0}
        plain, refined = (_run(flat, **values, refinement=name) for name in ("none", "lddmm"))
        apart = []
        for result in (plain, refined):
            assert result.warped is not None
            apart.append(float((result.warped.data - flat["fixed"].data).square().mean()))
        assert apart[1] < 0.7 * apart[0]
        x = surface_points(flat["fixed_labels"], flat["fixed_labels"].values()[0], 50)
        back = refined.inverse.points(refined.transform.points(x))
        assert float((back - x).norm(dim=1).mean()) < 0.3

    @pytest.mark.parametrize("missing", ["fixed", "moving"])
    def test_needs_both_images(self, missing: str, flat: dict[str, Any]) -> None:
        given = {role: value for role, value in flat.items() if role != missing}
        sentence = "an image is missing: give both images, or set 'refinement' to none"
        with pytest.raises(InputError, match=sentence):
            _run(given, points=60, refinement="lddmm")


class Impatient(Progress):
    """Cancels at the first word at that stage or later, and counts what is said afterwards."""

    def __init__(self, stage: float) -> None:
        self.stage, self.after = stage, -1

    def step(self, fraction: float, message: str = "") -> None:
        if fraction >= self.stage:
            self.after += 1
            raise Cancelled


@pytest.mark.parametrize("stage", [0.0, 0.2, 0.7, 0.8, 0.9])
def test_cancelled_at_any_stage(stage: float, coarse: phantoms.OrganCase) -> None:
    method, progress = catalog.method("mo-bcpd"), Impatient(stage)
    values = method.check_values({"points": 30, "iterations": 20, "resolution": 12.0})
    with pytest.raises(Cancelled):
        method.load()(_labels(coarse, LIVER, SPLEEN), values, Context(progress))
    assert progress.after == 0


class TestOrgansThatShareSpace:
    """Balls of known radius, whose surfaces are to be met whatever lies in or around them."""

    @staticmethod
    def _ball(name: str, centre: tuple[float, float, float], radius: float) -> Surface:
        grid = Grid.regular((48, 48, 48), 2.0)
        away = np.linalg.norm(grid.points(torch.float64).numpy() - centre, axis=-1)
        return replace(surface_of(LabelImage.from_array(away < radius, grid), 1), name=name)

    @staticmethod
    def _labels(centre: tuple[float, float, float], radius: float) -> LabelImage:
        grid = Grid.regular((48, 48, 48), 2.0)
        away = np.linalg.norm(grid.points(torch.float64).numpy() - centre, axis=-1)
        return LabelImage.from_array(away < radius, grid, {1: "Liver"})

    def test_a_surface_within_a_segment_leaves_its_surface_alone(self) -> None:
        """A lesion that one side alone has: the liver is met as without it, and Dice is that of whole livers."""
        sides = {"fixed_labels": self._labels((48, 48, 48), 30), "moving_labels": self._labels((56, 46, 48), 28)}
        lesion = Surfaces([replace(self._ball("Lesion", (60, 48, 48), 12), colour=(0.1, 0.9, 0.2))])
        alone, with_lesion = _run(sides), _run({**sides, "fixed_surfaces": lesion})
        for name in ("surface_distance_liver_mm", "dice_liver_after"):
            assert with_lesion.metrics[name] == pytest.approx(alone.metrics[name], abs=0.02)

    def test_the_table_has_distance_and_dice_of_every_organ(self) -> None:
        sides = {"fixed_labels": self._labels((48, 48, 48), 30), "moving_labels": self._labels((56, 46, 48), 28)}
        cloud = [Surface(self._ball("", (48, 48 + shift, 48), 40).points[::20], name="Shell") for shift in (0.0, 5.0)]
        given = {"fixed_surfaces": Surfaces(cloud[:1]), "moving_surfaces": Surfaces(cloud[1:])}
        found = _run({**sides, **given})
        table, metrics = found.tables["organs"], found.metrics
        liver, shell = (dict(zip(table.columns, row, strict=True)) for row in table.rows[:2])
        assert liver["Dice after"] == metrics["dice_liver_after"] > 0.9 > liver["Dice before"]
        assert liver["distance after, mm"] == metrics["surface_distance_liver_mm"]
        assert np.isnan(shell["Dice after"])

    def test_a_whole_under_its_parts(self) -> None:
        """No voxel is left to the whole; it is met as well as its parts."""

        def side(shift: float) -> Surfaces:
            parts = [self._ball(name, (x + shift, 48, 48), 16) for name, x in (("Left", 40.0), ("Right", 52.0))]
            whole = Surface(torch.cat([part.points for part in parts]), name="Whole")
            return Surfaces([*parts, whole])

        found = _run({"fixed_surfaces": side(0), "moving_surfaces": side(6)}, resolution=4)
        assert [row[0] for row in found.tables["organs"].rows] == ["Left", "Right", "Whole", "mean"]
        assert found.metrics["surface_distance_left_mm"] < 1

    def test_what_is_thinner_than_a_voxel_goes_its_own_way(self) -> None:
        """A wire of no width beside a ball that stays, in a field of 6 mm: shifted by 12 mm, it arrives."""
        line = torch.stack([torch.tensor([20.0, 80.0, float(z)], dtype=torch.float64) for z in range(20, 76)])
        ball = self._ball("Ball", (60, 30, 48), 18)
        wires = [Surface(line + torch.tensor([shift, 0.0, 0.0]), name="Wire") for shift in (0.0, 12.0)]
        inputs = {"fixed_surfaces": Surfaces([ball, wires[0]]), "moving_surfaces": Surfaces([ball, wires[1]])}
        found = _run(inputs, resolution=6.0, pose="none")
        assert found.metrics["surface_distance_wire_mm"] < 2

    def test_an_organ_s_own_range_reaches_the_field(self) -> None:
        """Its voxels are a tenth of the smallest range."""
        sides = {"fixed_labels": self._labels((48, 48, 48), 30), "moving_labels": self._labels((52, 48, 48), 28)}
        assert _run(sides).record["chosen"]["resolution"] == 4
        own = _run(sides, organs={"Liver": {"range": 25}})
        assert own.record["chosen"]["resolution"] == pytest.approx(2.5)

    def test_organs_outside_the_fixed_image_are_told_of(self) -> None:
        away = self._labels((48, 48, 48), 30)
        far = Grid(away.grid.shape, away.grid.spacing, (900.0, 0, 0), away.grid.direction)
        image = Image.from_array(np.random.default_rng(0).random(far.shape), far)
        mesh = Surfaces([self._ball("Liver", (48, 48, 48), 30)])
        found = _run({"fixed": image, "fixed_surfaces": mesh, "moving_surfaces": mesh}, resolution=6)
        assert "The fixed image does not hold Liver: they were met, but lie outside it." in found.notes
        assert np.isnan(found.tables["organs"].rows[0][-1])

    def test_an_empty_segment_is_left_out_and_told_of(self) -> None:
        whole, other = self._labels((48, 48, 48), 30), self._labels((52, 48, 48), 28)
        sides = {"fixed_labels": replace(whole, names={1: "Liver", 2: "Spleen"}), "moving_labels": other}
        assert _run(sides).notes == ["Empty fixed segments were left out: Spleen."]

    def test_the_only_organs_are_a_pair_and_that_is_told(self) -> None:
        whole, other = self._labels((48, 48, 48), 30), self._labels((52, 48, 48), 28)
        sides = {"fixed_labels": whole, "moving_labels": replace(other, names={1: "Spleen"})}
        assert _run(sides).notes == ["The only organs of the two sides, Spleen and Liver, were taken for the same."]

    def test_nothing_to_move(self) -> None:
        grid = Grid.regular((12, 12, 12), 2.0)
        empty, single = (
            LabelImage.from_array(np.zeros(grid.shape), grid),
            LabelImage.from_array(np.ones(grid.shape), grid),
        )
        with pytest.raises(InputError, match="no organ in common: the fixed one has 1, the moving one nothing"):
            _run({"fixed_labels": single, "moving_labels": empty})

    def test_a_refinement_without_an_image_fails_at_once(self) -> None:
        sides = {"fixed_labels": self._labels((48, 48, 48), 30), "moving_labels": self._labels((52, 48, 48), 28)}
        method = catalog.method("mo-bcpd")
        run = organ_run.Run(sides, method.check_values(QUICK), Context())
        assert run.values == [1]
        with pytest.raises(InputError, match="A refinement compares intensities, and an image is missing"):
            organ_run.Run(sides, method.check_values({**QUICK, "refinement": "lddmm"}), Context())
