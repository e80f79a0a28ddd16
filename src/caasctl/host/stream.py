"""A text that the user brings, of any size, in blocks that end at line breaks: a file, a pipe or standard input."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

from caasctl.model import UsageError

STDIN = "-"
_BLOCK = 1 << 20
_LINE = 1 << 16  # a longer line is no message


def user_blocks(path: str) -> Iterator[str]:
    """Whole lines, about a MiB at a time; what is no UTF-8 is replaced. Raises UsageError."""
    try:
        if path == STDIN:
            yield from _blocks(_stdin())
            return
        with open(os.path.abspath(path), "rb") as file:
            yield from _blocks(file)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"{'standard input' if path == STDIN else path} cannot be read: {why}", cause="it was named on the command line",
                         fix="name a readable text file, or - for standard input") from error  # fmt: skip


def _stdin() -> BinaryIO:
    if sys.stdin is None:  # closed by a shell's <&-; its number may be another file's by now
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return sys.stdin.buffer


def _blocks(file: BinaryIO) -> Iterator[str]:
    begun = b""
    while data := file.read(_BLOCK):
        whole, newline, rest = (begun + data).rpartition(b"\n")
        begun = rest[-_LINE:]
        if newline:
            yield whole.decode("utf-8", "replace") + "\n"
    if begun:
        yield begun.decode("utf-8", "replace")
