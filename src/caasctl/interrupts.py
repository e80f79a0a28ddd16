"""Ctrl-C and a closed terminal while a host is changed: the step under way is not cut off."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

STDERR = 2


@contextmanager
def no_sudden_end(said: str) -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks to stop after the step under way, and is answered at once; a closed terminal does not stop at all."""
    asked: list[int] = []

    def answer(number: int, _frame: object) -> None:
        if not asked:
            with suppress(OSError):  # the terminal may be gone
                os.write(STDERR, f"\n{said}\n".encode())  # print is not safe where it may have been interrupted itself
        asked.append(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, answer)
    signal.signal(signal.SIGTERM, answer)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
