"""The undo record of a run: one fsynced entry before every change, what it says, and the way back along it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from caasctl import formats
from caasctl.commanding import only_ours, run_command, take_down
from caasctl.faults import is_root
from caasctl.formats import FormatError
from caasctl.model import CaasError, RefusedError, Unreadable, UsageError
from caasctl.protocol import Absent, Change, FileKind, Known, Reader, Resource, Stat, State, Undo, Writer
from caasctl.resources.files import owned_files
from caasctl.restoring import Step, folders_back, restore, trees_back
from caasctl.traces import GONE, chains, digest

STATE = "/var/lib/caasctl"
FOLDER = f"{STATE}/runs"
SCHEMA_VERSION = (
    4  # 1: no owner, no mode after, no folders, no values of the kernel; 2: no links, no trees; 3: no notes
)
_NOTES = 4  # the schema since which there is a note of a change that was made
_SETGID = 0o2000
_MADE = ".made"
_KEYS = {"resource", "files", "commands", "nothing"}  # without these no entry of any schema can be taken back
Entry = Mapping[str, Any]


class Ledger:
    """Writes the entries of one run, in folders that only root may enter.

    The bytes of before lie beside an entry, and so do those that caasctl writes, unless they are secret: in a file of
    mode 0600 each, for they may hold keys. The entry itself, which reports quote, never holds a text of a file.
    """

    def __init__(self, host: Writer, run: str) -> None:
        self._host, self.run, self._seq, self._number = host, run, 0, 0
        self._owed: Change | None = None  # recorded, and what was made of it is in no file that tells

    def record(self, change: Change) -> Undo:
        """Notes the way back of a change that is about to be made; it is on disk when this returns. Raises CaasError."""
        try:
            return self._record(change)
        except Unreadable as error:
            raise CaasError(f"{change.resource.name} is not changed: its way back cannot be recorded", cause=str(error),
                            fix="mend that, then run the same command again") from error  # fmt: skip

    def _record(self, change: Change) -> Undo:
        if not self._seq:
            self._begin()
        self._seq += 1
        undo = change.resource.undo(change.before)
        after = _after(change.after, undo)
        hidden = {file.path for file in owned_files(change.resource) if file.secret}
        files = [
            self._file(f"{self._seq:04d}-{at}", path, was, after.get(path), change.resource, hidden)
            for at, (path, was) in enumerate((undo.files or {}).items())
        ]
        made = change.after.text if isinstance(change.after, Known) else ""
        entry = {
            "schemaVersion": SCHEMA_VERSION,
            "number": self._number,
            "phase": change.phase,
            "resource": change.resource.name,
            "kind": change.resource.name.partition(":")[0],
            "before": _word(change, undo),
            "files": files,
            "folders": _folders(self._host, (*(undo.files or {}), *(f"{path}/x" for path in undo.folders))),
            "values": [{"path": path, "before": was, "after": made} for path, was in (undo.values or {}).items()],
            "commands": [list(argv) for argv in undo.commands],
            "nothing": undo.nothing,
            "first": [list(argv) for argv in undo.first],
            "loses": undo.loses,
            "links": [_link(path, was, change.after) for path, was in (undo.links or {}).items()],
            "trees": list(undo.trees),
        }
        self._keep(f"{self._seq:04d}.json", formats.dump_json(entry).encode())
        self._owed = change if undo.commands else None
        return undo

    def made(self, change: Change) -> None:
        """Notes that a change was made, where the record has commands for its way back: nothing else tells. Raises CaasError."""
        if self._owed is change:
            self._keep(f"{self._seq:04d}{_MADE}", b"")

    def _begin(self) -> None:
        self._number = 1 + max((_number(self._host, run) for run in self._host.list(FOLDER) or ()), default=0)
        for folder in (STATE, FOLDER, f"{FOLDER}/{self.run}"):
            self._host.private_folder(folder)

    def _file(
        self,
        name: str,
        path: str,
        was: tuple[bytes, int] | None,
        after: State | None,
        resource: Resource,
        hidden: set[str],
    ) -> dict[str, Any]:
        there = self._host.stat(path, follow=False)
        there = there if there and there.kind is FileKind.FILE else None
        secret = resource.secret or path in hidden
        said: dict[str, Any] = {"path": path, "backup": None, "mode": None, "secret": secret, "wrote": None}
        if was is not None:
            said["backup"] = f"{name}.before"
            said |= {"sha256Before": digest(was[0]), "mode": f"{there.mode if there else was[1]:04o}"}
            said |= {"uid": there.uid, "gid": there.gid} if there else {}
            self._keep(said["backup"], was[0])
        said["sha256After"] = GONE if isinstance(after, Absent) else None
        if isinstance(after, Known):
            uid, gid = _owner_after(self._host, resource, path, there)
            said |= {"sha256After": digest(after.text.encode()), "uidAfter": uid, "gidAfter": gid}
            said["modeAfter"] = None if after.mode is None else f"{after.mode:04o}"
            if not secret:
                said["wrote"] = f"{name}.after"
                self._keep(said["wrote"], after.text.encode())
        return said

    def _keep(self, name: str, data: bytes) -> None:
        self._host.write(f"{FOLDER}/{self.run}/{name}", data, 0o600)


def _link(path: str, was: str | None, after: State) -> dict[str, Any]:
    made = dict(after.parts).get(path) if isinstance(after, Known) else None
    return {"path": path, "before": was, "after": made.text if isinstance(made, Known) else None}


def _after(after: State, undo: Undo) -> dict[str, State]:
    """What each file will be, as far as the state tells, so that undo knows a later edit by hand."""
    if isinstance(after, Known) and after.parts:
        return dict(after.parts)
    return dict.fromkeys(undo.files, after) if undo.files and len(undo.files) == 1 else {}


def _word(change: Change, undo: Undo) -> str | None:
    """The state before, of what is no file: a unit's, a value's, a release's."""
    before = change.before
    if not isinstance(before, Known) or change.resource.secret or (undo.files and not before.parts):
        return None
    return before.text


def _owner_after(host: Reader, resource: Resource, path: str, there: Stat | None) -> tuple[int | None, int | None]:
    """As Writer.write will have it: what the resource asks for, that of the file before, else that of a new file of root's."""
    if not is_root():
        return (there.uid, there.gid) if there else (None, None)
    asked: tuple[int, int] | None = getattr(resource, "owner", None)
    if asked or there:
        return asked or (there.uid, there.gid) if there else asked or (None, None)
    above = host.stat(_missing(host, path)[1])
    return (0, above.gid if above and above.mode & _SETGID else 0)


def _missing(host: Reader, path: str) -> tuple[list[str], str]:
    """The folders above a path that are not there, outermost first, and the one above them that is."""
    missing: list[str] = []
    folder = path.rpartition("/")[0] or "/"
    while folder != "/" and host.stat(folder, follow=False) is None:
        missing.insert(0, folder)
        folder = folder.rpartition("/")[0] or "/"
    return missing, folder


def _folders(host: Reader, paths: Iterable[str]) -> list[str]:
    """The folders that the change will make."""
    return list(dict.fromkeys(folder for path in paths for folder in _missing(host, path)[0]))


# -- what a record says ------------------------------------------------------------------------------------------------
def runs(host: Reader) -> tuple[str, ...]:
    """Runs that changed something and were not taken back, oldest first, whatever the clock said. Raises Unreadable."""
    names = [name for name in host.list(FOLDER) or () if _entries(host, name) and not taken_back(host, name)]
    return tuple(sorted(names, key=lambda name: (_number(host, name), name)))


def taken_back(host: Reader, run: str) -> bool:
    return host.stat(f"{FOLDER}/{run}/undone") is not None


def _number(host: Reader, run: str) -> int:
    """The place of a run among all; 0 for those of schema 1, whose names tell, and for what cannot be understood."""
    for name in _entries(host, run):
        with suppress(FormatError, AttributeError, TypeError, ValueError):  # its own turn says what is wrong with it
            return int(formats.parse_json(host.read(f"{FOLDER}/{run}/{name}") or "", name).get("number", 0))
    return 0


def _entries(host: Reader, run: str) -> tuple[str, ...]:
    return tuple(name for name in host.list(f"{FOLDER}/{run}") or () if name.endswith(".json"))


def _entry(host: Reader, run: str, name: str) -> Entry:
    path = f"{FOLDER}/{run}/{name}"
    entry: Any = None
    with suppress(FormatError):  # a disk that lost its power may lose what it said it has
        entry = formats.parse_json(host.read(path) or "", path)
    whole = isinstance(entry, dict) and entry.keys() >= _KEYS
    if not whole or entry.get("schemaVersion", 1) not in range(1, SCHEMA_VERSION + 1):
        raise RefusedError(f"{path} cannot be understood", cause="a newer caasctl wrote it, or it was damaged since",
                           fix=f"use the caasctl that made the run; where it is damaged, move {FOLDER}/{run} away: `caasctl reset` needs no record")  # fmt: skip
    if entry.get("schemaVersion", 1) == 1:
        return _upgraded(host, run, entry)
    noted = entry["schemaVersion"] < _NOTES or host.stat(path.replace(".json", _MADE)) is not None
    return {**entry, "unsure": not noted}


def _upgraded(host: Reader, run: str, entry: Entry) -> Entry:
    """An entry of schema 1, with the digests of its files before, which only their copies tell."""
    files = []
    for file in entry["files"]:
        data = host.read_bytes(f"{FOLDER}/{run}/{file['backup']}") if file["backup"] else None
        files.append({**file, "sha256Before": digest(data) if data is not None else "its copy is gone"})
    return {**entry, "files": files}


def entries_of(host: Reader, run: str) -> Iterator[Entry]:
    """The entries of a run, last change first."""
    for name in reversed(_entries(host, run)):
        yield _entry(host, run, name)


def standing(host: Reader, run: str) -> tuple[Entry, ...]:
    """The entries of a run that can be taken back, last change first. Raises UsageError for one that cannot."""
    entries = tuple(entries_of(host, run)) if run not in ("", ".", "..") and "/" not in run else ()
    if not entries:
        raise UsageError(
            f"there is no run {run} to take back",
            cause=f"{FOLDER} holds {', '.join(runs(host)) or 'none'}",
            fix="name one of these, or none for the last",
        )
    if taken_back(host, run):
        raise UsageError(f"the run {run} was taken back already", cause="its record says so",
                         fix="`caasctl undo --list` shows those that can be taken back")  # fmt: skip
    return tuple(only_ours(host, entry) if entry.get("unsure") else entry for entry in entries)


def phases(host: Reader, run: str) -> frozenset[str]:
    """The phases whose changes a run's record holds."""
    return frozenset(str(entry.get("phase", "")) for entry in entries_of(host, run))


def takes_down(host: Reader, run: str) -> tuple[tuple[str, ...], ...]:
    """The commands that run before any file is back, when a run is taken back."""
    return tuple(argv for _, argv in commands(tuple(entries_of(host, run)), "first"))


def commands(entries: Iterable[Entry], key: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(resource, command), last change first, each command once, named after the earliest change that asks for it."""
    asked = [(entry["resource"], tuple(argv)) for entry in entries for argv in entry.get(key) or ()]
    named = {argv: resource for resource, argv in asked}
    return tuple((named[argv], argv) for argv in dict.fromkeys(argv for _, argv in asked))


# -- the way back ------------------------------------------------------------------------------------------------------
def take_back(host: Writer, run: str) -> Iterator[Step]:
    """Undoes a run, last change first: what uses files is taken down, files come back, then they take effect.

    What was edited since is left and said. Killed anywhere, it may be run again: each step looks first. Raises UsageError
    for an unknown run.
    """
    entries = standing(host, run)
    steps = list(take_down(host, commands(entries, "first")))
    yield from steps
    if not all(step.done for step in steps):
        return
    kept: set[str] = set()
    for step in _settle(host, run, entries, kept):
        steps.append(step)
        yield step
    if not any(step.failed for step in steps):  # what failed is tried again by the next undo
        host.write(f"{FOLDER}/{run}/undone", b"", 0o600)


def _settle(host: Writer, run: str, entries: tuple[Entry, ...], kept: set[str]) -> Iterator[Step]:
    """Files and values; what cannot be taken back; commands; trees, folders. kept: paths that stay, as somebody edited them or
    since they could not be led back: a tree that a link still leads to is not removed.
    """
    for chain in chains(entries).values():
        step = restore(host, f"{FOLDER}/{run}", chain)
        kept.update([chain[0].path] if step.kept or (step.failed and chain[0].link) else ())
        yield step
    yield from (Step(entry["resource"], entry["nothing"], done=True) for entry in entries if entry["nothing"])
    for name, argv in commands(in_effect(entries, kept), "commands"):
        yield run_command(host, name, argv)
    yield from trees_back(host, in_effect(entries, kept))
    yield from folders_back(host, entries)


def in_effect(entries: Iterable[Entry], kept: set[str]) -> tuple[Entry, ...]:
    """The entries whose commands are due: where somebody's edits stay, they are not put in effect behind his back."""
    return tuple(entry for entry in entries if not (paths := _paths(entry)) or paths - kept)


def _paths(entry: Entry) -> set[str]:
    return {each["path"] for each in (*entry["files"], *entry.get("links", ()))}
