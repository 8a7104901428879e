"""Lungs of one person breathed out and in: points on their surface and keypoints, without any correspondence.

What is registered: 2,000 points of each breath, its keypoints and, for the rest, points spread evenly on the surface of
its lung mask. Case 1 has keypoints of one breath only: there all points are on the surface. Keypoints were found in
each breath's image alone; which belong together is not told. The 300 expert landmarks are for judging. Deviation and
range are the paper's, 10 and 30 mm; the larger range was chosen by looking at cases 2 and 4.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any

from Benchmarks import pycpd_peer
from Benchmarks.common import Figures, Group, Measured
from Benchmarks.organ_ways import BEFORE
from Benchmarks.rows import Row, row, table
from Benchmarks.workshop import Missing, data_folder

_WITHOUT_KEYPOINTS = (1,)
_BETA = 2.0
"""The peer's own default: half a radius of the lungs, as for bones, leaves landmarks farther apart than they were."""
_CASES, _FEW = (1, 2, 3, 4, 5), (4,)
_SURFACE, _ONE, _TWO = "BCPD, surface alone", "BCPD, one cloud", "MO-BCPD, keypoints apart"
_FAR = "MO-BCPD, keypoints apart, range 60 mm"
_WAYS: dict[str, tuple[bool, int, float]] = {
    _SURFACE: (False, 1, 30.0),
    _ONE: (True, 1, 30.0),
    _TWO: (True, 2, 30.0),
    _FAR: (True, 2, 60.0),
}
"""With keypoints, kinds of points, and range in mm."""


class Lungs(Measured):
    """Distances of landmarks that no method saw."""

    def groups(self) -> list[Group]:
        """One table of all cases."""
        return [("lungs at expert landmarks", "exhale to inhale", self.lungs)]

    def lungs(self) -> list[Row]:
        """By case."""
        cases = _CASES if self.full else _FEW
        found = {case: self._case(case) for case in cases}
        lines = [
            [f"case {case}", title, *(figures.get(name) for name in ("tre_mm", "tre_95_mm", "seconds", "memory_mb"))]
            for case, ways in found.items()
            for title, figures in ways.items()
        ]
        columns = ["case", "way", "TRE, mm", "95 %, mm", "time, s", "memory, MiB"]
        self.workshop.tables["lungs"] = table(columns, lines)
        both = [ways for case, ways in found.items() if case not in _WITHOUT_KEYPOINTS]
        return self._rows(f"{len(both)} cases with keypoints, 300 landmarks each", both)

    def _rows(self, data: str, both: list[dict[str, Figures]]) -> list[Row]:
        """Means over the cases that have keypoints."""
        rows = []
        for ours, peer, name, goal in (
            (_ONE, BEFORE, "tre_mm", "< peer"),
            (_TWO, _ONE, "tre_mm", "< peer"),
            *((_TWO, peer, "tre_mm", "< peer") for peer in both[0] if peer.startswith("pycpd")),
            *((_TWO, peer, "seconds", "<= 0.1 x peer") for peer in both[0] if peer.startswith("pycpd")),
            *((_TWO, peer, "memory_mb", "<= peer") for peer in both[0] if peer.startswith("pycpd")),
        ):
            values = [fmean(ways[title][name] for ways in both) for title in (ours, peer)]
            claim, unit = {"tre_mm": ("TRE", "mm"), "seconds": ("time", "s"), "memory_mb": ("memory", "MiB")}[name]
            rows.append(row(f"{claim}, {ours}", data, unit, values[0], goal=goal, peer=peer, peer_value=values[1]))
        return rows

    def _case(self, case: int) -> dict[str, Figures]:
        given: dict[str, Any] = {"folder": str(data_folder("lung_copd_keypoints")), "case": case}
        with_keypoints = case not in _WITHOUT_KEYPOINTS
        found = {BEFORE: self.workshop.run("lung_clouds:before", **given)}
        for title, (keypoints, kinds, range_) in _WAYS.items():
            if with_keypoints or not keypoints:
                how: dict[str, Any] = {"keypoints": keypoints, "kinds": kinds, "range": range_}
                found[title] = self.workshop.run("lung_clouds:registered", **given, **how)
        try:
            return {**found, **self._pycpd(given, with_keypoints)}
        except Missing:  # the group of the femurs says so
            return found

    def _pycpd(self, given: dict[str, Any], keypoints: bool) -> dict[str, Figures]:
        clouds = str(self.workshop.folder / f"lungs-{given['case']}.npz")
        self.workshop.run("lung_clouds:clouds_for_peer", **given, keypoints=keypoints, file=clouds)
        theirs = pycpd_peer.moved(self.workshop, clouds, _BETA)
        judged = self.workshop.run("lung_clouds:judged", **given, clouds=clouds, moved=theirs["file"])
        return {f"pycpd {theirs['version']}": {**theirs, **judged}}
