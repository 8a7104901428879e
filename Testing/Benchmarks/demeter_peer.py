"""Weighted metamorphosis by its authors' package, demeter-metamorphosis, in whichever interpreter has it."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from typing import Any

from Benchmarks.workshop import Missing

INTERPRETER = "REGSUITE_DEMETER_PYTHON"


def interpreter() -> str:
    """The Python that has Demeter."""
    given = os.environ.get(INTERPRETER)
    if given is None and importlib.util.find_spec("demeter") is None:
        raise Missing(f"demeter-metamorphosis is not installed: name an interpreter that has it with {INTERPRETER}.")
    return given or sys.executable


def register(images: str, out: str, widths: list[float], steps: int, iterations: int) -> dict[str, Any]:
    """Registers the arrays source, target and mask (j, i) of an npz file; leaves the arrays final and deformation.

    widths: of the kernels in pixels; iterations: of its outer loop, each of as many inner ones.
    """
    os.environ["DEMETER_OPTIM_SAVE_DIR"] = tempfile.gettempdir()
    os.environ["MPLBACKEND"] = "Agg"
    import demeter.metamorphosis as demeter
    import demeter.utils.reproducing_kernels as kernels
    import demeter.utils.torchbox as torchbox
    import numpy as np
    import torch
    from demeter.metamorphosis import constrained

    from Benchmarks.cost import Cost

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with np.load(images) as arrays:
        source, target, mask = (torch.from_numpy(arrays[name])[None, None] for name in ("source", "target", "mask"))
    kernel = kernels.Multi_scale_GaussianRKHS([(width, width) for width in widths], normalized=False)
    count = _counted(constrained.ConstrainedMetamorphosis_Shooting)
    with Cost() as cost:
        # Its residual mask is 1 where nothing is added and, by its authors' choice, one half where something may be.
        result = demeter.weighted_metamorphosis(
            source,
            target,
            0,
            1 - 0.5 * mask.repeat(steps, 1, 1, 1),
            kernelOperator=kernel,
            cost_cst=1e-3,
            n_iter=iterations,
            grad_coef=1.0,
            optimizer_method="LBFGS_torch",
            safe_mode=False,
            dx_convention="pixel",
        )
    deformed = torchbox.imgDeform(source, result.mp.get_deformator(), dx_convention="pixel")
    final = result.mp.image.detach()
    np.savez(out, final=final[0, 0].numpy(), deformation=deformed.detach()[0, 0].numpy())
    return {**cost.figures, "evaluations": count[0]}


def _counted(shooting: Any) -> list[int]:
    """How often its energy is evaluated from now on."""
    count, cost = [0], shooting.cost

    def counting(self: Any, momentum: Any) -> Any:
        count[0] += 1
        return cost(self, momentum)

    shooting.cost = counting
    return count
