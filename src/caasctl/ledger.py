"""The undo record of a run: one fsynced entry before every change, and the way back along them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from caasctl import formats
from caasctl.model import CaasError, Unreadable, UsageError
from caasctl.protocol import Change, Known, Reader, State, Undo, Writer

FOLDER = "/var/lib/caasctl/runs"
SCHEMA_VERSION = 1
TAKE_DOWN_TIMEOUT_S = 900.0  # stops every pod of a node


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Step:
    """How one entry of a run was taken back, or why it was not."""

    resource: str
    text: str
    done: bool


class Ledger:
    """Writes the entries of one run; the files of before lie beside them, readable by root only."""

    def __init__(self, host: Writer, run: str) -> None:
        self._host, self.run, self._seq = host, run, 0

    def record(self, change: Change) -> Undo:
        """Notes the way back of a change that is about to be made; it is on disk when this returns."""
        self._seq += 1
        undo = change.resource.undo(change.before)
        wanted = _files_after(change.after, undo)
        files = []
        for at, (path, was) in enumerate((undo.files or {}).items()):
            backup = f"{self._seq:04d}-{at}.before"
            if was is not None:
                self._host.write(f"{FOLDER}/{self.run}/{backup}", was[0], 0o600)
            files.append(
                {
                    "path": path,
                    "backup": None if was is None else backup,
                    "mode": None if was is None else f"{was[1]:04o}",
                    "sha256After": wanted.get(path),
                }
            )
        entry = {
            "schemaVersion": SCHEMA_VERSION,
            "phase": change.phase,
            "resource": change.resource.name,
            "files": files,
            "commands": [list(argv) for argv in undo.commands],
            "nothing": undo.nothing,
            "first": [list(argv) for argv in undo.first],
            "loses": undo.loses,
        }
        self._host.write(f"{FOLDER}/{self.run}/{self._seq:04d}.json", formats.dump_json(entry).encode(), 0o600)
        return undo


def _files_after(after: State, undo: Undo) -> dict[str, str]:
    """sha256 of what each file will hold, so that undo knows a later edit by hand."""
    if not isinstance(after, Known):
        return {}
    texts = {path: state.text for path, state in after.parts if isinstance(state, Known)}
    if not after.parts and undo.files and len(undo.files) == 1:
        texts = dict.fromkeys(undo.files, after.text)
    return {path: digest(text.encode()) for path, text in texts.items()}


def runs(host: Reader) -> tuple[str, ...]:
    """Runs that changed something and were not taken back, oldest first."""
    names = host.list(FOLDER) or ()
    return tuple(n for n in names if host.stat(f"{FOLDER}/{n}/undone") is None and _entries(host, n))


def _entries(host: Reader, run: str) -> tuple[str, ...]:
    return tuple(name for name in host.list(f"{FOLDER}/{run}") or () if name.endswith(".json"))


def phases(host: Reader, run: str) -> frozenset[str]:
    """The phases whose changes a run's record holds."""
    return frozenset(str(entry.get("phase", "")) for entry in _read(host, run))


def losses(host: Reader, run: str) -> tuple[str, ...]:
    """What goes for good when a run is taken back."""
    return tuple(dict.fromkeys(str(entry["loses"]) for entry in _read(host, run) if entry.get("loses")))


def takes_down(host: Reader, run: str) -> tuple[tuple[str, ...], ...]:
    """The commands that run before any file is back, when a run is taken back."""
    return tuple(argv for _, argv in _commands(tuple(_read(host, run)), "first"))


def _read(host: Reader, run: str) -> Iterator[Mapping[str, Any]]:
    """The entries of a run, last change first."""
    for name in reversed(_entries(host, run)):
        yield formats.parse_json(host.read(f"{FOLDER}/{run}/{name}") or "{}", name)


def take_back(host: Writer, run: str) -> Iterator[Step]:
    """Undoes a run, last change first: what uses files is taken down, files come back, then they take effect.

    The last of what is taken down decides: a release goes with its cluster, also where the API server that would uninstall
    it is silent. What was edited since is left and said. Raises UsageError for an unknown run.
    """
    names = _entries(host, run)
    if not names:
        raise UsageError(
            f"there is no run {run} to take back",
            cause=f"{FOLDER} holds {', '.join(runs(host)) or 'none'}",
            fix="name one of these, or none for the last",
        )
    entries = tuple(_read(host, run))
    down = [_run(host, resource, argv, TAKE_DOWN_TIMEOUT_S) for resource, argv in _commands(entries, "first")]
    if down and not down[-1].done:
        yield from down
        return
    yield from (
        step if step.done else replace(step, text=f"{step.text}; it went with what it ran in", done=True)
        for step in down
    )
    for entry in entries:
        for file in entry["files"]:
            yield _restore(host, run, entry["resource"], file)
        if entry["nothing"]:
            yield Step(entry["resource"], entry["nothing"], done=True)
    ran = [_run(host, resource, argv) for resource, argv in _commands(entries, "commands")]
    yield from ran
    if all(step.done for step in ran):  # a command that failed is tried again by the next undo
        host.write(f"{FOLDER}/{run}/undone", b"")


def _commands(entries: Iterable[Mapping[str, Any]], key: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(resource, command), last change first, each command once, named after the earliest change that asks for it."""
    asked = [(entry["resource"], tuple(argv)) for entry in entries for argv in entry.get(key) or ()]
    named = {argv: resource for resource, argv in asked}
    return tuple((named[argv], argv) for argv in dict.fromkeys(argv for _, argv in asked))


def _restore(host: Writer, run: str, resource: str, file: Mapping[str, Any]) -> Step:
    path = file["path"]
    try:
        now = host.read_bytes(path)
    except Unreadable as unreadable:
        return Step(resource, f"{path} left as it is: {unreadable.reason}", done=False)
    was = host.read_bytes(f"{FOLDER}/{run}/{file['backup']}") if file["backup"] else None
    if now == was:
        return Step(resource, f"{path} is already as before", done=True)
    if file["sha256After"] and (now is None or digest(now) != file["sha256After"]):
        before = f"{FOLDER}/{run}/{file['backup']}" if file["backup"] else "absent"
        return Step(resource, f"{path} left as it is: it was edited since; before it was {before}", done=False)
    if was is None:
        host.remove(path)
        return Step(resource, f"{path} removed", done=True)
    there = host.stat(path, follow=False)  # it may lie in a user's home, and is his
    host.write(path, was, int(file["mode"], 8), (there.uid, there.gid) if there else None)
    return Step(resource, f"{path} restored", done=True)


def _run(host: Writer, resource: str, argv: tuple[str, ...], timeout_s: float = 120.0) -> Step:
    try:
        host.execute(*argv, timeout_s=timeout_s)
    except CaasError as error:
        return Step(resource, f"`{' '.join(argv)}` failed: {error.cause or error.problem}", done=False)
    return Step(resource, f"`{' '.join(argv)}` ran", done=True)
