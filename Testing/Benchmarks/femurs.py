"""Bones of two persons: one cloud of points, a peer beside it, and large clouds.

Points are drawn at random from the vertices of distal femora, whose middles are put together; the displacement is
carried to every vertex, ours by the Gaussian process itself, the peer's by linear radial basis functions.
"""

from __future__ import annotations

from functools import partial

from Benchmarks import pycpd_peer
from Benchmarks.common import Figures, Group, Measured
from Benchmarks.rows import Row, row, table
from Benchmarks.workshop import data_folder

_RANGE, _BETA = 10.0, 0.5
"""Of the displacement: ours in mm, the peer's in radii of the femur."""
_FEW, _MANY, _ALL = 2000, 5000, 20000
"""Points a side."""
_PAIRS = ((1, 2), (2, 3), (3, 4), (4, 5), (5, 1))
"""Target and source."""


class Femurs(Measured):
    """Accuracy, time and memory of a single organ's cloud."""

    def groups(self) -> list[Group]:
        """The peer takes minutes at 5,000 points: it is given them in the full form only."""
        groups: list[Group] = [
            ("femur 2 to 1", f"{_MANY} points a side", self.accuracy),
            ("femur 2 to 1, against pycpd", f"{_FEW} points a side", partial(self.against_pycpd, _FEW)),
            ("femur 2 to 1, all of it", f"{_ALL} points a side", self.everything),
        ]
        if self.full:
            many = ("femur 2 to 1, against pycpd", f"{_MANY} points a side", partial(self.against_pycpd, _MANY))
            groups += [many, ("five pairs of femurs", f"{_FEW} points a side", self.pairs)]
        return groups

    def accuracy(self) -> list[Row]:
        """As near as the reference implementation of BCPD, in less time."""
        ours, data = self._ours((1, 2), _MANY), f"femur 2 to 1, {_MANY} points a side"
        return [
            row("distance of the surfaces, mean", data, "mm", ours["distance_mm"], goal="<= 0.5"),
            row("time", data, "s", ours["seconds"], goal="<= 5"),
            row("memory", data, "MiB", ours["memory_mb"], goal="< 1536"),
        ]

    def against_pycpd(self, count: int) -> list[Row]:
        """The same points."""
        ours, theirs = self._ours((1, 2), count), self._pycpd((1, 2), count)
        data, peer = f"femur 2 to 1, {count} points a side", f"pycpd {theirs['version']}, deformable"
        return [
            row(claim, data, unit, ours[name], goal=goal, peer=peer, peer_value=theirs[name])
            for claim, unit, name, goal in (
                ("time", "s", "seconds", "<= 0.1 x peer"),
                ("distance of the surfaces, mean", "mm", "distance_mm", "< peer"),
                ("memory", "MiB", "memory_mb", "<= peer"),
            )
        ]

    def everything(self) -> list[Row]:
        """Whether as many points as the meshes have can be taken."""
        ours, data = self._ours((1, 2), _ALL), f"femur 2 to 1, {_ALL} points a side"
        return [
            row("distance of the surfaces, mean", data, "mm", ours["distance_mm"]),
            row("time", data, "s", ours["seconds"]),
            row("memory", data, "MiB", ours["memory_mb"]),
        ]

    def pairs(self) -> list[Row]:
        """Other bones."""
        lines: list[list[object]] = []
        rows: list[Row] = []
        for pair in _PAIRS:
            title = f"{pair[1]} to {pair[0]}"
            ours, theirs = self._ours(pair, _FEW), self._pycpd(pair, _FEW)
            peer = f"pycpd {theirs['version']}"
            lines.append([title, "before", ours["before_mm"], None, None])
            lines += [
                [title, way, each["distance_mm"], each["seconds"], each["memory_mb"]]
                for way, each in (("ours", ours), (peer, theirs))
            ]
            data = f"femur {title}, {_FEW} points a side"
            distances = {"goal": "< peer", "peer": peer, "peer_value": theirs["distance_mm"]}
            rows.append(row("distance of the surfaces, mean", data, "mm", ours["distance_mm"], **distances))
        columns = ["femur", "way", "distance of the surfaces, mm", "time, s", "memory, MiB"]
        self.workshop.tables["femurs"] = table(columns, lines)
        return rows

    def _ours(self, pair: tuple[int, int], count: int) -> Figures:
        return self.workshop.run("point_clouds:femurs", **self._given(pair, count), range=_RANGE)

    def _pycpd(self, pair: tuple[int, int], count: int) -> Figures:
        given = self._given(pair, count)
        clouds = str(self.workshop.folder / f"femurs-{pair[0]}-{pair[1]}-{count}.npz")
        self.workshop.run("point_clouds:femur_clouds", **given, file=clouds)
        theirs = pycpd_peer.moved(self.workshop, clouds, _BETA)
        del given["count"]
        distance = self.workshop.run("point_clouds:femurs_judged", **given, clouds=clouds, moved=theirs["file"])
        return {**theirs, "distance_mm": distance}

    def _given(self, pair: tuple[int, int], count: int) -> Figures:
        folder = str(data_folder("knee_bones_pymskt"))
        return {"folder": folder, "fixed": pair[0], "moving": pair[1], "count": count}
