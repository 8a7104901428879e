"""One run of a metamorphosis, from the moving to the fixed image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regsuite import evaluation
from regsuite.catalog.metamorphosis import ShootingParameters
from regsuite.errors import InputError
from regsuite.methods.metamorphosis import choices, remarks
from regsuite.progress import Context, Part
from regsuite.registration import Curve, Registration
from regsuite.solvers.bias import even_out
from regsuite.solvers.flow import axes_to_world
from regsuite.solvers.geodesics import Energy, Path
from regsuite.solvers.growth import growing_masks, soft_mask
from regsuite.solvers.initial import align
from regsuite.solvers.multiscale import STEPS, Settings, Solution, solve
from regsuite.solvers.pair import Pair, make_pair, matched, scale_of
from regsuite.spatial import Grid, Image, LabelImage, PointSet
from regsuite.transforms import Affine, DisplacementField, Transform, warp_image, warp_labels

Inputs = Mapping[str, Image | LabelImage | PointSet]


class Run:
    """Takes the moving to the fixed image, step by step.

    paints: whether intensity may be added: inside the masks, or everywhere where the method has none;
    masked: whether the method has masks. One that does not paint leaves their inside out of the comparison;
    mask_title: what the user calls the mask on the fixed image.
    """

    def __init__(
        self,
        inputs: Inputs,
        parameters: ShootingParameters,
        context: Context,
        paints: bool = False,
        masked: bool = False,
        mask_title: str = "lesion mask",
    ) -> None:
        self.mask_title = mask_title
        self.inputs, self.parameters, self.context = inputs, parameters, context
        self.paints, self.masked = paints, masked
        self.progress = context.progress
        self.fixed, self.moving = self._image("fixed"), self._image("moving")
        self.mask, self.moving_mask = self._labels("mask"), self._labels("moving_mask")
        self.notes: list[str] = []

    def _image(self, role: str) -> Image:
        image = self.inputs[role]
        assert isinstance(image, Image)
        return image.to(self.context.device)

    def _labels(self, role: str) -> LabelImage | None:
        labels = self.inputs.get(role)
        return replace(labels, data=labels.data.to(self.context.device)) if isinstance(labels, LabelImage) else None

    def note(self, sentences: list[str]) -> None:
        """What a user should know of the result, told at once as well."""
        for sentence in sentences:
            self.progress.log(sentence)
        self.notes += sentences

    def registration(self, finished: Callable[[Registration], Registration] = lambda result: result) -> Registration:
        """The result; finished: makes of it what the user asked for."""
        self.progress.step(0.0, "preparing the images")
        pair = self.pair = self._pair()
        region = self.region(pair) if self.masked else None
        self.note(
            remarks.before(pair, region, [(self.mask_title, self.mask), ("moving lesion mask", self.moving_mask)])
        )
        settings = self.settings(pair, region)
        poor = remarks.contrast(choices.agreement(pair, region)) if settings.similarity == "ssd" else []
        self.note(poor)
        masks = self.masks(pair, region) if self.paints and region is not None else None
        whole = pair.weight if settings.similarity == "ssd" else pair.weight * pair.content  # elsewhere is noise alone
        share = 1.0 if region is None else self._lesion_weight()
        weight = whole if region is None else whole * (1 - (1 - share) * region)
        painting = whole if self.paints and share < 1 else None
        solution = solve(pair, settings, Part(self.progress, 0.12, 0.9), masks, weight, painting)
        self.progress.step(0.9, "carrying the images")
        result = self._registration(pair, solution, masks)
        self._measure(result, pair, solution, region)
        # What contrast alone has deformed tells nothing of the mask.
        self.note(remarks.after(result, pair, solution.path, None if poor else region))
        result.record["chosen"] = _chosen(settings, solution)
        result = finished(result)
        self.note(remarks.folding(result))
        result.notes += self.notes
        return result

    def _lesion_weight(self) -> float:
        """Of the comparison inside the masks."""
        if not self.paints:
            return 0.0
        # What is shot paints as it deforms, and could not be painted afterwards.
        return 1.0 if self.parameters.formulation == "shooting" else self.parameters.lesion_weight  # type: ignore[attr-defined]

    def _pair(self) -> Pair:
        """The images as they are compared."""
        fixed, moving = self.fixed, self.moving
        kind, seed = self.parameters.initial, self.context.seed
        initial = align(fixed, moving, kind, self.mask, self.progress, seed, self.moving_mask)
        if self.parameters.bias_correction:
            self.progress.step(0.01, "evening out the brightness")
            fixed, moving = even_out(fixed, self.mask), even_out(moving, self.moving_mask)
        lesions = self._lesions(initial)
        compared = matched(moving, fixed, initial, lesions) if self._matches else moving
        pair = make_pair(fixed, compared, initial, self.parameters.resolution, lesions)
        if self._matches:  # what is given back keeps the moving image's unit
            dark, unit = scale_of(moving, initial, fixed.grid, lesions)
            pair = replace(pair, dark=dark, unit=unit)
        shape = " x ".join(map(str, pair.grid.shape[::-1]))
        self.progress.log(f"Working grid {shape} at {min(pair.grid.spacing):.3g} mm; images {pair.size:.0f} mm across")
        return pair

    @property
    def _matches(self) -> bool:
        return self.parameters.intensity_matching == "histogram"

    def _lesions(self, initial: Affine) -> LabelImage | None:
        """Both masks on the fixed image's grid."""
        moved = self._moving_mask_on_fixed(initial)
        if self.mask is None or moved is None:
            return self.mask or moved
        both = (self.mask.mask() | moved.mask()).int()[None, None]
        return LabelImage(both, self.fixed.grid)

    def region(self, pair: Pair) -> Tensor:
        """Where either image holds what the other lacks, binary on the working grid."""
        parts = [self._on_grid(self.mask, pair), self._on_grid(self._moving_mask_on_fixed(pair.initial), pair)]
        region = sum((part for part in parts if part is not None), torch.zeros_like(pair.fixed)).clamp(max=1)
        if not bool(region.any()):
            raise InputError(
                f"Nothing is left of the mask at the working resolution of {min(pair.grid.spacing):.3g} mm: choose a "
                "finer one, or a method without a mask."
            )
        return region

    def _moving_mask_on_fixed(self, initial: Affine) -> LabelImage | None:
        return self.moving_mask and warp_labels(self.moving_mask, initial, self.fixed.grid)

    def _on_grid(self, labels: LabelImage | None, pair: Pair) -> Tensor | None:
        if labels is None:
            return None
        binary = Image(labels.mask()[None, None].float(), labels.grid)
        return (binary.resampled(pair.grid, outside="zeros").data > 0.5).float()

    def masks(self, pair: Pair, region: Tensor) -> Tensor:
        """M_t, even in time."""
        evolution = self.parameters.mask_evolution  # type: ignore[attr-defined]
        steps = self.parameters.steps or STEPS
        if evolution == "constant":
            return soft_mask(region, pair.grid)
        self.progress.step(0.03, "growing the mask")
        seeds = _touched(self._labels("seeds"), pair.grid)
        if seeds is None:
            seeds = self._on_grid(self._moving_mask_on_fixed(pair.initial), pair)  # the lesion as it was
            seeds = None if seeds is None or not bool((seeds * region).any()) else seeds
        model = "tissue" if evolution == "tissue" else "ball"
        # The growth is quick and has a curve of its own, which would only confuse.
        return growing_masks(region, pair.grid, steps, self.context.silent(), model, seeds, pair.moving)  # type: ignore[arg-type]

    def settings(self, pair: Pair, region: Tensor | None) -> Settings:
        """Of the solver, as asked for or chosen from the images."""
        chosen = self.parameters
        log = self.progress.log
        widths = choices.kernel_widths(chosen.kernel_widths, pair, log)
        penalty = None
        if self.paints:
            penalty = choices.penalty(chosen.intensity_penalty, pair, region, log)  # type: ignore[attr-defined]
        regularity = choices.regularity(chosen.regularity, pair.grid.dim, log)
        energy = Energy(regularity / max(widths) ** 2, widths, penalty, chosen.kernel)  # type: ignore[arg-type]
        return Settings(
            energy=energy,
            steps=chosen.steps,
            similarity=chosen.similarity,  # type: ignore[arg-type]
            window=choices.WINDOW * pair.size,
            levels=chosen.levels,
            evaluations=chosen.iterations,
            formulation=chosen.formulation,
            optimiser=chosen.optimiser,  # type: ignore[arg-type]
            checkpointing=chosen.checkpointing,
        )

    def _registration(self, pair: Pair, solution: Solution, masks: Tensor | None) -> Registration:
        path = solution.path
        field = DisplacementField(pair.grid, axes_to_world(path.displacement, pair.grid))
        transform, inverse = _both_ways(pair.initial, field)
        grid, labels = self.fixed.grid, self._labels("moving_labels")
        result = Registration(
            transform=transform.to("cpu"),
            inverse=inverse.to("cpu"),
            fixed_grid=grid,
            warped=warp_image(self.moving, transform, grid),
            warped_labels=labels and warp_labels(labels, transform, grid),
            curves={"energy": solution.curve},
        )
        jacobian = transform.jacobian_determinant(grid, self.fixed.data.device)
        result.images["jacobian"] = Image(jacobian, grid, "jacobian")
        result.sequences["evolution"] = [Image(pair.dark + frame * pair.unit, pair.grid) for frame in path.frames]
        if masks is not None:
            result.sequences["mask"] = [Image(mask[None], pair.grid) for mask in masks]
        carried = {
            "mask_on_moving": (self.mask, inverse, self.moving.grid),
            "fixed_labels_on_moving": (self._labels("fixed_labels"), inverse, self.moving.grid),
            "mask_on_fixed": (self.moving_mask, transform, grid),
        }
        for name, (given, way, there) in carried.items():
            if given is not None:
                result.labels[name] = warp_labels(given, way, there)
        if self.paints:
            added = Image(path.added * pair.unit, pair.grid).resampled(grid, outside="zeros")
            assert result.warped is not None
            result.images["intensity_added"] = replace(added, name="intensity_added")
            result.images["metamorphosed"] = Image(result.warped.data + added.data, grid, "metamorphosed")
            result.curves["spending"] = _spending(path)
        return result

    def _measure(self, result: Registration, pair: Pair, solution: Solution, region: Tensor | None) -> None:
        result.metrics |= _differences(pair, solution.path, region)
        result.metrics["settled"] = float(solution.settled)
        result.metrics |= evaluation.field_metrics(result.transform, result.inverse, result.fixed_grid)
        moving_labels, fixed_labels = self._labels("moving_labels"), self._labels("fixed_labels")
        if moving_labels is not None and fixed_labels is not None:
            before = warp_labels(moving_labels, pair.initial, result.fixed_grid)
            assert result.warped_labels is not None
            metrics, table = evaluation.overlap_change(before, result.warped_labels, fixed_labels)
            result.metrics |= metrics
            result.tables["overlap"] = table


def _touched(labels: LabelImage | None, grid: Grid) -> Tensor | None:
    """Every voxel of the grid in which a labelled one has its centre, (1, 1, *shape): small ones are not lost."""
    if labels is None:
        return None
    drawn = labels.mask().nonzero().cpu().numpy()
    index = np.round(grid.to_index(labels.grid.to_world(drawn))).astype(int)
    index = index[((index >= 0) & (index < grid.shape)).all(axis=1)]
    touched = torch.zeros(1, 1, *grid.shape, device=labels.data.device)
    touched[(0, 0, *torch.from_numpy(index.T).to(touched.device))] = 1.0
    return touched


def _both_ways(initial: Affine, field: DisplacementField) -> tuple[Transform, Transform]:
    if torch.equal(initial.matrix, torch.eye(initial.dim + 1, dtype=torch.float64)):
        return field, field.inverse()
    return initial @ field, field.inverse() @ initial.inverse()


def _chosen(settings: Settings, solution: Solution) -> dict[str, Any]:
    """What automatic parameters came to, by name."""
    widths, penalty = settings.energy.widths, settings.energy.penalty
    chosen = {
        "kernel_widths": list(widths),
        "regularity": settings.energy.regularity * max(widths) ** 2,
        "steps": len(solution.path.speeds),
    }
    return chosen if penalty is None else {**chosen, "intensity_penalty": penalty}


def _spending(path: Path) -> Curve:
    """λ||v_t||²_V and λγ<z_t, M_t z_t> at the middle of every step, as shares of their integrals' sum."""
    curve = Curve(x_title="time", y_title="share of the energy per unit of time")
    steps = len(path.speeds)
    whole = max(float(path.velocity_energy + path.intensity_energy), 1e-30)
    for step, (speed, painting) in enumerate(zip(path.speeds, path.paintings, strict=True)):
        rates = (float(part) * steps / whole for part in (speed, painting))
        curve.add((step + 0.5) / steps, **dict(zip(("deformation", "intensity"), rates, strict=True)))
    return curve


def _differences(pair: Pair, path: Path, region: Tensor | None) -> dict[str, float]:
    """Squared differences before, by deformation and in the end, and the share of the first that shape explains."""
    images = {"before": pair.moving, "deformation": path.deformed, "final": path.image}
    voxels = max(float(pair.weight.sum()), 1.0) * pair.grid.voxel_volume
    whole = {name: float(pair.difference(image)) for name, image in images.items()}
    metrics = {f"mean_squared_difference_{name}": value / voxels for name, value in whole.items()}
    metrics["explained_by_shape"] = _explained(whole["before"], whole["deformation"])
    if region is not None:
        outside = [float(pair.difference(image, pair.weight * (1 - region))) for image in list(images.values())[:2]]
        metrics["explained_by_shape_outside"] = _explained(*outside)
    return metrics


def _explained(before: float, left: float) -> float:
    return min(max(1 - left / before, 0.0), 1.0) if before > 0 else 1.0
