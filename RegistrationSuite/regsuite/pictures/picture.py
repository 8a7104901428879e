"""A picture as a file's content."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 110


@dataclass(frozen=True)
class Picture:
    """The content of a PNG file, with what it is called and how to read it."""

    name: str
    title: str
    caption: str
    png: bytes


def encoded(figure: Figure) -> bytes:
    """The figure as PNG."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, facecolor="white")
    return stream.getvalue()
