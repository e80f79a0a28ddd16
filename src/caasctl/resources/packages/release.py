"""Release: a project's tarball, or one program of it, by its hash: unpacked below /opt/caasctl, links on PATH lead there."""

from __future__ import annotations

from caasctl import remote
from caasctl.faults import word_of
from caasctl.frozen import dataclass
from caasctl.host.trees import PARTIAL
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import Absent, Done, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.resources.packages.own import OwnFile
from caasctl.resources.packages.there import path_of
from caasctl.syntax import links
from caasctl.syntax.digests import sha256_of
from caasctl.syntax.packages import Download

OPT, DOWNLOADS = "/opt/caasctl", "/var/lib/caasctl/downloads"
_THERE, _WHOLE, _BRINGS = "is there", "unpacked", "in place"


@dataclass(frozen=True)
class Release:
    """programs: the names that links are made for. members: files that go with it, such as a unit; only where it is brought."""

    download: Download
    programs: tuple[str, ...]
    members: tuple[OwnFile, ...] = ()
    unit: str = ""
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"release:{self.download.name}"

    @property
    def then(self) -> str:
        return f"{self.download.source} is used only if its SHA-256 is the profile's {self.download.sha256}"

    @property
    def folder(self) -> str:
        return f"{OPT}/{self.download.name}-{self.download.sha256[:12]}"

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """(path, target) on PATH."""
        return tuple((f"{self.download.to}/{name}", f"{self.folder}/{name}") for name in self.programs)

    def look(self, host: Reader) -> State:
        try:
            found = path_of(host, self.download.program)
            if found and not (host.readlink(found) or "").startswith(f"{OPT}/{self.download.name}-"):
                return Known(f"{found} {_THERE}")
            tree = Known(_WHOLE) if host.stat(self.folder) else Absent()
            parts: list[tuple[str, State]] = [(self.folder, tree)]
            parts += [(path, _link(host, path)) for path, _ in self.links]
            parts += [(file.path, file.look(host)) for file in self.members]
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Known("", parts=tuple(parts))

    def target(self, now: State) -> State:
        if not isinstance(now, Known) or now.text.endswith(_THERE):
            return now
        was = dict(now.parts)
        parts: list[tuple[str, State]] = [(self.folder, Known(_WHOLE))]
        parts += [(path, Known(links.words(target))) for path, target in self.links]
        parts += [(file.path, file.target(was.get(file.path, Absent()))) for file in self.members]
        return Known("", parts=tuple(parts))

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - each part looks first
        if host.stat(self.folder) is None:
            self._bring(host)
        for path, target in self.links:
            host.link(path, target)
        for file in self.members:
            file.apply(host, file.look(host))
        return Done()

    def undo(self, now: State) -> Undo:
        was = dict(now.parts) if isinstance(now, Known) else {}
        files: dict[str, tuple[bytes, int] | None] = {}
        for file in self.members:
            files.update(file.undo(was.get(file.path, Absent())).files or {})
        before = {path: was.get(path) for path, _ in self.links}
        first, then = self._of_unit(new=any(was.get(file.path, Absent()) == Absent() for file in self.members))
        return Undo(
            files or None,
            then,
            links={path: state.text if isinstance(state, Known) else None for path, state in before.items()},
            trees=(self.folder,) if was.get(self.folder) == Absent() else (),
            folders=(OPT, self.download.to),
            first=first,
        )

    def _of_unit(self, *, new: bool) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
        """(what comes before the files are back, what after): a unit that was there before runs on, with its own program again."""
        if not self.unit:
            return (), ()
        if new:
            return (("systemctl", "disable", "--now", "--", self.unit),), ()
        return (), (("systemctl", "daemon-reload"), ("systemctl", "try-restart", "--", self.unit))

    def _bring(self, host: Writer) -> None:
        """Fetched, hashed, unpacked beside, and only then under its name. Raises CaasError, Unreadable."""
        partial, fetched = self.folder + PARTIAL, self._fetched(host)
        host.remove_tree(partial)
        try:
            if self.download.top is None:
                host.write(f"{partial}/{self.programs[0]}", self._program(host, fetched), 0o755)
            else:
                host.unpack(fetched, partial, self.download.sha256, self.download.top, lambda _name, _block: None)
            self._judge(host, partial)
        except (CaasError, Unreadable):
            host.remove_tree(partial)
            raise
        finally:
            if fetched != self.download.source:
                host.remove(fetched)
        host.move(partial, self.folder)

    def _judge(self, host: Reader, folder: str) -> None:
        """Raises CaasError."""
        lacking = [name for name in self.programs if host.stat(f"{folder}/{name}") is None]
        if lacking:
            raise CaasError(f"{self.download.source} holds no {', '.join(lacking)}", cause="it is another file, or of another release",
                            fix=f"name the release of {self.download.name} for this machine, and its hash")  # fmt: skip

    def _fetched(self, host: Writer) -> str:
        source = self.download.source
        if not source.startswith("https://"):
            return source
        path = f"{DOWNLOADS}/{self.download.sha256[:12]}"
        host.private_folder("/var/lib/caasctl")
        host.private_folder(DOWNLOADS)
        host.store(path, remote.download(source, host.say, f"{self.download.setting}.source"))
        return path

    def _program(self, host: Reader, path: str) -> bytes:
        data = host.read_bytes(path)
        if data is None:
            raise Unreadable(path, "is not there")
        if sha256_of(data) != self.download.sha256:
            raise CaasError(f"{path} is not the file that the profile means: its SHA-256 is {sha256_of(data)}",
                            cause=f"the profile's sha256 is {self.download.sha256}; a download that broke off, or another file",
                            fix=f"fetch it again; `sha256sum {path}` prints this one's")  # fmt: skip
        return data


def _link(host: Reader, path: str) -> State:
    """Raises Unreadable."""
    target = host.readlink(path)
    if target is not None:
        return Known(links.words(target))
    there = host.stat(path, follow=False)
    return Absent() if there is None else Known(word_of(there.kind))
