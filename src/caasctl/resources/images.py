"""Images of an air gap's folder in containerd, where the kubelet finds them and never clears them away."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.model import CommandError, Unreadable
from caasctl.profile import ImageFile
from caasctl.protocol import Done, Known, Outcome, Reader, State, Undo, Unknown, Writer

_LOOK_S, _IMPORT_S = 30.0, 1800.0
_PINNED = "io.cri-containerd.pinned=pinned"  # the kubelet's collector would take what nothing could bring back


@dataclass(frozen=True)
class Images:
    """socket: containerd's."""

    images: tuple[ImageFile, ...]
    socket: str
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False
    name: str = "images:containerd"

    @property
    def then(self) -> str:
        return "imported from the air gap's folder, and kept from the kubelet's collector"

    def look(self, host: Reader) -> State:
        try:
            there = self._there(host)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Known("".join(f"{name}\n" for name in self._names if name in there))

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Known("".join(f"{name}\n" for name in self._names))

    def apply(self, host: Writer, now: State) -> Outcome:
        there = set(now.text.splitlines()) if isinstance(now, Known) else set()
        for image in self.images:
            if set(image.names) - there:
                host.say(f"importing {image.names[0]}")
                host.execute(*self._ctr, "import", image.path, timeout_s=_IMPORT_S)
                for name in image.names:
                    self._pin(host, name)
        return Done()

    def undo(self, now: State) -> Undo:
        there = set(now.text.splitlines()) if isinstance(now, Known) else set()
        new = tuple(name for name in self._names if name not in there)
        return Undo(commands=((*self._ctr, "rm", *new),)) if new else Undo(nothing="all images were there")

    def _pin(self, host: Writer, name: str) -> None:
        try:
            host.execute(*self._ctr, "label", name, _PINNED)
        except CommandError as error:  # it is there; that it stays is more than the node needs to begin
            host.say(f"warning: {name} could not be pinned: {error.cause}")

    @property
    def _ctr(self) -> tuple[str, ...]:
        return ("ctr", "--address", self.socket, "--namespace", "k8s.io", "images")

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for image in self.images for name in image.names))

    def _there(self, host: Reader) -> set[str]:
        """Raises Unreadable."""
        said = host.query(*self._ctr, "ls", "--quiet", timeout_s=_LOOK_S)
        if said.missing:
            raise Unreadable("ctr", "is not there; it comes with containerd")
        if not said.ok:
            raise Unreadable("ctr images ls", (said.stderr.strip().splitlines() or ["containerd does not answer"])[-1])
        return set(said.stdout.split())
