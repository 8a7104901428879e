"""One benchmark: ``make -s bench NAME=metamorphosis [FULL=1] [ONLY=TEXT] [PICTURES=FOLDER]``.

The last line of standard output is one JSON object, {"bench", "rows", "tables", "environment"} (rows.py says what rows
and tables are); everything else goes to standard error. Measured cases run in processes of their own, on the CPU, one
after the other.

    OMP_NUM_THREADS          threads of every case, ours and the peers' (one a core)
    REGSUITE_DATA            folder of data sets (shared/data beside the checkout)
    REGSUITE_ANTS_PYTHON     interpreter that has antspyx, where this one has not
    REGSUITE_DEMETER_PYTHON  interpreter that has demeter-metamorphosis, where this one has not
    REGSUITE_PYCPD_PYTHON    interpreter that has pycpd, where this one has not
    REGSUITE_ENCODER         an encoder of the atlas that was trained before, for atlas-slice
    REGSUITE_TRAIN_MINUTES   how long atlas-slice trains one in its full form, where none is given (45)
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from Benchmarks.rows import Row, failed, skipped
from Benchmarks.workshop import CaseFailed, Missing, Workshop, threads

BENCHES = {
    "metamorphosis": "metamorphosis",
    "mo-bcpd": "mo_bcpd",
    "atlas-slice": "atlas_slice",
    "hip-qmri": "hip_qmri",
}
"""Modules of this package with ``groups(workshop, full)``, by the benchmark's name."""

Group = tuple[str, str, Callable[[], Sequence[Row]]]
"""A claim, its data, and what measures its rows."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark of that name; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--full", action="store_true", help="every case, not a few")
    parser.add_argument("--only", default="", metavar="TEXT", help="only where this is in claim and data")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="leave pictures of the real pairs here")
    chosen = parser.parse_args(words)
    if chosen.name not in BENCHES:
        known = ", ".join(f"NAME={name}" for name in BENCHES)
        tell(f"There is no benchmark '{chosen.name}': choose one of {known}.")
        return 2
    started = time.perf_counter()
    with Workshop(tell, chosen.pictures and chosen.pictures.resolve()) as workshop:
        module = importlib.import_module(f"Benchmarks.{BENCHES[chosen.name]}")
        rows = collected(named(module.groups(workshop, chosen.full), chosen.only))
        tables = workshop.tables
    facts = {"command": command(chosen.name, chosen.full, chosen.only), **environment(time.perf_counter() - started)}
    print(json.dumps({"bench": chosen.name, "rows": rows, "tables": tables, "environment": facts}), flush=True)
    return 0


def command(name: str, full: bool, only: str) -> str:
    """What a person types for this run."""
    return f"make -s bench NAME={name}" + (" FULL=1" if full else "") + (f' ONLY="{only}"' if only else "")


def named(groups: Iterable[Group], text: str) -> list[Group]:
    """The groups in whose claim and data, written one after the other, this text stands."""
    return [group for group in groups if text in f"{group[0]}, {group[1]}"]


def tell(text: str) -> None:
    """Progress, for people."""
    print(text, file=sys.stderr, flush=True)


def collected(groups: Iterable[Group]) -> list[Row]:
    """The rows of every group; one row says why where a group could not be measured."""
    rows: list[Row] = []
    for claim, data, measure in groups:
        try:
            rows += measure()
        except Missing as missing:
            rows.append(skipped(claim, data, str(missing)))
        except CaseFailed as error:
            rows.append(failed(claim, data, str(error)))
    return rows


def environment(seconds: float) -> dict[str, Any]:
    """What the figures depend on."""
    packages = ("torch", "numpy", "scipy", "SimpleITK", "nilearn")
    return {
        "seconds": round(seconds, 1),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's model, where the system tells."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="ascii", errors="replace").splitlines() if told.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


if __name__ == "__main__":
    sys.exit(main())
