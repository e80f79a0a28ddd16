"""BundleHost answers from a recorded host: a directory or .tar.gz of manifest.json, root/ and commands.json."""

from __future__ import annotations

import os
import re
import stat
import tarfile
import tempfile
import weakref
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from caasctl import formats
from caasctl.faults import why
from caasctl.host import LiveHost, decode, last_lines, unpacking
from caasctl.model import Unreadable, UsageError
from caasctl.protocol import NOT_FOUND, Completed, FileKind, Stat

SCHEMA_VERSION = 1
MAX_OWN = 64 << 20  # bytes of commands.json, which holds journals, and of manifest.json


class BundleHost:
    """A Reader of a recording, made by us, by a collector or by hand. What is not in it is unknown, never this machine's."""

    def __init__(self, path: str) -> None:
        folder = os.path.abspath(path)
        if not os.path.isdir(folder):
            unpacked = tempfile.TemporaryDirectory(prefix="caasctl-")
            weakref.finalize(self, unpacked.cleanup)
            folder = unpacked.name
            unpack(path, folder)
        manifest = _own(path, folder, "manifest.json")
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
        for at, said in _wrong(self.manifest):
            raise _damaged(path, f"manifest.json: {at} {said}")
        told = _own(path, folder, "commands.json")
        self._commands = _by_argv(_data("[]" if told is None else told, path, "commands.json", list), path)
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
        rc = entry.get("rc", 0)
        return Completed(
            argv, rc, entry.get("stdout", ""), entry.get("stderr", ""), bool(entry.get("missing", rc == NOT_FOUND))
        )


_WORDS: Mapping[type, str] = {dict: "mapping", list: "list", str: "text", int: "number"}
_PARTS: Mapping[str, tuple[type, type]] = {  # and of what
    "unread": (dict, str), "absent": (list, str), "listings": (dict, list), "links": (dict, str), "stats": (dict, dict),
}  # fmt: skip
_LARGEST = 1 << 63
_NUMBERS = ("uid", "gid", "size", "ctimeNs")
_MODE = re.compile(r"[0-7]{1,6}")
_KINDS = [kind.value for kind in FileKind]  # a list: it is asked for what may be no text


def _wrong(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(where, what) of all in a manifest that is not as it should be. Any: whatever a stranger wrote."""
    for key, (kind, of) in _PARTS.items():
        part: Any = manifest.get(key, kind())
        if type(part) is not kind:
            yield key, f"is no {_WORDS[kind]}"
            continue
        for at, value in _entries(part):
            if not isinstance(value, of):
                yield f"{key}[{at!r}]", f"is no {_WORDS[of]}"
            elif isinstance(value, list) and not all(isinstance(name, str) and _is_name(name) for name in value):
                yield f"{key}[{at!r}]", "has an entry that is no name"
            elif isinstance(value, dict) and not _is_stat(value):
                yield f"{key}[{at!r}]", "is no stat"


def _entries(part: Any) -> Any:
    return part.items() if isinstance(part, dict) else enumerate(part)


def _is_name(name: str) -> bool:
    return "/" not in name and "\0" not in name and name not in ("", ".", "..")


def _is_stat(noted: Mapping[str, Any]) -> bool:
    mode = noted.get("mode")
    fits = isinstance(mode, str) and _MODE.fullmatch(mode) and noted.get("kind") in _KINDS
    return bool(fits) and all(_is_number(noted.get(name, 0)) for name in _NUMBERS)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and abs(value) < _LARGEST


def _own(path: str, folder: str, name: str) -> str | None:
    """A file of the recording's own; None where there is none. Raises UsageError for a link, a pipe, one that is too large."""
    try:
        fd = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path, f"{name}: {why(error)}") from error
    here = os.fstat(fd)
    if not stat.S_ISREG(here.st_mode) or here.st_size > MAX_OWN:
        os.close(fd)
        raise _damaged(path, f"{name} is no file of at most {MAX_OWN >> 20} MiB")
    with os.fdopen(fd, "rb") as file:
        data = file.read(MAX_OWN)
    try:
        return decode(name, data)
    except Unreadable as error:
        raise _damaged(path, str(error)) from error


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
        if not (
            _is_number(entry.get("rc", 0)) and all(isinstance(entry.get(s, ""), str) for s in ("stdout", "stderr"))
        ):
            raise _damaged(path, f"commands.json: entry {at} has a status that is no number, or output that is no text")
        known[tuple(argv)] = entry
    return known


def unpack(path: str, folder: str) -> None:
    """Unpacks an archive; raises UsageError for one that cannot be read, or leads out of the folder."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise _damaged(path, "it is neither file nor directory")
    try:
        unpacking.unpack(path, folder)
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:  # the last two: an archive that was cut off
        raise _damaged(path, why(error) if isinstance(error, OSError) else str(error)) from error
