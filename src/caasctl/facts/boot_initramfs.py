"""What makes this host's initramfs, if it boots with one."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.protocol import Probe, Reader

_PROGRAMS = {"initramfs-tools": ("/usr/sbin/update-initramfs",), "dracut": ("/usr/bin/dracut", "/usr/sbin/dracut")}
_IMAGES = ("initrd.img-", "initramfs-", "initrd-")


@dataclass(frozen=True)
class Initramfs:
    """generator: initramfs-tools, dracut, "" for none that caasctl knows. images: there are some in /boot."""

    generator: str = ""
    images: bool = False


def read_initramfs(host: Reader) -> Initramfs:
    """By the program that is installed: Ubuntu goes from the one to the other, and its dracut has no update-initramfs."""
    found = (name for name, paths in _PROGRAMS.items() if any(host.stat(path) for path in paths))
    return Initramfs(next(found, ""), any(name.startswith(_IMAGES) for name in host.list("/boot") or ()))


PROBES = (Probe(Initramfs, read_initramfs),)
