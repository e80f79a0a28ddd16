"""Names of PCI devices from the host's pci.ids: 1.4 MB of text, read for those who show GPUs and for nobody else."""

from __future__ import annotations

from collections.abc import Collection

from caasctl.model import Unreadable
from caasctl.protocol import Reader

_FILES = ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids", "/var/lib/pciutils/pci.ids")


def read_names(host: Reader, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """(vendor, device) -> name for those that the first file there knows; {} where there is none."""
    for path in _FILES:
        try:
            text = host.read(path)
        except Unreadable:  # a name is a comfort; the next file may have it
            continue
        if text:
            return parse_ids(text, wanted)
    return {}


def parse_ids(text: str, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Lines `10de  NVIDIA Corporation`, below each vendor's a tab and `2236  GA102GL [A10]`; two tabs are subsystems."""
    found: dict[tuple[str, str], str] = {}
    vendors = {vendor for vendor, _ in wanted}
    vendor = ""
    for line in text.splitlines():
        if not line or line.startswith(("#", "\t\t")):
            continue
        if not line.startswith("\t"):
            vendor = line[:4] if line[:4] in vendors and line[4:6] == "  " else ""
        elif vendor and (vendor, line[1:5]) in wanted:
            found[vendor, line[1:5]] = line[5:].strip()
    return found
