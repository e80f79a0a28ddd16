"""The single steps of a way back: a file, a value of the kernel, a command, a folder. Each looks first, and may be done again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from caasctl.frozen import dataclass
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import FileKind, Reader, Writer
from caasctl.resources.packages import locked
from caasctl.syntax import links, swap
from caasctl.syntax.packages import apt
from caasctl.traces import Fate, Noted, There, digest, edited, fate, look, unreadable

COMMAND_TIMEOUT_S = 600.0  # as GRUB's own generator is given where it is run for a change
PURGE = ("dpkg", "--purge")  # of what a run installed
_DPKG_S = 60.0
_STARTS = ("start", "restart")


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
        found = fate(look(host, noted), chain)
        if found.due:
            _put(host, folder, found)
    except Unreadable as error:
        return Step(noted.resource, f"{noted.path} {unreadable(error)}", done=False)
    except CaasError as error:
        return Step(noted.resource, f"{noted.path} could not be taken back: {error.cause or error.problem}", done=False)
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


def _left(folder: str, found: Fate) -> Step:
    noted = found.first
    if noted.value and found.now is None:
        return Step(noted.resource, f"{found.path} is not there any more", done=True)
    shown = (noted.value or noted.link) and noted.before
    before = noted.before.content if shown and noted.before else f"{folder}/{noted.backup}"
    text = f"{found.path} left as it is: {edited(found.now, found.newest.after)}; before it was {before if noted.before else 'absent'}"
    return Step(noted.resource, text, done=False, kept=True)


def run_command(host: Writer, resource: str, argv: tuple[str, ...], timeout_s: float = COMMAND_TIMEOUT_S) -> Step:
    try:
        if why := needless(host, argv):
            return Step(resource, f"`{' '.join(argv)}` is not needed: {why}", done=True)
        if argv[:2] == PURGE:
            return _purge(host, resource, argv[2:], timeout_s)
        _execute(host, argv, timeout_s)
    except Unreadable as error:
        return Step(resource, f"`{' '.join(argv)}` was not run: {error}", done=False)
    except CaasError as error:
        if why := _nothing_left(host, argv):
            return Step(resource, f"`{' '.join(argv)}` has nothing to act on: {why}", done=True)
        return Step(resource, f"`{' '.join(argv)}` failed: {error.cause or error.problem}", done=False)
    return Step(resource, f"`{' '.join(argv)}` ran", done=True)


def _purge(host: Writer, resource: str, names: tuple[str, ...], timeout_s: float) -> Step:
    """Takes off those that are still there, but for what something else has come to need. Raises CaasError, Unreadable."""
    there = tuple(apt.installed(host.read(apt.STATUS) or "", names))
    kept: dict[str, None] = {}
    while going := tuple(name for name in there if name not in kept):
        refused = apt.kept(host.query(*PURGE, "--simulate", *going, timeout_s=_DPKG_S).stderr)
        if not {*refused} - kept.keys():
            locked.patiently(host, *PURGE, *going, timeout_s=timeout_s)
            break
        kept.update(dict.fromkeys(refused))
    stay = f"; what something else needs now stays: {', '.join(kept)}" if kept else ""
    return Step(
        resource, f"`{' '.join((*PURGE, *going))}` ran{stay}" if going else f"nothing is taken off{stay}", done=True
    )


def _nothing_left(host: Reader, argv: tuple[str, ...]) -> str:
    """Why a command that failed will never do better: what it acts on is gone since."""
    with suppress(Unreadable):
        if argv[0] == "swapon" and host.stat(argv[-1]) is None:
            return f"{argv[-1]} is gone"
        if argv[0] == "systemctl" and len(argv) > 2 and not argv[-1].startswith("/"):  # noqa: PLR2004 - verb and unit
            said = host.query("systemctl", "show", "-p", "LoadState", "--value", "--", argv[-1])
            return f"there is no {argv[-1]} any more" if said.stdout.strip() == "not-found" else ""
    return ""


def _execute(host: Writer, argv: tuple[str, ...], timeout_s: float) -> None:
    """A unit that failed too often on the files that are gone now is refused its start until that is forgotten."""
    try:
        locked.patiently(host, *argv, timeout_s=timeout_s)
    except CaasError:
        if argv[0] != "systemctl" or argv[1] not in _STARTS:
            raise
        with suppress(CaasError):  # a unit that is not loaded has nothing to forget
            host.execute("systemctl", "reset-failed", argv[-1], timeout_s=timeout_s)
        host.execute(*argv, timeout_s=timeout_s)


def needless(host: Reader, argv: tuple[str, ...]) -> str:
    """Why a command has nothing to do, where it would fail for that: it ran before, or its change was never made. Raises Unreadable."""
    if argv[0] == "swapon" and argv[-1] in (area.path for area in swap.areas(host.read("/proc/swaps") or "")):
        return f"{argv[-1]} is in use"
    if "--kubeconfig" in argv[:-1]:
        path = argv[argv.index("--kubeconfig") + 1]
        return "" if host.stat(path) else f"{path} is gone, and its cluster with it"
    if argv[:2] == PURGE:
        return "" if apt.installed(host.read(apt.STATUS) or "", argv[2:]) else "none of them is installed"
    if argv[0] == "/bin/sh":  # of caasctl's own, which goes after it has run
        return "" if host.stat(argv[1]) else f"{argv[1]} is gone: an undo that was cut short had come further than this"
    return ""


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
