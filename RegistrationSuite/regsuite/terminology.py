"""Slicer's terminology entries: what a segment is, whatever it is called; and segments of two persons, paired."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

TAG = "TerminologyEntry"
_TISSUE = {"SCT^85756007", "SRT^T-D0050"}
"""What a segment is by default, which tells nothing."""


def term_of(entry: str) -> str:
    """The codes of type and type modifier in an entry, 'scheme^value' each with '~' between them; empty where it tells
    nothing.

    An entry is 'context~category~type~modifier~region context~region~region modifier', each of the last six a
    'scheme^value^meaning'; paired organs have their side as the modifier of type or region.
    """
    parts = entry.split("~")
    if len(parts) < 3:
        return ""
    codes = [_code(part) for part in (parts[2], *parts[3:4], *parts[5:7])]
    return "~".join(codes).rstrip("~") if codes[0] and codes[0] not in _TISSUE else ""


def _code(part: str) -> str:
    scheme, _, rest = part.partition("^")
    value = rest.partition("^")[0]
    return f"{scheme}^{value}" if scheme and value else ""


def pairs(moving: Mapping[Key, tuple[str, str]], fixed: Mapping[Key, tuple[str, str]]) -> dict[Key, Key]:
    """Which moving segment is which fixed one, of segments with (name, term): by term where one segment alone of either
    side has it, by name, whatever the case of its letters, elsewhere. Where each side has but one they are a pair."""
    if len(moving) == len(fixed) == 1:
        return {next(iter(moving)): next(iter(fixed))}
    by_term, terms = _by_term(fixed), {key: term for term, key in _by_term(moving).items()}
    found = {key: by_term[term] for key, term in terms.items() if term in by_term}
    by_name = {name.strip().lower(): key for key, (name, _) in fixed.items() if key not in found.values()}
    named = {key: by_name.get(name.strip().lower()) for key, (name, _) in moving.items() if key not in found}
    return found | {key: other for key, other in named.items() if other is not None}


def _by_term(segments: Mapping[Key, tuple[str, str]]) -> dict[str, Key]:
    """Segments by the terms that they alone have."""
    terms = [term for _, term in segments.values()]
    return {term: key for key, (_, term) in segments.items() if term and terms.count(term) == 1}
