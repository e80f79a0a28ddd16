"""Device nodes of VFIO, and the processes that hold one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

VFIO = "/dev/vfio"
_MODULE = "vfio"
_MODULE_FIELDS = 4
_SANDBOX = re.compile(r"(?:\bsandbox-|/run/vc/(?:vm/|sbs/)?|/run/kata/|\0-id\0)([0-9a-f]{12,64})\b")


@dataclass(frozen=True)
class Holder:
    """A process that has a node open. node: /dev/vfio/25 or /dev/vfio/devices/vfio0. command: as in /proc/PID/comm.

    sandbox: id of the pod's sandbox whose virtual machine it is, as its command line says, "" where that names none.
    state: of the kernel, as D for one that waits inside the kernel and cannot be killed, "" where it is not known.
    """

    node: str
    pid: int
    command: str
    sandbox: str = ""
    state: str = ""


@dataclass(frozen=True)
class VfioNodes:
    """groups: numbers in /dev/vfio. devices: names in /dev/vfio/devices. container: there is /dev/vfio/vfio.

    iommufd: there is /dev/iommu. holders: by node. complete: whoever looked could see into every process.
    """

    groups: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    container: bool = False
    iommufd: bool = False
    holders: tuple[Holder, ...] = ()
    complete: bool = True


def _read(host: Reader) -> VfioNodes:
    names = host.list(VFIO) or ()
    groups = tuple(sorted((name for name in names if name.isdecimal()), key=int))
    devices = (host.list(f"{VFIO}/devices") or ()) if "devices" in names else ()
    iommufd = "iommu" in (host.list("/dev") or ())
    unused = not (groups or devices) or idle(host.read("/proc/modules") or "")
    found = [] if unused else list(_looks(host))
    holders = tuple(sorted((h for h in found if h), key=lambda holder: (holder.node, holder.pid)))
    return VfioNodes(groups, devices, "vfio" in names, iommufd, holders, None not in found)


def idle(modules: str) -> bool:
    """Whether /proc/modules shows that nobody has a node open: each open one counts as a use of vfio, as do other modules.

    False where vfio is built in, so that there is no count.
    """
    for line in modules.splitlines():
        fields = line.split()
        if fields[:1] == [_MODULE] and len(fields) >= _MODULE_FIELDS and fields[2].isdecimal():
            return int(fields[2]) <= len([name for name in fields[3].split(",") if name not in ("", "-")])
    return False


def _looks(host: Reader) -> Iterator[Holder | None]:
    """Holders among all processes; None for a process that lets nobody see what it has open."""
    processes = host.list("/proc")
    if processes is None:
        yield None
    for pid in processes or ():
        if not pid.isdecimal():
            continue
        try:
            yield from _held(host, pid)
        except Unreadable:
            yield None


def _held(host: Reader, pid: str) -> Iterator[Holder]:
    folder = f"/proc/{pid}/fd"
    links = {host.readlink(f"{folder}/{fd}") or "" for fd in host.list(folder) or ()}
    nodes = sorted(link for link in links if link.startswith(f"{VFIO}/") and link != f"{VFIO}/vfio")
    if nodes:
        command = (host.read(f"/proc/{pid}/comm") or "").strip()
        sandbox, state = (
            parse_sandbox(_quietly(host, f"/proc/{pid}/cmdline")),
            parse_state(_quietly(host, f"/proc/{pid}/stat")),
        )
        yield from (Holder(node, int(pid), command, sandbox, state) for node in nodes)


def _quietly(host: Reader, path: str) -> str:
    """More about a holder that is known already."""
    with suppress(Unreadable):
        return (host.read_bytes(path) or b"").decode("utf-8", "replace")
    return ""


def parse_sandbox(cmdline: str) -> str:
    """QEMU's `-name sandbox-ID`, the folder of a virtual machine of Kata's, a shim's `-id ID`."""
    found = _SANDBOX.search(cmdline)
    return found[1] if found else ""


def parse_state(stat: str) -> str:
    """The letter behind the name in /proc/PID/stat; the name itself may hold anything."""
    return stat.rpartition(")")[2].strip()[:1]


PROBES = (Probe(VfioNodes, _read),)
