"""What the host itself does with PCI functions: the disks that are mounted, the interfaces, by the function behind them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import field

from caasctl.frozen import dataclass
from caasctl.protocol import Probe, Reader
from caasctl.syntax import pci

_BLOCK, _NET = "/sys/class/block", "/sys/class/net"
_SUBSYSTEM = re.compile(r"/nvme-subsystem/([^/]+)")
_CONTROLLER = re.compile(r"nvme\d+")
_NO_DEVICE = "0"  # the major number of a file system that is on no single disk: btrfs, overlay, zfs
_POINT = 5  # the field of the mount point
_SPACE = r"\040"


@dataclass(frozen=True)
class PciUse:
    """disks: function -> what is mounted from disks behind it, or "swap". interfaces: function -> its own first, then those
    stacked on it (bond0, br0, eth0.5).
    """

    disks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    interfaces: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_use(host: Reader) -> PciUse:
    return PciUse(_disks(host), _interfaces(host))


def parse_mounts(text: str) -> tuple[tuple[str, str, str], ...]:
    """(major:minor, source, mount point) of each line of /proc/self/mountinfo."""
    return tuple(_mounts(text))


def _mounts(text: str) -> Iterator[tuple[str, str, str]]:
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) >= _POINT and len(kind) > 1:
            yield fields[2], kind[1], fields[4].replace(_SPACE, " ")


def _disks(host: Reader) -> dict[str, tuple[str, ...]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    known: dict[str, frozenset[str]] = {}

    def add(device: str, what: str) -> None:
        """device: a path below /sys."""
        if device not in known:
            known[device] = _functions(host, device)
        for address in known[device]:
            if what not in found[address]:
                found[address].append(what)

    for numbers, source, point in parse_mounts(host.read("/proc/self/mountinfo") or ""):
        if not numbers.startswith(f"{_NO_DEVICE}:"):
            add(f"/sys/dev/block/{numbers}", point)
        elif source.startswith("/dev/"):
            add(_named(host, source), point)
    for line in (host.read("/proc/swaps") or "").splitlines()[1:]:
        if line.startswith("/dev/"):
            add(_named(host, line.split()[0]), "swap")
    return {address: tuple(sorted(points)) for address, points in found.items()}


def _named(host: Reader, device: str) -> str:
    """Where sysfs has /dev/sda1, or /dev/mapper/x, which is a link to ../dm-0."""
    return f"{_BLOCK}/{(host.readlink(device) or device).rpartition('/')[2]}"


def _functions(host: Reader, device: str) -> frozenset[str]:
    """The PCI functions behind a block device, also through LVM, RAID and NVMe's multipath."""
    todo, seen, found = [device], {device}, set[str]()
    while todo:
        functions, below = _behind(host, todo.pop())
        found |= functions
        todo += below - seen  # once each, however they point at one another
        seen |= below
    return frozenset(found)


def _behind(host: Reader, device: str) -> tuple[frozenset[str], set[str]]:
    """The PCI functions of a block device; where it has none of its own, the devices that it is made of."""
    target = host.readlink(device) or ""
    addresses = pci.ADDRESS.findall(target)
    if addresses:
        return frozenset(addresses[-1:]), set()
    subsystem = _SUBSYSTEM.search(target)
    if subsystem:
        names = host.list(f"/sys/class/nvme-subsystem/{subsystem[1]}") or ()
        links = (host.readlink(f"/sys/class/nvme/{name}") or "" for name in names if _CONTROLLER.fullmatch(name))
        return frozenset(address for link in links for address in pci.ADDRESS.findall(link)[-1:]), set()
    name = target.rpartition("/")[2] or device.rpartition("/")[2]
    return frozenset(), {f"{_BLOCK}/{slave}" for slave in host.list(f"{_BLOCK}/{name}/slaves") or ()}


def _interfaces(host: Reader) -> dict[str, tuple[str, ...]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in host.list(_NET) or ():
        addresses = pci.ADDRESS.findall(host.readlink(f"{_NET}/{name}") or "")
        if addresses:
            found[addresses[-1]] += [name, *_stacked(host, name)]
    return {address: tuple(dict.fromkeys(names)) for address, names in found.items()}


def _stacked(host: Reader, name: str) -> list[str]:
    """What is built on an interface, nearest first, such as bond0 and the bridge on it."""
    seen, todo = [name], [name]
    while todo:
        names = host.list(f"{_NET}/{todo.pop(0)}") or ()
        above = [n.removeprefix("upper_") for n in names if n.startswith("upper_")]
        todo += [n for n in above if n not in seen]
        seen += [n for n in above if n not in seen]
    return seen[1:]


PROBES = (Probe(PciUse, read_use),)
