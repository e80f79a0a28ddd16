"""Restarted: systemd knows files of ours for a service, and the service, where it runs, has been started on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from caasctl.formats import FormatError, dump_json, parse_json
from caasctl.frozen import dataclass
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import IN_EFFECT, Absent, Known, Reader, State, Unknown, Writer

_PROPERTIES = "ActiveState,ActiveEnterTimestampMonotonic,NeedDaemonReload"
_OLDER = "systemd has an older one"
_RELOAD = ("systemctl", "daemon-reload")
_CLOCK_GRAIN_NS = 1_000_000_000  # /proc/stat gives the boot time in whole seconds


@dataclass(frozen=True)
class Restarted:
    """unit: the service. paths: files that it is started with; one that is gone cannot tell when it went.

    A file younger than the start owes a restart. A clock that was set back makes files younger than any start, so each
    restart of ours leaves a stamp: these files, unchanged since, are what that start and every later one took.
    """

    unit: str
    paths: tuple[str, ...]

    @property
    def stamp(self) -> str:
        return f"/run/caasctl/restarted-{self.unit}.json"  # gone with this boot, from which the starts are counted

    def state(self, host: Reader, files: Mapping[str, State]) -> State:
        if all(isinstance(files.get(path), Absent) for path in self.paths):
            return Known(IN_EFFECT)
        return self._owed(host)

    def check(self, host: Writer, staged: Mapping[str, bytes]) -> None:
        """Nothing to judge: the texts are caasctl's own."""

    def activate(self, host: Writer) -> None:
        for argv in self.way_back():
            host.execute(*argv)

    def prove(self, host: Writer) -> None:
        """Systemd has the files, and has just restarted what ran: no clock is asked."""
        try:
            shown = self._shown(host)
            said = _OLDER if shown["NeedDaemonReload"] == "yes" else ""
            if not said and _started_us(shown) is not None:
                self._remember(host, shown)
        except Unreadable as unreadable:
            said = str(unreadable)
        if said:
            raise CaasError(f"{self.unit} did not take {', '.join(self.paths)}", cause=said,
                            fix=f"`systemctl status {self.unit}` and `journalctl -u {self.unit} -n 50` say why")  # fmt: skip

    def way_back(self) -> tuple[tuple[str, ...], ...]:
        return (_RELOAD, ("systemctl", "try-restart", "--", self.unit))

    def _owed(self, host: Reader) -> State:
        try:
            shown = self._shown(host)
            newer = "" if shown["NeedDaemonReload"] == "yes" else self._newer(host, shown)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        if shown["NeedDaemonReload"] == "yes":
            return Known(_OLDER)
        return Known(f"restart owed: {newer} changed after {self.unit} started" if newer else IN_EFFECT)

    def _shown(self, host: Reader) -> dict[str, str]:
        """Raises Unreadable."""
        said = host.query("systemctl", "show", "-p", _PROPERTIES, "--", self.unit)
        shown = dict(re.findall(r"^(\w+)=(.*)$", said.stdout, re.MULTILINE))
        if not said.ok or "NeedDaemonReload" not in shown:
            raise Unreadable(f"systemctl show {self.unit}", said.stderr.strip() or "says nothing")
        return shown

    def _newer(self, host: Reader, shown: Mapping[str, str]) -> str:
        """The file that is younger than the last start, "" without one, or where the service does not run."""
        started_us = _started_us(shown)
        booted = re.search(r"^btime (\d+)", host.read("/proc/stat") or "", re.MULTILINE)
        if started_us is None or not booted:
            return ""
        started_ns = int(booted[1]) * 1_000_000_000 + started_us * 1000 + _CLOCK_GRAIN_NS
        newer = {path: ctime_ns for path, ctime_ns in self._ctimes(host).items() if ctime_ns > started_ns}
        taken = self._taken(host, started_us) if newer else {}
        return next((path for path, ctime_ns in newer.items() if taken.get(path) != ctime_ns), "")

    def _remember(self, host: Writer, shown: Mapping[str, str]) -> None:
        stamp = {"started_us": _started_us(shown), "files": self._ctimes(host)}
        host.write(self.stamp, dump_json(stamp).encode())

    def _taken(self, host: Reader, started_us: int) -> Mapping[str, Any]:
        """Path -> ctime of what a start of ours took, where the service runs since that one or a later one."""
        try:
            told = parse_json(host.read(self.stamp) or "{}", self.stamp)
            return dict(told["files"]) if int(told["started_us"]) <= started_us else {}
        except (FormatError, Unreadable, KeyError, TypeError, ValueError):
            return {}  # as good as none: the times decide

    def _ctimes(self, host: Reader) -> dict[str, int]:
        found = ((path, host.stat(path)) for path in self.paths)
        return {path: there.ctime_ns for path, there in found if there}


def _started_us(shown: Mapping[str, str]) -> int | None:
    """The last start in microseconds since boot, None where the service does not run."""
    told = shown.get("ActiveEnterTimestampMonotonic", "")
    return int(told) if shown.get("ActiveState") == "active" and told.isdigit() else None
