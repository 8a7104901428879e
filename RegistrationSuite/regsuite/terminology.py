"""Slicer's terminology entries: what a segment is, whatever it is called."""

from __future__ import annotations

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
