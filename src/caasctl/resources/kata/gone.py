"""TreeGone: Kata's trees that caasctl unpacked go for good, and what was at the prefix before is there again."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Absent, Done, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.resources.kata.installation import DOWNLOADS, stamped
from caasctl.syntax import kata_release as release
from caasctl.syntax import links


@dataclass(frozen=True)
class TreeGone:
    """A link that leads elsewhere, and a directory at the prefix, are somebody else's.

    was: what the record says was at the prefix, in the words of syntax/links.
    """

    was: str = ""
    prefix: str = f"/{release.TOP}"
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"kata:{self.prefix}"

    def look(self, host: Reader) -> State:
        try:
            going = [*self._link(host), *self._moved(host), *self._trees(host), *self._fetched(host)]
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Known("".join(f"{said}\n" for said in going)) if going else Absent()

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Absent()

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - looked at again
        """The trees last: as long as one is there, a reset that was killed goes on."""
        before = links.target(self.was)
        if tuple(self._link(host)) and before is not None:
            host.link(self.prefix, before)
        elif tuple(self._link(host)):
            host.remove(self.prefix)
        if tuple(self._moved(host)):
            host.move(links.aside(self.prefix), self.prefix)
        for file in tuple(self._fetched(host)):
            host.remove(file)
        for tree in tuple(self._trees(host)):
            host.remove_tree(tree)
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="its tarball makes it again")

    def _link(self, host: Reader) -> Iterator[str]:
        """The link, where it leads to a tree of caasctl's."""
        target = host.readlink(self.prefix)
        if target is not None and f"{self._above}/{target.rpartition('/')[2]}" in tuple(self._trees(host)):
            yield f"{self.prefix}: {links.words(target)}"

    def _moved(self, host: Reader) -> Iterator[str]:
        """The directory of before, which comes back once nothing is in its place."""
        there, link = host.stat(self.prefix, follow=False), tuple(self._link(host))
        if host.stat(links.aside(self.prefix), follow=False) and (there is None or link):
            yield f"{links.aside(self.prefix)}: goes back to {self.prefix}"

    def _trees(self, host: Reader) -> Iterator[str]:
        for name in host.list(self._above or "/") or ():
            path = f"{self._above}/{name}"
            if release.is_folder(self.prefix, path) and (path.endswith(".partial") or stamped(host, path)):
                yield path

    def _fetched(self, host: Reader) -> Iterator[str]:
        """What a run left that was killed while it fetched."""
        yield from (f"{DOWNLOADS}/{name}" for name in host.list(DOWNLOADS) or ())

    @property
    def _above(self) -> str:
        return self.prefix.rpartition("/")[0]
