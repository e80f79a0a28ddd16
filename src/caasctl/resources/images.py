"""Images of an air gap's folder in containerd, where the kubelet finds them and never clears them away."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.profile import ImageFile
from caasctl.protocol import Done, Known, Outcome, Reader, State, Undo, Unknown, Writer

_LOOK_S, _IMPORT_S = 30.0, 1800.0
_LABEL, _VALUE = (
    "io.cri-containerd.pinned",
    "pinned",
)  # the kubelet's collector would take what nothing could bring back
_LOOSE = " not pinned"


@dataclass(frozen=True)
class Images:
    """socket: containerd's. Its state has a line for each name that is there, which says so where it is not pinned."""

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
        return Known("".join(f"{name}{'' if there[name] else _LOOSE}\n" for name in self._names if name in there))

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Known("".join(f"{name}\n" for name in self._names))

    def apply(self, host: Writer, now: State) -> Outcome:
        there = _told(now)
        for image in self.images:
            if lacks := set(image.names) - there.keys():
                host.say(f"importing {image.names[0]}")
                host.execute(*self._ctr, "import", image.path, timeout_s=_IMPORT_S)
            for name in image.names:
                if lacks or not there[name]:
                    host.execute(*self._label(name, _VALUE))
        return Done()

    def undo(self, now: State) -> Undo:
        """What was there stays, and is pinned only if it was."""
        there = _told(now)
        new = tuple(name for name in self._names if name not in there)
        loose = tuple(self._label(name, "") for name in self._names if not there.get(name, True))
        commands = (*loose, *([(*self._ctr, "rm", *new)] if new else []))
        return Undo(commands=commands) if commands else Undo(nothing="all images were there, and pinned")

    def _label(self, name: str, value: str) -> tuple[str, ...]:
        """Without a value it takes the label off."""
        return (*self._ctr, "label", name, f"{_LABEL}={value}")

    @property
    def _ctr(self) -> tuple[str, ...]:
        return ("ctr", "--address", self.socket, "--namespace", "k8s.io", "images")

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for image in self.images for name in image.names))

    def _there(self, host: Reader) -> dict[str, bool]:
        """All names that containerd has, and whether they are pinned. Raises Unreadable."""
        pinned = self._listed(host, f'labels."{_LABEL}"=={_VALUE}')
        return {name: name in pinned for name in self._listed(host)}

    def _listed(self, host: Reader, *filters: str) -> set[str]:
        """Raises Unreadable."""
        said = host.query(*self._ctr, "ls", "--quiet", *filters, timeout_s=_LOOK_S)
        if said.missing:
            raise Unreadable("ctr", "is not there; it comes with containerd")
        if not said.ok:
            raise Unreadable("ctr images ls", (said.stderr.strip().splitlines() or ["containerd does not answer"])[-1])
        return set(said.stdout.split())


def _told(now: State) -> dict[str, bool]:
    """Of a state of ours: the names that are there, and whether they are pinned."""
    lines = now.text.splitlines() if isinstance(now, Known) else ()
    return {line.removesuffix(_LOOSE): not line.endswith(_LOOSE) for line in lines}
