"""A metamorphosis solved from coarse to fine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regsuite.losses.similarity import Name as Similarity
from regsuite.losses.similarity import dissimilarity
from regsuite.memory import available_memory
from regsuite.progress import Part, Progress
from regsuite.registration import Curve
from regsuite.solvers.flow import strain_of
from regsuite.solvers.geodesics import Energy, Metamorphosis, Path, Relaxation, Shooting, in_time
from regsuite.solvers.minimise import Optimiser, minimise
from regsuite.solvers.pair import Pair, coarsen, pyramid
from regsuite.spatial import Grid, Image

_MODELS: dict[str, type[Metamorphosis]] = {"path": Relaxation, "shooting": Shooting}
_FIRST_STEP = {"path": 0.1, "shooting": 1.0}
_LAST, _LITTLE = 5, 0.05
"""Evaluations at the end of a descent, and the share of the energy won in them, by which it is called settled."""
_BYTES_PER_STEP = {"path": 90, "shooting": 160}
"""Kept for the gradient, for every voxel and step, of what checkpointing can recompute."""
STEPS, _MOST_STEPS = 8, 32
"""Automatic time steps to begin with, and at most."""
_STRAIN = 0.5
"""Largest |δ Dv_t| of one automatic step: below 1 every step is invertible."""
_FOLDING = 10.0
_WORTH = {"ssd": 1.0, "lncc": 0.08, "ngf": 0.12, "mind": 0.6}
"""Of a similarity, in squared difference: both say as much of a shift of two voxels in T1 images of the head."""
_DEFORMED = 0.95
"""Share of the time after which what is left is to paint."""
_WINDOW_VOXELS = 1.5
"""Least width of a similarity's windows, in voxels of the scale."""


@dataclass(frozen=True)
class Settings:
    """How a metamorphosis is solved; evaluations: at most so many on a scale; levels: of the pyramid, 0 for as many as
    the grid allows; steps: 0 for as many as keep every step invertible; window: σ of the similarity's windows, mm;
    folding: price of a volume that is crushed, against the squared difference of images from 0 to 1.
    """

    energy: Energy
    steps: int = STEPS
    similarity: Similarity = "ssd"
    window: float = 0.0
    levels: int = 0
    evaluations: int = 50
    formulation: str = "path"
    optimiser: Optimiser = "lbfgs"
    checkpointing: str = "auto"
    tolerance: float = 2e-3
    folding: float = _FOLDING


@dataclass
class Solution:
    """The best path found on the finest grid, and the energy on the way."""

    path: Path
    grid: Grid
    curve: Curve
    settled: bool


def solve(
    pair: Pair,
    settings: Settings,
    progress: Progress,
    masks: Tensor | None = None,
    weight: Tensor | None = None,
    painting_weight: Tensor | None = None,
) -> Solution:
    """Minimise the energy of taking ``pair.moving`` to ``pair.fixed``.

    masks: M_t, (any, 1, *shape) on the pair's grid and even in time, None for 1 everywhere; weight: of the image
    difference, None for the pair's own; painting_weight: another one, for a relaxed path, by which what is painted is
    sought once more in the end with the deformation held.
    """
    curve = Curve(x_title="evaluation", y_title="energy")
    variables: list[Tensor] | None = None
    coarse: Metamorphosis | None = None
    steps = settings.steps or STEPS
    deforming = Part(progress, 0.0, 1.0 if painting_weight is None else _DEFORMED)
    for grid, part in _stages(pyramid(pair.grid, settings.levels), deforming):
        level = pair.coarser(grid)
        here = None if masks is None else torch.cat([coarsen(mask[None], pair.grid, grid) for mask in masks])
        model = _model(level, settings, steps, here)
        start = model.start() if variables is None or coarse is None else model.refine(variables, coarse)
        progress.log(f"Scale {' x '.join(map(str, grid.shape[::-1]))} at {max(grid.spacing):.3g} mm")
        weights = level.weight if weight is None else coarsen(weight, pair.grid, grid)
        descent = _Descent(level, model, weights, settings, curve, part)
        variables = minimise(
            descent.loss,
            start,
            settings.evaluations,
            settings.optimiser,
            settings.tolerance,
            _FIRST_STEP[settings.formulation] * (1.0 if coarse is None else 0.1),
            descent.tell,
        )
        coarse, settled = model, descent.settled
        if settings.steps == 0 and grid != pair.grid:
            steps = _invertible(model, variables, steps, progress)
    assert variables is not None
    if painting_weight is not None:
        variables = _painted(model, variables, pair, painting_weight, settings, Part(progress, _DEFORMED, 1.0))
    with torch.no_grad():
        path = model.path(variables, keep_frames=True)
    return Solution(path, pair.grid, curve, settled)


def _painted(
    model: Metamorphosis,
    variables: Sequence[Tensor],
    pair: Pair,
    weight: Tensor,
    settings: Settings,
    progress: Progress,
) -> list[Tensor]:
    """The variables with what is painted sought anew; the deformation stays, and so does the energy's curve."""
    a, r = variables
    assert isinstance(model, Relaxation)
    progress.log("The deformation is found; the lesion is painted in full")
    unlike, unit = _unlikeness(pair, weight, settings)
    with torch.no_grad():
        deformed = model.path(variables).deformed

    def loss(painting: Sequence[Tensor]) -> Tensor:
        added, energy = model.painting(a, *painting)
        return (unlike(deformed + added) + energy) / unit

    def tell(count: int, value: float) -> None:
        progress.step(count / settings.evaluations, "painting the lesion")

    first = 0.1 * _FIRST_STEP["path"]
    return [a, *minimise(loss, [r], settings.evaluations, settings.optimiser, settings.tolerance, first, tell)]


def _invertible(model: Metamorphosis, variables: Sequence[Tensor], steps: int, progress: Progress) -> int:
    """As many steps as keep each of them invertible, never fewer than before."""
    with torch.no_grad():
        strain = strain_of(model.velocities(variables), model.control.spacing) / steps
    needed = min(_MOST_STEPS, math.ceil(steps * strain / _STRAIN))
    if needed <= steps:
        return steps
    progress.log(f"From here on {needed} time steps: one of {steps} strains by up to {strain:.2f}, beyond {_STRAIN:g}")
    return needed


def _stages(grids: Sequence[Grid], progress: Progress) -> list[tuple[Grid, Progress]]:
    """Every scale with its share of the progress."""
    whole = sum(grid.voxel_count for grid in grids)
    stages: list[tuple[Grid, Progress]] = []
    done = 0.0
    for grid in grids:
        share = grid.voxel_count / whole
        stages.append((grid, Part(progress, done, done + share)))
        done += share
    return stages


def _model(pair: Pair, settings: Settings, steps: int, masks: Tensor | None) -> Metamorphosis:
    inside = None if masks is None else in_time(masks, steps)
    model = _MODELS[settings.formulation](pair.moving, pair.grid, settings.energy, steps, inside)
    model.checkpointing = _checkpointed(model, settings)
    return model


def _checkpointed(model: Metamorphosis, settings: Settings) -> bool:
    """Whether steps are recomputed: as asked for, or where keeping them would take over half of the free memory."""
    if settings.checkpointing != "auto":
        return settings.checkpointing == "on"
    needed = model.recomputable_voxels * model.steps * _BYTES_PER_STEP[settings.formulation]
    device = model.source.device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()
    return free is not None and needed > 0.5 * free


def _unlikeness(pair: Pair, weight: Tensor, settings: Settings) -> tuple[Callable[[Tensor], Tensor], float]:
    """How unlike the fixed one an image is, in squared difference, and how unlike the moving one is: relative to that
    tolerances mean the same for every pair."""
    window = max(settings.window, _WINDOW_VOXELS * max(pair.grid.spacing))
    unlike = dissimilarity(settings.similarity, pair.fixed, weight, pair.grid.spacing, window)
    worth = _WORTH[settings.similarity]
    return lambda image: worth * unlike(image), max(worth * float(unlike(pair.moving)), 1e-6 * pair.grid.voxel_volume)


class _Descent:
    """One scale's loss, told to the progress at every evaluation."""

    def __init__(
        self,
        pair: Pair,
        model: Metamorphosis,
        weight: Tensor,
        settings: Settings,
        curve: Curve,
        progress: Progress,
    ) -> None:
        self.pair, self.model = pair, model
        self.unlike, self.unit = _unlikeness(pair, weight, settings)
        self.curve, self.progress, self.evaluations = curve, progress, settings.evaluations
        self.folding = settings.folding
        self._values: list[float] = []
        self._parts: dict[str, Tensor] = {}
        self._image = pair.moving

    def loss(self, variables: Sequence[Tensor]) -> Tensor:
        path = self.model.path(variables)
        data = self.unlike(path.image)
        deformation = path.velocity_energy + self.folding * path.folding
        total = (data + deformation + path.intensity_energy) / self.unit
        self._parts = {
            "total": total.detach(),
            "difference": (data / self.unit).detach(),
            "deformation": (deformation / self.unit).detach(),
        }
        if self.model.paints:
            self._parts["intensity"] = (path.intensity_energy / self.unit).detach()
        self._image = path.image.detach()
        return total

    @property
    def settled(self) -> bool:
        """Whether little more was won in the last evaluations."""
        earlier, lowest = self._values[:-_LAST], min(self._values)
        if len(self._values) < self.evaluations:
            return True
        return bool(earlier) and min(earlier) - lowest <= _LITTLE * lowest

    def tell(self, count: int, value: float) -> None:
        self._values.append(value)
        point = {name: float(part) for name, part in self._parts.items()}
        self.curve.add(len(self.curve.x) + 1, **point)
        self.progress.curve("energy", self.curve.x[-1], **point)
        if count % 5 == 1:
            self.progress.preview(Image(self._image, self.pair.grid))
        self.progress.step(count / self.evaluations, f"energy {value:.4f} at {max(self.pair.grid.spacing):.3g} mm")
