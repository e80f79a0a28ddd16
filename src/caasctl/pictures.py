"""What a report draws of a host: versions, its networks on one scale, and the way of each GPU to a pod. Types only."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from caasctl.diagnosis import Link
from caasctl.frozen import dataclass

Whose = Literal["pods", "services", "host"]


@dataclass(frozen=True)
class Version:
    """A program or system. version: as its source says it, "" where it is not there. source: the file or command that told.

    unread: why it is not known, "" where it is.
    """

    name: str
    version: str = ""
    source: str = ""
    unread: str = ""


@dataclass(frozen=True)
class Span:
    """A range on the scale. whose: of the cluster's pods or services, or the host's. left, width: percent of the scale.

    overlaps: what of the cluster's ranges it shares addresses with, in words. possible: nobody has it now, somebody may.
    """

    cidr: str
    what: str
    source: str
    whose: Whose = "host"
    left: float = 0.0
    width: float = 0.0
    overlaps: tuple[str, ...] = ()
    possible: bool = False


@dataclass(frozen=True)
class Scale:
    """The ranges of one family, in the order of their addresses. left_out: how many were not drawn; clashes: those of them that overlap."""

    family: int
    spans: tuple[Span, ...]
    left_out: int = 0
    clashes: int = 0

    @property
    def overlapping(self) -> tuple[Span, ...]:
        return tuple(span for span in self.spans if span.overlaps)


@dataclass(frozen=True)
class Card:
    """A GPU, or another function that is passed through. steps: from the slot to the resource; at most one of them is broken."""

    address: str
    name: str
    place: str = ""
    steps: tuple[Link, ...] = ()

    @property
    def broken(self) -> str:
        """The name of the first step that does not hold, "" where all do."""
        return next((step.name for step in self.steps if step.broken), "")


@dataclass(frozen=True)
class Drawn:
    """One picture, and what is to be said beside it: why a part is missing, or what holds for all of it."""

    notes: tuple[str, ...] = ()
    scales: tuple[Scale, ...] = ()
    cards: tuple[Card, ...] = ()


@dataclass(frozen=True)
class Pictures:
    versions: tuple[Version, ...] = ()
    networks: Drawn = field(default_factory=Drawn)
    gpus: Drawn = field(default_factory=Drawn)
