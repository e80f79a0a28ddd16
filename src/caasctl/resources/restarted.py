"""Restarted: systemd knows files of ours for a service, and the service, where it runs, has been started on them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from caasctl.frozen import dataclass
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import IN_EFFECT, Absent, Known, Reader, State, Unknown, Writer

_PROPERTIES = "ActiveState,ActiveEnterTimestampMonotonic,NeedDaemonReload"
_RELOAD = ("systemctl", "daemon-reload")
_CLOCK_GRAIN_NS = 1_000_000_000  # /proc/stat gives the boot time in whole seconds


@dataclass(frozen=True)
class Restarted:
    """unit: the service. paths: files that it is started with; one that is gone cannot tell when it went."""

    unit: str
    paths: tuple[str, ...]

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
        state = self._owed(host)
        if state != Known(IN_EFFECT):
            said = state.text if isinstance(state, Known) else str(state)
            raise CaasError(f"{self.unit} did not take {', '.join(self.paths)}", cause=said,
                            fix=f"`systemctl status {self.unit}` and `journalctl -u {self.unit} -n 50` say why")  # fmt: skip

    def way_back(self) -> tuple[tuple[str, ...], ...]:
        return (_RELOAD, ("systemctl", "try-restart", "--", self.unit))

    def _owed(self, host: Reader) -> State:
        try:
            said = host.query("systemctl", "show", "-p", _PROPERTIES, "--", self.unit)
            shown = dict(re.findall(r"^(\w+)=(.*)$", said.stdout, re.MULTILINE))
            if not said.ok or "NeedDaemonReload" not in shown:
                return Unknown(f"systemctl show {self.unit}: {said.stderr.strip() or 'says nothing'}")
            if shown["NeedDaemonReload"] == "yes":
                return Known("systemd has an older one")
            newer = self._newer(host, shown)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Known(f"restart owed: {newer} changed after {self.unit} started" if newer else IN_EFFECT)

    def _newer(self, host: Reader, shown: Mapping[str, str]) -> str:
        """The file that is younger than the last start, "" without one, or where the service does not run."""
        started_us = shown.get("ActiveEnterTimestampMonotonic", "")
        booted = re.search(r"^btime (\d+)", host.read("/proc/stat") or "", re.MULTILINE)
        if shown.get("ActiveState") != "active" or not started_us.isdigit() or not booted:
            return ""
        started_ns = int(booted[1]) * 1_000_000_000 + int(started_us) * 1000 + _CLOCK_GRAIN_NS
        found = ((path, host.stat(path)) for path in self.paths)
        return next((path for path, there in found if there and there.ctime_ns > started_ns), "")
