"""What programs told systemd's journal since the boot, else syslog: the kubelet, containerd, Kata, the kernel, systemd."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from caasctl.diagnosis import Line
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.clock import now
from caasctl.syntax.logs import RECENT, Entry, parse_dmesg, parse_journal, parse_syslog, since, until, worth

_FIELDS = "MESSAGE,PRIORITY,_PID,UNIT,SYSLOG_IDENTIFIER"
# --all: else a message of more than 4 KiB is null
_JSON = ("--no-pager", "--all", "-o", "json", f"--output-fields={_FIELDS}")
KUBELET = ("journalctl", "-b", "-u", "kubelet.service", "-n", "3000", *_JSON)
CONTAINERD = ("journalctl", "-b", "-u", "containerd.service", "-n", "3000", *_JSON)
KATA = ("journalctl", "-b", "-t", "kata", "-n", "1000", *_JSON)
KERNEL = ("journalctl", "-b", "-k", "-n", "5000", *_JSON)
UNITS = ("journalctl", "-b", "-p", "warning", "-n", "500", *_JSON, "_PID=1")
DMESG = ("dmesg", "--time-format", "iso")
_TIMEOUT_S = 5.0
SYSLOGS = ("/var/log/syslog", "/var/log/messages", "/var/log/kern.log")
SYSLOG_BYTES = 1024 * 1024
_JOURNALS = ("/run/log/journal", "/var/log/journal")
_OURS = ("kubelet.service", "containerd.service")
_NOT_ALL = ("not seeing messages from other users", "insufficient permissions", "permission denied")


@dataclass(frozen=True)
class KubeletJournal:
    """What the kubelet said, oldest first, and systemd of its service (kind unit). At most the last 3000 records."""

    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class ContainerdJournal:
    """What containerd and its shims said, and systemd of its service (kind unit). At most the last 3000 records."""

    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class KataJournal:
    """What Kata's shims said, of all pods. At most the last 1000 records."""

    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class KernelLog:
    """What the kernel said since the boot, at most 5000 lines."""

    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class UnitsJournal:
    """Warnings and errors of systemd about other units than kubelet and containerd, at most 500 since the boot."""

    lines: tuple[Line, ...] = ()


def _asked(host: Reader, argv: tuple[str, ...]) -> tuple[Entry, ...]:
    """Raises Unreadable: no journal, or one that only root sees."""
    done = host.query(*argv, timeout_s=_TIMEOUT_S)
    what = " ".join(word for word in argv if word not in _JSON)
    if done.missing:
        raise Unreadable(what, "there is no systemd journal here")
    if any(words in done.stderr for words in _NOT_ALL):
        raise Unreadable(what, "permission denied (needs root)")
    if not done.ok or "No journal files were found" in done.stderr:
        raise Unreadable(what, (done.stderr.strip().splitlines() or [f"exit status {done.rc}"])[-1][:200])
    if not done.stdout and not _journals(host):
        raise Unreadable(what, "there are no journal files")
    return parse_journal(done.stdout)


def _journals(host: Reader) -> bool:
    """Whether journald has written anything, in its folder of this machine: without it journalctl is content and silent."""
    return any(host.list(f"{top}/{machine}") for top in _JOURNALS for machine in host.list(top) or ())


def _said(host: Reader, argv: tuple[str, ...], speakers: tuple[str, ...]) -> tuple[Entry, ...]:
    """The journal's records, else those of syslog's files; raises Unreadable where neither is there."""
    try:
        return until(_asked(host, argv), now(host))
    except Unreadable:
        found = tuple(entry for entry in _syslog(host) if entry.speaker in speakers)
        if not found:
            raise
        return found


def _syslog(host: Reader) -> tuple[Entry, ...]:
    """Of the first file that is there: syslog of Debian, messages of Red Hat, kern.log where there is nothing else."""
    for path in SYSLOGS:
        text = host.tail(path, SYSLOG_BYTES)
        if text:
            return parse_syslog(text)
    return ()


def lines_of(entries: Iterable[Entry], kind: str, name: str) -> tuple[Line, ...]:
    """name: of who speaks. What systemd says of a service is of kind unit."""
    return tuple(
        Line("unit", "journal of systemd", entry.text, entry.at)
        if entry.speaker == "systemd"
        else Line(kind, f"journal of {name}", entry.text, entry.at)
        for entry in entries
    )


def read_kubelet(host: Reader) -> KubeletJournal:
    found = worth(_said(host, KUBELET, ("kubelet",)), "kubelet", now(host))
    return KubeletJournal(lines_of(found, "kubelet", "kubelet"))


def read_containerd(host: Reader) -> ContainerdJournal:
    found = worth(_said(host, CONTAINERD, ("containerd",)), "containerd", now(host))
    return ContainerdJournal(
        lines_of((entry for entry in found if entry.speaker != "kata"), "containerd", "containerd")
    )


def read_kata(host: Reader) -> KataJournal:
    """A pod that cannot start is tried again within minutes."""
    found = _said(host, KATA, ("kata",))
    at = now(host)
    return KataJournal(lines_of(since(found, at - RECENT) if at else found, "containerd", "kata"))


def read_units(host: Reader) -> UnitsJournal:
    found = _said(host, UNITS, ("systemd",))
    return UnitsJournal(lines_of((entry for entry in found if entry.unit not in _OURS), "unit", "systemd"))


def read_kernel(host: Reader) -> KernelLog:
    """The journal holds all since the boot; the kernel's own buffer, which it overwrites, is second best."""
    for look, argv in ((_asked, KERNEL), (_dmesg, DMESG)):
        with suppress(Unreadable):
            if found := look(host, argv):
                return KernelLog(lines_of(found, "kernel", "the kernel"))
    found = tuple(entry for entry in _syslog(host) if entry.speaker == "kernel")
    return KernelLog(lines_of(found or _dmesg(host, DMESG), "kernel", "the kernel"))


def _dmesg(host: Reader, argv: tuple[str, ...]) -> tuple[Entry, ...]:
    done = host.query(*argv, timeout_s=_TIMEOUT_S)
    if not done.ok:
        why = "permission denied (needs root)" if "not permitted" in done.stderr else done.stderr.strip()[:200]
        raise Unreadable("dmesg", why or f"exit status {done.rc}")
    return parse_dmesg(done.stdout)


PROBES: tuple[Probe, ...] = (
    Probe(KubeletJournal, read_kubelet),
    Probe(ContainerdJournal, read_containerd),
    Probe(KataJournal, read_kata),
    Probe(KernelLog, read_kernel),
    Probe(UnitsJournal, read_units),
)
