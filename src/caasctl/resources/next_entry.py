"""NextEntry: the menu entry that GRUB is told to start once, where it is caasctl's trial of new kernel arguments."""

from __future__ import annotations

from dataclasses import dataclass

from caasctl.model import Unreadable
from caasctl.protocol import Absent, Done, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.syntax import grub_menu

TRIAL, VARIABLE = "caasctl-trial", "next_entry"


@dataclass(frozen=True)
class NextEntry:
    """grubenv: GRUB's block of variables. editor: the program that writes it."""

    grubenv: str
    editor: str
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"grubenv:{VARIABLE}"

    def look(self, host: Reader) -> State:
        try:
            text = (host.read_bytes(self.grubenv) or b"").decode(errors="replace")
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        value = grub_menu.environment(text).get(VARIABLE, "")
        return Known(value) if value else Absent()

    def target(self, now: State) -> State:
        return Absent() if now == Known(TRIAL) else now

    def apply(self, host: Writer, now: State) -> Outcome:
        if self.target(now) != now:
            host.execute(self.editor, self.grubenv, "unset", VARIABLE)
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="the entry that it names is gone")
