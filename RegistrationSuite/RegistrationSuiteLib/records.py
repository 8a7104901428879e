"""How a result was made and what to know of it, kept on its nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regsuite.registration import Result

ATTRIBUTES = "RegistrationSuite."
"""How the names of the attributes begin that result nodes carry."""
RECORD, NOTES = ATTRIBUTES + "record", ATTRIBUTES + "notes"
"""Attributes of the transforms, or of the metrics where there are none: how the result was made, and what to know of
it, as JSON."""
CARRIERS = ("transform", "metrics")


def keep(result: Result, node: Any) -> None:
    """Writes a result's record and notes onto one of its nodes."""
    node.SetAttribute(RECORD, json.dumps(result.record, default=str))
    node.SetAttribute(NOTES, json.dumps(result.notes))


def notes_of(nodes: Mapping[str, Any]) -> list[str]:
    """What to know of the result these nodes by output name came from."""
    text = _kept(nodes, NOTES)
    return json.loads(text) if text else []


def record_of(nodes: Mapping[str, Any]) -> dict[str, Any]:
    """How the result these nodes by output name came from was made; empty where that is not known."""
    text = _kept(nodes, RECORD)
    return json.loads(text) if text else {}


def _kept(nodes: Mapping[str, Any], attribute: str) -> str:
    texts = (nodes[name].GetAttribute(attribute) for name in CARRIERS if name in nodes)
    return next((text for text in texts if text), "")


def metrics_of(nodes: Mapping[str, Any]) -> dict[str, float]:
    """The figures of the result these nodes by output name came from."""
    if "metrics" not in nodes:
        return {}
    table = nodes["metrics"].GetTable()
    rows = range(table.GetNumberOfRows())
    return {table.GetValue(row, 0).ToString(): table.GetValue(row, 1).ToDouble() for row in rows}
