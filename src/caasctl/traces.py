"""What lies at a path now, held against what a run's record says of it: still ours, as before, or edited since."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from caasctl.faults import word_of
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import FileKind, Reader
from caasctl.syntax import links

GONE = "absent"  # in a record: the change takes the file away


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class There:
    """content: a file's SHA-256, a kernel value's text, a word for what is neither. None: not known, and not compared."""

    content: str
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


def same(one: There | None, other: There | None) -> bool:
    """Whether two looks at a path saw the same, by all that both know; None is a path where nothing lies."""
    if one is None or other is None:
        return one is other
    pairs = ((one.mode, other.mode), (one.uid, other.uid), (one.gid, other.gid))
    return one.content == other.content and all(a == b or a is None or b is None for a, b in pairs)


@dataclass(frozen=True)
class Noted:
    """What one entry says of a file, or of a value of the kernel.

    after: what caasctl made of it, where that is `known`. backup, wrote: files of the run with the bytes before and after.
    """

    resource: str
    path: str
    before: There | None
    after: There | None
    known: bool = True
    backup: str = ""
    wrote: str = ""
    secret: bool = False
    value: bool = False
    link: bool = False

    def fits(self, now: There | None) -> bool:
        """Whether `now` is what this change made, so that it may be taken back."""
        return not same(now, self.before) and (not self.known or same(now, self.after))


@dataclass(frozen=True)
class Fate:
    """What undo makes of a path: `goal` in the place of `now`, by `last`, the entry whose before that is.

    first, newest: the entries of the run's first and last change of it. why: what asks for another `goal` than the record's.
    """

    now: There | None
    goal: There | None
    last: Noted
    first: Noted
    newest: Noted
    why: str = ""

    @property
    def path(self) -> str:
        return self.first.path

    @property
    def due(self) -> bool:
        return not same(self.now, self.goal)

    @property
    def kept(self) -> bool:
        """Whether somebody else's edit stays: undo never writes over one."""
        return not same(self.goal, self.first.before)


def fate(now: There | None, chain: Sequence[Noted]) -> Fate:
    """Goes back along a path's entries, newest first: one that does not fit what is there was not made, or is overwritten."""
    goal, last = now, chain[-1]
    for noted in chain:
        if noted.fits(goal):
            goal, last = noted.before, noted
    return Fate(now, goal, last, chain[-1], chain[0])


def look(host: Reader, noted: Noted) -> There | None:
    """Raises Unreadable."""
    if noted.value:
        text = host.read(noted.path)
        return None if text is None else There(" ".join(text.split()))
    if noted.link:
        return _look_at_link(host, noted)
    there = host.stat(noted.path, follow=False)
    if there is None:
        return None
    if there.kind is not FileKind.FILE:
        return There(word_of(there.kind))
    data = host.read_bytes(noted.path)
    return None if data is None else There(digest(data), there.mode, there.uid, there.gid)


def _look_at_link(host: Reader, noted: Noted) -> There | None:
    """Where a run ended between a directory's move and the link in its place, the link counts as made."""
    target, there = host.readlink(noted.path), host.stat(noted.path, follow=False)
    if target is not None:
        return There(links.words(target))
    if there is not None:
        return There(word_of(there.kind))
    moved = noted.before is not None and noted.before.content == links.DIRECTORY
    return noted.after if moved and host.stat(links.aside(noted.path), follow=False) else None


def chains(entries: Iterable[Mapping[str, Any]]) -> dict[str, list[Noted]]:
    """By path, what the entries of a run, newest first, say of it."""
    found: dict[str, list[Noted]] = {}
    for entry in entries:
        for noted in (*(_file(entry, file) for file in entry["files"]), *_values(entry), *_links(entry)):
            found.setdefault(noted.path, []).append(noted)
    return found


def _file(entry: Mapping[str, Any], file: Mapping[str, Any]) -> Noted:
    """Entries of schema 1 know no owner, no mode after, and no file that is to be gone."""
    mode = None if file["mode"] is None else int(file["mode"], 8)
    before = There(file["sha256Before"], mode, file.get("uid"), file.get("gid")) if file["backup"] else None
    after, made = file["sha256After"], file.get("modeAfter")
    lies = (
        None
        if after in (None, GONE)
        else There(after, int(made, 8) if made else None, file.get("uidAfter"), file.get("gidAfter"))
    )
    open_to_all = bool((mode if mode is not None else 0) & 0o004)
    return Noted(entry["resource"], file["path"], before, lies, after is not None, file["backup"] or "", file.get("wrote") or "",
                 secret=file.get("secret", not open_to_all))  # fmt: skip


def _values(entry: Mapping[str, Any]) -> Iterable[Noted]:
    for value in entry.get("values", ()):
        yield Noted(entry["resource"], value["path"], There(value["before"]), There(value["after"]), value=True)


def _links(entry: Mapping[str, Any]) -> Iterable[Noted]:
    for link in entry.get("links", ()):
        before, after = (There(link[key]) if link[key] else None for key in ("before", "after"))
        yield Noted(entry["resource"], link["path"], before, after, known=after is not None, link=True)


def edited(now: There | None, made: There | None) -> str:
    """In what a path differs from what caasctl made of it, in a clause."""
    if now is None:
        return "it was removed since"
    if made is None:
        return "somebody has brought it back since"
    if now.content != made.content:
        words = {word_of(kind) for kind in FileKind}
        told = now.content in words or links.target(now.content) is not None
        return f"it is {now.content} now" if told else "it was edited since"
    if now.mode != made.mode and None not in (now.mode, made.mode):
        return f"its mode was changed since, from {made.mode:04o} to {now.mode:04o}"
    return f"its owner was changed since, from {made.uid}:{made.gid} to {now.uid}:{now.gid}"


def unreadable(error: Unreadable) -> str:
    return f"left as it is: {error.reason}"
