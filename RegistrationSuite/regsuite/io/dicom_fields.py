"""Fields of DICOM files, read with care: pydicom takes a value apart when it is first asked for."""

from __future__ import annotations

import importlib
import logging
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regsuite.errors import InputError

_DAMAGES = (
    *(ValueError, RuntimeError, OSError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(struct.error, zlib.error),
)
"""What pydicom and its decoders raise where a file is damaged, beside exceptions of its own."""

# What pydicom remarks on odd files goes to the application's log, where there is one, and not to the terminal.
logging.getLogger("pydicom").addHandler(logging.NullHandler())


class Fields:
    """What a file says, from the nearest of several places on; each answer is InputError where the file is damaged."""

    def __init__(self, file: Path, sources: Sequence[Any]) -> None:
        """sources: pydicom's data sets, the nearest first and the whole file, or item, last."""
        self.file, self._sources = file, sources

    def value(self, field: str, sequence: str = "") -> Any:
        """Of a field in the first item of a sequence, else at the top; None where it is missing or empty."""
        try:
            groups = [source.get(sequence) for source in self._sources] if sequence else []
            found = [group[0].get(field) for group in groups if group] + [self._sources[-1].get(field)]
            return next((each for each in found if each is not None and np.size(each)), None)
        except damages():
            raise cut_short(self.file) from None

    def items(self, sequence: str) -> list[Fields]:
        """Of a sequence in the nearest place that has it."""
        try:
            found = (source.get(sequence) for source in self._sources)
            return [Fields(self.file, [each]) for each in next((items for items in found if items), ())]
        except damages():
            raise cut_short(self.file) from None

    def text(self, field: str, sequence: str = "") -> str:
        """'' where it is missing."""
        found = self.value(field, sequence)
        return "" if found is None else str(found).strip()

    def number(self, field: str, sequence: str = "") -> float | None:
        """None where it is missing or not finite."""
        numbers = self.numbers(1, field, sequence)
        return None if numbers is None else float(numbers[0])

    def numbers(self, count: int, field: str, sequence: str = "") -> np.ndarray | None:
        """(count,) float64; None where they are missing, not so many, or not finite."""
        values = self.all_numbers(field, sequence)
        return values if len(values) == count and bool(np.isfinite(values).all()) else None

    def all_numbers(self, field: str, sequence: str = "") -> np.ndarray:
        """(N,) float64, none where they are missing."""
        found = self.value(field, sequence)
        try:
            return np.atleast_1d(np.asarray([] if found is None else found, dtype=np.float64)).ravel()
        except damages():
            raise cut_short(self.file) from None


def damages() -> tuple[type[Exception], ...]:
    """What reading raises where a file is damaged; InputError is one of these."""
    own = importlib.import_module("pydicom.errors")
    return (*_DAMAGES, own.InvalidDicomError, own.BytesLengthException)


def cut_short(file: Path) -> InputError:
    """For a file that cannot be read to its end."""
    return InputError(f"The DICOM file '{file}' is cut short or damaged: copy it from the scanner again.")
