"""Tarballs (gz, xz, zst): hashed, then unpacked as a stream into a new folder; nothing in one leads a write out of that folder."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import stat
import subprocess
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from posixpath import normpath

from caasctl.host import processes
from caasctl.host.folder import Folder, Refused
from caasctl.model import CaasError

BLOCK = 1 << 20
_XZ, _ZST = b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_GZ = b"\x1f\x8b"
_XZ_MEMORY = 96 << 20  # what `xz -9` needs, and no more
_ZSTD = ("zstd", "-dcq")  # by itself it refuses what needs more than 128 MiB
_MAX_HEADER = 1 << 20  # a long name or a list of holes; tarfile takes it into memory whole
_SET_ID = stat.S_ISUID | stat.S_ISGID
_BAR = 24
Say = Callable[[str], None]
See = Callable[[str, bytes], None]


class _Member(tarfile.TarInfo):
    """A member whose header cannot fill the memory."""

    _LONG = (
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
    )

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:  # tarfile's own place to override
        if self.type in self._LONG and self.size > _MAX_HEADER:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        made: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        return made


class _Xz:
    """Reads what an xz file holds, one or several streams, with a limit on memory."""

    def __init__(self, source: int) -> None:
        self._source, self._raw = source, b""
        self._one = self._new()

    def read(self, size: int) -> bytes:
        while True:
            if self._one.eof:
                self._raw = (self._one.unused_data or os.read(self._source, BLOCK)).lstrip(b"\0")  # padding
                if not self._raw:
                    return b""
                self._one = self._new()
            elif self._one.needs_input:
                self._raw = os.read(self._source, BLOCK)
                if not self._raw:
                    raise EOFError("it ends in the middle")
            data = self._one.decompress(self._raw, size)
            self._raw = b""
            if data:
                return data

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


class Archive:
    """An open tarball. say: gets how far it is, in percent."""

    def __init__(self, path: str, fd: int, say: Say) -> None:
        self._path, self._fd, self._say = path, fd, say
        self._size = os.fstat(fd).st_size
        self._told, self._told_at = -1, 0.0

    def verify(self, sha256: str) -> None:
        """Raises CaasError where the file has another hash."""
        found, left = hashlib.sha256(), self._size
        os.lseek(self._fd, 0, os.SEEK_SET)
        while block := os.read(self._fd, BLOCK):
            found.update(block)
            left -= len(block)
            self._tell("hashing", self._size - left)
        if found.hexdigest() != sha256.lower():
            raise CaasError(
                f"{self._path} is not the file that the profile means: its SHA-256 is {found.hexdigest()}",
                cause=f"the profile's sha256 is {sha256}; a download that broke off, or another file",
                fix=f"fetch it again; the right hash is the digest that the project publishes beside the release, and `sha256sum {self._path}` prints this one's",
            )

    def unpack(self, into: Folder, top: str, see: See) -> None:
        """Everything below `top`. Raises CaasError for what is damaged, and for what should not be in such an archive."""
        before = os.fstat(self._fd)
        os.lseek(self._fd, 0, os.SEEK_SET)
        try:
            with self._decompressed() as read:
                for name, member, tar in _members(read, top):
                    self._one(into, name, member, tar, see)
                    self._tell("unpacking", os.lseek(self._fd, 0, os.SEEK_CUR))
            into.judge_links(top)
        except (tarfile.TarError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, EOFError, Refused) as error:
            raise CaasError(f"{self._path} cannot be unpacked", cause=str(error) or type(error).__name__,
                            fix="take a release as its project publishes it, and the hash that it gives") from error  # fmt: skip
        after = os.fstat(self._fd)
        if (after.st_size, after.st_mtime_ns, after.st_ctime_ns) != (
            before.st_size,
            before.st_mtime_ns,
            before.st_ctime_ns,
        ):
            raise CaasError(
                f"{self._path} was changed while it was read", fix="run the same command again once it is whole"
            )

    def _one(self, into: Folder, name: str, member: tarfile.TarInfo, tar: tarfile.TarFile, see: See) -> None:
        if member.isdir():
            into.folder(name)
        elif member.issym():
            into.symlink(name, member.linkname)
        elif member.islnk():
            into.hardlink(name, _inside(member.linkname, _top_of(member.name, name)) or "")
        elif member.isreg():
            if member.mode & _SET_ID:
                raise Refused(f"{name} would run as somebody else (mode {member.mode:o})")
            into.file(name, member.mode, self._blocks(name, member, tar, see))
        else:
            raise Refused(f"{name} is neither a file nor a folder nor a link")

    def _blocks(self, name: str, member: tarfile.TarInfo, tar: tarfile.TarFile, see: See) -> Iterator[bytes]:
        content = tar.extractfile(member)
        if content is None:
            raise Refused(f"{name} has no content")
        left = member.size
        while left and (block := content.read(min(BLOCK, left))):
            left -= len(block)
            see(name, block)
            yield block
            self._tell("unpacking", os.lseek(self._fd, 0, os.SEEK_CUR))
        if left:
            raise EOFError(f"{name} ends in the middle")

    @contextmanager
    def _decompressed(self) -> Iterator[Callable[[int], bytes]]:
        magic = os.pread(self._fd, 6, 0)
        if magic == _XZ:
            yield _Xz(self._fd).read
        elif magic[:2] == _GZ:
            with os.fdopen(os.dup(self._fd), "rb") as packed, gzip.GzipFile(fileobj=packed) as plain:
                yield plain.read
        elif magic[:4] == _ZST:
            with _zstd(self._fd) as process:
                assert process.stdout  # noqa: S101 - it was asked for
                yield process.stdout.read
        else:
            raise Refused("it is neither gz nor xz nor zst")

    def _tell(self, what: str, done: int) -> None:
        """A bar, at each percent and no more often than a screen is drawn."""
        percent = 100 * done // max(self._size, 1)
        if percent == self._told or time.monotonic() - self._told_at < 0.1:  # noqa: PLR2004 - seconds
            return
        self._told, self._told_at = percent, time.monotonic()
        filled = _BAR * percent // 100
        bar = "#" * filled + "." * (_BAR - filled)
        self._say(f"{what} [{bar}] {percent} % of {self._size >> 20} MiB")


@contextmanager
def _zstd(fd: int) -> Iterator[subprocess.Popen[bytes]]:
    """The host's zstd on the archive; its end is judged where all was read."""
    try:
        process = processes.start(_ZSTD, processes.ENVIRONMENT, stderr=subprocess.PIPE, stdin=fd)
    except FileNotFoundError as error:
        raise CaasError("zstd is not installed", cause="the tarball is compressed by it, and Python has no reader of its own",
                        fix="apt-get install -y zstd   (dnf install zstd), then run the same command again") from error  # fmt: skip
    with process:
        try:
            yield process
            if process.stdout and process.stdout.read(1):
                raise Refused("there is more behind its end")
            said = process.stderr.read(BLOCK).decode("utf-8", "replace").strip() if process.stderr else ""
            if process.wait():
                raise EOFError(said or f"zstd ended with {process.returncode}")
        finally:
            process.kill()


def _members(read: Callable[[int], bytes], top: str) -> Iterator[tuple[str, tarfile.TarInfo, tarfile.TarFile]]:
    """(name below `top`, member, its archive), to the end of the stream, whose check comes last."""
    source = _Source(read)
    tar = tarfile.open(fileobj=source, mode="r|", bufsize=BLOCK, tarinfo=_Member)  # type: ignore[call-overload]  # noqa: SIM115 - has nothing to close
    while (member := tar.next()) is not None:
        name = _inside(member.name, top)
        if name:
            yield name, member, tar
        elif name is None:
            raise Refused(f"{member.name!r} does not lie below {top}")
        tar.members.clear()  # else the memory grows with the archive
    while source.read(BLOCK):
        pass


class _Source:
    """What tarfile reads from."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def read(self, size: int) -> bytes:
        return self._read(size)


def _inside(name: str, top: str) -> str | None:
    """The name below `top`: "" for what leads there, None for what lies elsewhere, or tries to."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\0" in name:
        return None
    path = normpath(name)
    if not top:
        return "" if path == "." else path
    if path in (".", top) or top.startswith(f"{path}/"):
        return ""
    return path.removeprefix(f"{top}/") if path.startswith(f"{top}/") else None


def _top_of(whole: str, name: str) -> str:
    """What is before the name of a member: links name their target as the archive does."""
    return normpath(whole).removesuffix(name).rstrip("/")
