"""The host's one lock: who holds it, since when and at what; what a dead run left running is waited for, not raced."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timezone
from typing import Any

from caasctl.faults import StoppedError, cannot
from caasctl.frozen import dataclass
from caasctl.host.disk import place_of
from caasctl.model import CaasError, LockedError

SIZE = 4096  # one page, written whole each time: a note during a run needs no space that is not there yet
POLL_S, SAY_EVERY_S = 0.1, 10.0
GRACE_S = 0.5  # between the taking of the lock and the first note of who took it
LEAST_S, MOST_S = 30.0, 3600.0  # how long a program of a dead run is waited for, whatever its own deadline says
_LONGEST = 300


@dataclass(frozen=True)
class Process:
    """A process as /proc has it. ticks: its start since boot, by which a re-used pid is told from it."""

    pid: int
    state: str
    ticks: int


@dataclass(frozen=True)
class Owner:
    """What a holder says of itself. started: ISO 8601. runs: the command it waits for, until `until_s` on the monotonic clock."""

    command: str
    pid: int
    ticks: int
    started: str
    at: str = ""
    runs: str = ""
    until_s: float = 0.0
    ended: bool = False

    def __str__(self) -> str:
        at = f", at {self.at}" if self.at else ""
        return f"pid {self.pid}: `{self.command}`, started {self.started}{at}"

    @property
    def alive(self) -> bool:
        there = look(self.pid)
        return not self.ended and there is not None and there.state not in "ZX" and there.ticks == self.ticks


class Lock:
    """A lock that is held. fd: given to children that change things, so that they hold it too.

    before: what its last holder left in the file; None where that one died, or left something running: it may have changed the host.
    """

    def __init__(self, fd: int, command: str, *, waited: bool = False) -> None:
        me, last = look(os.getpid()), _owner(fd)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        left = os.pread(fd, SIZE, 0).decode("utf-8", "replace")
        self.fd, self.before = fd, None if waited or (left and not (last and last.ended)) else left
        self.owner = Owner(command[:_LONGEST], os.getpid(), me.ticks if me else 0, now)
        self._write()

    def note(self, at: str) -> None:
        """Says what the run is at."""
        self.owner = replace(self.owner, at=at[:_LONGEST])
        self._write()

    def runs(self, command: str, until_s: float = 0.0) -> None:
        """Says which command the run waits for; "" for none."""
        self.owner = replace(self.owner, runs=command[:_LONGEST], until_s=until_s)
        self._write()

    def left(self) -> str:
        """The other processes that hold it, in words."""
        return named(others(self.fd))

    def release(self) -> None:
        self.owner = replace(self.owner, ended=True)
        try:
            self._write()
        finally:
            os.close(self.fd)

    def _write(self) -> None:
        text = json.dumps(asdict(self.owner), ensure_ascii=False)
        os.pwrite(self.fd, text.encode(errors="replace").ljust(SIZE), 0)


def take(path: str, command: str, say: Callable[[str], None], stop: Callable[[], bool]) -> Lock:
    """Takes the lock; waits where only what a dead run began still holds it, and says so. Raises LockedError, StoppedError."""
    try:
        while True:
            fd = _opened(path)
            try:
                waited = _wait(fd, say, stop)
                if _same(fd, path):  # else somebody removed the file meanwhile: a lock on it means nothing
                    return Lock(fd, command, waited=waited)
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
    except OSError as error:
        raise cannot("lock", path, error, place_of(path)) from error


def refuse_held(left: str) -> None:
    """Raises LockedError where what is left in the lock's file is of a run that goes on, and not this one's own."""
    owner = _parsed(left)
    if owner and owner.alive and owner.pid != os.getpid():
        raise _held(owner)


def look(pid: int) -> Process | None:
    """None where there is no such process that we may see."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return Process(pid, fields[0], int(fields[19])) if len(fields) > 19 else None  # noqa: PLR2004 - proc(5)


def others(fd: int) -> tuple[int, ...]:
    """The other processes that hold a file open, as far as we may see."""
    here, found = os.fstat(fd), []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            with suppress(OSError):  # it may end while it is looked at
                if any(_is(here, f"/proc/{name}/fd/{number}") for number in os.listdir(f"/proc/{name}/fd")):
                    found.append(int(name))
    return tuple(found)


def words_of(pid: int) -> str:
    """The command line of a process."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            said = file.read(_LONGEST)
    except OSError:
        return ""
    return " ".join(said.decode("utf-8", "replace").split("\0")).strip()


def named(pids: tuple[int, ...]) -> str:
    """`helm upgrade …` (pid 12), for a message."""
    return ", ".join(f"`{words_of(pid) or 'a process that just ended'}` (pid {pid})" for pid in pids)


def _opened(path: str) -> int:
    """The lock file, in a folder that nobody else can look or write into. Raises CaasError, OSError."""
    folder, name = os.path.split(path)
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    there = os.lstat(folder)
    if stat.S_ISREG(there.st_mode):
        raise FileExistsError(17, "file exists", folder)
    if not stat.S_ISDIR(there.st_mode) or there.st_uid != os.geteuid():
        raise _planted(folder, "a directory of root's own")
    inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(inside, 0o700)
        return _own_file(path, name, inside)
    finally:
        os.close(inside)


def _own_file(path: str, name: str, folder: int) -> int:
    with suppress(FileNotFoundError):
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(there.st_mode) or there.st_nlink != 1:
            raise _planted(path, "a plain file with one name")
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            os.fchown(fd, os.geteuid(), -1)
        os.fchmod(fd, 0o600)
    except OSError:
        os.close(fd)
        raise
    return fd


def _planted(path: str, wanted: str) -> CaasError:
    return CaasError(f"{path} is not {wanted}", cause="caasctl takes its lock there, and writes through nothing that others made",
                     fix=f"see who made it (`ls -ld {path}`), move it away, then run the same command again")  # fmt: skip


def _is(here: os.stat_result, path: str) -> bool:
    try:
        there = os.stat(path)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _same(fd: int, path: str) -> bool:
    return _is(os.fstat(fd), path)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(fd: int, say: Callable[[str], None], stop: Callable[[], bool]) -> bool:
    """Whether something of a dead run was still there to be waited for."""
    began, said_at, waited = time.monotonic(), 0.0, False
    while not _locked(fd):
        waited = True
        owner, now = _owner(fd), time.monotonic()
        if owner and owner.alive:
            raise _held(owner)
        end = began + _patience_s(owner, began)
        if stop():
            raise StoppedError("stopped while waiting for what a dead run left running: nothing was changed", cause=named(others(fd)),
                               fix="run the same command again: it waits on")  # fmt: skip
        if now >= end:
            raise _left(owner, others(fd), now - began)
        if now - began > GRACE_S and now - said_at > SAY_EVERY_S:
            say(f"{_dead(owner)}: waits for {named(others(fd)) or 'what it began'}, at most {end - now:.0f} s more")
            said_at = now
        time.sleep(POLL_S)
    return waited


def _owner(fd: int) -> Owner | None:
    """None where the file says nothing: nobody wrote into it yet, or not caasctl."""
    return _parsed(os.pread(fd, SIZE, 0))


def _parsed(left: str | bytes) -> Owner | None:
    try:
        found: dict[str, Any] = json.loads(left)
        return Owner(**found)
    except (ValueError, TypeError):
        return None


def _held(owner: Owner) -> LockedError:
    return LockedError("another caasctl run is changing this host", cause=str(owner),
                       fix="wait for it to end; the lock goes with its process")  # fmt: skip


def _patience_s(owner: Owner | None, now: float) -> float:
    return min(max(owner.until_s - now if owner else 0.0, LEAST_S), MOST_S)


def _dead(owner: Owner | None) -> str:
    return f"the run that was {owner} is dead" if owner else "a run that left no name is dead"


def _left(owner: Owner | None, pids: tuple[int, ...], waited_s: float) -> LockedError:
    stuck = [pid for pid in pids if (there := look(pid)) and there.state == "D"]
    said = named(pids) or "a process that cannot be seen from here, such as one in another container,"
    fix = f"see what it waits for; if it hangs, `kill {' '.join(map(str, pids))}`" if pids else "find and end it"
    if stuck:
        said, fix = f"{named(tuple(stuck))} waits inside the kernel and", "only a reboot ends it: reboot"
    return LockedError("a program that a dead caasctl run began still changes this host",
                       cause=f"{said} still runs after {waited_s:.0f} s of waiting; {_dead(owner)}",
                       fix=f"{fix}, then run the same command again")  # fmt: skip
