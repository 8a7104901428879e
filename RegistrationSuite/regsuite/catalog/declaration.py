"""The words a method is declared in."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from regsuite.catalog.cells import cells_of
from regsuite.errors import InputError

InputKind = Literal[
    "image", "section", "sections", "slices", "mask", "labels", "points", "surfaces", "checkpoint", "weights"
]
OutputKind = Literal["transform", "image", "labels", "sequence", "curve", "table", "surface", "checkpoint"]
Gives = Literal["registration", "series", "checkpoint"]
ParameterType = Literal["float", "int", "bool", "choice", "floats", "table"]
Matrix = Literal["", "coherence", "transition"]
Frame = Literal["fixed", "moving", "slices"]
"""The role of the image on whose grid a mask or labels lie; of slices, a stack in their order."""


AUTOMATIC = "automatic"
"""How a value that the method chooses is shown and may be given."""


@dataclass(frozen=True)
class Citation:
    """Where a method was published; ``paper`` is its short key."""

    text: str
    doi: str
    paper: str


@dataclass(frozen=True)
class Input:
    """What a method takes, by the role it plays; ``frame`` says where a mask or labels lie."""

    role: str
    kind: InputKind
    title: str
    help: str
    required: bool = True
    frame: Frame = "fixed"

    @property
    def is_file(self) -> bool:
        """Whether it is given by the path of a file, and by no node of a scene."""
        return self.kind in ("checkpoint", "weights")

    @property
    def several(self) -> bool:
        """Whether several files or nodes may be given for it."""
        return self.kind in ("surfaces", "sections", "slices")

    @property
    def by_slice(self) -> bool:
        """Whether it is a stack of slices, or in place of that one file or node for each of them."""
        return self.frame == "slices"


@dataclass(frozen=True)
class Output:
    """What a method gives, by the name it has in a Registration; ``frame`` says where labels or surfaces lie."""

    name: str
    kind: OutputKind
    title: str
    help: str
    frame: Frame = "fixed"


@dataclass(frozen=True)
class Preset:
    """Parameter values that suit a common case."""

    name: str
    title: str
    help: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Parameter:
    """One parameter as a user meets it: meaning, unit and range.

    automatic: 0, which is then the smallest value, lets the method choose one; texts may say "automatic" for it.
    columns: of a table with a row an organ, the parameters it may give organs of their own. matrix: of a table whose
    columns are the organs again, whether its numbers hold both ways with 1 for an organ with itself (coherence), or
    those of a row sum to 1 (transition).
    """

    name: str
    type: ParameterType
    default: Any
    title: str
    help: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    advanced: bool = False
    automatic: bool = False
    columns: tuple[Parameter, ...] = ()
    matrix: Matrix = ""

    def is_automatic(self, value: Any) -> bool:
        """Whether a value in this parameter's type leaves the choice to the method."""
        return self.automatic and value in (0, (0,))

    def check(self, value: Any) -> Any:
        """The value in this parameter's type; a text is read as the command line gives it, an empty one as automatic.

        Raises InputError where it is of another type or out of range.
        """
        if self.automatic and isinstance(value, str) and value.strip().lower() in ("", AUTOMATIC):
            value = 0
        try:
            converted = _CONVERT[self.type](value)
        except (TypeError, ValueError, OverflowError):
            raise InputError(
                f"Parameter '{self.name}' takes {self.wants()}, not {value!r}: {self._advice()}."
            ) from None
        if self.type == "choice" and converted not in self.choices:
            raise InputError(f"Parameter '{self.name}' takes {self.wants()}, not {value!r}: choose one of them.")
        if self.columns:
            return self._checked_by_column(converted)
        numbers = {"floats": converted, "float": (converted,), "int": (converted,)}.get(self.type, ())
        if self.type == "table":
            numbers = [number for _, _, number in converted]
        if any(not self._inside(number) for number in numbers):
            raise InputError(f"Parameter '{self.name}' is {value}, outside its range: {self._advice()}.")
        return converted

    def _checked_by_column(self, cells: Any) -> Any:
        known = {column.name: column for column in self.columns}
        for row, column, number in cells:
            if column not in known:
                names = ", ".join(known)
                raise InputError(f"Parameter '{self.name}' has no '{column}' for {row}: choose one of {names}.")
            try:
                known[column].check(number)
            except InputError as error:
                raise InputError(f"In parameter '{self.name}', for {row}: {error}") from None
        return cells

    def _inside(self, number: float) -> bool:
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        return math.isfinite(number) and low <= number <= high

    def wants(self) -> str:
        """What it takes, in words."""
        names = {"float": "a number", "int": "a whole number", "bool": "true or false", "floats": "numbers"}
        names["table"] = 'a table such as {"Liver": {' + self._cell() + "}}"
        return names.get(self.type) or "one of " + ", ".join(self.choices)

    def _cell(self) -> str:
        return f'"{self.columns[0].name}": {self.columns[0].default}' if self.columns else '"Stomach": 0.5'

    def _advice(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if self.minimum is not None and self.maximum is not None:
            return f"give {self.wants()} from {self.minimum:g} to {self.maximum:g}{unit}"
        if self.minimum is not None:
            return f"give {self.wants()} of at least {self.minimum:g}{unit}"
        return f"give {self.wants()}"


def _to_bool(value: Any) -> bool:
    known = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in known:
        raise ValueError(value)
    return known[text]


def _to_int(value: Any) -> int:
    if isinstance(value, bool) or float(value) != int(float(value)):
        raise ValueError(value)
    return int(float(value))


def _to_float(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError(value)
    return float(value)


def _to_floats(value: Any) -> tuple[float, ...]:
    parts = value.replace(",", " ").split() if isinstance(value, str) else value
    parts = parts if isinstance(parts, (list, tuple)) else [parts]
    if not parts:
        raise ValueError(value)
    return tuple(_to_float(part) for part in parts)


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "float": _to_float,
    "int": _to_int,
    "bool": _to_bool,
    "choice": str,
    "floats": _to_floats,
    "table": cells_of,
}


def parameter(default: Any, title: str, help: str, **declared: Any) -> Any:
    """A dataclass field that declares a parameter; its type follows from the default and ``choices``.

    declared: unit, minimum, maximum, choices, advanced, automatic, matrix, as in :class:`Parameter`; columns: names of
    other parameters of the same method.
    """
    return field(default=default, metadata={"title": title, "help": help, **declared})


def _type_of(default: Any, declared: Mapping[str, Any]) -> ParameterType:
    if declared.get("choices"):
        return "choice"
    if declared.get("columns") or declared.get("matrix"):
        return "table"
    if isinstance(default, bool):
        return "bool"
    if isinstance(default, tuple):
        return "floats"
    return "int" if isinstance(default, int) else "float"


@dataclass(frozen=True)
class Method:
    """A registration method, or the training of one: what it is, takes, gives, and where its code is.

    parameters_type: a frozen dataclass whose fields were made by :func:`parameter`;
    entry: "module:function" of ``run(inputs, parameters, context)``, imported when it runs;
    gives: what that returns, a Registration, a Series of them or, with the checkpoint, a Training.
    """

    name: str
    title: str
    summary: str
    citation: Citation
    inputs: tuple[Input, ...]
    parameters_type: type
    outputs: tuple[Output, ...]
    presets: tuple[Preset, ...]
    entry: str
    dimensions: tuple[int, ...] = (2, 3)
    gives: Gives = "registration"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The declared parameters, in the order a panel shows them."""
        found: dict[str, Parameter] = {}
        for item in dataclasses.fields(self.parameters_type):
            columns = tuple(found[name] for name in item.metadata.get("columns", ()))
            declared = {**item.metadata, "columns": columns}
            kind = _type_of(item.default, declared)
            found[item.name] = Parameter(name=item.name, type=kind, default=item.default, **declared)
        return tuple(found.values())

    def preset(self, name: str) -> Preset:
        """The preset of that name; InputError names the known ones."""
        for preset in self.presets:
            if preset.name == name:
                return preset
        known = ", ".join(preset.name for preset in self.presets)
        raise InputError(f"Method '{self.name}' has no preset '{name}': choose one of {known}.")

    def check_values(self, values: Mapping[str, Any]) -> Any:
        """An instance of ``parameters_type`` with these values; InputError on an unknown name or a bad value."""
        declared = {item.name: item for item in self.parameters}
        for name in values:
            if name not in declared:
                raise InputError(
                    f"Method '{self.name}' has no parameter '{name}': choose one of {', '.join(declared)}."
                )
        return self.parameters_type(**{name: declared[name].check(value) for name, value in values.items()})

    def load(self) -> Callable[..., Any]:
        """The function that runs this method; imports it, and torch with it."""
        module, _, function = self.entry.partition(":")
        return getattr(importlib.import_module(module), function)
