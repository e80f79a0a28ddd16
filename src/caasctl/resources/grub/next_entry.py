"""NextEntry: the menu entry that GRUB is told to start once, where it is caasctl's trial of new kernel arguments."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Absent, Done, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.resources.grub import environment
from caasctl.syntax.grub_menu import trial


@dataclass(frozen=True)
class NextEntry:
    """config: grub.cfg, which has GRUB's block of variables beside it. mkconfig: the program that prints one.

    booted: whether an empty one is a leftover of caasctl's, too: GRUB empties it when it boots the entry.
    """

    config: str
    mkconfig: str
    booted: bool = False
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"grubenv:{trial.NEXT}"

    def look(self, host: Reader) -> State:
        try:
            value = environment.variables(host, self.config).get(trial.NEXT)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Absent() if value is None or (not value and not self.booted) else Known(value)

    def target(self, now: State) -> State:
        return Absent() if now in (Known(trial.ID), Known("")) else now

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - looked at again
        environment.disarm(host, self.config, self.mkconfig)
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="the entry that it names is gone")
