r"""Metamorphosis of an image as an optimisation problem, in two forms with the same minimiser.

François et al., Weighted Metamorphosis (WBIR 2022), Eqs. 1 to 4 and 9. With z scaled by ρ/μ one constant γ = μ²/ρ
is left:

    İ_t = -<∇I_t, v_t> + γ M_t z_t                                  image, I_0 = S                        (1)
    E   = ∫ ||v_t||²_V + γ <z_t, M_t z_t> dt                         energy                                (3)
    v_t = -K * (z_t ∇I_t),   ż_t = -∇·(z_t v_t)                      geodesic                              (4)
    J   = ||I_1 - T||² + λ E                                         what is minimised                     (9)

M = 1 is metamorphosis, no z in İ is LDDMM. κ = λ/γ prices an intensity change δ at κ δ² against the δ² of leaving it.

``Shooting`` minimises over z_0, as the paper does: every candidate obeys (4).
``Relaxation`` minimises over the whole path: v_t = K^½ a_t, whose ||v_t||_V = ||a_t||, and r_t = γ √M_t z_t are
free, and (4) holds at the minimum. Its variables are all of one scale and carry over between image scales.

The map back to the source, φ_t^-1 = id + u_t, is composed of short steps, and S is read through it once, so that the
image is not blurred by the number N of steps. With δ = 1/N, and A_t what has been painted:

    u_{t+δ} = u_t∘(id - δ v_t) - δ v_t,    A_{t+δ} = A_t∘(id - δ v_t) + δ √M_t r_t,    I_t = S∘φ_t^-1 + A_t

The paper takes the energy at t = 0, where a growing mask M_0 is a small ball and most of z costs nothing; here it is
the integral. Fields are in mm along the array axes; v_t (N, d, *shape), r_t, z (N or 1, 1, *shape); a_t are coordinates
in the kernel's modes (N, d, *modes). A relaxation finds u_t on a control grid, which need not be finer than the
kernel is smooth, and paints on the part of the images' grid around the mask.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from regsuite.solvers.flow import corner_determinant, gradient, jacobian_determinant
from regsuite.spatial.grid import Grid
from regsuite.spatial.image import Image
from regsuite.spatial.sampling import Carrier
from regsuite.spatial.smoothing import Kernel, KernelName, along_axes

_CONTROL = {2: 0.3, 3: 0.75}
"""Voxel of the control grid, in σ of the narrowest kernel. A map that crushes tissue is rougher than its velocities."""
_LEAST_JACOBIAN = 0.2


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

    displacement u_1 (1, d, *shape) mm; folding as in :func:`folding_of`, mm³ (mm² in 2D);
    added A_1 and deformed S∘φ_1^-1 (1, 1, *shape);
    speeds ||v_t||²_V and paintings γ<z_t, M_t z_t> per step, each times λ/N; frames: I_t from S to I_1.
    """

    displacement: Tensor
    folding: Tensor
    added: Tensor
    deformed: Tensor
    speeds: list[Tensor]
    paintings: list[Tensor]
    frames: list[Tensor]

    @property
    def image(self) -> Tensor:
        """I_1, deformed and with intensity added."""
        return self.deformed + self.added

    @property
    def velocity_energy(self) -> Tensor:
        """λ ∫||v_t||²_V dt."""
        return sum(self.speeds, torch.zeros_like(self.added[0, 0].sum()))

    @property
    def intensity_energy(self) -> Tensor:
        """λ ∫γ<z_t, M_t z_t> dt."""
        return sum(self.paintings, torch.zeros_like(self.added[0, 0].sum()))


class Metamorphosis(ABC):
    """A source image and the ways it can go on one grid, with velocities that vanish at the faces of the grid's box.

    source: S (1, 1, *shape); masks: M_t of every step (N, 1, *shape), or None for 1 everywhere;
    checkpointing: recompute each step for the gradient instead of keeping it.
    """

    def __init__(
        self,
        source: Tensor,
        grid: Grid,
        energy: Energy,
        steps: int,
        masks: Tensor | None = None,
        checkpointing: bool = False,
    ) -> None:
        self.source, self.grid, self.energy, self.steps = source, grid, energy, steps
        self.masks, self.checkpointing = masks, checkpointing
        self.like: dict[str, Any] = {"device": source.device, "dtype": source.dtype}
        self.carry = Carrier(grid, **self.like)
        self.control = self._control_grid()
        self.kernel = Kernel(self.control, energy.widths, energy.kernel, **self.like)

    def _control_grid(self) -> Grid:
        """Where velocities live."""
        return self.grid

    @property
    def paints(self) -> bool:
        """Whether intensity is added."""
        return self.energy.penalty is not None

    @property
    def recomputable_voxels(self) -> int:
        """Of which checkpointing need not keep every step."""
        return self.grid.voxel_count

    @abstractmethod
    def start(self) -> list[Tensor]:
        """Variables, all of about one scale, of the path that stays at the source."""

    @abstractmethod
    def path(self, variables: Sequence[Tensor], keep_frames: bool = False) -> Path:
        """Where the variables lead; differentiable."""

    @abstractmethod
    def velocities(self, variables: Sequence[Tensor]) -> Tensor:
        """v_t of every step, or of the first one, on the control grid: (N or 1, d, *control) mm."""

    @abstractmethod
    def refine(self, variables: Sequence[Tensor], coarse: Any) -> list[Tensor]:
        """Variables of a model on a coarser grid, or of other steps, for this one."""

    def _maybe_checkpointed(self, function, *arguments):  # type: ignore[no-untyped-def]
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(function, *arguments, use_reentrant=False)
        return function(*arguments)


class Relaxation(Metamorphosis):
    """Minimises over the path: variables a (N, d, *modes) and, where intensity is added, r √(κ/λ) (N, 1, *paint)."""

    def __init__(self, *arguments, **options) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*arguments, **options)
        self._carry_control = Carrier(self.control, **self.like)
        self._to_grid = cubic_upsampling(self.control, self.grid, **self.like)
        if self.energy.penalty is not None:
            self.paint, self._box = _painted_box(self.grid, self.masks)
            self._carry_paint = Carrier(self.paint, **self.like)
            self._paint_velocity = self.kernel.field_on(self.paint)
            root: Any = (
                1.0 if self.masks is None else self.masks[(slice(None), slice(None), *self._box)].clamp(min=0).sqrt()
            )
            self._strength = root * math.sqrt(self.energy.regularity / self.energy.penalty)

    def _control_grid(self) -> Grid:
        return control_grid(self.grid, min(self.energy.widths))

    @property
    def recomputable_voxels(self) -> int:
        return self.paint.voxel_count if self.paints else 0

    def start(self) -> list[Tensor]:
        a = torch.zeros(self.steps, self.grid.dim, *self.kernel.modes, **self.like)
        return [a, torch.zeros(self.steps, 1, *self.paint.shape, **self.like)] if self.paints else [a]

    def refine(self, variables: Sequence[Tensor], coarse: Any) -> list[Tensor]:
        a = in_time(_more_modes(variables[0], coarse.kernel, self.kernel), self.steps)
        return [a, _resampled(in_time(variables[1], self.steps), coarse.paint, self.paint)] if self.paints else [a]

    def velocities(self, variables: Sequence[Tensor]) -> Tensor:
        return self.kernel.field(variables[0])

    def path(self, variables: Sequence[Tensor], keep_frames: bool = False) -> Path:
        a = variables[0]
        back = (self.kernel.field(a) / -self.steps).split(1)
        frames = [self.source] if keep_frames else []
        for step, added in enumerate(self._added(variables)):
            if keep_frames:
                u = along_axes(self._to_grid, self._traced(back[: step + 1]))
                frames.append(self.carry(self.source, u) + self._whole(added))
        u = self._traced(back)
        measure = self.energy.regularity / self.steps
        speeds = [measure * self.control.voxel_volume * part.square().sum() for part in a]
        paintings = self._paintings(variables[1]) if self.paints else []
        folding = folding_of(u, self.control)
        u = along_axes(self._to_grid, u)
        return Path(u, folding, self._whole(added), self.carry(self.source, u), speeds, paintings, frames)

    def painting(self, a: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """A_1 (1, 1, *shape) and what it costs, as in :class:`Path`, by deforming as a says."""
        *_, added = self._added([a, r])
        return self._whole(added), torch.stack(self._paintings(r)).sum()

    def _added(self, variables: Sequence[Tensor]) -> Iterator[Tensor | None]:
        """A_t on the painted grid after every step, None where nothing is painted."""
        added = torch.zeros(1, 1, *self.paint.shape, **self.like) if self.paints else None
        for step in range(self.steps):
            if added is not None:
                added = self._maybe_checkpointed(self._painted, step, added, *variables)
            yield added

    def _paintings(self, r: Tensor) -> list[Tensor]:
        measure = self.energy.regularity / self.steps * self.grid.voxel_volume
        return [measure * part.square().sum() for part in r]

    def _traced(self, back: Sequence[Tensor]) -> Tensor:
        """u after steps ``back`` = -δ v_t: every point goes the way it came, last step first.

        That is their composition as in the head of this file, but it reads velocities instead of maps: reading a map
        once a step would blur it.
        """
        u = back[-1]
        for step in reversed(back[:-1]):
            u = u + self._carry_control(step, u)
        return u

    def _painted(self, step: int, added: Tensor, a: Tensor, r: Tensor) -> Tensor:
        """A_{t+δ}, on the painted grid."""
        back = self._paint_velocity(a[step : step + 1]) / -self.steps
        strength = self._strength if self.masks is None else self._strength[step]
        return self._carry_paint(added, back) + r[step : step + 1] * (strength / self.steps)

    def _whole(self, added: Tensor | None) -> Tensor:
        """What is painted, on the images' grid."""
        if added is None:
            return torch.zeros_like(self.source)
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

    def velocities(self, variables: Sequence[Tensor]) -> Tensor:
        return self._momentum_velocity(variables[0], self.source)[1]

    def path(self, variables: Sequence[Tensor], keep_frames: bool = False) -> Path:
        z0 = variables[0]
        u = torch.zeros(1, self.grid.dim, *self.grid.shape, **self.like)
        added = torch.zeros_like(z0)
        speeds: list[Tensor] = []
        paintings: list[Tensor] = []
        frames = [self.source] if keep_frames else []
        for step in range(self.steps):
            u, added, speed, painting = self._maybe_checkpointed(self._shoot, step, z0, u, added)
            speeds.append(speed)
            paintings.append(painting)
            if keep_frames:
                frames.append(self.carry(self.source, u) + added)
        return Path(u, folding_of(u, self.grid), added, self.carry(self.source, u), speeds, paintings, frames)

    def _momentum_velocity(self, z: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        momentum = z * gradient(image, self.grid.spacing)
        return momentum, -self.kernel(momentum)

    def _shoot(self, step: int, z0: Tensor, u: Tensor, added: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One step: u, A, and the two energies spent."""
        read = self.carry(torch.cat([self.source, z0], dim=1), u)
        z = read[:, 1:] * jacobian_determinant(u, self.grid.spacing)
        momentum, velocity = self._momentum_velocity(z, read[:, :1] + added)
        measure = self.energy.regularity * self.grid.voxel_volume / self.steps
        speed = -measure * (momentum * velocity).sum()
        back = velocity / -self.steps
        if self.energy.penalty is None:
            return self.carry(u, back) + back, added, speed, torch.zeros_like(speed)
        carried = self.carry(torch.cat([u, added], dim=1), back)
        gamma = self.energy.regularity / self.energy.penalty
        masked = z if self.masks is None else self.masks[step][None] * z
        painted = carried[:, -1:] + gamma * masked / self.steps
        return carried[:, :-1] + back, painted, speed, measure * gamma * (z * masked).sum()


def folding_of(u: Tensor, grid: Grid) -> Tensor:
    """∫ max(0, 0.2 - det(I + Du))² dx of u (1, d, *shape), by the corners of every cell: what keeps a grid from folding
    where tissue is crushed."""
    corners = list(itertools.product((0, 1), repeat=grid.dim))
    crushed = [_LEAST_JACOBIAN - corner_determinant(u, grid.spacing, corner) for corner in corners]
    total = sum((each.clamp(min=0).square().sum() for each in crushed), u.new_zeros(()))
    return total * (grid.voxel_volume / len(corners))


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
    """The grid's box with voxels of 0.75 σ of the narrowest kernel (0.3 in 2D), where K^½ is 1e-2 at the Nyquist
    frequency."""
    coarse = grid.resampled([max(h, _CONTROL[grid.dim] * width) for h in grid.spacing])
    return coarse if coarse.voxel_count < grid.voxel_count else grid


def cubic_upsampling(coarse: Grid, grid: Grid, **like: Any) -> list[Tensor]:
    """Matrices (n, coarse n), one an axis, that take a field on a grid to a finer one of the same box.

    Cubic convolution (Keys 1981), smooth in its first derivative; beyond the box's faces the field is its own negative.
    """
    return [_cubic_axis(old, new).to(**like) for old, new in zip(coarse.shape, grid.shape, strict=True)]


def _cubic_axis(old: int, new: int) -> Tensor:
    x = (torch.arange(new, dtype=torch.float64) + 0.5) * (old / new) - 0.5
    first = x.floor().long() - 1
    matrix = torch.zeros(new, old, dtype=torch.float64)
    rows = torch.arange(new)
    for tap in range(4):
        index = first + tap
        distance = (x - index).abs()
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        weight = torch.where(distance <= 1, near, torch.where(distance < 2, far, 0.0))
        sign = torch.where((index < 0) | (index >= old), -1.0, 1.0).double()
        mirrored = torch.where(index < 0, -1 - index, torch.where(index >= old, 2 * old - 1 - index, index))
        matrix.index_put_((rows, mirrored.clamp(0, old - 1)), sign * weight, accumulate=True)
    return matrix


def _more_modes(a: Tensor, coarse: Kernel, fine: Kernel) -> Tensor:
    """Coordinates of the same fields in the modes of a finer grid of the same box."""
    scale = math.sqrt(fine.grid.voxel_count / coarse.grid.voxel_count)
    shared: Any = tuple(slice(min(old, new)) for old, new in zip(coarse.modes, fine.modes, strict=True))
    more = torch.zeros(*a.shape[:2], *fine.modes, dtype=a.dtype, device=a.device)
    more[(..., *shared)] = scale * a[(..., *shared)]
    return more


def in_time(variable: Tensor, steps: int) -> Tensor:
    """Rates or weights (N, C, *any) of as many steps as asked for, linear in time."""
    if len(variable) == steps:
        return variable
    lines = variable.reshape(1, len(variable), -1).movedim(1, 2)
    return functional.interpolate(lines, size=steps, mode="linear").movedim(2, 1).reshape(steps, *variable.shape[1:])


def _resampled(variable: Tensor, coarse: Grid, grid: Grid) -> Tensor:
    """Fields (N, C, *coarse) on a grid of the same box."""
    if coarse == grid:
        return variable
    return torch.cat([Image(field[None], coarse).resampled(grid).data for field in variable])
