"""Real sections: four of a series that DeepSlice has anchored, and six neighbours whose order is known."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from Benchmarks.common import Figures, Group, Measured
from Benchmarks.rows import Row, row, table
from Benchmarks.slice_encoder import Encoder
from Benchmarks.workshop import data_folder

ANCHORED, NEIGHBOURS = "mouse_sections_deepslice", "mouse_sections_abba"
_PEER = "another anchoring by DeepSlice"


class Histology(Measured):
    """Sections as they come from a microscope, of no known pixel size."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder.workshop, encoder.full)
        self.encoder = encoder

    def groups(self) -> list[Group]:
        """Two sets of sections."""
        return [
            ("histology", "sections with an anchoring", self.anchored),
            ("histology", "a series in its order", self.series),
        ]

    def anchored(self) -> list[Row]:
        """How far points of the tissue arrive from where the anchoring puts them, before and after deformation."""
        found: list[Figures] = self.workshop.run("slice_sections:anchored", **self._given(ANCHORED))
        self._table(found)
        data = f"{len(found)} sections of {ANCHORED}, {self.encoder.title}"
        rows = []
        for claim, key in (("along the brain", "along_mm"), ("in all", "all_mm")):
            for step, title in (("affine", "before the deformation"), ("deformed", "after the deformation")):
                theirs = fmean(each["predicted"][key] for each in found)
                ours = fmean(each[step][key] for each in found)
                text = f"distance to the anchoring {claim}, {title}"
                rows.append(row(text, data, "mm", ours, peer=_PEER, peer_value=theirs))
        off = fmean(each["affine"]["middle_mm"] for each in found)
        theirs = fmean(each["predicted"]["middle_mm"] for each in found)
        text = "distance to the anchoring along the brain, middle of the tissue"
        rows.append(row(text, data, "mm", off, peer=_PEER, peer_value=theirs))
        other = fmean(each["affine"]["other_mm"] for each in found)
        rows.append(row("distance to the other anchoring in all, before the deformation", data, "mm", other))
        return [*rows, row("time of a run", data, "s", fmean(each["seconds"] for each in found))]

    def _table(self, found: list[Figures]) -> None:
        """A line a section and way; those with no plate of their own are the peer's."""
        lines: list[list[Any]] = []
        for each in found:
            for title, step in (("affine", "affine"), ("deformed", "deformed"), (_PEER, "predicted")):
                own = [each["plate"], each["confidence"]] if step == "affine" else [None, None]
                distances = [each[step][key] for key in ("middle_mm", "along_mm", "all_mm", "other_mm")]
                lines.append([each["name"], title, each["wanted"], *own, *distances])
        columns = ["section", "way", "plate of the anchoring", "plate found", "confidence"]
        measures = [
            "middle along the brain, mm",
            "tissue along the brain, mm",
            "tissue in all, mm",
            "to the other anchoring, mm",
        ]
        self.workshop.tables["anchored sections"] = table([*columns, *measures], lines)

    def series(self) -> list[Row]:
        """Single sections and all together: which follow each other as they should, and how evenly."""
        found: Figures = self.workshop.run("slice_sections:series", **self._given(NEIGHBOURS))
        ways = ("alone", "together")
        numbers = found["numbers"]
        lines = [[number, *(found[way]["depths"][place] for way in ways)] for place, number in enumerate(numbers)]
        titles = [f"{way}, depth in mm" for way in ways]
        self.workshop.tables["series"] = table(["section", *titles], lines)
        data = f"{len(numbers)} sections of {NEIGHBOURS}, {self.encoder.title}"
        rows = []
        for way in ways:
            rows += [
                row(f"neighbours in order, {way}", data, "share", found[way]["in_order"], goal="== 1"),
                row(f"distance to evenly spaced depths, {way}", data, "mm", found[way]["uneven_mm"]),
            ]
        return [*rows, row("time of the series", data, "s", found["seconds"])]

    def _given(self, name: str) -> dict[str, Any]:
        pictures = self.workshop.pictures
        given = {"folder": str(data_folder(name)), "pictures": str(pictures) if pictures else ""}
        return {**given, "folders": self.encoder.folders, "encoder": self.encoder.file}
