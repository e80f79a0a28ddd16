"""Unit: a systemd unit that is enabled, active or masked, and restarted where files that it reads have changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Absent, Done, Impossible, Known, Outcome, Reader, State, Undo, Unknown, Writer

_PROPERTIES = "LoadState,ActiveState,UnitFileState,ActiveEnterTimestampMonotonic"
_STARTED_BY_OTHERS = ("static", "generated", "indirect", "alias", "transient")  # there is nothing to enable
_RUNNING = ("active", "activating", "reloading")
_LINKS = "/etc/systemd/system"
_LINKED = "linked to "
_NOT_ENABLED = ("disabled", "enabled-runtime", "linked-runtime")  # `disable` leaves what ends with this boot
_OWED = "restart owed"
_CLOCK_GRAIN_NS = 1_000_000_000  # /proc/stat gives the boot time in whole seconds


@dataclass(frozen=True)
class Unit:
    """None leaves an aspect as it is. masked: the link to /dev/null only, nothing is stopped.

    on_change: what a change in `after` asks for. A restart that a killed run still owes for a `file:` in `after` is seen
    by comparing the file's ctime with the start of the unit; a reload leaves no such trace.
    """

    unit: str
    enabled: bool | None = None
    active: bool | None = None
    masked: bool | None = None
    on_change: Literal["", "restart", "reload"] = ""
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"unit:{self.unit}"

    def look(self, host: Reader) -> State:
        try:
            said = host.query("systemctl", "show", "-p", _PROPERTIES, "--", self.unit)
            shown = dict(re.findall(r"^(\w+)=(.*)$", said.stdout, re.MULTILINE))
            if not said.ok or "LoadState" not in shown:
                return Unknown(
                    f"systemctl show {self.unit}: {(said.stderr.strip().splitlines() or ['says nothing'])[0]}"
                )
            if shown["LoadState"] == "not-found" and (self.enabled or self.active):
                return Absent()
            words = self._words(shown, owed=self._owed(host, shown))
            return Known(", ".join(f"{word}{_target(host, self.unit)}" if word == "linked" else word for word in words))
        except Unreadable as unreadable:
            return Unknown(str(unreadable))

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Known(", ".join(self._wanted(now)))

    def apply(self, host: Writer, now: State) -> Outcome:
        if isinstance(now, Absent):
            return Impossible(f"{self.unit} is not installed", f"install the package that brings {self.unit}")
        words = now.text.split(", ") if isinstance(now, Known) else []
        for verb in self._verbs(words):
            host.execute("systemctl", verb, "--", self.unit)
        return Done()

    def undo(self, now: State) -> Undo:
        words = now.text.split(", ") if isinstance(now, Known) else []
        steps = (
            (self.masked is True and "masked" not in words, ("unmask", "--", self.unit)),
            (self.enabled is True and bool(_linked(words) or {*words} & {*_NOT_ENABLED}), ("disable", "--", self.unit)),
            *((self.enabled is not None, ("link", path)) for path in _linked(words)),  # which `disable` has removed
            (self.enabled is False and "enabled" in words, ("enable", "--", self.unit)),
            (self.active is True and "inactive" in words, ("stop", "--", self.unit)),
            (self.active is False and "active" in words, ("start", "--", self.unit)),
            (self.masked is False and "masked" in words, ("mask", "--", self.unit)),
        )
        commands = tuple(("systemctl", *argv) for due, argv in steps if due)
        return Undo(commands=commands, nothing="" if commands else f"{self.unit} is only restarted")

    def _words(self, shown: Mapping[str, str], *, owed: bool) -> tuple[str, ...]:
        """The aspects that this resource cares for, as systemd has them."""
        file_state = shown.get("UnitFileState", "")
        words = []
        if self.masked is not None:
            words.append("masked" if file_state == "masked" else "not masked")  # masked-runtime ends with this boot
        if self.enabled is not None:
            words.append("disabled" if not file_state or file_state.startswith("masked") else file_state)
        if self.active is not None:
            words.append("active" if shown.get("ActiveState") in _RUNNING else "inactive")
        return (*words, _OWED) if owed else tuple(words) or ("present",)

    def _wanted(self, now: State) -> tuple[str, ...]:
        words = now.text.split(", ") if isinstance(now, Known) else []
        wanted = []
        if self.masked is not None:
            wanted.append("masked" if self.masked else "not masked")
        if self.enabled is not None:
            settled = next((word for word in words if word in _STARTED_BY_OTHERS), "")
            wanted.append(settled or ("enabled" if self.enabled else "disabled"))
        if self.active is not None:
            wanted.append("active" if self.active else "inactive")
        return tuple(wanted) or ("present",)

    def _verbs(self, words: list[str]) -> list[str]:
        wanted = self._wanted(Known(", ".join(words)))
        verbs = [verb for word, verb in _VERBS if word in wanted and word not in words]
        if self.on_change and self.active is not False and "inactive" not in words:
            verbs.append(self.on_change)
        return verbs

    def _owed(self, host: Reader, shown: Mapping[str, str]) -> bool:
        """Whether a file that this unit follows is younger than its last start."""
        started_us = shown.get("ActiveEnterTimestampMonotonic", "")
        if self.on_change != "restart" or shown.get("ActiveState") != "active" or not started_us.isdigit():
            return False
        booted = re.search(r"^btime (\d+)", host.read("/proc/stat") or "", re.MULTILINE)
        if not booted:
            return False
        started_ns = int(booted[1]) * 1_000_000_000 + int(started_us) * 1000 + _CLOCK_GRAIN_NS
        found = (host.stat(name.removeprefix("file:")) for name in self.after if name.startswith("file:"))
        return any(file is not None and file.ctime_ns > started_ns for file in found)


@dataclass(frozen=True)
class UnitBack(Unit):
    """A unit as it was before; one that is gone has nothing to go back to, and one that is only linked starts at no boot."""

    def target(self, now: State) -> State:
        linked = self.enabled is False and isinstance(now, Known) and bool(_linked(now.text.split(", ")))
        return now if isinstance(now, Absent) or linked else super().target(now)


@dataclass(frozen=True)
class OwnUnit(Unit):
    """A unit whose file is caasctl's: it is taken down before that file goes, without which systemd knows no such unit."""

    def undo(self, now: State) -> Undo:
        commands = super().undo(now).commands
        down = ("systemctl", "disable", "--now", "--", self.unit)
        return Undo(first=(down,)) if commands or isinstance(now, Absent) else Undo(nothing=f"{self.unit} was as it is")


@dataclass(frozen=True)
class LinkBack:
    """The link by which systemd finds a unit file elsewhere, which `disable` has removed; for a file that is gone there is none."""

    file: str
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"unit:{self.file}"

    def look(self, host: Reader) -> State:
        try:
            if host.stat(self.file) is None:
                return Absent()
            found = host.readlink(f"{_LINKS}/{self.file.rpartition('/')[2]}")
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Known("linked" if found == self.file else "not linked")

    def target(self, now: State) -> State:
        return Known("linked") if isinstance(now, Known) else now

    def apply(self, host: Writer, now: State) -> Outcome:
        if now != self.target(now):
            host.execute("systemctl", "link", self.file)
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="it is as before")


def _target(host: Reader, unit: str) -> str:
    """Where the file of a linked unit lies, for the way back. Raises Unreadable."""
    found = host.readlink(f"{_LINKS}/{unit}")
    return f" to {found}" if found else ""


def _linked(words: list[str]) -> tuple[str, ...]:
    return tuple(word.removeprefix(_LINKED) for word in words if word.startswith(_LINKED))


_VERBS = (
    ("not masked", "unmask"),
    ("masked", "mask"),
    ("enabled", "enable"),
    ("disabled", "disable"),
    ("active", "start"),
    ("inactive", "stop"),
)
