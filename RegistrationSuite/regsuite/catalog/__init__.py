"""The declaration of every method: panel, command line, docs and jobs are made from it. Plain Python, no torch."""

from regsuite.catalog.declaration import (
    AUTOMATIC,
    Citation,
    Input,
    Method,
    Output,
    Parameter,
    Preset,
    parameter,
)
from regsuite.catalog.registry import method, methods, outputs_of

__all__ = [
    "AUTOMATIC",
    "Citation",
    "Input",
    "Method",
    "Output",
    "Parameter",
    "Preset",
    "method",
    "methods",
    "outputs_of",
    "parameter",
]
