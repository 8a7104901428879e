"""A quick method for tests of what surrounds methods: it moves one centre of mass onto the other, and can misbehave."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regsuite.catalog import Citation, Input, Method, Output, Preset, parameter, registry
from regsuite.progress import Context

if TYPE_CHECKING:
    import numpy as np
    from regsuite.registration import Registration
    from regsuite.spatial import Image

FOLDER = Path(__file__).parent
NAME = "stand-in"
SHIFT = (3.0, -2.0, 1.0)
"""mm; where the moving ball of the tests lies from the fixed one."""
LOGGED = "One centre of mass goes onto the other."
NOTE = "The stand-in moves everything alike & finds no shape < a shift: take a real method for a real result."
"""What a user should know of its result, with what a page or a panel could take for markup."""
SPENT = {"deformation": [0.25, 0.75], "intensity": [0.5, 0.125]}
SHAPE = {"explained_by_shape": 0.834, "explained_by_shape_outside": 0.971}
BEHAVIOURS = ("good", "host-memory", "gpu-memory", "error", "die", "exit", "litter", "child", "deaf")


@dataclasses.dataclass(frozen=True)
class Parameters:
    """How long it works, and how it behaves."""

    seconds: float = parameter(0.0, "Time", "How long it works.", unit="s", minimum=0.0, maximum=600.0)
    behaviour: str = parameter("good", "Behaviour", "What it does half-way.", choices=BEHAVIOURS)
    initial: str = parameter("none", "Initial alignment", "Not used.", choices=("none", "rigid", "affine"))
    factors: tuple[float, ...] = parameter((1.0,), "Factors", "Not used.", minimum=0.0, maximum=2.0)


METHOD = Method(
    name=NAME,
    title="Stand-in",
    summary="Moves one centre of mass onto the other.",
    citation=Citation("Nobody: Nothing. 2020", "10.0/none", "none"),
    inputs=(
        Input("fixed", "image", "Fixed image", "To be matched."),
        Input("moving", "image", "Moving image", "To be moved."),
        Input("mask", "mask", "Lesion mask", "On the fixed grid.", required=False),
        Input("moving_mask", "mask", "Moving mask", "On the moving grid.", required=False, frame="moving"),
        Input("moving_labels", "labels", "Moving labels", "Carried along.", required=False, frame="moving"),
        Input("fixed_labels", "labels", "Fixed labels", "To compare with.", required=False),
    ),
    parameters_type=Parameters,
    outputs=(
        Output("transform", "transform", "Transform", "The shift."),
        Output("mask_on_moving", "labels", "Mask on the moving image", "The lesion mask, moved.", frame="moving"),
        Output("energy", "curve", "Energy", "What is left to do."),
        Output("spending", "curve", "Spending", "What is spent on what, over time."),
    ),
    presets=(
        Preset("plain", "Plain", "At once."),
        Preset("slow", "Slow", "Takes its time.", {"seconds": 30.0}),
    ),
    entry="stand_in_method:run",
)


def register() -> None:
    """Adds the method to the catalog of this process."""
    if METHOD not in registry._METHODS:
        registry._METHODS = (*registry._METHODS, METHOD)


def environment() -> dict[str, str]:
    """Variables with which a new Python process knows the method."""
    return {**os.environ, "PYTHONPATH": str(FOLDER), "OMP_NUM_THREADS": "1"}


def run(inputs: Mapping[str, Any], parameters: Parameters, context: Context) -> Registration:
    """A translation; the preview is the moving image on the fixed grid."""
    from regsuite.registration import Curve, Registration, Table
    from regsuite.transforms import warp_image, warp_labels

    fixed, moving = inputs["fixed"], inputs["moving"]
    energy = Curve(x_title="step", y_title="energy")
    for step, fraction in enumerate(_fractions(parameters.seconds)):
        context.progress.step(fraction, "Moving")
        context.progress.curve("energy", step, total=1 - fraction)
        energy.add(step, total=1 - fraction)
        context.progress.preview(moving.resampled(fixed.grid))
        if fraction >= 0.5:
            _behave(parameters.behaviour, context)
    context.progress.log(LOGGED)
    transform = _shift(centre_of_mass(moving) - centre_of_mass(fixed))
    labels, mask = inputs.get("moving_labels"), inputs.get("mask")
    return Registration(
        transform=transform,
        inverse=transform.inverse(),
        fixed_grid=fixed.grid,
        warped=warp_image(moving, transform, fixed.grid),
        warped_labels=labels and warp_labels(labels, transform, fixed.grid),
        labels={"mask_on_moving": warp_labels(mask, transform.inverse(), moving.grid)} if mask else {},
        images={"jacobian": dataclasses.replace(fixed, data=transform.jacobian_determinant(fixed.grid))},
        sequences={"evolution": [moving.resampled(fixed.grid), warp_image(moving, transform, fixed.grid)]},
        curves={"energy": energy, "spending": Curve([0.0, 1.0], SPENT, "time", "share")},
        tables={"shift": Table("Shift", ["axis", "mm"], [["R", float(transform.matrix[0, -1])]])},
        metrics={"random": _random(), **SHAPE},
        notes=[NOTE],
    )


def centre_of_mass(image: Image) -> np.ndarray:
    """RAS mm (d,)."""
    import torch

    weights = image.data[0, 0].to("cpu", torch.float64)
    points = image.grid.points(torch.float64)
    return ((weights[..., None] * points).flatten(0, -2).sum(dim=0) / weights.sum()).numpy()


def _shift(vector: np.ndarray) -> Any:
    import numpy as np
    from regsuite.transforms import Affine

    matrix = np.eye(len(vector) + 1)
    matrix[:-1, -1] = vector
    return Affine(matrix)


def _random() -> float:
    import torch

    return float(torch.rand(1))


def _fractions(seconds: float) -> Any:
    """0 to 1 over that time."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        yield (time.monotonic() - start) / seconds
        time.sleep(0.005)
    yield 1.0


def _behave(behaviour: str, context: Context) -> None:
    import torch

    if behaviour == "host-memory":
        torch.empty(2**62, dtype=torch.uint8)
    if behaviour == "gpu-memory" and context.device != "cpu":
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")
    if behaviour == "error":
        raise KeyError("lost")
    if behaviour == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "exit":
        sys.stderr.write("cannot go on.\n")
        os._exit(3)
    if behaviour == "litter":
        Path(tempfile.mkstemp()[1]).write_bytes(b"litter")
    if behaviour == "child":
        subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)", "stand-in-child"])
        time.sleep(600)
    if behaviour == "deaf":
        while True:
            pass


def ball(centre: tuple[float, ...]) -> Any:
    """A ball of 3 mm, cut off nowhere, on a grid of 1 x 1.5 x 2 mm around the world's origin."""
    import torch
    from regsuite.spatial import Grid, Image

    grid = Grid(
        (20, 26, 40), (2.0, 1.5, 1.0), (-19.5, -18.75, -19.0), ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    )
    squared = ((grid.points(torch.float64) - torch.tensor(centre)) ** 2).sum(dim=-1)
    return Image((torch.exp(-squared / 18) * 100)[None, None].float(), grid, "ball")
