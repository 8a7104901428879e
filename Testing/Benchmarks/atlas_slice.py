"""The figures of sections identified in an atlas.

The quick form trains an encoder for some hundred iterations, which is little, and tries it on every sixth plate; the
full form trains for REGSUITE_TRAIN_MINUTES (45) and takes every second plate. Where REGSUITE_ENCODER names an encoder
that was trained before, neither trains one. No encoder sees anything but the atlas itself.
"""

from __future__ import annotations

from Benchmarks.common import Group
from Benchmarks.slice_encoder import Encoder, Training
from Benchmarks.slice_files import LargeFile
from Benchmarks.slice_histology import Histology
from Benchmarks.slice_identification import Identification, Oblique
from Benchmarks.workshop import Workshop


def groups(workshop: Workshop, full: bool) -> list[Group]:
    """What this benchmark measures."""
    encoder = Encoder(workshop, full)
    parts = (Training, Identification, Oblique, Histology, LargeFile)
    return [group for part in parts for group in part(encoder).groups()]
