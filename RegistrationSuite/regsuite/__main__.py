"""``python -m regsuite``."""

import signal
import sys

from regsuite.cli import main

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a batch system's end leaves nothing half-made either
    sys.exit(main())
