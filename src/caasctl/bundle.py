"""Recorded hosts: RecordingHost remembers what was looked at, BundleHost answers from such a recording.

A recording is a directory or .tar.gz: manifest.json, root/ (files at their paths), commands.json.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
import threading
import weakref
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from caasctl import __version__, formats
from caasctl.faults import cannot
from caasctl.host import LiveHost, decode
from caasctl.model import Unreadable, UsageError
from caasctl.protocol import NOT_FOUND, Completed, FileKind, Reader, Stat

SCHEMA_VERSION = 1
T = TypeVar("T")
_Key = tuple[str, ...]


class RecordingHost:
    """A Reader that asks `inner` each question once, remembers the answer, and can save all of them. Thread-safe."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self._answers: dict[_Key, object] = {}
        self._locks: dict[_Key, threading.Lock] = {}
        self._guard = threading.Lock()

    def read_bytes(self, path: str) -> bytes | None:
        return self._once(("read", path), lambda: self._inner.read_bytes(path))

    def read(self, path: str) -> str | None:
        data = self.read_bytes(path)
        return None if data is None else decode(path, data)

    def list(self, path: str) -> tuple[str, ...] | None:
        return self._once(("list", path), lambda: self._inner.list(path))

    def readlink(self, path: str) -> str | None:
        return self._once(("link", path), lambda: self._inner.readlink(path))

    def stat(self, path: str, *, follow: bool = True) -> Stat | None:
        return self._once(("stat" if follow else "lstat", path), lambda: self._inner.stat(path, follow=follow))

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        return self._once(("query", *argv), lambda: self._inner.query(*argv, timeout_s=timeout_s))

    def _once(self, key: _Key, ask: Callable[[], T]) -> T:
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._answers:
                try:
                    self._answers[key] = ask()
                except Unreadable as unreadable:
                    self._answers[key] = unreadable
        answer: Any = self._answers[key]
        if isinstance(answer, Unreadable):
            raise answer
        return answer  # type: ignore[no-any-return]

    def save(self, target: str, host_name: str) -> None:
        """Writes the recording: a .tar.gz where `target` ends so, else a new directory. Raises CaasError."""
        recording = _Recording(host_name)
        for (kind, *what), answer in sorted(self._answers.items(), key=lambda item: item[0]):
            recording.take(kind, what, answer)
        recording.write(os.path.abspath(target))


class _Recording:
    """The parts of a recording while it is put together."""

    def __init__(self, host_name: str) -> None:
        when = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.manifest: dict[str, Any] = {
            "schemaVersion": SCHEMA_VERSION,
            "tool": f"caasctl {__version__}",
            "host": host_name,
            "when": when,
            "unread": {},
            "absent": [],
            "listings": {},
            "links": {},
            "stats": {},
        }
        self.commands: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.links: dict[str, str] = {}

    def take(self, kind: str, what: list[str], answer: object) -> None:
        question, path = " ".join([kind, *what]), what[0]
        if isinstance(answer, Unreadable):
            self.manifest["unread"][question] = answer.reason
        elif isinstance(answer, Completed):
            self.commands.append(
                {
                    "argv": list(answer.argv),
                    "rc": answer.rc,
                    "stdout": answer.stdout,
                    "stderr": answer.stderr,
                    **({"missing": True} if answer.missing else {}),
                }
            )
        elif isinstance(answer, bytes):
            self.files[path] = answer
        elif isinstance(answer, Stat):
            self.manifest["stats"][question] = {
                "kind": answer.kind.value,
                "mode": f"{answer.mode:04o}",
                "uid": answer.uid,
                "gid": answer.gid,
                "size": answer.size,
                "ctimeNs": answer.ctime_ns,
            }
        elif isinstance(answer, tuple):
            self.manifest["listings"][path] = list(answer)
        elif isinstance(answer, str):
            self.links[path] = answer
        else:
            self.manifest["absent"].append(question)

    def write(self, target: str) -> None:
        """All or nothing: built in a new directory beside the target, then renamed."""
        if os.path.lexists(target):
            raise UsageError(
                f"{target} is already there", cause="a recording replaces nothing", fix="name another path"
            )
        try:
            with tempfile.TemporaryDirectory(prefix=".caasctl-", dir=os.path.dirname(target)) as work:
                folder = f"{work}/recording"
                self._fill(folder)
                if target.endswith((".tar.gz", ".tgz")):
                    folder = _packed(folder)
                os.rename(folder, target)
        except OSError as error:
            raise cannot("record to", target, error) from error

    def _fill(self, folder: str) -> None:
        below = {str(parent) for path in self.files for parent in (Path(path), *Path(path).parents)}
        tree = LiveHost(folder)
        for path, data in self.files.items():
            tree.write(f"/root{path}", data)
        for path, aim in self.links.items():
            if path in below:  # read through as well: the content takes the place, the manifest keeps the link
                self.manifest["links"][path] = aim
            else:
                os.makedirs(os.path.dirname(f"{folder}/root{path}"), exist_ok=True)
                os.symlink(aim, f"{folder}/root{path}")
        tree.write("/commands.json", formats.dump_json(self.commands).encode())
        tree.write("/manifest.json", formats.dump_json(self.manifest).encode())


def _packed(folder: str) -> str:
    with tarfile.open(f"{folder}.tar.gz", "w:gz") as archive:
        for name in sorted(os.listdir(folder)):
            archive.add(f"{folder}/{name}", arcname=name)
    return f"{folder}.tar.gz"


class BundleHost:
    """A Reader of a recording, made by us, by a collector or by hand. What is not in it is unknown, never this machine's."""

    def __init__(self, path: str) -> None:
        folder = os.path.abspath(path)
        if not os.path.isdir(path):
            unpacked = tempfile.TemporaryDirectory(prefix="caasctl-")
            weakref.finalize(self, unpacked.cleanup)
            folder = unpacked.name
            _unpack(path, folder)
        outer = LiveHost(folder)
        manifest = outer.read("/manifest.json")
        if manifest is None:
            raise UsageError(
                f"{path} is no recorded host",
                cause="it holds no manifest.json",
                fix="record one with `caasctl facts --record FILE.tar.gz`",
            )
        self.manifest: dict[str, Any] = formats.parse_json(manifest, f"{path}: manifest.json")
        if self.manifest.get("schemaVersion") != SCHEMA_VERSION:
            raise UsageError(
                f"{path} has schemaVersion {self.manifest.get('schemaVersion')!r}",
                cause=f"this caasctl reads {SCHEMA_VERSION}",
                fix="use the caasctl that recorded it",
            )
        commands = formats.parse_json(outer.read("/commands.json") or "[]", f"{path}: commands.json")
        self._commands = {tuple(entry["argv"]): entry for entry in commands}
        self._tree = LiveHost(f"{folder}/root")

    def _noted(self, kind: str, path: str) -> bool:
        """Whether the recording says that nothing is there. Raises Unreadable where it says that it could not look."""
        question = f"{kind} {path}"
        reason = self.manifest.get("unread", {}).get(question)
        if reason is not None:
            raise Unreadable(path, reason)
        return question in self.manifest.get("absent", ())

    def _only_listed(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return name in self.manifest.get("listings", {}).get(folder, ())

    def read_bytes(self, path: str) -> bytes | None:
        if self._noted("read", path):
            return None
        data = self._tree.read_bytes(path)
        if data is None and self._only_listed(path):
            raise Unreadable(path, "was not recorded")
        return data

    def read(self, path: str) -> str | None:
        data = self.read_bytes(path)
        return None if data is None else decode(path, data)

    def list(self, path: str) -> tuple[str, ...] | None:
        if self._noted("list", path):
            return None
        listing = self.manifest.get("listings", {}).get(path)
        return self._tree.list(path) if listing is None else tuple(sorted(listing))

    def readlink(self, path: str) -> str | None:
        if self._noted("link", path):
            return None
        noted: str | None = self.manifest.get("links", {}).get(path)
        return noted or self._tree.readlink(path)

    def stat(self, path: str, *, follow: bool = True) -> Stat | None:
        kind = "stat" if follow else "lstat"
        if self._noted(kind, path):
            return None
        noted = self.manifest.get("stats", {}).get(f"{kind} {path}")
        if noted:
            return Stat(
                FileKind(noted["kind"]),
                int(noted["mode"], 8),
                noted.get("uid", 0),
                noted.get("gid", 0),
                noted.get("size", 0),
                noted.get("ctimeNs", 0),
            )
        found = self._tree.stat(path, follow=follow)
        if found is None and self._only_listed(path):
            raise Unreadable(path, "was not recorded")
        return found and Stat(found.kind, found.mode, 0, 0, found.size)

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:  # noqa: ARG002 - nothing runs, nothing waits
        reason = self.manifest.get("unread", {}).get(" ".join(["query", *argv]))
        entry = self._commands.get(argv)
        if reason is not None or entry is None:
            raise Unreadable(" ".join(argv), reason or "is not in the recording")
        rc = int(entry.get("rc", 0))
        return Completed(
            argv, rc, entry.get("stdout", ""), entry.get("stderr", ""), bool(entry.get("missing", rc == NOT_FOUND))
        )


def _unpack(path: str, folder: str) -> None:
    """Unpacks an archive; raises UsageError for one that cannot be read, or leads out of the folder."""
    try:
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            # Debian 12's Python (3.11.2) has no filters, so that ours judges everywhere and tarfile's stay out of it
            archive.extraction_filter = lambda entry, _: entry
            archive.extractall(folder, [_harmless(entry) for entry in members if not entry.issym()])  # noqa: S202
            _place_links(folder, [entry for entry in members if entry.issym()])
    except (OSError, tarfile.TarError) as error:
        raise UsageError(
            f"{path} cannot be read as a recorded host",
            cause=str(error),
            fix="name a directory or a .tar.gz made by `caasctl facts --record`",
        ) from error


def _harmless(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """A file or directory inside the archive, as its reader's own and readable. Raises TarError for anything else."""
    for name in (entry.name, entry.linkname if entry.islnk() else ""):
        if name.startswith("/") or ".." in name.split("/"):
            raise tarfile.TarError(f"{name} leads out of the archive")
    if not (entry.isreg() or entry.isdir() or entry.islnk()):
        raise tarfile.TarError(f"{entry.name} is neither file nor directory")
    entry.mode = entry.mode & 0o777 | (0o700 if entry.isdir() else 0o600)
    entry.uid, entry.gid, entry.uname, entry.gname = os.geteuid(), os.getegid(), "", ""
    return entry


def _place_links(folder: str, links: list[tarfile.TarInfo]) -> None:
    """Links come last and only where no other link leads, so that nothing is written through one."""
    for entry in links:
        place = os.path.normpath(f"{folder}/{entry.name}")
        parent = os.path.dirname(place)
        if os.path.realpath(parent) != os.path.realpath(folder) + parent[len(folder) :] or not place.startswith(folder):
            raise tarfile.TarError(f"{entry.name} leads out of the archive")
        os.makedirs(parent, exist_ok=True)
        os.symlink(entry.linkname, place)
