"""Progress on stderr: a line that goes away on a terminal, plain lines where it is a pipe or a dumb terminal."""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType
from typing import TextIO

from caasctl.report.paper import crop
from caasctl.report.stream import unheard
from caasctl.report.visible import one_line

QUIET_S = 0.3  # what is shorter needs no words on a terminal
TICK_S = 1.0
LONGEST = 200  # characters of a line in a pipe
PLAIN_EVERY_S = 10.0
CLEAR = "\r\x1b[K"


class Progress:
    """Says what runs now. `step` starts something, `hear` takes its output; `close` (or leaving `with`) wipes the line.

    brief: what is mostly over at once; in a pipe it is not said before it takes long.
    """

    def __init__(
        self, out: TextIO, *, every_s: float = PLAIN_EVERY_S, term: str | None = None, brief: bool = False
    ) -> None:
        self._out, self._every_s = out, every_s
        self._live = out.isatty() and (term or os.environ.get("TERM", "dumb")) != "dumb"
        self._brief = brief
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._title, self._last, self._since, self._drawn = "", "", 0.0, False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Progress:  # noqa: PYI034 - typing.Self is 3.11's
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def step(self, title: str) -> None:
        """Something new runs; in a pipe this is a line at once."""
        with self._guard:
            self._title, self._last, self._since = one_line(title), "", time.monotonic()
            if not self._live and not self._brief:
                self._put(f"{self._title}\n")
            elif self._drawn:
                self._draw(0.0)
        if self._thread is None:
            self._ended.clear()
            self._thread = threading.Thread(target=self._tick, name="progress", daemon=True)
            self._thread.start()

    def hear(self, line: str) -> None:
        """A line of output of what runs; the last one is shown."""
        with self._guard:
            self._last = one_line(line)

    def say(self, line: str) -> None:
        """A line that stays."""
        with self._guard:
            self._wipe()
            self._put(f"{one_line(line)}\n")

    def close(self) -> None:
        """Ends it and leaves a clean line. May be called again."""
        self._ended.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive():  # Ctrl-C may have come while it was being started
            thread.join()
        with self._guard:
            self._wipe()

    def _tick(self) -> None:
        pause = QUIET_S if self._live else self._every_s
        while not self._ended.wait(pause):
            with self._guard:
                ran_s = time.monotonic() - self._since
                if self._live:
                    self._draw(ran_s)
                elif ran_s >= self._every_s * 0.9:
                    self._put(f"still running: {crop(self._said(ran_s), LONGEST)}\n")
            pause = TICK_S if self._live else self._every_s

    def _draw(self, ran_s: float) -> None:
        self._put(CLEAR + crop(self._said(ran_s), self._width() - 1))
        self._drawn = True

    def _said(self, ran_s: float) -> str:
        return f"{self._title} ({ran_s:.0f} s)" + (f": {self._last}" if self._last else "")

    def _wipe(self) -> None:
        if self._drawn:
            self._put(CLEAR)
            self._drawn = False

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._out.fileno()).columns or 80
        except OSError:
            return 80

    def _put(self, said: str) -> None:
        encoding = self._out.encoding or "utf-8"
        try:
            self._out.write(said.encode(encoding, "backslashreplace").decode(encoding))
            self._out.flush()
        except OSError as error:
            unheard(self._out, error)  # a closed session must not stop what runs between two changes
