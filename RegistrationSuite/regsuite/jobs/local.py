"""A job run in this process: inputs loaded and checked, device chosen, seeds set, the result's record completed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import regsuite
from regsuite import catalog, memory
from regsuite.catalog import Input, Method
from regsuite.errors import InputError
from regsuite.jobs import device as devices
from regsuite.jobs.failures import plain_failures
from regsuite.jobs.job import Job
from regsuite.progress import Context, Part, Progress

if TYPE_CHECKING:
    from regsuite.registration import Registration, Result, Series, Training


def run(job: Job, progress: Progress | None = None) -> Registration:
    """Register, as ``job`` says; see :func:`execute`. InputError where its method registers nothing."""
    return _of_kind(job, "registration", progress)


def run_series(job: Job, progress: Progress | None = None) -> Series:
    """Register several, as ``job`` says; see :func:`execute`. InputError where its method registers no series."""
    return _of_kind(job, "series", progress)


def train(job: Job, progress: Progress | None = None) -> Training:
    """Train, as ``job`` says; see :func:`execute`. InputError where its method learns nothing."""
    return _of_kind(job, "checkpoint", progress)


def _of_kind(job: Job, kind: str, progress: Progress | None) -> Any:
    method = catalog.method(job.method)
    if method.gives != kind:
        raise InputError(f"{method.title} gives a {method.gives} and no {kind}: choose another method.")
    return execute(job, progress)


def execute(job: Job, progress: Progress | None = None) -> Result:
    """Do what ``job`` says, here and now.

    Raises InputError (unknown method or value, unusable input, absent device), JobFailed (out of memory, a missing
    package) and whatever ``progress`` raises to end the run.
    """
    method = catalog.method(job.method)
    parameters = method.check_values(job.parameters)
    with plain_failures():
        return _run(job, method, parameters, progress or Progress())


def _run(job: Job, method: Method, parameters: Any, progress: Progress) -> Result:
    from regsuite.checks import check_inputs, check_roles

    check_roles(method, job.inputs)
    device = devices.choose(job.device)
    memory.reset_peak()
    devices.reset_peak(device)
    started, clock = datetime.now(timezone.utc), time.perf_counter()
    progress.step(0.0, "Reading the images")
    inputs = read_inputs(job)
    check_inputs(method, inputs, parameters)
    noted = _Noted(progress)
    result, used = _on_device(method, inputs, parameters, Context(noted, device, job.seed))
    result = _on_cpu(result)
    result.record = {
        **result.record,
        "method": method.name,
        "title": method.title,
        "citation": asdict(method.citation),
        "parameters": asdict(parameters),
        "seed": job.seed,
        "inputs": {role: _geometry(value, job.inputs[role]) for role, value in inputs.items()},
        "device_asked": job.device,
        "device": devices.name(used),
        "started": started.isoformat(timespec="seconds"),
        "seconds": time.perf_counter() - clock,
        **devices.peaks(used),
        "log": noted.lines,
        "versions": _versions(),
    }
    return result


class _Noted(Part):
    """Keeps what is logged for the record while passing everything on."""

    def __init__(self, whole: Progress) -> None:
        super().__init__(whole, 0.0, 1.0)
        self.lines: list[str] = []

    def log(self, text: str) -> None:
        self.lines.append(text)
        super().log(text)


def read_inputs(job: Job) -> dict[str, Any]:
    """The job's inputs in the order its method declares them, files read; InputError where one cannot be."""
    given = [item for item in catalog.method(job.method).inputs if item.role in job.inputs]
    return {item.role: _read(item, job.inputs[item.role]) for item in given}


def _read(item: Input, value: Any) -> Any:
    paths = [value] if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(paths, (list, tuple)):
        return value
    files = [os.fspath(path) for path in paths]
    if item.by_slice:
        return _of_io("read_slice_labels")()(files)
    if item.several:
        return _READERS[item.kind]()(files)
    if len(files) != 1:
        raise InputError(f"The input '{item.title}' takes one file, and {len(files)} were given: give one of them.")
    return _READERS[item.kind]()(files[0])


def _of_io(name: str) -> Callable[[], Callable[[Any], Any]]:
    """A reader of ``regsuite.io``, which imports torch, found when it is needed."""

    def reader() -> Callable[[Any], Any]:
        from regsuite import io

        return getattr(io, name)

    return reader


def _of_checkpoints() -> Callable[[Any], Any]:
    from regsuite.learning.checkpoint import read_checkpoint

    return read_checkpoint


def _of_weights() -> Callable[[Any], Any]:
    from regsuite.learning.weights import read_weights

    return read_weights


_READERS: dict[str, Callable[[], Callable[[Any], Any]]] = {
    "image": _of_io("read_image"),
    "section": _of_io("read_section"),
    "sections": _of_io("read_sections"),
    "slices": _of_io("read_slices"),
    "surfaces": _of_io("read_surfaces"),
    "points": _of_io("read_points"),
    "labels": _of_io("read_labels"),
    "mask": _of_io("read_labels"),
    "checkpoint": _of_checkpoints,
    "weights": _of_weights,
}


def _on_device(method: Method, inputs: Mapping[str, Any], parameters: Any, context: Context) -> tuple[Result, str]:
    """The result and the device it was made on: the CPU where the GPU's memory is too small."""
    import torch

    function = method.load()
    try:
        with _seeded(context):
            return function(inputs, parameters, context), context.device
    except torch.cuda.OutOfMemoryError:
        context.progress.log("The GPU's memory is too small for this run: it starts again on the CPU.")
    devices.release()
    on_cpu = replace(context, device="cpu")
    with _seeded(on_cpu):
        return function(inputs, parameters, on_cpu), "cpu"


def _on_cpu(result: Result) -> Result:
    """The result where every reader can use it."""
    from regsuite.registration import Registration, Series, Training

    if isinstance(result, Training):
        weights = {name: value.cpu() for name, value in result.checkpoint.weights.items()}
        return replace(result, checkpoint=replace(result.checkpoint, weights=weights))
    if isinstance(result, Series):
        parts = {name: _registration_on_cpu(part) for name, part in result.parts.items()}
        return replace(result, parts=parts)
    assert isinstance(result, Registration)
    return _registration_on_cpu(result)


def _registration_on_cpu(registration: Registration) -> Registration:

    def moved(image: Any) -> Any:
        return image and replace(image, data=image.data.cpu())

    return replace(
        registration,
        transform=registration.transform.to("cpu"),
        inverse=registration.inverse.to("cpu"),
        warped=moved(registration.warped),
        warped_labels=moved(registration.warped_labels),
        labels={name: moved(labels) for name, labels in registration.labels.items()},
        images={name: moved(image) for name, image in registration.images.items()},
        sequences={name: [moved(frame) for frame in frames] for name, frames in registration.sequences.items()},
    )


@contextmanager
def _seeded(context: Context) -> Iterator[None]:
    """Random numbers that follow from the seed, whichever library draws them; the caller's own go on undisturbed."""
    import numpy as np
    import torch

    # SciPy and scikit-learn draw from NumPy's global generator, which ruff would have us avoid (NPY002).
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    gpus = [context.device] if context.device.startswith("cuda") else []
    with torch.random.fork_rng(gpus):
        random.seed(context.seed)
        np.random.seed(context.seed)  # noqa: NPY002
        torch.manual_seed(context.seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


def _geometry(value: Any, given: Any) -> dict[str, Any]:
    """What the record says of an input: where it came from and where it lies."""
    if hasattr(value, "card"):
        return {"card": value.card, **({"path": os.fspath(given)} if isinstance(given, (str, os.PathLike)) else {})}
    if hasattr(value, "numbers"):
        files = _files(given)
        return {"sections": {part.name: {**files.get(part.name, {}), **asdict(part.grid)} for part in value.parts}}
    if hasattr(value, "maps"):
        return {**_paths(given), **_slices(value)}
    if hasattr(value, "parts"):
        return {"surfaces": {part.name: len(part.points) for part in value.parts}}
    source = _paths(given)
    grid = getattr(value, "grid", None)
    if grid is None:
        return {**source, "points": len(value.array())}
    return {**source, "name": getattr(value, "name", ""), **asdict(grid)}


def _slices(given: Any) -> dict[str, Any]:
    """Of a slice set."""
    return {
        "maps": {name: given.units[name] for name in given.maps},
        "quantities": sorted(given.quantities),
        "thickness": given.thickness,
        "distinct": given.distinct,
        "slices": [asdict(grid) for grid in given.grids],
    }


def _paths(given: Any) -> dict[str, Any]:
    """Of one file or folder, or of several."""
    if isinstance(given, (str, os.PathLike)):
        return {"path": os.fspath(given)}
    return {"path": ", ".join(map(os.fspath, given))} if isinstance(given, (list, tuple)) else {}


def _files(given: Any) -> dict[str, dict[str, str]]:
    """The paths of sections by their names, where files or folders were given and are there still."""
    from regsuite import io

    paths = [given] if isinstance(given, (str, os.PathLike)) else given
    if not isinstance(paths, (list, tuple)):
        return {}
    try:
        return {io.section_name(file): {"path": os.fspath(file)} for file in io.sections_in(paths)}
    except InputError:
        return {}


def _versions() -> dict[str, str]:
    packages = {name: importlib.metadata.version(name) for name in ("torch", "numpy", "scipy", "SimpleITK")}
    return {"regsuite": regsuite.__version__, "python": platform.python_version(), **packages}
