"""What every reader and writer asks of a path."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

from regsuite.errors import InputError


def existing(path: Path | str, what: str) -> Path:
    """The path; InputError where nothing is there."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"The {what} '{path}' does not exist: check its path.")
    return path


def existing_file(path: Path | str, what: str) -> Path:
    """The path; InputError where it is no file."""
    path = existing(path, what)
    if path.is_dir():
        raise InputError(f"The {what} '{path}' is a folder: give a file in it.")
    return path


def ending(path: Path | str, known: Sequence[str], what: str) -> str:
    """Which of the ``known`` endings the path has, the longest that fits; InputError names them all."""
    name = Path(path).name.lower()
    fitting = [one for one in known if name.endswith(one)]
    if not fitting:
        raise InputError(f"'{path}' has no ending that can hold {what}: use one of {', '.join(known)}.")
    return max(fitting, key=len)


def nifti_twin(path: Path | str) -> Path | None:
    """x.nii for x.nii.gz and the other way, where that file exists beside it."""
    name = str(path)
    lower = name.lower()
    if lower.endswith(".nii.gz"):
        twin = Path(name[:-3])
    elif lower.endswith(".nii"):
        twin = Path(name + ".gz")
    else:
        return None
    return twin if twin.exists() else None


def refuse_twin(path: Path | str) -> None:
    """InputError where x.nii and x.nii.gz would lie side by side: ITK then reads the pixels of the wrong one."""
    twin = nifti_twin(path)
    if twin is not None:
        raise InputError(
            f"'{path}' and '{twin.name}' in one folder are confused by ITK, which takes the pixels of one for those of "
            "the other: move or rename one of them."
        )


def parsed_xml(text: str, name: Path | str) -> ElementTree.Element:
    """The root of an XML text in the file ``name``; InputError where it is malformed or defines entities."""
    if "<!DOCTYPE" in text.upper():
        raise InputError(f"The XML in '{name}' defines a document type, which is not safe to read: remove its DOCTYPE.")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        raise InputError(f"The XML in '{name}' cannot be read: check that it is complete.") from None


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A path to write to; what lies there at the end takes the place of ``path`` in one step, or InputError."""
    target = Path(path)
    if not target.parent.is_dir():
        raise InputError(f"'{target}' cannot be written because the folder '{target.parent}' does not exist.")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".writing-") as folder:
            draft = Path(folder) / target.name
            yield draft
            os.replace(draft, target)
    except OSError as error:
        raise InputError(f"'{target}' cannot be written ({error.strerror}): choose another folder.") from error
    except RuntimeError as error:  # SimpleITK's own
        raise InputError(f"'{target}' cannot be written: check that there is room in its folder.") from error
