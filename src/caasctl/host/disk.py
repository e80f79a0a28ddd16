"""Changes of a file system: whole or not at all, and on disk when they return; each call of the kernel is one method."""

from __future__ import annotations

import os
from contextlib import suppress

from caasctl.faults import is_root

SUFFIX = ".caasctl-new"


class Disk:
    """The calls that a write is made of, one each: whoever takes its place in a test fails one of them."""

    def mkdir(self, path: str) -> None:
        os.mkdir(path, 0o755)

    def create(self, path: str) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def write(self, fd: int, data: bytes) -> None:
        while data:
            data = data[os.write(fd, data) :]

    def own(self, fd: int, owner: tuple[int, int]) -> None:
        os.fchown(fd, *owner)

    def mode(self, fd: int, mode: int) -> None:
        os.fchmod(fd, mode)

    def sync(self, fd: int) -> None:
        os.fsync(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def rename(self, path: str, to: str) -> None:
        os.rename(path, to)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def sync_folder(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def beside(target: str) -> str:
    """Where a file is written before it takes its place; no program takes it for one of its own files."""
    folder, name = os.path.split(target)
    return os.path.join(folder, f".{name}{SUFFIX}")


def replace(disk: Disk, target: str, data: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    """Puts a file in its place, in a folder that is there. Raises OSError, and then nothing has changed but the disk's own doubts."""
    temporary = beside(target)
    with suppress(FileNotFoundError):
        disk.unlink(temporary)  # left by a run that was killed
    fd = disk.create(temporary)
    try:
        try:
            disk.write(fd, data)
            if owner and is_root():
                disk.own(fd, owner)
            disk.mode(fd, mode)
            disk.sync(fd)
        finally:
            disk.close(fd)
        disk.rename(temporary, target)
    except BaseException:
        with suppress(OSError):  # the first error is the one to tell; the next run looks for it again
            disk.unlink(temporary)
        raise
    disk.sync_folder(os.path.dirname(target))


def make_folders(disk: Disk, folder: str, owner: tuple[int, int] | None) -> list[str]:
    """Makes the folder and its missing parents, each given to `owner` where there is one; those that were made, inner last."""
    missing = []
    while not os.path.isdir(folder) and folder != "/":
        missing.append(folder)
        folder = os.path.dirname(folder)
    made: list[str] = []
    try:
        for path in reversed(missing):
            disk.mkdir(path)
            made.append(path)
            if owner and is_root():
                os.chown(path, *owner, follow_symlinks=False)
            disk.sync_folder(os.path.dirname(path))
    except OSError:
        drop_folders(made)
        raise
    return made


def drop_folders(made: list[str]) -> None:
    """Takes away folders that were made for a file that could not be written."""
    for path in reversed(made):
        with suppress(OSError):
            os.rmdir(path)


def place_of(path: str) -> str:
    """The file system that a path lies on, or would, in words."""
    mounts = _mounts()
    while path not in mounts and path != "/":
        path = os.path.dirname(path)
    return f"the file system at {path}"


def _mounts() -> set[str]:
    """Where something is mounted, bind mounts among it, which os.path.ismount does not tell."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
            return {line.split()[1].replace("\\040", " ") for line in file}
    except OSError:
        return {"/"}
