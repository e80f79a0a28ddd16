"""The one door to a host: LiveHost opens files and, through processes, starts commands; nothing else in caasctl does."""

from __future__ import annotations

import errno
import os
import stat as stat_module
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath

from caasctl.faults import cannot, is_root, not_a_file, why
from caasctl.hidden import Secrets
from caasctl.host import processes, safety
from caasctl.model import CaasError, CommandError, LockedError, Unreadable, UsageError
from caasctl.protocol import Completed, FileKind, Reader, Stat

MAX_BYTES = 16 * 1024 * 1024  # a modules.dep is 1 MB, a full grub.cfg 0.3 MB; anything larger is not for us
_KINDS = {
    stat_module.S_IFREG: FileKind.FILE,
    stat_module.S_IFDIR: FileKind.DIR,
    stat_module.S_IFLNK: FileKind.LINK,
    stat_module.S_IFCHR: FileKind.CHAR,
    stat_module.S_IFBLK: FileKind.BLOCK,
}
_OTHERS = 0o077
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
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
        self._secrets = Secrets()

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
        target, there = self._place("write", path)
        if there and there.kind is not FileKind.FILE:
            raise not_a_file(path, there.kind, self.readlink(path))
        if not mode & _OTHERS:
            self._secrets.add_of(data.decode("utf-8", "replace"))
        keep = owner or ((there.uid, there.gid) if there else None)
        folder, name = os.path.split(target)
        temporary = f".{name}.caasctl-new"
        try:
            with safety.opened(folder, self.root, owner, make=True) as at:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=at)  # left by a run that was killed
                fd = os.open(temporary, _NEW, 0o600, dir_fd=at)
                try:
                    _fill(fd, data, mode, keep if is_root() else None)
                    os.rename(temporary, name, src_dir_fd=at, dst_dir_fd=at)
                except BaseException:
                    with suppress(FileNotFoundError):
                        os.unlink(temporary, dir_fd=at)
                    raise
                os.fsync(at)
        except OSError as error:
            raise cannot("write", path, error) from error

    def fit(self, path: str) -> None:
        """Raises CaasError where a file may not be written, since others than root could lead the write elsewhere."""
        with suppress(OSError), safety.opened(os.path.dirname(self._inside(path, follow=False)), self.root):
            pass  # a folder that is not there yet is made safe

    def write_value(self, path: str, text: str) -> None:
        try:
            with open(self._inside(path), "w", encoding="ascii") as file:
                file.write(text)
        except OSError as error:
            raise cannot("set", path, error) from error

    def remove(self, path: str) -> None:
        target, there = self._place("remove", path)
        if there is None:
            return
        folder, name = os.path.split(target)
        try:
            with safety.opened(folder, self.root, (there.uid, there.gid)) as at:
                os.unlink(name, dir_fd=at)
                os.fsync(at)
        except FileNotFoundError:
            return
        except OSError as error:
            raise cannot("remove", path, error) from error

    def remove_tree(self, path: str) -> None:
        if not path.startswith("/run/caasctl/"):
            raise CaasError(f"{path} is not below /run/caasctl", cause="only caasctl's own work folders are removed whole",
                            fix="report this as a bug of caasctl")  # fmt: skip
        import shutil  # noqa: PLC0415 - only when something is changed

        try:
            shutil.rmtree(self._inside(path, follow=False))  # follows no link, also where one is put there meanwhile
        except FileNotFoundError:
            return
        except OSError as error:
            raise cannot("remove", path, error) from error

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        if self.root != "/":
            raise CaasError(f"{argv[0]} cannot run in the tree at {self.root}", cause="it would act on this machine instead",
                            fix="run caasctl on the host itself, or render the files with `caasctl render`")  # fmt: skip
        try:
            return processes.execute(argv, timeout_s, self.say, self._lock_fd, direct)
        except CommandError as error:  # nor does a traceback tell what was said
            raise CommandError(*map(self.without, error.args), cause=self.without(error.cause), fix=error.fix) from None

    def say(self, line: str) -> None:
        self._progress(self.without(line))

    def hide(self, secrets: Iterable[str] = (), texts: Iterable[str] = ()) -> None:
        """Remembers secrets, and those in the texts of files: nothing that this host says from now on holds them."""
        self._secrets.add(secrets)
        for text in texts:
            self._secrets.add_of(text)

    def without(self, text: str) -> str:
        """The text with every secret hidden that this run has met."""
        return self._secrets.without(text)

    @contextmanager
    def lock(self, path: str, owner: str) -> Iterator[None]:
        """Holds the host's one lock; children inherit it. Raises LockedError with the text of the owner."""
        import fcntl  # noqa: PLC0415 - only when something is changed

        try:
            os.makedirs(os.path.dirname(self._inside(path)), mode=0o755, exist_ok=True)
            fd = os.open(self._inside(path), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
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

    def _place(self, verb: str, path: str) -> tuple[str, Stat | None]:
        """Where a path that is to be changed lies, and what is there. Raises CaasError where that cannot be seen."""
        try:
            return self._inside(path, follow=False), self.stat(path, follow=False)
        except Unreadable as unreadable:
            raise CaasError(f"cannot {verb} {path}", cause=unreadable.reason,
                            fix="mend that, then run the same command again") from unreadable  # fmt: skip

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


def _fill(fd: int, data: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    """Content, owner, and only then the mode that lets others read it; it is on disk when this returns."""
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        if owner:
            os.fchown(fd, *owner)
        os.fchmod(fd, mode)
        file.flush()
        os.fsync(fd)
