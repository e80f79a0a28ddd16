"""The one door to a host: LiveHost opens files and, through processes, starts commands; nothing else in caasctl does."""

from __future__ import annotations

import errno
import os
import stat as stat_module
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath

from caasctl.faults import cannot, is_root, not_a_file, why
from caasctl.host import folders, processes
from caasctl.model import CaasError, LockedError, Unreadable, UsageError
from caasctl.protocol import Completed, FileKind, Reader, Stat

MAX_BYTES = 16 * 1024 * 1024  # a modules.dep is 1 MB, a full grub.cfg 0.3 MB; anything larger is not for us
_KINDS = {
    stat_module.S_IFREG: FileKind.FILE,
    stat_module.S_IFDIR: FileKind.DIR,
    stat_module.S_IFLNK: FileKind.LINK,
    stat_module.S_IFCHR: FileKind.CHAR,
    stat_module.S_IFBLK: FileKind.BLOCK,
}
Progress = Callable[[str], None]


def glob(host: Reader, folder: str, suffix: str) -> tuple[str, ...]:
    """Paths of the files in `folder` that a shell's `*suffix` would name, in C order."""
    names = host.list(folder) or ()
    return tuple(f"{folder}/{name}" for name in names if name.endswith(suffix) and not name.startswith("."))


def _silent(_line: str) -> None:
    """Progress for whoever wants none."""


class LiveHost:
    """Reader and Writer of this machine, or of a tree at `root`, where commands cannot speak for the tree.

    Links inside a tree are resolved inside it. A tree has no processes: `query` raises Unreadable, `execute` CaasError.
    """

    def __init__(self, root: str = "/", *, progress: Progress = _silent) -> None:
        self.root = os.path.abspath(root)
        self._progress = progress
        self._lock_fd: int | None = None

    def read_bytes(self, path: str) -> bytes | None:
        try:
            fd = os.open(self._inside(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unreadable(path, why(error)) from error
        try:
            return _content(path, fd)
        except OSError as error:
            raise Unreadable(path, why(error)) from error
        finally:
            os.close(fd)

    def read(self, path: str) -> str | None:
        data = self.read_bytes(path)
        return None if data is None else decode(path, data)

    def list(self, path: str) -> tuple[str, ...] | None:
        try:
            return tuple(sorted(os.listdir(self._inside(path))))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unreadable(path, why(error)) from error

    def readlink(self, path: str) -> str | None:
        try:
            return os.readlink(self._inside(path, follow=False))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL):
                return None
            raise Unreadable(path, why(error)) from error

    def stat(self, path: str, *, follow: bool = True) -> Stat | None:
        try:
            here = os.stat(self._inside(path, follow=follow), follow_symlinks=follow)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unreadable(path, why(error)) from error
        kind = _KINDS.get(stat_module.S_IFMT(here.st_mode), FileKind.OTHER)
        return Stat(kind, stat_module.S_IMODE(here.st_mode), here.st_uid, here.st_gid, here.st_size, here.st_ctime_ns)

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        if self.root != "/":
            raise Unreadable(argv[0], "a command of this machine says nothing about the tree at --root")
        return processes.query(argv, timeout_s)

    def write(self, path: str, data: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
        target = self._inside(path, follow=False)
        there = self.stat(path, follow=False)
        if there and there.kind is not FileKind.FILE:
            raise not_a_file(path, there.kind, self.readlink(path))
        folder, name = os.path.split(target)
        temporary = os.path.join(folder, f".{name}.caasctl-new")
        try:
            _make_folders(folder, owner)
            with suppress(FileNotFoundError):
                os.unlink(temporary)  # left by a run that was killed
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(data)
                    if (keep := owner or (there and (there.uid, there.gid))) and is_root():
                        os.fchown(fd, *keep)
                    os.fchmod(fd, mode)
                    file.flush()
                    os.fsync(fd)
                os.rename(temporary, target)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(temporary)
                raise
            _sync_folder(folder)
        except OSError as error:
            raise cannot("write", path, error) from error

    def write_value(self, path: str, text: str) -> None:
        try:
            with open(self._inside(path), "w", encoding="ascii") as file:
                file.write(text)
        except OSError as error:
            raise cannot("set", path, error) from error

    def remove(self, path: str) -> None:
        target = self._inside(path, follow=False)
        try:
            os.unlink(target)
            _sync_folder(os.path.dirname(target))
        except FileNotFoundError:
            return
        except OSError as error:
            raise cannot("remove", path, error) from error

    def remove_tree(self, path: str) -> None:
        if not path.startswith("/run/caasctl/"):
            raise CaasError(f"{path} is not below /run/caasctl", cause="only caasctl's own work folders are removed whole",
                            fix="report this as a bug of caasctl")  # fmt: skip
        target = self._inside(path, follow=False)
        try:
            for folder, folders, files in os.walk(target, topdown=False):
                for name in files:
                    os.unlink(os.path.join(folder, name))
                for name in folders:
                    os.rmdir(os.path.join(folder, name))
            with suppress(FileNotFoundError):
                os.rmdir(target)
        except OSError as error:
            raise cannot("remove", path, error) from error

    def private_folder(self, path: str) -> None:
        try:
            folders.make_private(self._inside(path, follow=False))
        except OSError as error:
            raise cannot("make the folder", path, error) from error

    def remove_folder(self, path: str) -> None:
        try:
            folders.remove_empty(self._inside(path, follow=False))
        except OSError as error:
            raise cannot("remove the folder", path, error) from error

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        if self.root != "/":
            raise CaasError(f"{argv[0]} cannot run in the tree at {self.root}", cause="it would act on this machine instead",
                            fix="run caasctl on the host itself, or render the files with `caasctl render`")  # fmt: skip
        return processes.execute(argv, timeout_s, self._progress, self._lock_fd, direct)

    def say(self, line: str) -> None:
        self._progress(line)

    @contextmanager
    def lock(self, path: str, owner: str) -> Iterator[None]:
        """Holds the host's one lock; children inherit it. Raises LockedError with the text of the owner."""
        import fcntl  # noqa: PLC0415 - only when something is changed

        try:
            os.makedirs(os.path.dirname(self._inside(path)), mode=0o755, exist_ok=True)
            fd = os.open(self._inside(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise cannot("lock", path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            held_by = os.pread(fd, 4096, 0).decode("utf-8", "replace").strip() or "an owner that left no name"
            os.close(fd)
            raise LockedError("another caasctl run is changing this host", cause=held_by,
                              fix="wait for it to end; the lock goes with its process") from error  # fmt: skip
        try:
            os.set_inheritable(fd, True)
            self._lock_fd = fd
            self.note(owner)
            yield
        finally:
            self._lock_fd = None
            os.close(fd)

    def note(self, text: str) -> None:
        """Replaces what the lock says of its owner; nothing to do where no lock is held."""
        if self._lock_fd is not None:
            os.ftruncate(self._lock_fd, 0)
            os.pwrite(self._lock_fd, text.encode(), 0)

    def _inside(self, path: str, *, follow: bool = True) -> str:
        """Where `path` of the host lies for this process; links of a tree lead to places in the tree."""
        if self.root == "/":
            return path
        done: list[str] = []
        todo = list(PurePosixPath("/", path).parts[1:])[::-1]
        for _ in range(255):
            if not todo:
                return os.path.join(self.root, *done)
            part = todo.pop()
            if part == "..":
                done = done[:-1]
                continue
            here = os.path.join(self.root, *done, part)
            if (todo or follow) and os.path.islink(here):
                target = PurePosixPath(os.readlink(here))
                done = [] if target.is_absolute() else done
                todo += [p for p in target.parts if p != "/"][::-1]
            else:
                done.append(part)
        raise Unreadable(path, "too many levels of symbolic links")


def _content(path: str, fd: int) -> bytes:
    kind = os.fstat(fd).st_mode
    if not stat_module.S_ISREG(kind):
        raise Unreadable(path, "is a directory" if stat_module.S_ISDIR(kind) else "is no file")
    data = bytearray()
    while block := os.read(fd, 1 << 20):
        data += block
        if len(data) > MAX_BYTES:
            raise Unreadable(path, f"is larger than {MAX_BYTES >> 20} MiB")
    return bytes(data)


def decode(path: str, data: bytes) -> str:
    """The text of a file's bytes; raises Unreadable that names the first byte that is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(path, f"is not UTF-8 (byte {error.start} is 0x{data[error.start]:02x})") from error


def user_file(path: str) -> str:
    """The text of a file that the user named on the command line, of this machine whatever --root says."""
    try:
        text = LiveHost().read(os.path.abspath(path))
    except Unreadable as error:
        raise UsageError(f"{path} {error.reason}", cause="it was named on the command line",
                         fix="name a readable UTF-8 text file") from error  # fmt: skip
    if text is None:
        raise UsageError(f"{path} does not exist", cause="it was named on the command line", fix="check the path")
    return text


def _make_folders(folder: str, owner: tuple[int, int] | None) -> None:
    """The folder and its missing parents, each given to `owner` where there is one."""
    missing = []
    while not os.path.isdir(folder) and folder != "/":
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        os.mkdir(path, 0o755)
        if owner and is_root():
            os.chown(path, *owner, follow_symlinks=False)


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
