"""Runs the self-tests of scripted modules on the simulated Slicer: ``python -m Rig MODULE.py ...``."""

from __future__ import annotations

import sys

from Rig import pythonqt, simulation


def main(paths: list[str]) -> int:
    """0 when every self-test passed, and neither VTK nor a slot reported an error."""
    session = simulation.start()
    for path in paths:
        module = simulation.load_module(path)
        module.instance.runTest(msec=0)
        module.close()
    for error in (*session.errors, *pythonqt.slot_errors):
        sys.stderr.write(f"{error}\n")
    return 1 if session.errors or pythonqt.slot_errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
