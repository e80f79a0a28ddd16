"""Specification: the CDI file of a kind of devices, as they are bound now."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import IN_EFFECT, Absent, Done, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.syntax.cdi import passthrough
from caasctl.syntax.cdi.spec import Device

_DEVICES = "/sys/bus/pci/devices"
_WRITES_S = 150.0


@dataclass(frozen=True)
class Specification:
    """kind: as nvidia.com/pgpu. addresses: the functions that pods ask for by it. unit: the one that writes the file.

    It lies in a folder that is empty after a boot, and names groups by numbers that may be others then.
    """

    kind: str
    path: str
    addresses: tuple[str, ...]
    unit: str
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"cdi:{self.kind}"

    @property
    def then(self) -> str:
        return f"{self.path} names {len(self.addresses)} device(s); made anew at every boot"

    def look(self, host: Reader) -> State:
        try:
            text, devices = host.read(self.path), {device.name: device for device in _devices(host, self.addresses)}
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        if text is None:
            return Absent()
        return Known(
            IN_EFFECT if _data(text) == passthrough.specification(self.kind, tuple(devices.values())) else text
        )

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Known(IN_EFFECT)

    def apply(self, host: Writer, now: State) -> Outcome:
        if now != self.target(now):
            host.execute("systemctl", "restart", "--", self.unit, timeout_s=_WRITES_S)
        return Done()

    def undo(self, now: State) -> Undo:
        """A command, as nobody knows before which numbers the file will name."""
        if isinstance(now, Absent):
            return Undo(first=(("rm", "-f", "--", self.path),))
        return Undo(nothing=f"{self.path} was there, and is made anew at every boot")


def _devices(host: Reader, addresses: tuple[str, ...]) -> Iterator[Device]:
    """Two functions of a group are one device. Raises Unreadable."""
    character = host.stat("/dev/iommu") is not None
    for address in addresses:
        folder = f"{_DEVICES}/{address}"
        nodes = (host.list(f"{folder}/vfio-dev") or ()) if character else ()
        number = (host.readlink(f"{folder}/iommu_group") or "").rpartition("/")[2]
        if nodes and host.stat(f"/dev/vfio/devices/{nodes[0]}"):  # a kernel may name one and make none
            yield passthrough.character_device(nodes[0].removeprefix("vfio"))
        elif number:
            yield passthrough.group(number)
        else:
            raise Unreadable(f"{folder}/iommu_group", "there is none: taken out, or the IOMMU is off")


def _data(text: str) -> object:
    try:
        return formats.parse_yaml(text, "")
    except formats.FormatError:
        return None
