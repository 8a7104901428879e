"""Lesions in either image or in both: which way is solved, what is chosen, and what a user is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from regsuite import catalog, evaluation, phantoms
from regsuite.errors import InputError
from regsuite.methods.metamorphosis import choices
from regsuite.methods.metamorphosis.run import Run
from regsuite.phantoms.case import VENTRICLES, Case
from regsuite.progress import Context, Progress
from regsuite.registration import Registration
from regsuite.solvers.pair import Pair
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.transforms import Affine, Transform, identity, warp_image, warp_labels
from torch import Tensor

WEIGHTED, MASKING = "weighted-metamorphosis", "cost-function-masking"


class Listener(Progress):
    """Keeps the log."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, text: str) -> None:
        self.lines.append(text)


def _run(name: str, inputs: Mapping[str, Any], listener: Progress | None = None, **values: Any) -> Registration:
    method = catalog.method(name)
    roles = {item.role for item in method.inputs}
    given = {role: value for role, value in inputs.items() if role in roles}
    parameters = method.check_values({"bias_correction": False, **values})
    result = method.load()(given, parameters, Context(listener or Progress()))
    assert isinstance(result, Registration)
    return result


def _swapped(case: Case) -> dict[str, Any]:
    """The patient is the moving image, the healthy one the fixed."""
    return {
        "fixed": case.moving,
        "moving": case.fixed,
        "moving_mask": case.mask,
        "fixed_labels": case.moving_labels,
        "moving_labels": case.fixed_labels,
    }


def _dice(one: LabelImage, other: LabelImage, value: int = 1) -> float:
    return evaluation.dice(one, other)[value]


def _shape(frame: Image) -> LabelImage:
    return LabelImage((frame.data > 0.5).int(), frame.grid)


def _ball(grid: Grid, centre: tuple[float, ...], radius: float) -> LabelImage:
    away = grid.points(torch.float64) - torch.tensor(centre, dtype=torch.float64)
    return LabelImage((away.norm(dim=-1) < radius).int()[None, None], grid)


def _mean(values: Tensor, where: Tensor) -> float:
    return float(values[0, 0].abs()[where].mean())


@pytest.fixture(scope="module")
def flat() -> phantoms.TumourCase:
    """Evenly bright, so that an image can become the other."""
    return phantoms.shapes_2d((84, 72), spacing=1.35, bias=0.0)


@pytest.fixture(scope="module")
def there(flat: phantoms.TumourCase) -> Registration:
    """The healthy image taken to the patient's."""
    return _run(WEIGHTED, flat.inputs)


@pytest.fixture(scope="module")
def back(flat: phantoms.TumourCase) -> Registration:
    """The patient's image taken to the healthy one."""
    return _run(WEIGHTED, _swapped(flat))


class TestLesionInTheMovingImage:
    def test_transform_is_the_truth_s_inverse_as_nearly_as_the_other_way(
        self, flat: phantoms.TumourCase, there: Registration, back: Registration
    ) -> None:
        x = flat.fixed.grid.points(torch.float64)[flat.valid.mask()]
        y = flat.truth.points(x)
        still = float((y - x).norm(dim=-1).mean())
        errors = [
            float(flat.error_mm(there.transform).mean()),
            float(flat.error_mm(back.inverse).mean()),
            float((back.transform.points(y) - x).norm(dim=-1).mean()),
        ]
        assert max(errors) < 0.6 * still
        assert max(errors) < 1.2 * min(errors)

    @pytest.mark.parametrize("name", [WEIGHTED, MASKING])
    def test_in_3d(self, name: str) -> None:
        case = phantoms.small_tumour_3d((22, 25, 22), spacing=4.6)
        result = _run(name, _swapped(case), iterations=15)
        still = float(case.error_mm(identity(3)).mean())
        assert float(case.error_mm(result.inverse).mean()) < 0.85 * still
        assert result.metrics["dice_ventricles_after"] > result.metrics["dice_ventricles_before"] + 0.1
        assert result.metrics["folded_fraction"] == 0

    def test_what_is_painted_makes_the_fixed_image(self, flat: phantoms.TumourCase, back: Registration) -> None:
        assert back.warped is not None
        lesion = back.labels["mask_on_fixed"].mask()
        head = flat.moving.data[0, 0] > 0.1
        fixed = flat.moving.data
        left = back.images["metamorphosed"].data - fixed
        assert _mean(left, lesion) < 0.35 * _mean(back.warped.data - fixed, lesion)
        assert _mean(left, head & ~lesion) < 0.5 * _mean(flat.fixed.data - fixed, head & ~lesion)
        assert torch.allclose(
            back.images["metamorphosed"].data, back.warped.data + back.images["intensity_added"].data, atol=1e-6
        )

    def test_what_the_other_way_adds_is_taken_away(
        self, flat: phantoms.TumourCase, there: Registration, back: Registration
    ) -> None:
        carried = warp_image(there.images["intensity_added"], back.transform, flat.moving.grid).data.flatten()
        taken = back.images["intensity_added"].data.flatten()
        assert float(taken.abs().max()) > 0.2 * float(flat.fixed.data.max())
        assert float(torch.corrcoef(torch.stack([carried, taken]))[0, 1]) < -0.99

    def test_results_are_in_the_unit_of_the_moving_image(self, flat: phantoms.TumourCase, back: Registration) -> None:
        scaled = replace(flat.fixed, data=250 * flat.fixed.data)
        other = _run(WEIGHTED, {**_swapped(flat), "moving": scaled})
        ratios = [
            float(other.images[name].data.abs().mean() / back.images[name].data.abs().mean())
            for name in ("intensity_added", "metamorphosed")
        ]
        assert ratios == pytest.approx([250, 250], rel=0.03)
        assert float(other.sequences["evolution"][0].data.mean()) == pytest.approx(
            250 * float(back.sequences["evolution"][0].data.mean()), rel=0.03
        )

    def test_way_is_from_the_moving_to_the_fixed_image_in_the_unit_of_the_moving_one(
        self, flat: phantoms.TumourCase
    ) -> None:
        """Hounsfield-like values far from zero."""
        moving = replace(flat.fixed, data=900 * flat.fixed.data - 1000)
        result = _run(WEIGHTED, {**_swapped(flat), "moving": moving})
        frames = result.sequences["evolution"]
        assert all(frame.grid == flat.moving.grid for frame in frames)
        apart = [
            [float((frame.data - end).abs().mean()) for end in (moving.data, 900 * flat.moving.data - 1000)]
            for frame in (frames[0], frames[-1])
        ]
        assert apart[0][0] < 0.4 * apart[0][1]
        assert apart[1][1] < 0.4 * apart[1][0]

    def test_labels_and_masks_go_both_ways(self, flat: phantoms.TumourCase, back: Registration) -> None:
        truth = warp_labels(flat.mask, flat.truth.inverse(), flat.moving.grid)
        assert _dice(back.labels["mask_on_fixed"], truth) > 0.75
        assert back.warped_labels is not None
        assert _dice(back.warped_labels, flat.moving_labels, VENTRICLES) > 0.93
        assert _dice(back.labels["fixed_labels_on_moving"], flat.fixed_labels, VENTRICLES) > 0.93
        assert back.metrics["dice_ventricles_after"] == pytest.approx(
            _dice(back.warped_labels, flat.moving_labels, VENTRICLES)
        )
        assert back.metrics["dice_ventricles_before"] == pytest.approx(
            _dice(flat.fixed_labels, flat.moving_labels, VENTRICLES)
        )

    def test_time_runs_backwards(self, there: Registration, back: Registration) -> None:
        one, other = there.curves["spending"], back.curves["spending"]
        assert other.x == pytest.approx([1 - x for x in one.x[::-1]])
        assert other.x == sorted(other.x)
        assert other.values == {name: values[::-1] for name, values in one.values.items()}
        sizes = [float(frame.data.sum()) for frame in back.sequences["mask"]]
        assert sizes[0] > 2 * sizes[-1]

    def test_images_far_apart_and_on_other_grids(self, flat: phantoms.TumourCase) -> None:
        """All that belongs to the fixed image lies there, the way too."""
        coarse = flat.moving.grid.resampled((2.0, 1.8))
        fixed = flat.moving.resampled(coarse)
        fixed_labels = warp_labels(flat.moving_labels, identity(2), coarse)
        shift = np.eye(3)
        shift[:2, 2] = (60, -45)
        away = Grid.from_affine(flat.fixed.grid.shape, shift @ flat.fixed.grid.affine)
        moved = {role: replace(value, grid=away) for role, value in _swapped(flat).items() if "moving" in role}
        inputs = {"fixed": fixed, "fixed_labels": fixed_labels, **moved}
        result = _run(WEIGHTED, inputs, initial="rigid")
        assert result.metrics["dice_ventricles_after"] > 0.85
        assert result.labels["fixed_labels_on_moving"].grid == away
        on_fixed = [*result.images.values(), *result.sequences["evolution"], *result.sequences["mask"]]
        assert all(image.grid == coarse for image in on_fixed)
        last = result.sequences["evolution"][-1].data
        assert float((last - fixed.data).abs().mean()) < 0.25 * float(fixed.data.abs().mean())
        start = warp_image(moved["moving"], Affine(shift), coarse)
        first = result.sequences["evolution"][0].data
        assert float((first - start.data).abs().mean()) < 0.2 * float(start.data.abs().mean())

    def test_cost_function_masking_does_not_see_the_lesion(self, flat: phantoms.TumourCase) -> None:
        painted = flat.fixed.data.clone()
        painted[0, 0][flat.mask.mask()] = 0.9 * float(flat.fixed.data.max())
        # One scale: on a coarser one the smoothed image carries a little of the mask's inside over its edge.
        fields = [
            _run(MASKING, {**_swapped(flat), "moving": moving}, levels=1).transform.displacement(flat.moving.grid)
            for moving in (flat.fixed, replace(flat.fixed, data=painted))
        ]
        assert float(fields[0].abs().max()) > 1
        assert float((fields[0] - fields[1]).abs().mean()) < 0.05


@pytest.fixture(scope="module")
def visits() -> tuple[phantoms.TumourCase, phantoms.TumourCase]:
    """One head with a small lesion, and with a large one."""
    early, late = (
        phantoms.shapes_2d((84, 72), spacing=1.35, **recipe)
        for recipe in ({"radius": 7.0, "mass_effect": 3.0, "oedema": 3.0}, {})
    )
    assert torch.equal(early.moving.data, late.moving.data)
    return early, late


def _over_time(early: phantoms.TumourCase, late: phantoms.TumourCase) -> dict[str, Any]:
    return {
        "fixed": late.fixed,
        "moving": early.fixed,
        "mask": late.mask,
        "moving_mask": early.mask,
        "fixed_labels": late.fixed_labels,
        "moving_labels": early.fixed_labels,
    }


class TestLesionInBothImages:
    @pytest.mark.parametrize("grows", [True, False], ids=["grows", "shrinks"])
    def test_recovers_what_growth_has_done(
        self, grows: bool, visits: tuple[phantoms.TumourCase, phantoms.TumourCase]
    ) -> None:
        early, late = visits if grows else visits[::-1]
        result = _run(WEIGHTED, _over_time(early, late))
        truth = early.truth.inverse() @ late.truth
        assert _error(result.transform, truth, late) < 0.75 * _error(identity(2), truth, late)
        assert result.metrics["dice_ventricles_after"] > 0.93
        assert result.metrics["folded_fraction"] == 0
        assert result.notes == []
        for name, mask, transform in (
            ("mask_on_fixed", early.mask, result.transform),
            ("mask_on_moving", late.mask, result.inverse),
        ):
            assert torch.equal(result.labels[name].data, warp_labels(mask, transform, mask.grid).data)

    def test_grows_from_the_former_lesion(self, visits: tuple[phantoms.TumourCase, phantoms.TumourCase]) -> None:
        early, late = visits
        inputs = _over_time(early, late)
        starts = []
        for given in (inputs, {role: value for role, value in inputs.items() if role != "moving_mask"}):
            first, last = (_run(WEIGHTED, given, iterations=1).sequences["mask"][i] for i in (0, -1))
            assert _dice(_shape(last), warp_labels(late.mask, identity(2), last.grid)) > 0.9
            starts.append(_dice(_shape(first), warp_labels(early.mask, identity(2), first.grid)))
        assert starts[0] > 0.7
        assert starts[0] > starts[1] + 0.1


def _error(transform: Transform, truth: Transform, case: phantoms.TumourCase) -> float:
    """Mean distance in mm where the truth is known."""
    x = case.fixed.grid.points(torch.float64)[case.valid.mask()]
    return float((transform.points(x) - truth.points(x)).norm(dim=-1).mean())


class TestWhichInputs:
    @pytest.mark.parametrize("name", [WEIGHTED, MASKING])
    def test_a_mask_is_needed(self, name: str, flat: phantoms.TumourCase) -> None:
        with pytest.raises(InputError, match=r"needs a lesion mask, .* give one, or choose a method without a mask\.$"):
            _run(name, {"fixed": flat.fixed, "moving": flat.moving})

    def test_seeds_go_with_the_fixed_image_s_mask(self, flat: phantoms.TumourCase) -> None:
        with pytest.raises(InputError, match=r"leave the seeds out\.$"):
            _run(WEIGHTED, {**_swapped(flat), "seeds": flat.mask})

    def test_growth_starts_at_the_seeds(self, flat: phantoms.TumourCase) -> None:
        """Drawn at one end of the lesion, far from its deepest place."""
        x = flat.fixed.grid.points(torch.float64)
        lesion = flat.mask.mask()
        end = x[lesion][x[lesion][:, 1].argmax()] - torch.tensor([0.0, 3.0])
        seeds = _ball(flat.fixed.grid, tuple(end.tolist()), 3.0)
        away = []
        for inputs in ({**flat.inputs, "seeds": seeds}, flat.inputs):
            first = _run(WEIGHTED, inputs, iterations=1).sequences["mask"][0]
            weights = first.data[0, 0].double()
            middle = (first.grid.points(torch.float64) * weights[..., None]).sum(dim=(0, 1)) / weights.sum()
            away.append(float((middle - end).norm()))
        assert away[0] < 3
        assert away[1] > 8


class TestNotes:
    @pytest.mark.parametrize("name", [WEIGHTED, MASKING, "metamorphosis", "lddmm"])
    def test_nothing_to_say(self, name: str) -> None:
        assert _run(name, phantoms.shapes_2d((84, 72), spacing=1.35).inputs).notes == []

    def test_nothing_to_say_either_way(self, there: Registration, back: Registration) -> None:
        assert there.notes == back.notes == []

    @pytest.mark.parametrize("contrast", ["inverted", "curved", "dark"])
    def test_nothing_to_say_of_a_right_mask_in_another_contrast(self, contrast: str, flat: phantoms.TumourCase) -> None:
        assert _run(WEIGHTED, {**flat.inputs, "fixed": _in_contrast(flat.fixed, contrast)}).notes == []

    def test_nothing_to_say_where_nothing_differs(self, flat: phantoms.TumourCase) -> None:
        noise = 0.01 * torch.randn(flat.fixed.data.shape, generator=torch.Generator().manual_seed(0))
        moving = replace(flat.fixed, data=flat.fixed.data + noise)
        assert _run(WEIGHTED, {**flat.inputs, "moving": moving}).notes == []

    @pytest.mark.parametrize("similarity", ["lncc", "ssd"])
    @pytest.mark.parametrize("swapped", [False, True], ids=["fixed", "moving"])
    def test_mask_that_misses(self, swapped: bool, similarity: str, flat: phantoms.TumourCase) -> None:
        x, y = flat.fixed.grid.points(torch.float64)[flat.mask.mask()].mean(dim=0).tolist()
        wrong = _ball(flat.fixed.grid, (-x, y), 10.0)  # in the other hemisphere
        inputs = {**_swapped(flat), "moving_mask": wrong} if swapped else {**flat.inputs, "mask": wrong}
        note, *others = _run(WEIGHTED, inputs, similarity=similarity).notes
        assert all("folds" in other for other in others)
        assert note.startswith("The lesion mask does not touch what differs between the images")

    def test_half_a_mask_does_not_miss(self, flat: phantoms.TumourCase) -> None:
        x = flat.fixed.grid.points(torch.float64)[..., 1]
        lesion = flat.mask.mask()
        half = replace(flat.mask, data=(lesion & (x > x[lesion].mean())).int()[None, None])
        assert _run(WEIGHTED, {**flat.inputs, "mask": half}).notes == []

    def test_mask_larger_than_half_the_head(self, flat: phantoms.TumourCase) -> None:
        x = flat.fixed.grid.points()[..., 0]
        for edge, count in ((-8.0, 1), (12.0, 0)):
            mask = replace(flat.mask, data=((x > edge) & (flat.fixed.data[0, 0] > 0.05)).int()[None, None])
            notes = _run(WEIGHTED, {**flat.inputs, "mask": mask}).notes
            assert len(notes) == count, notes
            assert all(note.startswith("The lesion mask covers 6") and "of the head" in note for note in notes)

    @pytest.mark.parametrize("role", ["mask", "moving_mask"])
    @pytest.mark.parametrize("through_the_lesion", [True, False])
    def test_tumour_cut_by_the_field_of_view(
        self, role: str, through_the_lesion: bool, flat: phantoms.TumourCase
    ) -> None:
        """Columns run from left to right: the field of view ends within the lesion, or left of the head's middle."""
        columns = np.flatnonzero(flat.mask.array().any(axis=0))
        end = int(columns.mean()) if through_the_lesion else int(columns[-1]) + 4
        grid = flat.fixed.grid.cropped((0, 0), (flat.fixed.grid.shape[0], end))
        seen = {"image": replace(flat.fixed, data=flat.fixed.data[..., :end], grid=grid)}
        cut = replace(flat.mask, data=flat.mask.data[..., :end], grid=grid)
        assert bool(cut.mask().any())
        pair = {"mask": ("fixed", "moving"), "moving_mask": ("moving", "fixed")}[role]
        result = _run(WEIGHTED, {pair[0]: seen["image"], pair[1]: flat.moving, role: cut})
        assert len(result.notes) == int(through_the_lesion)
        assert all("lesion mask reaches the border of its image" in note for note in result.notes)
        assert result.metrics["folded_fraction"] == 0

    def test_contrast_that_squared_differences_cannot_bridge(self, flat: phantoms.TumourCase) -> None:
        inverted = replace(flat.fixed, data=1 - flat.fixed.data)
        told = Listener()
        squared = _run(WEIGHTED, {**flat.inputs, "fixed": inverted}, told, similarity="ssd")
        assert "choose the similarity lncc, ngf or mind, or intensity matching" in squared.notes[0]
        assert squared.notes[0] in told.lines
        assert not any("does not touch" in note for note in squared.notes)
        local = _run(WEIGHTED, {**flat.inputs, "fixed": inverted}, similarity="lncc")
        assert local.notes == []
        gains = [
            each.metrics["dice_ventricles_after"] - each.metrics["dice_ventricles_before"] for each in (squared, local)
        ]
        assert gains[0] < 0
        assert gains[1] > 0.2

    def test_same_contrast_by_squared_differences(self, flat: phantoms.TumourCase) -> None:
        assert _run(WEIGHTED, flat.inputs, similarity="ssd").notes == []

    def test_folds(self, flat: phantoms.TumourCase, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where they cost nothing."""
        settings = Run.settings
        monkeypatch.setattr(Run, "settings", lambda *given: replace(settings(*given), folding=0.0))
        result = _run("lddmm", flat.inputs, similarity="ssd", regularity=1e-5, steps=1)
        assert result.metrics["folded_fraction"] > 0
        assert any(note.startswith("The deformation folds at") for note in result.notes)

    def test_not_settled(self, flat: phantoms.TumourCase) -> None:
        told = Listener()
        result = _run(WEIGHTED, flat.inputs, told, iterations=3)
        assert result.metrics["settled"] == 0
        assert result.notes == ["The energy was still falling at the last iteration: more iterations may fit better."]
        assert result.notes[0] in told.lines


def _in_contrast(image: Image, name: str) -> Image:
    data, brightest = image.data, float(image.data.max())
    turned = torch.where(data > 0.12 * brightest, 1.15 * brightest - data, data)  # as T2 is to T1
    curved = brightest * (data / brightest).clamp(min=0) ** 2
    return replace(image, data={"inverted": 1 - data, "curved": curved, "dark": turned}[name])


@pytest.fixture(scope="module")
def edited(flat: phantoms.TumourCase) -> dict[str, Any]:
    """The fixed image with stripes in its lesion, which nothing in the moving image resembles."""
    x = flat.fixed.grid.points(torch.float64)
    stripes = flat.mask.mask() * (0.3 * torch.sin(x[..., 0] / 2))
    return {**flat.inputs, "fixed": replace(flat.fixed, data=flat.fixed.data + stripes.float())}


class TestLesionWeight:
    def test_what_is_in_the_lesion_does_not_steer_the_deformation(
        self, flat: phantoms.TumourCase, edited: dict[str, Any]
    ) -> None:
        apart = {}
        for weight in (0.0, 1.0):
            plain, other = (_run(WEIGHTED, each, lesion_weight=weight) for each in (flat.inputs, edited))
            points = flat.fixed.grid.points(torch.float64)
            apart[weight] = float((plain.transform.points(points) - other.transform.points(points)).norm(dim=-1).mean())
        assert apart[0.0] < 0.5 * apart[1.0]

    def test_the_lesion_is_painted_in_full_whatever_its_weight(
        self, flat: phantoms.TumourCase, edited: dict[str, Any]
    ) -> None:
        lesion = flat.mask.mask()
        fixed = edited["fixed"].data
        left = {}
        for weight in (0.1, 1.0):
            result = _run(WEIGHTED, edited, lesion_weight=weight, similarity="ssd")
            left[weight] = _mean(result.images["metamorphosed"].data - fixed, lesion)
        assert left[0.1] < 1.5 * left[1.0]
        assert left[0.1] < 0.4 * _mean(flat.moving.data - fixed, lesion)

    def test_shooting_has_the_paper_s(self, flat: phantoms.TumourCase) -> None:
        weights = (0.1, 1.0)
        one, other = (
            _run(WEIGHTED, flat.inputs, lesion_weight=weight, formulation="shooting", iterations=5)
            for weight in weights
        )
        assert torch.equal(one.images["metamorphosed"].data, other.images["metamorphosed"].data)


GRID = Grid.regular((60, 64), 1.0)
REGION = torch.zeros(1, 1, *GRID.shape)
REGION[..., 20:36, 24:40] = 1


def _noisy_pair(noise: float, contrast: float) -> Pair:
    """Flat, but for the fixed image's noise and lesion."""
    ones = torch.ones(1, 1, *GRID.shape)
    fixed = 0.5 + contrast * REGION + noise * torch.randn(ones.shape, generator=torch.Generator().manual_seed(2))
    return Pair(fixed, 0.5 * ones, ones, ones, GRID, identity(2), 0.0, 1.0, 0.0, 1.0, 60.0)


class TestPenalty:
    @pytest.mark.parametrize(
        ("noise", "contrast", "expected"),
        [
            (0.03, 0.3, 0.1),
            (0.02, -0.4, 0.05),
            (0.03, 0.05, 0.3),  # 0.6, but paints too little
            (0.002, 0.4, 0.03),  # 0.005, but the noise is no reason to paint all
            (0.0, 0.0, 0.03),
        ],
    )
    def test_is_noise_over_contrast_within_limits(self, noise: float, contrast: float, expected: float) -> None:
        told: list[str] = []
        chosen = choices.penalty(0.0, _noisy_pair(noise, contrast), REGION, told.append)
        assert chosen == pytest.approx(expected, rel=0.1)
        reason = re.fullmatch(
            r"Intensity penalty (\S+): in the mask the images differ by (\S+), and the noise around it is (\S+) .*",
            told[0],
        )
        assert reason is not None
        assert [float(each) for each in reason.groups()] == pytest.approx([expected, abs(contrast), noise], rel=0.12)

    def test_without_a_mask(self) -> None:
        told: list[str] = []
        assert choices.penalty(0.0, _noisy_pair(0.02, 0.4), None, told.append) == 0.3
        assert told == ["Intensity penalty 0.3, as there is no mask"]

    def test_as_asked_for(self) -> None:
        told: list[str] = []
        assert choices.penalty(0.7, _noisy_pair(0.02, 0.4), REGION, told.append) == 0.7
        assert told == []


class TestSteps:
    def _discs(self, radius: float) -> dict[str, Image]:
        """A small disc, and a large one."""
        x = GRID.points(torch.float64) - torch.as_tensor(GRID.centre)
        discs = ((0.5 + size - x.norm(dim=-1)).clamp(0, 1).float() for size in (radius, 8.0))
        return {role: Image(disc[None, None], GRID) for role, disc in zip(("fixed", "moving"), discs, strict=True)}

    @pytest.mark.parametrize("asked", [0, 8])
    def test_more_where_the_strain_is_large(self, asked: int) -> None:
        told = Listener()
        values = {"similarity": "ssd", "regularity": 1e-4, "kernel_widths": "4"}
        result = _run("lddmm", self._discs(28.0), told, steps=asked, **values)
        raised = [line for line in told.lines if line.startswith("From here on")]
        steps = len(result.sequences["evolution"]) - 1
        if asked:
            assert steps == 8
            assert not raised
        else:
            assert 8 < steps <= 32
            assert raised[-1].startswith(f"From here on {steps} time steps: one of ")
            assert "strains by up to" in raised[0]
        assert result.metrics["folded_fraction"] == 0

    def test_eight_where_it_is_not(self) -> None:
        told = Listener()
        result = _run("lddmm", self._discs(10.0), told, similarity="ssd")
        assert len(result.sequences["evolution"]) == 9
        assert not any(line.startswith("From here on") for line in told.lines)

    def test_none_are_promised_on_the_last_scale(self) -> None:
        told = Listener()
        _run("lddmm", self._discs(24.0), told, similarity="ssd", regularity=1e-4, kernel_widths="4", levels=1)
        assert not any(line.startswith("From here on") for line in told.lines)
