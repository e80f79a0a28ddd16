"""PCI functions in detail: BARs, link, reset, SR-IOV, the bridges above. Each folder is listed once, and only what is there read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax import pci
from caasctl.syntax.pci import Bar, Port

_CONSUMER = "consumer:pci:"
_NOT_SET = "(null)"  # as the kernel writes a driver_override that is not set
_AWAKE = ("", "D0", "unknown")
ALL_ONES = 63  # the width in a register that reads as all ones: the device does not answer


@dataclass(frozen=True)
class PciLink:
    """speed, max_speed: as the kernel writes them, such as "16.0 GT/s PCIe" or "Unknown". width, max_width: lanes."""

    speed: str
    width: int
    max_speed: str
    max_width: int

    @property
    def dead(self) -> bool:
        """Its registers read as all ones, as those of a device that fell off the bus."""
        return self.width == ALL_ONES


@dataclass(frozen=True)
class PciDetail:
    """One function. upstream: bridges above it, from the root. driver_override, physfn, vfio_device (vfio3): "" if none.

    complete: its folder is sysfs's own, so that what is not there says something. link: None where it has none, is asleep,
    or does not answer. resets: methods in the kernel's order. vfs, max_vfs: virtual functions that are, that could be.
    boot_vga: the firmware showed its messages on it. consumers: functions that the kernel ties to it.
    unread: files that are there and give an error.
    """

    upstream: tuple[str, ...] = ()
    complete: bool = False
    driver_override: str = ""
    bars: tuple[Bar, ...] = ()
    link: PciLink | None = None
    resets: tuple[str, ...] = ()
    power_state: str = ""
    vfs: int = 0
    max_vfs: int = 0
    physfn: str = ""
    boot_vga: bool = False
    vfio_device: str = ""
    consumers: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class PciDetails:
    """functions: by address. ports: what the bridges above any of them say, None where only root may read that."""

    functions: Mapping[str, PciDetail]
    ports: Mapping[str, Port | None] = field(default_factory=dict)

    def of(self, address: str) -> PciDetail:
        return self.functions.get(address, _NOTHING)


_NOTHING = PciDetail()


class _Folder:
    """A function's folder: its names, and the text of those files that are there."""

    def __init__(self, host: Reader, address: str) -> None:
        self._host, self.path = host, f"{pci.DEVICES}/{address}"
        self.unread: list[str] = []
        try:
            self.names = frozenset(host.list(self.path) or ())
        except Unreadable:  # one function that does not answer must not hide the others
            self.names = frozenset()
            self.unread.append(".")

    def text(self, name: str) -> str:
        if name not in self.names:
            return ""
        try:
            return (self._host.read(f"{self.path}/{name}") or "").strip()
        except Unreadable:  # a device that does not answer; those of a recording that lacks the file too
            self.unread.append(name)
            return ""

    def number(self, name: str) -> int:
        text = self.text(name)
        return int(text) if text.isdecimal() else 0

    def target(self, name: str) -> str:
        link = self._host.readlink(f"{self.path}/{name}") if name in self.names else None
        return (link or "").rpartition("/")[2]


def read_details(host: Reader) -> PciDetails:
    functions = {address: _read(host, address) for address in host.list(pci.DEVICES) or ()}
    above = {bridge for detail in functions.values() if not detail.physfn for bridge in detail.upstream}
    return PciDetails(functions, {bridge: _port(host, bridge) for bridge in sorted(above)})


def _read(host: Reader, address: str) -> PciDetail:
    folder = _Folder(host, address)
    physfn = folder.target("physfn")
    override = folder.text("driver_override")
    power = "" if physfn else folder.text("power_state")
    methods = folder.text("reset_method").split()
    return PciDetail(
        upstream=pci.bridges_above(host.readlink(folder.path) or ""),
        complete="resource" in folder.names,
        driver_override="" if override == _NOT_SET else override,
        bars=() if physfn else pci.bars(folder.text("resource")),
        link=None if physfn else _link(folder, power),
        resets=tuple(methods) or (("reset",) if "reset" in folder.names else ()),
        power_state=power,
        vfs=folder.number("sriov_numvfs"),
        max_vfs=folder.number("sriov_totalvfs"),
        physfn=physfn,
        boot_vga=folder.text("boot_vga") == "1",
        vfio_device=_first(host.list(f"{folder.path}/vfio-dev") if "vfio-dev" in folder.names else ()),
        consumers=tuple(sorted(n.removeprefix(_CONSUMER) for n in folder.names if n.startswith(_CONSUMER))),
        unread=tuple(folder.unread),
    )


def _link(folder: _Folder, power: str) -> PciLink | None:
    """To ask a device that sleeps would wake it, and tell the speed of one that just did."""
    if power not in _AWAKE or "current_link_width" not in folder.names:
        return None
    width = folder.text("current_link_width")
    if not width.isdecimal():
        return None
    return PciLink(
        folder.text("current_link_speed"),
        int(width),
        folder.text("max_link_speed"),
        folder.number("max_link_width"),
    )


def _first(names: Iterable[str] | None) -> str:
    return next(iter(names or ()), "")


def _port(host: Reader, address: str) -> Port | None:
    try:
        return pci.port(host.read_bytes(f"{pci.DEVICES}/{address}/config") or b"")
    except Unreadable:
        return None  # as for anybody but root


PROBES = (Probe(PciDetails, read_details),)
