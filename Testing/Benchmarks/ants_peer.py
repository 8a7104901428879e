"""ANTs' SyN through antspyx, in whichever interpreter has it. Where it runs it needs nothing of ours but the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from Benchmarks.workshop import Workshop, peer_python

INTERPRETER = "REGSUITE_ANTS_PYTHON"


def interpreter() -> str:
    """The Python that has antspyx."""
    return peer_python("antspyx", "ants", INTERPRETER)


def measured(workshop: Workshop, case: str, kind: str, masked: bool, shown: str = "") -> dict[str, Any]:
    """A kept case registered by ANTs and judged like ours; Missing where there is no antspyx."""
    python, folder = interpreter(), f"{Path(case).with_suffix('')}-ants"
    images = workshop.run("cases:for_ants", case=case, folder=folder)
    out = f"{folder}/{kind}-{masked}-"
    done = workshop.run("ants_peer:syn", python=python, images=images, kind=kind, masked=masked, out=out)
    return {**workshop.run("judging:read", case=case, transforms=done["transforms"], shown=shown), **done}


def syn(images: dict[str, str], kind: str, masked: bool, out: str) -> dict[str, Any]:
    """Registers; files of the transforms in the order points meet them, and the cost.

    ANTs finds its own affine transform first; masked: what is in the masks ``healthy`` and ``healthy_moving`` counts.
    """
    import ants

    from Benchmarks.cost import Cost

    fixed, moving = ants.image_read(images["fixed"]), ants.image_read(images["moving"])
    options: dict[str, Any] = {}
    if masked:
        masks = {"mask": "healthy", "moving_mask": "healthy_moving"}
        options = {name: ants.image_read(images[file]) for name, file in masks.items() if file in images}
        options["mask_all_stages"] = True
    with Cost() as cost:
        done = ants.registration(fixed, moving, type_of_transform=kind, outprefix=out, **options)
    return {"transforms": done["fwdtransforms"], "version": ants.__version__, **cost.figures}
