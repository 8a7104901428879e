"""One run of coherent point drift, from organs of two sides to a transform of everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regsuite.catalog.organs import BcpdParameters
from regsuite.errors import InputError
from regsuite.methods.organs.choices import Choices
from regsuite.methods.organs.field import field_of
from regsuite.methods.organs.measure import Measured
from regsuite.methods.organs.refinement import check_images, refined
from regsuite.methods.organs.sides import Organs, matched, organs_of
from regsuite.progress import Context, Part
from regsuite.registration import Registration
from regsuite.solvers.drift.covariance import Kernel, Whole
from regsuite.solvers.drift.solve import Cloud, Drift, Settings, drift
from regsuite.spatial import Image, LabelImage, PointSet, Surfaces
from regsuite.transforms import Affine, Transform, warp_image, warp_labels
from regsuite.transforms.chain import chain

Inputs = Mapping[str, Image | LabelImage | PointSet | Surfaces]

_FEWEST = 12
"""Points without which an organ's surface says little."""
_MOST = 600
"""Rank of the covariance, at most, where it is not taken whole."""
_FAR = 3.0
"""How far apart, or how many times larger, clouds are before their units are doubted, in their radii."""
_UNITS = {10.0: "centimetres", 1000.0: "metres", 25.4: "inches"}


class Run:
    """Takes the moving organs to the fixed ones: each on its own way, or, with the parameters of BCPD, as one."""

    def __init__(self, inputs: Inputs, parameters: BcpdParameters, context: Context) -> None:
        self.parameters, self.context, self.progress = parameters, context, context.progress
        self.notes: list[str] = []
        self.fixed, self.moving = (_of(Image, inputs, role) for role in ("fixed", "moving"))
        self.goal, moving = (
            organs_of(_of(LabelImage, inputs, f"{side}_labels"), _of(Surfaces, inputs, f"{side}_surfaces"), side)
            for side in ("fixed", "moving")
        )
        self.organs = matched(moving, self.goal)
        for side, organs in (("fixed", self.goal), ("moving", moving)):
            if organs.empty:
                self.notes.append(f"Empty {side} segments were left out: {', '.join(organs.empty)}.")
        self.values = self._common()
        self.names = [self.goal.name_of(value) for value in self.values]
        self._doubt_names(moving)
        self.chosen = Choices(parameters, self.names)
        if parameters.refinement != "none":
            check_images(self.fixed, self.moving)

    def registration(self) -> Registration:
        """The result."""
        clouds = [self.cloud("moving"), self.cloud("fixed")]
        self._doubt(*clouds)
        found = self.drifted(*clouds)
        self.progress.step(0.7, "carrying the displacement to the image")
        forward = self.forward(found)
        self.progress.step(0.8, "inverting it")
        transform = forward.inverse()
        if self.parameters.refinement != "none":
            both = refined(
                self.fixed, self.moving, transform, forward, self.parameters.refinement, self._part(0.8, 0.9)
            )
            transform, forward = both.transform, both.inverse
            self.notes += both.notes
        result = self._registration(transform, forward)
        result.curves["energy"] = found.curve
        self.progress.step(0.9, "measuring")
        Measured(result, self.goal, self.organs, self.values).add(found)
        result.notes = self.notes + self._after(result, found)
        result.record["chosen"] = {"resolution": self.resolution, "rank": found.prior.rank, "sigma": found.sigma}
        return result

    def _part(self, start: float, end: float) -> Context:
        return replace(self.context, progress=Part(self.progress, start, end))

    # --- organs ---

    def _common(self) -> list[int]:
        """Labels of organs that both sides have."""
        values = sorted({*self.goal.values} & {*self.organs.values})
        if not values:
            names = [
                ", ".join(each.name_of(value) for value in each.values) or "nothing"
                for each in (self.goal, self.organs)
            ]
            raise InputError(
                f"The two sides have no organ in common: the fixed one has {names[0]}, the moving one {names[1]}; "
                "give the same organs the same name on both."
            )
        return values

    def _doubt_names(self, moving: Organs) -> None:
        """Says where the only organs of the two sides are a pair although they are called differently."""
        if len(moving.values) == len(self.goal.values) == 1:
            one, other = moving.name_of(moving.values[0]), self.names[0]
            if one.strip().lower() != other.strip().lower():
                self.notes.append(f"The only organs of the two sides, {one} and {other}, were taken for the same.")

    def cloud(self, side: str) -> Cloud:
        """Points on the surfaces of the organs of the "fixed" or the "moving" side."""
        organs = self.goal if side == "fixed" else self.organs
        counts = self.chosen.each("points")
        parts = [organs.points(value, count) for value, count in zip(self.values, counts, strict=True)]
        for value, points in zip(self.values, parts, strict=True):
            if len(points) < _FEWEST:
                raise InputError(
                    f"The {side} {organs.name_of(value)} has {len(points)} points on its surface, too few to be "
                    "matched: leave it out, or give it finer."
                )
        single = self.chosen.several is None
        numbers = [torch.full((len(points),), 0 if single else place) for place, points in enumerate(parts)]
        return Cloud(torch.cat(parts), torch.cat(numbers))

    def _doubt(self, moving: Cloud, fixed: Cloud) -> None:
        """Says where clouds are so far apart, or so different in size, that something is wrong with the units."""
        middles = [each.points.mean(dim=0) for each in (moving, fixed)]
        radii = [
            float((each.points - middle).norm(dim=1).mean())
            for each, middle in zip((moving, fixed), middles, strict=True)
        ]
        ratio, apart = max(radii) / min(radii), float((middles[0] - middles[1]).norm())
        if ratio > _FAR:
            unit = next((name for factor, name in _UNITS.items() if 0.6 < ratio / factor < 1.6), "another unit than mm")
            small = "moving" if radii[0] < radii[1] else "fixed"
            self.notes.append(
                f"The {small} organs are {ratio:.3g} times smaller than the others: their geometry may be in {unit}."
            )
        elif apart > _FAR * max(radii):
            self.notes.append(f"The organs of the two sides lie {apart:.0f} mm apart: check that they fit together.")

    # --- drift ---

    def drifted(self, moving: Cloud, fixed: Cloud) -> Drift:
        """One cloud brought to the other."""
        chosen, device, dtype = self.chosen, self.context.device, torch.float32
        source, target = (each.to(device, dtype) for each in (moving, fixed))
        count = len(chosen.coherence)

        def each(name: str) -> Tensor:
            return torch.tensor(chosen.each(name)[:count], dtype=dtype, device=device)

        kernel = Kernel(each("deviation"), each("range"), chosen.coherence.to(device))
        if chosen.several is not None:
            middles = torch.stack([source.points[source.organs == organ].mean(dim=0) for organ in range(count)])
            kernel = replace(kernel, whole=Whole(each("organ_shift"), each("organ_strain"), middles))
        settings = Settings(
            outlier_rates=chosen.each("outlier_rate")[:count],
            outlier_volumes=[_volume(target.points[target.organs == organ]) for organ in range(count)],
            pose=self.parameters.pose,  # type: ignore[arg-type]
            tolerance=self.parameters.rank_tolerance,
            most=_MOST if self.parameters.rank_tolerance > 0 else len(moving.points),
            iterations=self.parameters.iterations,
        )
        return drift(source, target, kernel, chosen.transitions.to(device), settings, Part(self.progress, 0.05, 0.7))

    def forward(self, found: Drift) -> Transform:
        """What was found for the points carried to everywhere: from moving to fixed points."""
        voxel = min((self.moving or self.organs.labels).grid.spacing)
        self.resolution = self.parameters.resolution or max(voxel, 0.1 * min(self.chosen.each("range")))
        field = field_of(found, self.organs, self.values, self.resolution)
        rho, dim = found.belief.rho, self.organs.dim
        pose = np.eye(dim + 1)
        pose[:-1, :-1] = rho.scale * rho.rotation.double().cpu().numpy()
        pose[:-1, -1] = rho.translation.double().cpu().numpy()
        return chain(field, Affine(pose))

    # --- result ---

    def _registration(self, transform: Transform, forward: Transform) -> Registration:
        grid = (self.fixed or self.goal.labels).grid
        result = Registration(
            transform=transform,
            inverse=forward,
            fixed_grid=grid,
            warped=self.moving and warp_image(self.moving, transform, grid),
            warped_labels=warp_labels(self.organs.labels, transform, grid),
        )
        result.images["jacobian"] = Image(transform.jacobian_determinant(grid), grid, "jacobian")
        there = (self.moving or self.organs.labels).grid
        result.labels["fixed_labels_on_moving"] = warp_labels(self.goal.labels, forward, there)
        return result

    def _after(self, result: Registration, found: Drift) -> list[str]:
        notes = self._gone(result)
        folded = result.metrics["folded_fraction"]
        if folded > 0:
            share = f"{folded:.2%}" if folded >= 5e-5 else "less than 0.01%"
            advice = "raise the coherence or the range" if self.chosen.several else "raise the range"
            refined = "" if self.parameters.refinement == "none" else ", or leave out the refinement"
            notes.append(
                f"The deformation folds at {share} of the voxels, where organs slide along each other or part: "
                f"{advice}, or lower the displacement{refined}."
            )
        if not found.settled:
            notes.append("The points were still moving at the last iteration: more iterations may fit better.")
        return notes

    def _gone(self, result: Registration) -> list[str]:
        """What the fixed grid does not hold of the organs."""
        assert result.warped_labels is not None
        there = result.warped_labels.values()
        gone = [name for value, name in zip(self.values, self.names, strict=True) if value not in there]
        where = "image" if self.fixed is not None else "side's grid"
        return (
            [f"The fixed {where} does not hold {', '.join(gone)}: they were met, but lie outside it."] if gone else []
        )


def _of(kind: type[Any], inputs: Inputs, role: str) -> Any:
    """The input in that role, None where it was not given."""
    given = inputs.get(role)
    assert given is None or isinstance(given, kind)
    return given


def _volume(points: Tensor) -> float:
    """Of the box around points, at least a mm on each side, mm³ (mm² in 2D)."""
    return float((points.amax(dim=0) - points.amin(dim=0)).clamp(min=1.0).prod())
