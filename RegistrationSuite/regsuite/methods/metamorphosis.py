r"""LDDMM, metamorphosis, weighted metamorphosis and cost-function masking.

François A., Maillard M., Oppenheim C., Pallud J., Bloch I., Gori P., Glaunès J.: Weighted Metamorphosis for
Registration of Images with Different Topologies. WBIR 2022.

A source S is taken to a target T by a velocity v_t and, where the weight M_t allows it, by adding intensity:

    İ_t = -<∇I_t, v_t> + γ M_t z_t,  I_0 = S                                        (1)
    J   = ∫ w (I_1 - T)² dx + λ ∫ ||v_t||²_V + γ <z_t, M_t z_t> dt                  (9, with the energy of 3)

    weighted metamorphosis  M_t a mask, constant or grown from a ball (section 2)    w = 1
    metamorphosis           M_t = 1                                                  w = 1
    LDDMM                   γ = 0                                                    w = 1
    cost-function masking   γ = 0                                                    w = 0 inside the mask

(w is also 0 where an image has no data.) ``solvers.geodesics`` holds the model and its discretisation. Two numbers
without unit set it: the regularity ρ, with λ = ρ / (L/10)² for images of mean extent L, is the squared intensity
difference worth moving everything by a tenth of L; the penalty κ = λ/γ prices a change of intensity against leaving the
difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regsuite import evaluation
from regsuite.catalog.metamorphosis import (
    MetamorphosisParameters,
    ShootingParameters,
    WeightedMetamorphosisParameters,
)
from regsuite.errors import InputError
from regsuite.progress import Context, Part
from regsuite.registration import Registration
from regsuite.solvers.bias import even_out
from regsuite.solvers.flow import axes_to_world
from regsuite.solvers.geodesics import Energy
from regsuite.solvers.growth import growing_masks, soft_mask
from regsuite.solvers.initial import align
from regsuite.solvers.multiscale import Settings, Solution, solve
from regsuite.solvers.pair import Pair, make_pair
from regsuite.spatial import Image, LabelImage, PointSet
from regsuite.transforms import DisplacementField, Transform, warp_image, warp_labels

Inputs = Mapping[str, Image | LabelImage | PointSet]

_WIDTHS = (0.04, 0.1)
"""Automatic kernel widths, of the images' mean extent: about 6 and 15 mm for a head."""


def run_lddmm(inputs: Inputs, parameters: ShootingParameters, context: Context) -> Registration:
    """Deformation alone; shapes and roles as the catalog declares them."""
    return _Run(inputs, parameters, context).run()


def run_metamorphosis(inputs: Inputs, parameters: MetamorphosisParameters, context: Context) -> Registration:
    """Deformation, and intensity added anywhere."""
    return _Run(inputs, parameters, context, penalty=parameters.intensity_penalty).run()


def run_weighted_metamorphosis(
    inputs: Inputs, parameters: WeightedMetamorphosisParameters, context: Context
) -> Registration:
    """Deformation, and intensity added inside the mask."""
    run = _Run(inputs, parameters, context, penalty=parameters.intensity_penalty)
    return run.run(paint_where=parameters.mask_evolution)


def run_cost_function_masking(inputs: Inputs, parameters: ShootingParameters, context: Context) -> Registration:
    """Deformation that does not see the inside of the mask."""
    return _Run(inputs, parameters, context).run(blind=True)


@dataclass
class _Given:
    """The inputs by role, in the types they were checked to be."""

    fixed: Image
    moving: Image
    mask: LabelImage | None
    moving_labels: LabelImage | None
    fixed_labels: LabelImage | None


def _given(inputs: Inputs, device: str) -> _Given:
    def image(role: str) -> Image:
        value = inputs[role]
        assert isinstance(value, Image)
        return value.to(device)

    def labels(role: str) -> LabelImage | None:
        value = inputs.get(role)
        return replace(value, data=value.data.to(device)) if isinstance(value, LabelImage) else None

    return _Given(image("fixed"), image("moving"), labels("mask"), labels("moving_labels"), labels("fixed_labels"))


class _Run:
    """One registration, step by step."""

    def __init__(
        self, inputs: Inputs, parameters: ShootingParameters, context: Context, penalty: float | None = None
    ) -> None:
        self.given = _given(inputs, context.device)
        self.parameters, self.context, self.penalty = parameters, context, penalty
        self.progress = context.progress

    def run(self, paint_where: str | None = None, blind: bool = False) -> Registration:
        self.progress.step(0.0, "preparing the images")
        pair = self._pair()
        mask = None if self.given.mask is None else self._on_working_grid(self.given.mask, pair)
        masks = None if paint_where is None or mask is None else self._masks(mask, pair, paint_where)
        weight = pair.weight * (1 - mask) if blind and mask is not None else None
        solution = solve(pair, self._settings(pair), Part(self.progress, 0.12, 0.9), masks, weight)
        self.progress.step(0.9, "carrying the images")
        return self._registration(pair, solution, masks)

    def _pair(self) -> Pair:
        """The images as they are compared."""
        given = self.given
        initial = align(
            given.fixed, given.moving, self.parameters.initial, given.mask, self.progress, self.context.seed
        )
        fixed, moving = given.fixed, given.moving
        if self.parameters.bias_correction:
            self.progress.step(0.01, "evening out the brightness")
            fixed, moving = even_out(fixed, given.mask), even_out(moving, None)
        pair = make_pair(fixed, moving, initial, self.parameters.resolution, given.mask)
        shape = " x ".join(map(str, pair.grid.shape[::-1]))
        self.progress.log(f"Working grid {shape} at {min(pair.grid.spacing):.3g} mm; images {pair.size:.0f} mm across")
        return pair

    def _on_working_grid(self, mask: LabelImage, pair: Pair) -> Tensor:
        binary = Image(mask.mask()[None, None].float(), mask.grid)
        kept = (binary.resampled(pair.grid, outside="zeros").data > 0.5).float()
        if not bool(kept.any()):
            raise InputError(
                f"Nothing is left of the mask at the working resolution of {min(pair.grid.spacing):.3g} mm: choose a "
                "finer one, or a method without a mask."
            )
        return kept

    def _masks(self, mask: Tensor, pair: Pair, evolution: str) -> Tensor:
        """M_t of every step."""
        if evolution == "constant":
            soft = soft_mask(mask, pair.grid)
            return soft.expand(self.parameters.steps, -1, *[-1] * pair.grid.dim)
        self.progress.step(0.03, "growing the mask")
        # The growth is quick and has a curve of its own, which would only confuse.
        return growing_masks(mask, pair.grid, self.parameters.steps, self.context.silent())

    def _settings(self, pair: Pair) -> Settings:
        chosen = self.parameters
        widths = tuple(chosen.kernel_widths)
        if widths == (0.0,):
            widths = tuple(max(share * pair.size, min(pair.grid.spacing)) for share in _WIDTHS)
            text = " and ".join(f"{width:.3g}" for width in widths)
            self.progress.log(f"Smoothness widths {text} mm: 4 % and 10 % of the images' extent")
        _check_widths(widths, pair)
        energy = Energy(chosen.regularity / (pair.size / 10) ** 2, widths, self.penalty, chosen.kernel)  # type: ignore[arg-type]
        return Settings(
            energy=energy,
            steps=chosen.steps,
            levels=chosen.levels,
            evaluations=chosen.iterations,
            formulation=chosen.formulation,
            optimiser=chosen.optimiser,  # type: ignore[arg-type]
            checkpointing=chosen.checkpointing,
        )

    def _registration(self, pair: Pair, solution: Solution, masks: Tensor | None) -> Registration:
        given, path = self.given, solution.path
        field = DisplacementField(pair.grid, axes_to_world(path.displacement, pair.grid))
        transform: Transform = field if is_identity(pair) else pair.initial @ field
        inverse: Transform = field.inverse() if is_identity(pair) else field.inverse() @ pair.initial.inverse()
        grid = given.fixed.grid
        result = Registration(
            transform=transform.to("cpu"),
            inverse=inverse.to("cpu"),
            fixed_grid=grid,
            warped=warp_image(given.moving, transform, grid),
            warped_labels=given.moving_labels and warp_labels(given.moving_labels, transform, grid),
            curves={"energy": solution.curve},
        )
        device = given.fixed.data.device
        result.images["jacobian"] = Image(transform.jacobian_determinant(grid, device), grid, "jacobian")
        result.sequences["evolution"] = [Image(pair.dark + frame * pair.unit, pair.grid) for frame in path.frames]
        if masks is not None:
            result.sequences["mask"] = [Image(mask[None], pair.grid) for mask in masks]
        if self.penalty is not None and result.warped is not None:
            added = Image(path.added * pair.unit, pair.grid).resampled(grid, outside="zeros")
            result.images["intensity_added"] = replace(added, name="intensity_added")
            result.images["metamorphosed"] = Image(result.warped.data + added.data, grid, "metamorphosed")
        self._measure(result, pair, solution)
        self._warn(result)
        return result

    def _warn(self, result: Registration) -> None:
        """What a user should know of a result that is less than it could be."""
        if not result.metrics["settled"]:
            self.progress.log("The energy was still falling at the last iteration: more iterations may fit better.")
        folded = result.metrics["folded_fraction"]
        if folded > 0:
            self.progress.log(
                f"The deformation folds at {folded:.2%} of the voxels: raise the regularity, or see that the mask "
                "covers all that the moving image lacks."
            )

    def _measure(self, result: Registration, pair: Pair, solution: Solution) -> None:
        path = solution.path
        voxels = max(float(pair.weight.sum()), 1.0) * pair.grid.voxel_volume
        for name, image in (("before", pair.moving), ("deformation", path.deformed), ("final", path.image)):
            result.metrics[f"mean_squared_difference_{name}"] = float(pair.difference(image)) / voxels
        result.metrics["settled"] = float(solution.settled)
        result.metrics |= evaluation.field_metrics(result.transform, result.inverse, result.fixed_grid)
        if self.given.moving_labels is not None and self.given.fixed_labels is not None:
            before = warp_labels(self.given.moving_labels, pair.initial, result.fixed_grid)
            assert result.warped_labels is not None
            metrics, table = evaluation.overlap_change(before, result.warped_labels, self.given.fixed_labels)
            result.metrics |= metrics
            result.tables["overlap"] = table


def _check_widths(widths: tuple[float, ...], pair: Pair) -> None:
    """A kernel narrower than half a voxel does not smooth."""
    finest = min(pair.grid.spacing)
    if min(widths) < 0.5 * finest:
        raise InputError(
            f"Parameter 'kernel_widths' holds {min(widths):g} mm, less than half the working voxel of {finest:.3g} mm: "
            "give wider ones, or 0 alone for automatic ones."
        )


def is_identity(pair: Pair) -> bool:
    """Whether the images were taken as they lie."""
    return bool(torch.equal(pair.initial.matrix, torch.eye(pair.grid.dim + 1, dtype=torch.float64)))
