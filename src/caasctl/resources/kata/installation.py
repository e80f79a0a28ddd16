"""Installation: Kata's tree of one tarball at its prefix, unpacked beside it and then led to by a link in one step."""

from __future__ import annotations

from collections.abc import Mapping

from caasctl import formats, remote
from caasctl.faults import word_of
from caasctl.frozen import dataclass
from caasctl.host.trees import PARTIAL
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import Absent, Done, FileKind, Impossible, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.syntax import kata_release as release
from caasctl.syntax import links

DOWNLOADS = "/var/lib/caasctl/downloads"
WHOLE = "unpacked"
_STRANGE = "not caasctl's"


@dataclass(frozen=True)
class Needed:
    """What the tree is for. arch: the release's word for this host's. glibc: the host's, (0, 0) for another C library.

    configs: of each handler, the names of which the tree must hold one, and the shim that goes with it.
    """

    arch: str
    glibc: tuple[int, int]
    handlers: tuple[str, ...]


@dataclass(frozen=True)
class Installation:
    """source: a path or an https address. sha256: of that file."""

    prefix: str
    source: str
    sha256: str
    needed: Needed
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False
    then: str = "hash and content are judged first; what runs on the old tree goes on, new pods get the new one"

    @property
    def name(self) -> str:
        return f"kata:{self.prefix}"

    @property
    def folder(self) -> str:
        return release.folder(self.prefix, self.source, self.sha256)

    @property
    def aside(self) -> str:
        return links.aside(self.prefix)

    def look(self, host: Reader) -> State:
        try:
            now = Known("", parts=((self.folder, self._unpacked(host)), (self.prefix, self._at_prefix(host))))
            if now != self.target(now) and not self._reachable(host):
                return Unknown(f"there is no {self.source}, which spec.kata.source names")
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return now

    def target(self, now: State) -> State:
        if not isinstance(now, Known):
            return now
        link = Known(links.words(self.folder.rpartition("/")[2]))
        return Known("", parts=((self.folder, Known(WHOLE)), (self.prefix, link)))

    def apply(self, host: Writer, now: State) -> Outcome:
        was = dict(now.parts) if isinstance(now, Known) else {}
        self._clear(host)
        if why := self._in_the_way(host, was):
            return why
        if was.get(self.folder) != Known(WHOLE):
            self._bring(host)
        if _is_directory(host, self.prefix):
            host.move(self.prefix, self.aside)
        host.link(self.prefix, self.folder.rpartition("/")[2])
        return Done()

    def undo(self, now: State) -> Undo:
        was = dict(now.parts) if isinstance(now, Known) else {}
        there = was.get(self.prefix)
        fresh = was.get(self.folder) == Absent()
        return Undo(
            links={self.prefix: there.text if isinstance(there, Known) else None},
            trees=(self.folder,) if fresh else (),
            folders=(self.prefix.rpartition("/")[0],),
        )

    def _in_the_way(self, host: Reader, was: Mapping[str, State]) -> Impossible | None:
        """What lies where the tree, the link or the directory of before would go, and is not to be touched."""
        there, again = was.get(self.prefix), "then run the same command again"
        if was.get(self.folder) == Known(_STRANGE):
            return Impossible(
                f"{self.folder} is there already, and {_STRANGE}", f"`mv {self.folder} {self.folder}.mine`, {again}"
            )
        if _is_directory(host, self.prefix) and host.stat(self.aside, follow=False):
            return Impossible(f"{self.prefix} is a directory, and so is {self.aside}, where it would go",
                              f"keep one of them: `mv {self.aside} {self.aside}.mine`, {again}")  # fmt: skip
        if isinstance(there, Known) and there.text != links.DIRECTORY and links.target(there.text) is None:
            return Impossible(f"{self.prefix} is {there.text}", f"`mv {self.prefix} {self.prefix}.mine`, {again}")
        return None

    def _unpacked(self, host: Reader) -> State:
        """Whether the tree is there, whole: its stamp came last, under another name."""
        if host.stat(self.folder, follow=False) is None:
            return Absent()
        return Known(WHOLE if stamped(host, self.folder) == self.sha256.lower() else _STRANGE)

    def _at_prefix(self, host: Reader) -> State:
        """A run that was killed between the move of a directory and the link in its place counts as before the move."""
        target = host.readlink(self.prefix)
        if target is not None:
            return Known(links.words(target))
        there = host.stat(self.prefix, follow=False)
        if there is None:
            return Known(links.DIRECTORY) if host.stat(self.aside, follow=False) else Absent()
        return Known(word_of(there.kind))

    def _reachable(self, host: Reader) -> bool:
        if self.source.startswith("https://"):
            return True
        there = host.stat(self.source)
        return there is not None and there.kind is FileKind.FILE

    def _clear(self, host: Writer) -> None:
        """What runs left that were killed while they fetched or unpacked."""
        for name in host.list(DOWNLOADS) or ():
            host.remove(f"{DOWNLOADS}/{name}")
        above, _, base = self.prefix.rpartition("/")
        for name in host.list(above or "/") or ():
            if name.startswith(base) and name.endswith(PARTIAL) and release.is_folder(self.prefix, f"{above}/{name}"):
                host.remove_tree(f"{above}/{name}")

    def _bring(self, host: Writer) -> None:
        """Fetched, hashed, unpacked beside, judged, stamped, and only then under its name. Raises CaasError."""
        partial, fetched = self.folder + PARTIAL, self._fetched(host)
        judged = _Judge(self.needed)
        try:
            host.unpack(fetched, partial, self.sha256, release.TOP, judged.see)
            judged.whole(host, partial)
            host.write(f"{partial}/{release.STAMP}", self._stamp(host, partial), 0o644)
        except (CaasError, Unreadable):
            host.remove_tree(partial)
            raise
        finally:
            if fetched != self.source:
                host.remove(fetched)
        host.move(partial, self.folder)

    def _fetched(self, host: Writer) -> str:
        if not self.source.startswith("https://"):
            return self.source
        path = f"{DOWNLOADS}/{self.sha256[:12].lower()}"
        host.private_folder("/var/lib/caasctl")
        host.private_folder(DOWNLOADS)
        host.store(path, remote.download(self.source, host.say))
        return path

    def _stamp(self, host: Reader, tree: str) -> bytes:
        version = (host.read(f"{tree}/VERSION") or release.of_name(self.source).version).strip()
        said = {
            "sha256": self.sha256.lower(),
            "version": version,
            "of": self.source.partition("?")[0].rpartition("/")[2],
        }
        return formats.dump_json(said).encode()


class _Judge:
    """Looks at what passes by, and at the whole at its end, for whether this host can run it."""

    def __init__(self, needed: Needed) -> None:
        self._needed, self._programs = needed, release.Needs()

    def see(self, name: str, block: bytes) -> None:
        program = self._programs.see(name, block)
        wanted = release.MACHINES.get(self._needed.arch)
        if program and wanted and self._programs.machine != wanted:
            raise CaasError(f"the tarball is not for this machine: {program} is for another processor (ELF machine {self._programs.machine})",
                            cause=f"this host is {self._needed.arch}: nothing in it would run here (`Exec format error`)",
                            fix=f"take the release's file that ends in -{self._needed.arch}.tar.zst, and its hash")  # fmt: skip

    def whole(self, host: Reader, tree: str) -> None:
        self._glibc()
        go = host.stat(f"{tree}/bin/containerd-shim-kata-v2")
        rust = host.stat(f"{tree}/runtime-rs/bin/containerd-shim-kata-v2")
        for handler in self._needed.handlers:
            name = handler.removeprefix("kata-")
            base = f"{tree}/share/defaults/kata-containers"
            fits = (go and _there(host, f"{base}/configuration-{name}.toml")) or (
                rust and _there(host, f"{base}/runtime-rs/configuration-{name}-runtime-rs.toml")
            )
            if not fits:
                raise _lacks(handler, go=bool(go), rust=bool(rust))

    def _glibc(self) -> None:
        asked, has = self._programs.glibc, self._needed.glibc
        if asked > has:
            raise CaasError(
                f"the tarball's programs need glibc {asked[0]}.{asked[1]}, this host has {f'{has[0]}.{has[1]}' if has > (0, 0) else 'another C library'}",
                cause=f"every Kata pod would fail with ``version `GLIBC_{asked[0]}.{asked[1]}' not found``",
                fix="take kata-go-static of Kata 4.1 or later, whose programs are static, and its hash",
            )


def _is_directory(host: Reader, path: str) -> bool:
    there = host.stat(path, follow=False)
    return there is not None and there.kind is FileKind.DIR


def _there(host: Reader, path: str) -> bool:
    return host.stat(path) is not None


def _lacks(handler: str, *, go: bool, rust: bool) -> CaasError:
    if not go and not rust:
        return CaasError("the tarball holds no Kata: there is no containerd-shim-kata-v2 in it",
                         cause="kata-tools-static, for one, has the tools only",
                         fix=f"take kata-go-static of {release.RELEASES}, and its hash")  # fmt: skip
    if not go:
        cause = (
            "it holds the Rust shim only: since 4.1 kata-static is runtime-rs, and the Go shim comes in kata-go-static"
        )
        return CaasError(f"the tarball has nothing for {handler}", cause=cause,
                         fix=f"take kata-go-static of {release.RELEASES}, and its hash; or take {handler} out of spec.runtimes")  # fmt: skip
    return CaasError(f"the tarball has nothing for {handler}", cause=f"there is no configuration-{handler.removeprefix('kata-')}.toml in it",
                     fix=f"take a release that has it, or take {handler} out of spec.runtimes")  # fmt: skip


def stamped(host: Reader, tree: str) -> str:
    """The hash of the tarball that a tree was unpacked from; "" where no stamp of caasctl's says it."""
    try:
        said = formats.parse_json(host.read(f"{tree}/{release.STAMP}") or "{}", release.STAMP)
    except formats.FormatError:
        return ""
    return str(said.get("sha256", "")) if isinstance(said, dict) else ""
