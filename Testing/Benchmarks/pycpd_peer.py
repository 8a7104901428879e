"""Coherent point drift by pycpd, in whichever interpreter has it. Where it runs it needs numpy and our clock alone."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import Any

from Benchmarks.workshop import Workshop, peer_python

INTERPRETER = "REGSUITE_PYCPD_PYTHON"


def interpreter() -> str:
    """The Python that has pycpd."""
    return peer_python("pycpd", "pycpd", INTERPRETER)


def moved(workshop: Workshop, clouds: str, beta: float) -> dict[str, Any]:
    """The file of moved points, with what they cost; clouds, beta: as :func:`deformable` takes them."""
    return workshop.run("pycpd_peer:deformable", python=interpreter(), clouds=clouds, beta=beta)


def deformable(clouds: str, beta: float) -> dict[str, Any]:
    """The points y (M, d) of a file taken to x (N, d), both divided by the root mean square radius of x.

    beta: range of the displacement in that unit (pycpd's own default is 2); alpha 2, 60 iterations; the release on
    PyPI has no low rank.
    """
    import numpy as np
    import pycpd

    from Benchmarks.cost import Cost

    with np.load(clouds) as given:
        x, y = given["x"], given["y"]
    with Cost() as cost:
        done = pycpd.DeformableRegistration(X=x, Y=y, alpha=2.0, beta=beta, max_iterations=60, tolerance=1e-5, w=0.0)
        found, _ = done.register()
    file = f"{clouds.removesuffix('.npz')}-pycpd.npy"
    np.save(file, found)
    return {"file": file, "version": importlib.metadata.version("pycpd"), **cost.figures}
