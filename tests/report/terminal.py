"""What was written on a pseudo-terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator


def read_all(main: int) -> str:
    """Everything until the other side is closed; closes this side."""
    said = b"".join(_pieces(main)).decode()
    os.close(main)
    return said


def _pieces(main: int) -> Iterator[bytes]:
    while True:
        try:
            got = os.read(main, 65536)
        except OSError:  # how Linux says that the other side is closed
            return
        if not got:
            return
        yield got
