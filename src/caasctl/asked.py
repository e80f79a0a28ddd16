"""RecordingHost asks a host each question once, remembers the answers, and can save them as a recorded host."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from caasctl.host import decode
from caasctl.model import Unreadable
from caasctl.protocol import Completed, Reader, Stat

if TYPE_CHECKING:
    from caasctl.recording import Recording

T = TypeVar("T")
Say = Callable[[str], None]
_Key = tuple[str, ...]


def silent(_: str) -> None:
    """For whom progress is not shown."""


class RecordingHost:
    """A Reader that asks `inner` each question once, remembers the answer, and can save all of them. Thread-safe."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self._answers: dict[_Key, object] = {}
        self._locks: dict[_Key, threading.Lock] = {}
        self._guard = threading.Lock()

    def read_bytes(self, path: str) -> bytes | None:
        return self._once(("read", path), lambda: self._inner.read_bytes(path))

    def read(self, path: str) -> str | None:
        data = self.read_bytes(path)
        return None if data is None else decode(path, data)

    def tail(self, path: str, size_bytes: int) -> str | None:
        """A path has one size in caasctl: whoever asks for it first says how much of it is kept."""
        return self._once(("tail", path), lambda: self._inner.tail(path, size_bytes))

    def list(self, path: str) -> tuple[str, ...] | None:
        return self._once(("list", path), lambda: self._inner.list(path))

    def readlink(self, path: str) -> str | None:
        return self._once(("link", path), lambda: self._inner.readlink(path))

    def stat(self, path: str, *, follow: bool = True) -> Stat | None:
        return self._once(("stat" if follow else "lstat", path), lambda: self._inner.stat(path, follow=follow))

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        return self._once(("query", *argv), lambda: self._inner.query(*argv, timeout_s=timeout_s))

    def _once(self, key: _Key, ask: Callable[[], T]) -> T:
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._answers:
                try:
                    self._answers[key] = ask()
                except Unreadable as unreadable:
                    self._answers[key] = unreadable
        answer: Any = self._answers[key]
        if isinstance(answer, Unreadable):
            raise answer
        return answer  # type: ignore[no-any-return]

    def recording(self, host_name: str, say: Say = silent) -> Recording:
        """All that was asked, ready to be written: without secrets, and with other names for hardware and public addresses."""
        from caasctl.recording import Recording  # noqa: PLC0415 - redaction's patterns cost, and only who records needs them
        from caasctl.redaction.hardware import IDENTITIES  # noqa: PLC0415 - as above

        recording = Recording(host_name)
        say("hiding secrets")
        for path in IDENTITIES:  # they stand in other programs' output, whether a probe asks for them or not
            with suppress(Unreadable):
                recording.redaction.hide(path, self._inner.read(path) or "")
        for (kind, *what), answer in sorted(self._answers.items(), key=lambda item: item[0]):
            recording.take(kind, what, answer)
        say("giving addresses and hardware other names")
        recording.finish()
        return recording

    def save(self, target: str, host_name: str) -> None:
        """Writes the recording: a .tar.gz where `target` ends so, else a new directory. Raises CaasError."""
        self.recording(host_name).write(target, silent)
