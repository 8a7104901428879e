"""Every declared method by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regsuite.catalog import metamorphosis, organs, radial, sections
from regsuite.catalog.declaration import Method, Output
from regsuite.errors import InputError

_METHODS: tuple[Method, ...] = (*metamorphosis.METHODS, *organs.METHODS, *sections.METHODS, *radial.METHODS)


def methods() -> dict[str, Method]:
    """All methods by name, in the order they are shown."""
    return {declared.name: declared for declared in _METHODS}


def method(name: str) -> Method:
    """The method of that name; InputError names the known ones."""
    known = methods()
    if name not in known:
        raise InputError(f"There is no method '{name}': choose one of {', '.join(known)}.")
    return known[name]


def outputs_of(record: Mapping[str, Any]) -> dict[str, Output]:
    """What the method of a result's record declares to give, by name; nothing where the method is not known here."""
    known = methods().get(record.get("method", ""))
    return {output.name: output for output in known.outputs} if known is not None else {}
