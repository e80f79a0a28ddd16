"""Ctrl-C and a closed terminal: before the first change they end the run, from then on the step under way is not cut off."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from caasctl.faults import StoppedError

STDERR = 2


@contextmanager
def no_sudden_end(said: str, waits_for: Callable[[], str] = str) -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks to stop after the step under way, and is answered at once; a closed terminal does not stop at all.

    waits_for: what runs now, for whoever asks again; "" where nothing does.
    """
    asked: list[int] = []

    def answer(number: int, _frame: object) -> None:
        again = bool(asked)
        asked.append(number)  # first of all: the next one may come while this one is answered
        waiting = (
            f"still waiting for {waits_for() or 'the step under way'}: cut off half-way it could leave this host broken"
        )
        with suppress(OSError):  # the terminal may be gone
            # print is not safe where it may have been interrupted itself
            os.write(STDERR, f"\n{waiting if again else said}\n".encode(errors="backslashreplace"))

    def unmoved(_number: int, _frame: object) -> None:
        """A closed terminal; a handler and not SIG_IGN, which children would inherit."""

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, answer)
    signal.signal(signal.SIGTERM, answer)
    signal.signal(signal.SIGHUP, unmoved)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def nothing_changed_yet() -> Iterator[None]:
    """Ctrl-C, and SIGTERM with it, end what only looks and asks. Raises StoppedError."""
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt as stopped:
        raise StoppedError(
            "stopped before the first change: nothing was changed",
            cause="you asked for it (Ctrl-C or SIGTERM)",
            fix="run the same command again when you want to go on",
        ) from stopped
    finally:
        signal.signal(signal.SIGTERM, before)
