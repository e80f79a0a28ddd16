"""AptRepository: a repository of the profile's, with the one key that it is signed by; its source comes last."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from caasctl import remote
from caasctl.frozen import dataclass
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import Absent, Done, FileKind, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.resources.packages.own import OwnFile
from caasctl.resources.packages.there import missing
from caasctl.syntax.debian import sources
from caasctl.syntax.debian.sources import Source
from caasctl.syntax.packages import Package, Repository, apt, openpgp

_NEEDLESS = "not needed: "
_USED, _UNUSED = "in use", "not in use"
_MAX_KEY = 1 << 20


@dataclass(frozen=True)
class AptRepository:
    """packages: what it is there for; where all of that is on the host, nothing is done. members: its files, the source last:
    with it the repository is in use.
    """

    repository: Repository
    packages: tuple[Package, ...]
    members: tuple[OwnFile, ...]
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"repository:{self.repository.name}"

    @property
    def then(self) -> str:
        return f"the key from {self.repository.key} is used only if its fingerprint is the profile's"

    @property
    def keyring(self) -> str:
        return apt.keyring(self.repository)

    def look(self, host: Reader) -> State:
        try:
            if host.stat(self.members[-1].path, follow=False) is None and (why := self._needless(host)):
                return Known(_NEEDLESS + why)
            key, other = self._key(host), self._other_key(host)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        parts = ((self._about_key, key), *other, *((file.path, file.look(host)) for file in self.members))
        lost = [state.reason for _, state in parts if isinstance(state, Unknown)]
        return (
            Unknown("; ".join(lost))
            if lost
            else Known(_UNUSED if Absent() in dict(parts).values() else _USED, parts=parts)
        )

    def target(self, now: State) -> State:
        if not isinstance(now, Known) or now.text.startswith(_NEEDLESS):
            return now
        was = dict(now.parts)
        files = ((file.path, file.target(was.get(file.path, Absent()))) for file in self.members)
        kept = ((name, state) for name, state in was.items() if name == self._kept)
        return Known(_USED, parts=((self._about_key, Known(_print(self.repository.fingerprint))), *kept, *files))

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - all is written, whatever part of it is there
        if self._key(host) != Known(_print(self.repository.fingerprint)):
            host.write(self.keyring, self.fetched(host), 0o644)
        for file in self.members:
            file.apply(host, file.look(host))
        return Done()

    def undo(self, now: State) -> Undo:
        was = dict(now.parts) if isinstance(now, Known) else {}
        files: dict[str, tuple[bytes, int] | None] = {}
        if was.get(self._about_key) == Absent():
            files[self.keyring] = None
        if isinstance(other := was.get(self._kept), Known):
            files[self.keyring] = (base64.b64decode(other.text), 0o644)
        for file in self.members:
            files.update(file.undo(was.get(file.path, Absent())).files or {})
        return Undo(files, nothing="" if files else "nothing was changed")

    @property
    def _about_key(self) -> str:
        return f"fingerprint of {self.keyring}"

    @property
    def _kept(self) -> str:
        return f"{self.keyring} in base64"

    def _other_key(self, host: Reader) -> tuple[tuple[str, State], ...]:
        """What lies in the place of the profile's key, for the way back: an earlier profile's. Raises Unreadable."""
        if self._key(host) in (Absent(), Known(_print(self.repository.fingerprint))):
            return ()
        return ((self._kept, Known(base64.b64encode(host.read_bytes(self.keyring) or b"").decode())),)

    def _needless(self, host: Reader) -> str:
        """Why the repository is not needed: all is there, or somebody's own source names it already. Raises Unreadable."""
        if not missing(host, self.packages):
            return f"{', '.join(package.name for package in self.packages)} are there"
        for path in _listed(host):
            if _place(self.repository) in (_place(source) for source in sources.parse(path, host.read(path) or "")):
                return f"{path} names it already"
        return ""

    def _key(self, host: Reader) -> State:
        there = host.stat(self.keyring, follow=False)
        if there is None:
            return Absent()
        if there.kind is not FileKind.FILE:
            return Unknown(f"{self.keyring} is no plain file")
        try:
            found = openpgp.keys(host.read_bytes(self.keyring) or b"")
        except openpgp.NoKey as no:
            return Known(f"none: {no}")
        return Known(_print(*found))

    def fetched(self, host: Writer) -> bytes:
        """The key as binary packets, and no other that the file may hold. Raises CaasError."""
        key, wanted = self.repository.key, self.repository.fingerprint
        try:
            found = openpgp.keys(_content(host, key, f"{self.repository.setting}.key"))
        except openpgp.NoKey as no:
            raise CaasError(f"{key} is no key", cause=str(no), fix=f"see what is there, and name the key in {self.repository.setting}.key") from no  # fmt: skip
        except Unreadable as unreadable:
            raise CaasError(f"the key of the repository {self.repository.name} cannot be read", cause=str(unreadable),
                            fix=f"name a file that is there in {self.repository.setting}.key") from unreadable  # fmt: skip
        if wanted not in found:
            raise CaasError(
                f"{key} is not the key that the profile names",
                cause=f"its fingerprint is {', '.join(found)}, {self.repository.setting}.fingerprint is {wanted}; nothing of it is used",
                fix="ask whom you have the fingerprint from: either the key was changed, and the profile follows, or somebody is between you and the repository",
            )
        return found[wanted]


def _place(of: Repository | Source) -> tuple[str, str]:
    """What apt takes for one source, whatever components are read from it; `./` and `/` are the same suite."""
    return of.uri.rstrip("/"), of.suite.strip("./")


def _listed(host: Reader) -> Iterator[str]:
    """The files that apt reads its sources from. Raises Unreadable."""
    yield "/etc/apt/sources.list"
    for name in host.list(apt.SOURCES) or ():
        if name.endswith((".list", ".sources")):
            yield f"{apt.SOURCES}/{name}"


def _print(*fingerprints: str) -> str:
    return "".join(f"{one}\n" for one in fingerprints)


def _content(host: Writer, key: str, setting: str) -> bytes:
    """Raises CaasError, Unreadable."""
    if key.startswith("https://"):
        data = bytearray()
        for block in remote.download(key, host.say, setting):
            data += block
            if len(data) > _MAX_KEY:
                raise Unreadable(key, "is larger than a key ever is")
        return bytes(data)
    path = key.removeprefix("file://")
    found = host.read_bytes(path)
    if found is None:
        raise Unreadable(path, "is not there")
    return found
