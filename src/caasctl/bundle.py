"""BundleHost answers from a recorded host: a directory or .tar.gz of manifest.json, root/ and commands.json."""

from __future__ import annotations

import lzma
import os
import tarfile
import tempfile
import weakref
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from caasctl import formats
from caasctl.faults import why
from caasctl.host import LiveHost, decode, last_lines
from caasctl.model import Unreadable, UsageError
from caasctl.protocol import NOT_FOUND, Completed, FileKind, Stat

SCHEMA_VERSION = 1
MAX_UNPACKED = 512 << 20  # a large host's recording is some MiB; /tmp may be memory


class BundleHost:
    """A Reader of a recording, made by us, by a collector or by hand. What is not in it is unknown, never this machine's."""

    def __init__(self, path: str) -> None:
        folder = os.path.abspath(path)
        if not os.path.isdir(folder):
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
        if os.path.islink(f"{folder}/root"):
            raise _damaged(path, "its root is a symbolic link: what lies behind it was not recorded")
        self.manifest: dict[str, Any] = _data(manifest, path, "manifest.json", dict)
        if self.manifest.get("schemaVersion") != SCHEMA_VERSION:
            raise UsageError(
                f"{path} has schemaVersion {self.manifest.get('schemaVersion')!r}",
                cause=f"this caasctl reads {SCHEMA_VERSION}",
                fix="use the caasctl that recorded it",
            )
        for key, kind in _PARTS.items():
            if not isinstance(self.manifest.get(key, kind()), kind):
                raise _damaged(path, f"manifest.json: {key} is no {_WORDS[kind]}")
        self._commands = _by_argv(_data(outer.read("/commands.json") or "[]", path, "commands.json", list), path)
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

    def tail(self, path: str, size_bytes: int) -> str | None:
        """Of a file that was recorded, be it whole or only its end."""
        if self._noted("tail", path):
            return None
        data = self.read_bytes(path)
        return None if data is None else last_lines(data, size_bytes).decode("utf-8", "replace")

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


_WORDS: Mapping[type, str] = {dict: "mapping", list: "list"}
_PARTS: Mapping[str, type] = {"unread": dict, "absent": list, "listings": dict, "links": dict, "stats": dict}


def _damaged(path: str, cause: str) -> UsageError:
    return UsageError(f"{path} cannot be read as a recorded host", cause=cause,
                      fix="name a directory or a .tar.gz made by `caasctl facts --record`")  # fmt: skip


def _data(text: str, path: str, name: str, kind: type) -> Any:
    try:
        data = formats.parse_json(text, name)
    except formats.FormatError as error:
        raise _damaged(path, error.problem) from error
    if not isinstance(data, kind):
        raise _damaged(path, f"{name} is no {_WORDS[kind]}")
    return data


def _by_argv(commands: list[Any], path: str) -> dict[tuple[str, ...], dict[str, Any]]:
    """The recorded commands by their words. Raises UsageError that names the entry which is none."""
    known = {}
    for at, entry in enumerate(commands):
        argv = entry.get("argv") if isinstance(entry, dict) else None
        if not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
            raise _damaged(path, f"commands.json: entry {at} has no argv that is a list of words")
        known[tuple(argv)] = entry
    return known


def _unpack(path: str, folder: str) -> None:
    """Unpacks an archive; raises UsageError for one that cannot be read, or leads out of the folder."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise _damaged(path, "it is neither file nor directory")
    try:
        with tarfile.open(path) as archive:
            members = list(_members(archive))
            # Debian 12's Python (3.11.2) has no filters, so that ours judges everywhere and tarfile's stay out of it
            archive.extraction_filter = lambda entry, _: entry
            archive.extractall(folder, [_harmless(entry) for entry in members if not entry.issym()])  # noqa: S202
            _place_links(folder, [entry for entry in members if entry.issym()])
    except (OSError, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, KeyError) as error:
        # EOFError, zlib.error: an archive that was cut off; KeyError: a hard link to what is not in it
        raise _damaged(path, why(error) if isinstance(error, OSError) else str(error)) from error


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """What an archive holds, as long as it is no more than a host's recording can be. Raises TarError."""
    size = 0
    for entry in archive:
        size += entry.size
        if size > MAX_UNPACKED:
            raise tarfile.TarError(f"unpacked it is larger than {MAX_UNPACKED >> 20} MiB")
        yield entry


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
