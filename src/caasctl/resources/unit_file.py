"""UnitFileGone: a systemd unit whose file is caasctl's own, disabled and taken away. UnitGone: one that can come back."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.model import MARK, Unreadable
from caasctl.protocol import Absent, Done, FileKind, Known, Outcome, Reader, State, Undo, Unknown, Writer


@dataclass(frozen=True)
class UnitFileGone:
    """It is not stopped: caasctl itself may run in it."""

    unit: str
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"unit:{self.unit}"

    @property
    def path(self) -> str:
        return f"/etc/systemd/system/{self.unit}"

    def look(self, host: Reader) -> State:
        try:
            there = host.stat(self.path, follow=False)
            ours = there and there.kind is FileKind.FILE and MARK in (host.read(self.path) or "").lower()
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Known(f"{self.path} is caasctl's") if ours else Absent()

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Absent()

    def apply(self, host: Writer, now: State) -> Outcome:
        if isinstance(now, Known):
            host.execute("systemctl", "disable", "--", self.unit)
            host.remove(self.path)
            host.execute("systemctl", "daemon-reload")
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="there is nothing left that it could go on with")


@dataclass(frozen=True)
class UnitGone(UnitFileGone):
    """Its state is the file's text, which undo puts back, and starts."""

    def look(self, host: Reader) -> State:
        now = super().look(host)
        return Known(host.read(self.path) or "") if isinstance(now, Known) else now

    def undo(self, now: State) -> Undo:
        text = now.text if isinstance(now, Known) else ""
        enable = ("systemctl", "enable", "--now", "--", self.unit)
        return Undo({self.path: (text.encode(), 0o644)}, (("systemctl", "daemon-reload"), enable))
