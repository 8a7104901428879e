"""One registration without a window: image files in; transforms, images, a scene and a report out.

In Slicer, and in plain Python with the slicer-core package, by the same file:

    Slicer --no-splash --no-main-window --python-script run_headless.py -- METHOD --fixed FILE --moving FILE --out DIR
    python run_headless.py METHOD --fixed FILE --moving FILE --out DIR

The arguments and exit codes are those of ``python -m regsuite run``. What is written was a node of the scene before.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regsuite.cli import Run

PROGRAM = "run_headless.py"
SCENE = "scene.mrb"
LEARNED = "checkpoint.safetensors"
ENDINGS = {
    "vtkMRMLTransformNode": ".h5",
    "vtkMRMLSegmentationNode": ".seg.nrrd",
    "vtkMRMLVolumeNode": ".nii.gz",
    "vtkMRMLModelNode": ".vtp",
    "vtkMRMLSequenceNode": ".seq.nrrd",
}


def main(words: Sequence[str]) -> int:
    """Register as the arguments ask; returns the exit code."""
    from regsuite import cli

    try:
        return cli.exit_code(lambda: register(cli.read_run(words, PROGRAM, (__doc__ or "").partition("\n")[0])))
    except SystemExit as stop:  # argparse has printed its help
        return int(stop.code or 0)


def register(asked: Run) -> None:
    """Load the files as nodes, register, and save the new nodes, the whole scene and a report: all of it or nothing.

    Of a training, what was learned, its curves and tables, and a report.
    """
    from regsuite import jobs, results
    from regsuite.cli import say_done
    from regsuite.console import ConsoleProgress
    from regsuite.registration import Registration

    from RegistrationSuiteLib import standalone
    from RegistrationSuiteLib.logic import Request

    _check_torch()
    standalone.boot()
    kinds = {item.role: item.kind for item in asked.method.inputs}
    nodes = {role: load(kinds[role], role, path) for role, path in asked.inputs.items()}
    with results.result_folder(asked.out, asked.overwrite) as folder:
        outputs = {each.name: folder / LEARNED for each in asked.method.outputs if each.kind == "checkpoint"}
        request = Request(asked.method.name, nodes, {}, asked.parameters, asked.seed, asked.device, outputs)
        job = request.job()
        with contextlib.closing(ConsoleProgress()) as progress:
            result = jobs.execute(job, progress)
        if isinstance(result, Registration):
            files = save_nodes(request.add(result), folder)
            with contextlib.closing(ConsoleProgress()) as progress:
                results.write_documents(result, folder, job.inputs, files, progress=progress)
        else:  # a scene has nothing to add to what was learned, or to the files of many sections
            results.write(result, folder, job.inputs)
    say_done(result, asked.out)


def load(kind: str, role: str, path: str | list[str]) -> Any:
    """The node of one input file, a list of nodes where there may be several, the path of a checkpoint or weights.

    A folder is a DICOM series, or one of sections or slices. InputError where a file cannot be read.
    """
    import slicer.util
    from regsuite import io
    from regsuite.errors import InputError

    if kind == "slices":
        return _load_slices([path] if isinstance(path, str) else path)
    if kind == "sections":
        return _load_sections([path] if isinstance(path, str) else path)
    if not isinstance(path, str):
        return [load(kind, role, each) if kind == "labels" else _load_surface(role, each) for each in path]
    if not Path(path).exists():
        raise InputError(f"The {role.replace('_', ' ')} file '{path}' is not there: check its path.")
    if kind in ("checkpoint", "weights"):
        return path
    if kind == "section":
        return _load_section(path)
    if kind == "image" and Path(path).is_dir():
        return _load_series(path)
    if kind in ("image", "labels", "mask"):
        io.check_image_file(path, role.replace("_", " "))  # Slicer tells why it cannot read one in its log alone
    try:
        if kind == "image":
            return slicer.util.loadVolume(path)
        if kind == "points":
            return _load_points(path)
        if kind == "model":
            return slicer.util.loadModel(path)
        return (slicer.util.loadSegmentation if ".seg." in Path(path).name else slicer.util.loadLabelVolume)(path)
    except RuntimeError as error:
        what = {"image": "an image", "points": "points", "model": "a surface"}.get(kind, "labels")
        raise InputError(f"The {role.replace('_', ' ')} file '{path}' cannot be read as {what}.") from error


def _load_surface(role: str, path: str) -> Any:
    """A model, or markups, named like the file."""
    from regsuite.io.surfaces import MESH_ENDINGS, surface_ending, surface_name

    node = load("model" if surface_ending(path) in MESH_ENDINGS else "points", role, path)
    node.SetName(surface_name(path))
    return node


def _load_sections(paths: Sequence[str]) -> list[Any]:
    """A node each, of files and of folders of them."""
    from regsuite import io

    return [_load_section(str(file)) for file in io.sections_in(paths)]


def _load_slices(paths: Sequence[str]) -> list[Any]:
    """A folder of DICOM, or image files, as stacks or slices."""
    from regsuite import io

    from RegistrationSuiteLib import scene

    return scene.nodes_from_slices(io.read_slices(paths))


def _load_section(path: str) -> Any:
    """A picture's file with all its channels, or a volume of one slice."""
    from regsuite import io

    from RegistrationSuiteLib import scene

    image = io.read_section(path)
    if image.data.shape[1] == 1:
        return scene.volume_from_image(image, image.name)
    return scene.vector_volume(image, image.name)


def _load_points(path: str) -> Any:
    """Markups; of tables and lists, which Slicer does not read as such, fiducials."""
    import numpy as np
    import slicer.util
    from regsuite import io

    from RegistrationSuiteLib import scene

    if path.lower().endswith((".json", ".fcsv")):
        return slicer.util.loadMarkups(path)
    axial = scene.Plane(np.eye(3)[:, :2], np.eye(3)[2], offset=0.0, thickness=1.0, axis=0)  # where 2D ones lie
    return scene.markups_from_points(io.read_points(path), Path(path).stem, axial)


def save_nodes(nodes: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Save nodes by name, and the scene they are in; returns the files by name. JobFailed where one is not written."""
    import slicer.util
    from regsuite.errors import JobFailed

    files = {name: name + _ending(node) for name, node in nodes.items() if _ending(node)}
    for name, file in files.items():
        if not slicer.util.saveNode(nodes[name], str(folder / file)):
            raise JobFailed(f"'{file}' cannot be written: is the disk full?")
    if not slicer.util.saveScene(str(folder / SCENE)):
        raise JobFailed(f"'{SCENE}' cannot be written: is the disk full?")
    return {**files, "scene": SCENE}


def _ending(node: Any) -> str:
    """The file name's ending for a node; empty for what lives in a scene only."""
    return next((ending for kind, ending in ENDINGS.items() if node.IsA(kind)), "")


def _load_series(folder: str) -> Any:
    from regsuite import io

    from RegistrationSuiteLib import scene

    return scene.volume_from_image(io.read_image(folder), Path(folder).name)


def _check_torch() -> None:
    """With nobody there to agree to it, nothing is installed."""
    from regsuite.errors import InputError

    from RegistrationSuiteLib import dependencies

    if not _in_slicer():
        dependencies.ensure(PROGRAM)
    elif not dependencies.is_installed("torch"):
        raise InputError(
            "PyTorch is not installed in Slicer: start Slicer and press Apply in a panel of the suite once."
        )


def _find_suite() -> None:
    """As a script, this file's own folder leads ``sys.path``; the folder above it holds the packages."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if not entry or Path(entry).resolve() != here)]


def _in_slicer() -> bool:
    """Whether Slicer Desktop runs this; asked without an import, because none may fail before Slicer is told to end."""
    return hasattr(getattr(sys.modules.get("slicer"), "app", None), "slicerHome")


def _run_script() -> int:
    """Slicer stays open until it is told to end: it is, on every path."""
    code = 1
    try:
        if not _in_slicer():
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # a batch system's end leaves nothing half-made
        _find_suite()
        code = main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:])
    finally:
        if _in_slicer():
            sys.modules["slicer"].util.exit(code)
    return code


if __name__ == "__main__":
    exit_code = _run_script()
    if not _in_slicer():
        sys.exit(exit_code)
