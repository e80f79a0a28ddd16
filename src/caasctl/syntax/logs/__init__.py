"""Logs of a host as records: systemd's journal as JSON, the kernel's buffer, files of a syslog daemon and of containers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from caasctl.formats import FormatError, parse_json
from caasctl.frozen import dataclass

LONGEST = 4096  # characters of a message; containerd logs its whole configuration in one
_MOST = 4 * 1024 * 1024  # characters of all messages of a journal, the newest
_LIFE = timedelta(minutes=10)  # a process that has run so long is not what its service's restarts were about
_FIRST_YEAR = 1970
_TRIES = 4  # of a service that keeps restarting
_SKEW = timedelta(minutes=5)
RECENT = timedelta(hours=1)
_ENDED = re.compile(
    r"(?:Main process exited|Failed with result|Deactivated successfully|: Succeeded\.|Start request repeated)"
)
_DMESG = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)[.,]\d+([+-]\d\d:?\d\d|Z) ?(.*)")
# RFC 3339 as rsyslog writes it since Debian 12 and Ubuntu 24.04, or `Nov 26 07:00:00`, which names neither year nor zone
_SYSLOG = re.compile(
    r"(?:(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) "
    r"\S+ ([\w./-]+)(?:\[(\d+)\])?: (.*)"
)
# time, stream, F for a whole record or P for a part of one
_CONTAINER = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d) (?:stdout|stderr) ([FP])\S* ?(.*)"
)


@dataclass(frozen=True)
class Entry:
    """A record of the journal. pid: of who said it, 1 is systemd. unit: that systemd speaks of, "" for other speakers.

    speaker: its SYSLOG_IDENTIFIER, the program's name.
    """

    text: str
    at: str = ""
    pid: int = 0
    unit: str = ""
    speaker: str = ""


def parse_journal(text: str) -> tuple[Entry, ...]:
    """`journalctl -o json`: a record a line. What is none (the first may be cut) is left out, as is the oldest of too much."""
    found: list[Entry] = []
    left = _MOST
    for line in reversed(text.split("\n")):
        for entry in _entry(line) if line.startswith("{") else ():
            left -= len(entry.text)
            found += [entry] if left >= 0 else []
    return tuple(reversed(found))


def _entry(line: str) -> Iterator[Entry]:
    try:
        record = parse_json(line, "a record of the journal")
    except FormatError:
        return
    if isinstance(record, Mapping) and (text := _message(record.get("MESSAGE"))):
        at, pid = _utc(record.get("__REALTIME_TIMESTAMP")), _number(record.get("_PID"))
        yield Entry(text, at, pid, _word(record.get("UNIT")), _word(record.get("SYSLOG_IDENTIFIER")))


def _message(said: Any) -> str:
    """A list is of bytes where the text is no UTF-8 or has control characters, of texts where the field was given twice."""
    if isinstance(said, list):
        octets = [byte for byte in said if isinstance(byte, int) and 0 <= byte < 256]  # noqa: PLR2004 - bytes
        said = bytes(octets).decode("utf-8", "replace") or " ".join(word for word in said if isinstance(word, str))
    return said[:LONGEST].strip() if isinstance(said, str) else ""


def _utc(microseconds: Any) -> str:
    try:
        return _told(datetime.fromtimestamp(int(microseconds) // 1_000_000, timezone.utc))
    except (TypeError, ValueError, OverflowError, OSError):
        return ""


def _told(at: datetime) -> str:
    return _iso(at) if at.year >= _FIRST_YEAR else ""


def _iso(at: datetime) -> str:
    return f"{at.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def _number(word: Any) -> int:
    return int(word) if isinstance(word, str) and word.isascii() and word.isdecimal() and len(word) < 10 else 0  # noqa: PLR2004


def _word(said: Any) -> str:
    return said if isinstance(said, str) else ""


def worth(entries: tuple[Entry, ...], speaker: str, now: datetime | None) -> tuple[Entry, ...]:
    """What a service said that can be of what is wrong now. now: of the host.

    Of one that runs for long: what this process said in the last hour, for what is wrong is said again and again. Of one
    that ended or keeps restarting: its last hour, and of its tries the last few, for what it ends of is said by each.
    """
    own = [at for at, entry in enumerate(entries) if entry.speaker == speaker]
    first = next((at for at in own if entries[at].pid == entries[own[-1]].pid), 0)
    ended = any(entry.pid == 1 and _ENDED.search(entry.text) for entry in entries[own[-1] if own else 0 :])
    begun, last = (_at(entries[at].at) if entries else None for at in (first, -1))
    if own and not ended and begun and now and now - begun >= _LIFE:
        return since(entries[first:], now - RECENT)
    tries = list({entries[at].pid: at for at in reversed(own)}.values())  # where each began, the last one first
    entries = entries[tries[_TRIES - 1] :] if len(tries) > _TRIES else entries
    return since(entries, last - RECENT) if last else entries


def until(entries: tuple[Entry, ...], end: datetime | None) -> tuple[Entry, ...]:
    """Without those of a time to come, which were written while the clock was ahead: beside them everything is long ago."""
    last = _iso(end + _SKEW) if end else "~"
    return tuple(entry for entry in entries if entry.at <= last)


def since(entries: tuple[Entry, ...], begin: datetime) -> tuple[Entry, ...]:
    """Those from then on; one that does not say when stays."""
    first = _iso(begin)
    return tuple(entry for entry in entries if not entry.at or entry.at >= first)


def _at(text: str) -> datetime | None:
    return datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc) if text else None


def parse_dmesg(text: str) -> tuple[Entry, ...]:
    """`dmesg --time-format iso`. A line without a time goes on with the one before it, and counts as one of its own."""
    found = ((line, _DMESG.match(line)) for line in text.splitlines() if line.strip())
    return tuple(
        Entry(said[3][:LONGEST].strip(), _from_iso(said[1], said[2])) if said else Entry(line[:LONGEST].strip())
        for line, said in found
    )


def parse_syslog(text: str) -> tuple[Entry, ...]:
    """A syslog daemon's file. at: "" where it writes local times; what is no record is left out."""
    found = (_SYSLOG.match(line) for line in text.splitlines())
    return tuple(
        Entry(said[5][:LONGEST].strip(), _from_iso(said[1] or "", said[2] or ""), _number(said[4]), "", said[3])
        for said in found
        if said
    )


def parse_container(text: str) -> tuple[Entry, ...]:
    """A container's log file as its runtime writes it, partial records put together."""
    found: list[Entry] = []
    begun = ""
    for said in filter(None, map(_CONTAINER.match, text.splitlines())):
        begun = (begun + said[4])[:LONGEST]
        if said[3] == "F":
            found.append(Entry(begun.strip(), _from_iso(said[1], said[2])))
            begun = ""
    return tuple(found)


def _from_iso(local: str, zone: str) -> str:
    try:
        at = datetime.strptime(f"{local}{zone.replace('Z', '+0000')}", "%Y-%m-%dT%H:%M:%S%z")
        return _told(at)
    except (ValueError, OverflowError):
        return ""
