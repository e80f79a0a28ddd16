"""The folder of an air gap: what lies where in it, what it says of itself, and whether that is so."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, field
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.host import LiveHost
from caasctl.model import CaasError, RefusedError, Unreadable
from caasctl.protocol import FileKind, Stat

MANIFEST, SUMS = "airgap.json", "SHA256SUMS"
PACKAGES, IMAGES, CHARTS, FILES = "packages", "images", "charts", "files"
INDEX = f"{PACKAGES}/Packages"
SCHEMA_VERSION = 1
_GROUP, _OTHERS = 0o020, 0o002
_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")
_PART = re.compile(r"[A-Za-z0-9._%+~:@-]+")
_AGAIN = "run `caasctl airgap pack --out DIR` again: it fetches what lacks"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Entry:
    """What one file is. kind, name, version: as an item's. names: of an image, as containerd keeps it."""

    kind: str
    name: str
    path: str
    version: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """For whom the folder was packed, and what is in it. lacks: what could not be fetched. unnamed: what the profile names no
    source of, which the node must have. cilium: of the values for which the images of Cilium's chart were chosen.
    """

    profile: str
    kubernetes: str
    distribution: str
    release: str
    architecture: str
    entries: tuple[Entry, ...] = ()
    lacks: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    cilium: str = ""

    def of(self, kind: str) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.kind == kind)

    def text(self) -> str:
        return formats.dump_json({"schemaVersion": SCHEMA_VERSION, **asdict(self)})


@dataclass(frozen=True)
class Directory:
    """path: absolute. sums: path of a file in it -> SHA-256. digest: of SHA256SUMS itself, which stands for all of it."""

    path: str
    manifest: Manifest
    sums: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    def at(self, entry: Entry) -> str:
        return f"{self.path}/{entry.path}"


def is_inside(path: str) -> bool:
    """Whether a path is one that caasctl writes in such a folder: it leads nowhere else."""
    parts = path.split("/")
    return all(_PART.fullmatch(part) and part not in (".", "..") for part in parts) and not path.startswith("/")


def plain_name(name: str) -> str:
    """A file's name as it may stand in such a folder."""
    return re.sub(r"[^A-Za-z0-9._%+~:@-]", "_", name).lstrip(".") or "_"


def read_sums(tree: LiveHost) -> dict[str, str]:
    """SHA256SUMS of a folder, {} where there is none. Raises CaasError for one that is none."""
    found = {}
    for line in (_text(tree, SUMS) or "").splitlines():
        one = _LINE.fullmatch(line)
        if not one or not is_inside(one[2]):
            raise RefusedError(f"{tree.root}/{SUMS} has a line that caasctl did not write: {line[:80]!r}",
                               cause="it names a place outside of the folder, or is no line of sha256sum",
                               fix="pack the folder again, on a machine that you trust")  # fmt: skip
        found[one[2]] = one[1]
    return found


def sums_text(sums: Mapping[str, str]) -> str:
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items()))


def open_directory(path: str) -> Directory:
    """What a folder says of itself; nothing of it is checked yet. Raises CaasError."""
    tree = LiveHost(path)
    text, sums = _text(tree, MANIFEST), read_sums(tree)
    if text is None:
        here = LiveHost().stat(path)
        cause = (
            "it is not there"
            if here is None
            else "it is no folder"
            if here.kind is not FileKind.DIR
            else f"there is no {MANIFEST} in it"
        )
        raise RefusedError(f"{path} is no air gap's folder", cause=cause,
                           fix="name the folder that `caasctl airgap pack --out DIR` made")  # fmt: skip
    return Directory(path, parse(text, f"{path}/{MANIFEST}"), sums, sha256(_text(tree, SUMS) or ""))


def parse(text: str, what: str) -> Manifest:
    """A manifest of whoever's hand. Raises CaasError."""
    try:
        data = formats.parse_json(text, what)
        if data.pop("schemaVersion") != SCHEMA_VERSION:
            raise KeyError("schemaVersion")  # noqa: TRY301 - as for one that lacks
        entries = tuple(_entry(one) for one in data.pop("entries"))
        lacks, unnamed = (tuple(map(str, listed)) for listed in (data.pop("lacks"), data.pop("unnamed", ())))
        words = {key: str(value) for key, value in data.items()}
        return Manifest(**words, entries=entries, lacks=lacks, unnamed=unnamed)
    except (formats.FormatError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RefusedError(f"{what} is not what this caasctl writes", cause="it is damaged, or of another version of caasctl",
                           fix=_AGAIN) from error  # fmt: skip


def _entry(data: Mapping[str, Any]) -> Entry:
    entry = Entry(**{**data, "names": tuple(map(str, data.get("names", ())))})
    if not all(isinstance(one, str) for one in (entry.kind, entry.name, entry.path, entry.version)) or not is_inside(
        entry.path
    ):
        raise ValueError("path")
    return entry


def wrong(directory: Directory, say: Say) -> Iterator[str]:
    """What is not as SHA256SUMS says, a clause each: files that lack, are links, or hold something else."""
    tree = LiveHost(directory.path)
    known = {MANIFEST, INDEX} if directory.manifest.of("package") else {MANIFEST}
    for path in sorted({entry.path for entry in directory.manifest.entries} | known | set(directory.sums)):
        said = directory.sums.get(path)
        say(f"checking {path}")
        if said is None:
            yield f"{path} is not in {SUMS}"
        elif why := spoilt(tree, path, said):
            yield f"{path} {why}"


def spoilt(tree: LiveHost, path: str, said: str) -> str:
    """Why a file is not the one of that SHA-256; "" where it is."""
    try:
        there = tree.stat(f"/{path}", follow=False)
        if there is None:
            return "is not there"
        if there.kind is not FileKind.FILE or _through_link(tree, path):
            return "is no plain file"
        if why := changeable(there):
            return why
        return "" if hashed(tree.blocks(f"/{path}")) == said else "is not what its SHA-256 says"
    except Unreadable as unreadable:
        return unreadable.reason
    except CaasError as error:
        return f"cannot be read: {error.cause}"


def changeable(there: Stat) -> str:
    """By whom beside root, or whoever runs this without being root, a file or folder can be changed; "" for nobody."""
    mine = os.geteuid()
    if there.uid not in (0, mine):
        return f"belongs to user {there.uid}"
    if there.mode & _OTHERS:
        return "can be written by everybody"
    if there.mode & _GROUP and there.gid not in ((0, os.getegid()) if mine else (0,)):
        return f"can be written by group {there.gid}"
    return ""


def changeable_by_others(directory: Directory) -> Iterator[str]:
    """The folder itself, and all in it that is used, as far as others than root can change it: a clause each."""
    tree, files = LiveHost(directory.path), {MANIFEST, SUMS, INDEX, *directory.sums}
    files |= {entry.path for entry in directory.manifest.entries}
    folders = {"/".join(path.split("/")[:depth]) for path in files for depth in range(path.count("/") + 1)}
    for path in sorted(folders | files):
        there = _plain(tree, path)
        if there and (why := changeable(there)):
            yield f"{path or 'the folder itself'} {why}"


def _plain(tree: LiveHost, path: str) -> Stat | None:
    """None for what is no plain file and no folder too: `wrong` tells of it."""
    try:
        there = tree.stat(f"/{path}", follow=False)
    except Unreadable:
        return None
    return there if there and there.kind in (FileKind.FILE, FileKind.DIR) else None


def _through_link(tree: LiveHost, path: str) -> bool:
    folders = path.split("/")[:-1]
    return any(tree.readlink("/" + "/".join(folders[: at + 1])) is not None for at in range(len(folders)))


def hashed(blocks: Iterable[bytes]) -> str:
    told = hashlib.sha256()
    for block in blocks:
        told.update(block)
    return told.hexdigest()


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _text(tree: LiveHost, name: str) -> str | None:
    fix = "check the path, and who may read it"
    try:
        there = tree.stat(f"/{name}", follow=False)
        text = tree.read(f"/{name}") if there and there.kind is FileKind.FILE else None
    except Unreadable as unreadable:
        raise RefusedError(f"{tree.root}/{name} cannot be read", cause=unreadable.reason, fix=fix) from unreadable
    if there and there.kind is not FileKind.FILE:
        raise RefusedError(f"{tree.root}/{name} is no plain file", cause="pack writes none that is not", fix=fix)
    return text
