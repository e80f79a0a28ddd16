"""Files laid over a host that is only looked at, or over none: what a host would say with these in their places."""

from __future__ import annotations

from collections.abc import Mapping

from caasctl.model import Unreadable
from caasctl.protocol import NOT_FOUND, Completed, FileKind, Reader, Stat

Answers = Mapping[tuple[str, ...], str]


class Overlay:
    """A Reader. under: the host; None for an empty one, on which nothing is and no command runs.

    programs: paths that are executable and empty. answers: what commands print. silent: words that no command may have, as
    its answer would be about what lies under a file.
    """

    def __init__(
        self, files: Mapping[str, str], under: Reader | None = None, programs: tuple[str, ...] = (),
        answers: Answers | None = None, silent: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self._files = {**dict.fromkeys(programs, ""), **files}
        self._under, self._programs, self._answers, self._silent = under, programs, answers or {}, silent

    def _names(self, path: str) -> set[str]:
        """What is directly below a path, of ours."""
        top = path.rstrip("/") + "/"
        return {file[len(top) :].partition("/")[0] for file in self._files if file.startswith(top)}

    def read(self, path: str) -> str | None:
        if path in self._files:
            return self._files[path]
        return self._under.read(path) if self._under else None

    def read_bytes(self, path: str) -> bytes | None:
        if path in self._files:
            return self._files[path].encode()
        return self._under.read_bytes(path) if self._under else None

    def tail(self, path: str, size_bytes: int) -> str | None:
        return self._under.tail(path, size_bytes) if self._under else None

    def list(self, path: str) -> tuple[str, ...] | None:
        ours = self._names(path)
        theirs = self._under.list(path) if self._under else None
        return tuple(sorted({*(theirs or ()), *ours})) if ours or theirs is not None else None

    def readlink(self, path: str) -> str | None:
        return None if path in self._files or self._under is None else self._under.readlink(path)

    def stat(self, path: str, *, follow: bool = True) -> Stat | None:
        if path in self._files:
            mode = 0o755 if path in self._programs else 0o644
            return Stat(FileKind.FILE, mode, size=len(self._files[path]))
        there = self._under.stat(path, follow=follow) if self._under else None
        return there or (Stat(FileKind.DIR, 0o755) if self._names(path) else None)

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        if argv in self._answers:
            return Completed(argv, 0, self._answers[argv])
        if self._under is None:
            if argv[:1] and argv[0] in self._programs:
                raise Unreadable(" ".join(argv), "there is no host to run it on")
            return Completed(argv, NOT_FOUND, missing=True)
        if any(word in self._silent for word in argv):
            raise Unreadable(" ".join(argv), "would answer for the file that the host has now")
        return self._under.query(*argv, timeout_s=timeout_s)
