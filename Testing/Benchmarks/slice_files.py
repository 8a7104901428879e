"""A section of half a gigapixel, from its file to its plate, in little memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from regsuite import io, jobs, memory
from regsuite.jobs import Job
from regsuite.spatial.plates import POSE, cut, flat_points

from Benchmarks.common import Group, Measured
from Benchmarks.cost import Cost
from Benchmarks.rows import Row, row
from Benchmarks.slice_encoder import Encoder
from Benchmarks.slice_volumes import Brains

_WIDTH, _HEIGHT, _TILE, _BLOCK = 25_600, 20_480, 512, 8
_PIXEL = 0.0005
"""mm."""
_PLATE = 70
_GRAIN = 6.0
_MIB = 1024 * 1024


class LargeFile(Measured):
    """On the processor alone."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder.workshop, encoder.full)
        self.encoder = encoder

    def groups(self) -> list[Group]:
        """One."""
        return [("large file", f"{_WIDTH} x {_HEIGHT} pixels", self.measured)]

    def measured(self) -> list[Row]:
        """The most memory of the whole process, with what Python and its packages take."""
        folders, file = self.encoder.folders, str(self.workshop.folder / "large.tif")
        encoder = self.encoder.file
        size = self.workshop.run("slice_files:write", folders=folders, file=file)
        found = self.workshop.run("slice_files:identified", folders=folders, encoder=encoder, file=file)
        Path(file).unlink()
        data = f"tiled TIFF of {_WIDTH} x {_HEIGHT} pixels without smaller levels, {size:.0f} MiB"
        return [
            row("memory of the process, at most", data, "GB", found["peak_mb"] * _MIB / 1e9, goal="< 2"),
            row("time to read the section", data, "s", found["seconds_reading"]),
            row("time of a run, from file to regions", data, "s", found["seconds"]),
            row("error of the position", f"{data}, {self.encoder.title}", "plates", found["plates_off"]),
        ]


def write(folders: dict[str, str], file: str) -> float:
    """The section, tile by tile; MiB of the file."""
    import tifffile

    tifffile.imwrite(
        file,
        _tiles(Brains(folders)),
        shape=(_HEIGHT, _WIDTH),
        dtype=np.uint8,
        tile=(_TILE, _TILE),
        photometric="minisblack",
        compression="zlib",
        compressionargs={"level": 1},
        resolution=(10 / _PIXEL, 10 / _PIXEL),
        resolutionunit="CENTIMETER",
    )
    return Path(file).stat().st_size / _MIB


def _tiles(brains: Brains) -> Iterator[np.ndarray]:
    """(512, 512) uint8 of the atlas's template with grain, row by row."""
    rng, template = np.random.default_rng(0), brains.template
    pose = torch.zeros(1, len(POSE))
    pose[0, 0] = float(brains.plates.depths()[_PLATE])
    matrices, points = brains.plates.matrices(pose), flat_points((_TILE // _BLOCK,) * 2, _BLOCK * _PIXEL)
    bright = 220 / float(template.data.max())
    grain = rng.normal(0, _GRAIN, (_TILE, _TILE)).astype(np.float32)
    middle = (np.array([_HEIGHT, _WIDTH]) - _TILE) / 2
    for top in range(0, _HEIGHT, _TILE):
        for left in range(0, _WIDTH, _TILE):
            shift = torch.tensor([left - middle[1], top - middle[0], 0.0], dtype=torch.float32) * _PIXEL
            shown = cut(template.data, template.grid, matrices, points + shift)[0, 0].numpy() * bright
            shown = shown.repeat(_BLOCK, axis=0).repeat(_BLOCK, axis=1)
            yield np.clip(shown + grain, 0, 255).astype(np.uint8)


def identified(folders: dict[str, str], encoder: str, file: str) -> dict[str, Any]:
    """By atlas-slice with its defaults; peak_mb: of the process since the file was opened."""
    brains = Brains(folders)
    inputs: dict[str, Any] = {"moving": brains.template, "moving_labels": brains.labels, "encoder": encoder}
    memory.reset_peak()
    with Cost() as reading:
        io.read_section(file)
    peak = memory.peak_mb()
    with Cost() as cost:
        result = jobs.run(Job("atlas-slice", {**inputs, "fixed": file}, device="cpu"))
    return {
        "peak_mb": max(peak, memory.peak_mb()),
        "seconds_reading": reading.seconds,
        "seconds": cost.seconds,
        "plates_off": abs(result.metrics["plate"] - 1 - _PLATE),
    }
