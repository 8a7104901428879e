r"""Metamorphosis of an image as an optimisation problem, in two forms with the same minimiser.

François et al., Weighted Metamorphosis (WBIR 2022), Eqs. 1 to 4 and 9. With z scaled by ρ/μ one constant γ = μ²/ρ
is left:

    İ_t = -<∇I_t, v_t> + γ M_t z_t                                  image, I_0 = S                        (1)
    E   = ∫ ||v_t||²_V + γ <z_t, M_t z_t> dt                         energy                                (3)
    v_t = -K * (z_t ∇I_t),   ż_t = -∇·(z_t v_t)                      geodesic                              (4)
    J   = ||I_1 - T||² + λ E                                         what is minimised                     (9)

M = 1 is metamorphosis, no z in İ is LDDMM. κ = λ/γ prices an intensity change δ at κ δ² against the δ² of leaving it.

``Shooting`` minimises over z_0, as the paper does: every candidate obeys (4).
``Relaxation`` minimises over the whole path: v_t = w K^½ * a_t, whose ||v_t||_V = ||a_t||, and r_t = γ √M_t z_t are
free, and (4) holds at the minimum. Its variables are all of one scale and carry over between image scales.

The map back to the source, φ_t^-1 = id + u_t, is composed step by step, and S is read through it once, so that the
image is not blurred by the number N of steps. With δ = 1/N, and A_t what has been painted:

    u_{t+δ} = u_t∘(id - δ v_t) - δ v_t,    A_{t+δ} = A_t∘(id - δ v_t) + δ √M_t r_t,    I_t = S∘φ_t^-1 + A_t

The paper takes the energy at t = 0, where a growing mask M_0 is a small ball and most of z costs nothing; here it is
the integral. Fields are in mm along the array axes; a_t, v_t (N, d, *shape), r_t, z (N or 1, 1, *shape). A relaxation
keeps a_t, v_t and u_t on a control grid, which need not be finer than the kernel is smooth, and what is painted on the
part of the images' grid around the mask.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from regsuite.solvers.flow import Carrier, border_window, gradient, jacobian_determinant, voxel_index
from regsuite.spatial.grid import Grid
from regsuite.spatial.image import Image
from regsuite.spatial.sampling import sample_index
from regsuite.spatial.smoothing import Kernel, KernelName


@dataclass(frozen=True)
class Energy:
    """What the energy is made of.

    regularity: λ, 1/mm²; penalty: κ, or None where no intensity is added; widths: σ of K, mm; kernel: its shape.
    """

    regularity: float
    widths: Sequence[float]
    penalty: float | None = None
    kernel: KernelName = "gaussian"


@dataclass
class Path:
    """The end of a path, and its way there where it was asked for.

    displacement u_1 (1, d, *shape) mm; added A_1 and deformed S∘φ_1^-1 (1, 1, *shape);
    velocity_energy ∫||v||²_V dt and intensity_energy ∫γ<z, Mz> dt, each times λ;
    speeds: ||v_t||²_V per step; frames: I_t from S to I_1.
    """

    displacement: Tensor
    added: Tensor
    deformed: Tensor
    velocity_energy: Tensor
    intensity_energy: Tensor
    speeds: list[Tensor]
    frames: list[Tensor]

    @property
    def image(self) -> Tensor:
        """I_1, deformed and with intensity added."""
        return self.deformed + self.added


class Metamorphosis(ABC):
    """A source image and the ways it can go on one grid.

    source: S (1, 1, *shape); masks: M_t of every step (N, 1, *shape), or None for 1 everywhere;
    checkpointing: recompute each step for the gradient instead of keeping it;
    margin: mm over which velocities fall to zero at the grid's border.
    """

    def __init__(
        self,
        source: Tensor,
        grid: Grid,
        energy: Energy,
        steps: int,
        masks: Tensor | None = None,
        checkpointing: bool = False,
        margin: float = 0.0,
    ) -> None:
        self.source, self.grid, self.energy, self.steps = source, grid, energy, steps
        self.masks, self.checkpointing = masks, checkpointing
        self.carry = Carrier(grid, source.device)
        self.control = self._control_grid()
        self.window = border_window(self.control, margin, source.device)
        self.kernel = Kernel(self.control.shape, self.control.spacing, energy.widths, energy.kernel, source.device)

    def _control_grid(self) -> Grid:
        """Where velocities live."""
        return self.grid

    @property
    def paints(self) -> bool:
        """Whether intensity is added."""
        return self.energy.penalty is not None

    @abstractmethod
    def start(self) -> list[Tensor]:
        """Variables, all of about one scale, of the path that stays at the source."""

    @abstractmethod
    def path(self, variables: Sequence[Tensor], keep_frames: bool = False) -> Path:
        """Where the variables lead; differentiable."""

    @abstractmethod
    def refine(self, variables: Sequence[Tensor], coarse: Any) -> list[Tensor]:
        """Variables of a model on a coarser grid for this one."""

    def _maybe_checkpointed(self, function, *arguments):  # type: ignore[no-untyped-def]
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(function, *arguments, use_reentrant=False)
        return function(*arguments)

    def _end(self, u: Tensor, added: Tensor, speeds: list[Tensor], painted: Tensor, frames: list[Tensor]) -> Path:
        total = sum(speeds, torch.zeros_like(painted))
        return Path(u, added, self.carry(self.source, u), total, painted, speeds, frames)


class Relaxation(Metamorphosis):
    """Minimises over the path: variables a (N, d, *control) and, where intensity is added, r √(κ/λ) (N, 1, *paint)."""

    def __init__(self, *arguments, **options) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*arguments, **options)
        device = self.source.device
        self.root = self.kernel.root()
        self.carry_control = Carrier(self.control, device)
        if self.energy.penalty is not None:
            self.paint, self._box = _painted_box(self.grid, self.masks)
            self.carry_paint = Carrier(self.paint, device)
            self._paint_in_control = voxel_index(self.paint, self.control, device)
            root = 1.0 if self.masks is None else self.masks[(slice(None), slice(None), *self._box)].clamp(min=0).sqrt()
            self._strength = root * math.sqrt(self.energy.regularity / self.energy.penalty)

    def _control_grid(self) -> Grid:
        return control_grid(self.grid, min(self.energy.widths))

    def start(self) -> list[Tensor]:
        device = self.source.device
        a = torch.zeros(self.steps, self.grid.dim, *self.control.shape, device=device)
        return [a, torch.zeros(self.steps, 1, *self.paint.shape, device=device)] if self.paints else [a]

    def refine(self, variables: Sequence[Tensor], coarse: Any) -> list[Tensor]:
        fine = [_resampled(variables[0], coarse.control, self.control)]
        return [*fine, _resampled(variables[1], coarse.paint, self.paint)] if self.paints else fine

    def path(self, variables: Sequence[Tensor], keep_frames: bool = False) -> Path:
        a = variables[0]
        back = (-self.window / self.steps * self.root(a)).split(1)
        rates = list((variables[1] * (self._strength / self.steps)).split(1)) if self.paints else []
        u, added = torch.zeros_like(back[0]), torch.zeros_like(rates[0]) if rates else None
        frames = [self.source] if keep_frames else []
        for step in range(self.steps):
            u = self.carry_control(u, back[step]) + back[step]
            if added is not None:
                added = self._maybe_checkpointed(self._paint, added, back[step]) + rates[step]
            if keep_frames:
                frames.append(self.carry(self.source, upsample(u, self.grid)) + self._whole(added))
        measure = self.energy.regularity / self.steps
        speeds = [measure * self.control.voxel_volume * part.square().sum() for part in a.split(1)]
        painted = torch.zeros((), device=a.device)
        if self.paints:
            painted = measure * self.grid.voxel_volume * variables[1].square().sum()
        return self._end(upsample(u, self.grid), self._whole(added), speeds, painted, frames)

    def _paint(self, added: Tensor, back: Tensor) -> Tensor:
        """A∘(id + back) on the painted grid."""
        return self.carry_paint(added, sample_index(back, self._paint_in_control))

    def _whole(self, added: Tensor | None) -> Tensor:
        """What is painted, on the images' grid."""
        whole = torch.zeros_like(self.source)
        if added is None:
            return whole
        margins = [(part.start, n - part.stop) for part, n in zip(self._box, self.grid.shape, strict=True)]
        return functional.pad(added, [side for pair in reversed(margins) for side in pair])


class Shooting(Metamorphosis):
    """Minimises over z_0 (1, 1, *shape): every candidate is a geodesic.

    z_t = det(Dφ_t^-1) z_0∘φ_t^-1 solves ż = -∇·(zv), so z_0 too is read through the map once.
    """

    def start(self) -> list[Tensor]:
        return [torch.zeros_like(self.source)]

    def refine(self, variables: Sequence[Tensor], coarse: Any) -> list[Tensor]:
        return [_resampled(variable, coarse.grid, self.grid) for variable in variables]

    def path(self, variables: Sequence[Tensor], keep_frames: bool = False) -> Path:
        z0 = variables[0]
        u = torch.zeros(1, self.grid.dim, *self.grid.shape, device=z0.device)
        added = torch.zeros_like(z0)
        painted = torch.zeros((), device=z0.device)
        speeds: list[Tensor] = []
        frames = [self.source] if keep_frames else []
        for step in range(self.steps):
            u, added, speed, intensity = self._maybe_checkpointed(self._shoot, step, z0, u, added)
            speeds.append(speed)
            painted = painted + intensity
            if keep_frames:
                frames.append(self.carry(self.source, u) + added)
        return self._end(u, added, speeds, painted, frames)

    def _shoot(self, step: int, z0: Tensor, u: Tensor, added: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One step: u, A, and the two energies spent."""
        read = self.carry(torch.cat([self.source, z0], dim=1), u)
        z = read[:, 1:] * jacobian_determinant(u, self.grid.spacing)
        momentum = self.window * z * gradient(read[:, :1] + added, self.grid.spacing)
        smooth = self.kernel(momentum)
        measure = self.energy.regularity * self.grid.voxel_volume / self.steps
        speed = measure * (momentum * smooth).sum()
        back = self.window * smooth / self.steps
        if self.energy.penalty is None:
            return self.carry(u, back) + back, added, speed, torch.zeros_like(speed)
        carried = self.carry(torch.cat([u, added], dim=1), back)
        gamma = self.energy.regularity / self.energy.penalty
        masked = z if self.masks is None else self.masks[step][None] * z
        painted = carried[:, -1:] + gamma * masked / self.steps
        return carried[:, :-1] + back, painted, speed, measure * gamma * (z * masked).sum()


def _painted_box(grid: Grid, masks: Tensor | None) -> tuple[Grid, tuple[slice, ...]]:
    """The part of the grid around where intensity may be added, with room for it to be carried on."""
    where = None if masks is None else (masks.amax(dim=(0, 1)) > 1e-3).nonzero()
    if where is None or len(where) == 0:
        return grid, tuple(slice(0, n) for n in grid.shape)
    low, high = where.amin(dim=0).tolist(), (where.amax(dim=0) + 1).tolist()
    margin = [max(3, (stop - start) // 6) for start, stop in zip(low, high, strict=True)]
    box = tuple(
        slice(max(0, start - extra), min(n, stop + extra))
        for start, stop, extra, n in zip(low, high, margin, grid.shape, strict=True)
    )
    return grid.cropped([part.start for part in box], [part.stop - part.start for part in box]), box


def control_grid(grid: Grid, width: float) -> Grid:
    """The grid's box with voxels of 0.6 σ of the narrowest kernel, at whose Nyquist frequency its root is 1e-3."""
    spacing = [max(h, 0.6 * width) for h in grid.spacing]
    coarse = grid.resampled(spacing)
    return coarse if coarse.voxel_count < grid.voxel_count / 2 else grid


def upsample(field: Tensor, grid: Grid) -> Tensor:
    """(N, C, *control) on the grid that the control grid covers; smooth in its first derivative."""
    if tuple(field.shape[2:]) == grid.shape:
        return field
    mode = "bilinear" if grid.dim == 2 else "trilinear"
    fine = functional.interpolate(field, size=grid.shape, mode=mode, align_corners=False)
    for axis in range(grid.dim):
        if grid.shape[axis] > 1.4 * field.shape[2 + axis]:
            fine = _round_corners(fine, 2 + axis)
    return fine


def _round_corners(field: Tensor, axis: int) -> Tensor:
    """The kinks of a linear interpolation smoothed by (1, 2, 1)/4 along an axis; the ends stay."""
    n = field.shape[axis]
    inner = 0.5 * field.narrow(axis, 1, n - 2) + 0.25 * (field.narrow(axis, 0, n - 2) + field.narrow(axis, 2, n - 2))
    return torch.cat([field.narrow(axis, 0, 1), inner, field.narrow(axis, n - 1, 1)], dim=axis)


def _resampled(variable: Tensor, coarse: Grid, grid: Grid) -> Tensor:
    """Fields (N, C, *coarse) on a grid of the same box."""
    if coarse == grid:
        return variable
    return torch.cat([Image(field[None], coarse).resampled(grid).data for field in variable])
