"""A metamorphosis solved from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regsuite.memory import available_memory
from regsuite.progress import Part, Progress
from regsuite.registration import Curve
from regsuite.solvers.geodesics import Energy, Metamorphosis, Path, Relaxation, Shooting
from regsuite.solvers.minimise import Optimiser, minimise
from regsuite.solvers.pair import Pair, coarsen, pyramid
from regsuite.spatial import Grid, Image

_MODELS: dict[str, type[Metamorphosis]] = {"path": Relaxation, "shooting": Shooting}
_FIRST_STEP = {"path": 0.1, "shooting": 1.0}
_LAST, _LITTLE = 5, 0.03
"""Evaluations at the end of a descent, and the share of the energy won in them, by which it is called settled."""
_BYTES_PER_STEP = {"path": 60, "shooting": 160}
"""Kept for the gradient, for every voxel and step, of what checkpointing can recompute."""


@dataclass(frozen=True)
class Settings:
    """How a metamorphosis is solved; evaluations: at most so many on a scale, half of them on the
    finest of several; levels: of the pyramid, 0 for as many as the grid allows.
    """

    energy: Energy
    steps: int = 8
    levels: int = 0
    evaluations: int = 40
    formulation: str = "path"
    optimiser: Optimiser = "lbfgs"
    checkpointing: str = "auto"
    tolerance: float = 2e-3


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
) -> Solution:
    """Minimise the energy of taking ``pair.moving`` to ``pair.fixed``.

    masks: M_t of every step (N, 1, *shape) on the pair's grid, None for 1 everywhere; weight: of the image difference,
    None for the pair's own.
    """
    curve = Curve(x_title="evaluation", y_title="energy")
    variables: list[Tensor] | None = None
    coarse: Metamorphosis | None = None
    stages = _stages(pyramid(pair.grid, settings.levels), settings.evaluations, progress)
    for grid, evaluations, part in stages:
        level = pair.coarser(grid)
        here = None if masks is None else torch.cat([coarsen(mask[None], pair.grid, grid) for mask in masks])
        model = _model(level, settings, here)
        start = model.start() if variables is None or coarse is None else model.refine(variables, coarse)
        progress.log(f"Scale {' x '.join(map(str, grid.shape[::-1]))} at {max(grid.spacing):.3g} mm")
        weights = level.weight if weight is None else coarsen(weight, pair.grid, grid)
        descent = _Descent(level, model, weights, curve, part, evaluations)
        variables = minimise(
            descent.loss,
            start,
            evaluations,
            settings.optimiser,
            settings.tolerance,
            _FIRST_STEP[settings.formulation] * (1.0 if coarse is None else 0.1),
            descent.tell,
        )
        coarse, settled = model, descent.settled
    assert variables is not None
    with torch.no_grad():
        path = model.path(variables, keep_frames=True)
    return Solution(path, pair.grid, curve, settled)


def _stages(grids: Sequence[Grid], evaluations: int, progress: Progress) -> list[tuple[Grid, int, Progress]]:
    """Every scale with its budget and its share of the progress."""
    budgets = [evaluations] * (len(grids) - 1) + [evaluations if len(grids) == 1 else max(1, evaluations // 2)]
    costs = [grid.voxel_count * budget for grid, budget in zip(grids, budgets, strict=True)]
    stages: list[tuple[Grid, int, Progress]] = []
    done = 0.0
    for grid, budget, cost in zip(grids, budgets, costs, strict=True):
        share = cost / sum(costs)
        stages.append((grid, budget, Part(progress, done, done + share)))
        done += share
    return stages


def _model(pair: Pair, settings: Settings, masks: Tensor | None) -> Metamorphosis:
    return _MODELS[settings.formulation](
        pair.moving, pair.grid, settings.energy, settings.steps, masks, _checkpointed(pair, settings), pair.margin
    )


def _checkpointed(pair: Pair, settings: Settings) -> bool:
    """Whether steps are recomputed: as asked for, or where keeping them would take over half of the free memory."""
    if settings.checkpointing != "auto":
        return settings.checkpointing == "on"
    needed = pair.grid.voxel_count * settings.steps * _BYTES_PER_STEP[settings.formulation]
    if pair.fixed.device.type == "cuda":
        return needed > 0.5 * torch.cuda.mem_get_info(pair.fixed.device)[0]
    free = available_memory()
    return free is not None and needed > 0.5 * free


class _Descent:
    """One scale's loss, told to the progress at every evaluation."""

    def __init__(
        self, pair: Pair, model: Metamorphosis, weight: Tensor, curve: Curve, progress: Progress, evaluations: int
    ) -> None:
        self.pair, self.model, self.weight = pair, model, weight
        self.curve, self.progress, self.evaluations = curve, progress, evaluations
        # Relative to the images' norm, so that tolerances mean the same for every pair.
        self.unit = max(float(pair.difference(pair.moving, weight)), 1e-6 * pair.grid.voxel_volume)
        self._values: list[float] = []
        self._parts: dict[str, Tensor] = {}
        self._image = pair.moving

    def loss(self, variables: Sequence[Tensor]) -> Tensor:
        path = self.model.path(variables)
        data = self.pair.difference(path.image, self.weight)
        total = (data + path.velocity_energy + path.intensity_energy) / self.unit
        self._parts = {
            "total": total.detach(),
            "difference": (data / self.unit).detach(),
            "deformation": (path.velocity_energy / self.unit).detach(),
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
