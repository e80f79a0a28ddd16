"""The programs that have a device node of a PCI function open."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.protocol import FileKind, Reader

_DEVICES = "/sys/bus/pci/devices"
_DEPTH = 3  # 0000:01:00.0/nvme/nvme0/nvme0n1
_NVIDIA = "/dev/nvidia"  # its nodes are no children of the function
_SHOWN = 4


def of(host: Reader, address: str) -> tuple[str, ...]:
    """In words, the first four; as root, for others see their own programs only. Raises Unreadable."""
    folder = f"{_DEVICES}/{address}"
    nodes = {node for path in _children(host, folder, _DEPTH) for node in _nodes(host, path)}
    nvidia = (host.readlink(f"{folder}/driver") or "").endswith("/nvidia")
    found: list[str] = []
    if nodes or nvidia:
        found.extend(_programs(host, nodes, nvidia=nvidia))
    return tuple(found[:_SHOWN])


def _children(host: Reader, folder: str, depth: int) -> Iterator[str]:
    """The devices below a function: folders that have a uevent; links lead elsewhere and are left out."""
    for name in host.list(folder) or ():
        path = f"{folder}/{name}"
        there = host.stat(path, follow=False)
        if there is None or there.kind is not FileKind.DIR:
            continue
        if host.stat(f"{path}/uevent") is not None:
            yield path
        if depth:
            yield from _children(host, path, depth - 1)


def _nodes(host: Reader, path: str) -> Iterator[str]:
    for line in (host.read(f"{path}/uevent") or "").splitlines():
        name, _, value = line.partition("=")
        if name == "DEVNAME":
            yield f"/dev/{value}"


def _programs(host: Reader, nodes: set[str], *, nvidia: bool) -> Iterator[str]:
    for pid in filter(str.isdecimal, host.list("/proc") or ()):
        for number in host.list(f"/proc/{pid}/fd") or ():
            node = host.readlink(f"/proc/{pid}/fd/{number}") or ""
            if node in nodes or (nvidia and node.startswith(_NVIDIA)):
                name = (host.read(f"/proc/{pid}/comm") or "").strip()
                yield f"{name} (pid {pid}) has {node} open"
                break
