"""The figures of MO-BCPD and BCPD.

The quick form takes few simulated patients and pairs, and a peer at few points; the full form takes them all.
"""

from __future__ import annotations

from Benchmarks.common import Group
from Benchmarks.femurs import Femurs
from Benchmarks.lungs import Lungs
from Benchmarks.organ_fields import Fields
from Benchmarks.organ_pairs import Pairs
from Benchmarks.organ_patients import Patients
from Benchmarks.workshop import Workshop


def groups(workshop: Workshop, full: bool) -> list[Group]:
    """What this benchmark measures."""
    parts = (Femurs, Fields, Patients, Pairs, Lungs)
    return [group for part in parts for group in part(workshop, full).groups()]
