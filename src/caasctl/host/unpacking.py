"""A recording from anywhere, unpacked: bounded in memory, time and disk, and nothing in it leads out of the new folder."""

from __future__ import annotations

import gzip
import os
import posixpath
import tarfile
from collections.abc import Iterator
from typing import IO

MAX_UNPACKED = 512 << 20  # a large host's recording is some MiB; /tmp may be memory
MAX_STREAM = MAX_UNPACKED + (64 << 20)  # headers too
MAX_MEMBERS = 100_000
MAX_NAMES = 32 << 20  # characters of all names together
MAX_DEPTH = 64
_MAX_HEADER = 64 << 10
_GZIP = b"\x1f\x8b"


class _Member(tarfile.TarInfo):
    """A member whose header cannot fill the memory. A recording's files have no holes: a map of them could be endless."""

    _LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)  # fmt: skip

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:  # tarfile's own place to override
        if self.size < 0 or (self.type in self._LONG and self.size > _MAX_HEADER):
            raise tarfile.ReadError(f"a header says {self.size} bytes")
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError(f"{self.name!r} has holes")
        made: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        return made

    def _proc_gnusparse_10(self, *_: object) -> None:
        raise tarfile.ReadError(f"{self.name!r} has holes")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10


class _Stream:
    """A file, or what a gzip file holds, that ends in an error where it goes on for too long."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        if self._file.tell() + max(size, 0) > MAX_STREAM:
            raise tarfile.TarError(f"unpacked it is larger than {MAX_UNPACKED >> 20} MiB")
        return self._file.read(size)


def unpack(path: str, folder: str) -> None:
    """Unpacks a .tar.gz or .tar. Raises OSError, EOFError, zlib.error, TarError, the last in words."""
    with open(path, "rb") as raw:
        file = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == _GZIP else raw
        stream = _Stream(file)  # type: ignore[arg-type] # of a file it has what tarfile calls
        with tarfile.open(fileobj=stream, mode="r:", tarinfo=_Member) as archive:  # type: ignore[call-overload]
            members = list(_members(archive))
            # Debian 12's Python (3.11.2) has no filters, so that ours judges everywhere and tarfile's stay out of it
            archive.extraction_filter = lambda entry, _: entry
            archive.extractall(folder, [entry for entry in members if not entry.issym()])  # noqa: S202
            _place_links(folder, [entry for entry in members if entry.issym()])


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """What an archive holds, as long as it is no more than a host's recording can be. Raises TarError."""
    size = names = count = 0
    files: dict[str, bool] = {}  # name -> whether it is a file, which a hard link may lead to
    for entry in archive:
        count, size, names = count + 1, size + entry.size, names + len(entry.name) + len(entry.linkname)
        if size > MAX_UNPACKED or entry.size < 0:
            raise tarfile.TarError(f"unpacked it is larger than {MAX_UNPACKED >> 20} MiB")
        if count > MAX_MEMBERS or names > MAX_NAMES:
            raise tarfile.TarError(f"it has more than {MAX_MEMBERS} members, or names beyond all measure")
        harmless, name = _harmless(entry), posixpath.normpath(entry.name)
        if name in files and not entry.isdir():
            raise tarfile.TarError(f"{entry.name!r} is in it twice")
        if entry.islnk() and not files.get(posixpath.normpath(entry.linkname)):
            raise tarfile.TarError(f"{entry.name!r} is a hard link to what is no file before it")
        files[name] = entry.isreg() or entry.islnk()
        entry.pax_headers = {}
        yield harmless


def _harmless(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """A file, directory or link inside the archive, as its reader's own and readable. Raises TarError for anything else."""
    for name in (entry.name, entry.linkname if entry.islnk() else ""):
        if name.startswith("/") or ".." in name.split("/"):
            raise tarfile.TarError(f"{name!r} leads out of the archive")
        if name.count("/") > MAX_DEPTH:
            raise tarfile.TarError(f"{name[:80]!r} is more than {MAX_DEPTH} folders deep")
    if any(not sign.isprintable() for sign in (entry.name + entry.linkname).encode("utf-8", "replace").decode()):
        raise tarfile.TarError(f"{entry.name!r} has characters that no name has")
    if not (entry.isreg() or entry.isdir() or entry.islnk() or entry.issym()):
        raise tarfile.TarError(f"{entry.name!r} is neither file nor directory")
    entry.mode = entry.mode & 0o777 | (0o700 if entry.isdir() else 0o600)
    entry.uid, entry.gid, entry.uname, entry.gname = os.geteuid(), os.getegid(), "", ""
    return entry


def _place_links(folder: str, links: list[tarfile.TarInfo]) -> None:
    """Links come last and only where no other link leads, so that nothing is written through one."""
    for entry in links:
        place = os.path.normpath(f"{folder}/{entry.name}")
        parent = os.path.dirname(place)
        if os.path.realpath(parent) != os.path.realpath(folder) + parent[len(folder) :] or not place.startswith(folder):
            raise tarfile.TarError(f"{entry.name!r} leads out of the archive")
        os.makedirs(parent, exist_ok=True)
        os.symlink(entry.linkname, place)
