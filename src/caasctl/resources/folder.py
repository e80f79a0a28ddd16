"""OwnFolder: caasctl's own folder, which goes with the files that caasctl puts there; what others put there stays."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Absent, Done, FileKind, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.syntax.digests import sha256


@dataclass(frozen=True)
class OwnFolder:
    """files: (path, digests of what caasctl's record says it wrote there, empty where any text is caasctl's own)."""

    path: str
    files: tuple[tuple[str, frozenset[str]], ...]
    folders: tuple[str, ...] = ()  # below it, the innermost first
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"folder:{self.path}"

    def look(self, host: Reader) -> State:
        """The paths of what would go: never a text, there is a key among them."""
        try:
            going = [*self._ours(host), *self._empty(host)]
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Known("".join(f"{path}\n" for path in going)) if going else Absent()

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Absent()

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - looked at again
        for path in tuple(self._ours(host)):
            host.remove(path)
        for folder in tuple(self._empty(host)):
            host.execute("rmdir", "--", folder)
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="the key in it is in no copy of caasctl's")

    def _ours(self, host: Reader) -> Iterator[str]:
        for path, digests in self.files:
            there = host.stat(path, follow=False)
            if there and there.kind is FileKind.FILE and (not digests or sha256(host.read(path) or "") in digests):
                yield path

    def _empty(self, host: Reader) -> Iterator[str]:
        """Folders that hold nothing but what goes."""
        going = set(self._ours(host))
        for folder in (*self.folders, self.path):
            there, names = host.stat(folder, follow=False), host.list(folder)
            if (
                there
                and there.kind is FileKind.DIR
                and names is not None
                and {f"{folder}/{name}" for name in names} <= going
            ):
                going.add(folder)
                yield folder
