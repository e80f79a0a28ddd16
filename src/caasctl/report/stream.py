"""Streams of this process: data formats in UTF-8, whatever the locale; a reader or a terminal that is gone."""

from __future__ import annotations

import errno
import os
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


def unheard(out: TextIO, error: OSError) -> None:
    """Nobody listens any more: what is written from here on goes nowhere. Raises `error` where it says anything else."""
    if error.errno not in (errno.EPIPE, errno.EIO):
        raise error
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, out.fileno())
    os.close(nowhere)
