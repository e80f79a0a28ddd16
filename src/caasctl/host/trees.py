"""LiveHost's folders and links: private ones, unpacked ones, those that take another's place; each change whole or not at all."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from caasctl.faults import cannot
from caasctl.host import disk, safety
from caasctl.model import CaasError

WORK = "/run/caasctl/"
_BLOCK = 1 << 20
PARTIAL = ".partial"  # behind the name of what is being unpacked, or removed
_UNPACKED = re.compile(r".+-[0-9a-f]{12}(\.partial)?")  # as the folders are named that caasctl unpacks


class Trees:
    """What LiveHost does with folders; `_inside` and `say` are its own."""

    root: str
    _disk: disk.Disk

    def _inside(self, path: str, *, follow: bool = True) -> str:
        raise NotImplementedError

    def say(self, line: str) -> None:
        raise NotImplementedError

    def remove_tree(self, path: str) -> None:
        if not path.startswith(WORK) and not _UNPACKED.fullmatch(os.path.basename(path)):
            raise CaasError(f"{path} is none of caasctl's own folders", cause="only those are removed whole",
                            fix="report this as a bug of caasctl")  # fmt: skip
        if path.startswith(WORK) or path.endswith(PARTIAL):
            self._remove_all(path)
            return
        self._remove_all(path + PARTIAL)
        if os.path.lexists(self._inside(path, follow=False)):
            self.move(path, path + PARTIAL)  # half of one must not look like a whole one
            self._remove_all(path + PARTIAL)

    def _remove_all(self, path: str) -> None:
        import shutil  # noqa: PLC0415 - only when something is changed

        target = self._inside(path, follow=False)
        try:
            shutil.rmtree(target)  # follows no link, also where one is put there meanwhile
        except FileNotFoundError:
            return
        except OSError as error:
            raise cannot("remove", path, error, disk.place_of(target)) from error

    def private_folder(self, path: str) -> None:
        with self._above("make the folder", path, make=True) as (at, target):
            disk.private_folder(self._disk, at, target)

    def remove_folder(self, path: str) -> None:
        with self._above("remove the folder", path) as (at, target):
            disk.remove_empty(self._disk, at, target)

    def unpack(self, archive: str, folder: str, sha256: str, top: str, see: Callable[[str, bytes], None]) -> None:
        from caasctl.host.archive import Archive  # noqa: PLC0415 - 10 ms, only where a tarball is unpacked
        from caasctl.host.folder import Folder  # noqa: PLC0415

        with self._opened(archive) as fd, self._above("unpack into", folder, make=True) as (at, target):
            opened = Archive(archive, fd, self.say)
            opened.verify(sha256)
            new = disk.new_folder(self._disk, at, target, 0o755, None)
            into = Folder(new, self._disk)
            try:
                opened.unpack(into, top, see)
                os.fsync(new)
            finally:
                into.close()
                os.close(new)

    def store(self, path: str, blocks: Iterable[bytes], mode: int = 0o600) -> None:
        with self._above("write", path, make=True) as (at, target):
            disk.store(self._disk, at, target, blocks, mode)

    def blocks(self, path: str) -> Iterator[bytes]:
        """A file of any size, block by block; none through a link. Raises CaasError."""
        try:
            fd = os.open(self._inside(path, follow=False), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise cannot("read", path, error) from error
        with os.fdopen(fd, "rb", buffering=0) as file:
            try:
                while block := file.read(_BLOCK):
                    yield block
            except OSError as error:
                raise cannot("read", path, error) from error

    def free_bytes(self, path: str) -> int:
        """Of the file system that a folder lies on, for whoever asks. Raises CaasError."""
        try:
            there = os.statvfs(self._inside(path))
        except OSError as error:
            raise cannot("look at", path, error) from error
        return there.f_bavail * there.f_frsize

    def refuse_unsafe(self, path: str) -> None:
        """Raises CaasError where others than root could change what lies in a folder, while it is used."""
        try:
            with safety.opened(self._inside(path), self.root):
                pass
        except OSError as error:
            raise cannot("open", path, error) from error

    def link(self, path: str, target: str) -> None:
        with self._above("make the link", path, make=True) as (at, here):
            disk.link(self._disk, at, here, target)

    def move(self, path: str, to: str) -> None:
        with self._above("rename", path) as (at, here):
            disk.move(self._disk, at, here, os.path.basename(to))

    @contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        try:
            fd = os.open(self._inside(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise cannot("read", path, error) from error
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _above(self, verb: str, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that a path lies in, and where the path lies. Raises CaasError."""
        target = self._inside(path, follow=False)
        try:
            with safety.opened(os.path.dirname(target), self.root, make=self._disk if make else None) as at:
                yield at, target
        except OSError as error:
            if error.errno == errno.EXDEV or (verb == "rename" and error.errno == errno.EBUSY):
                raise CaasError(f"cannot {verb} {path}", cause="a file system is mounted there",
                                fix=f"`umount {path}`, and take it out of /etc/fstab") from error  # fmt: skip
            raise cannot(verb, path, error, disk.place_of(target)) from error
