"""Member: a file that goes with a cluster, as the phase describes it."""

from __future__ import annotations

from typing import Protocol

from caasctl.protocol import Absent, Known, Resource, State


class Member(Resource, Protocol):
    """A resource that is one file."""

    @property
    def path(self) -> str:
        """Where it lies."""


def text_of(member: Member) -> str:
    """What the file holds where it is new."""
    wanted = member.target(Absent())
    return wanted.text if isinstance(wanted, Known) else ""


def before(member: Member, now: State) -> tuple[bytes, int] | None:
    """What undo puts back of it; None where there was no file."""
    return (member.undo(now).files or {}).get(member.path)
