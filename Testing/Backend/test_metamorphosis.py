"""The four methods on phantoms whose truth is known, and what must not change their result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from regsuite import catalog, evaluation, phantoms
from regsuite.errors import InputError
from regsuite.phantoms.case import Case
from regsuite.progress import Context, Progress
from regsuite.registration import Registration
from regsuite.solvers import multiscale
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.transforms import Affine, warp_image, warp_labels

METHODS = ("weighted-metamorphosis", "metamorphosis", "lddmm", "cost-function-masking")
OBLIQUE = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])
QUICK = {"bias_correction": False}


def _run(name: str, inputs: Mapping[str, Any], **values: Any) -> Registration:
    method = catalog.method(name)
    roles = {item.role for item in method.inputs}
    given = {role: value for role, value in inputs.items() if role in roles}
    result = method.load()(given, method.check_values({**QUICK, **values}), Context(Progress()))
    assert isinstance(result, Registration)
    return result


@pytest.fixture(scope="module")
def flat() -> phantoms.TumourCase:
    return phantoms.shapes_2d((84, 72), spacing=1.35)


@pytest.fixture(scope="module")
def solid() -> phantoms.TumourCase:
    return phantoms.small_tumour_3d((28, 32, 28), spacing=3.6)


@pytest.mark.parametrize("name", METHODS)
class TestEveryMethod:
    def test_brings_the_ventricles_nearer_without_folds(self, name: str, flat: phantoms.TumourCase) -> None:
        result = _run(name, flat.inputs)
        assert result.metrics["folded_fraction"] == 0
        assert result.metrics["dice_ventricles_after"] > result.metrics["dice_ventricles_before"] + 0.03
        assert result.metrics["mean_squared_difference_final"] < 0.7 * result.metrics["mean_squared_difference_before"]
        assert result.metrics["inverse_consistency_mean_mm"] < 0.05

    def test_outputs_are_those_declared(self, name: str, flat: phantoms.TumourCase) -> None:
        result = _run(name, flat.inputs, iterations=2)
        made = {"transform", "inverse", "warped", "warped_labels", *result.images, *result.sequences}
        made |= {*result.labels, *result.curves, *result.tables}
        # No moving mask was given.
        declared = {output.name for output in catalog.method(name).outputs} - {"mask_on_fixed"}
        assert declared <= made
        assert made <= declared
        for image in (result.warped, *result.images.values()):
            assert image is not None
            assert image.grid == flat.fixed.grid

    def test_an_image_on_itself_stays(self, name: str, flat: phantoms.TumourCase) -> None:
        result = _run(name, {**flat.inputs, "moving": flat.fixed})
        assert float(result.transform.displacement(flat.fixed.grid).abs().max()) < 0.05

    def test_same_seed_same_result(self, name: str, flat: phantoms.TumourCase) -> None:
        fields = [_run(name, flat.inputs, iterations=4).transform.displacement(flat.fixed.grid) for _ in range(2)]
        assert torch.equal(fields[0], fields[1])


class TestWeightedMetamorphosis:
    def test_recovers_the_known_deformation_in_3d(self, solid: phantoms.TumourCase) -> None:
        result = _run("weighted-metamorphosis", solid.inputs)
        before = solid.error_mm(Affine(np.eye(4))).mean()
        # Within flat tissue nothing tells the truth: most of the phantom is such.
        assert float(solid.error_mm(result.transform).mean()) < 0.9 * float(before)
        assert result.metrics["folded_fraction"] == 0
        assert result.metrics["dice_ventricles_after"] > 0.85

    def test_paints_in_the_mask_alone(self, flat: phantoms.TumourCase) -> None:
        result = _run("weighted-metamorphosis", flat.inputs)
        added = result.images["intensity_added"].data[0, 0].abs()
        depth = _distance_outside(flat.mask)
        assert float(added[flat.mask.mask()].max()) > 0.2 * float(flat.moving.data.max())
        # A voxel for the mask's soft edge, and what the flow carries on in the last steps.
        assert float(added[depth > 6].max()) < 0.01 * float(added.max())

    def test_warped_image_keeps_the_moving_intensities(self, flat: phantoms.TumourCase) -> None:
        scaled = replace(flat.moving, data=1000 * flat.moving.data + 0)
        result = _run("weighted-metamorphosis", {**flat.inputs, "moving": scaled}, iterations=4)
        expected = warp_image(scaled, result.transform, flat.fixed.grid)
        assert result.warped is not None
        assert torch.equal(result.warped.data, expected.data)

    def test_intensity_scale_does_not_matter(self, flat: phantoms.TumourCase) -> None:
        plain = _run("weighted-metamorphosis", flat.inputs)
        scaled = replace(flat.moving, data=250 * flat.moving.data)
        other = _run("weighted-metamorphosis", {**flat.inputs, "moving": scaled})
        apart = plain.transform.displacement(flat.fixed.grid) - other.transform.displacement(flat.fixed.grid)
        # Rounding may send a line search another way, to about the same end.
        assert float(apart.abs().mean()) < 0.05
        ratio = other.images["intensity_added"].data.abs().max() / plain.images["intensity_added"].data.abs().max()
        assert float(ratio) == pytest.approx(250, rel=0.02)

    def test_shooting_and_adadelta_run_too(self, flat: phantoms.TumourCase) -> None:
        for values in ({"formulation": "shooting"}, {"formulation": "shooting", "optimiser": "adadelta"}):
            result = _run("weighted-metamorphosis", flat.inputs, iterations=40, levels=1, **values)
            change = result.metrics["mean_squared_difference_final"] / result.metrics["mean_squared_difference_before"]
            assert change < 0.9, values


@pytest.mark.parametrize("widths", ["0,10", "0.3", "7,200"])
def test_kernels_that_do_not_fit_the_images_are_refused(widths: str, flat: phantoms.TumourCase) -> None:
    with pytest.raises(InputError, match="kernel_widths"):
        _run("lddmm", flat.inputs, kernel_widths=widths)


def test_evolution_is_in_the_moving_image_s_unit(flat: phantoms.TumourCase) -> None:
    """Hounsfield-like values far from zero: the first frame is the moving image."""
    moving = replace(flat.moving, data=900 * flat.moving.data - 1000)
    result = _run("lddmm", {**flat.inputs, "moving": moving}, iterations=2)
    first = result.sequences["evolution"][0]
    there = moving.resampled(first.grid)
    assert float((first.data - there.data).abs().mean()) < 5


@pytest.mark.parametrize("way", ["to the patient", "to the template"])
def test_matched_intensities_leave_the_unit_alone(way: str, flat: phantoms.TumourCase) -> None:
    """What is given back is in the moving image's unit, whichever image the lesion is in."""
    fixed, moving = flat.fixed, replace(flat.moving, data=250 * flat.moving.data)
    inputs = {"fixed": fixed, "moving": moving, "mask": flat.mask}
    if way == "to the template":
        inputs = {"fixed": moving, "moving": fixed, "moving_mask": flat.mask}
    plain, matched = (
        _run("weighted-metamorphosis", inputs, intensity_matching=kind, similarity="ssd", iterations=15)
        for kind in ("none", "histogram")
    )
    for name in ("intensity_added", "metamorphosed"):
        sizes = [float(result.images[name].data.abs().quantile(0.995)) for result in (plain, matched)]
        assert sizes[1] == pytest.approx(sizes[0], rel=0.25), name
    frames = [result.sequences["evolution"][0].data for result in (plain, matched)]
    assert float((frames[0] - frames[1]).abs().mean()) < 0.1 * float(frames[0].std())


@pytest.mark.parametrize("role", ["seeds", "moving_mask"])
def test_small_seeds_are_not_lost_on_a_coarse_grid(role: str, flat: phantoms.TumourCase) -> None:
    """A drawn seed of one pixel starts the growth; a former lesion too small to be seen leaves it to the mask."""
    inside = flat.mask.mask().nonzero().float()
    place = inside[inside[:, 0].argmax()].long() - torch.tensor([1, 0])
    seed = torch.zeros_like(flat.mask.data)
    seed[(0, 0, *place)] = 1
    given = {**flat.inputs, role: LabelImage(seed, flat.fixed.grid)}
    result = _run("weighted-metamorphosis", given, resolution=3.0, iterations=2, mask_evolution="tissue")
    first = result.sequences["mask"][0]
    where = torch.as_tensor(first.grid.to_index(flat.fixed.grid.to_world(place.numpy())))
    apart = (first.data[0, 0] > 0.5).nonzero().double().mean(dim=0) - where
    assert (float(apart.norm()) < 2.0) == (role == "seeds"), apart


def test_lesions_of_both_images_have_no_say_in_the_intensities(flat: phantoms.TumourCase) -> None:
    """A very bright lesion of the moving image, in its mask, changes what is painted no more than a faint one."""
    lesion = torch.zeros_like(flat.mask.data)
    lesion[..., 30:48, 40:58] = 1
    units = []
    for bright in (1.0, 30.0):
        data = torch.where(lesion > 0, bright, flat.moving.data)
        given = {
            **flat.inputs,
            "moving": replace(flat.moving, data=data),
            "moving_mask": LabelImage(lesion, flat.mask.grid),
        }
        result = _run("weighted-metamorphosis", given, similarity="ssd", iterations=3)
        units.append(float(result.sequences["evolution"][-1].data[_lesion_free(result, lesion)].quantile(0.9)))
    assert units[1] == pytest.approx(units[0], rel=0.05)


def _lesion_free(result: Registration, lesion: torch.Tensor) -> torch.Tensor:
    """Where a frame of the evolution is far from the lesion, bool."""
    grid = result.sequences["evolution"][-1].grid
    inside = Image(lesion.float(), result.fixed_grid).resampled(grid, outside="zeros").data
    return torch.nn.functional.max_pool2d(inside, 13, stride=1, padding=6) == 0


def test_notes_are_of_the_transform_that_is_given(flat: phantoms.TumourCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patient to template finds the other way first; folds, and the masks' names, are told as the user sees them."""
    monkeypatch.setattr(multiscale, "_FOLDING", 0.0)
    mask = flat.mask.data.clone()
    mask[..., :, 0] = 1
    given = {"fixed": flat.moving, "moving": flat.fixed, "moving_mask": LabelImage(mask, flat.mask.grid)}
    result = _run("cost-function-masking", given, regularity=1e-7, similarity="ssd", kernel_widths="3")
    share = result.metrics["folded_fraction"]
    folds = [note for note in result.notes if "folds" in note]
    assert share > 1e-3  # of the inverse; the way that was sought folds less
    assert [f"at {share:.2%} of the voxels" in note for note in folds] == [True]
    assert any(note.startswith("The moving lesion mask reaches the border") for note in result.notes)


@pytest.mark.parametrize("similarity", ["ngf", "mind"])
def test_images_of_inverted_contrast_are_matched(similarity: str, flat: phantoms.TumourCase) -> None:
    negative = replace(flat.fixed, data=float(flat.fixed.data.max()) - flat.fixed.data)
    result = _run("cost-function-masking", {**flat.inputs, "fixed": negative}, similarity=similarity)
    assert result.metrics["dice_ventricles_after"] > result.metrics["dice_ventricles_before"] + 0.03


def test_cost_function_masking_does_not_see_the_mask(flat: phantoms.TumourCase) -> None:
    """Whatever stands inside the mask, the transform is the same."""
    painted = flat.fixed.data.clone()
    painted[0, 0][flat.mask.mask()] = float(flat.fixed.data.max()) * 0.9
    other = {**flat.inputs, "fixed": replace(flat.fixed, data=painted)}
    # One scale: on a coarser one the smoothed image carries a little of the mask's inside over its edge.
    fields = [
        _run("cost-function-masking", inputs, levels=1).transform.displacement(flat.fixed.grid)
        for inputs in (flat.inputs, other)
    ]
    assert float(fields[0].abs().max()) > 1
    assert float((fields[0] - fields[1]).abs().mean()) < 0.02


@pytest.fixture(scope="module")
def overlap() -> dict[str, float]:
    """Mean Dice of the ovals by deformation alone, of every method on the toy."""
    case = phantoms.toy_triangle()
    chosen: dict[str, dict[str, Any]] = {
        "evolving": {"name": "weighted-metamorphosis", "mask_evolution": "growing"},
        "constant": {"name": "weighted-metamorphosis", "mask_evolution": "constant"},
        "metamorphosis": {"name": "metamorphosis"},
        "lddmm": {"name": "lddmm"},
    }
    return {key: _ovals(case, **options) for key, options in chosen.items()}


def _ovals(case: Case, name: str, **values: Any) -> float:
    result = _run(name, case.inputs, **{**catalog.method(name).preset("toy-2d").values, **values})
    assert result.warped_labels is not None
    scores = evaluation.dice(case.fixed_labels, result.warped_labels)
    return float(np.mean(list(scores.values())))


class TestToyOfThePaper:
    """Fig. 1: a triangle that grows and pushes ovals, two of which lie where it will be."""

    def test_order_of_the_methods(self, overlap: dict[str, float]) -> None:
        assert overlap["evolving"] > overlap["constant"] > overlap["metamorphosis"]
        assert overlap["constant"] > overlap["lddmm"]

    def test_ovals_are_matched_by_deformation_alone(self, overlap: dict[str, float]) -> None:
        assert overlap["evolving"] > 0.85


class TestGeometry:
    def _turned(self, case: phantoms.TumourCase, matrix: np.ndarray) -> dict[str, Any]:
        """The case's voxels on grids that lie elsewhere in the world."""

        def place(grid: Grid) -> Grid:
            return Grid.from_affine(grid.shape, matrix @ grid.affine)

        return {
            role: replace(value, grid=place(value.grid)) if isinstance(value, (Image, LabelImage)) else value
            for role, value in case.inputs.items()
        }

    @pytest.mark.parametrize("mirrored", [False, True], ids=["oblique", "left-handed"])
    def test_where_the_images_lie_does_not_matter(self, mirrored: bool, solid: phantoms.TumourCase) -> None:
        """The transform of turned (and mirrored) images is the turned transform."""
        matrix = np.eye(4)
        matrix[:3, :3] = OBLIQUE @ np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
        matrix[:3, 3] = (30, -50, 120)
        plain = _run("weighted-metamorphosis", solid.inputs, iterations=8)
        turned = _run("weighted-metamorphosis", self._turned(solid, matrix), iterations=8)
        world, x = Affine(matrix), solid.fixed.grid.points(torch.float64)
        apart = (turned.transform.points(world.points(x)) - world.points(plain.transform.points(x))).norm(dim=-1)
        assert float((plain.transform.points(x) - x).norm(dim=-1).max()) > 2
        assert float(apart.mean()) < 0.02
        assert torch.allclose(turned.images["jacobian"].data, plain.images["jacobian"].data, atol=0.05)

    def test_anisotropic_and_differently_gridded_images(self) -> None:
        case = phantoms.small_tumour_3d((20, 32, 28), spacing=(5.0, 3.2, 3.6))
        finer = Grid.from_affine((30, 30, 30), np.diag([3.8, 3.7, 3.6, 1.0]))
        centred = finer.affine.copy()
        centred[:3, 3] = case.moving.grid.centre - (finer.centre - centred[:3, 3])
        moving = case.moving.resampled(Grid.from_affine(finer.shape, centred), outside="zeros")
        labels = warp_labels(case.moving_labels, Affine(np.eye(4)), moving.grid)
        result = _run("weighted-metamorphosis", {**case.inputs, "moving": moving, "moving_labels": labels})
        assert result.metrics["dice_ventricles_after"] > result.metrics["dice_ventricles_before"] + 0.1
        assert result.metrics["folded_fraction"] == 0

    @pytest.mark.parametrize("resolution", [0.0, 2.7])
    def test_working_resolution(self, resolution: float, flat: phantoms.TumourCase) -> None:
        result = _run("lddmm", flat.inputs, resolution=resolution)
        assert result.warped is not None
        assert result.warped.grid == flat.fixed.grid
        assert result.metrics["dice_ventricles_after"] > result.metrics["dice_ventricles_before"] + 0.03

    def test_affine_start_is_part_of_the_transform(self, flat: phantoms.TumourCase) -> None:
        turn = np.array([[0.966, -0.259, 9.0], [0.259, 0.966, -6.0], [0, 0, 1.0]])
        away = Affine(turn)
        moved = replace(flat.moving, grid=Grid.from_affine(flat.moving.grid.shape, turn @ flat.moving.grid.affine))
        labels = replace(flat.moving_labels, grid=moved.grid)
        inputs = {**flat.inputs, "moving": moved, "moving_labels": labels}
        before = evaluation.dice(flat.fixed_labels, warp_labels(labels, Affine(np.eye(3)), flat.fixed.grid))
        result = _run("weighted-metamorphosis", inputs, initial="affine")
        assert before[phantoms.case.VENTRICLES] < 0.3
        assert result.metrics["dice_ventricles_after"] > 0.85
        expected = away @ flat.truth
        x = flat.fixed.grid.points(torch.float64)[flat.valid.mask()]
        still = (expected.points(x) - x).norm(dim=-1).mean()
        # Flat tissue does not tell how it moved, so the truth is met in the mean only.
        assert float((result.transform.points(x) - expected.points(x)).norm(dim=-1).mean()) < 0.4 * float(still)
        back = result.inverse.points(result.transform.points(x))
        assert float((back - x).norm(dim=-1).mean()) < 0.05


def _distance_outside(mask: LabelImage) -> torch.Tensor:
    """mm from the mask at every voxel."""
    from scipy import ndimage

    outside = ~mask.mask().numpy()
    return torch.from_numpy(ndimage.distance_transform_edt(outside, sampling=mask.grid.spacing))
