"""One case in a process of its own: ``python -m Benchmarks.child``, the question as JSON on standard input.

Any interpreter can run it: it needs nothing but what the function asked for needs.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from Benchmarks.workshop import Missing


def main() -> None:
    """Answers into the file the question names."""
    asked = json.load(sys.stdin)
    os.dup2(2, 1)  # what peers print is no part of the answer
    Path(asked["answer"]).write_text(json.dumps(_reply(asked["function"], asked["arguments"])), encoding="utf-8")


def _reply(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    module, _, function = name.partition(":")
    try:
        return {"value": getattr(importlib.import_module(f"Benchmarks.{module}"), function)(**arguments)}
    except Missing as missing:
        return {"missing": str(missing)}
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes a row that is not met
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()
