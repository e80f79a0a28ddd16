"""Whether Debian's packages are whole, and who holds the locks of dpkg and apt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

STATUS, UPDATES = "/var/lib/dpkg/status", "/var/lib/dpkg/updates"
LOCKS = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
)
# What a package is in while dpkg works on it, and stays in where dpkg was cut short; triggers are finished by the next run.
_CUT_SHORT = ("half-installed", "unpacked", "half-configured")
_STATE = re.compile(r"^Package: (\S+)\nStatus: (\S+) (\S+) (\S+)$", re.MULTILINE)
_POSIX = re.compile(r"^\d+: POSIX\s+ADVISORY\s+WRITE\s+(\d+)\s", re.MULTILINE)
_UNIT = re.compile(r"/([^/\n]+\.service)(?:/|$)", re.MULTILINE)
_INTERPRETERS = re.compile(r"(python|perl|sh|bash|dash)[\d.]*$")
_PACKAGERS = ("apt", "dpkg", "aptitude", "unattended-upgr", "packagekitd", "synaptic")


@dataclass(frozen=True)
class DpkgState:
    """there: the host has dpkg. cut_short: package -> half-installed, unpacked or half-configured. journal: names in
    /var/lib/dpkg/updates, of a run that ended before it wrote its status. held_away: on hold, and not installed.
    """

    there: bool
    cut_short: Mapping[str, str] = field(default_factory=dict)
    journal: tuple[str, ...] = ()
    held_away: tuple[str, ...] = ()


@dataclass(frozen=True)
class LockHolder:
    """Who holds a lock. program: its name, without arguments. unit: the systemd service that it belongs to, "" without."""

    path: str
    pid: int
    program: str
    unit: str = ""


@dataclass(frozen=True)
class PackageLocks:
    """One holder for each of LOCKS that is held now."""

    holders: tuple[LockHolder, ...] = ()


def parse_states(text: str) -> DpkgState:
    """Of dpkg's status file."""
    cut_short, held = {}, []
    for name, want, error, state in _STATE.findall(text):
        if state in _CUT_SHORT or error == "reinstreq":
            cut_short[name] = state
        elif want == "hold" and state in ("not-installed", "config-files"):
            held.append(name)
    return DpkgState(there=True, cut_short=cut_short, held_away=tuple(held))


def read_state(host: Reader) -> DpkgState:
    text = host.read(STATUS)
    if text is None:
        return DpkgState(there=False)
    found = parse_states(text)
    journal = tuple(
        name for name in host.list(UPDATES) or () if name.isdigit()
    )  # as apt itself looks: debSystem::CheckUpdates
    return DpkgState(there=True, cut_short=found.cut_short, journal=journal, held_away=found.held_away)


def parse_lockers(text: str) -> tuple[int, ...]:
    """Processes with a write lock of fcntl in /proc/locks, which is how dpkg and apt lock."""
    return tuple(dict.fromkeys(int(pid) for pid in _POSIX.findall(text) if int(pid)))


def program_of(command: str, comm: str) -> str:
    """apt-get of /usr/bin/apt-get and its arguments, the script's name where an interpreter runs one. Arguments may be secret."""
    words = [word.rpartition("/")[2] for word in command.split("\0")[:2] if word and not word.startswith("-")]
    if len(words) > 1 and _INTERPRETERS.match(words[0]):
        return words[1]
    return words[0] if words else comm


def read_locks(host: Reader) -> PackageLocks:
    """The links in /proc/PID/fd of those that hold any lock; root sees all of them."""
    holders = {
        holder.path: holder for pid in parse_lockers(host.read("/proc/locks") or "") for holder in _held(host, pid)
    }
    return PackageLocks(tuple(holders[path] for path in LOCKS if path in holders))


def _held(host: Reader, pid: int) -> Iterator[LockHolder]:
    base = f"/proc/{pid}"
    comm = (host.read(f"{base}/comm") or "").strip()
    try:
        opened = {host.readlink(f"{base}/fd/{name}") for name in host.list(f"{base}/fd") or ()}
    except Unreadable:
        if comm.startswith(_PACKAGERS):
            raise
        return  # of another user's program that installs no packages
    for path in LOCKS:
        if path in opened:
            program = program_of(host.read(f"{base}/cmdline") or "", comm)
            units = _UNIT.findall(host.read(f"{base}/cgroup") or "")
            yield LockHolder(path, pid, program or "a program", units[-1] if units else "")


PROBES: tuple[Probe, ...] = (Probe(DpkgState, read_state), Probe(PackageLocks, read_locks))
