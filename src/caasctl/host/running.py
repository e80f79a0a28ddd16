"""A command while it runs: its output as it comes, its deadline, and its end with all that it started."""

from __future__ import annotations

import codecs
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

LAST_LINES = 15
MAX_CHARS = 16 * 1024 * 1024  # what is kept of one stream; a Helm release as JSON has a few MB
MAX_LINE = 4096
TERM_S, KILL_S = 5.0, 2.0  # to end by itself once asked; to be gone once killed
_CHUNK, _POLL_S, _DRAIN_S = 1 << 16, 0.1, 0.5


class Output:
    """One stream of a command: its text, as far as it is kept, and its last lines; each line goes to `hear` as it comes."""

    def __init__(self, hear: Callable[[str], None] | None = None) -> None:
        self._hear = hear
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._kept: deque[str] = deque()
        self._chars, self._begun = 0, ""
        self._lines: deque[str] = deque(maxlen=LAST_LINES)

    def take(self, data: bytes) -> None:
        """data: what was read; b"" where the stream has ended."""
        text = self._decoder.decode(data, final=not data)
        self._kept.append(text)
        self._chars += len(text)
        while self._chars > MAX_CHARS:  # the oldest goes
            self._chars -= len(self._kept.popleft())
        *whole, self._begun = (self._begun + text).split("\n")
        if len(self._begun) > MAX_LINE or (not data and self._begun):
            whole, self._begun = [*whole, self._begun], ""
        for line in whole:
            self._lines.append(line[:MAX_LINE])
            if self._hear:
                self._hear(line[:MAX_LINE])

    @property
    def text(self) -> str:
        return "".join(self._kept)

    @property
    def last(self) -> str:
        """The last lines, for an error."""
        lines = [*self._lines, *filter(None, [self._begun])][-LAST_LINES:]
        return "\n".join(lines).strip() or "it printed nothing"


class Running:
    """A started process in a session of its own, and what takes its streams. Leaving `with` ends what is left of it."""

    def __init__(self, process: subprocess.Popen[bytes], out: Output, err: Output | None = None) -> None:
        self._process = process
        self._waiting = selectors.DefaultSelector()
        for pipe, output in ((process.stdout, out), (process.stderr, err)):
            if pipe and output:
                os.set_blocking(pipe.fileno(), False)
                self._waiting.register(pipe, selectors.EVENT_READ, output)

    def __enter__(self) -> Running:  # noqa: PYI034 - typing.Self is 3.11's
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._signal(signal.SIGKILL)
            self.attend(KILL_S)
        self._waiting.close()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()

    def attend(self, timeout_s: float) -> bool:
        """Takes what it says until it ends; False where the deadline comes first.

        What it left running may hold its streams for ever: nobody waits for their end.
        """
        deadline = time.monotonic() + timeout_s
        while self._process.poll() is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            if self._waiting.get_map():
                self._listen(min(left_s, _POLL_S))
            else:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(left_s)
        deadline = time.monotonic() + _DRAIN_S
        while self._waiting.get_map() and self._listen(0) and time.monotonic() < deadline:
            pass
        for key in self._waiting.get_map().values():
            key.data.take(b"")
        return True

    def end(self) -> bool:
        """Ends it with its whole group: asks, then kills. False where even that did not end it."""
        self._signal(signal.SIGTERM)
        self._gone(TERM_S)
        self._signal(signal.SIGKILL)
        return self.attend(KILL_S)

    def _listen(self, timeout_s: float) -> bool:
        """Whether something came."""
        ready = self._waiting.select(timeout_s)
        for key, _ in ready:
            data = os.read(key.fd, _CHUNK)
            key.data.take(data)
            if not data:
                self._waiting.unregister(key.fileobj)
        return bool(ready)

    def _gone(self, timeout_s: float) -> None:
        """Waits for the whole group, which goes on after its leader: it may be about to clean up."""
        deadline = time.monotonic() + timeout_s
        if not self.attend(timeout_s):
            return
        while time.monotonic() < deadline and self._signal(0):
            time.sleep(_POLL_S)

    def _signal(self, number: int) -> bool:
        """False where nothing of the group is left."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # it runs as somebody else by now
            pass
        return True
