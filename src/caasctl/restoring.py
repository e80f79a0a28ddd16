"""The single steps of a way back: a file, a value of the kernel, a folder. Each looks first, and may be done again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from caasctl.frozen import dataclass
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import FileKind, Reader, Writer
from caasctl.syntax import links
from caasctl.traces import Fate, Noted, There, digest, edited, fate, look, unreadable
from caasctl.wishes import heard


@dataclass(frozen=True)
class Step:
    """How one part of a run was taken back, or why it was not. kept: it stays on purpose, as somebody else wants it."""

    resource: str
    text: str
    done: bool
    kept: bool = False

    @property
    def failed(self) -> bool:
        return not self.done and not self.kept


def restore(host: Writer, folder: str, chain: Sequence[Noted]) -> Step:
    """Takes one path back, along the entries of the run in `folder` that changed it."""
    noted = chain[-1]
    try:
        if not noted.value and not noted.link:
            with suppress(CaasError, Unreadable):  # a restore fails for it, or has no need of it
                host.tidy(noted.path)  # what the run left that was killed while it wrote
        found = heard(host, fate(look(host, noted), chain))
        if found.due:
            _put(host, folder, found)
    except Unreadable as error:
        return Step(noted.resource, f"{noted.path} {unreadable(error)}", done=False)
    except CaasError as error:
        return Step(noted.resource, f"{noted.path} could not be taken back: {error.cause or error.problem}", done=False)
    if found.why:
        return _wished(found)
    if found.kept:
        return _left(folder, found)
    if not found.due:
        return Step(noted.resource, f"{noted.path} is already as before", done=True)
    return Step(noted.resource, f"{noted.path} {'restored' if found.goal else 'removed'}", done=True)


def _put(host: Writer, folder: str, found: Fate) -> None:
    goal = found.goal
    if found.first.link:
        _lead_back(host, found.path, goal)
    elif goal is None:
        host.remove(found.path)
    elif found.last.value:
        host.write_value(found.path, goal.content)
    else:
        owner = None if goal.uid is None or goal.gid is None else (goal.uid, goal.gid)
        host.write(
            found.path, _backup(host, folder, found.last, goal), 0o600 if goal.mode is None else goal.mode, owner
        )


def _lead_back(host: Writer, path: str, goal: There | None) -> None:
    """The link of before, or the directory that had to make room, or nothing."""
    target = links.target(goal.content) if goal else None
    if target is not None:
        host.link(path, target)
        return
    if goal is not None and host.stat(links.aside(path), follow=False) is None:
        raise CaasError(
            f"{links.aside(path)} is gone", cause=f"{links.aside(path)} is gone, which was at {path} before"
        )
    host.remove(path)
    if goal is not None:
        host.move(links.aside(path), path)


def _backup(host: Reader, folder: str, noted: Noted, goal: There) -> bytes:
    """The bytes of before, as they were recorded. Raises Unreadable: what is damaged replaces nothing."""
    data = host.read_bytes(f"{folder}/{noted.backup}")
    if data is None or (goal.content and digest(data) != goal.content):
        raise Unreadable(noted.path, f"its copy {folder}/{noted.backup} is {'gone' if data is None else 'damaged'}")
    return data


def _wished(found: Fate) -> Step:
    """Of a setting that others want otherwise than it was."""
    before = found.first.before.content if found.first.before else ""
    if found.due and found.goal:
        text = f"{found.path} set to {found.goal.content}, as {found.why}; before it was {before}"
    else:
        text = f"{found.path} left as it is: {found.why}; before it was {before}"
    return Step(found.first.resource, text, done=found.due, kept=not found.due)


def _left(folder: str, found: Fate) -> Step:
    noted = found.first
    if noted.value and found.now is None:
        return Step(noted.resource, f"{found.path} is not there any more", done=True)
    shown = (noted.value or noted.link) and noted.before
    before = noted.before.content if shown and noted.before else f"{folder}/{noted.backup}"
    text = f"{found.path} left as it is: {edited(found.now, found.newest.after)}; before it was {before if noted.before else 'absent'}"
    return Step(noted.resource, text, done=False, kept=True)


def trees_back(host: Writer, entries: Iterable[Mapping[str, Any]]) -> Iterator[Step]:
    """Folders that the run unpacked, with all in them."""
    for entry in entries:
        for path in entry.get("trees", ()):
            try:
                gone = host.stat(path, follow=False) is None
                host.remove_tree(path)  # what an undo that was killed left of it too
                if gone:
                    continue
            except (Unreadable, CaasError) as error:
                yield Step(str(entry["resource"]), f"{path} could not be removed: {error}", done=False)
            else:
                yield Step(str(entry["resource"]), f"{path} removed, with all in it", done=True)


def folders_back(host: Writer, entries: Iterable[Mapping[str, Any]]) -> Iterator[Step]:
    """Folders that the run made, innermost first, where they are empty."""
    for resource, path in made_folders(entries):
        try:
            there = host.stat(path, follow=False)
            if there is None or there.kind is not FileKind.DIR:
                continue
            host.remove_folder(path)
            held = host.list(path)
        except Unreadable as error:
            yield Step(resource, f"{path} {unreadable(error)}", done=False)
        except CaasError as error:
            yield Step(resource, f"{path} could not be removed: {error.cause}", done=False)
        else:
            yield _emptied(resource, path, held)


def _emptied(resource: str, path: str, held: tuple[str, ...] | None) -> Step:
    if held is None:
        return Step(resource, f"{path} removed", done=True)
    names = ", ".join(held[:3]) + (" and more" if len(held) > 3 else "")  # noqa: PLR2004 - enough to know whose they are
    return Step(resource, f"{path} stays: it holds {names or 'what cannot be seen'}", done=True, kept=True)


def made_folders(entries: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """(resource, folder), the innermost first."""
    found = {path: str(entry["resource"]) for entry in entries for path in entry.get("folders", ())}
    return tuple((found[path], path) for path in sorted(found, key=lambda path: (-path.count("/"), path)))
