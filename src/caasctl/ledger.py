"""The undo record of a run: one fsynced entry before every change, and the way back along them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from caasctl import formats
from caasctl.model import CaasError, Unreadable, UsageError
from caasctl.protocol import Change, Known, Reader, State, Undo, Writer

FOLDER = "/var/lib/caasctl/runs"
SCHEMA_VERSION = 1


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
    texts = (host.read(f"{FOLDER}/{run}/{name}") or "{}" for name in _entries(host, run))
    return frozenset(str(formats.parse_json(text, run).get("phase", "")) for text in texts)


def take_back(host: Writer, run: str) -> Iterator[Step]:
    """Undoes a run, last change first; what was edited since is left and said. Raises UsageError for an unknown run."""
    names = _entries(host, run)
    if not names:
        raise UsageError(
            f"there is no run {run} to take back",
            cause=f"{FOLDER} holds {', '.join(runs(host)) or 'none'}",
            fix="name one of these, or none for the last",
        )
    commands: list[tuple[str, str, tuple[str, ...]]] = []
    for name in reversed(names):
        entry = formats.parse_json(host.read(f"{FOLDER}/{run}/{name}") or "{}", name)
        for file in entry["files"]:
            yield _restore(host, run, entry["resource"], file)
        commands += [(name, entry["resource"], tuple(argv)) for argv in entry["commands"]]
        if entry["nothing"]:
            yield Step(entry["resource"], entry["nothing"], done=True)
    last = {argv: (name, resource) for name, resource, argv in reversed(commands)}
    ran = [_run(host, last[argv][1], argv) for argv in dict.fromkeys(argv for _, _, argv in commands)]
    yield from ran
    if all(step.done for step in ran):  # a command that failed is tried again by the next undo
        host.write(f"{FOLDER}/{run}/undone", b"")


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
    host.write(path, was, int(file["mode"], 8))
    return Step(resource, f"{path} restored", done=True)


def _run(host: Writer, resource: str, argv: tuple[str, ...]) -> Step:
    try:
        host.execute(*argv)
    except CaasError as error:
        return Step(resource, f"`{' '.join(argv)}` failed: {error.cause or error.problem}", done=False)
    return Step(resource, f"`{' '.join(argv)}` ran", done=True)
