"""ANTs' SyN through antspyx, in whichever interpreter has it. Imports nothing of ours but the clock."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any

from Benchmarks.workshop import Missing

INTERPRETER = "REGSUITE_ANTS_PYTHON"


def interpreter() -> str:
    """The Python that has antspyx."""
    given = os.environ.get(INTERPRETER)
    if given is None and importlib.util.find_spec("ants") is None:
        raise Missing(f"antspyx is not installed: name an interpreter that has it with {INTERPRETER}.")
    return given or sys.executable


def syn(images: dict[str, str], kind: str, masked: bool, out: str) -> dict[str, Any]:
    """Registers; files of the transforms in the order points meet them, and the cost."""
    import ants

    from Benchmarks.cost import Cost

    fixed, moving = ants.image_read(images["fixed"]), ants.image_read(images["moving"])
    options: dict[str, Any] = {}
    if masked:
        options = {"mask": ants.image_read(images["healthy"]), "mask_all_stages": True}
    with Cost() as cost:
        done = ants.registration(fixed, moving, type_of_transform=kind, outprefix=out, **options)
    return {"transforms": done["fwdtransforms"], "version": ants.__version__, **cost.figures}
