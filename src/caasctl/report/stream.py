"""Data formats on a stream: UTF-8, whatever the locale of the terminal."""

from __future__ import annotations

from typing import TextIO


def emit(out: TextIO, text: str) -> None:
    """Writes a data format; a stream of bytes below a text stream gets UTF-8."""
    out.flush()
    raw = getattr(out, "buffer", None)
    if raw is None:
        out.write(text)
    else:
        raw.write(text.encode("utf-8"))
        raw.flush()
