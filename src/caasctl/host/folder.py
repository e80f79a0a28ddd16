"""A new folder that an archive is unpacked into: by descriptors only, through no link, with modes that let nobody else write."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from posixpath import dirname

from caasctl.host.disk import Disk

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SPARE = 256 << 20  # bytes that stay free on the file system: others live there
_LOOK_EVERY = 64 << 20
_MAX_LINKS = 40
Parts = tuple[str, ...]


class Refused(Exception):  # noqa: N818 - the archive is, by name of what is in it
    """What should be in no archive of this kind; the text says what."""


class Folder:
    """fd: of the folder, new and empty. Names are relative, without `.` and `..`."""

    def __init__(self, fd: int, disk: Disk) -> None:
        self._fd, self._disk = fd, disk
        self._links: dict[Parts, str] = {}
        self._last: tuple[str, int] | None = None
        self._since = 0

    def close(self) -> None:
        if self._last:
            os.close(self._last[1])
            self._last = None

    def folder(self, name: str) -> None:
        os.close(self._enter(name))

    def symlink(self, name: str, target: str) -> None:
        at = self._parent(name)
        self._free(at, name)
        self._disk.symlink(at, name, target)
        self._links[tuple(name.split("/"))] = target

    def hardlink(self, name: str, to: str) -> None:
        """To a file that was unpacked before."""
        source = self._enter(dirname(to)) if to else -1
        try:
            if source < 0 or not _is_file(source, os.path.basename(to)):
                raise Refused(f"{name} is a link to what is no file of the archive")
            at = self._parent(name)
            self._free(at, name)
            os.link(
                os.path.basename(to), os.path.basename(name), src_dir_fd=source, dst_dir_fd=at, follow_symlinks=False
            )
        finally:
            if source >= 0:
                os.close(source)

    def file(self, name: str, mode: int, blocks: Iterable[bytes]) -> None:
        """Blocks of zeros become holes."""
        at = self._parent(name)
        self._free(at, name)
        fd = self._disk.create(at, name)
        try:
            size = 0
            for block in blocks:
                if block.count(0) == len(block):
                    os.lseek(fd, len(block), os.SEEK_CUR)
                else:
                    self._room(len(block))
                    self._disk.write(fd, block)
                size += len(block)
            os.ftruncate(fd, size)
            self._disk.mode(fd, (mode & 0o755) | stat.S_IRUSR | stat.S_IWUSR)
            self._disk.sync(fd)
        finally:
            self._disk.close(fd)

    def judge_links(self, top: str) -> None:
        """Raises Refused for a link that leads out of the folder, through other links too. top: where it will lie."""
        for path, target in self._links.items():
            if self._leads(path, top) is None:
                raise Refused(f"{'/'.join(path)} is a link out of the archive, to {target}")

    def _leads(self, path: Parts, top: str) -> Parts | None:
        """Where a path in the folder ends, every link followed; None where that is outside."""
        todo, done, followed = list(path)[::-1], list[str](), 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if not done:
                    return None
                done.pop()
                continue
            target = self._links.get((*done, part))
            if target is None:
                done.append(part)
                continue
            followed += 1
            if target.startswith("/"):
                if not f"{target}/".startswith(f"/{top}/"):
                    return None
                target, done = target[len(top) + 1 :], []
            if followed > _MAX_LINKS:
                return None
            todo += target.split("/")[::-1]
        return tuple(done)

    def _parent(self, name: str) -> int:
        """A descriptor of the folder that a name lies in, kept for the next name."""
        above = dirname(name)
        if not self._last or self._last[0] != above:
            fd = self._enter(above)
            self.close()
            self._last = (above, fd)
        return self._last[1]

    def _enter(self, name: str) -> int:
        """A descriptor of a folder, made where it is missing; never through a link."""
        at = os.open(".", _FOLDER, dir_fd=self._fd)
        for part in name.split("/") if name else ():
            try:
                at = self._step(at, part)
            except NotADirectoryError as error:
                raise Refused(f"{name} lies below what is no folder") from error
        return at

    def _step(self, at: int, part: str) -> int:
        try:
            try:
                return os.open(part, _FOLDER, dir_fd=at)
            except FileNotFoundError:
                self._disk.mkdir(at, part)
                os.chmod(part, 0o755, dir_fd=at)  # noqa: S103 - whatever the umask; only root writes above it
                return os.open(part, _FOLDER, dir_fd=at)
        finally:
            os.close(at)

    def _free(self, at: int, name: str) -> None:
        try:
            os.stat(os.path.basename(name), dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            return
        raise Refused(f"{name} is in it twice")

    def _room(self, size: int) -> None:
        """Raises OSError before the file system is full."""
        self._since += size
        if self._since >= _LOOK_EVERY:
            self._since = 0
            there = os.fstatvfs(self._fd)
            if there.f_bavail * there.f_frsize < _SPARE:
                raise OSError(28, os.strerror(28))


def _is_file(at: int, name: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False
