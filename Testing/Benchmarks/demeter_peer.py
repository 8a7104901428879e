"""Weighted metamorphosis by its authors' package, demeter-metamorphosis, in whichever interpreter has it."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from Benchmarks.workshop import peer_python

INTERPRETER = "REGSUITE_DEMETER_PYTHON"
_RESIDUAL = 0.5
"""R inside the lesion, by its authors' choice."""


def interpreter() -> str:
    """The Python that has Demeter."""
    return peer_python("demeter-metamorphosis", "demeter", INTERPRETER)


def register(
    images: str, out: str, widths: list[float], amplitude: float, price: float, steps: int, iterations: int
) -> dict[str, Any]:
    """Registers the arrays source, target and mask (j, i) of an npz file.

    widths: of the kernels in pixels, of equal height; amplitude: the integral of their sum; price: λ_D; iterations: of
    its outer loop, each of as many inner ones. Leaves its final image, its velocities in pixels (steps, j, i, 2), what
    it paints per unit of time (steps, j, i) and λ_D times its energy, in an npz file.
    """
    os.environ["DEMETER_OPTIM_SAVE_DIR"] = tempfile.gettempdir()
    os.environ["MPLBACKEND"] = "Agg"
    import demeter.metamorphosis as demeter
    import demeter.utils.reproducing_kernels as kernels
    import numpy as np
    import torch
    from demeter.metamorphosis import constrained

    from Benchmarks.cost import Cost

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with np.load(images) as arrays:
        source, target, mask = (torch.from_numpy(arrays[name])[None, None] for name in ("source", "target", "mask"))
    kernel = kernels.Multi_scale_GaussianRKHS([(width, width) for width in widths], normalized=False)
    kernel.kernel = amplitude / kernel.kernel.sum() * kernel.kernel

    def registered(part: Any, iterations: int) -> Any:
        return demeter.weighted_metamorphosis(
            source[part].contiguous(),
            target[part].contiguous(),
            0,
            1 - _RESIDUAL * mask[part].repeat(steps, 1, 1, 1),  # its residual mask is 1 - R
            kernelOperator=kernel,
            cost_cst=price,
            n_iter=iterations,
            grad_coef=1.0,
            optimizer_method="LBFGS_torch",
            safe_mode=False,
            dx_convention="pixel",
        )

    registered((..., slice(96), slice(96)), 2)  # once, in small: no first use of a library is measured
    count = _counted(constrained.ConstrainedMetamorphosis_Shooting)
    with Cost() as cost:
        result = registered((...,), iterations)
    path = result.mp
    np.savez(
        out,
        final=path.image.detach()[0, 0].numpy(),
        velocity=path.field_stock.numpy(),
        painted=path.residuals_stock[:, 0].numpy(),
        energy=price * _energy(result, source, 1 - _RESIDUAL * mask),
    )
    return {**cost.figures, "evaluations": count[0]}


def _energy(result: Any, source: Any, kept: Any) -> float:
    """<m, K m> + <p, (1 - kept) p> with m = √kept p ∇I, as a mean over the steps, of the images they start from."""
    from demeter.utils.torchbox import spatialGradient

    path, total = result.mp, 0.0
    momenta = [result.to_analyse[0], *path.momentum_stock[:-1, None]]
    images = [source, *path.image_stock[:-1, None]]
    for momentum, image in zip(momenta, images, strict=True):
        m = ((kept.sqrt() * momentum).unsqueeze(2) * spatialGradient(image, dx_convention="pixel")).sum(dim=1)
        total += float((m * path.kernelOperator(m)).sum() + ((1 - kept) * momentum.square()).sum())
    return total / len(images)


def _counted(shooting: Any) -> list[int]:
    """How often its energy is evaluated from now on."""
    count, cost = [0], shooting.cost

    def counting(self: Any, momentum: Any) -> Any:
        count[0] += 1
        return cost(self, momentum)

    shooting.cost = counting
    return count
