"""Streams of this process: data formats in UTF-8, whatever the locale; a reader or a terminal that is gone."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def emit(out: TextIO, text: str) -> None:
    """Writes a data format; a stream of bytes below a text stream gets UTF-8."""
    out.flush()
    raw = getattr(out, "buffer", None)
    if raw is None:
        out.write(text)
    else:
        raw.write(text.encode("utf-8"))
        raw.flush()


class _Heard(io.FileIO):
    """A stream of this process whose reader may leave: from then on what is written goes nowhere."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out.fileno(), "w", closefd=False)
        self._kept = out  # whose end would close the descriptor

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            unheard(self, error)
            return super().write(data)


def heard(out: TextIO) -> TextIO:
    """The stream, to which a reader that leaves early is no error, whatever writes: click would end the program with 1 for it."""
    out.flush()
    raw = io.BufferedWriter(_Heard(out))
    return io.TextIOWrapper(raw, encoding=out.encoding, errors=out.errors, line_buffering=bool(out.line_buffering))


def unheard(out: TextIO | io.FileIO, error: OSError) -> None:
    """Nobody listens any more: what is written from here on goes nowhere. Raises `error` where it says anything else."""
    if error.errno not in (errno.EPIPE, errno.EIO):
        raise error
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, out.fileno())
    os.close(nowhere)
