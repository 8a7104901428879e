"""The figures of MO-BCPD and BCPD."""

from __future__ import annotations

from Benchmarks.common import Group
from Benchmarks.organ_patients import Patients
from Benchmarks.workshop import Workshop


def groups(workshop: Workshop, full: bool) -> list[Group]:
    """What this benchmark measures."""
    parts = (Patients,)
    return [group for part in parts for group in part(workshop, full).groups()]
