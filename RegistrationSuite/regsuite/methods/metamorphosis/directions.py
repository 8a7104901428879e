"""Methods with masks, whichever image the lesion is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from regsuite import evaluation
from regsuite.catalog.metamorphosis import ShootingParameters
from regsuite.errors import InputError
from regsuite.methods.metamorphosis.run import Inputs, Run
from regsuite.progress import Context
from regsuite.registration import Curve, Registration
from regsuite.solvers.pair import Pair, at_resolution
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.transforms import warp_image, warp_labels

_SWAPPED = {
    "fixed": "moving",
    "moving": "fixed",
    "moving_mask": "mask",
    "fixed_labels": "moving_labels",
    "moving_labels": "fixed_labels",
}


def run_masked(inputs: Inputs, parameters: ShootingParameters, context: Context, paints: bool) -> Registration:
    """A run with the lesion in the fixed image, in both, or, inverted, in the moving image alone."""
    if "mask" not in inputs and "moving_mask" not in inputs:
        raise InputError(
            "This method needs a lesion mask, the input 'mask' on the fixed image or 'moving_mask' on the moving one: "
            "give one, or choose a method without a mask."
        )
    if "mask" in inputs:
        return Run(inputs, parameters, context, paints, masked=True).registration()
    if "seeds" in inputs:
        raise InputError(
            "Growth seeds lie in the fixed image's lesion mask, and only a moving lesion mask was given: leave the "
            "seeds out."
        )
    context.progress.log(
        "The lesion is in the moving image: the way from the fixed image to it is sought, and inverted."
    )
    swapped = {_SWAPPED[role]: value for role, value in inputs.items()}
    run = Run(swapped, parameters, context, paints, masked=True, mask_title="moving lesion mask")
    return run.registration(lambda result: _inverted(result, run, inputs))


def _inverted(result: Registration, run: Run, inputs: Inputs) -> Registration:
    """The registration of ``inputs`` whose other direction ``result`` is: what it painted is taken away."""
    fixed, moving = inputs["fixed"], inputs["moving"]
    assert isinstance(fixed, Image)
    assert isinstance(moving, Image)
    labels = {role: value for role, value in inputs.items() if isinstance(value, LabelImage)}
    transform, inverse, grid = result.inverse, result.transform, fixed.grid
    warped = warp_image(moving, transform, grid)
    other = Registration(
        transform=transform,
        inverse=inverse,
        fixed_grid=grid,
        warped=warped,
        curves={**result.curves},
        metrics={**result.metrics, **evaluation.field_metrics(transform, inverse, grid)},
        record=result.record,
        sequences={name: _backwards(frames, run, grid) for name, frames in result.sequences.items()},
    )
    other.sequences["evolution"] = [_in_moving_unit(frame, run.pair) for frame in other.sequences["evolution"]]
    other.images["jacobian"] = Image(transform.jacobian_determinant(grid), grid, "jacobian")
    other.labels["mask_on_fixed"] = warp_labels(labels["moving_mask"], transform, grid)
    if "fixed_labels" in labels:
        other.labels["fixed_labels_on_moving"] = warp_labels(labels["fixed_labels"], inverse, moving.grid)
    if "moving_labels" in labels:
        other.warped_labels = warp_labels(labels["moving_labels"], transform, grid)
    if other.warped_labels is not None and "fixed_labels" in labels:
        before = warp_labels(labels["moving_labels"], run.pair.initial.inverse(), grid)
        metrics, table = evaluation.overlap_change(before, other.warped_labels, labels["fixed_labels"])
        other.metrics |= metrics
        other.tables["overlap"] = table
    if "intensity_added" in result.images:
        painted = warp_image(result.images["intensity_added"].to("cpu"), transform, grid)
        taken = -painted.data * (run.pair.fixed_unit / run.pair.unit)
        other.images["intensity_added"] = Image(taken, grid, "intensity_added")
        other.images["metamorphosed"] = Image(warped.data + taken, grid, "metamorphosed")
        other.curves["spending"] = _mirrored(result.curves["spending"])
    return other


def _backwards(frames: Sequence[Image], run: Run, grid: Grid) -> list[Image]:
    """Frames over the moving image, last first, where they lie over the fixed one: on its ``grid``, or a coarser one of
    the working resolution."""
    back = run.pair.initial.inverse()
    coarse = at_resolution(grid, run.parameters.resolution)
    return [warp_image(frame.to("cpu"), back, coarse, outside="border") for frame in reversed(frames)]


def _in_moving_unit(frame: Image, pair: Pair) -> Image:
    """An image of the way, which was in the unit of ``pair.moving``, in that of ``pair.fixed``."""
    return replace(frame, data=pair.fixed_dark + (frame.data - pair.dark) * (pair.fixed_unit / pair.unit))


def _mirrored(curve: Curve) -> Curve:
    """A curve over a time from 0 to 1 that runs the other way."""
    return replace(
        curve,
        x=[1 - x for x in reversed(curve.x)],
        values={name: values[::-1] for name, values in curve.values.items()},
    )
