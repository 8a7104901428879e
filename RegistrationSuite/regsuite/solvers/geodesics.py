r"""Metamorphosis of an image as an optimisation problem, in two forms with the same minimiser.

François et al., Weighted Metamorphosis (WBIR 2022), Eqs. 1 to 4 and 9. With z scaled by ρ/μ one constant γ = μ²/ρ is left:

    İ_t = -<∇I_t, v_t> + γ M_t z_t                                  image, I_0 = S                        (1)
    E   = ∫ ||v_t||²_V + γ <z_t, M_t z_t> dt                         energy                                (3)
    v_t = -K * (z_t ∇I_t),   ż_t = -∇·(z_t v_t)                      geodesic                              (4)
    J   = ||I_1 - T||² + λ E                                         what is minimised                     (9)

M = 1 is metamorphosis, no z in İ is LDDMM. κ = λ/γ prices an intensity change δ at κ δ² against the δ² of leaving it.

``Shooting`` minimises over z_0, as the paper does: every candidate obeys (4).
``Relaxation`` minimises over the whole path: v_t = w K^½ * a_t (so that ||v_t||_V = ||a_t||) and r_t = γ √M_t z_t are
free, and (4) holds at the minimum. Its variables are all of one scale and carry over between image scales.

The map back to the source, φ_t^-1 = id + u_t, is composed step by step, and S is read through it once, so that the image is
not blurred by the number N of steps. With δ = 1/N, and A_t what has been painted:

    u_{t+δ} = u_t∘(id - δ v_t) - δ v_t,    A_{t+δ} = A_t∘(id - δ v_t) + δ √M_t r_t,    I_t = S∘φ_t^-1 + A_t

The paper takes the energy at t = 0, where a growing mask M_0 is a small ball and most of z costs nothing; here it is the
integral. Fields are in mm along the array axes of one grid; a_t, v_t (N, d, *shape), r_t, z (N or 1, 1, *shape).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from regsuite.solvers.flow import Carrier, border_window, gradient, jacobian_determinant
from regsuite.spatial.grid import Grid
from regsuite.spatial.image import Image
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
        self.window = border_window(grid, margin, source.device)
        self.kernel = Kernel(grid.shape, grid.spacing, energy.widths, energy.kernel, source.device)

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

    def refine(self, variables: Sequence[Tensor], coarse: Grid) -> list[Tensor]:
        """Variables of a coarser grid on this one."""
        return [
            torch.cat([Image(field[None], coarse).resampled(self.grid).data for field in variable])
            for variable in variables
        ]

    def _nowhere(self) -> tuple[Tensor, Tensor]:
        """u_0 and A_0."""
        zeros = torch.zeros(1, self.grid.dim + 1, *self.grid.shape, device=self.source.device)
        return zeros[:, :-1], zeros[:, -1:]

    def _advance(self, u: Tensor, added: Tensor, v: Tensor, rate: Tensor | None) -> tuple[Tensor, Tensor]:
        """u and A one step on; ``rate`` is what is painted per unit time."""
        delta = 1 / self.steps
        back = -delta * v
        if rate is None:
            return self.carry(u, back) + back, added
        carried = self.carry(torch.cat([u, added], dim=1), back)
        return carried[:, :-1] + back, carried[:, -1:] + delta * rate

    def _maybe_checkpointed(self, function, *arguments):  # type: ignore[no-untyped-def]
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(function, *arguments, use_reentrant=False)
        return function(*arguments)

    def _image(self, u: Tensor, added: Tensor) -> Tensor:
        return self.carry(self.source, u) + added


class Relaxation(Metamorphosis):
    """Minimises over the path: variables a (N, d, *shape) and, where intensity is added, r √(κ/λ) (N, 1, *shape)."""

    def __init__(self, *arguments, **options) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*arguments, **options)
        self.root = self.kernel.root()
        self.root_masks = None if self.masks is None else self.masks.clamp(min=0).sqrt()

    def start(self) -> list[Tensor]:
        zeros = torch.zeros(self.steps, self.grid.dim + 1, *self.grid.shape, device=self.source.device)
        return [zeros[:, :-1].clone(), zeros[:, -1:].clone()] if self.paints else [zeros[:, :-1].clone()]

    def path(self, variables: Sequence[Tensor], keep_frames: bool = False) -> Path:
        a = variables[0]
        v = self.window * self.root(a)
        rates = self._rates(variables)
        u, added = self._nowhere()
        frames = [self.source] if keep_frames else []
        for step in range(self.steps):
            rate = None if rates is None else rates[step : step + 1]
            u, added = self._maybe_checkpointed(self._advance, u, added, v[step : step + 1], rate)
            if keep_frames:
                frames.append(self._image(u, added))
        measure = self.energy.regularity * self.grid.voxel_volume / self.steps
        speeds = [measure * (a[step] ** 2).sum() for step in range(self.steps)]
        painted = measure * (variables[1] ** 2).sum() if self.paints else torch.zeros((), device=a.device)
        return Path(u, added, self.carry(self.source, u), sum(speeds, torch.zeros_like(painted)), painted, speeds, frames)

    def _rates(self, variables: Sequence[Tensor]) -> Tensor | None:
        """√M_t r_t, from the variable r √(κ/λ)."""
        if self.energy.penalty is None:
            return None
        rates = variables[1] * math.sqrt(self.energy.regularity / self.energy.penalty)
        return rates if self.root_masks is None else rates * self.root_masks


class Shooting(Metamorphosis):
    """Minimises over z_0 (1, 1, *shape): every candidate is a geodesic.

    z_t = det(Dφ_t^-1) z_0∘φ_t^-1 solves ż = -∇·(zv), so z_0 too is read through the map once.
    """

    def start(self) -> list[Tensor]:
        return [torch.zeros_like(self.source)]

    def path(self, variables: Sequence[Tensor], keep_frames: bool = False) -> Path:
        z0 = variables[0]
        u, added = self._nowhere()
        painted = torch.zeros((), device=z0.device)
        speeds: list[Tensor] = []
        frames = [self.source] if keep_frames else []
        for step in range(self.steps):
            u, added, speed, intensity = self._maybe_checkpointed(self._shoot, step, z0, u, added)
            speeds.append(speed)
            painted = painted + intensity
            if keep_frames:
                frames.append(self._image(u, added))
        total = sum(speeds, torch.zeros_like(painted))
        return Path(u, added, self.carry(self.source, u), total, painted, speeds, frames)

    def _shoot(self, step: int, z0: Tensor, u: Tensor, added: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        read = self.carry(torch.cat([self.source, z0], dim=1), u)
        z = read[:, 1:] * jacobian_determinant(u, self.grid.spacing)
        momentum = self.window * z * gradient(read[:, :1] + added, self.grid.spacing)
        smooth = self.kernel(momentum)
        measure = self.energy.regularity * self.grid.voxel_volume / self.steps
        speed = measure * (momentum * smooth).sum()
        if self.energy.penalty is None:
            u, added = self._advance(u, added, -self.window * smooth, None)
            return u, added, speed, torch.zeros_like(speed)
        gamma = self.energy.regularity / self.energy.penalty
        masked = z if self.masks is None else self.masks[step][None] * z
        u, added = self._advance(u, added, -self.window * smooth, gamma * masked)
        return u, added, speed, measure * gamma * (z * masked).sum()
