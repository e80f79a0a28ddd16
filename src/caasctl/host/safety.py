"""Folders in which caasctl writes and removes: opened part by part, so that nobody else can lead it elsewhere (docs/adr/0014)."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from caasctl.host.disk import CLOSED, Disk, drop_folders, new_folder
from caasctl.model import CaasError, UsageError

PRIVATE = ("/run/caasctl/stage", "/var/lib/caasctl/runs")  # copies of files that only root may read lie there
_PATH_ONLY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LISTED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LINKS = 40


class UnsafeError(CaasError):
    """path: where the way ended. is_link: whether that is a link of somebody else's, else a folder."""

    def __init__(self, problem: str, *, cause: str, fix: str, path: str, is_link: bool) -> None:
        super().__init__(problem, cause=cause, fix=fix)
        self.path, self.is_link = path, is_link


@contextmanager
def opened(
    folder: str, root: str = "/", owner: tuple[int, int] | None = None, *, make: Disk | None = None
) -> Iterator[int]:
    """A descriptor of a folder that only root, we ourselves and `owner` can change, and so all above it.

    root: the tree that it lies in; a tree is where the user of the command line wants it, who may have come by sudo, and may
    be a folder like /tmp. make: what makes missing folders, for `owner`; they go again where the work in the folder fails.
    Raises OSError, and CaasError for what is not safe.
    """
    walk = _Walk(folder, root, owner, make=make)
    try:
        walk.to_end()
        yield walk.at
    except BaseException:
        drop_folders(walk.made)
        raise
    finally:
        os.close(walk.at)


class _Walk:
    """From / to a folder. at: a descriptor of where it is. here: the same as a path, for messages."""

    def __init__(self, folder: str, root: str, owner: tuple[int, int] | None, *, make: Disk | None) -> None:
        self._folder, self._owner, self._make, self._named = folder, owner, make, root != "/"
        self._private = tuple(root.rstrip("/") + path for path in PRIVATE)
        self._ours = {0, os.geteuid()} | (_came_by_sudo() if self._named else set())
        self._left = folder.strip("/").split("/")[::-1] if folder.strip("/") else []
        self._links = 0
        self.made: list[str] = []
        self.here = "/"
        self.at = os.open("/", _PATH_ONLY)

    def to_end(self) -> None:
        while self._left:
            name = self._left.pop()
            if name not in ("", "."):
                self._enter(name)
        if not self._named and self._seen().st_mode & stat.S_IWOTH:
            raise self._unsafe(self.here, "every user can write in it")
        last = os.open(".", _LISTED, dir_fd=self.at)  # what O_PATH gives cannot be synced
        os.close(self.at)
        self.at = last

    def _enter(self, name: str) -> None:
        path = os.path.join(self.here, name)
        try:
            there = os.stat(name, dir_fd=self.at, follow_symlinks=False)
        except FileNotFoundError:
            if not self._make:
                raise
            self._new(path, self._make)
            return
        if stat.S_ISLNK(there.st_mode):
            self._follow(name, path, there)
        elif not stat.S_ISDIR(there.st_mode):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        else:
            self._go(os.open(name, _PATH_ONLY, dir_fd=self.at), path)
            self._judge()

    def _new(self, path: str, disk: Disk) -> None:
        fd = new_folder(disk, self.at, path, CLOSED if path.startswith(self._private) else 0o755, self._owner)
        self.made.append(path)
        try:
            disk.sync_folder(self.at, self.here)
        finally:
            self._go(fd, path)

    def _follow(self, name: str, path: str, link: os.stat_result) -> None:
        """A link of root's, or of ours, where nobody else can have put it."""
        if link.st_uid not in self._ours or self._seen().st_uid not in self._ours:
            raise self._unsafe(path, f"it is a symbolic link that belongs to user {link.st_uid}", is_link=True)
        self._links += 1
        if self._links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(name, dir_fd=self.at)
        self._left += target.split("/")[::-1]
        if target.startswith("/"):
            self._go(os.open("/", _PATH_ONLY), "/")

    def _go(self, fd: int, path: str) -> None:
        os.close(self.at)
        self.at, self.here = fd, os.path.normpath(path)

    def _seen(self) -> os.stat_result:
        return os.fstat(self.at)

    def _judge(self) -> None:
        there = self._seen()
        if os.geteuid() == 0 and there.st_uid not in self._ours | ({self._owner[0]} if self._owner else set()):
            raise self._unsafe(self.here, f"it belongs to user {there.st_uid}")
        if there.st_mode & stat.S_IWOTH and not there.st_mode & stat.S_ISVTX:
            raise self._unsafe(self.here, "every user can write in it")

    def _unsafe(self, path: str, why: str, *, is_link: bool = False) -> CaasError:
        problem = f"nothing is written or removed in {self._folder}: {path} is not safe"
        cause = f"{why}: other files, or links to other places, could be put in caasctl's way"
        if self._named:
            return UsageError(problem, cause=cause, fix="name a path in a folder that nobody else can write in")
        mend = f"mv {shlex.quote(path)} {shlex.quote(path + '.mine')}" if is_link else mended(path)
        return UnsafeError(problem, cause=cause, fix=f"see who uses it; then `{mend}`, and run the same command again",
                           path=path, is_link=is_link)  # fmt: skip


def mended(path: str) -> str:
    """The command by which a folder is root's alone."""
    return f"chown root: {shlex.quote(path)} && chmod o-w {shlex.quote(path)}"


def _came_by_sudo() -> set[int]:
    """Who became root by sudo: what they could change, they can change anyway."""
    uid = os.environ.get("SUDO_UID", "")
    return {int(uid)} if os.geteuid() == 0 and uid.isdecimal() else set()
