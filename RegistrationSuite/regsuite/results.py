"""A registration as files in a folder: all of them, or none."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regsuite import io
from regsuite.errors import InputError, JobFailed
from regsuite.learning.checkpoint import ENDING, write_checkpoint
from regsuite.registration import Curve, Registration, Result, Series, Table, Training
from regsuite.section_files import write_section_files, write_series_file

if TYPE_CHECKING:
    from regsuite.pictures import Picture
    from regsuite.progress import Progress

REPORT = "report.json"


@contextmanager
def result_folder(folder: Path | str, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write into; what it holds at the end is moved to ``folder`` in one step, on an error nothing is.

    InputError, before anything is written, where ``folder`` cannot be written or is not empty. With ``overwrite`` the
    results of an earlier run give way to the new ones, and files that are not results stay.
    """
    target = Path(folder).absolute()
    _check_target(target, overwrite)
    with _draft_beside(target) as draft:
        results = draft / (target.name or "results")
        results.mkdir()
        yield results
        try:
            _move_in(results, target)
        except OSError as error:
            raise JobFailed(f"The results cannot be moved to '{target}' ({error.strerror}): choose another.") from error


def write(result: Result, folder: Path, inputs: Mapping[str, Any], progress: Progress | None = None) -> dict[str, str]:
    """Write everything a registration, see :func:`write_registration`, or a training gave; returns each file or folder
    by the result's name, as in the report.

    progress: is told of what takes long; what it raises ends the writing.
    """
    if isinstance(result, Training):
        return _write_training(result, folder)
    if isinstance(result, Series):
        return _write_series(result, folder, inputs)
    assert isinstance(result, Registration)
    return write_registration(result, folder, inputs, progress)


def _write_training(training: Training, folder: Path) -> dict[str, str]:
    """checkpoint.safetensors, curves and tables as .csv, and report.json. InputError where a file cannot be written."""
    write_checkpoint(folder / f"checkpoint{ENDING}", training.checkpoint)
    files = {"checkpoint": f"checkpoint{ENDING}", **_write_tables(training, folder)}
    write_report(training, folder, files)
    return files


def _write_series(series: Series, folder: Path, inputs: Mapping[str, Any]) -> dict[str, str]:
    """A folder for each registration, named like what was registered, and tables, curves, report.json and, of sections,
    anchoring.json of all."""
    files = {}
    for section in inputs["sections"].parts:
        part = series.parts[section.name]
        place = folder / _file_name(section.name)
        place.mkdir()
        part.record = {**series.record, **part.record, "inputs": _inputs_of(series, section.name)}
        write_registration(part, place, {**inputs, "fixed": section})
        files[section.name] = place.name
    files |= {**_write_tables(series, folder), **write_series_file(series, folder, inputs)}
    write_report(series, folder, files)
    return files


def _inputs_of(series: Series, name: str) -> dict[str, Any]:
    """What the record says of the inputs, with one section in place of all."""
    given = dict(series.record.get("inputs", {}))
    sections = given.pop("sections", {}).get("sections", {})
    return {"fixed": sections.get(name, {}), **given}


def _file_name(name: str) -> str:
    """A name that comes from a file, or from a user, as one of a folder."""
    return "".join(c if c.isalnum() or c in "-_. " else "_" for c in name).strip(". ") or "section"


def write_registration(
    registration: Registration, folder: Path, inputs: Mapping[str, Any], progress: Progress | None = None
) -> dict[str, str]:
    """Write everything into an existing folder; returns each file or folder by the result's name, as in the report.

    transform.h5 and inverse.h5 (ITK), images as .nii.gz, labels with their names as .seg.nrrd, surfaces as .vtp,
    sequences as folders of frames, curves and tables as .csv, report.json with record, metrics, notes and tables, and,
    where matplotlib is installed, report.html with pictures of the result and of the ``inputs`` (by role); of a section
    found in an atlas what :mod:`regsuite.section_files` adds. InputError where a file cannot be written.
    """
    files: dict[str, str] = {}

    def put(name: str, ending: str, writer: Callable[[Path, Any], None], value: Any) -> None:
        if value is not None:
            writer(folder / (name + ending), value)
            files[name] = name + ending

    put("transform", ".h5", io.write_transform, registration.transform)
    put("inverse", ".h5", io.write_transform, registration.inverse)
    put("warped", ".nii.gz", io.write_image, registration.warped)
    put("warped_labels", ".seg.nrrd", io.write_labels, registration.warped_labels)
    for name, labels in registration.labels.items():
        put(name, ".seg.nrrd", io.write_labels, labels)
    for name, image in registration.images.items():
        put(name, ".nii.gz", io.write_image, image)
    for name, surface in registration.surfaces.items():
        put(name, ".vtp", io.write_surface, surface)
    for name, frames in registration.sequences.items():
        put(name, "", _write_frames, frames)
    return write_documents(registration, folder, inputs, files, progress=progress)


def write_documents(
    registration: Registration,
    folder: Path,
    inputs: Mapping[str, Any],
    files: Mapping[str, str],
    pictures: Sequence[Picture] = (),
    progress: Progress | None = None,
) -> dict[str, str]:
    """What :func:`write` writes beside transforms and images; returns it added to ``files``, which are those.

    pictures: further ones for report.html.
    """
    found = {**files, **_write_tables(registration, folder)}
    found |= write_section_files(registration, folder, inputs, progress)
    found |= _write_page(registration, folder, inputs, pictures)
    write_report(registration, folder, found)
    return found


def _write_tables(result: Result, folder: Path) -> dict[str, str]:
    """Curves and tables as .csv."""
    rows = {name: _curve_rows(curve) for name, curve in result.curves.items()}
    rows |= {name: [table.columns, *table.rows] for name, table in result.tables.items()}
    for name, lines in rows.items():
        _write_rows(folder / f"{name}.csv", lines)
    return {name: f"{name}.csv" for name in rows}


def _write_page(
    registration: Registration, folder: Path, inputs: Mapping[str, Any], pictures: Sequence[Picture]
) -> dict[str, str]:
    """report.html and its pictures, as in the report; nothing where matplotlib is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        return {}

    from regsuite import report  # it needs matplotlib

    page = report.write_report(
        registration,
        inputs.get("fixed"),
        inputs.get("moving"),
        folder,
        mask=inputs.get("mask"),
        fixed_labels=registration.labels.get("segmented_volume", inputs.get("fixed_labels")),
        moving_labels=inputs.get("moving_labels"),
        slice_labels=registration.labels.get("segmented_slices", inputs.get("slice_labels")),
        pictures=pictures,
    )
    return {"report": page.name, "pictures": "pictures"}


def write_report(result: Result, folder: Path, files: Mapping[str, str]) -> None:
    """report.json: how the result was made, what was measured, what to know of it, and which files it came to."""
    record = result.record
    measured = {key: record[key] for key in ("seconds", "peak_memory_mb", "device") if key in record}
    report = dict(record)
    report |= {"metrics": result.metrics | measured, "notes": result.notes}
    report |= {"tables": result.tables, "files": files}
    (folder / REPORT).write_text(as_json(report) + "\n", encoding="utf-8")


def as_json(value: Any) -> str:
    """JSON of numbers, texts, lists, mappings and tables; null for numbers that JSON does not have."""
    return json.dumps(_plain(value), indent=2, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Table):
        return _plain(vars(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_frames(folder: Path, frames: Sequence[Any]) -> None:
    folder.mkdir()
    for number, frame in enumerate(frames):
        io.write_image(folder / f"{number:03}.nii.gz", frame)


def _write_rows(file: Path, rows: Sequence[Sequence[Any]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


def _curve_rows(curve: Curve) -> list[list[Any]]:
    columns = zip(curve.x, *curve.values.values(), strict=True)
    return [[curve.x_title or "x", *curve.values], *(list(row) for row in columns)]


def _check_target(target: Path, overwrite: bool) -> None:
    if target.exists() and not target.is_dir():
        raise InputError(f"The output '{target}' is a file: name a folder.")
    if not overwrite and target.is_dir() and any(target.iterdir()):
        raise InputError(f"The output folder '{target}' is not empty: name another, or overwrite it (--overwrite).")


@contextmanager
def _draft_beside(target: Path) -> Iterator[Path]:
    """A temporary folder on the target's disk: in it where it exists, else beside it. Folders made on the way go too
    unless something was put into them."""
    home = target if target.is_dir() else target.parent
    made = [folder for folder in (home, *home.parents) if not folder.exists()]
    draft = None
    try:
        try:
            home.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=".regsuite-", dir=home))
        except OSError as error:
            sentence = f"The output folder '{target}' cannot be written ({error.strerror}): name another."
            raise InputError(sentence) from error
        yield draft
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
        with contextlib.suppress(OSError):  # one that is not empty stays, and those above it
            for folder in made:
                folder.rmdir()


def _move_in(results: Path, target: Path) -> None:
    if not target.exists():
        results.rename(target)
        return
    earlier = results.with_name(results.name + "-earlier")
    earlier.mkdir()
    new = [item.name for item in results.iterdir()]
    try:
        for name in {*_earlier_files(target), *new}:
            if (target / name).exists():
                (target / name).rename(earlier / name)
    except OSError:
        _move_all(earlier, target)
        raise
    _move_all(results, target)


def _move_all(source: Path, target: Path) -> None:
    for item in source.iterdir():
        item.rename(target / item.name)


def _earlier_files(target: Path) -> list[str]:
    """What an earlier run's report says it wrote, by names that lie in the folder itself."""
    try:
        names = list(json.loads((target / REPORT).read_text(encoding="utf-8"))["files"].values())
    except (OSError, ValueError, KeyError, AttributeError):
        return []
    return [name for name in names if isinstance(name, str) and Path(name).name == name != ".."]
