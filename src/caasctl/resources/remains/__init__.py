"""Remains: what a cluster that is gone left in the kernel or in others' folders, each thing taken away by its own command."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from caasctl.frozen import dataclass
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import Absent, Done, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.syntax.remains import Thing


@dataclass(frozen=True)
class Remains:
    """find: what is there now. after: what must be gone before it, in the order of the phase."""

    name: str
    find: Callable[[Reader], Iterable[Thing]]
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    def look(self, host: Reader) -> State:
        try:
            things = tuple(self.find(host))
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        except ValueError:
            return Unknown(f"what the tool for {self.name} says is not what it used to be")
        return Known("".join(f"{thing.text}\n" for thing in things)) if things else Absent()

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Absent()

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - each thing is looked at again
        """A thing may go with the one before it, as both ends of a veth do: what is gone then needs no command."""
        for thing in tuple(self.find(host)):
            for argv in thing.commands:
                try:
                    host.execute(*argv)
                except CaasError:
                    if thing in tuple(self.find(host)):
                        raise
                    break
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="what a cluster that is gone left behind is not made again")
