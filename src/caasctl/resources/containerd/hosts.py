"""A registry's hosts.toml: ours where there is none of the user's, and only with the CA that it names."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.model import MARK, Unreadable
from caasctl.protocol import FileKind, Outcome, Reader, Resource, State, Undo, Unknown, Writer


@dataclass(frozen=True)
class MergeHosts:
    """The text wanted where there is none, or one of ours; a foreign one stays as it is, and a check says so."""

    wanted: str

    def __call__(self, text: str | None) -> str:
        return self.wanted if text is None or MARK in text.lower() else text


@dataclass(frozen=True)
class HostsFile:
    """file: the hosts.toml. ca: path of the certificate that it names, "" for none; without it containerd pulls nothing by it."""

    file: Resource
    ca: str = ""
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def members(self) -> tuple[Resource, ...]:
        return (self.file,)

    def look(self, host: Reader) -> State:
        state = self.file.look(host)
        if not self.ca or isinstance(state, Unknown):
            return state
        try:
            there = host.stat(self.ca)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        if there and there.kind is FileKind.FILE:
            return state
        return Unknown(f"there is no file {self.ca}, the CA that spec.containerd.registries names")

    def target(self, now: State) -> State:
        return self.file.target(now)

    def apply(self, host: Writer, now: State) -> Outcome:
        return self.file.apply(host, now)

    def undo(self, now: State) -> Undo:
        return self.file.undo(now)
