"""A disk whose nth call fails, as a full, read-only or broken one does."""

from __future__ import annotations

import errno
import os

from caasctl.host import LiveHost
from caasctl.host.disk import Disk


class FailingDisk(Disk):
    """Counts the calls that change something; the call number `at`, and with `stays` every later one, fails."""

    def __init__(self, at: int = -1, number: int = errno.ENOSPC, *, stays: bool = False) -> None:
        self._at, self._number, self._stays = at, number, stays
        self.calls: list[str] = []

    def _count(self, call: str, where: str = "") -> None:
        self.calls.append(f"{call} {where}".strip())
        now = len(self.calls) - 1
        if now == self._at or (self._stays and now > self._at >= 0):
            raise OSError(self._number, os.strerror(self._number), where or None)

    def mkdir(self, at: int, path: str) -> None:
        self._count("mkdir", path)
        super().mkdir(at, path)

    def create(self, at: int, path: str) -> int:
        self._count("create", path)
        return super().create(at, path)

    def write(self, fd: int, data: bytes) -> None:
        os.write(fd, data[: len(data) // 2])  # half of it fits
        self._count("write")
        super().write(fd, data[len(data) // 2 :])

    def own(self, fd: int, owner: tuple[int, int]) -> None:
        self._count("own")
        super().own(fd, owner)

    def mode(self, fd: int, mode: int) -> None:
        self._count("mode")
        super().mode(fd, mode)

    def sync(self, fd: int) -> None:
        self._count("sync")
        super().sync(fd)

    def close(self, fd: int) -> None:
        super().close(fd)
        self._count("close")

    def rename(self, at: int, path: str, to: str) -> None:
        self._count("rename", to)
        super().rename(at, path, to)

    def symlink(self, at: int, path: str, target: str) -> None:
        self._count("symlink", path)
        super().symlink(at, path, target)

    def unlink(self, at: int, path: str) -> None:
        if os.path.lexists(path):
            self._count("unlink", path)
        super().unlink(at, path)

    def sync_folder(self, at: int, path: str) -> None:
        self._count("sync_folder", path)
        super().sync_folder(at, path)


class FailingHost(LiveHost):
    """A tree on a disk that fails."""

    def __init__(self, root: str, at: int = -1, number: int = errno.ENOSPC, *, stays: bool = False) -> None:
        super().__init__(root)
        self._disk: FailingDisk = FailingDisk(at, number, stays=stays)

    @property
    def calls(self) -> list[str]:
        """What was asked of the disk, in order, with the paths of the tree."""
        return [call.replace(self.root, "") for call in self._disk.calls]
