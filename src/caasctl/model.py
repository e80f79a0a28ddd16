"""The words of caasctl: levels, findings, facts, checks, errors and exit codes. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from enum import Enum, IntEnum
from typing import Any, TypeVar

from caasctl.frozen import dataclass

T = TypeVar("T")
P = TypeVar("P")
MARK = "written by caasctl"  # in the header of every file that caasctl owns whole: this is how it knows its own
HEADER = f"# {MARK[0].upper()}{MARK[1:]}: the next `caasctl init-node` replaces it, `caasctl undo` takes it back.\n"


class Level(str, Enum):
    """How a finding stands. Frozen words: they are part of the JSON report."""

    PASS = "pass"  # noqa: S105 - a level, no password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    WAIVED = "waived"


class Exit(IntEnum):
    """Exit codes of every command, frozen by the design."""

    OK = 0
    FAILED_CHECK = 1
    USAGE = 2
    FAILED_CHANGE = 3
    REBOOT = 4
    LOCKED = 5
    UNDETERMINED = 6
    BUG = 70
    INTERRUPTED = 130


class CaasError(Exception):
    """Something a user must know: what is wrong, why, and what to do about it."""

    exit_code = Exit.FAILED_CHANGE

    def __init__(self, problem: str, *, cause: str = "", fix: str = "") -> None:
        super().__init__(problem)
        self.problem, self.cause, self.fix = problem, cause, fix


class UsageError(CaasError):
    """The command line or a file that the user named is at fault."""

    exit_code = Exit.USAGE


class ProfileError(UsageError):
    """The profile is invalid; the problem names every key path that is."""


class LockedError(CaasError):
    """Another run holds the lock."""

    exit_code = Exit.LOCKED


class RefusedError(CaasError):
    """Something that only the user can mend stands in the way; nothing was changed."""

    exit_code = Exit.FAILED_CHECK


class CommandError(CaasError):
    """A command that changes the host failed; the cause holds its last lines of output."""


class Unreadable(Exception):  # noqa: N818 - it is no error of ours: a probe turns it into "unknown"
    """A path or command of the host exists or may exist, but says nothing to us. `reason` is one clause."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason}")
        self.what, self.reason = what, reason


class FactUnread(Exception):  # noqa: N818 - the engine turns it into an UNKNOWN finding
    """A check or phase asked for a fact that its probe could not read."""

    def __init__(self, kind: type, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


class Facts:
    """What is known of the host, keyed by type: `facts[Kernel].release`. A fact that was not read raises FactUnread."""

    def __init__(self, known: Iterable[object] = (), unread: Mapping[type, str] | None = None) -> None:
        self._known: dict[type, object] = {type(fact): fact for fact in known}
        self._unread = dict(unread or {})
        self._made: dict[tuple[object, int], tuple[object, Any]] = {}

    def __getitem__(self, kind: type[T]) -> T:
        fact = self._known.get(kind)
        if isinstance(fact, kind):
            return fact
        raise FactUnread(kind, self._unread.get(kind, f"{kind.__name__} was not collected"))

    def get(self, kind: type[T]) -> T | None:
        """The fact, or None where it was not read: for a check that can say something useful without it."""
        fact = self._known.get(kind)
        return fact if isinstance(fact, kind) else None

    def once(self, make: Callable[[Facts, P], T], profile: P) -> T:
        """What `make` works out of these facts and a profile, worked out once for all who ask: facts do not change."""
        key = (make, id(profile))
        if key not in self._made:
            self._made[key] = (profile, make(self, profile))  # the profile is kept, so that its id is not used again
        made: T = self._made[key][1]
        return made

    def known(self) -> tuple[object, ...]:
        return tuple(self._known.values())

    def unread(self) -> Mapping[type, str]:
        return self._unread


class FixKind(str, Enum):
    COMMAND = "command"
    EDIT = "edit"
    FIRMWARE = "firmware"
    WAIT = "wait"


@dataclass(frozen=True)
class Fix:
    """One thing to do, as exact as it can be said."""

    text: str
    kind: FixKind = FixKind.COMMAND
    needs_reboot: bool = False


@dataclass(frozen=True)
class Evidence:
    """Where a finding was seen: a path or a command, and the words there."""

    source: str
    excerpt: str


@dataclass(frozen=True)
class Waiver:
    """A user's decision to live with a check; `expires` is an ISO date."""

    check: str
    reason: str
    owner: str
    expires: str


@dataclass(frozen=True)
class Finding:
    """What one check says of one subject. The engine fills id, title, topic and, where empty, cause and fixed_by."""

    level: Level
    found: str
    wanted: str = ""
    subject: str = ""
    cause: str = ""
    fix: Fix | None = None
    fixed_by: str | None = None  # the phase that mends it; "" = nobody but the user; None = as the check says
    evidence: tuple[Evidence, ...] = ()
    blocked_by: tuple[str, ...] = ()
    waiver: Waiver | None = None
    id: str = ""
    title: str = ""
    topic: str = ""
    duration_ms: int = 0

    @property
    def yours(self) -> bool:
        """A failure that no phase of init-node mends: the user must act."""
        return self.level is Level.FAIL and not self.fixed_by

    @property
    def ours(self) -> bool:
        """A failure or warning that init-node will mend."""
        return self.level in (Level.FAIL, Level.WARN) and bool(self.fixed_by)


def passed(found: str, *, subject: str = "", evidence: tuple[Evidence, ...] = ()) -> Finding:
    """The claim holds; `found` is the observed value, so that a report is an inventory too."""
    return Finding(Level.PASS, found, subject=subject, evidence=evidence)


def failed(
    found: str, *, wanted: str, fix: Fix, subject: str = "", cause: str = "", fixed_by: str | None = None,
    evidence: tuple[Evidence, ...] = (),
) -> Finding:  # fmt: skip
    """The claim does not hold and the node will not work, or not safely."""
    return Finding(Level.FAIL, found, wanted, subject, cause, fix, fixed_by, evidence)


def warned(
    found: str, *, wanted: str, fix: Fix, subject: str = "", cause: str = "", fixed_by: str | None = None,
    evidence: tuple[Evidence, ...] = (),
) -> Finding:  # fmt: skip
    """The claim does not hold; the node works, but an engineer would want to know."""
    return replace(
        failed(found, wanted=wanted, fix=fix, subject=subject, cause=cause, fixed_by=fixed_by, evidence=evidence),
        level=Level.WARN,
    )


def unknown(reason: str, *, subject: str = "", fix: Fix | None = None) -> Finding:
    """It could not be determined; `reason` says what stood in the way."""
    return Finding(Level.UNKNOWN, reason, subject=subject, fix=fix)


# The profile's type lives a layer above, hence Any.
CheckFunction = Callable[[Facts, Any], Iterable[Finding]]


@dataclass(frozen=True)
class Check:
    """One claim about a node. Yielding nothing means: it does not apply to this host and profile."""

    id: str
    title: str
    run: CheckFunction
    reads: tuple[type, ...]
    why: str
    fix: str
    source: str
    fixed_by: str = ""
    gates: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    looks_at: str = ""

    @property
    def topic(self) -> str:
        return self.id.partition(".")[0]


def check(
    id: str,  # noqa: A002 - the design's word
    title: str,
    *,
    reads: tuple[type, ...],
    why: str,
    fix: str,
    source: str,
    fixed_by: str = "",
    gates: tuple[str, ...] = (),
    after: tuple[str, ...] = (),
) -> Callable[[CheckFunction], Check]:
    """Makes a Check of a function; its docstring says what it looks at.

    why: one sentence, the cause shown with a finding that has none of its own. fix: general advice for `explain`.
    source: where the rule comes from (URL, or project and file). fixed_by: the phase that mends it, if one does.
    gates: phases that do not start while this fails on the user's side. after: ids of checks that block this one.
    """

    def make(run: CheckFunction) -> Check:
        looks_at = " ".join((run.__doc__ or "").split())
        return Check(id, title, run, reads, why, fix, source, fixed_by, gates, after, looks_at)

    return make


def findings(checked: Check, facts: Facts, profile: Any) -> Iterator[Finding]:
    """The findings of one check with everything filled that the check itself knows."""
    for finding in checked.run(facts, profile):
        yield replace(
            finding,
            id=checked.id,
            title=checked.title,
            topic=checked.topic,
            cause=finding.cause or ("" if finding.level is Level.PASS else checked.why),
            fixed_by=checked.fixed_by if finding.fixed_by is None else finding.fixed_by,
        )


@dataclass(frozen=True)
class Report:
    """The result of a command; every output format prints this and nothing else."""

    command: str
    profile: str
    host: str
    started_at: str
    duration_ms: int
    exit_code: Exit
    findings: tuple[Finding, ...] = ()
    phases: tuple[Any, ...] = ()  # protocol.PhaseReport, a layer above
    notes: tuple[str, ...] = ()
    diagnosis: Any = None  # diagnosis.Diagnosis, of doctor
    pictures: Callable[[], Any] | None = field(default=None, compare=False)  # makes pictures.Pictures, to be drawn
