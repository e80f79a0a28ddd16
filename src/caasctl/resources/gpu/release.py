"""Released: functions back with the drivers that they had. SpecificationsGone: the CDI files of ours are gone."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Absent, Done, Known, Outcome, Reader, State, Undo, Unknown, Writer

_DEVICES = "/sys/bus/pci/devices"
_OURS = "caasctl-"
_RELEASES_S = 90.0


@dataclass(frozen=True)
class Released:
    """command: of gpu.sh, as the record has it: ADDRESS=DRIVER each. Without that script they stay until the next boot."""

    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"vfio:{self.command[3].partition('=')[0]}"

    def look(self, host: Reader) -> State:
        addresses = [word.partition("=")[0] for word in self.command[3:]]
        try:
            bound = [a for a in addresses if (host.readlink(f"{_DEVICES}/{a}/driver") or "").endswith("/vfio-pci")]
            there = host.stat(self.command[1]) is not None
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Known("\n".join(f"{address} vfio-pci" for address in bound)) if bound and there else Absent()

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Absent()

    def apply(self, host: Writer, now: State) -> Outcome:
        if isinstance(now, Known):
            host.execute(*self.command, timeout_s=_RELEASES_S)
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="init-node binds them again")


@dataclass(frozen=True)
class SpecificationsGone:
    """Those in `folder` that bear caasctl's name."""

    folder: str
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"cdi:{self.folder}"

    def look(self, host: Reader) -> State:
        try:
            found = self._found(host)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Known("\n".join(found)) if found else Absent()

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Absent()

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - looked at again
        for name in self._found(host):
            host.remove(f"{self.folder}/{name}")
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="they are made at every boot")

    def _found(self, host: Reader) -> tuple[str, ...]:
        return tuple(name for name in host.list(self.folder) or () if name.startswith(_OURS))
