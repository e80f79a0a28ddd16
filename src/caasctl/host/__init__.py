"""The one door to a host: LiveHost opens files and, through processes, starts commands; nothing else in caasctl does."""

from __future__ import annotations

import errno
import os
import stat as stat_module
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from caasctl.faults import cannot, not_a_file, why
from caasctl.hidden import Secrets
from caasctl.host import disk, processes, safety, tree, values
from caasctl.host.trees import Trees
from caasctl.model import CaasError, CommandError, Unreadable, UsageError
from caasctl.protocol import Completed, FileKind, Reader, Stat

if TYPE_CHECKING:
    from caasctl.host.lock import Lock

MAX_BYTES = 16 * 1024 * 1024  # a modules.dep is 1 MB, a full grub.cfg 0.3 MB; anything larger is not for us
_KINDS = {
    stat_module.S_IFREG: FileKind.FILE,
    stat_module.S_IFDIR: FileKind.DIR,
    stat_module.S_IFLNK: FileKind.LINK,
    stat_module.S_IFCHR: FileKind.CHAR,
    stat_module.S_IFBLK: FileKind.BLOCK,
}
_OTHERS = 0o077
Progress = Callable[[str], None]


def glob(host: Reader, folder: str, suffix: str) -> tuple[str, ...]:
    """Paths of the files in `folder` that a shell's `*suffix` would name, in C order."""
    names = host.list(folder) or ()
    return tuple(f"{folder}/{name}" for name in names if name.endswith(suffix) and not name.startswith("."))


def unmasked(host: Reader, path: str) -> str:
    """The text of a file of systemd's or sysctl's; "" where it is absent, or a link to /dev/null, which switches it off."""
    return "" if host.readlink(path) == "/dev/null" else host.read(path) or ""


def _silent(_line: str) -> None:
    """Progress for whoever wants none."""


def _never() -> bool:
    """Whether to stop, for whoever is asked by nobody."""
    return False


class LiveHost(Trees):
    """Reader and Writer of this machine, or of a tree at `root`, where commands cannot speak for the tree.

    Links inside a tree are resolved inside it. A tree has no processes: `query` raises Unreadable, `execute` CaasError.
    """

    def __init__(self, root: str = "/", *, progress: Progress = _silent) -> None:
        self.root = os.path.abspath(root)
        self._progress = progress
        self._disk = disk.Disk()
        self._secrets = Secrets()
        self._lock: Lock | None = None
        self._stop = _never
        self._runs: tuple[str, float] | None = None

    def read_bytes(self, path: str) -> bytes | None:
        return self._taken(path, _content)

    def tail(self, path: str, size_bytes: int) -> str | None:
        data = self._taken(path, lambda path, fd: last_lines(_end(path, fd, size_bytes + 1), size_bytes))
        return None if data is None else data.decode("utf-8", "replace")

    def _taken(self, path: str, take: Callable[[str, int], bytes]) -> bytes | None:
        try:
            fd = os.open(self._inside(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unreadable(path, why(error)) from error
        try:
            return take(path, fd)
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
        try:
            with safety.opened(os.path.dirname(target), self.root, owner, make=self._disk) as at:
                disk.replace(self._disk, at, target, data, mode, keep)
        except OSError as error:
            raise cannot("write", path, error, disk.place_of(target)) from error

    def fit(self, path: str) -> None:
        """Raises CaasError where a file may not be written, since others than root could lead the write elsewhere."""
        with suppress(OSError), safety.opened(os.path.dirname(self._inside(path, follow=False)), self.root):
            pass  # a folder that is not there yet is made safe

    def write_value(self, path: str, text: str) -> None:
        values.write(path, self._inside(path), text, self._lock.fd if self._lock else None)

    def remove(self, path: str) -> None:
        target, there = self._place("remove", path)
        if there is None:
            return
        try:
            with safety.opened(os.path.dirname(target), self.root, (there.uid, there.gid)) as at:
                self._disk.unlink(at, target)
                self._disk.sync_folder(at, os.path.dirname(target))
        except FileNotFoundError:
            return
        except OSError as error:
            raise cannot("remove", path, error, disk.place_of(target)) from error

    def tidy(self, path: str) -> None:
        """Removes what a run that was killed while it wrote the file left beside it."""
        left = disk.beside(path)
        there = self.stat(left, follow=False)
        if there and there.kind is FileKind.FILE:  # to remove what is not there fails on a read-only file system
            self.remove(left)

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        if self.root != "/":
            raise CaasError(f"{argv[0]} cannot run in the tree at {self.root}", cause="it would act on this machine instead",
                            fix="run caasctl on the host itself, or render the files with `caasctl render`")  # fmt: skip
        try:
            with self._waits(" ".join(argv), timeout_s):
                return processes.execute(argv, timeout_s, self._surroundings(), direct)
        except CommandError as error:  # nor does a traceback tell what was said
            raise CommandError(*map(self.without, error.args), cause=self.without(error.cause), fix=error.fix) from None

    def say(self, line: str) -> None:
        self._progress(self.without(line))

    def stops(self) -> bool:
        return self._stop()

    def hide(self, secrets: Iterable[str] = (), texts: Iterable[str] = ()) -> None:
        """Remembers secrets, and those in the texts of files: nothing that this host says from now on holds them."""
        self._secrets.add(secrets)
        for text in texts:
            self._secrets.add_of(text)

    def without(self, text: str) -> str:
        """The text with every secret hidden that this run has met."""
        return self._secrets.without(text)

    @property
    def waits_for(self) -> str:
        """The command that runs now and how long it may, "" where none does."""
        if self._runs is None:
            return ""
        command, until_s = self._runs
        return f"`{command}`, at most {max(0.0, until_s - time.monotonic()):.0f} s more"

    @contextmanager
    def lock(
        self, path: str, command: str, *, say: Progress | None = None, stop: Callable[[], bool] = _never
    ) -> Iterator[str | None]:
        """Holds the host's one lock; children inherit it. What a dead run left running is waited for until `stop`.

        command: what holds it, as it was typed. Gives what its last holder left in it, as Lock.before. Raises LockedError with the owner, StoppedError.
        """
        from caasctl.host import lock  # noqa: PLC0415 - only when something is changed

        self._lock, self._stop = lock.take(self._inside(path), command, say or self._progress, stop), stop
        try:
            yield self._lock.before
        finally:
            held, self._lock = self._lock, None
            held.release()

    def note(self, at: str) -> None:
        """Tells who looks at the lock what its owner is at; nothing to do where no lock is held."""
        if self._lock:
            self._lock.note(at)

    @contextmanager
    def _waits(self, command: str, timeout_s: float) -> Iterator[None]:
        until_s = time.monotonic() + timeout_s
        self._runs = (command, until_s)
        if self._lock:
            self._lock.runs(command, until_s)
        try:
            yield
        finally:
            self._runs = None
            if self._lock:
                self._lock.runs("")

    def _surroundings(self) -> processes.Around:
        held = self._lock
        if held is None:
            return processes.Around(self.say)
        return processes.Around(self.say, held.fd, held.left)

    def _place(self, verb: str, path: str) -> tuple[str, Stat | None]:
        """Where a path that is to be changed lies, and what is there. Raises CaasError where that cannot be seen."""
        try:
            return self._inside(path, follow=False), self.stat(path, follow=False)
        except Unreadable as unreadable:
            raise CaasError(f"cannot {verb} {path}", cause=unreadable.reason,
                            fix="mend that, then run the same command again") from unreadable  # fmt: skip

    def _inside(self, path: str, *, follow: bool = True) -> str:
        """Where `path` of the host lies for this process; links of a tree lead to places in the tree."""
        return path if self.root == "/" else tree.inside(self.root, path, follow=follow)


def _must_be_file(path: str, fd: int) -> None:
    kind = os.fstat(fd).st_mode
    if not stat_module.S_ISREG(kind):
        raise Unreadable(path, "is a directory" if stat_module.S_ISDIR(kind) else "is no file")


def _end(path: str, fd: int, size_bytes: int) -> bytes:
    _must_be_file(path, fd)
    return os.pread(fd, size_bytes, max(0, os.fstat(fd).st_size - size_bytes))


def last_lines(data: bytes, size_bytes: int) -> bytes:
    """The end of a text without the line that is cut: what comes before it may be more than `size_bytes`."""
    if len(data) <= size_bytes:
        return data
    return data[-size_bytes - 1 :].partition(b"\n")[2]


def _content(path: str, fd: int) -> bytes:
    _must_be_file(path, fd)
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
