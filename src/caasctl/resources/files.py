"""File: a file that caasctl owns whole. Transaction: files that take effect together, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from caasctl.faults import BugError, word_of
from caasctl.frozen import dataclass
from caasctl.model import MARK, CaasError, Unreadable
from caasctl.protocol import (
    IN_EFFECT,
    Absent,
    Done,
    FileKind,
    Known,
    Outcome,
    Reader,
    Resource,
    State,
    Undo,
    Unknown,
    Writer,
)
from caasctl.syntax.digests import sha256


def look_at_file(host: Reader, path: str) -> State:
    """The text and permission bits of a plain file; Unknown for whatever else lies there."""
    try:
        there = host.stat(path, follow=False)
        if there is None:
            return Absent()
        if there.kind is FileKind.LINK:
            return Unknown(f"{path} is a symbolic link to {host.readlink(path)}; caasctl writes plain files only")
        if there.kind is not FileKind.FILE:
            return Unknown(f"{path} is {word_of(there.kind)}, not a file")
        text = host.read(path)
    except Unreadable as unreadable:
        return Unknown(str(unreadable))
    return Absent() if text is None else Known(text, there.mode)


@dataclass(frozen=True)
class File:
    """A file owned whole, or, with `merge`, one that has no drop-in and keeps all that is not ours.

    merge: pure; the text now (None where there is no file) -> the text wanted. It may raise CaasError.
    """

    path: str
    text: str = ""
    mode: int = 0o644
    secret: bool = False
    after: tuple[str, ...] = ()
    merge: Callable[[str | None], str] | None = None
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"file:{self.path}"

    def look(self, host: Reader) -> State:
        return look_at_file(host, self.path)

    def target(self, now: State) -> State:
        if isinstance(now, Unknown):
            return now
        old = now if isinstance(now, Known) else None
        if self.merge is None:
            return Known(self.text, self.mode)
        return Known(self.merge(old.text if old else None), old.mode if old else self.mode)

    def apply(self, host: Writer, now: State) -> Outcome:
        wanted = self.target(now)
        if isinstance(wanted, Known):
            host.write(self.path, wanted.text.encode(), wanted.mode or self.mode)
        return Done()

    def undo(self, now: State) -> Undo:
        return Undo({self.path: before(now)})


@dataclass(frozen=True)
class Gone(File):
    """A file of ours that is not wanted any more; one that is not ours stays."""

    def target(self, now: State) -> State:
        return Absent() if isinstance(now, Known) and MARK.lower() in now.text.lower() else now

    def apply(self, host: Writer, now: State) -> Outcome:
        if self.target(now) != now:
            host.remove(self.path)
        return Done()


@dataclass(frozen=True)
class Reset(Gone):
    """A file of ours that goes for good, as caasctl wrote it; one that was edited since stays, and so does what is no file.

    digests: of all that caasctl's record says it wrote there; empty where no record is left, and the header tells.
    original: what the record says was there before, (text, mode) or None for nothing; only where `recorded`.
    without: takes what is ours out of a text that is not ours as a whole.
    """

    digests: frozenset[str] = frozenset()
    recorded: bool = False
    original: tuple[str, int] | None = None
    without: Callable[[str], str] | None = None

    def look(self, host: Reader) -> State:
        try:
            there = host.stat(self.path, follow=False)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return super().look(host) if there and there.kind is FileKind.FILE else Absent()  # a link is none of ours

    def target(self, now: State) -> State:
        if not isinstance(now, Known):
            return now
        if self.recorded and sha256(now.text) in self.digests:
            return Known(*self.original) if self.original else Absent()
        if self.without is not None:
            return Known(self.without(now.text), now.mode)
        return now if self.digests and sha256(now.text) not in self.digests else super().target(now)

    def apply(self, host: Writer, now: State) -> Outcome:
        wanted = self.target(now)
        if isinstance(wanted, Known) and wanted != now:
            host.write(self.path, wanted.text.encode(), wanted.mode or self.mode)
        elif isinstance(wanted, Absent):
            host.remove(self.path)
        return Done()


def before(now: State) -> tuple[bytes, int] | None:
    """What undo puts back for a file's state; None where there was no file."""
    return (now.text.encode(), now.mode or 0o644) if isinstance(now, Known) else None


LOST = "could NOT be put back"
_LEFT = "is left as it is"


class Activation(Protocol):
    """What makes a transaction's files take effect, and proves that they did."""

    def state(self, host: Reader, files: Mapping[str, State]) -> State:
        """Known(IN_EFFECT) where the program already runs on these files, else Known(what is owed) or Unknown."""

    def check(self, host: Writer, staged: Mapping[str, bytes]) -> None:
        """Judges the staged whole before any file is replaced; raises CaasError."""

    def activate(self, host: Writer) -> None:
        """Makes the files on disk take effect (restart, regenerate); raises CaasError."""

    def prove(self, host: Writer) -> None:
        """Looks whether it works now, and remembers that it does; raises CaasError with the program's own reason."""

    def way_back(self) -> tuple[tuple[str, ...], ...]:
        """Commands that make restored files take effect."""


@dataclass(frozen=True)
class Transaction:
    """Files, then what makes them take effect, then the proof; where that fails the old files come back and take effect."""

    name: str
    members: tuple[File, ...]
    activation: Activation
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False
    then: str = "checked as a whole first; put in effect and proven; if that fails, the old files come back"

    def look(self, host: Reader) -> State:
        parts = tuple((member.path, member.look(host)) for member in self.members)
        lost = [state.reason for _, state in parts if isinstance(state, Unknown)]
        if lost:
            return Unknown("; ".join(lost))
        effect = self.activation.state(host, dict(parts))
        if isinstance(effect, Known):
            return replace(effect, parts=parts)
        reason = effect.reason if isinstance(effect, Unknown) else "absent"
        differs = any(member.target(state) != state for member, (_, state) in zip(self.members, parts, strict=True))
        return Known(f"not known: {reason}", parts=parts) if differs else Unknown(reason)

    def target(self, now: State) -> State:
        if not isinstance(now, Known):
            return now
        states = dict(now.parts)
        return Known(IN_EFFECT, parts=tuple((m.path, m.target(states.get(m.path, Absent()))) for m in self.members))

    def apply(self, host: Writer, now: State) -> Outcome:
        old, new = _files(now), _files(self.target(now))
        self.activation.check(
            host, {path: state.text.encode() for path, state in new.items() if isinstance(state, Known)}
        )
        self._write(host, old, new)
        try:
            self.activation.activate(host)
            self.activation.prove(host)
        except CaasError as error:
            raise self._back(host, old, new, error) from error
        except Exception as bug:
            raise self._back(host, old, new, _broke(bug)) from bug
        return Done()

    def undo(self, now: State) -> Undo:
        after = _files(self.target(now))
        there = {path: was for path, was in _files(now).items() if (was, after[path]) != (Absent(), Absent())}
        return Undo({path: before(was) for path, was in there.items()}, self.activation.way_back())

    def _write(self, host: Writer, old: Mapping[str, State], new: Mapping[str, State]) -> None:
        """All files or none: what was written before one that cannot be is taken back, and nothing was put in effect.

        Somebody may have edited one since the look, while the whole was checked: that edit is never written over.
        """
        written: list[str] = []
        try:
            for member in self.members:
                _refuse_edited(host, member, old[member.path])
            for member in self.members:
                if new[member.path] != old[member.path]:
                    _refuse_edited(host, member, old[member.path])
                    written.append(member.path)
                    member.apply(host, old[member.path])
        except CaasError as error:
            if written and look_at_file(host, written[-1]) == old[written[-1]]:
                written.pop()  # it failed before the file took its place
            said = f"; {_restored(host, old, new, written)}" if written else ""
            raise CaasError(f"{self.name}: {error.problem}{said}", cause=error.cause, fix=error.fix) from error

    def _back(self, host: Writer, old: Mapping[str, State], new: Mapping[str, State], error: CaasError) -> CaasError:
        """Puts the old files back, makes them take effect, and says how that went."""
        changed = [path for path, state in new.items() if state != old[path]]
        said = _restored(host, old, new, changed) if changed else "no file was changed"
        try:
            if changed:
                self.activation.activate(host)
                said += (
                    " and in effect again"
                    if LOST not in said and _LEFT not in said
                    else "; what is there now is in effect"
                )
        except CaasError as again:
            said += f", but did not take effect again either: {again.problem}; {again.cause}"
        except Exception as again:  # noqa: BLE001 - the error that led here is the one to tell
            said += f", but did not take effect again either: {_broke(again).problem}"
        kind = BugError if isinstance(error, BugError) else CaasError
        return kind(f"{self.name}: {error.problem}; {said}", cause=error.cause, fix=error.fix)


def _broke(bug: Exception) -> CaasError:
    """A look that failed, or a defect of ours, in the middle of a transaction: the files must go back first."""
    if isinstance(bug, Unreadable):
        return CaasError(str(bug), fix="mend that, then run the same command again")
    return BugError(f"caasctl has a bug: {type(bug).__name__}: {bug}")


def owned_files(resource: Resource) -> tuple[File, ...]:
    """The files that a resource writes: itself where it is one, else its `members`; () for one that writes none."""
    return (resource,) if isinstance(resource, File) else getattr(resource, "members", ())


def _files(state: State) -> dict[str, State]:
    return dict(state.parts) if isinstance(state, Known) else {}


def _refuse_edited(host: Reader, member: File, old: State) -> None:
    """Raises CaasError where a file is no longer as it was looked at."""
    now = member.look(host)
    if now != old:
        raise CaasError(f"{member.path} changed meanwhile, and is not written over",
                        cause=now.reason if isinstance(now, Unknown) else "somebody edited it since caasctl looked at it",
                        fix="see what it holds now, then run the same command again")  # fmt: skip


def _restored(host: Writer, old: Mapping[str, State], new: Mapping[str, State], paths: Sequence[str]) -> str:
    """Puts back what can be put back, and says in a clause how that went: the error that led here must not be lost."""
    back, left = [], []
    for path in paths:
        was, now = before(old[path]), look_at_file(host, path)
        if now not in (old[path], new[path]):
            left.append(f"{path} {_LEFT}: somebody edited it meanwhile (its text of before is in the run's record)")
            continue
        try:
            if was is None:
                host.remove(path)
            else:
                host.write(path, *was)
            back.append(path)
        except CaasError as error:
            left.append(f"{path} {LOST} ({error.cause}; its text of before is in the run's record)")
    said = [f"{', '.join(back)} {'is' if len(back) == 1 else 'are'} as before"] if back else []
    return "; ".join([*said, *left])
