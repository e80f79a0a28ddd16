"""A LiveHost that dies at its nth change, as a killed process does: nothing after it runs, nothing is cleaned up."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from caasctl.host import LiveHost
from caasctl.protocol import Completed


class Killed(BaseException):
    """No `except Exception` of the program may catch it."""


class CrashingHost(LiveHost):
    """Counts changes; raises Killed before (even `at`) or after (odd) the change number at // 2."""

    def __init__(self, root: str, at: int = -1) -> None:
        super().__init__(root)
        self._at, self.changes, self.commands = at, 0, []  # type: ignore[var-annotated]

    def _die(self, moment: int) -> None:
        if self._at == self.changes * 2 + moment:
            raise Killed

    def _around(self, change: object) -> None:
        self._die(0)
        change()  # type: ignore[operator]
        self._die(1)
        self.changes += 1

    def write(self, path: str, data: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
        self._around(lambda: super(CrashingHost, self).write(path, data, mode, owner))

    def write_value(self, path: str, text: str) -> None:
        self._around(lambda: super(CrashingHost, self).write_value(path, text))

    def remove(self, path: str) -> None:
        self._around(lambda: super(CrashingHost, self).remove(path))

    def private_folder(self, path: str) -> None:
        self._around(lambda: super(CrashingHost, self).private_folder(path))

    def remove_folder(self, path: str) -> None:
        self._around(lambda: super(CrashingHost, self).remove_folder(path))

    def unpack(self, archive: str, folder: str, sha256: str, top: str, see: Callable[[str, bytes], None]) -> None:
        self._around(lambda: super(CrashingHost, self).unpack(archive, folder, sha256, top, see))

    def store(self, path: str, blocks: Iterable[bytes], mode: int = 0o600) -> None:
        self._around(lambda: super(CrashingHost, self).store(path, blocks, mode))

    def link(self, path: str, target: str) -> None:
        self._around(lambda: super(CrashingHost, self).link(path, target))

    def move(self, path: str, to: str) -> None:
        self._around(lambda: super(CrashingHost, self).move(path, to))

    def remove_tree(self, path: str) -> None:
        if path.startswith("/run/") or not any(self.stat(there, follow=False) for there in (path, f"{path}.partial")):
            super().remove_tree(path)
        else:
            self._around(lambda: super(CrashingHost, self).remove_tree(path))

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        self._around(lambda: self.commands.append(argv))
        return Completed(argv, 0)
