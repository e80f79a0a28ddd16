"""What doctor comes to: roots with what follows from them, what stays unexplained, what was ruled out. Types only."""

from __future__ import annotations

from enum import Enum

from caasctl.frozen import dataclass
from caasctl.model import Finding


@dataclass(frozen=True)
class Line:
    """A record of a log, or what a program said. kind: which stream, as rules name it. source: as a reader would call it.

    at: when, in UTC, as ISO 8601 to the second; "" where the line does not say. times: of lines alike but for figures, how many.
    """

    kind: str
    source: str
    text: str
    at: str = ""
    times: int = 1


class Says(str, Enum):
    """What a symptom is worth: it states the cause itself, it follows from something, or it only reads like trouble."""

    CAUSE = "cause"
    EFFECT = "effect"
    NOTE = "note"


@dataclass(frozen=True)
class Sign:
    """A failed check or a symptom that was seen. times: how often; first, last: when, "" where the lines do not say."""

    finding: Finding
    says: Says = Says.CAUSE
    times: int = 1
    first: str = ""
    last: str = ""
    checked: bool = False  # by a look at the host, not by what a program said
    lasting: bool = False  # said by what speaks of now, or was true from then on: the kernel, a cluster's objects

    @property
    def id(self) -> str:
        return self.finding.id


@dataclass(frozen=True)
class Follow:
    """A sign that follows from another. by: the id of what brings it about."""

    sign: Sign
    by: str


@dataclass(frozen=True)
class Root:
    """A sign that follows from no other, and what follows from it, nearest first. signs: in how many ways it shows."""

    sign: Sign
    follows: tuple[Follow, ...] = ()

    @property
    def signs(self) -> int:
        return 1 + len(self.follows)

    @property
    def shows(self) -> bool:
        """Whether something was seen to break: a program said so, or a state is not as it should be; not only a check's claim."""
        every = (self.sign, *(follow.sign for follow in self.follows))
        return any(not sign.checked or sign.says is Says.EFFECT for sign in every)


@dataclass(frozen=True)
class RuledOut:
    """What could have been the cause of something that was seen, and is not. found: what shows it."""

    id: str
    title: str
    found: str


@dataclass(frozen=True)
class KeySet:
    """A key of containerd's configuration. title: the file that set it. found: its value, and what became of other files' values.

    contested: another file sets it too.
    """

    id: str
    title: str
    found: str
    contested: bool = False


@dataclass(frozen=True)
class Link:
    """A step of the chain that a pod's start goes through. broken: the first step that does not hold; unknown: not seen."""

    name: str
    found: str
    broken: bool = False
    unknown: bool = False


@dataclass(frozen=True)
class Moment:
    """A sign on the time line. at: UTC, ISO 8601."""

    at: str
    id: str
    said: str


@dataclass(frozen=True)
class Diagnosis:
    """roots: most telling first. beside: fails, but nothing that was seen follows from it. unexplained: most telling first.

    notes: reads like trouble and is none. over: was said, and what it would bring about is well now. unknown_lines: sound like trouble,
    and no rule knows them. undetermined: what could not be looked at and could matter, with why. collect: what
    to bring next. looked_at: the sources that were read, with how much of them. changed: what
    caasctl made and what is no longer as it made it. keys: who set what for containerd.
    established: the host is in a cluster, so that what fails is broken and not only not made yet.
    """

    roots: tuple[Root, ...] = ()
    beside: tuple[Sign, ...] = ()
    unexplained: tuple[Root, ...] = ()
    notes: tuple[Root, ...] = ()
    over: tuple[Sign, ...] = ()
    unknown_lines: tuple[Line, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    undetermined: tuple[RuledOut, ...] = ()
    chain: tuple[Link, ...] = ()
    timeline: tuple[Moment, ...] = ()
    collect: tuple[str, ...] = ()
    looked_at: tuple[str, ...] = ()
    changed: tuple[RuledOut, ...] = ()
    keys: tuple[KeySet, ...] = ()
    rules: int = 0
    established: bool = True
