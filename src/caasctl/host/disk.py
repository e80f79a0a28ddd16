"""Changes of a file system: whole or not at all, and on disk when they return; each call of the kernel is one method."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress

from caasctl.faults import is_root

SUFFIX = ".caasctl-new"
CLOSED = 0o700
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STAYS = (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY)


class Disk:
    """The calls that a write is made of, one each: whoever takes its place in a test fails one of them.

    at: a descriptor of the folder that a path lies in, which is what is used; the path is for who counts the calls.
    """

    def mkdir(self, at: int, path: str) -> None:
        os.mkdir(_name(path), CLOSED, dir_fd=at)

    def create(self, at: int, path: str) -> int:
        return os.open(_name(path), _NEW, 0o600, dir_fd=at)

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

    def rename(self, at: int, path: str, to: str) -> None:
        os.rename(_name(path), _name(to), src_dir_fd=at, dst_dir_fd=at)

    def symlink(self, at: int, path: str, target: str) -> None:
        os.symlink(target, _name(path), dir_fd=at)

    def unlink(self, at: int, path: str) -> None:
        os.unlink(_name(path), dir_fd=at)

    def sync_folder(self, at: int, path: str) -> None:  # noqa: ARG002 - for who counts
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=at)  # what O_PATH gives cannot be synced
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _name(path: str) -> str:
    return os.path.basename(path)


def beside(target: str) -> str:
    """Where a file is written before it takes its place; no program takes it for one of its own files."""
    folder, name = os.path.split(target)
    return os.path.join(folder, f".{name}{SUFFIX}")


def replace(disk: Disk, at: int, target: str, data: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    """Puts a file in its place in the folder `at`. Raises OSError, and then nothing has changed but the disk's own doubts."""
    store(disk, at, target, (data,), mode, owner)


def store(
    disk: Disk,
    at: int,
    target: str,
    blocks: Iterable[bytes],
    mode: int = 0o600,
    owner: tuple[int, int] | None = None,
) -> None:
    """As `replace`, of what comes in blocks."""
    temporary = beside(target)
    with suppress(FileNotFoundError):
        disk.unlink(at, temporary)  # left by a run that was killed
    fd = disk.create(at, temporary)
    try:
        try:
            for data in blocks:
                disk.write(fd, data)
            if owner and is_root():
                disk.own(fd, owner)
            disk.mode(fd, mode)
            disk.sync(fd)
        finally:
            disk.close(fd)
        disk.rename(at, temporary, target)
    except BaseException:
        with suppress(OSError):  # the first error is the one to tell; the next run looks for it again
            disk.unlink(at, temporary)
        raise
    disk.sync_folder(at, os.path.dirname(target))


def link(disk: Disk, at: int, path: str, target: str) -> None:
    """A symbolic link in the place of a link or of nothing, in one step. Raises OSError, also where something else is there."""
    temporary = beside(path)
    with suppress(FileNotFoundError):
        there = os.stat(_name(path), dir_fd=at, follow_symlinks=False)
        if not stat.S_ISLNK(there.st_mode):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    with suppress(FileNotFoundError):
        disk.unlink(at, temporary)
    disk.symlink(at, temporary, target)
    disk.rename(at, temporary, path)
    disk.sync_folder(at, os.path.dirname(path))


def move(disk: Disk, at: int, path: str, name: str) -> None:
    """Another name in the same folder. Raises OSError, also where something has that name."""
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=at, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    disk.rename(at, path, os.path.join(os.path.dirname(path), name))
    disk.sync_folder(at, os.path.dirname(path))


def new_folder(disk: Disk, at: int, path: str, mode: int, owner: tuple[int, int] | None) -> int:
    """A descriptor of a new folder with exactly its mode, whatever the umask: open before anybody else may enter it."""
    disk.mkdir(at, path)
    fd = os.open(_name(path), _FOLDER, dir_fd=at)
    there = os.fstat(fd)
    if there.st_uid != os.geteuid():  # put there by another since
        os.close(fd)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    try:
        os.fchmod(fd, mode | (there.st_mode & stat.S_ISGID))  # which the folder above may hand down
        if owner and is_root():
            os.fchown(fd, *owner)
    except BaseException:
        os.close(fd)
        raise
    return fd


def private_folder(disk: Disk, at: int, path: str) -> None:
    """A folder closed to everybody but its owner, on disk when this returns. Raises OSError, also where a link lies there."""
    with suppress(FileExistsError):
        os.close(new_folder(disk, at, path, CLOSED, None))
        disk.sync_folder(at, os.path.dirname(path))
    fd = os.open(_name(path), _FOLDER, dir_fd=at)
    try:
        if stat.S_IMODE(os.fstat(fd).st_mode) != CLOSED:
            disk.mode(fd, CLOSED)
            disk.sync(fd)
    finally:
        os.close(fd)


def remove_empty(disk: Disk, at: int, path: str) -> None:
    """Raises OSError; what is not empty, not there, or no directory stays."""
    try:
        os.rmdir(_name(path), dir_fd=at)
        disk.sync_folder(at, os.path.dirname(path))
    except OSError as error:
        if error.errno not in _STAYS:
            raise


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
