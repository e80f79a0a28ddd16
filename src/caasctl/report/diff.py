"""What a change does to each of its parts, as unified diffs; secrets show a hash only."""

from __future__ import annotations

import difflib
import hashlib

from caasctl.frozen import dataclass
from caasctl.hidden import masked
from caasctl.protocol import Absent, Change, Known, State, Unknown
from caasctl.report.visible import visible
from caasctl.resources.files import owned_files

CONTEXT = 3
NO_NEWLINE = "\\ no newline at the end"
HASH_DIGITS = 12


@dataclass(frozen=True)
class Part:
    """One text or value of a change. `whole`: it is a file's text, shown as a diff even where it is one line."""

    name: str
    before: State
    after: State
    secret: bool
    whole: bool

    @property
    def differs(self) -> bool:
        return self.before != self.after


def parts(change: Change) -> tuple[Part, ...]:
    """The parts of a change that differ: each sub-state, or the one state that it is."""
    secret = change.resource.secret
    before, after = _parts(change.before), _parts(change.after)
    if not before and not after:
        whole = change.resource.name.startswith("file:") or _many(change.before) or _many(change.after)
        only = Part(change.resource.name, change.before, change.after, secret, whole)
        return (only,) if only.differs else ()
    hidden = _secret_members(change)
    both = [
        Part(name, before.get(name, Absent()), after.get(name, Absent()), secret or name in hidden, whole=True)
        for name in dict.fromkeys([*after, *before])
    ]
    return tuple(part for part in both if part.differs)


def diff(part: Part) -> tuple[str, ...]:
    """The lines of a part's unified diff without file names, foreign text made visible; a secret's hash, an unknown's reason."""
    if isinstance(part.before, Unknown) or isinstance(part.after, Unknown):
        return (f"not known: {visible(_reason(part.before) or _reason(part.after))}",)
    said = _mode(part)
    if part.secret:
        return (*said, f"secret: {hashed(part.before)} -> {hashed(part.after)}")
    before, after = _lines(part.before), _lines(part.after)
    if before and after:
        hunks = list(difflib.unified_diff(before, after, n=CONTEXT, lineterm=""))[2:]
    else:
        hunks = [f"-{line}" for line in before] + [f"+{line}" for line in after]
    return (*said, *(visible(masked(line)) for line in hunks))


def hashed(state: State) -> str:
    """The beginning of the SHA-256 of a state's text; a word where there is no text."""
    if isinstance(state, Known):
        return "sha256:" + hashlib.sha256(state.text.encode("utf-8", "surrogateescape")).hexdigest()[:HASH_DIGITS]
    return "absent" if isinstance(state, Absent) else "not known"


def shown(state: State, *, secret: bool) -> str:
    """A state that is one value, in one line."""
    if isinstance(state, Known) and not secret:
        return visible(masked(state.text)) or '""'
    if isinstance(state, Unknown):
        return f"not known ({visible(state.reason)})"
    return hashed(state)


def octal(mode: int | None) -> str | None:
    return None if mode is None else f"{mode:04o}"


def verb(change: Change) -> str:
    """What happens to the resource, in one word."""
    before, after = change.before, change.after
    if isinstance(before, Unknown) or isinstance(after, Unknown):
        return "unknown"
    file = change.resource.name.startswith("file:")
    if isinstance(after, Absent):
        return "remove"
    if file and isinstance(before, Absent):
        return "create"
    if parts(change):
        return "change"
    return "restart" if change.resource.name.startswith("unit:") or _parts(after) else "renew"


def _parts(state: State) -> dict[str, State]:
    return dict(state.parts) if isinstance(state, Known) else {}


def _secret_members(change: Change) -> frozenset[str]:
    return frozenset(file.path for file in owned_files(change.resource) if file.secret)


def _many(state: State) -> bool:
    return isinstance(state, Known) and "\n" in state.text


def _reason(state: State) -> str:
    return state.reason if isinstance(state, Unknown) else ""


def _lines(state: State) -> list[str]:
    """Lines without their newline: only a newline ends one, so that a carriage return stays in it and is seen."""
    if not isinstance(state, Known) or not state.text:
        return []
    cut = state.text.split("\n")
    return cut[:-1] if cut[-1] == "" else [*cut, NO_NEWLINE]


def _mode(part: Part) -> tuple[str, ...]:
    before = part.before.mode if isinstance(part.before, Known) else None
    after = part.after.mode if isinstance(part.after, Known) else None
    if after is None or before == after:
        return ()
    return (f"mode {octal(after)}",) if before is None else (f"mode {octal(before)} -> {octal(after)}",)
