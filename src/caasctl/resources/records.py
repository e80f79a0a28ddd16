"""RunsClosed: caasctl's runs, each marked as taken back. MarkerGone: the reboot that one of them waits for."""

from __future__ import annotations

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Absent, Done, Known, Outcome, Reader, State, Undo, Unknown, Writer

RUNS, MARKER = "/var/lib/caasctl/runs", "/var/lib/caasctl/reboot.json"
LAST = "reset-done"  # the phase of a reset that asks for a reboot itself


@dataclass(frozen=True)
class RunsClosed:
    """The entries stay: they tell what caasctl wrote, so that a later reset knows an edited file."""

    name: str = "record:runs"
    then: str = "marked as taken back; `caasctl undo` then finds nothing to take back"
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    def look(self, host: Reader) -> State:
        try:
            left = self._open(host)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Known("".join(f"{run}\n" for run in left)) if left else Absent()

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Absent()

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - looked at again: this run is among them by now
        for run in self._open(host):
            host.write(f"{RUNS}/{run}/undone", b"by caasctl reset\n", 0o600)
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="what they made is gone")

    def _open(self, host: Reader) -> tuple[str, ...]:
        return tuple(
            run
            for run in host.list(RUNS) or ()
            if host.stat(f"{RUNS}/{run}/undone") is None
            and any(name.endswith(".json") for name in host.list(f"{RUNS}/{run}") or ())
        )


@dataclass(frozen=True)
class MarkerGone:
    """The marker of a reboot that a run asked for, which nobody waits for any more; a reset's own stays until it is answered."""

    path: str = MARKER
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"file:{self.path}"

    def look(self, host: Reader) -> State:
        try:
            text = host.read(self.path)
            data = formats.parse_json(text or "{}", self.path)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        except formats.FormatError:
            data = {}
        own = isinstance(data, dict) and data.get("phase") == LAST
        return Absent() if text is None or own else Known(text)

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Absent()

    def apply(self, host: Writer, now: State) -> Outcome:
        if now != self.target(now):
            host.remove(self.path)
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="what it waited for is gone")
