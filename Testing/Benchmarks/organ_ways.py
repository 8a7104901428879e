"""How organs are brought together: BCPD, the paper's two forms of MO-BCPD, and ours."""

from __future__ import annotations

from regsuite import catalog

from Benchmarks.common import Way

BEFORE = "before"


def _preset(title: str, name: str) -> Way:
    return Way(title, "mo-bcpd", tuple(catalog.method("mo-bcpd").preset(name).values.items()))


BCPD = Way("BCPD", "bcpd")
"""Its defaults are the paper's deviation and range, those of GMC and OMC."""
GMC, OMC = _preset("GMC", "gmc"), _preset("OMC", "omc")
OURS = Way("ours", "mo-bcpd")
"""MO-BCPD with its defaults: organs go as a whole as well."""
WAYS = (BCPD, GMC, OMC, OURS)
