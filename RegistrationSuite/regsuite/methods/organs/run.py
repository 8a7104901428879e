"""One run of coherent point drift, from two images with labelled organs to a transform of everything."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from regsuite import evaluation
from regsuite.catalog.organs import BcpdParameters, MoBcpdParameters
from regsuite.errors import InputError
from regsuite.methods.organs.field import field_of
from regsuite.progress import Context, Part
from regsuite.registration import Registration, Table
from regsuite.solvers.drift.covariance import Kernel, Whole
from regsuite.solvers.drift.solve import Cloud, Drift, Settings, drift
from regsuite.spatial import Image, LabelImage, PointSet
from regsuite.spatial.surfaces import surface_points
from regsuite.transforms import Affine, Transform, identity, warp_image, warp_labels
from regsuite.transforms.chain import chain

Inputs = Mapping[str, Image | LabelImage | PointSet]

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
        self.several = parameters if isinstance(parameters, MoBcpdParameters) else None
        self.notes: list[str] = []
        self.fixed, self.moving = (_image(inputs, role) for role in ("fixed", "moving"))
        fixed, moving = (_labels(inputs, role) for role in ("fixed_labels", "moving_labels"))
        self.fixed_labels, self.moving_labels = fixed, self._renamed(moving, fixed)
        self.values = self._common()

    def registration(self) -> Registration:
        """The result."""
        clouds = [self.cloud(labels) for labels in (self.moving_labels, self.fixed_labels)]
        self._doubt(*clouds)
        found = self.drifted(*clouds)
        self.progress.step(0.7, "carrying the displacement to the image")
        forward = self.forward(found)
        self.progress.step(0.8, "inverting it")
        result = self._registration(forward.inverse(), forward)
        result.curves["energy"] = found.curve
        self.progress.step(0.9, "measuring")
        self._measure(result, found)
        result.notes = self.notes + self._after(result, found)
        result.record["chosen"] = {"resolution": self.resolution, "rank": found.prior.rank, "sigma": found.sigma}
        return result

    # --- organs ---

    def _renamed(self, moving: LabelImage, fixed: LabelImage) -> LabelImage:
        """The moving labels with the values of fixed ones of the same name, where both have names, and others new."""
        by_name = {fixed.names[value].strip().lower(): value for value in fixed.values() if value in fixed.names}
        if not by_name or not any(value in moving.names for value in moving.values()):
            return moving
        free = itertools.count(1 + max(*fixed.values(), *fixed.names, *moving.values()))
        new = {old: by_name.get(moving.name_of(old).strip().lower()) or next(free) for old in moving.values()}
        data = torch.zeros_like(moving.data)
        for old, value in new.items():
            data[moving.data == old] = value
        names = {value: moving.name_of(old) for old, value in new.items()}
        colours = {value: moving.colours[old] for old, value in new.items() if old in moving.colours}
        return LabelImage(data, moving.grid, names, colours)

    def _common(self) -> list[int]:
        """Labels of organs that both images have enough of."""
        values = sorted({*self.fixed_labels.values()} & {*self.moving_labels.values()})
        if not values:
            names = [
                ", ".join(each.name_of(value) for value in each.values()) or "nothing"
                for each in (self.fixed_labels, self.moving_labels)
            ]
            raise InputError(
                f"The two images have no organ in common: the fixed one has {names[0]}, the moving one {names[1]}; "
                "give the same organs the same name in both."
            )
        return values

    def cloud(self, labels: LabelImage) -> Cloud:
        """Points on the surfaces of one image's organs."""
        parts = [surface_points(labels, value, self.parameters.points) for value in self.values]
        which = "moving" if labels is self.moving_labels else "fixed"
        for value, points in zip(self.values, parts, strict=True):
            name = labels.name_of(value)
            if len(points) < _FEWEST:
                raise InputError(
                    f"The {which} image's {name} has {len(points)} points on its surface, too few to be matched: "
                    "leave it out of the segmentation, or give a finer one."
                )
        numbers = [torch.full((len(points),), place if self.several else 0) for place, points in enumerate(parts)]
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
                f"The {small} image's organs are {ratio:.3g} times smaller than the other's: its geometry may be in "
                f"{unit}."
            )
        elif apart > _FAR * max(radii):
            self.notes.append(f"The organs of the two images lie {apart:.0f} mm apart: check that they fit together.")

    # --- drift ---

    def drifted(self, moving: Cloud, fixed: Cloud) -> Drift:
        """One cloud brought to the other."""
        chosen, count = self.parameters, len(self.values) if self.several else 1
        device, dtype = self.context.device, torch.float32
        source, target = (each.to(device, dtype) for each in (moving, fixed))
        ones, eye = torch.ones(count, device=device), torch.eye(count, device=device)
        kernel = Kernel(chosen.deviation * ones, chosen.range * ones, eye)
        if self.several is not None:
            middles = torch.stack([source.points[source.organs == organ].mean(dim=0) for organ in range(count)])
            whole = Whole(self.several.organ_shift * ones, self.several.organ_strain * ones, middles)
            kernel = replace(kernel, coherence=eye + self.several.coherence * (1 - eye), whole=whole)
        settings = Settings(
            outlier_rates=[chosen.outlier_rate] * count,
            outlier_volumes=[_volume(target.points[target.organs == organ]) for organ in range(count)],
            pose=chosen.pose,  # type: ignore[arg-type]
            tolerance=chosen.rank_tolerance,
            most=_MOST if chosen.rank_tolerance > 0 else len(moving.points),
            iterations=chosen.iterations,
        )
        return drift(source, target, kernel, self._transitions(eye), settings, Part(self.progress, 0.05, 0.7))

    def _transitions(self, eye: Tensor) -> Tensor:
        """u: an organ keeps its label but for errors, which the others share."""
        count = len(eye)
        wrong = self.several.label_errors if self.several is not None and count > 1 else 0.0
        return (1 - wrong) * eye + wrong / max(count - 1, 1) * (1 - eye)

    def forward(self, found: Drift) -> Transform:
        """What was found for the points carried to everywhere: from moving to fixed points."""
        voxel = min(self.moving.grid.spacing)
        self.resolution = self.parameters.resolution or max(voxel, 0.1 * self.parameters.range)
        field = field_of(found, self.moving_labels, self.values, self.resolution)
        rho, dim = found.belief.rho, self.moving.grid.dim
        pose = np.eye(dim + 1)
        pose[:-1, :-1] = rho.scale * rho.rotation.double().cpu().numpy()
        pose[:-1, -1] = rho.translation.double().cpu().numpy()
        return chain(field, Affine(pose))

    # --- result ---

    def _registration(self, transform: Transform, forward: Transform) -> Registration:
        grid = self.fixed.grid
        result = Registration(
            transform=transform,
            inverse=forward,
            fixed_grid=grid,
            warped=warp_image(self.moving, transform, grid),
            warped_labels=warp_labels(self.moving_labels, transform, grid),
        )
        result.images["jacobian"] = Image(transform.jacobian_determinant(grid), grid, "jacobian")
        result.labels["fixed_labels_on_moving"] = warp_labels(self.fixed_labels, forward, self.moving.grid)
        return result

    def _measure(self, result: Registration, found: Drift) -> None:
        result.metrics = evaluation.field_metrics(result.transform, result.inverse, result.fixed_grid)
        result.metrics["settled"] = float(found.settled)
        result.metrics["evidence_per_point"] = found.bound / len(found.shares.inlier)
        before = warp_labels(self.moving_labels, identity(result.fixed_grid.dim), result.fixed_grid)
        common = _only(self.fixed_labels, self.values)
        assert result.warped_labels is not None
        metrics, result.tables["overlap"] = evaluation.overlap_change(
            _only(before, self.values), _only(result.warped_labels, self.values), common
        )
        result.metrics |= metrics
        result.tables["organs"] = self._organs(result)

    def _organs(self, result: Registration) -> Table:
        rows: list[list[Any]] = []
        for value in self.values:
            y, x = (surface_points(each, value) for each in (self.moving_labels, self.fixed_labels))
            assert result.warped_labels is not None
            volumes = [
                float((each.data == value).sum()) * each.grid.voxel_volume
                for each in (self.moving_labels, result.warped_labels)
            ]
            distances = [_apart(y, x), _apart(result.inverse.points(y), x)]
            rows.append([self.fixed_labels.name_of(value), len(y), *distances, 100 * (volumes[1] / volumes[0] - 1)])
            result.metrics[f"surface_distance_{evaluation.key_of(str(rows[-1][0]))}_mm"] = distances[1]
        means = [float(np.mean([row[column] for row in rows])) for column in (2, 3, 4)]
        result.metrics |= {"surface_distance_before_mm": means[0], "surface_distance_after_mm": means[1]}
        title = ["organ", "points", "distance before, mm", "distance after, mm", "change of volume, %"]
        return Table("Organs", title, rows)

    def _after(self, result: Registration, found: Drift) -> list[str]:
        notes = []
        folded = result.metrics["folded_fraction"]
        if folded > 0:
            share = f"{folded:.2%}" if folded >= 5e-5 else "less than 0.01%"
            advice = "raise the coherence or the range" if self.several else "raise the range"
            notes.append(
                f"The deformation folds at {share} of the voxels, where organs slide along each other or part: "
                f"{advice}, or lower the displacement."
            )
        if not found.settled:
            notes.append("The points were still moving at the last iteration: more iterations may fit better.")
        return notes


def _image(inputs: Inputs, role: str) -> Image:
    image = inputs[role]
    assert isinstance(image, Image)
    return image


def _labels(inputs: Inputs, role: str) -> LabelImage:
    labels = inputs[role]
    assert isinstance(labels, LabelImage)
    return labels


def _only(labels: LabelImage, values: list[int]) -> LabelImage:
    keep = torch.isin(labels.data, torch.tensor(values, dtype=labels.data.dtype))
    return LabelImage(torch.where(keep, labels.data, 0), labels.grid, labels.names, labels.colours)


def _volume(points: Tensor) -> float:
    """Of the box around points, at least a mm on each side, mm³ (mm² in 2D)."""
    return float((points.amax(dim=0) - points.amin(dim=0)).clamp(min=1.0).prod())


def _apart(one: Tensor, other: Tensor) -> float:
    """Mean distance of the points of two surfaces from the other one, mm."""
    a, b = one.numpy(), other.numpy()
    return float(0.5 * (cKDTree(b).query(a)[0].mean() + cKDTree(a).query(b)[0].mean()))
